/* Blocks of weights times int8 activations where bytes multiply into 16-bit sums (vpmaddubsw): the
 * sums of eight columns are then multiplied by the integer scale of these columns, so that a block
 * of 32 is one exact integer. One step per width of quants. */
#ifndef CPU_KERNELS_VECTOR_QUANT_INT16_H
#define CPU_KERNELS_VECTOR_QUANT_INT16_H

#include "cpu/kernels/vector_quant_operands.h"

#define QUANT_ACTIVATION ACTIVATION_Q8_INTEGER
/* Activation rows multiplied at a time: what the registers hold. */
#define OFFSET_TILE (SIMD_REGISTERS * 3 / 8)
#define S8_TILE (SIMD_REGISTERS / 4)
#define HALVES_TILE (SIMD_REGISTERS / 4)
#define QUANT_MAX_TILE OFFSET_TILE

/* dot[t] = (first ? 0 : dot[t]) + multiple * the products of part `part`, whose 16-bit sums are at
 * most 4 * 63 * 127 = 32004. */
INLINE void multiply_part(int n_x, const simd_i *w, const struct q8_block *const *x, int part,
                          bool first, simd_i *dot) {
    simd_i w0 = w[2 * part], w1 = w[2 * part + 1];
    UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_i p = simd_add_i16(simd_maddubs(w0, broadcast_columns(x[t], 2 * part)),
                                simd_maddubs(w1, broadcast_columns(x[t], 2 * part + 1)));
        p = simd_madd(p, broadcast_multiple(x[t], part));
        dot[t] = first ? p : simd_add_i32(dot[t], p);
        simd_pin(&dot[t]);
    }
}

INLINE void offset_step(int n_x, const struct offset_block *w, const struct q8_block *const *x,
                        simd_f *sum) {
    simd_i dot[QUANT_MAX_TILE];
    UNROLL
    for (int part = 0; part < Q8_PARTS; part++) multiply_part(n_x, w->w, x, part, part == 0, dot);
    UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_f scale = simd_mul(w->scale, simd_broadcast(&x[t]->block_scale));
        sum[t] = simd_fma(simd_from_i32(dot[t]), scale, sum[t]);
        sum[t] = simd_fma(w->offset, simd_broadcast(&x[t]->scaled_sum), sum[t]);
    }
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

INLINE void s8_step(int n_x, const struct s8_block *w, const struct q8_block *const *x,
                    simd_f *sum) {
    simd_i dot[QUANT_MAX_TILE];
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_i wj = w->w[j], magnitude = simd_abs_i8(wj);
        UNROLL
        for (int t = 0; t < n_x; t++) {
            simd_i p = simd_maddubs(magnitude, simd_sign_i8(broadcast_columns(x[t], j), wj));
            p = simd_madd(p, broadcast_multiple(x[t], j / 2));
            dot[t] = j == 0 ? p : simd_add_i32(dot[t], p);
            simd_pin(&dot[t]);
        }
    }
    UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_f scale = simd_mul(w->scale, simd_broadcast(&x[t]->block_scale));
        sum[t] = simd_fma(simd_from_i32(dot[t]), scale, sum[t]);
    }
}

INLINE void halves_step(int n_x, const struct halves_block *w, const struct q8_block *const *x,
                        simd_f *sum) {
    simd_f scaled[QUANT_MAX_TILE]; /* both halves with the weights' scales */
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_i dot[QUANT_MAX_TILE];
        multiply_part(n_x, w->w, x, 2 * half, true, dot);
        multiply_part(n_x, w->w, x, 2 * half + 1, false, dot);
        UNROLL
        for (int t = 0; t < n_x; t++) {
            simd_f d = simd_from_i32(dot[t]);
            scaled[t] = half == 0 ? simd_mul(d, w->scale[0]) : simd_fma(d, w->scale[1], scaled[t]);
        }
    }
    UNROLL
    for (int t = 0; t < n_x; t++) {
        sum[t] = simd_fma(scaled[t], simd_broadcast(&x[t]->block_scale), sum[t]);
        sum[t] = halves_add_offsets(w, x[t], sum[t]);
    }
}

#endif
