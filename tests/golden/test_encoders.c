/* Replays the golden encoders of tests/goldens/data/encoders through the public API: hidden states
 * of every position, alone and in a batch. TEST_DEVICE chooses another device than the CPU. */
#define _GNU_SOURCE
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_file.h"
#include "transformer.h"

#define TOLERANCE 2e-3     /* of an element, keys and values as f32 */
#define F16_TOLERANCE 2e-2 /* likewise as f16 */

enum { MAX_SEQUENCES = 4, MAX_TOKENS = 256, PATH = 4096 };

static int n_failed;

#define CHECK(condition, ...)                            \
    do {                                                 \
        if (!(condition)) {                              \
            printf("FAIL %s:%d: ", __FILE__, __LINE__);  \
            printf(__VA_ARGS__);                         \
            printf(" (%s)\n", transformer_last_error()); \
            n_failed++;                                  \
        }                                                \
    } while (0)

struct subject {
    const char *name;
    transformer_model *model;
    transformer_context *context;
    transformer_model_details details;
    struct golden golden;
};

static bool append(const struct subject *subject, transformer_sequence *sequence, int32_t index) {
    const struct golden_sequence *golden = &subject->golden.sequences[index];
    bool typed = subject->details.n_token_types > 1 && index > 0;
    int64_t n_first = typed ? (golden->n_tokens + 2) / 3 : golden->n_tokens;
    transformer_append_options options = {.struct_size = sizeof options,
                                          .logits = TRANSFORMER_LOGITS_ALL};
    if (transformer_sequence_append(sequence, golden->tokens, n_first, &options)) return false;
    options.token_type = 1;
    return !typed || !transformer_sequence_append(sequence, golden->tokens + n_first,
                                                  golden->n_tokens - n_first, &options);
}

/* The hidden states of a sequence that the last step computed, one after the other. */
static bool take(const struct subject *subject, transformer_sequence *sequence, int32_t index,
                 float *rows) {
    int64_t n_embd = subject->details.n_embd, count = 0;
    for (int32_t i = 0; i < subject->golden.sequences[index].n_tokens; i++) {
        const float *row = NULL;
        if (transformer_sequence_embedding(sequence, i, &row, &count) || count != n_embd)
            return false;
        memcpy(rows + i * n_embd, row, (size_t)n_embd * sizeof *row);
    }
    return true;
}

static void compare(const struct subject *subject, int32_t index, const float *rows,
                    double tolerance) {
    const struct golden_sequence *golden = &subject->golden.sequences[index];
    double worst = 0;
    int64_t n = (int64_t)golden->n_tokens * golden->n_vocab;
    for (int64_t i = 0; i < n; i++) {
        double difference = fabs((double)rows[i] - (double)golden->logits[i]);
        if (!(difference <= worst)) worst = difference;
    }
    CHECK(worst <= tolerance, "%s, sequence %d: differs by %g", subject->name, index, worst);
    printf("%s, sequence %d: within %.2g\n", subject->name, index, worst);
}

static float *rows_of(const struct subject *subject, int32_t index) {
    return calloc((size_t)(subject->golden.sequences[index].n_tokens * subject->details.n_embd),
                  sizeof(float));
}

static bool takes_same(const struct subject *subject, transformer_sequence *sequence, int32_t index,
                       const float *expected) {
    float *rows = rows_of(subject, index);
    int64_t n = subject->golden.sequences[index].n_tokens * subject->details.n_embd;
    bool same = take(subject, sequence, index, rows) &&
                memcmp(rows, expected, (size_t)n * sizeof *rows) == 0;
    free(rows);
    return same;
}

/* Alone, in a batch with the others, and after tokens were added or taken away: the same bits. */
static void replay(const struct subject *subject, double tolerance) {
    transformer_sequence *sequences[MAX_SEQUENCES] = {NULL};
    float *alone[MAX_SEQUENCES] = {NULL};
    int32_t n = subject->golden.count;
    for (int32_t i = 0; i < n; i++) {
        transformer_sequence *sequence = NULL;
        alone[i] = rows_of(subject, i);
        CHECK(!transformer_sequence_create(subject->context, NULL, &sequence) &&
                  append(subject, sequence, i) &&
                  !transformer_decode(subject->context, NULL, NULL) &&
                  take(subject, sequence, i, alone[i]),
              "%s, sequence %d", subject->name, i);
        compare(subject, i, alone[i], tolerance);
        transformer_sequence_destroy(sequence);
    }
    transformer_decode_result result = {.struct_size = sizeof result};
    for (int32_t i = 0; i < n; i++)
        CHECK(!transformer_sequence_create(subject->context, NULL, &sequences[i]) &&
                  append(subject, sequences[i], i),
              "%s, sequence %d in a batch", subject->name, i);
    CHECK(!transformer_decode(subject->context, NULL, &result) && result.n_ready == n &&
              result.n_pending == 0,
          "%s: a step of %d sequences", subject->name, n);
    for (int32_t i = 0; i < n; i++)
        CHECK(takes_same(subject, sequences[i], i, alone[i]),
              "%s, sequence %d: other bits in a batch", subject->name, i);
    for (int32_t i = 0; i < n; i++) {
        int32_t more[] = {1, 2, 3};
        int64_t n_tokens = subject->golden.sequences[i].n_tokens;
        CHECK(!transformer_sequence_append(sequences[i], more, 3, NULL) &&
                  !transformer_decode(subject->context, NULL, NULL) &&
                  !transformer_sequence_truncate(sequences[i], n_tokens) &&
                  !transformer_decode(subject->context, NULL, NULL) &&
                  takes_same(subject, sequences[i], i, alone[i]),
              "%s, sequence %d: other bits after a truncation", subject->name, i);
    }
    for (int32_t i = 0; i < n; i++) {
        transformer_sequence_destroy(sequences[i]);
        free(alone[i]);
    }
}

static void run(const char *path, const char *name, struct golden *golden, uint32_t kv_type,
                double tolerance) {
    const char *device = getenv("TEST_DEVICE");
    struct subject subject = {
        .name = name, .golden = *golden, .details = {.struct_size = sizeof subject.details}};
    transformer_model_options model = {
        .struct_size = sizeof model, .path = path, .device = device ? atoi(device) : 0};
    transformer_context_options context = {
        .struct_size = sizeof context, .max_logit_rows = MAX_TOKENS, .kv_type = kv_type};
    if (transformer_model_open(&model, &subject.model) ||
        transformer_model_info(subject.model, &subject.details) ||
        transformer_context_create(subject.model, &context, &subject.context)) {
        if (device && strstr(transformer_last_error(), "no attention kernel has heads of"))
            printf("left out on this device: %s: %s\n", name, transformer_last_error());
        else
            CHECK(false, "%s", name);
    } else {
        replay(&subject, tolerance);
    }
    transformer_context_destroy(subject.context);
    transformer_model_close(subject.model);
}

int main(void) {
    const char *root = getenv("TEST_GOLDENS");
    char folder[PATH], path[PATH + 1024], name[512];
    snprintf(folder, sizeof folder, "%s/encoders", root ? root : SOURCE_ROOT "/tests/goldens/data");
    DIR *dir = opendir(folder);
    int n_models = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct golden golden;
        char *dot = strstr(entry->d_name, ".hidden");
        if (!dot) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!golden_read_logits(path, &golden)) return 1;
        snprintf(name, sizeof name, "%.*s", (int)(dot - entry->d_name), entry->d_name);
        snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
        run(path, name, &golden, TRANSFORMER_KV_F32, TOLERANCE);
        run(path, name, &golden, TRANSFORMER_KV_F16, F16_TOLERANCE);
        golden_free(&golden);
        n_models++;
    }
    if (dir) closedir(dir);
    if (!n_models) printf("FAIL: no encoder in %s\n", folder);
    return n_failed || !n_models;
}
