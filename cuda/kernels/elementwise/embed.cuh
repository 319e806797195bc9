/* Rows of the embedding. */
#ifndef CUDA_KERNELS_ELEMENTWISE_EMBED_CUH
#define CUDA_KERNELS_ELEMENTWISE_EMBED_CUH

#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/place.cuh"
#include "cuda/kernels/weight_value.cuh"

/* A row of a weight, times scale, into `out` or onto what is there. */
struct row_place {
    float *out;
    uint32_t n;
    float scale;
    bool add;
};

template <int type>
DEVICE void embed_row(const unsigned char *tiles, uint32_t row, const row_place &to) {
    const unsigned char *tile = tiles + row / LAYOUT_ROWS * weight_tile_bytes<type>(to.n);
    for (uint32_t col = 4 * thread_index(); col < to.n; col += 4 * thread_count()) {
        quad x;
        /* Columns beyond the last one are zero weights, which the layout has. */
        for (uint32_t i = 0; i < 4; i++) x.v[i] = to.scale * weight_value<type>(tile, row, col + i);
        if (to.add) { /* a thread reads only what itself has written */
            quad before = load_quad(to.out, col, to.n);
            for (uint32_t i = 0; i < 4; i++) x.v[i] += before.v[i];
        }
        store_quad(to.out, col, to.n, x);
    }
}

DEVICE void embed_any(uint32_t type, const void *tiles, uint32_t row, const row_place &to) {
    const unsigned char *bytes = static_cast<const unsigned char *>(tiles);
    switch (type) {
#define ROW_OF(type)                     \
    case type:                           \
        embed_row<type>(bytes, row, to); \
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
    case LAYOUT_FP8_FP8: /* packed alike */
        ROW_OF(LAYOUT_FP8);
#undef ROW_OF
    }
}

template <typename Place> DEVICE void embed_run(const Place &place, const embed_args &args) {
    uint32_t row = place_block(place), n = args.n_cols;
    place_let_next_begin(place);
    place_wait(place);
    float *out = args.out + (uint64_t)row * args.out_stride;
    if (load_global<int32_t>(args.rows.sequence + row) < 0) {
        for (uint32_t col = 4 * thread_index(); col < n; col += 4 * thread_count())
            store_quad(out, col, n, quad{{0.0f, 0.0f, 0.0f, 0.0f}});
        return;
    }
    uint32_t token = (uint32_t)load_global<int32_t>(args.rows.token + row);
    embed_any(args.type, args.tiles, token, row_place{out, n, args.scale, false});
    row_place onto = {out, n, 1.0f, true};
    if (args.position_tiles) {
        uint32_t at = (uint32_t)load_global<int64_t>(args.rows.position + row);
        embed_any(args.position_type, args.position_tiles, at + args.position_offset, onto);
    }
    if (args.token_type_tiles)
        embed_any(args.token_type_type, args.token_type_tiles,
                  load_global<uint8_t>(args.token_type + row), onto);
}

#endif
