/* What ldtilecfg loads: the shape of each tile. */
#ifndef CPU_KERNELS_TILE_CONFIG_H
#define CPU_KERNELS_TILE_CONFIG_H

#include <stdint.h>

#define TILE_ROWS 16
#define TILE_ROW_BYTES 64
#define TILE_BYTES (TILE_ROWS * TILE_ROW_BYTES)

struct tile_config {
    uint8_t palette; /* 1: eight tiles of up to 16 rows of 64 bytes */
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16]; /* of tile i; those after the eighth are 0 */
    uint8_t rows[16];
};
_Static_assert(sizeof(struct tile_config) == 64, "the processor reads 64 bytes");

#endif
