/* Rows of the embedding. */
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/weight_value.cuh"

template <int type>
DEVICE void embed_row(const unsigned char *tiles, uint32_t token, uint32_t n, float scale,
                      float *out) {
    const unsigned char *tile = tiles + token / LAYOUT_ROWS * weight_tile_bytes<type>(n);
    for (uint32_t col = 4 * thread_index(); col < n; col += 4 * EMBED_THREADS) {
        quad x;
        /* Columns beyond the last one are zero weights, which the layout has. */
        for (uint32_t i = 0; i < 4; i++) x.v[i] = scale * weight_value<type>(tile, token, col + i);
        store_quad(out, col, n, x);
    }
}

KERNEL(embed, embed_args, EMBED_THREADS, 1) {
    uint32_t row = block_index(), n = args.n_cols;
    let_next_kernel_begin();
    wait_for_previous_kernel();
    float *out = args.out + (uint64_t)row * args.out_stride;
    const unsigned char *tiles = static_cast<const unsigned char *>(args.tiles);
    if (load_global<int32_t>(args.rows.sequence + row) < 0) {
        for (uint32_t col = 4 * thread_index(); col < n; col += 4 * EMBED_THREADS)
            store_quad(out, col, n, quad{{0.0f, 0.0f, 0.0f, 0.0f}});
        return;
    }
    uint32_t token = (uint32_t)load_global<int32_t>(args.rows.token + row);
    switch (args.type) {
#define ROW_OF(type)                                       \
    case type:                                             \
        embed_row<type>(tiles, token, n, args.scale, out); \
        break
        ROW_OF(WEIGHT_F32);
        ROW_OF(WEIGHT_F16);
        ROW_OF(WEIGHT_BF16);
        ROW_OF(WEIGHT_Q4_0);
        ROW_OF(WEIGHT_Q4_1);
        ROW_OF(WEIGHT_Q5_0);
        ROW_OF(WEIGHT_Q5_1);
        ROW_OF(WEIGHT_Q8_0);
        ROW_OF(WEIGHT_Q2_K);
        ROW_OF(WEIGHT_Q3_K);
        ROW_OF(WEIGHT_Q4_K);
        ROW_OF(WEIGHT_Q5_K);
        ROW_OF(WEIGHT_Q6_K);
        ROW_OF(WEIGHT_Q8_K);
#undef ROW_OF
    }
}
