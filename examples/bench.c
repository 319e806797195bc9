/* Measures load, prefill and decode. A round is: so many sequences, each with a prompt of
 * pseudo-random tokens of its own, computed (prefill), then continued together token by token by
 * the greedy sampler (decode). One untimed token before the first round brings the weights in. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "arguments.h"
#include "console.h"
#include "model.h"

struct bench {
    transformer_model *model;
    transformer_context *context;
    transformer_sampler *sampler;
    transformer_sequence **sequences; /* [n_sequences] */
    int64_t n_sequences, n_prompt, n_generate, n_vocab;
    int32_t *prompt; /* [n_prompt] */
    uint64_t random;
};

static int32_t random_token(struct bench *b) {
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((b->random >> 33) % (uint64_t)b->n_vocab);
}

static void decode_all(struct bench *b) {
    transformer_decode_result result = {.struct_size = sizeof result};
    do console_require(transformer_decode(b->context, NULL, &result));
    while (result.n_pending > 0);
}

static double prefill(struct bench *b) {
    for (int64_t i = 0; i < b->n_sequences; i++) {
        for (int64_t k = 0; k < b->n_prompt; k++) b->prompt[k] = random_token(b);
        console_require(transformer_sequence_create(b->context, NULL, &b->sequences[i]));
        console_require(transformer_sequence_append(b->sequences[i], b->prompt, b->n_prompt, NULL));
    }
    double start = console_seconds();
    decode_all(b);
    return console_seconds() - start;
}

static double decode(struct bench *b) {
    transformer_sample_options append = {.struct_size = sizeof append, .append = TRANSFORMER_ON};
    for (int64_t i = 0; i < b->n_sequences; i++) {
        int32_t token = random_token(b);
        console_require(transformer_sequence_append(b->sequences[i], &token, 1, NULL));
    }
    double start = console_seconds();
    for (int64_t step = 0; step < b->n_generate; step++) {
        int32_t token = 0;
        decode_all(b);
        for (int64_t i = 0; i < b->n_sequences; i++)
            console_require(
                transformer_sampler_sample(b->sampler, b->sequences[i], &append, &token));
    }
    return console_seconds() - start;
}

static void warm_up(struct bench *b) {
    int32_t token = random_token(b);
    transformer_sequence *sequence = NULL;
    console_require(transformer_sequence_create(b->context, NULL, &sequence));
    console_require(transformer_sequence_append(sequence, &token, 1, NULL));
    decode_all(b);
    transformer_sequence_destroy(sequence);
}

static void create_handles(struct bench *b, int32_t n_threads, uint32_t kv_type) {
    /* One more for the token that starts the decode, one for the last that is sampled. */
    int64_t longest = b->n_prompt + b->n_generate + 2, pages = (longest + 63) / 64;
    int64_t step = b->n_sequences > 512 ? b->n_sequences : 512;
    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequence_tokens = longest,
                                           .kv_tokens = pages * 64 * b->n_sequences,
                                           .max_sequences = b->n_sequences,
                                           .max_step_tokens = step,
                                           .n_threads = n_threads,
                                           .kv_type = kv_type};
    console_require(transformer_context_create(b->model, &options, &b->context));
    console_require(transformer_sampler_create(b->model, NULL, &b->sampler));
    b->sequences = console_allocate(NULL, (size_t)b->n_sequences, sizeof *b->sequences);
    b->prompt = console_allocate(NULL, (size_t)b->n_prompt, sizeof *b->prompt);
}

static void print_speeds(const char *name, const double *speeds, int64_t n, int json) {
    printf(json ? "\"%s_tokens_per_s\":[" : "%-8s tokens/s ", name);
    for (int64_t i = 0; i < n; i++)
        printf(json ? "%s%.6g" : "%s%.2f", i ? json ? "," : "  " : "", speeds[i]);
    printf(json ? "]," : "\n");
}

static void print_sizes(double load_s, uint64_t weight_bytes, int json) {
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    unsigned long long peak = (unsigned long long)usage.ru_maxrss * 1024;
    printf(
        json ? "\"load_s\":%.6g,\"weight_bytes_per_token\":%llu,\"peak_rss_bytes\":%llu}\n"
             : "load     s        %10.4f\nweights  bytes per token %llu\nmemory   peak bytes      "
               "%llu\n",
        load_s, (unsigned long long)weight_bytes, peak);
    console_flush();
}

int main(int argc, char **argv) {
    struct bench b = {.n_prompt = 512, .n_generate = 96, .n_sequences = 1, .random = 1};
    const char *path = NULL;
    int64_t n_rounds = 5;
    int32_t n_threads = 0, device = 0;
    uint32_t kv_type = TRANSFORMER_KV_F16;
    int json = 0;
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &path, "a GGUF file or a Hugging Face folder", 1},
        {"--prompt", ARGUMENT_POSITIVE, &b.n_prompt, "tokens of a prompt, default 512", 0},
        {"--generate", ARGUMENT_POSITIVE, &b.n_generate, "tokens after it, default 96", 0},
        {"--batch", ARGUMENT_POSITIVE, &b.n_sequences, "sequences at once, default 1", 0},
        {"--threads", ARGUMENT_INT32, &n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &device, "default cpu", 0},
        {"--rounds", ARGUMENT_POSITIVE, &n_rounds, "default 5", 0},
        {"--kv", ARGUMENT_KV, &kv_type, "type of the KV cache, default f16", 0},
        {"--json", ARGUMENT_FLAG, &json, "JSON instead of a table", 0},
        {0}};
    arguments_read(argc, argv, "Prints tokens per second of each round, load time and memory.",
                   table);
    const int64_t most = 1 << 30; /* keeps every product and sum below in range */
    if (b.n_prompt > most || b.n_generate > most || b.n_sequences > most || n_rounds > most)
        console_usage_error("--prompt, --generate, --batch and --rounds go up to %lld",
                            (long long)most);

    double start = console_seconds();
    b.model = model_open(path, device);
    double load_s = console_seconds() - start;
    transformer_model_details details = model_details(b.model);
    b.n_vocab = details.n_vocab;
    create_handles(&b, n_threads, kv_type);
    warm_up(&b);
    double *speeds = console_allocate(NULL, (size_t)n_rounds * 2, sizeof *speeds);
    for (int64_t round = 0; round < n_rounds; round++) {
        speeds[round] = (double)(b.n_prompt * b.n_sequences) / prefill(&b);
        speeds[n_rounds + round] = (double)(b.n_generate * b.n_sequences) / decode(&b);
        for (int64_t i = 0; i < b.n_sequences; i++) transformer_sequence_destroy(b.sequences[i]);
    }
    if (json) putchar('{');
    print_speeds("prefill", speeds, n_rounds, json);
    print_speeds("decode", speeds + n_rounds, n_rounds, json);
    print_sizes(load_s, details.weight_bytes_per_token, json);

    free(speeds);
    free(b.prompt);
    free(b.sequences);
    transformer_sampler_destroy(b.sampler);
    transformer_context_destroy(b.context);
    transformer_model_close(b.model);
    return 0;
}
