/* What every step of the integer kernels takes: a block of 32 int8 activations, four columns of it
 * for every lane.
 *
 * Weights are unpacked so that byte i of lane r of w[j] is the weight of row r, column 4j + i. */
#ifndef CPU_KERNELS_VECTOR_QUANT_OPERANDS_H
#define CPU_KERNELS_VECTOR_QUANT_OPERANDS_H

#include <stdbool.h>

#include "cpu/kernels/activation_q8.h"
#include "cpu/kernels/simd.h"

/* A step multiplies a tile: blocks of n_groups groups of rows, w[g], by blocks of n_x activation
 * rows, x[t]; both numbers are constants where it is called. What is broadcast of x serves all
 * groups: with one, loads would be as many as multiplications. */
#define QUANT_GROUPS 2
#define QUANT_TILE (SIMD_REGISTERS / 8)

INLINE simd_i broadcast_columns(const struct q8_block *x, int j) {
    int32_t columns;
    memcpy(&columns, x->q + 4 * j, sizeof columns);
    return simd_set1_i32(columns);
}

/* The multiple of columns 8 * part ... + 7 in every 16-bit lane. */
INLINE simd_i broadcast_multiple(const struct q8_block *x, int part) {
    int32_t both;
    memcpy(&both, x->multiple[part], sizeof both);
    return simd_set1_i32(both);
}

/* Quants of up to five bits, weight = scale * quant + offset. */
struct offset_block {
    simd_f scale, offset;
    simd_i w[8];
};

/* Quants of up to six bits, with a scale and an offset for each half of the columns. */
struct halves_block {
    simd_f scale[2], offset[2];
    simd_i w[8];
};

/* sum[g][t] += the offsets' part */
INLINE void add_offsets(int n_groups, int n_x, const struct offset_block *const *w,
                        const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_f scaled_sum = simd_broadcast(&x[t]->scaled_sum);
        UNROLL
        for (int g = 0; g < n_groups; g++)
            sum[g][t] = simd_fma(w[g]->offset, scaled_sum, sum[g][t]);
    }
}

INLINE void halves_add_offsets(int n_groups, int n_x, const struct halves_block *const *w,
                               const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    UNROLL
    for (int half = 0; half < 2; half++) UNROLL
    for (int t = 0; t < n_x; t++) {
        simd_f half_sum = simd_broadcast(&x[t]->half_sum[half]);
        UNROLL
        for (int g = 0; g < n_groups; g++)
            sum[g][t] = simd_fma(w[g]->offset[half], half_sum, sum[g][t]);
    }
}

#endif
