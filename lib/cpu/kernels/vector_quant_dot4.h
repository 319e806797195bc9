/* Blocks unpacked for multiplication and their products where four bytes multiply into a 32-bit sum
 * at once (vpdpbusd, sdot). Sums of eight columns are exact integers; what rounds are the
 * multiply-adds of scales. */
#ifndef CPU_KERNELS_VECTOR_QUANT_DOT4_H
#define CPU_KERNELS_VECTOR_QUANT_DOT4_H

#include "cpu/kernels/vector_quant_operands.h"

#define QUANT_ACTIVATION ACTIVATION_Q8_FLOAT

/* scaled[g][t] = (first ? 0 : scaled[g][t]) + scale * the products of part `part`. w[g]: the eight
 * vectors of group g. */
INLINE void multiply_part(int n_groups, int n_x, const simd_i *const *w,
                          const struct q8_block *const *x, int part, bool first,
                          simd_f (*scaled)[QUANT_TILE]) {
    UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_i x0 = broadcast_columns(x[t], 2 * part), x1 = broadcast_columns(x[t], 2 * part + 1);
        simd_f scale = simd_broadcast(&x[t]->scale[part]);
        UNROLL
        for (int g = 0; g < n_groups; g++) {
            simd_i dot = simd_dot4(simd_zero_bits(), w[g][2 * part], x0);
            simd_f d = simd_from_i32(simd_dot4(dot, w[g][2 * part + 1], x1));
            scaled[g][t] = first ? simd_mul(d, scale) : simd_fma(d, scale, scaled[g][t]);
        }
    }
}

INLINE void offset_step(int n_groups, int n_x, const struct offset_block *const *w,
                        const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    simd_f scaled[QUANT_GROUPS][QUANT_TILE];
    const simd_i *bytes[QUANT_GROUPS];
    UNROLL
    for (int g = 0; g < n_groups; g++) bytes[g] = w[g]->w;
    UNROLL
    for (int part = 0; part < Q8_PARTS; part++)
        multiply_part(n_groups, n_x, bytes, x, part, part == 0, scaled);
    UNROLL
    for (int g = 0; g < n_groups; g++) UNROLL
    for (int t = 0; t < n_x; t++) sum[g][t] = simd_fma(scaled[g][t], w[g]->scale, sum[g][t]);
    add_offsets(n_groups, n_x, w, x, sum);
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

INLINE void halves_step(int n_groups, int n_x, const struct halves_block *const *w,
                        const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    const simd_i *bytes[QUANT_GROUPS];
    UNROLL
    for (int g = 0; g < n_groups; g++) bytes[g] = w[g]->w;
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_f scaled[QUANT_GROUPS][QUANT_TILE];
        multiply_part(n_groups, n_x, bytes, x, 2 * half, true, scaled);
        multiply_part(n_groups, n_x, bytes, x, 2 * half + 1, false, scaled);
        UNROLL
        for (int g = 0; g < n_groups; g++) UNROLL
        for (int t = 0; t < n_x; t++)
            sum[g][t] = simd_fma(scaled[g][t], w[g]->scale[half], sum[g][t]);
    }
    halves_add_offsets(n_groups, n_x, w, x, sum);
}

#endif
