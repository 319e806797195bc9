/* How weights lie on the device: fragments of mma.sync's A operand, so that a lane's pieces are
 * consecutive and loads are 16 bytes wide. One layout for prefill and decode.
 *
 * A weight [n_rows][n_cols] is cut into row tiles of LAYOUT_ROWS rows; a row tile is a run of units
 * of LAYOUT_COLS columns, columns ascending, absent rows and columns being zero weights. */
#ifndef CUDA_WEIGHT_LAYOUT_H
#define CUDA_WEIGHT_LAYOUT_H

#include "quant/weight_type.h"

enum { LAYOUT_ROWS = 16, LAYOUT_COLS = 64 };

static inline size_t weight_layout_padded_cols(size_t n_cols) {
    return (n_cols + LAYOUT_COLS - 1) / LAYOUT_COLS * LAYOUT_COLS;
}
/* Bytes of a row tile, a multiple of 16. */
size_t weight_layout_tile_bytes(enum weight_type type, size_t n_cols);
/* n_rows (1 ... LAYOUT_ROWS) rows of file bytes, row_bytes apart, any alignment → one row tile. */
void weight_layout_pack(enum weight_type type, const void *rows, size_t row_bytes, size_t n_rows,
                        size_t n_cols, void *tile);
/* One row of a tile as f32, exactly what weight_type_traits.dequantize gives. For tests. */
void weight_layout_unpack_row(enum weight_type type, const void *tile, size_t row, size_t n_cols,
                              float *to);

#endif
