/* What is done to each element by itself. */
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/math.cuh"

KERNEL(gate, gate_args, GATE_THREADS, 4) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    uint32_t quads = (args.n_cols + 3) / 4, step = block_count() * GATE_THREADS;
    for (uint32_t at = block_index() * GATE_THREADS + thread_index(); at < args.n_rows * quads;
         at += step) {
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

KERNEL(softcap, softcap_args, SOFTCAP_THREADS, 4) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    uint32_t quads = (args.n_cols + 3) / 4, step = block_count() * SOFTCAP_THREADS;
    for (uint32_t at = block_index() * SOFTCAP_THREADS + thread_index(); at < args.n_rows * quads;
         at += step) {
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
