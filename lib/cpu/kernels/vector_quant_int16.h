/* Blocks of weights times int8 activations where bytes multiply into 16-bit sums (vpmaddubsw): the
 * sums of eight columns are then multiplied by the integer scale of these columns, so that a block
 * of 32 is one exact integer. One step per width of quants. */
#ifndef CPU_KERNELS_VECTOR_QUANT_INT16_H
#define CPU_KERNELS_VECTOR_QUANT_INT16_H

#include "cpu/kernels/vector_quant_operands.h"

#define QUANT_ACTIVATION ACTIVATION_Q8_INTEGER

/* dot[g][t] = (first ? 0 : dot[g][t]) + multiple * the products of part `part`, whose 16-bit sums
 * are at most 4 * 63 * 127 = 32004. w[g]: the eight vectors of group g. */
INLINE void multiply_part(int n_groups, int n_x, const simd_i *const *w,
                          const struct q8_block *const *x, int part, bool first,
                          simd_i (*dot)[QUANT_TILE]) {
    UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_i x0 = broadcast_columns(x[t], 2 * part), x1 = broadcast_columns(x[t], 2 * part + 1);
        simd_i multiple = broadcast_multiple(x[t], part);
        UNROLL
        for (int g = 0; g < n_groups; g++) {
            simd_i p = simd_add_i16(simd_maddubs(w[g][2 * part], x0),
                                    simd_maddubs(w[g][2 * part + 1], x1));
            p = simd_madd(p, multiple);
            dot[g][t] = first ? p : simd_add_i32(dot[g][t], p);
            simd_pin(&dot[g][t]);
        }
    }
}

/* sum[g][t] += dot[g][t] * scales */
INLINE void add_scaled(int n_groups, int n_x, const simd_f *scale, const struct q8_block *const *x,
                       simd_i (*dot)[QUANT_TILE], simd_f (*sum)[QUANT_TILE]) {
    UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_f block_scale = simd_broadcast(&x[t]->block_scale);
        UNROLL
        for (int g = 0; g < n_groups; g++)
            sum[g][t] =
                simd_fma(simd_from_i32(dot[g][t]), simd_mul(scale[g], block_scale), sum[g][t]);
    }
}

INLINE void offset_step(int n_groups, int n_x, const struct offset_block *const *w,
                        const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    simd_i dot[QUANT_GROUPS][QUANT_TILE];
    simd_f scale[QUANT_GROUPS];
    const simd_i *bytes[QUANT_GROUPS];
    UNROLL
    for (int g = 0; g < n_groups; g++) {
        bytes[g] = w[g]->w;
        scale[g] = w[g]->scale;
    }
    UNROLL
    for (int part = 0; part < Q8_PARTS; part++)
        multiply_part(n_groups, n_x, bytes, x, part, part == 0, dot);
    add_scaled(n_groups, n_x, scale, x, dot, sum);
    add_offsets(n_groups, n_x, w, x, sum);
}

/* -128 ... 127. |w| as unsigned times x with w's sign: a pair is at most 2 * 128 * 127 = 32512, so
 * each is widened at once. */
struct s8_block {
    simd_f scale;
    simd_i w[8];
};

INLINE void s8_fill(struct s8_block *to, simd_f scale, const simd_i *w) {
    to->scale = scale;
    UNROLL
    for (int j = 0; j < 8; j++) to->w[j] = w[j];
}

INLINE void s8_step(int n_groups, int n_x, const struct s8_block *const *w,
                    const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    simd_i dot[QUANT_GROUPS][QUANT_TILE];
    simd_f scale[QUANT_GROUPS];
    UNROLL
    for (int g = 0; g < n_groups; g++) scale[g] = w[g]->scale;
    UNROLL
    for (int j = 0; j < 8; j++) UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_i columns = broadcast_columns(x[t], j), multiple = broadcast_multiple(x[t], j / 2);
        UNROLL
        for (int g = 0; g < n_groups; g++) {
            simd_i p = simd_maddubs(simd_abs_i8(w[g]->w[j]), simd_sign_i8(columns, w[g]->w[j]));
            p = simd_madd(p, multiple);
            dot[g][t] = j == 0 ? p : simd_add_i32(dot[g][t], p);
            simd_pin(&dot[g][t]);
        }
    }
    add_scaled(n_groups, n_x, scale, x, dot, sum);
}

/* The same with a scale for each half of the columns. */
struct s8_halves_block {
    simd_f scale[2];
    simd_i w[8];
};

INLINE void s8_halves_fill(struct s8_halves_block *to, const simd_f *scale, const simd_i *w) {
    to->scale[0] = scale[0];
    to->scale[1] = scale[1];
    UNROLL
    for (int j = 0; j < 8; j++) to->w[j] = w[j];
}

INLINE void s8_halves_step(int n_groups, int n_x, const struct s8_halves_block *const *w,
                           const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_i dot[QUANT_GROUPS][QUANT_TILE];
        simd_f scale[QUANT_GROUPS];
        UNROLL
        for (int g = 0; g < n_groups; g++) scale[g] = w[g]->scale[half];
        UNROLL
        for (int j = 4 * half; j < 4 * half + 4; j++) UNROLL
        for (int t = 0; t < n_x; t++) {
            simd_i columns = broadcast_columns(x[t], j), multiple = broadcast_multiple(x[t], j / 2);
            UNROLL
            for (int g = 0; g < n_groups; g++) {
                simd_i p = simd_maddubs(simd_abs_i8(w[g]->w[j]), simd_sign_i8(columns, w[g]->w[j]));
                p = simd_madd(p, multiple);
                dot[g][t] = j == 4 * half ? p : simd_add_i32(dot[g][t], p);
                simd_pin(&dot[g][t]);
            }
        }
        add_scaled(n_groups, n_x, scale, x, dot, sum);
    }
}

INLINE void halves_step(int n_groups, int n_x, const struct halves_block *const *w,
                        const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    simd_f scaled[QUANT_GROUPS][QUANT_TILE]; /* both halves with the weights' scales */
    const simd_i *bytes[QUANT_GROUPS];
    UNROLL
    for (int g = 0; g < n_groups; g++) bytes[g] = w[g]->w;
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_i dot[QUANT_GROUPS][QUANT_TILE];
        multiply_part(n_groups, n_x, bytes, x, 2 * half, true, dot);
        multiply_part(n_groups, n_x, bytes, x, 2 * half + 1, false, dot);
        UNROLL
        for (int g = 0; g < n_groups; g++) UNROLL
        for (int t = 0; t < n_x; t++) {
            simd_f d = simd_from_i32(dot[g][t]);
            scaled[g][t] =
                half == 0 ? simd_mul(d, w[g]->scale[0]) : simd_fma(d, w[g]->scale[1], scaled[g][t]);
        }
    }
    UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_f block_scale = simd_broadcast(&x[t]->block_scale);
        UNROLL
        for (int g = 0; g < n_groups; g++)
            sum[g][t] = simd_fma(scaled[g][t], block_scale, sum[g][t]);
    }
    halves_add_offsets(n_groups, n_x, w, x, sum);
}

#endif
