/* A chain of mma.sync products for the probes; one warp does 16 rows and 8 columns. */
#ifndef TESTS_GPU_PROBE_CHAIN_CUH
#define TESTS_GPU_PROBE_CHAIN_CUH

#include "cuda/kernels/ptx.cuh"
#include "tests/gpu/probe_args.h"

/* Fragments have the same bytes at the same place whatever the elements' size. */
template <enum probe_type type> DEVICE void chain(const struct probe_chain_args &args) {
    const uint32_t n_tiles = PROBE_ROWS / 16 * (args.n / 8);
    const uint32_t problem = block_index() / n_tiles, tile = block_index() % n_tiles;
    const uint32_t g = lane_index() / 4, t = lane_index() % 4;
    const uint32_t row = tile % (PROBE_ROWS / 16) * 16 + g;
    const uint32_t column = tile / (PROBE_ROWS / 16) * 8;
    const uint8_t *a_rows = args.a + (uint64_t)problem * PROBE_ROWS * PROBE_K_BYTES;
    const uint8_t *b_rows = args.b + (uint64_t)problem * args.n * PROBE_K_BYTES;
    const uint64_t sums = (uint64_t)problem * PROBE_ROWS * args.n;
    float d[4];
    for (uint32_t i = 0; i < 4; i++) {
        const uint64_t at = sums + (row + i / 2 * 8) * args.n + column + 2 * t + i % 2;
        d[i] = args.begin == PROBE_ONTO ? load_global<float>(args.c + at) : 0;
    }
    for (uint32_t k = 0; k < PROBE_K_BYTES; k += 32) {
        uint32_t a[4], b[2];
        for (uint32_t i = 0; i < 4; i++)
            a[i] = load_global<uint32_t>(a_rows + (row + i % 2 * 8) * PROBE_K_BYTES + k +
                                         i / 2 * 16 + 4 * t);
        for (uint32_t i = 0; i < 2; i++)
            b[i] =
                load_global<uint32_t>(b_rows + (column + g) * PROBE_K_BYTES + k + i * 16 + 4 * t);
        if (type == PROBE_BF16)
            mma_bf16(d, a, b);
        else if (type == PROBE_F16)
            mma_f16(d, a, b);
        else
            mma_e4m3(d, a, b);
    }
    for (uint32_t i = 0; i < 4; i++)
        store_global(args.d + sums + (row + i / 2 * 8) * args.n + column + 2 * t + i % 2, d[i]);
}

#endif
