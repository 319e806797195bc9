/* Prints the logits after the last of some tokens, or after each of them, as JSON; of a model that
 * gives none, its score or its hidden states. */
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "console.h"
#include "lines.h"
#include "model.h"

/* A step computes as many positions as it can keep logits of; its rows are gone with the next. */
static void decode_and_print(transformer_context *context, transformer_sequence *sequence,
                             int64_t n_tokens, int all, int hidden) {
    for (int64_t done = 0; done < n_tokens;) {
        transformer_decode_result result = {.struct_size = sizeof result};
        console_require(transformer_decode(context, NULL, &result));
        if (result.n_rows == 0) console_fail("a decode step computed nothing");
        int64_t end = 0, n_computed = 0;
        console_require(transformer_sequence_tokens(sequence, NULL, 0, &end, &n_computed));
        for (end = n_computed; done < end; done++) {
            const float *row = NULL;
            int64_t n_vocab = 0;
            if (!all && done < n_tokens - 1) continue;
            console_require(hidden ? transformer_sequence_embedding(sequence, done, &row, &n_vocab)
                                   : transformer_sequence_logits(sequence, done, &row, &n_vocab));
            if (all && done > 0) putchar(',');
            lines_print_row(row, n_vocab);
        }
    }
}

static void decode_and_print_score(transformer_context *context, transformer_sequence *sequence) {
    transformer_decode_result result = {.struct_size = sizeof result};
    const float *score = NULL;
    int64_t n_labels = 0;
    do console_require(transformer_decode(context, NULL, &result));
    while (result.n_pending > 0);
    console_require(transformer_sequence_score(sequence, &score, &n_labels));
    lines_print_row(score, n_labels);
}

int main(int argc, char **argv) {
    const char *path = NULL, *list = NULL, *source_list = NULL;
    int all = 0;
    int32_t n_threads = 0, device = 0;
    uint32_t kv_type = TRANSFORMER_KV_F32, weight_type = TRANSFORMER_WEIGHTS_AS_IS;
    transformer_sequence_options adapted = {.struct_size = sizeof adapted};
    const char *adapter_path = NULL;
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &path, "a GGUF file or a Hugging Face folder", 1},
        {"--tokens", ARGUMENT_TEXT, &list, "token ids, 1,2,3 say", 1},
        {"--source", ARGUMENT_TEXT, &source_list,
         "ids that the encoder of an encoder-decoder reads", 0},
        {"--all", ARGUMENT_FLAG, &all, "a row for each token, not only for the last", 0},
        {"--threads", ARGUMENT_INT32, &n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &device, "default cpu", 0},
        {"--kv", ARGUMENT_KV, &kv_type, "type of the KV cache, default f32", 0},
        {"--adapter", ARGUMENT_TEXT, &adapter_path, "a LoRA adapter: a PEFT folder or a GGUF file",
         0},
        {"--adapter-scale", ARGUMENT_NUMBER, &adapted.adapter_scale, "default 1", 0},
        {"--type", ARGUMENT_WEIGHTS, &weight_type, "quantize the matrices while loading", 0},
        {0}};
    arguments_read(argc, argv,
                   "Prints {\"logits\":[[...]...]} of a sequence of tokens; {\"hidden\":...} of an "
                   "encoder, {\"score\":[...]} of a model with a score head.",
                   table);
    int64_t n_tokens = 0, n_source = 0;
    int32_t *tokens = arguments_token_ids(list, ',', "--tokens", &n_tokens), *source = NULL;
    if (source_list) source = arguments_token_ids(source_list, ',', "--source", &n_source);

    transformer_model *model = model_open_as(path, device, weight_type);
    transformer_model_details details = model_details(model);
    int score = details.n_labels > 0, hidden = !details.has_logits && !score;
    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequence_tokens = n_tokens,
                                           .max_sequences = 1,
                                           .max_logit_rows = all ? (hidden ? n_tokens : 32) : 1,
                                           .n_threads = n_threads,
                                           .kv_type = kv_type};
    if (n_source > 512) options.max_step_tokens = n_source;
    transformer_append_options keep = {.struct_size = sizeof keep,
                                       .logits = score ? TRANSFORMER_LOGITS_NONE
                                                 : all ? TRANSFORMER_LOGITS_ALL
                                                       : TRANSFORMER_LOGITS_LAST};
    transformer_context *context = NULL;
    transformer_sequence *sequence = NULL;
    console_require(transformer_context_create(model, &options, &context));
    if (adapter_path) adapted.adapter = model_adapter(model, adapter_path);
    console_require(transformer_sequence_create(context, &adapted, &sequence));
    transformer_adapter_close(adapted.adapter);
    if (source) console_require(transformer_sequence_set_source(sequence, source, n_source, NULL));
    console_require(transformer_sequence_append(sequence, tokens, n_tokens, &keep));
    printf(score ? "{\"score\":" : hidden ? "{\"hidden\":[" : "{\"logits\":[");
    if (score)
        decode_and_print_score(context, sequence);
    else
        decode_and_print(context, sequence, n_tokens, all, hidden);
    printf(score ? "}\n" : "]}\n");
    console_flush();

    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    transformer_model_close(model);
    free(tokens);
    free(source);
    return 0;
}
