/* Sampling on the device chooses the tokens that lib/sampling's chain chooses, for the same logits,
 * options and random numbers; so do bias and penalties. */
#include "elementwise_test.h"

#include "sampling/sampling.h"

enum { N_ROWS = 4 };

static struct memory memory;

static float normal(struct gpu *gpu) { /* roughly: the sum of four, of variance 1 */
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += gpu_random_float(gpu, -1.0f, 1.0f);
    return sum * 0.8660254f;
}

enum shape { NORMAL, COARSE, FLAT, PEAKED, SPECIAL, NOTHING, FEW, INFINITE, SHAPES };

static float logit_of(struct gpu *gpu, enum shape shape, size_t i) {
    static const float special[] = {NAN, -INFINITY, -0.0f, 0.0f, 3e38f, -3e38f, 1e-40f, 2.0f};
    switch (shape) {
    case NORMAL:
        return 3.0f * normal(gpu);
    case COARSE: /* ties everywhere */
        return 0.5f * rintf(4.0f * normal(gpu));
    case FLAT:
        return 1.0f + 1e-6f * normal(gpu);
    case PEAKED:
        return i % 997 == 13 ? 15.0f + normal(gpu) : -60.0f + 20.0f * normal(gpu);
    case SPECIAL:
        return special[gpu_random(gpu) % 8];
    case NOTHING:
        return i % 3 ? NAN : -INFINITY;
    case FEW:
        return i % 151 == 7 ? normal(gpu) : -INFINITY;
    default:
        return i % 71 == 5 ? INFINITY : normal(gpu);
    }
}

static struct rows make_logits(struct gpu *gpu, size_t n_vocab, enum shape shape) {
    struct rows logits = rows_make(gpu, N_ROWS, n_vocab);
    for (size_t row = 0; row < N_ROWS; row++)
        for (size_t i = 0; i < n_vocab; i++) rows_at(&logits, row)[i] = logit_of(gpu, shape, i);
    rows_write(gpu, &logits);
    return logits;
}

static transformer_sampler_options random_options(struct gpu *gpu) {
    static const float temperatures[] = {0.0f, 0.3f, 0.7f, 1.0f, 1.0f, 2.5f, 1e-3f, 100.0f};
    static const int32_t ks[] = {0, 0, 1, 5, 40, 50, 300, 1500, 1000000};
    static const float ps[] = {0.0f,  0.0f,  1e-6f,   0.3f,        0.5f, 0.9f,
                               0.95f, 0.99f, 0.9999f, 0.99999994f, 1.0f};
    static const float mins[] = {0.0f, 0.0f, 0.05f, 0.5f, 1.0f};
    return (transformer_sampler_options){
        .struct_size = sizeof(transformer_sampler_options),
        .seed = gpu_random(gpu) * (uint64_t)0x100000001,
        .temperature = temperatures[gpu_random(gpu) % 8],
        .top_k = ks[gpu_random(gpu) % 9],
        .top_p = ps[gpu_random(gpu) % 11],
        .min_p = mins[gpu_random(gpu) % 5],
    };
}

static struct sampling_chain *chain_of(const transformer_sampler_options *options, size_t n_vocab) {
    struct sampling_chain *chain;
    if (sampling_create(&memory, options, (int64_t)n_vocab, &chain) != OK) {
        fprintf(stderr, "%s\n", status_text());
        exit(1);
    }
    return chain;
}

/* Each of n random settings for every row of logits, all in one launch. */
static void test_tokens(struct gpu *gpu, size_t n_vocab, enum shape shape, uint32_t n) {
    struct rows logits = make_logits(gpu, n_vocab, shape);
    struct sample_row *rows = calloc(n, sizeof *rows);
    int32_t *expected = malloc(n * sizeof *expected), *got = malloc(n * sizeof *got);
    transformer_sampler_options *options = malloc(n * sizeof *options);
    for (uint32_t i = 0; i < n; i++) {
        options[i] = random_options(gpu);
        rows[i] = (struct sample_row){.seed = options[i].seed,
                                      .stream = gpu_random(gpu) * (uint64_t)0x200000003,
                                      .position = gpu_random(gpu) % 5000000000u,
                                      .temperature = options[i].temperature,
                                      .top_k = options[i].top_k,
                                      .top_p = options[i].top_p,
                                      .min_p = options[i].min_p,
                                      .logits_row = (int32_t)(i % N_ROWS)};
        struct sampling_chain *chain = chain_of(&options[i], n_vocab);
        expected[i] = sampling_choose(chain, rows_at(&logits, i % N_ROWS), NULL, 0, rows[i].stream,
                                      rows[i].position);
        sampling_destroy(chain);
    }
    rows[n / 2].logits_row = -1; /* its token stays what it was: poison */
    expected[n / 2] = -1;
    struct sample_row *on_device = gpu_upload(gpu, rows, n * sizeof *rows);
    int32_t *tokens = gpu_alloc(gpu, n * sizeof *tokens);
    struct sample_args args = {.logits = logits.device,
                               .sample = on_device,
                               .token = tokens,
                               .n_rows = n,
                               .n_vocab = (uint32_t)n_vocab,
                               .logits_stride = (uint32_t)logits.stride};
    if (gpu_run(gpu, "sample", n, SAMPLE_THREADS, SAMPLE_SHARED, &args, sizeof args)) {
        gpu_download(gpu, got, tokens, n * sizeof *got);
        for (uint32_t i = 0; i < n; i++)
            if (got[i] != expected[i])
                gpu_fail(
                    gpu,
                    "vocabulary %zu, shape %d, temperature %g, top_k %d, top_p %.9g, min_p %g: "
                    "token %d, not %d",
                    n_vocab, shape, (double)options[i].temperature, options[i].top_k,
                    (double)options[i].top_p, (double)options[i].min_p, got[i], expected[i]);
    }
    gpu_free(gpu, on_device);
    gpu_free(gpu, tokens);
    rows_free(gpu, &logits);
    free(rows);
    free(expected);
    free(got);
    free(options);
}

/* ---- bias and penalties ---- */

static int by_token(const void *a, const void *b) {
    const transformer_logit_bias *x = a, *y = b;
    return x->token != y->token ? (x->token > y->token) - (x->token < y->token) : (x > y) - (x < y);
}

static void test_adjusted(struct gpu *gpu, size_t n_vocab, bool penalized, bool biased) {
    enum { N_BIAS = 40, N_HISTORY = 60 };
    struct rows logits = make_logits(gpu, n_vocab, gpu_random(gpu) % 2 ? NORMAL : SPECIAL);
    struct rows out = rows_make(gpu, 2, n_vocab);
    transformer_logit_bias biases[N_BIAS];
    int32_t history[N_HISTORY], token[N_HISTORY], bias_token[N_BIAS], n_tokens = 0;
    uint32_t count[N_HISTORY];
    float bias[N_BIAS];
    for (int i = 0; i < N_BIAS; i++) {
        biases[i].token = (int32_t)(gpu_random(gpu) % n_vocab);
        biases[i].bias = i % 9 ? gpu_random_float(gpu, -3.0f, 6.0f) : -INFINITY;
    }
    for (int i = 0; i < N_HISTORY; i++) {
        history[i] = (int32_t)(gpu_random(gpu) % n_vocab % 50);
        int at = 0;
        while (at < n_tokens && token[at] != history[i]) at++;
        if (at == n_tokens) count[n_tokens++] = 0;
        token[at] = history[i];
        count[at]++;
    }
    transformer_sampler_options options = {.logit_bias = biases,
                                           .n_logit_bias = biased ? N_BIAS : 0,
                                           .repetition_penalty = penalized ? 1.3f : 0.0f,
                                           .frequency_penalty = penalized ? 0.25f : 0.0f,
                                           .presence_penalty = penalized ? -0.5f : 0.0f,
                                           .temperature = 1.0f,
                                           .top_k = 20};
    struct sampling_chain *chain = chain_of(&options, n_vocab);
    qsort(biases, N_BIAS, sizeof *biases, by_token);
    for (int i = 0; i < N_BIAS; i++) {
        bias_token[i] = biases[i].token;
        bias[i] = biases[i].bias;
    }
    struct adjust_logits_row row = {.bias_token = gpu_upload(gpu, bias_token, sizeof bias_token),
                                    .bias = gpu_upload(gpu, bias, sizeof bias),
                                    .history_token = gpu_upload(gpu, token, sizeof token),
                                    .history_count = gpu_upload(gpu, count, sizeof count),
                                    .n_bias = biased ? N_BIAS : 0,
                                    .n_history = penalized ? n_tokens : 0,
                                    .repetition_penalty = options.repetition_penalty,
                                    .presence_penalty = options.presence_penalty,
                                    .frequency_penalty = options.frequency_penalty,
                                    .logits_row = 2,
                                    .out_row = 1};
    struct adjust_logits_row *row_device = gpu_upload(gpu, &row, sizeof row);
    struct adjust_logits_args adjust = {.logits = logits.device,
                                        .rows = row_device,
                                        .out = out.device,
                                        .n_rows = 1,
                                        .n_vocab = (uint32_t)n_vocab,
                                        .logits_stride = (uint32_t)logits.stride,
                                        .out_stride = (uint32_t)out.stride};
    struct sample_row sample = {.temperature = 1.0f, .top_k = 20, .logits_row = 1};
    int32_t *token_device = gpu_alloc(gpu, sizeof(int32_t)), got;
    struct sample_row *sample_device = gpu_alloc(gpu, sizeof sample);
    struct sample_args args = {.logits = out.device,
                               .sample = sample_device,
                               .token = token_device,
                               .n_rows = 1,
                               .n_vocab = (uint32_t)n_vocab,
                               .logits_stride = (uint32_t)out.stride};
    if (gpu_run(gpu, "adjust_logits", 1, ADJUST_LOGITS_THREADS, 0, &adjust, sizeof adjust))
        for (uint64_t position = 0; position < 10; position++) {
            sample.position = position;
            gpu_write(gpu, sample_device, &sample, sizeof sample);
            gpu_run(gpu, "sample", 1, SAMPLE_THREADS, SAMPLE_SHARED, &args, sizeof args);
            gpu_download(gpu, &got, token_device, sizeof got);
            int32_t expected =
                sampling_choose(chain, rows_at(&logits, 2), history, N_HISTORY, 0, position);
            if (got != expected)
                gpu_fail(gpu, "adjusted logits of %zu: token %d, not %d", n_vocab, got, expected);
        }
    sampling_destroy(chain);
    const void *pointers[] = {row.bias_token, row.bias,     row.history_token, row.history_count,
                              row_device,     token_device, sample_device};
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++)
        gpu_free(gpu, (void *)(uintptr_t)pointers[i]);
    rows_free(gpu, &logits);
    rows_free(gpu, &out);
}

int main(int argc, char **argv) {
    static const size_t sizes[] = {1, 2, 31, 257, 1000, 4099, 33000};
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    memory_init(&memory, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int shape = 0; shape < SHAPES; shape++)
            test_tokens(&gpu, sizes[i], (enum shape)shape, sizes[i] < 5000 ? 24 : 8);
    test_tokens(&gpu, 262144, NORMAL, 4);
    test_tokens(&gpu, 262144, COARSE, 4);
    for (int i = 0; i < 4; i++) test_adjusted(&gpu, i % 2 ? 60 : 5000, i != 1, i != 2);
    return gpu_close(&gpu);
}
