/* Linear layers of f32, f16 and bf16 weights with f32 activations: two vectors of rows a group, one
 * fused multiply-add per weight, k in order. */
#include <string.h>

#include "cpu/kernels/packing.h"
#include "cpu/kernels/simd.h"
#include "cpu/kernels/vector.h"
#include "cpu/kernels/vector_gemm.h"

#define GROUP (2 * SIMD_LANES)
#define TILE \
    (SIMD_REGISTERS * 3 / 8) /* activation rows: two sums each, two weights and a broadcast */
#define STRIP_COLS 256       /* columns of a group as f32: 16 KiB */
#define TOKEN_BLOCK                                                                  \
    240 /* activation rows that stay in L2 while the groups pass; a multiple of TILE \
         */
#define PREFETCH_BYTES 2560

/* Weights from i on of the packed group. */
INLINE simd_f load_weights(enum weight_type type, const uint8_t *group, size_t i) {
    if (type == WEIGHT_F32) return simd_load((const float *)(const void *)group + i);
    return type == WEIGHT_F16 ? simd_load_f16(group + i * 2) : simd_load_bf16(group + i * 2);
}

INLINE size_t weight_bytes(enum weight_type type) {
    return type == WEIGHT_F32 ? 4 : 2;
}

/* Straight from the packed weights: few rows, bound by reading them. The sums of several groups run
 * side by side to hide the latency of the additions. */
INLINE void stream(enum weight_type type, int n_groups, int n_x, const uint8_t *groups,
                   size_t group_bytes, size_t n_cols, const float *const *x, float *const *y) {
    simd_f sum[2][3][2];
    UNROLL
    for (int g = 0; g < n_groups; g++) UNROLL
    for (int t = 0; t < n_x; t++) sum[g][t][0] = sum[g][t][1] = simd_zero();
    for (size_t k = 0; k < n_cols; k++) UNROLL
    for (int g = 0; g < n_groups; g++) {
        const uint8_t *group = groups + (size_t)g * group_bytes;
        simd_prefetch(group + k * GROUP * weight_bytes(type) + PREFETCH_BYTES);
        simd_f w0 = load_weights(type, group, k * GROUP);
        simd_f w1 = load_weights(type, group, k * GROUP + SIMD_LANES);
        UNROLL
        for (int t = 0; t < n_x; t++) {
            simd_f xk = simd_broadcast(x[t] + k);
            sum[g][t][0] = simd_fma(w0, xk, sum[g][t][0]);
            sum[g][t][1] = simd_fma(w1, xk, sum[g][t][1]);
        }
    }
    UNROLL
    for (int g = 0; g < n_groups; g++) UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_store(y[t] + g * GROUP, sum[g][t][0]);
        simd_store(y[t] + g * GROUP + SIMD_LANES, sum[g][t][1]);
    }
}

INLINE void stream_rows(enum weight_type type, int n_x, const uint8_t *groups, size_t n_groups,
                        size_t group_bytes, size_t n_cols, const uint8_t *x, size_t x_stride,
                        float *y, size_t y_stride) {
    const float *xs[3];
    float *ys[3];
    UNROLL
    for (int t = 0; t < n_x; t++) {
        xs[t] = (const float *)(const void *)(x + (size_t)t * x_stride);
        ys[t] = y + (size_t)t * y_stride;
    }
    size_t g = 0;
    for (; g + 2 <= n_groups; g += 2) {
        stream(type, 2, n_x, groups + g * group_bytes, group_bytes, n_cols, xs, ys);
        UNROLL
        for (int t = 0; t < n_x; t++) ys[t] += 2 * GROUP;
    }
    if (g < n_groups) stream(type, 1, n_x, groups + g * group_bytes, group_bytes, n_cols, xs, ys);
}

/* n columns of a strip against n_x rows; later columns add to what y already holds. */
INLINE void tile(int n_x, const float *strip, size_t n, bool first, const float *x, size_t x_stride,
                 float *y, size_t y_stride) {
    gemm_tile(GEMM_F32, n_x, 2, x, x_stride, (const uint8_t *)strip, GROUP * sizeof(float), n,
              first, y, y_stride);
}

static void strip_multiply(const float *strip, size_t n, bool first, const float *x,
                           size_t x_stride, size_t n_x, float *y, size_t y_stride) {
    size_t i = 0;
    for (; i + TILE <= n_x; i += TILE)
        tile(TILE, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride, y_stride);
    for (; i + 3 <= n_x; i += 3)
        tile(3, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride, y_stride);
    for (; i < n_x; i++)
        tile(1, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride, y_stride);
}

INLINE void multiply(enum weight_type type, const void *groups, size_t n_groups, size_t n_cols,
                     const void *x, size_t x_stride, size_t n_x, float *y, size_t y_stride) {
    size_t group_bytes = packing_group_bytes(&packing_rows[type], GROUP, n_cols);
    if (n_x == 1)
        stream_rows(type, 1, groups, n_groups, group_bytes, n_cols, x, x_stride, y, y_stride);
    else if (n_x == 2)
        stream_rows(type, 2, groups, n_groups, group_bytes, n_cols, x, x_stride, y, y_stride);
    else if (n_x == 3)
        stream_rows(type, 3, groups, n_groups, group_bytes, n_cols, x, x_stride, y, y_stride);
    if (n_x <= 3) return;
    _Alignas(64) float strip[STRIP_COLS * GROUP];
    for (size_t i = 0; i < n_x; i += TOKEN_BLOCK) {
        size_t n_rows = n_x - i < TOKEN_BLOCK ? n_x - i : TOKEN_BLOCK;
        const uint8_t *xi = (const uint8_t *)x + i * x_stride;
        for (size_t k = 0; k < n_cols; k += STRIP_COLS) {
            size_t n = n_cols - k < STRIP_COLS ? n_cols - k : STRIP_COLS;
            const float *columns = (const float *)(const void *)xi + k;
            for (size_t g = 0; g < n_groups; g++) {
                const uint8_t *group = (const uint8_t *)groups + g * group_bytes;
                const float *from = strip;
                if (type == WEIGHT_F32)
                    from = (const float *)(const void *)group + k * GROUP;
                else
                    for (size_t v = 0; v < n * GROUP; v += SIMD_LANES)
                        simd_store(strip + v, load_weights(type, group, k * GROUP + v));
                strip_multiply(from, n, k == 0, columns, x_stride / sizeof(float), n_rows,
                               y + i * y_stride + g * GROUP, y_stride);
            }
        }
    }
}

#define LINEAR(T)                                                                               \
    static size_t group_bytes_##T(size_t n_cols) {                                              \
        return packing_group_bytes(&packing_rows[WEIGHT_##T], GROUP, n_cols);                   \
    }                                                                                           \
    static void pack_##T(const void *rows, size_t row_bytes, size_t n_rows, size_t n_cols,      \
                         void *group) {                                                         \
        packing_pack(&packing_rows[WEIGHT_##T], GROUP, rows, row_bytes, n_rows, n_cols, group); \
    }                                                                                           \
    static void unpack_row_##T(const void *group, size_t row, size_t n_cols, float *to) {       \
        packing_unpack_row(&packing_rows[WEIGHT_##T], GROUP, group, row, n_cols, to);           \
    }                                                                                           \
    static void multiply_##T(const void *groups, size_t n_groups, size_t n_cols, const void *x, \
                             size_t x_stride, size_t n_x, float *y, size_t y_stride) {          \
        multiply(WEIGHT_##T, groups, n_groups, n_cols, x, x_stride, n_x, y, y_stride);          \
    }
LINEAR(F32)
LINEAR(F16)
LINEAR(BF16)

#define ENTRY(T)                                                                       \
    (struct linear_kernel) {                                                           \
        ACTIVATION_F32, GROUP, group_bytes_##T, pack_##T, unpack_row_##T, multiply_##T \
    }

void vector_linear_float(struct kernels *kernels) {
    kernels->linear[WEIGHT_F32] = ENTRY(F32);
    kernels->linear[WEIGHT_F16] = ENTRY(F16);
    kernels->linear[WEIGHT_BF16] = ENTRY(BF16);
}
