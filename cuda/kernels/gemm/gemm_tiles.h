/* The GEMM kernels as their launches see them. Kernel gemm_TYPE_nN (gemm_q4_k_n32), or
 * gemm_TYPE_nN_gate for GEMM_GATE, does blocks of `rows` weight rows × N activation rows, N of
 * gemm_tile_n; TYPE is the type's name in lower case (fp8, int4_32 and int4_64 of enum
 * layout_type). A row of x gets the same bits from each of them, so N is the selection's to
 * choose.
 *
 * Block b of the grid: with R row blocks (of all weights one after the other, each
 * ceil(n_rows / rows); of weights[0] alone for GATE) and X = ceil(n_x / N), row block b / X % R,
 * rows of x from b % X * N on, split b / X / R (of ceil(n_cols / split_cols) if splits_apart, else
 * 1). With groups X is max_groups, and tile i of x is group i. gemm_args.counters has R * X
 * zeros, gemm_args.parts R * X * splits * gemm_tile_part_bytes. */
#ifndef CUDA_KERNELS_GEMM_TILES_H
#define CUDA_KERNELS_GEMM_TILES_H

#include "cuda/weight_layout.h"

/* split_cols is a multiple of this, or at least n_cols. */
enum { GEMM_SPLIT_MULTIPLE = LAYOUT_HEADER_COLS };

enum {
    GEMM_TILE_NS = 5,
    GEMM_SHARED_MOST = 98 * 1024,    /* of a block: compute capability 8.6 and 8.9 have 99 KiB */
    GEMM_SHARED_WANTED = 64 * 1024,  /* two blocks and more on a multiprocessor */
    GEMM_SHARED_RESIDENT = 54 * 1024 /* four tasks of the persistent kernel on one of 228 KiB */
};

struct gemm_tile {
    uint32_t n, rows, threads;
    uint32_t stage_units, stages;      /* of the ring: units of a stage, how many stages */
    uint32_t headers;                  /* header slots, each for all row tiles */
    uint32_t unit_bytes, header_bytes; /* of all row tiles of a block, both weights of GATE */
    uint32_t x_bytes;                  /* of the activations in a stage */
    uint32_t sum_bytes;                /* of the sums on their way out, where the ring was */
    uint32_t shared_bytes;             /* of a launch; 0: there is no such kernel */
};

LAYOUT_CONSTANT uint32_t gemm_tile_n(uint32_t index) {
    const uint32_t ns[GEMM_TILE_NS] = {8, 16, 32, 64, 128};
    return ns[index];
}

LAYOUT_CONSTANT uint32_t gemm_tile_headers(uint32_t stages, uint32_t stage_units) {
    uint32_t per_header = LAYOUT_HEADER_COLS / LAYOUT_COLS;
    return ((stages - 1) * stage_units + per_header - 1) / per_header + 1;
}

LAYOUT_CONSTANT struct gemm_tile gemm_tile_ring(struct gemm_tile tile, uint32_t unit_x_bytes,
                                                uint32_t stage_units, uint32_t stages) {
    tile.stage_units = stage_units;
    tile.stages = stages;
    tile.headers = tile.header_bytes ? gemm_tile_headers(stages, stage_units) : 0;
    tile.x_bytes = stage_units * unit_x_bytes;
    tile.shared_bytes =
        stages * (stage_units * tile.unit_bytes + tile.x_bytes) + tile.headers * tile.header_bytes;
    if (tile.shared_bytes < tile.sum_bytes) tile.shared_bytes = tile.sum_bytes;
    tile.shared_bytes += 16; /* a flag */
    return tile;
}

/* gate: 1 for the kernel of GEMM_GATE, else 0. */
LAYOUT_CONSTANT struct gemm_tile gemm_tile_of(uint32_t type, uint32_t gate, uint32_t n) {
    const struct weight_format format = weight_layout_format(type);
    struct gemm_tile tile = {n, n <= 32 ? 64u : 128u, n <= 32 ? 128u : 256u, 0, 0, 0, 0, 0, 0, 0,
                             0};
    uint32_t row_tiles = tile.rows / LAYOUT_ROWS * (1 + gate);
    uint32_t unit_x_bytes = n * LAYOUT_COLS * (type == WEIGHT_F32 ? 4 : 2);
    uint32_t stage_units = n <= 16 ? 4 : n <= 32 ? 2 : 1, stages = 4;
    tile.unit_bytes = row_tiles * weight_layout_unit_bytes(format);
    tile.header_bytes = row_tiles * format.header_bytes;
    tile.sum_bytes = n * (tile.rows + 4) * 4 * (1 + gate);
    if (gate && n > 64) return tile; /* two sums of 128 rows don't fit the registers */
    while (stage_units > 1 && gemm_tile_ring(tile, unit_x_bytes, stage_units, stages).shared_bytes >
                                  GEMM_SHARED_WANTED)
        stage_units /= 2;
    while (stages > 2 &&
           gemm_tile_ring(tile, unit_x_bytes, stage_units, stages).shared_bytes > GEMM_SHARED_MOST)
        stages--;
    struct gemm_tile ring = gemm_tile_ring(tile, unit_x_bytes, stage_units, stages);
    return ring.shared_bytes <= GEMM_SHARED_MOST ? ring : tile;
}

/* The tile of the persistent kernel: that of N = 8, with the ring that has most bytes under way in
 * a task's share of shared memory; of equals the one with the longest stages. */
LAYOUT_CONSTANT struct gemm_tile gemm_tile_resident_of(uint32_t type, uint32_t gate) {
    const struct gemm_tile tile = gemm_tile_of(type, gate, 8);
    const uint32_t unit_x_bytes = 8 * LAYOUT_COLS * (type == WEIGHT_F32 ? 4 : 2);
    struct gemm_tile best = tile;
    uint32_t most = 0;
    for (uint32_t units = 4; units > 0; units /= 2)
        for (uint32_t stages = 2; stages <= 8; stages++) {
            const struct gemm_tile ring = gemm_tile_ring(tile, unit_x_bytes, units, stages);
            const uint32_t ahead = (stages - 1) * units;
            if (ring.shared_bytes > GEMM_SHARED_RESIDENT || ahead <= most) continue;
            most = ahead;
            best = ring;
        }
    return best;
}

/* Blocks that a multiprocessor is to have at once, for which a kernel's registers are bounded. */
LAYOUT_CONSTANT uint32_t gemm_tile_resident(uint32_t gate, uint32_t n) {
    return n <= 8 ? 4 : n <= 16 ? 4 - gate : n <= 32 ? 3 - gate : n <= 64 ? 2 - gate : 1;
}

/* Of one block in gemm_args.parts. */
LAYOUT_CONSTANT uint32_t gemm_tile_part_bytes(uint32_t gate, uint32_t n) {
    return n * (n <= 32 ? 64u : 128u) * 4 * (1 + gate);
}

#endif
