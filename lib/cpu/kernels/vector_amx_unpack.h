/* Blocks of 32 columns as tiles of weights: row p of a tile holds columns 2p and 2p + 1 of every
 * lane's row, [16 pairs][16 rows][2] bf16, each weight's f32 value rounded to nearest even. */
#ifndef CPU_KERNELS_VECTOR_AMX_UNPACK_H
#define CPU_KERNELS_VECTOR_AMX_UNPACK_H

#include "cpu/kernels/tile_config.h"
#include "cpu/kernels/vector_quant_levels.h"

_Static_assert(SIMD_LANES == TILE_ROWS && SIMD_BYTES == TILE_ROW_BYTES,
               "a lane is a tile's column");

/* The four bytes of each lane, unsigned. */
INLINE void columns_of(simd_i w, simd_f *columns) {
    UNROLL
    for (int i = 0; i < 4; i++)
        columns[i] = simd_from_i32(simd_and_bits(simd_srli_i32(w, 8 * i), simd_set1_i32(255)));
}

INLINE void signed_columns_of(simd_i w, simd_f *columns) {
    UNROLL
    for (int i = 0; i < 4; i++)
        columns[i] = simd_from_i32(simd_srai_i32(simd_slli_i32(w, 24 - 8 * i), 24));
}

/* Columns 4j ... 4j + 3 to their two rows of the tile. */
INLINE void store_columns(const simd_f *columns, int j, uint8_t *tile) {
    UNROLL
    for (int i = 0; i < 2; i++)
        simd_store((float *)(void *)(tile + (2 * j + i) * TILE_ROW_BYTES),
                   simd_from_bits(simd_pack_bf16(columns[2 * i], columns[2 * i + 1])));
}

/* The weight as its type's dequantize gives it: the product is exact, the sum rounds once. */
INLINE void scaled_columns(simd_i w, simd_f scale, simd_f offset, simd_f *columns) {
    columns_of(w, columns);
    UNROLL
    for (int i = 0; i < 4; i++) columns[i] = simd_fma(columns[i], scale, offset);
}

static void offset_tile(const struct offset_block *restrict block, uint8_t *restrict tile) {
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_f columns[4];
        scaled_columns(block->w[j], block->scale, block->offset, columns);
        store_columns(columns, j, tile);
    }
}

static void halves_tile(const struct halves_block *restrict block, uint8_t *restrict tile) {
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_f columns[4];
        scaled_columns(block->w[j], block->scale[j / 4], block->offset[j / 4], columns);
        store_columns(columns, j, tile);
    }
}

static void s8_tile(const struct s8_block *restrict block, uint8_t *restrict tile) {
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_f columns[4];
        signed_columns_of(block->w[j], columns);
        UNROLL
        for (int i = 0; i < 4; i++) columns[i] = simd_mul(columns[i], block->scale);
        store_columns(columns, j, tile);
    }
}

static void s8_halves_tile(const struct s8_halves_block *restrict block, uint8_t *restrict tile) {
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_f columns[4];
        signed_columns_of(block->w[j], columns);
        UNROLL
        for (int i = 0; i < 4; i++) columns[i] = simd_mul(columns[i], block->scale[j / 4]);
        store_columns(columns, j, tile);
    }
}

#endif
