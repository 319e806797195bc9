/* Replays the golden encoders of tests/goldens/data/encoders through the public API: hidden states
 * of every position, pooled vectors and scores, alone and in a batch, from folders and GGUF files.
 *   test_encoders           the small random models; TEST_BRIEF leaves out the long one
 *   test_encoders minilm    all-MiniLM-L6-v2 in the folder that TEST_MODELS names; skipped without
 *                           it (exit code 77)
 *
 * TEST_DEVICE chooses another device than the CPU. */
#define _GNU_SOURCE
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "golden_file.h"
#include "transformer.h"

#define TOLERANCE 2e-3     /* of an element, keys and values as f32 */
#define F16_TOLERANCE 2e-2 /* likewise as f16 */

enum { MAX_SEQUENCES = 4, MAX_TOKENS = 1100, PATH = 4096 };

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

enum kind { HIDDEN, POOLED, SCORE, KINDS };
static const char *const suffixes[KINDS] = {".hidden", ".pooled", ".score"};

struct subject {
    const char *name;
    enum kind kind;
    bool f16; /* keys and values */
    transformer_model *model;
    transformer_context *context;
    transformer_model_details details;
    struct golden golden;
};

static bool append(const struct subject *subject, transformer_sequence *sequence, int32_t index) {
    const struct golden_sequence *golden = &subject->golden.sequences[index];
    bool typed = subject->details.n_token_types > 1 && golden->n_tokens > 1;
    int64_t n_first = typed ? (golden->n_tokens + 2) / 3 : golden->n_tokens;
    transformer_append_options options = {
        .struct_size = sizeof options,
        .logits = subject->kind == HIDDEN ? TRANSFORMER_LOGITS_ALL : TRANSFORMER_LOGITS_NONE};
    if (transformer_sequence_append(sequence, golden->tokens, n_first, &options)) return false;
    options.token_type = 1;
    return !typed || !transformer_sequence_append(sequence, golden->tokens + n_first,
                                                  golden->n_tokens - n_first, &options);
}

/* What the golden has of a sequence that the last step computed, one row after the other. */
static bool take(const struct subject *subject, transformer_sequence *sequence, int32_t index,
                 float *rows) {
    const struct golden_sequence *golden = &subject->golden.sequences[index];
    for (int32_t i = 0; i < golden->n_positions; i++) {
        const float *row = NULL;
        int64_t count = 0;
        transformer_status result =
            subject->kind == HIDDEN
                ? transformer_sequence_embedding(sequence, golden->positions[i], &row, &count)
            : subject->kind == POOLED ? transformer_sequence_pooled(sequence, &row, &count)
                                      : transformer_sequence_score(sequence, &row, &count);
        if (result || count != golden->n_vocab) return false;
        memcpy(rows + (int64_t)i * count, row, (size_t)count * sizeof *row);
    }
    return true;
}

static int64_t floats_of(const struct subject *subject, int32_t index) {
    const struct golden_sequence *golden = &subject->golden.sequences[index];
    return (int64_t)golden->n_positions * golden->n_vocab;
}

static void compare(const struct subject *subject, int32_t index, const float *rows,
                    double tolerance) {
    double worst = 0;
    for (int64_t i = 0; i < floats_of(subject, index); i++) {
        double difference =
            fabs((double)rows[i] - (double)subject->golden.sequences[index].logits[i]);
        if (!(difference <= worst)) worst = difference;
    }
    CHECK(worst <= tolerance, "%s, sequence %d: differs by %g", subject->name, index, worst);
    printf("%s, sequence %d: within %.2g with KV of %s\n", subject->name, index, worst,
           subject->f16 ? "f16" : "f32");
}

static bool takes_same(const struct subject *subject, transformer_sequence *sequence, int32_t index,
                       const float *expected) {
    size_t n = (size_t)floats_of(subject, index);
    float *rows = calloc(n, sizeof *rows);
    bool same =
        take(subject, sequence, index, rows) && memcmp(rows, expected, n * sizeof *rows) == 0;
    free(rows);
    return same;
}

/* After tokens were added and taken away again. A decoder has nothing pending then. */
static void truncated(const struct subject *subject, transformer_sequence *sequence, int32_t index,
                      const float *expected) {
    int32_t more[] = {1, 2, 3};
    int64_t n_tokens = subject->golden.sequences[index].n_tokens;
    if (subject->details.pooling == TRANSFORMER_POOLING_LAST) return;
    CHECK(!transformer_sequence_append(sequence, more, 3, NULL) &&
              !transformer_decode(subject->context, NULL, NULL) &&
              !transformer_sequence_truncate(sequence, n_tokens) &&
              !transformer_decode(subject->context, NULL, NULL) &&
              takes_same(subject, sequence, index, expected),
          "%s, sequence %d: other bits after a truncation", subject->name, index);
}

/* In steps of 7 rows, which an encoder refuses. */
static void in_chunks(const struct subject *subject, int32_t index, const float *expected) {
    transformer_decode_options options = {.struct_size = sizeof options, .max_tokens = 7};
    transformer_decode_result result = {.struct_size = sizeof result};
    transformer_sequence *sequence = NULL;
    if (subject->golden.sequences[index].n_tokens <= 7) return;
    CHECK(!transformer_sequence_create(subject->context, NULL, &sequence) &&
              append(subject, sequence, index),
          "%s, sequence %d", subject->name, index);
    if (subject->details.pooling != TRANSFORMER_POOLING_LAST) {
        CHECK(transformer_decode(subject->context, &options, &result) == TRANSFORMER_LIMIT &&
                  !transformer_decode(subject->context, NULL, &result),
              "%s, sequence %d: a step that it doesn't fit", subject->name, index);
    } else {
        transformer_status status = TRANSFORMER_OK;
        do status = transformer_decode(subject->context, &options, &result);
        while (!status && result.n_pending > 0);
    }
    CHECK(takes_same(subject, sequence, index, expected), "%s, sequence %d: other bits in chunks",
          subject->name, index);
    transformer_sequence_destroy(sequence);
}

/* Alone, in a batch with the others, in chunks, after a truncation: the same bits. */
static void replay(const struct subject *subject, double tolerance) {
    transformer_sequence *sequences[MAX_SEQUENCES] = {NULL};
    float *alone[MAX_SEQUENCES] = {NULL};
    int32_t n = subject->golden.count;
    for (int32_t i = 0; i < n; i++) {
        transformer_sequence *sequence = NULL;
        alone[i] = calloc((size_t)floats_of(subject, i), sizeof(float));
        CHECK(!transformer_sequence_create(subject->context, NULL, &sequence) &&
                  append(subject, sequence, i) &&
                  !transformer_decode(subject->context, NULL, NULL) &&
                  take(subject, sequence, i, alone[i]),
              "%s, sequence %d", subject->name, i);
        compare(subject, i, alone[i], tolerance);
        transformer_sequence_destroy(sequence);
        in_chunks(subject, i, alone[i]);
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
    for (int32_t i = 0; i < n; i++) truncated(subject, sequences[i], i, alone[i]);
    for (int32_t i = 0; i < n; i++) {
        transformer_sequence_destroy(sequences[i]);
        free(alone[i]);
    }
}

static bool open_subject(struct subject *subject, const char *path,
                         transformer_context_options *options) {
    const char *device = getenv("TEST_DEVICE");
    transformer_model_options model = {
        .struct_size = sizeof model, .path = path, .device = device ? atoi(device) : 0};
    subject->details = (transformer_model_details){.struct_size = sizeof subject->details};
    options->struct_size = sizeof *options;
    if (!transformer_model_open(&model, &subject->model) &&
        !transformer_model_info(subject->model, &subject->details) &&
        !transformer_context_create(subject->model, options, &subject->context))
        return true;
    if (device && strstr(transformer_last_error(), "no attention kernel has heads of"))
        printf("left out on this device: %s: %s\n", subject->name, transformer_last_error());
    else
        CHECK(false, "%s", subject->name);
    return false;
}

static void close_subject(struct subject *subject) {
    transformer_context_destroy(subject->context);
    transformer_model_close(subject->model);
    subject->context = NULL;
    subject->model = NULL;
}

static void run(const char *path, const char *name, enum kind kind, const struct golden *golden) {
    struct subject subject = {.name = name, .kind = kind, .golden = *golden};
    for (int f16 = 0; f16 < 2; f16++) {
        transformer_context_options options = {.max_logit_rows = MAX_TOKENS,
                                               .kv_tokens = kind == SCORE ? 1024 : 0,
                                               .kv_type =
                                                   f16 ? TRANSFORMER_KV_F16 : TRANSFORMER_KV_F32};
        subject.f16 = f16;
        if (open_subject(&subject, path, &options)) {
            CHECK((subject.details.n_labels > 0) == (kind == SCORE) && !subject.details.has_logits,
                  "%s: what the model says it gives", name);
            replay(&subject, f16 ? F16_TOLERANCE : TOLERANCE);
        }
        close_subject(&subject);
    }
}

/* ---- what is refused, and pooling by the context's options ---- */

static void pool_as_asked(struct subject *subject, const char *path) {
    transformer_context_options options = {.pooling = TRANSFORMER_POOLING_MEAN,
                                           .pooling_normalize = TRANSFORMER_ON,
                                           .max_logit_rows = 3};
    transformer_append_options all = {.struct_size = sizeof all, .logits = TRANSFORMER_LOGITS_ALL};
    transformer_sequence *sequence = NULL, *fork = NULL;
    const float *pooled = NULL, *row = NULL, *again = NULL;
    int64_t n = 0;
    double sum[64] = {0}, length = 0, worst = 0;
    if (!open_subject(subject, path, &options)) return;
    int32_t tokens[] = {3, 1, 4};
    CHECK(!transformer_sequence_create(subject->context, NULL, &sequence) &&
              !transformer_sequence_append(sequence, tokens, 3, &all) &&
              transformer_sequence_pooled(sequence, &pooled, &n) == TRANSFORMER_NOT_FOUND &&
              !transformer_decode(subject->context, NULL, NULL) &&
              !transformer_sequence_pooled(sequence, &pooled, &n) && n <= 64,
          "pooling as asked for");
    for (int64_t p = 0; p < 3 && pooled; p++) {
        CHECK(!transformer_sequence_embedding(sequence, p, &row, &n), "position %d", (int)p);
        for (int64_t i = 0; row && i < n; i++) sum[i] += (double)row[i];
    }
    for (int64_t i = 0; i < n; i++) length += sum[i] * sum[i];
    for (int64_t i = 0; i < n && pooled; i++)
        worst = fmax(worst, fabs(sum[i] / sqrt(length) - (double)pooled[i]));
    CHECK(length > 0 && worst < 1e-6, "the mean of the hidden states differs by %g", worst);
    CHECK(!transformer_sequence_fork(sequence, NULL, &fork) &&
              !transformer_sequence_pooled(fork, &again, &n) && again == pooled,
          "a fork has what its original has");
    CHECK(transformer_sequence_append(fork, tokens, 1, &all) == TRANSFORMER_LIMIT &&
              !transformer_sequence_truncate(fork, 2) &&
              transformer_sequence_pooled(fork, &again, &n) == TRANSFORMER_NOT_FOUND,
          "pending tokens");
    transformer_sequence_destroy(fork);
    transformer_sequence_destroy(sequence);
    close_subject(subject);
}

static void refuse(const char *path) {
    struct subject subject = {.name = "bert"};
    transformer_context_options options = {
        .max_step_tokens = 20, .max_logit_rows = 4, .kv_tokens = 64};
    transformer_append_options all = {.struct_size = sizeof all, .logits = TRANSFORMER_LOGITS_ALL};
    transformer_append_options typed = {.struct_size = sizeof typed, .token_type = 2};
    transformer_sequence *sequence = NULL, *other = NULL;
    transformer_sampler *sampler = NULL;
    transformer_decode_result result = {.struct_size = sizeof result};
    const float *row = NULL;
    int64_t n = 0;
    int32_t tokens[32] = {0};
    if (!open_subject(&subject, path, &options)) return;
    CHECK(!transformer_sequence_create(subject.context, NULL, &sequence) &&
              !transformer_sequence_create(subject.context, NULL, &other),
          "sequences");
    CHECK(transformer_sequence_append(sequence, tokens, 21, NULL) == TRANSFORMER_LIMIT,
          "more tokens than a step has");
    CHECK(transformer_sequence_append(sequence, tokens, 5, &all) == TRANSFORMER_LIMIT,
          "more rows than are kept");
    CHECK(transformer_sequence_append(sequence, tokens, 1, &typed) == TRANSFORMER_INVALID_ARGUMENT,
          "a third token type");
    CHECK(!transformer_sequence_append(sequence, tokens, 20, NULL), "20 tokens");
    CHECK(!transformer_sequence_append(other, tokens, 20, NULL), "20 tokens");
    /* One page is there, and one step has room for one of the two. */
    for (int i = 1; i >= 0; i--)
        CHECK(!transformer_decode(subject.context, NULL, &result) && result.n_rows == 20 &&
                  result.n_pending == i,
              "a step of one sequence");
    CHECK(transformer_sequence_logits(other, -1, &row, &n) == TRANSFORMER_UNSUPPORTED, "logits");
    CHECK(transformer_sequence_pooled(other, &row, &n) == TRANSFORMER_UNSUPPORTED, "pooling");
    CHECK(transformer_sequence_score(other, &row, &n) == TRANSFORMER_UNSUPPORTED, "a score");
    CHECK(transformer_sampler_create(subject.model, NULL, &sampler) == TRANSFORMER_UNSUPPORTED,
          "a sampler");
    CHECK(transformer_sequence_append(other, tokens, 1, NULL) == TRANSFORMER_LIMIT,
          "a token after those that fill a step");
    transformer_sequence_destroy(other);
    transformer_sequence_destroy(sequence);
    close_subject(&subject);
    pool_as_asked(&subject, path);
}

/* ---- a real model ---- */

static const char *data_folder(void) {
    const char *root = getenv("TEST_GOLDENS");
    return root ? root : SOURCE_ROOT "/tests/goldens/data";
}

/* The ids of the sentences, each a line of hexadecimal digits, are those of the golden. */
static void check_sentences(const struct subject *subject) {
    char path[PATH];
    int64_t size = 0;
    snprintf(path, sizeof path, "%s/real/minilm.sentences", data_folder());
    char *bytes = golden_read_bytes(path, &size), *rest = bytes;
    for (int32_t i = 0; rest && i < subject->golden.count; i++) {
        const struct golden_sequence *golden = &subject->golden.sequences[i];
        char text[1024];
        int32_t tokens[256];
        int64_t length = 0, count = 0;
        for (; *rest && *rest != '\n' && length < (int64_t)sizeof text; rest += 2) {
            unsigned byte = 0;
            sscanf(rest, "%2x", &byte);
            text[length++] = (char)byte;
        }
        rest++;
        CHECK(!transformer_tokenize(subject->model, text, length, NULL, tokens, 256, &count) &&
                  count == golden->n_tokens &&
                  memcmp(tokens, golden->tokens, (size_t)count * sizeof *tokens) == 0,
              "minilm, sentence %d: other token ids", i);
    }
    CHECK(rest, "%s", path);
    free(bytes);
}

/* Cosine of at least 0.9999 to transformers' vectors of 20 sentences. */
static void run_minilm(const char *models) {
    struct subject subject = {.name = "minilm", .kind = POOLED};
    transformer_context_options options = {0};
    char path[PATH];
    double least = 1;
    snprintf(path, sizeof path, "%s/real/minilm.pooled", data_folder());
    if (!golden_read_logits(path, &subject.golden)) exit(1);
    snprintf(path, sizeof path, "%s/minilm", models);
    if (open_subject(&subject, path, &options)) {
        if (subject.details.has_tokenizer) check_sentences(&subject);
        for (int32_t i = 0; i < subject.golden.count; i++) {
            const struct golden_sequence *golden = &subject.golden.sequences[i];
            transformer_sequence *sequence = NULL;
            const float *row = NULL;
            int64_t n = 0;
            double ab = 0, aa = 0, bb = 0;
            transformer_append_options none = {.struct_size = sizeof none,
                                               .logits = TRANSFORMER_LOGITS_NONE};
            CHECK(!transformer_sequence_create(subject.context, NULL, &sequence) &&
                      !transformer_sequence_append(sequence, golden->tokens, golden->n_tokens,
                                                   &none) &&
                      !transformer_decode(subject.context, NULL, NULL) &&
                      !transformer_sequence_pooled(sequence, &row, &n) && n == golden->n_vocab,
                  "minilm, sentence %d", i);
            for (int64_t k = 0; row && k < n; k++) {
                double a = (double)row[k], b = (double)golden->logits[k];
                ab += a * b;
                aa += a * a;
                bb += b * b;
            }
            double cosine = ab / sqrt(aa * bb);
            CHECK(cosine >= 0.9999 && fabs(aa - 1) < 1e-4, "minilm, sentence %d: cosine %.6f", i,
                  cosine);
            if (cosine < least) least = cosine;
            transformer_sequence_destroy(sequence);
        }
        printf("minilm: least cosine of %d sentences %.7f\n", subject.golden.count, least);
    }
    close_subject(&subject);
    golden_free(&subject.golden);
}

static int replay_kind(const char *folder, enum kind kind) {
    char path[PATH + 1024], name[512];
    DIR *dir = opendir(folder);
    int n_models = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct golden golden;
        char *dot = strstr(entry->d_name, suffixes[kind]);
        if (!dot || (getenv("TEST_BRIEF") && strstr(entry->d_name, "-long"))) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!golden_read_logits(path, &golden)) exit(1);
        for (int gguf = 0; gguf < 2; gguf++) {
            snprintf(name, sizeof name, "%.*s%s", (int)(dot - entry->d_name), entry->d_name,
                     gguf ? ".gguf" : "");
            snprintf(path, sizeof path, "%s/%s", folder, name);
            if (gguf && access(path, R_OK)) continue;
            run(path, name, kind, &golden);
            n_models++;
        }
        golden_free(&golden);
    }
    if (dir) closedir(dir);
    return n_models;
}

int main(int argc, char **argv) {
    char folder[PATH], path[PATH + 16];
    if (argc > 1 && strcmp(argv[1], "minilm") == 0) {
        const char *models = getenv("TEST_MODELS");
        snprintf(path, sizeof path, "%.4000s/minilm/config.json", models ? models : "");
        if (!models || access(path, R_OK)) {
            printf("skipped: TEST_MODELS names no folder with minilm\n");
            return 77;
        }
        run_minilm(models);
        return n_failed != 0;
    }
    snprintf(folder, sizeof folder, "%s/encoders", data_folder());
    for (int kind = 0; kind < KINDS; kind++)
        CHECK(replay_kind(folder, (enum kind)kind), "no %s in %s", suffixes[kind], folder);
    snprintf(path, sizeof path, "%s/bert", folder);
    refuse(path);
    return n_failed != 0;
}
