/* The GEMM kernels for warpgroups (wgmma, sm_90a) as their launches see them. Kernel
 * gemm_hopper_TYPE_nN, or gemm_hopper_TYPE_nN_gate for GEMM_GATE, does tiles of GEMM_HOPPER_ROWS
 * weight rows × N rows of x; TYPE as in gemm_tiles.h, but F32 has none. A row of x gets the same
 * bits from each of them; they need not be those of the kernels of gemm_tiles.h.
 *
 * Tiles: with R row blocks, X tiles of x and S splits (1 unless splits_apart) as in gemm_tiles.h
 * there are R * X * S, numbered so that those of GEMM_HOPPER_BAND neighbouring tiles of x come
 * together. Block b does tiles b, b + grid, b + 2 grid ... Tile (split s, row block r, x tile i)
 * counts in gemm_args.counters[r * X + i], its part is number (r * X + i) * S + s of
 * gemm_args.parts, gemm_hopper_part_bytes each.
 *
 * In pairs of blocks, clusters of two: a row block is then 2 * GEMM_HOPPER_ROWS rows, of which the
 * blocks do half each, with the same rows of x; pair b does tiles b, b + grid / 2 ... */
#ifndef CUDA_KERNELS_GEMM_HOPPER_TILES_H
#define CUDA_KERNELS_GEMM_HOPPER_TILES_H

#include <stdbool.h>

#include "cuda/weight_layout.h"

enum {
    GEMM_HOPPER_NS = 6,
    GEMM_HOPPER_ROWS = 128,    /* two warpgroups, LAYOUT_ROWS to a warp */
    GEMM_HOPPER_THREADS = 384, /* one more asks for copies */
    GEMM_HOPPER_CONSUMERS = 256,
    GEMM_HOPPER_BAND = 8,
    GEMM_HOPPER_SUM_PITCH = 20, /* floats of a warp's rows of sums, so that banks differ */
    GEMM_HOPPER_SHARED_MOST = 226 * 1024
};

struct gemm_hopper_tile {
    uint32_t n;
    bool whole;           /* for weights without splits alone: registers hold one sum, not two */
    uint32_t run_units;   /* units of a stage of weights, with their header if the type has one */
    uint32_t run_bytes;   /* of a row tile in it */
    uint32_t run_stages;  /* of GEMM_HOPPER_ROWS rows, of both weights of GATE */
    uint32_t x_units;     /* of a stage of x: one, of e4m3 two */
    uint32_t x_bytes;     /* of it, of N rows: 128 each */
    uint32_t scale_bytes; /* with it, of e4m3: the rows' scales, or what these take */
    uint32_t x_stages;
    uint32_t runs_at;      /* in shared memory: after x and its scales */
    uint32_t sums_at;      /* likewise: of each warp, on their way out */
    uint32_t barriers_at;  /* likewise: full and empty of each stage of weights, then of x */
    uint32_t shared_bytes; /* of a launch; 0: there is no such kernel */
};

LAYOUT_CONSTANT uint32_t gemm_hopper_n(uint32_t index) {
    const uint32_t ns[GEMM_HOPPER_NS] = {8, 16, 32, 64, 128, 256};
    return ns[index];
}

/* Rows of x whose sums are on their way out at once. */
LAYOUT_CONSTANT uint32_t gemm_hopper_chunk(uint32_t n) {
    return n < 32 ? n : 32;
}

/* gate: 1 for the kernel of GEMM_GATE, else 0. */
LAYOUT_CONSTANT struct gemm_hopper_tile gemm_hopper_tile_of(uint32_t type, uint32_t gate,
                                                            uint32_t n) {
    const struct weight_format format = weight_layout_format(type);
    const uint32_t row_tiles = GEMM_HOPPER_ROWS / LAYOUT_ROWS * (1 + gate);
    struct gemm_hopper_tile tile = {n, false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    const bool bytes = type == LAYOUT_FP8_FP8;
    /* 128 registers of a thread for sums: (total, part) of one weight or two; of e4m3 there are the
     * sums of a block too. */
    const uint32_t most = bytes ? 64 : 128;
    tile.whole = n * (1 + gate) > most;
    if (type == WEIGHT_F32 || n * (1 + gate) > 2 * most) return tile;
    tile.run_units = LAYOUT_HEADER_COLS / LAYOUT_COLS;
    if (format.low_bits == 16) tile.run_units = n >= 64 || gate ? 1 : 2;
    tile.run_bytes = format.header_bytes + tile.run_units * weight_layout_unit_bytes(format);
    tile.x_units = bytes ? LAYOUT_BLOCK_COLS / LAYOUT_COLS : 1;
    tile.x_bytes = n * 128;
    tile.scale_bytes = !bytes ? 0 : n < 32 ? 128 : n * 4; /* the copy engine wants 128 */
    tile.x_stages = n >= 128 ? 4 : 8;
    const uint32_t sum_bytes = row_tiles * gemm_hopper_chunk(n) * GEMM_HOPPER_SUM_PITCH * 4;
    for (;; tile.x_stages /= 2) {
        const uint32_t others =
            tile.x_stages * (tile.x_bytes + tile.scale_bytes) + sum_bytes + 1024;
        tile.run_stages = (GEMM_HOPPER_SHARED_MOST - others) / (row_tiles * tile.run_bytes);
        if (tile.run_stages >= 2 || tile.x_stages == 2) break;
    }
    if (tile.run_stages > 12) tile.run_stages = 12;
    if (tile.run_stages < 2) return tile;
    tile.runs_at = tile.x_stages * (tile.x_bytes + tile.scale_bytes);
    tile.sums_at = tile.runs_at + tile.run_stages * row_tiles * tile.run_bytes;
    tile.barriers_at = tile.sums_at + sum_bytes;
    tile.shared_bytes = tile.barriers_at + 16 * (tile.run_stages + tile.x_stages) + 16; /* a flag */
    return tile;
}

/* Of one part in gemm_args.parts. */
LAYOUT_CONSTANT uint32_t gemm_hopper_part_bytes(uint32_t gate, uint32_t n) {
    return n * GEMM_HOPPER_ROWS * 4 * (1 + gate);
}

#endif
