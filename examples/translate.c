/* Translates the lines of stdin, or one source of token ids, with an encoder-decoder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "beam.h"
#include "console.h"
#include "model.h"

/* What the model's own config says, where the command line doesn't. */
static int32_t token_of(const transformer_model *model, const char *suffix, int32_t fallback) {
    transformer_model_details details = model_details(model);
    char key[256], text[32];
    int64_t length = 0;
    snprintf(key, sizeof key, "%s.%s", details.architecture, suffix);
    if (transformer_model_metadata(model, key, text, (int64_t)sizeof text - 1, &length) !=
        TRANSFORMER_OK)
        return fallback;
    text[length] = 0;
    return (int32_t)strtol(text, NULL, 10);
}

/* -1: what the model's files say. */
static void complete(const transformer_model *model, struct beam_options *options, int32_t *start,
                     int32_t *end) {
    transformer_model_details details = model_details(model);
    if (!details.needs_source)
        console_fail("%s is no encoder-decoder, it has no source to translate",
                     details.architecture);
    if (*start < 0) *start = details.start_token;
    if (*start < 0) console_usage_error("--start: the model's files don't say the token");
    if (*end < 0 && details.n_end_tokens) *end = details.end_tokens[0];
    if (*end < 0) *end = token_of(model, "eos_token_id", -1);
    options->begin = start;
    options->n_begin = 1;
    options->ends = end;
    options->n_ends = *end >= 0;
    if (options->forced_first < 0)
        options->forced_first = token_of(model, "forced_bos_token_id", -1);
    if (options->forced_last < 0) options->forced_last = token_of(model, "forced_eos_token_id", -1);
    int32_t ids[] = {*start, *end, options->forced_first, options->forced_last};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] >= details.n_vocab)
            console_usage_error("token %d: the vocabulary has %lld", ids[i],
                                (long long)details.n_vocab);
    for (int64_t i = 0; i < options->n_never; i++)
        if (options->never[i] >= details.n_vocab)
            console_usage_error("--never: token %d: the vocabulary has %lld", options->never[i],
                                (long long)details.n_vocab);
}

/* The answer without the start token, or all of its ids. */
static void print(const transformer_model *model, const int32_t *tokens, int64_t n, int ids) {
    for (int64_t i = 0; ids && i < n; i++) printf(i ? ",%d" : "%d", tokens[i]);
    if (!ids && n) {
        int64_t length = 0;
        console_require(transformer_detokenize(model, tokens + 1, n - 1, NULL, NULL, 0, &length));
        int64_t capacity = length;
        char *text = console_allocate(NULL, (size_t)length + 1, 1);
        console_require(
            transformer_detokenize(model, tokens + 1, n - 1, NULL, text, capacity, &length));
        console_write(text, length);
        free(text);
    }
    putchar('\n');
    console_flush();
}

static void translate(transformer_context *context, const transformer_model *model,
                      const int32_t *source, int64_t n, const struct beam_options *options,
                      int ids) {
    int64_t count = 0;
    int32_t *tokens = beam_search(context, source, n, options, &count);
    print(model, tokens, count, ids);
    free(tokens);
}

static void translate_lines(transformer_context *context, const transformer_model *model,
                            const struct beam_options *options) {
    int64_t length = 0;
    char *text = console_read(NULL, &length);
    for (char *line = text; line < text + length;) {
        int64_t rest = text + length - line;
        const char *end = memchr(line, '\n', (size_t)rest);
        int64_t n = end ? end - line : rest, n_source = 0;
        int32_t *source = model_tokens(model, line, n, NULL, &n_source);
        if (n_source) translate(context, model, source, n_source, options, 0);
        free(source);
        line += n + 1;
    }
    free(text);
}

static transformer_context *create_context(transformer_model *model,
                                           const struct beam_options *options, int64_t n_source,
                                           uint32_t kv_type, int32_t n_threads) {
    transformer_context_options context = {.struct_size = sizeof context,
                                           .max_sequence_tokens = options->max_tokens + 1,
                                           .max_sequences = options->n_beams,
                                           .max_step_tokens = n_source > 512 ? n_source : 0,
                                           .kv_type = kv_type,
                                           .n_threads = n_threads};
    context.kv_tokens = options->n_beams * ((options->max_tokens + 64) / 64 * 64);
    transformer_context *created = NULL;
    console_require(transformer_context_create(model, &context, &created));
    return created;
}

int main(int argc, char **argv) {
    const char *path = NULL, *list = NULL, *never = NULL;
    int32_t n_threads = 0, device = 0, start = -1, end = -1;
    uint32_t kv_type = TRANSFORMER_KV_DEFAULT;
    struct beam_options options = {.n_beams = 4,
                                   .max_tokens = 128,
                                   .length_penalty = 1,
                                   .forced_first = -1,
                                   .forced_last = -1};
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &path, "a GGUF file or a Hugging Face folder", 1},
        {"--ids", ARGUMENT_TEXT, &list, "the source as token ids, instead of stdin; ids come out",
         0},
        {"--beams", ARGUMENT_POSITIVE, &options.n_beams, "default 4; 1: greedy", 0},
        {"--max-tokens", ARGUMENT_POSITIVE, &options.max_tokens, "default 128", 0},
        {"--min-length", ARGUMENT_COUNT, &options.min_length, "tokens before an end, default 0", 0},
        {"--length-penalty", ARGUMENT_NUMBER, &options.length_penalty,
         "default 1; above it, longer ones win", 0},
        {"--early-stopping", ARGUMENT_FLAG, &options.early_stopping,
         "stop as soon as all beams have ended", 0},
        {"--start", ARGUMENT_INT32, &start, "first token, default: the model's", 0},
        {"--end", ARGUMENT_INT32, &end, "token that ends, default: the model's", 0},
        {"--forced-first", ARGUMENT_INT32, &options.forced_first,
         "token after the start, the language say", 0},
        {"--forced-last", ARGUMENT_INT32, &options.forced_last, "token at --max-tokens", 0},
        {"--never", ARGUMENT_TEXT, &never, "token ids that must not come", 0},
        {"--threads", ARGUMENT_INT32, &n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &device, "default cpu", 0},
        {"--kv", ARGUMENT_KV, &kv_type, "type of the KV cache, default f16", 0},
        {0}};
    arguments_read(argc, argv, "Translates the lines of stdin by beam search.", table);
    int64_t n_source = 0;
    int32_t *source = list ? arguments_token_ids(list, ',', "--ids", &n_source) : NULL;
    int32_t *banned = never ? arguments_token_ids(never, ',', "--never", &options.n_never) : NULL;
    options.never = banned;

    transformer_model *model = model_open(path, device);
    complete(model, &options, &start, &end);
    transformer_context *context = create_context(model, &options, n_source, kv_type, n_threads);
    if (list)
        translate(context, model, source, n_source, &options, 1);
    else
        translate_lines(context, model, &options);
    transformer_context_destroy(context);
    transformer_model_close(model);
    free(source);
    free(banned);
    return 0;
}
