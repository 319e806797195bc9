/* Blocks unpacked for multiplication and their products where four bytes multiply into a 32-bit sum
 * at once (vpdpbusd, sdot). Sums of eight columns are exact integers; what rounds are the
 * multiply-adds of scales. */
#ifndef CPU_KERNELS_VECTOR_QUANT_DOT4_H
#define CPU_KERNELS_VECTOR_QUANT_DOT4_H

#include "cpu/kernels/vector_quant_operands.h"

#define QUANT_ACTIVATION ACTIVATION_Q8_FLOAT

/* scaled[g][t] = the sum of scale * products over parts first ... first + n - 1. w[g]: the eight
 * vectors of group g. */
INLINE void multiply_parts(int n_groups, int n_x, const simd_i *const *w,
                           const struct q8_block *const *x, int first, int n,
                           simd_f (*scaled)[QUANT_TILE]) {
    UNROLL
    for (int part = first; part < first + n; part++) UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_i x0 = broadcast_columns(x[t], 2 * part), x1 = broadcast_columns(x[t], 2 * part + 1);
        simd_f scale = simd_broadcast(&x[t]->scale[part]);
        UNROLL
        for (int g = 0; g < n_groups; g++) {
            simd_i dot = simd_dot4(simd_zero_bits(), w[g][2 * part], x0);
            simd_f d = simd_from_i32(simd_dot4(dot, w[g][2 * part + 1], x1));
            scaled[g][t] = part == first ? simd_mul(d, scale) : simd_fma(d, scale, scaled[g][t]);
        }
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

#define s8_halves_block halves_block
#define s8_halves_step halves_step

INLINE void s8_halves_fill(struct s8_halves_block *to, const simd_f *scale, const simd_i *w) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        to->scale[half] = scale[half];
        to->offset[half] = simd_mul(scale[half], simd_set1((float)-S8_MOVED_BY));
    }
    UNROLL
    for (int j = 0; j < 8; j++) to->w[j] = simd_xor_bits(w[j], simd_set1_i8((int8_t)S8_MOVED_BY));
}

#define STEP(kind) kind##_step
#define MULTIPLY_PARTS multiply_parts
#include "cpu/kernels/vector_quant_steps.h"

#endif
