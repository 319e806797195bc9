/* Weights as the vector kernels read them: a group of rows interleaved, so that a lane owns a row.
 * A file block is cut into units (a scale, four bytes of quants); unit u of every row of the group
 * lies together, in the order of the packing's fields, block after block of k. */
#ifndef CPU_KERNELS_PACKING_H
#define CPU_KERNELS_PACKING_H

#include "quant/weight_type.h"

struct packing_field {
    uint16_t offset; /* in the (widened) block */
    uint8_t unit;    /* bytes: 1, 2 or 4 */
    uint8_t count;   /* units; 0 ends the list */
};

#define PACKING_BLOCK_BYTES 256 /* no widened block is longer */

struct packing {
    enum weight_type type;
    size_t columns;     /* of a packed block: as many of the type's blocks; the last may be cut */
    size_t block_bytes; /* of one row's widened block */
    struct packing_field fields[5];
    /* Where the file's bits lie badly for a vector: file block → widened block, and back without
     * loss. NULL: the block as it is. */
    void (*widen)(const uint8_t *block, uint8_t *wide);
    void (*narrow)(const uint8_t *wide, uint8_t *block);
    /* Instead of narrow, where the way back is long: the widened block's `columns` values, with the
     * bits of the type's dequantize. */
    void (*values)(const uint8_t *wide, float *to);
};

/* block_bytes 0: none. */
extern const struct packing packing_rows[WEIGHT_TYPES];
/* bf16 where two columns multiply into one sum. */
extern const struct packing packing_bf16_pairs;

/* The functions of struct linear_kernel (cpu/kernels.h), for groups of group_rows. */
size_t packing_group_bytes(const struct packing *packing, size_t group_rows, size_t n_cols);
void packing_pack(const struct packing *packing, size_t group_rows, const void *rows,
                  size_t row_bytes, size_t n_rows, size_t n_cols, void *group);
void packing_unpack_row(const struct packing *packing, size_t group_rows, const void *group,
                        size_t row, size_t n_cols, float *to);

#endif
