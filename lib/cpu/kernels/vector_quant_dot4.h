/* Blocks unpacked for multiplication and their products where four bytes multiply into a 32-bit sum
 * at once (vpdpbusd, sdot). Sums of eight columns are exact integers; what rounds are the
 * multiply-adds of scales. */
#ifndef CPU_KERNELS_VECTOR_QUANT_DOT4_H
#define CPU_KERNELS_VECTOR_QUANT_DOT4_H

#include "cpu/kernels/vector_quant_operands.h"

#define QUANT_ACTIVATION ACTIVATION_Q8_FLOAT
/* Activation rows multiplied at a time: each takes three registers. */
#define OFFSET_TILE (SIMD_REGISTERS / 4)
#define S8_TILE OFFSET_TILE
#define HALVES_TILE OFFSET_TILE
#define QUANT_MAX_TILE OFFSET_TILE

/* scaled[t] = (first ? 0 : scaled[t]) + scale * the products of part `part` */
INLINE void multiply_part(int n_x, const simd_i *w, const struct q8_block *const *x, int part,
                          bool first, simd_f *scaled) {
    simd_i w0 = w[2 * part], w1 = w[2 * part + 1];
    UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_i dot = simd_dot4(simd_zero_bits(), w0, broadcast_columns(x[t], 2 * part));
        dot = simd_dot4(dot, w1, broadcast_columns(x[t], 2 * part + 1));
        simd_f scale = simd_broadcast(&x[t]->scale[part]), d = simd_from_i32(dot);
        scaled[t] = first ? simd_mul(d, scale) : simd_fma(d, scale, scaled[t]);
    }
}

INLINE void offset_step(int n_x, const struct offset_block *w, const struct q8_block *const *x,
                        simd_f *sum) {
    simd_f scaled[QUANT_MAX_TILE];
    UNROLL
    for (int part = 0; part < Q8_PARTS; part++)
        multiply_part(n_x, w->w, x, part, part == 0, scaled);
    UNROLL
    for (int t = 0; t < n_x; t++) {
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

INLINE void halves_step(int n_x, const struct halves_block *w, const struct q8_block *const *x,
                        simd_f *sum) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_f scaled[QUANT_MAX_TILE];
        multiply_part(n_x, w->w, x, 2 * half, true, scaled);
        multiply_part(n_x, w->w, x, 2 * half + 1, false, scaled);
        UNROLL
        for (int t = 0; t < n_x; t++) sum[t] = simd_fma(scaled[t], w->scale[half], sum[t]);
    }
    UNROLL
    for (int t = 0; t < n_x; t++) sum[t] = halves_add_offsets(w, x[t], sum[t]);
}

#endif
