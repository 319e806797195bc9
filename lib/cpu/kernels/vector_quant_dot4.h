/* Blocks unpacked for multiplication and their products where four bytes multiply into a 32-bit sum
 * at once (vpdpbusd, sdot). Sums inside half a block are exact integers; what rounds are the
 * multiply-adds of scales. */
#ifndef CPU_KERNELS_VECTOR_QUANT_DOT4_H
#define CPU_KERNELS_VECTOR_QUANT_DOT4_H

#include "cpu/kernels/vector_quant_operands.h"

/* Activation rows multiplied at a time: each takes three registers. */
#define OFFSET_TILE (SIMD_REGISTERS / 4)
#define S8_TILE OFFSET_TILE
#define U6_TILE OFFSET_TILE
#define QUANT_MAX_TILE OFFSET_TILE

/* dot[t] += the products of columns 16 * half ... + 15 */
INLINE void dot_half(int n_x, const simd_i *w, const struct q8_block *const *x, int half,
                     simd_i *dot) {
    UNROLL
    for (int j = 4 * half; j < 4 * half + 4; j++) {
        simd_i wj = w[j];
        UNROLL
        for (int t = 0; t < n_x; t++) dot[t] = simd_dot4(dot[t], wj, broadcast_columns(x[t], j));
    }
}

INLINE void offset_step(int n_x, const struct offset_block *w, const struct q8_block *const *x,
                        simd_f *sum) {
    simd_i dot[QUANT_MAX_TILE];
    simd_f scaled[QUANT_MAX_TILE]; /* both halves with the scales of x */
    UNROLL
    for (int t = 0; t < n_x; t++) dot[t] = simd_zero_bits();
    dot_half(n_x, w->w, x, 0, dot);
    UNROLL
    for (int t = 0; t < n_x; t++) {
        scaled[t] = simd_mul(simd_from_i32(dot[t]), simd_broadcast(&x[t]->scale[0]));
        dot[t] = simd_zero_bits();
    }
    dot_half(n_x, w->w, x, 1, dot);
    UNROLL
    for (int t = 0; t < n_x; t++) {
        scaled[t] = simd_fma(simd_from_i32(dot[t]), simd_broadcast(&x[t]->scale[1]), scaled[t]);
        sum[t] = simd_fma(scaled[t], w->scale, sum[t]);
        sum[t] = simd_fma(w->offset, simd_broadcast(&x[t]->scaled_sum), sum[t]);
    }
}

/* -128 ... 127: where the instruction takes unsigned weights, they are moved by 128 and the sum of
 * the activations puts that right. */
#if defined(SIMD_DOT4_UNSIGNED)
#define S8_MOVED_BY 128
#else
#define S8_MOVED_BY 0
#endif
#define s8_block offset_block
#define s8_step offset_step

INLINE void s8_fill(struct s8_block *to, simd_f scale, const simd_i *w) {
    to->scale = scale;
    to->offset = simd_mul(scale, simd_set1((float)-S8_MOVED_BY));
    UNROLL
    for (int j = 0; j < 8; j++) to->w[j] = simd_xor_bits(w[j], simd_set1_i8((int8_t)S8_MOVED_BY));
}

/* 0 ... 63 less 32, with a scale for each half of the columns. */
struct u6_block {
    simd_f half_scale[2];
    simd_i w[8];
};

/* The product of an f16 and eight bits is exact. */
INLINE void u6_fill(struct u6_block *to, simd_f scale, simd_i first, simd_i second) {
    to->half_scale[0] = simd_mul(scale, simd_from_i32(first));
    to->half_scale[1] = simd_mul(scale, simd_from_i32(second));
}

INLINE void u6_step(int n_x, const struct u6_block *w, const struct q8_block *const *x,
                    simd_f *sum) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_i dot[QUANT_MAX_TILE];
        UNROLL
        for (int t = 0; t < n_x; t++) dot[t] = simd_set1_i32(-32 * x[t]->sums[half]);
        dot_half(n_x, w->w, x, half, dot);
        UNROLL
        for (int t = 0; t < n_x; t++) {
            simd_f scaled = simd_mul(simd_from_i32(dot[t]), simd_broadcast(&x[t]->scale[half]));
            sum[t] = simd_fma(scaled, w->half_scale[half], sum[t]);
        }
    }
}

#endif
