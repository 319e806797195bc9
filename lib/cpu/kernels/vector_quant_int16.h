/* Blocks unpacked for multiplication and their products where bytes multiply into 16-bit sums
 * (vpmaddubsw): one struct and one step per width of quants. Sums inside a block are exact
 * integers, so only the multiply-adds of the block's scales round. */
#ifndef CPU_KERNELS_VECTOR_QUANT_INT16_H
#define CPU_KERNELS_VECTOR_QUANT_INT16_H

#include "cpu/kernels/vector_quant_operands.h"

/* Activation rows multiplied at a time: what the registers hold. */
#define OFFSET_TILE (SIMD_REGISTERS * 3 / 8)
#define S8_TILE (SIMD_REGISTERS / 4)
#define U6_TILE (SIMD_REGISTERS / 4)
#define QUANT_MAX_TILE OFFSET_TILE

/* sum += scale * x_scale * dot */
INLINE simd_f add_scaled(simd_f sum, simd_i dot, simd_f scale, const float *x_scale) {
    simd_f both = simd_mul(scale, simd_broadcast(x_scale));
    return simd_fma(simd_from_i32(dot), both, sum);
}

/* 0 ... 31: the eight products of a half in a 16-bit lane are at most 8 * 31 * 127 = 31496. */
INLINE void offset_step(int n_x, const struct offset_block *w, const struct q8_block *const *x,
                        simd_f *sum) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_i dot[QUANT_MAX_TILE];
        UNROLL
        for (int t = 0; t < n_x; t++)
            dot[t] = simd_maddubs(w->w[4 * half], broadcast_columns(x[t], 4 * half));
        UNROLL
        for (int j = 4 * half + 1; j < 4 * half + 4; j++) {
            simd_i wj = w->w[j];
            UNROLL
            for (int t = 0; t < n_x; t++) {
                dot[t] = simd_add_i16(dot[t], simd_maddubs(wj, broadcast_columns(x[t], j)));
                simd_pin(&dot[t]);
            }
        }
        UNROLL
        for (int t = 0; t < n_x; t++) {
            dot[t] = simd_madd(dot[t], simd_set1_i16(1));
            sum[t] = add_scaled(sum[t], dot[t], w->scale, &x[t]->scale[half]);
        }
    }
    UNROLL
    for (int t = 0; t < n_x; t++)
        sum[t] = simd_fma(w->offset, simd_broadcast(&x[t]->scaled_sum), sum[t]);
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
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_i dot[QUANT_MAX_TILE];
        UNROLL
        for (int t = 0; t < n_x; t++) dot[t] = simd_zero_bits();
        UNROLL
        for (int j = 4 * half; j < 4 * half + 4; j++) {
            simd_i wj = w->w[j], magnitude = simd_abs_i8(wj);
            UNROLL
            for (int t = 0; t < n_x; t++) {
                simd_i signed_x = simd_sign_i8(broadcast_columns(x[t], j), wj);
                simd_i p = simd_maddubs(magnitude, signed_x);
                p = simd_madd(p, simd_set1_i16(1));
                dot[t] = simd_add_i32(dot[t], p);
                simd_pin(&dot[t]);
            }
        }
        UNROLL
        for (int t = 0; t < n_x; t++)
            sum[t] = add_scaled(sum[t], dot[t], w->scale, &x[t]->scale[half]);
    }
}

/* 0 ... 63 less 32, with an int8 scale for each half of the columns. Two steps are at most
 * 4 * 63 * 127 = 32004; the int16 pairs are then multiplied by their scale instead of by ones. */
struct u6_block {
    simd_f scale;
    simd_i half_scale[2]; /* 16-bit lanes, both of a row the same */
    simd_i correction[2]; /* 16-bit lanes: -32 * scale of the half where its sum is, else 0 */
    simd_i w[8];
};

/* The scales of the halves are in 32-bit lanes. */
INLINE void u6_fill(struct u6_block *to, simd_f scale, simd_i first, simd_i second) {
    simd_i first_high = simd_slli_i32(first, 16), second_high = simd_slli_i32(second, 16);
    to->scale = scale;
    to->half_scale[0] = simd_or_bits(simd_even_i16(first), first_high);
    to->half_scale[1] = simd_or_bits(simd_even_i16(second), second_high);
    to->correction[0] = simd_mul_i16(simd_even_i16(first), simd_set1_i16(-32));
    to->correction[1] = simd_mul_i16(second_high, simd_set1_i16(-32));
}

INLINE void u6_step(int n_x, const struct u6_block *w, const struct q8_block *const *x,
                    simd_f *sum) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_i dot[QUANT_MAX_TILE];
        UNROLL
        for (int t = 0; t < n_x; t++) dot[t] = simd_madd(w->correction[half], broadcast_sums(x[t]));
        UNROLL
        for (int j = 4 * half; j < 4 * half + 4; j += 2) {
            simd_i w0 = w->w[j], w1 = w->w[j + 1];
            UNROLL
            for (int t = 0; t < n_x; t++) {
                simd_i p = simd_add_i16(simd_maddubs(w0, broadcast_columns(x[t], j)),
                                        simd_maddubs(w1, broadcast_columns(x[t], j + 1)));
                dot[t] = simd_add_i32(dot[t], simd_madd(p, w->half_scale[half]));
                simd_pin(&dot[t]);
            }
        }
        UNROLL
        for (int t = 0; t < n_x; t++)
            sum[t] = add_scaled(sum[t], dot[t], w->scale, &x[t]->scale[half]);
    }
}

#endif
