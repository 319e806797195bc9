/* What the tests of the kernels between the products share: rows of floats on both sides. */
#ifndef GPU_ELEMENTWISE_TEST_H
#define GPU_ELEMENTWISE_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/kernels/elementwise/elementwise_args.h"
#include "gpu_test.h"

/* Rows of floats here and on the device. */
struct rows {
    float *host, *device;
    size_t n_rows, n_cols, stride; /* stride: a multiple of 4, the padding is poison */
};

static inline size_t rows_bytes(const struct rows *rows) {
    return rows->n_rows * rows->stride * sizeof(float);
}

/* Fresh poison on the device, NaN here. */
static inline struct rows rows_make(struct gpu *gpu, size_t n_rows, size_t n_cols) {
    struct rows rows = {.n_rows = n_rows, .n_cols = n_cols, .stride = (n_cols + 3) / 4 * 4 + 4};
    rows.host = malloc(rows_bytes(&rows));
    rows.device = gpu_alloc(gpu, rows_bytes(&rows));
    memset(rows.host, 0xff, rows_bytes(&rows));
    return rows;
}

static inline void rows_free(struct gpu *gpu, struct rows *rows) {
    gpu_free(gpu, rows->device);
    free(rows->host);
}

static inline float *rows_at(const struct rows *rows, size_t row) {
    return rows->host + row * rows->stride;
}

/* Only the columns: what the kernel has no business with stays unwritten. */
static inline void rows_write(struct gpu *gpu, const struct rows *rows) {
    for (size_t row = 0; row < rows->n_rows; row++)
        gpu_write(gpu, rows->device + row * rows->stride, rows_at(rows, row),
                  rows->n_cols * sizeof(float));
}

static inline struct rows rows_random(struct gpu *gpu, size_t n_rows, size_t n_cols, float range) {
    struct rows rows = rows_make(gpu, n_rows, n_cols);
    for (size_t row = 0; row < n_rows; row++)
        for (size_t col = 0; col < n_cols; col++)
            rows_at(&rows, row)[col] = gpu_random_float(gpu, -range, range);
    rows_write(gpu, &rows);
    return rows;
}

/* What the kernel has written; all of it, and nothing beside it. */
static inline void rows_read(struct gpu *gpu, const struct rows *rows, const char *what) {
    gpu_download(gpu, rows->host, rows->device, rows_bytes(rows));
    for (size_t row = 0; row < rows->n_rows; row++)
        for (size_t col = rows->n_cols; col < rows->stride; col++) {
            uint32_t bits;
            memcpy(&bits, rows_at(rows, row) + col, sizeof bits);
            if (bits != 0xffffffffu)
                gpu_fail(gpu, "%s: row %zu has something in column %zu", what, row, col);
        }
}

static inline bool same_float(float a, float b) {
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static inline void expect_same(struct gpu *gpu, const char *what, size_t row, const float *got,
                               const float *expected, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!same_float(got[i], expected[i])) {
            gpu_fail(gpu, "%s: [%zu][%zu] of %zu is %a, not %a", what, row, i, n, (double)got[i],
                     (double)expected[i]);
            return;
        }
}

static inline void expect_near(struct gpu *gpu, const char *what, size_t row, const float *got,
                               const float *expected, size_t n, float relative, float absolute) {
    for (size_t i = 0; i < n; i++) {
        if (same_float(got[i], expected[i])) continue;
        float difference = fabsf(got[i] - expected[i]);
        if (!(difference <= relative * fabsf(expected[i]) + absolute)) {
            gpu_fail(gpu, "%s: [%zu][%zu] of %zu is %.9g, not %.9g", what, row, i, n,
                     (double)got[i], (double)expected[i]);
            return;
        }
    }
}

/* Rows of the step that the kernels see. */
struct step_memory {
    struct step_rows rows;
    int32_t *token, *sequence;
    int64_t *position;
};

static inline struct step_memory step_upload(struct gpu *gpu, size_t n, const int32_t *token,
                                             const int64_t *position, const int32_t *sequence) {
    struct step_memory step;
    step.token = gpu_upload(gpu, token, n * sizeof *token);
    step.position = gpu_upload(gpu, position, n * sizeof *position);
    step.sequence = gpu_upload(gpu, sequence, n * sizeof *sequence);
    step.rows = (struct step_rows){step.token, step.position, step.sequence};
    return step;
}

static inline void step_free(struct gpu *gpu, struct step_memory *step) {
    gpu_free(gpu, step->token);
    gpu_free(gpu, step->position);
    gpu_free(gpu, step->sequence);
}

#endif
