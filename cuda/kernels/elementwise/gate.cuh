/* What is done to each element by itself. */
#ifndef CUDA_KERNELS_ELEMENTWISE_GATE_CUH
#define CUDA_KERNELS_ELEMENTWISE_GATE_CUH

#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/math.cuh"
#include "cuda/kernels/place.cuh"

template <typename Place> DEVICE void gate_run(const Place &place, const gate_args &args) {
    place_let_next_begin(place);
    place_wait(place);
    uint32_t quads = (args.n_cols + 3) / 4, step = place_blocks(place) * thread_count();
    for (uint32_t at = place_block(place) * thread_count() + thread_index();
         at < args.n_rows * quads; at += step) {
        uint64_t row = at / quads;
        uint32_t col = at % quads * 4;
        quad y = load_quad(args.gate + row * args.gate_stride, col, args.n_cols);
        if (args.up) {
            quad up = load_quad(args.up + row * args.up_stride, col, args.n_cols);
            for (uint32_t i = 0; i < 4; i++) y.v[i] = gate_apply(args.activation, y.v[i], up.v[i]);
        } else {
            for (uint32_t i = 0; i < 4; i++) y.v[i] = activation_apply(args.activation, y.v[i]);
        }
        store_quad(args.out + row * args.out_stride, col, args.n_cols, y);
    }
}

template <typename Place> DEVICE void softcap_run(const Place &place, const softcap_args &args) {
    place_let_next_begin(place);
    place_wait(place);
    uint32_t quads = (args.n_cols + 3) / 4, step = place_blocks(place) * thread_count();
    for (uint32_t at = place_block(place) * thread_count() + thread_index();
         at < args.n_rows * quads; at += step) {
        uint32_t col = at % quads * 4;
        float *row = args.x + (uint64_t)(at / quads) * args.stride;
        quad x = load_quad(row, col, args.n_cols);
        if (args.scale != 0.0f)
            for (uint32_t i = 0; i < 4; i++) x.v[i] *= args.scale;
        if (args.cap != 0.0f)
            for (uint32_t i = 0; i < 4; i++) x.v[i] = softcap_f32(x.v[i], args.cap);
        store_quad(row, col, args.n_cols, x);
    }
}

#endif
