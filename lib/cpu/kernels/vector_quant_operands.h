/* What every step of the integer kernels takes: a block of 32 int8 activations, four columns of it
 * for every lane.
 *
 * Weights are unpacked so that byte i of lane r of w[j] is the weight of row r, column 4j + i. */
#ifndef CPU_KERNELS_VECTOR_QUANT_OPERANDS_H
#define CPU_KERNELS_VECTOR_QUANT_OPERANDS_H

#include "cpu/kernels/activation_q8.h"
#include "cpu/kernels/simd.h"

INLINE simd_i broadcast_columns(const struct q8_block *x, int j) {
    int32_t columns;
    memcpy(&columns, x->q + 4 * j, sizeof columns);
    return simd_set1_i32(columns);
}

/* Both 16-bit sums of the halves. */
INLINE simd_i broadcast_sums(const struct q8_block *x) {
    int32_t sums;
    memcpy(&sums, x->sums, sizeof sums);
    return simd_set1_i32(sums);
}

/* Quants of up to five bits, weight = scale * quant + offset. */
struct offset_block {
    simd_f scale, offset;
    simd_i w[8];
};

#endif
