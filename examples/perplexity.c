/* How well a model predicts a text: the mean negative log-likelihood of the second half of each
 * chunk of it, and the perplexity over all of them, as JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "console.h"
#include "model.h"

/* Of a token under softmax(row), in nats. */
static double token_nll(const float *row, int64_t n_vocab, int32_t token) {
    float highest = row[0];
    for (int64_t i = 1; i < n_vocab; i++) highest = row[i] > highest ? row[i] : highest;
    double sum = 0;
    for (int64_t i = 0; i < n_vocab; i++) sum += exp((double)row[i] - (double)highest);
    return log(sum) + (double)highest - (double)row[token];
}

/* Mean over tokens first ... n-1 of the chunk, each predicted from all before it. */
static double chunk_nll(transformer_context *context, const int32_t *tokens, int64_t n,
                        int64_t first) {
    transformer_append_options none = {.struct_size = sizeof none,
                                       .logits = TRANSFORMER_LOGITS_NONE};
    transformer_append_options every = {.struct_size = sizeof every,
                                        .logits = TRANSFORMER_LOGITS_ALL};
    transformer_sequence *sequence = NULL;
    console_require(transformer_sequence_create(context, NULL, &sequence));
    if (first > 1) console_require(transformer_sequence_append(sequence, tokens, first - 1, &none));
    console_require(transformer_sequence_append(sequence, tokens + first - 1, n - first, &every));
    double sum = 0;
    for (int64_t done = 0; done < n - 1;) {
        transformer_decode_result result = {.struct_size = sizeof result};
        console_require(transformer_decode(context, NULL, &result));
        if (result.n_rows == 0) console_fail("a decode step computed nothing");
        for (int64_t end = done + result.n_rows; done < end; done++) {
            const float *row = NULL;
            int64_t n_vocab = 0;
            if (done < first - 1) continue;
            console_require(transformer_sequence_logits(sequence, done, &row, &n_vocab));
            sum += token_nll(row, n_vocab, tokens[done + 1]);
        }
    }
    transformer_sequence_destroy(sequence);
    return sum / (double)(n - first);
}

static void print_result(const double *nll, int64_t n_chunks) {
    double sum = 0;
    for (int64_t i = 0; i < n_chunks; i++) sum += nll[i];
    printf("{\"ppl\":%.10g,\"nll_chunks\":[", exp(sum / (double)n_chunks));
    for (int64_t i = 0; i < n_chunks; i++) printf("%s%.10g", i ? "," : "", nll[i]);
    printf("]}\n");
    console_flush();
}

int main(int argc, char **argv) {
    const char *path = NULL, *file = NULL;
    int64_t n_context = 512, max_chunks = 0;
    int begin = 0;
    int32_t n_threads = 0, device = 0;
    uint32_t kv_type = TRANSFORMER_KV_F16;
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &path, "a GGUF file or a Hugging Face folder", 1},
        {"--file", ARGUMENT_FILE, &file, "the text", 1},
        {"--context", ARGUMENT_POSITIVE, &n_context, "tokens of a chunk, default 512", 0},
        {"--chunks", ARGUMENT_COUNT, &max_chunks, "at most so many, default 0: all whole ones", 0},
        {"--bos", ARGUMENT_FLAG, &begin, "the begin token in place of a chunk's first", 0},
        {"--threads", ARGUMENT_INT32, &n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &device, "default cpu", 0},
        {"--kv", ARGUMENT_KV, &kv_type, "type of the KV cache, default f16", 0},
        {0}};
    arguments_read(argc, argv,
                   "Prints {\"ppl\":...,\"nll_chunks\":[...]}: the text's tokens, none added, in "
                   "chunks;\nscored is the second half of each, nll in nats.",
                   table);
    if (n_context < 2) console_usage_error("--context: a chunk has 2 tokens or more");

    transformer_model *model = model_open(path, device);
    int32_t begin_token = 0;
    if (begin)
        console_require(transformer_special_token(model, TRANSFORMER_TOKEN_BEGIN, &begin_token));
    transformer_tokenize_options plain = {.struct_size = sizeof plain,
                                          .add_special = TRANSFORMER_OFF};
    int64_t length = 0, n_tokens = 0;
    char *text = console_read(file, &length);
    int32_t *tokens = model_tokens(model, text, length, &plain, &n_tokens);
    free(text);
    int64_t n_chunks = n_tokens / n_context;
    if (n_chunks == 0)
        console_fail("'%s' has %lld tokens, a chunk takes %lld", file, (long long)n_tokens,
                     (long long)n_context);
    if (max_chunks && max_chunks < n_chunks) n_chunks = max_chunks;

    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequence_tokens = n_context,
                                           .max_sequences = 1,
                                           .max_logit_rows = 64,
                                           .n_threads = n_threads,
                                           .kv_type = kv_type};
    transformer_context *context = NULL;
    console_require(transformer_context_create(model, &options, &context));
    double *nll = console_allocate(NULL, (size_t)n_chunks, sizeof *nll);
    for (int64_t i = 0; i < n_chunks; i++) {
        int32_t *chunk = tokens + i * n_context;
        if (begin) chunk[0] = begin_token;
        nll[i] = chunk_nll(context, chunk, n_context, n_context / 2);
        if (console_has_terminal())
            console_progress((void *)"chunks", (uint64_t)i + 1, (uint64_t)n_chunks);
    }
    print_result(nll, n_chunks);

    free(nll);
    free(tokens);
    transformer_context_destroy(context);
    transformer_model_close(model);
    return 0;
}
