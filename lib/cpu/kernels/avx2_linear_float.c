/* Linear layers of f32, f16 and bf16 weights with f32 activations: sixteen rows a group, one fused
 * multiply-add per weight, k in order. */
#include <string.h>

#include "cpu/kernels/avx2.h"
#include "cpu/kernels/avx2_math.h"
#include "cpu/kernels/packing.h"

#define GROUP 16
#define TILE 6         /* activation rows: 12 sums, 2 weights and a broadcast are 15 registers */
#define STRIP_COLS 256 /* columns of a group as f32: 16 KiB */
#define TOKEN_BLOCK                                                                  \
    240 /* activation rows that stay in L2 while the groups pass; a multiple of TILE \
         */
#define PREFETCH_BYTES 2560

/* Weights i ... i + 7 of the packed group. */
INLINE __m256 load_weights(enum weight_type type, const uint8_t *group, size_t i) {
    if (type == WEIGHT_F32) return _mm256_load_ps((const float *)(const void *)group + i);
    __m128i bits = _mm_load_si128((const __m128i *)(const void *)(group + i * 2));
    if (type == WEIGHT_F16) return _mm256_cvtph_ps(bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

INLINE size_t weight_bytes(enum weight_type type) {
    return type == WEIGHT_F32 ? 4 : 2;
}

/* Straight from the packed weights: few rows, bound by reading them. The sums of several groups run
 * side by side to hide the latency of the additions. */
INLINE void stream(enum weight_type type, int n_groups, int n_x, const uint8_t *groups,
                   size_t group_bytes, size_t n_cols, const float *const *x, float *const *y) {
    __m256 sum[2][3][2];
    UNROLL
    for (int g = 0; g < n_groups; g++) UNROLL
    for (int t = 0; t < n_x; t++) sum[g][t][0] = sum[g][t][1] = _mm256_setzero_ps();
    for (size_t k = 0; k < n_cols; k++) UNROLL
    for (int g = 0; g < n_groups; g++) {
        const uint8_t *group = groups + (size_t)g * group_bytes;
        _mm_prefetch((const char *)group + k * GROUP * weight_bytes(type) + PREFETCH_BYTES,
                     _MM_HINT_T0);
        __m256 w0 = load_weights(type, group, k * GROUP);
        __m256 w1 = load_weights(type, group, k * GROUP + 8);
        UNROLL
        for (int t = 0; t < n_x; t++) {
            __m256 xk = _mm256_broadcast_ss(x[t] + k);
            sum[g][t][0] = _mm256_fmadd_ps(w0, xk, sum[g][t][0]);
            sum[g][t][1] = _mm256_fmadd_ps(w1, xk, sum[g][t][1]);
        }
    }
    UNROLL
    for (int g = 0; g < n_groups; g++) UNROLL
    for (int t = 0; t < n_x; t++) {
        _mm256_storeu_ps(y[t] + g * GROUP, sum[g][t][0]);
        _mm256_storeu_ps(y[t] + g * GROUP + 8, sum[g][t][1]);
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
    __m256 sum[TILE][2];
    UNROLL
    for (int t = 0; t < n_x; t++) UNROLL
    for (int v = 0; v < 2; v++)
        sum[t][v] = first ? _mm256_setzero_ps() : _mm256_loadu_ps(y + (size_t)t * y_stride + 8 * v);
    for (size_t k = 0; k < n; k++) {
        __m256 w0 = _mm256_load_ps(strip + k * GROUP), w1 = _mm256_load_ps(strip + k * GROUP + 8);
        UNROLL
        for (int t = 0; t < n_x; t++) {
            __m256 xk = _mm256_broadcast_ss(x + (size_t)t * x_stride + k);
            sum[t][0] = _mm256_fmadd_ps(w0, xk, sum[t][0]);
            sum[t][1] = _mm256_fmadd_ps(w1, xk, sum[t][1]);
        }
    }
    UNROLL
    for (int t = 0; t < n_x; t++) UNROLL
    for (int v = 0; v < 2; v++) _mm256_storeu_ps(y + (size_t)t * y_stride + 8 * v, sum[t][v]);
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
    size_t group_bytes = packing_group_bytes(&packing_rows[type], n_cols);
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
                    for (size_t v = 0; v < n * GROUP; v += 8)
                        _mm256_store_ps(strip + v, load_weights(type, group, k * GROUP + v));
                strip_multiply(from, n, k == 0, columns, x_stride / sizeof(float), n_rows,
                               y + i * y_stride + g * GROUP, y_stride);
            }
        }
    }
}

#define LINEAR(T)                                                                               \
    static size_t group_bytes_##T(size_t n_cols) {                                              \
        return packing_group_bytes(&packing_rows[WEIGHT_##T], n_cols);                          \
    }                                                                                           \
    static void pack_##T(const void *rows, size_t row_bytes, size_t n_rows, size_t n_cols,      \
                         void *group) {                                                         \
        packing_pack(&packing_rows[WEIGHT_##T], rows, row_bytes, n_rows, n_cols, group);        \
    }                                                                                           \
    static void unpack_row_##T(const void *group, size_t row, size_t n_cols, float *to) {       \
        packing_unpack_row(&packing_rows[WEIGHT_##T], group, row, n_cols, to);                  \
    }                                                                                           \
    static void multiply_##T(const void *groups, size_t n_groups, size_t n_cols, const void *x, \
                             size_t x_stride, size_t n_x, float *y, size_t y_stride) {          \
        multiply(WEIGHT_##T, groups, n_groups, n_cols, x, x_stride, n_x, y, y_stride);          \
    }
LINEAR(F32)
LINEAR(F16)
LINEAR(BF16)

#define ENTRY(T)                                                                            \
    (struct linear_kernel) {                                                                \
        ACTIVATION_ROWS_F32, GROUP, group_bytes_##T, pack_##T, unpack_row_##T, multiply_##T \
    }

void avx2_linear_float(struct kernels *kernels) {
    kernels->linear[WEIGHT_F32] = ENTRY(F32);
    kernels->linear[WEIGHT_F16] = ENTRY(F16);
    kernels->linear[WEIGHT_BF16] = ENTRY(BF16);
}
