/* Tiles where an instruction multiplies two rows of weights by two of activations, eight columns
 * deep (smmla): the columns of one scale. What is unpacked for a tile has the eight columns of a
 * lane together. Sums, scales and their order are those of vector_quant_dot4.h, and so are the
 * bits. */
#ifndef CPU_KERNELS_VECTOR_QUANT_MATRIX_H
#define CPU_KERNELS_VECTOR_QUANT_MATRIX_H

#include "cpu/kernels/vector_quant_dot4.h"

/* w[2 * part], w[2 * part + 1]: all columns of the part, of the lower and of the upper lanes. */
INLINE void tile_arrange(simd_i *w) {
    UNROLL
    for (int part = 0; part < Q8_PARTS; part++) simd_pack_columns(&w[2 * part], &w[2 * part + 1]);
}

/* multiply_parts of arranged weights. A row alone is both rows. */
INLINE void tile_multiply_parts(int n_groups, int n_x, const simd_i *const *w,
                                const struct q8_block *const *x, int first, int n,
                                simd_f (*scaled)[QUANT_TILE]) {
    _Static_assert(QUANT_TILE == 2, "a tile is the two rows of an instruction");
    const struct q8_block *x0 = x[0], *x1 = x[n_x - 1];
    UNROLL
    for (int part = first; part < first + n; part++) {
        simd_i columns = simd_rows_columns(x0->q, x1->q, part);
        simd_f scale = simd_rows_broadcast(x0->scale, x1->scale, part);
        UNROLL
        for (int g = 0; g < n_groups; g++) UNROLL
        for (int h = 0; h < 2; h++) { /* lower and upper lanes */
            simd_f d = simd_from_i32(simd_matrix_multiply(w[g][2 * part + h], columns));
            scaled[g][h] = part == first ? simd_mul(d, scale) : simd_fma(d, scale, scaled[g][h]);
        }
    }
    UNROLL
    for (int g = 0; g < n_groups; g++) simd_split_rows(&scaled[g][0], &scaled[g][1]);
}

#define s8_tile_step offset_tile_step
#define s8_halves_tile_step halves_tile_step

#define STEP(kind) kind##_tile_step
#define MULTIPLY_PARTS tile_multiply_parts
#include "cpu/kernels/vector_quant_steps.h"

#endif
