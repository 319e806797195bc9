/* Prints the logits after the last of some tokens, or after each of them, as JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "console.h"
#include "model.h"

static void print_row(const float *row, int64_t count, int64_t position) {
    putchar('[');
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(row[i])) /* JSON has no number for it */
            console_fail("the logit of token %lld after position %lld is %f", (long long)i,
                         (long long)position, (double)row[i]);
        printf("%s%.9g", i ? "," : "", (double)row[i]);
    }
    putchar(']');
    if (ferror(stdout)) console_flush();
}

/* A step computes as many positions as it can keep logits of; its rows are gone with the next. */
static void decode_and_print(transformer_context *context, transformer_sequence *sequence,
                             int64_t n_tokens, int all) {
    for (int64_t done = 0; done < n_tokens;) {
        transformer_decode_result result = {.struct_size = sizeof result};
        console_require(transformer_decode(context, NULL, &result));
        if (result.n_rows == 0) console_fail("a decode step computed nothing");
        for (int64_t end = done + result.n_rows; done < end; done++) {
            const float *row = NULL;
            int64_t n_vocab = 0;
            if (!all && done < n_tokens - 1) continue;
            console_require(transformer_sequence_logits(sequence, done, &row, &n_vocab));
            if (all && done > 0) putchar(',');
            print_row(row, n_vocab, done);
        }
    }
}

int main(int argc, char **argv) {
    const char *path = NULL, *list = NULL;
    int all = 0;
    int32_t n_threads = 0, device = 0;
    uint32_t kv_type = TRANSFORMER_KV_F32, weight_type = TRANSFORMER_WEIGHTS_AS_IS;
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &path, "a GGUF file or a Hugging Face folder", 1},
        {"--tokens", ARGUMENT_TEXT, &list, "token ids, 1,2,3 say", 1},
        {"--all", ARGUMENT_FLAG, &all, "a row for each token, not only for the last", 0},
        {"--threads", ARGUMENT_INT32, &n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &device, "default cpu", 0},
        {"--kv", ARGUMENT_KV, &kv_type, "type of the KV cache, default f32", 0},
        {"--type", ARGUMENT_WEIGHTS, &weight_type, "quantize the matrices while loading", 0},
        {0}};
    arguments_read(argc, argv, "Prints {\"logits\":[[...]...]} of a sequence of tokens.", table);
    int64_t n_tokens = 0;
    int32_t *tokens = arguments_token_ids(list, ',', "--tokens", &n_tokens);

    transformer_model *model = model_open_as(path, device, weight_type);
    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequence_tokens = n_tokens,
                                           .max_sequences = 1,
                                           .max_logit_rows = all ? 32 : 1,
                                           .n_threads = n_threads,
                                           .kv_type = kv_type};
    transformer_append_options keep = {.struct_size = sizeof keep,
                                       .logits =
                                           all ? TRANSFORMER_LOGITS_ALL : TRANSFORMER_LOGITS_LAST};
    transformer_context *context = NULL;
    transformer_sequence *sequence = NULL;
    console_require(transformer_context_create(model, &options, &context));
    console_require(transformer_sequence_create(context, NULL, &sequence));
    console_require(transformer_sequence_append(sequence, tokens, n_tokens, &keep));
    printf("{\"logits\":[");
    decode_and_print(context, sequence, n_tokens, all);
    printf("]}\n");
    console_flush();

    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    transformer_model_close(model);
    free(tokens);
    return 0;
}
