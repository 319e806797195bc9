/* What every step of the integer kernels takes: a block of 32 int8 activations, four columns of it
 * for every lane.
 *
 * Weights are unpacked so that byte i of lane r of w[j] is the weight of row r, column 4j + i. */
#ifndef CPU_KERNELS_VECTOR_QUANT_OPERANDS_H
#define CPU_KERNELS_VECTOR_QUANT_OPERANDS_H

#include <stdbool.h>

#include "cpu/kernels/activation_q8.h"
#include "cpu/kernels/simd.h"

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

INLINE simd_f halves_add_offsets(const struct halves_block *w, const struct q8_block *x,
                                 simd_f sum) {
    sum = simd_fma(w->offset[0], simd_broadcast(&x->half_sum[0]), sum);
    return simd_fma(w->offset[1], simd_broadcast(&x->half_sum[1]), sum);
}

#endif
