/* Adapters on a device, through the API: as PEFT computes them; up to 64 sequences with one of two
 * adapters, at two scales, or none, in steps together and replayed from graphs, against each alone
 * and launch by launch, bit for bit; and adapters opened and closed again and again. */
#define _GNU_SOURCE /* setenv */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_test.h"
#include "results.h"
#include "transformer.h"

enum { KINDS = 4, MOST = 64, N_STEPS = 3, N_PROMPT = 5, N_TOKENS = N_PROMPT + KINDS + N_STEPS };
static const float scales[KINDS] = {0, 0, 0, -0.5f};
static const double tolerance = 5e-3; /* of a logit */

struct adapted {
    struct gpu *gpu;
    char data[3072];
    char path[4096];
    transformer_model *model;
    transformer_adapter *all, *some;
    int64_t n_vocab;
};

static bool fine(struct adapted *a, transformer_status result, const char *what) {
    if (result == TRANSFORMER_OK) return true;
    gpu_fail(a->gpu, "%s: %s: %s", what, transformer_status_name(result), transformer_last_error());
    return false;
}

static transformer_adapter *open_adapter(struct adapted *a, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/adapters/%s", a->data, name);
    const transformer_adapter_options options = {.struct_size = sizeof options, .path = path};
    transformer_adapter *adapter = NULL;
    fine(a, transformer_adapter_open(a->model, &options, &adapter), path);
    return adapter;
}

static transformer_context *open_context(struct adapted *a, bool graphs, int64_t n_sequences) {
    const transformer_context_options options = {.struct_size = sizeof options,
                                                 .max_sequence_tokens = 128,
                                                 .kv_tokens = 64 * n_sequences + 128,
                                                 .max_sequences = n_sequences,
                                                 .max_step_tokens = 96,
                                                 .max_logit_rows = n_sequences,
                                                 .prefix_cache = TRANSFORMER_OFF,
                                                 .kv_type = TRANSFORMER_KV_F32};
    transformer_context *context = NULL;
    setenv("TRANSFORMER_CUDA_GRAPHS", graphs ? "on" : "off", 1);
    fine(a, transformer_context_create(a->model, &options, &context), "a context");
    return context;
}

static transformer_sequence *open_sequence(struct adapted *a, transformer_context *context,
                                           int kind) {
    transformer_adapter *const adapters[KINDS] = {a->all, NULL, a->some, a->all};
    const transformer_sequence_options options = {
        .struct_size = sizeof options, .adapter = adapters[kind], .adapter_scale = scales[kind]};
    transformer_sequence *sequence = NULL;
    fine(a, transformer_sequence_create(context, &options, &sequence), "a sequence");
    return sequence;
}

static void decode_all(struct adapted *a, transformer_context *context) {
    transformer_decode_result result = {.struct_size = sizeof result, .n_pending = 1};
    while (result.n_pending > 0)
        if (!fine(a, transformer_decode(context, NULL, &result), "a step")) return;
}

/* A prompt whose length is the kind's, then N_STEPS single tokens. Last logits to [n][n_vocab]. */
static void run_together(struct adapted *a, bool graphs, const int *kinds, int n, float *logits) {
    transformer_sequence *sequences[MOST] = {NULL};
    transformer_context *context = open_context(a, graphs, n);
    int32_t tokens[N_TOKENS];
    if (!context) return;
    for (int32_t i = 0; i < N_TOKENS; i++) tokens[i] = (7 * i + 3) % 100;
    for (int i = 0; i < n; i++) {
        sequences[i] = open_sequence(a, context, kinds[i]);
        fine(a, transformer_sequence_append(sequences[i], tokens, N_PROMPT + kinds[i], NULL),
             "a prompt");
    }
    decode_all(a, context);
    for (int step = 0; step < N_STEPS; step++) {
        for (int i = 0; i < n; i++)
            fine(a,
                 transformer_sequence_append(sequences[i], tokens + N_PROMPT + kinds[i] + step, 1,
                                             NULL),
                 "a token");
        decode_all(a, context);
    }
    for (int i = 0; i < n; i++) {
        const float *row;
        int64_t n_vocab;
        if (fine(a, transformer_sequence_logits(sequences[i], -1, &row, &n_vocab), "logits"))
            memcpy(logits + i * a->n_vocab, row, (size_t)n_vocab * sizeof *row);
        transformer_sequence_destroy(sequences[i]);
    }
    transformer_context_destroy(context);
}

/* At most so many sequences. */
static void test_together(struct adapted *a, int most) {
    static const int counts[] = {1, 3, 17, MOST};
    size_t row = (size_t)a->n_vocab;
    float *alone = calloc(KINDS * row, sizeof *alone), *logits = calloc(MOST * row, sizeof *logits);
    for (int kind = 0; kind < KINDS; kind++)
        run_together(a, false, &kind, 1, alone + (size_t)kind * row);
    for (int i = 0; i < KINDS; i++)
        for (int j = 0; j < i; j++)
            if (!memcmp(alone + (size_t)i * row, alone + (size_t)j * row, row * sizeof *alone))
                gpu_fail(a->gpu, "adapters %d and %d give the same logits", i, j);
    for (size_t c = 0; c < sizeof counts / sizeof *counts && counts[c] <= most; c++) {
        int kinds[MOST];
        for (int i = 0; i < counts[c]; i++) kinds[i] = (int)(gpu_random(a->gpu) % KINDS);
        run_together(a, true, kinds, counts[c], logits);
        for (int i = 0; i < counts[c]; i++)
            if (memcmp(logits + (size_t)i * row, alone + (size_t)kinds[i] * row,
                       row * sizeof *logits) != 0)
                gpu_fail(a->gpu, "sequence %d of %d, adapter %d: other bits than alone", i,
                         counts[c], kinds[i]);
    }
    free(alone);
    free(logits);
}

/* ---- goldens ---- */

static int32_t next_i32(FILE *file) {
    int32_t value = 0;
    return fread(&value, sizeof value, 1, file) == 1 ? value : 0;
}

static void test_golden(struct adapted *a) {
    char path[4096];
    double most = 0;
    snprintf(path, sizeof path, "%s/adapters/llama-all.logits", a->data);
    FILE *file = fopen(path, "rb");
    float *golden = malloc((size_t)a->n_vocab * sizeof *golden);
    if (!file || fseek(file, 8, SEEK_SET) != 0) exit(1);
    for (int32_t n = next_i32(file); n > 0; n--) {
        int32_t tokens[128], positions[8];
        int32_t n_tokens = next_i32(file), n_positions = next_i32(file), n_vocab = next_i32(file);
        if (n_tokens > 128 || n_positions > 8 || n_vocab != a->n_vocab) exit(1);
        for (int32_t i = 0; i < n_tokens; i++) tokens[i] = next_i32(file);
        for (int32_t i = 0; i < n_positions; i++) positions[i] = next_i32(file);
        for (int32_t p = 0; p < n_positions; p++) {
            const float *row = NULL;
            int64_t got = 0;
            transformer_context *context = open_context(a, true, 1);
            transformer_sequence *sequence = open_sequence(a, context, 0);
            if (fread(golden, sizeof *golden, (size_t)n_vocab, file) != (size_t)n_vocab) exit(1);
            fine(a, transformer_sequence_append(sequence, tokens, positions[p] + 1, NULL),
                 "tokens");
            decode_all(a, context);
            if (fine(a, transformer_sequence_logits(sequence, -1, &row, &got), "logits"))
                for (int32_t i = 0; i < n_vocab; i++)
                    most = fmax(most, fabs((double)row[i] - (double)golden[i]));
            transformer_sequence_destroy(sequence);
            transformer_context_destroy(context);
        }
    }
    fclose(file);
    free(golden);
    result_number("adapters", "largest error of a logit", most, "");
    if (!(most <= tolerance)) gpu_fail(a->gpu, "a logit is off by %g", most);
}

static void test_rounds(struct adapted *a) {
    size_t before = 0, after = 0, total = 0;
    for (int round = 0; round < 20; round++) {
        transformer_adapter_close(open_adapter(a, "llama-all"));
        if (round == 0) a->gpu->driver.mem_get_info(&before, &total);
    }
    a->gpu->driver.mem_get_info(&after, &total);
    if (before > after && before - after > 4 << 20)
        gpu_fail(a->gpu, "%zu bytes less are free after 20 adapters", before - after);
}

/* weights: TRANSFORMER_WEIGHTS_..., whose products are other kernels'. */
static void test_weights(struct adapted *a, uint32_t weights) {
    const transformer_model_options options = {
        .struct_size = sizeof options, .path = a->path, .device = 1, .weight_type = weights};
    transformer_model_details details = {.struct_size = sizeof details};
    a->model = NULL;
    a->all = a->some = NULL;
    if (fine(a, transformer_model_open(&options, &a->model), a->path) &&
        fine(a, transformer_model_info(a->model, &details), "the model")) {
        a->n_vocab = details.n_vocab;
        a->all = open_adapter(a, "llama-all");
        a->some = open_adapter(a, "llama-rslora");
    }
    if (a->all && a->some) {
        if (weights == TRANSFORMER_WEIGHTS_AS_IS) test_golden(a);
        if (weights == TRANSFORMER_WEIGHTS_AS_IS) test_rounds(a);
        test_together(a, a->gpu->emulated && weights != TRANSFORMER_WEIGHTS_AS_IS ? 3 : MOST);
    }
    transformer_adapter_close(a->all);
    transformer_adapter_close(a->some);
    transformer_model_close(a->model);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    const char *goldens = getenv("TEST_GOLDENS");
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    struct adapted a = {.gpu = &gpu};
    snprintf(a.data, sizeof a.data, "%s", goldens ? goldens : SOURCE_ROOT "/tests/goldens/data");
    snprintf(a.path, sizeof a.path, "%s/small/llama-rope-llama3.gguf", a.data);
    test_weights(&a, TRANSFORMER_WEIGHTS_AS_IS);
    test_weights(&a, TRANSFORMER_WEIGHTS_F16);
    test_weights(&a, TRANSFORMER_WEIGHTS_BF16);
    return gpu_close(&gpu);
}
