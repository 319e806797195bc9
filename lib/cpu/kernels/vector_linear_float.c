/* Linear layers of f32, f16 and bf16 weights with f32 activations: two vectors of rows a group, one
 * fused multiply-add per weight, k in order. */
#include <string.h>

#include "cpu/kernels/simd.h"
#include "cpu/kernels/vector.h"
#include "cpu/kernels/vector_gemm.h"
#include "cpu/kernels/vector_packed.h"

#define GROUP (2 * SIMD_LANES)
/* Activation rows of a tile: two sums each, two weights and a broadcast fill the registers. */
#define TILE (SIMD_REGISTERS * 3 / 8)
/* Columns of a group as f32: 16 or 32 KiB. */
#define STRIP_COLS 256
/* Activation rows that stay in L2 while the groups pass; a multiple of TILE. */
#define TOKEN_BLOCK 240
#define PREFETCH_BYTES 2560

/* Straight from the packed weights: few rows, bound by reading them. The sums of several groups run
 * side by side to hide the latency of the additions. */
INLINE void stream(enum gemm_type type, int n_groups, int n_x, const uint8_t *groups,
                   size_t group_bytes, size_t n_cols, const float *const *x, float *const *y) {
    simd_f sum[2][3][2];
    UNROLL
    for (int g = 0; g < n_groups; g++) UNROLL
    for (int t = 0; t < n_x; t++) sum[g][t][0] = sum[g][t][1] = simd_zero();
    for (size_t k = 0; k < n_cols; k++) UNROLL
    for (int g = 0; g < n_groups; g++) {
        const uint8_t *group = groups + (size_t)g * group_bytes;
        const uint8_t *w = group + k * 2 * gemm_vector_bytes(type);
        UNROLL
        for (size_t line = 0; line < 2 * gemm_vector_bytes(type); line += 64)
            simd_prefetch(w + PREFETCH_BYTES + line);
        simd_f w0 = gemm_load(type, w), w1 = gemm_load(type, w + gemm_vector_bytes(type));
        UNROLL
        for (int t = 0; t < n_x; t++) {
            simd_f xk = simd_broadcast(x[t] + k);
            sum[g][t][0] = gemm_multiply(type, w0, xk, sum[g][t][0]);
            sum[g][t][1] = gemm_multiply(type, w1, xk, sum[g][t][1]);
        }
    }
    UNROLL
    for (int g = 0; g < n_groups; g++) UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_store(y[t] + g * GROUP, sum[g][t][0]);
        simd_store(y[t] + g * GROUP + SIMD_LANES, sum[g][t][1]);
    }
}

INLINE void stream_rows(enum gemm_type type, int n_x, const uint8_t *groups, size_t n_groups,
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

/* n columns of a strip of F32 or of pairs against n_x rows; later columns add to what y already
 * holds. */
INLINE void tile(enum gemm_type type, int n_x, const uint8_t *strip, size_t n, bool first,
                 const float *x, size_t x_stride, float *y, size_t y_stride) {
    gemm_tile(type, n_x, 2, x, x_stride, strip, 2 * SIMD_BYTES, n, first, NULL, y, y_stride);
}

INLINE void strip_multiply(enum gemm_type type, const uint8_t *strip, size_t n, bool first,
                           const float *x, size_t x_stride, size_t n_x, float *y, size_t y_stride) {
    size_t i = 0;
    for (; i + TILE <= n_x; i += TILE)
        tile(type, TILE, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride, y_stride);
    for (; i + 3 <= n_x; i += 3)
        tile(type, 3, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride, y_stride);
    for (; i < n_x; i++)
        tile(type, 1, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride, y_stride);
}

/* n_k is n_cols, or the number of pairs. */
INLINE void multiply(enum gemm_type type, const void *groups, size_t n_groups, size_t group_bytes,
                     size_t n_k, const void *x, size_t x_stride, size_t n_x, float *y,
                     size_t y_stride) {
    if (n_x == 1)
        stream_rows(type, 1, groups, n_groups, group_bytes, n_k, x, x_stride, y, y_stride);
    else if (n_x == 2)
        stream_rows(type, 2, groups, n_groups, group_bytes, n_k, x, x_stride, y, y_stride);
    else if (n_x == 3)
        stream_rows(type, 3, groups, n_groups, group_bytes, n_k, x, x_stride, y, y_stride);
    if (n_x <= 3) return;
    bool converts = type == GEMM_F16 || type == GEMM_BF16;
    enum gemm_type strip_type = converts ? GEMM_F32 : type;
    size_t vector_bytes = gemm_vector_bytes(type);
    _Alignas(64) float strip[STRIP_COLS * GROUP];
    for (size_t i = 0; i < n_x; i += TOKEN_BLOCK) {
        size_t n_rows = n_x - i < TOKEN_BLOCK ? n_x - i : TOKEN_BLOCK;
        const uint8_t *xi = (const uint8_t *)x + i * x_stride;
        for (size_t k = 0; k < n_k; k += STRIP_COLS) {
            size_t n = n_k - k < STRIP_COLS ? n_k - k : STRIP_COLS;
            const float *columns = (const float *)(const void *)xi + k;
            for (size_t g = 0; g < n_groups; g++) {
                const uint8_t *from =
                    (const uint8_t *)groups + g * group_bytes + k * 2 * vector_bytes;
                if (converts) {
                    for (size_t v = 0; v < 2 * n; v++)
                        simd_store(strip + v * SIMD_LANES,
                                   gemm_load(type, from + v * vector_bytes));
                    from = (const uint8_t *)strip;
                }
                strip_multiply(strip_type, from, n, k == 0, columns, x_stride / sizeof(float),
                               n_rows, y + i * y_stride + g * GROUP, y_stride);
            }
        }
    }
}

#define LINEAR(T, PACKING)                                                                      \
    PACKED(T, PACKING, GROUP)                                                                   \
    static void multiply_##T(const void *groups, size_t n_groups, size_t n_cols, const void *x, \
                             size_t x_stride, size_t n_x, float *y, size_t y_stride) {          \
        size_t columns = (PACKING)->columns;                                                    \
        multiply(GEMM_##T, groups, n_groups, group_bytes_##T(n_cols),                           \
                 (n_cols + columns - 1) / columns, x, x_stride, n_x, y, y_stride);              \
    }
#define ENTRY(T, ACTIVATION)                                                       \
    (struct linear_kernel) {                                                       \
        ACTIVATION, GROUP, group_bytes_##T, pack_##T, unpack_row_##T, multiply_##T \
    }

#if defined(SIMD_BF16_PAIRS)
/* The path of another one with bf16 as pairs, and nothing else. */
LINEAR(BF16_PAIRS, &packing_bf16_pairs)

void vector_linear_bf16(struct kernels *kernels) {
    kernels->linear[WEIGHT_BF16] = ENTRY(BF16_PAIRS, ACTIVATION_BF16);
}
#else
LINEAR(F32, &packing_rows[WEIGHT_F32])
LINEAR(F16, &packing_rows[WEIGHT_F16])
LINEAR(BF16, &packing_rows[WEIGHT_BF16])

void vector_linear_float(struct kernels *kernels) {
    kernels->linear[WEIGHT_F32] = ENTRY(F32, ACTIVATION_F32);
    kernels->linear[WEIGHT_F16] = ENTRY(F16, ACTIVATION_F32);
    kernels->linear[WEIGHT_BF16] = ENTRY(BF16, ACTIVATION_F32);
}
#endif
