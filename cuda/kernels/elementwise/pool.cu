/* The hidden states of a sequence to one vector. */
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/reduce.cuh"

#define STEP (4 * POOL_THREADS)

DEVICE quad sum_of_rows(const pool_args &args, const pool_sequence &sequence, float *sum,
                        uint32_t col) {
    const float *row = args.in + (uint64_t)sequence.first_row * args.in_stride;
    int32_t i = 0;
    quad total;
    if (sequence.begins) {
        total = load_quad(row, col, args.n_cols);
        i = 1;
    } else {
        total = load_quad(sum, col, args.n_cols);
    }
    for (; i < sequence.n_rows; i++) {
        quad x = load_quad(row + (uint64_t)i * args.in_stride, col, args.n_cols);
        for (uint32_t j = 0; j < 4; j++) total.v[j] += x.v[j];
    }
    return total;
}

DEVICE quad pooled(const pool_args &args, const pool_sequence &sequence, float *sum, uint32_t col) {
    if (args.kind == KIND_POOLING_MEAN) {
        quad total = sum_of_rows(args, sequence, sum, col);
        if (sequence.n_total == 0) {
            store_quad(sum, col, args.n_cols, total);
            return total;
        }
        for (uint32_t i = 0; i < 4; i++) total.v[i] /= (float)sequence.n_total;
        return total;
    }
    int32_t row = sequence.first_row;
    if (args.kind == KIND_POOLING_LAST) row += sequence.n_rows - 1;
    return load_quad(args.in + (uint64_t)row * args.in_stride, col, args.n_cols);
}

KERNEL(pool, pool_args, POOL_THREADS, 1) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    pool_sequence sequence = load_global<pool_sequence>(args.sequences + block_index());
    uint64_t offset = (uint64_t)block_index() * args.out_stride;
    float *out = args.out + offset, *sum = args.sum ? args.sum + offset : nullptr;
    bool ends = sequence.n_total > 0;
    float squares = 0.0f;
    for (uint32_t col = 4 * thread_index(); col < args.n_cols; col += STEP) {
        quad x = pooled(args, sequence, sum, col); /* zeros beyond the end */
        for (uint32_t i = 0; i < 4; i++) squares = fma_f32(x.v[i], x.v[i], squares);
        if (ends) store_quad(out, col, args.n_cols, x);
    }
    if (!ends || !args.normalize) return;
    float length = sqrt_f32(block_sum(shared_memory(), squares));
    if (!(length > 0.0f)) return;
    for (uint32_t col = 4 * thread_index(); col < args.n_cols; col += STEP) {
        quad x = load_quad(out, col, args.n_cols);
        for (uint32_t i = 0; i < 4; i++) x.v[i] /= length;
        store_quad(out, col, args.n_cols, x);
    }
}
