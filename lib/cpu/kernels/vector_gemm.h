/* The f32 product that linear layers and attention share: a few rows of a times a few vectors of
 * b's columns, k in order, one fused multiply-add per term. A row's sums are the same bits whatever
 * rows are beside it. */
#ifndef CPU_KERNELS_VECTOR_GEMM_H
#define CPU_KERNELS_VECTOR_GEMM_H

#include "cpu/kernels/simd.h"

enum gemm_type {
    GEMM_F32,
    GEMM_F16,
    GEMM_BF16,
    GEMM_BF16_PAIRS /* a lane of a and b holds two bf16; k counts pairs */
};
#define GEMM_MAX_ROWS 12
#define GEMM_MAX_VECTORS 8

INLINE size_t gemm_vector_bytes(enum gemm_type type) {
    return type == GEMM_F32 || type == GEMM_BF16_PAIRS ? SIMD_BYTES : SIMD_HALF_BYTES;
}

INLINE simd_f gemm_load(enum gemm_type type, const uint8_t *from) {
    if (type == GEMM_F32 || type == GEMM_BF16_PAIRS)
        return simd_load((const float *)(const void *)from);
    return type == GEMM_F16 ? simd_load_f16(from) : simd_load_bf16(from);
}

/* sum + a * b, of pairs the sum of both products. */
INLINE simd_f gemm_multiply(enum gemm_type type, simd_f a, simd_f b, simd_f sum) {
#if defined(SIMD_BF16_PAIRS)
    if (type == GEMM_BF16_PAIRS) return simd_dot2_bf16(sum, a, b);
#endif
    (void)type;
    return simd_fma(a, b, sum);
}

/* y[t] += sum over k of a[t][k] * b[k], n_vectors vectors of y and b; y begins at 0 if fresh. The
 * counts and the type are constants where this is called. b_step: bytes from one k to the next. */
INLINE void gemm_tile(enum gemm_type type, int n_rows, int n_vectors, const float *a,
                      size_t a_stride, const uint8_t *b, size_t b_step, size_t n_k, bool fresh,
                      float *y, size_t y_stride) {
    simd_f sum[GEMM_MAX_ROWS][GEMM_MAX_VECTORS];
    UNROLL
    for (int t = 0; t < n_rows; t++) UNROLL
    for (int v = 0; v < n_vectors; v++)
        sum[t][v] =
            fresh ? simd_zero() : simd_load(y + (size_t)t * y_stride + (size_t)v * SIMD_LANES);
    for (size_t k = 0; k < n_k; k++, b += b_step) {
        simd_f bk[GEMM_MAX_VECTORS];
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            bk[v] = gemm_load(type, b + (size_t)v * gemm_vector_bytes(type));
        UNROLL
        for (int t = 0; t < n_rows; t++) {
            simd_f ak = simd_broadcast(a + (size_t)t * a_stride + k);
            UNROLL
            for (int v = 0; v < n_vectors; v++)
                sum[t][v] = gemm_multiply(type, bk[v], ak, sum[t][v]);
        }
    }
    UNROLL
    for (int t = 0; t < n_rows; t++) UNROLL
    for (int v = 0; v < n_vectors; v++)
        simd_store(y + (size_t)t * y_stride + (size_t)v * SIMD_LANES, sum[t][v]);
}

#endif
