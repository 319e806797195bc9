/* Norms of rows, with the sum before them and the preparation for the product after them. A row is
 * read again for each thing that is computed of it, from L1: then any width will do. */
#ifndef CUDA_KERNELS_ELEMENTWISE_NORM_CUH
#define CUDA_KERNELS_ELEMENTWISE_NORM_CUH

#include "cuda/kernels/attention/kv_values.cuh"
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/place.cuh"
#include "cuda/kernels/reduce.cuh"
#include "cuda/weight_layout.h"

/* A row's sums are those of NORM_THREADS threads, each with every NORM_THREADS-th group of four
 * columns, whether so many threads are there or each does what `N` of them would. Groups of one of
 * these, from group `first` on: */
#define NORM_STEP (4 * NORM_THREADS) /* columns that they have together */

/* A norm with what it needs to know of the row. */
struct row_norm {
    const float *weight, *bias;
    bool scales;
    float mean, factor;
};

DEVICE quad apply_norm(const row_norm &norm, quad x, uint32_t col, uint32_t n) {
    if (!norm.scales) return x;
    for (uint32_t i = 0; i < 4; i++) x.v[i] = (x.v[i] - norm.mean) * norm.factor;
    if (norm.weight) {
        quad weight = load_quad(norm.weight, col, n);
        for (uint32_t i = 0; i < 4; i++) x.v[i] *= weight.v[i];
    }
    if (norm.bias) {
        quad bias = load_quad(norm.bias, col, n);
        for (uint32_t i = 0; i < 4; i++) x.v[i] += bias.v[i];
    }
    return x;
}

/* in, or in + add_norm(add). */
struct row_source {
    const float *in, *add;
    row_norm add_norm;
    uint32_t n_cols;
    float add_scale; /* 0: as it is */
    bool scales_sum;
    float sum_scale;
};

DEVICE quad load_source(const row_source &source, uint32_t col) {
    quad x = load_quad(source.in, col, source.n_cols);
    if (!source.add) return x;
    quad added = load_quad(source.add, col, source.n_cols);
    added = apply_norm(source.add_norm, added, col, source.n_cols);
    if (source.add_scale != 0.0f)
        for (uint32_t i = 0; i < 4; i++) added.v[i] *= source.add_scale;
    for (uint32_t i = 0; i < 4; i++) x.v[i] += added.v[i];
    if (source.scales_sum)
        for (uint32_t i = 0; i < 4; i++) x.v[i] *= source.sum_scale;
    return x;
}

/* f(column, which of the N) of this thread's columns, each of the N having its own in order. */
template <int N, typename F> DEVICE void each_norm_quad(uint32_t n_cols, F f) {
    for (uint32_t first = 4 * thread_index(); first < n_cols; first += NORM_STEP)
#pragma unroll
        for (uint32_t i = 0; i < N; i++) {
            uint32_t col = first + i * (NORM_STEP / N);
            if (col < n_cols) f(col, i);
        }
}

template <int N> DEVICE float mean_of(const row_source &source) {
    float sum[N] = {};
    each_norm_quad<N>(source.n_cols, [&](uint32_t col, uint32_t which) {
        quad x = load_source(source, col);
        sum[which] += (x.v[0] + x.v[1]) + (x.v[2] + x.v[3]);
    });
    return block_reduce_of<reduce_sum>(shared_memory(), sum, 0.0f) / (float)source.n_cols;
}

template <int N> DEVICE float variance_of(const row_source &source, float mean) {
    float sum[N] = {};
    each_norm_quad<N>(source.n_cols, [&](uint32_t col, uint32_t which) {
        quad x = load_source(source, col);
        uint32_t size = quad_size(col, source.n_cols);
        for (uint32_t i = 0; i < 4; i++) {
            float deviation = i < size ? x.v[i] - mean : 0.0f;
            sum[which] = fma_f32(deviation, deviation, sum[which]);
        }
    });
    return block_reduce_of<reduce_sum>(shared_memory(), sum, 0.0f) / (float)source.n_cols;
}

template <int N> DEVICE row_norm measure(const norm_weights &weights, const row_source &source) {
    row_norm norm = {weights.weight, weights.bias, weights.kind != KIND_NORM_NONE, 0.0f, 1.0f};
    if (!norm.scales) return norm;
    if (weights.kind == KIND_NORM_LAYER) norm.mean = mean_of<N>(source);
    norm.factor = 1.0f / sqrt_f32(variance_of<N>(source, norm.mean) + weights.eps);
    return norm;
}

/* The power of two that brings the greatest magnitude of the row to 2^14 ... 2^15, and its inverse;
 * both are normal numbers. magnitude: its bits. */
DEVICE float scale_of(uint32_t magnitude, float *inverse) {
    uint32_t exponent = magnitude >> 23; /* inf and NaN: those of 2^128, whatever the rest is */
    uint32_t scale = exponent > 14 ? exponent - 14 : 1;
    *inverse = from_bits((254 - scale) << 23);
    return from_bits(scale << 23);
}

/* norm(x), zeros beyond the end of the row: mean and bias would say something there. */
DEVICE quad load_normed(const row_source &source, const row_norm &norm, uint32_t col) {
    quad y = apply_norm(norm, load_source(source, col), col, source.n_cols);
    uint32_t size = quad_size(col, source.n_cols);
    for (uint32_t i = 0; i < 4; i++) y.v[i] = i < size ? y.v[i] : 0.0f;
    return y;
}

template <int N>
DEVICE uint32_t greatest_magnitude(const row_source &source, const row_norm &norm) {
    uint32_t greatest = 0;
    for (uint32_t col = 4 * thread_index(); col < source.n_cols; col += NORM_STEP / N) {
        quad y = load_normed(source, norm, col);
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t magnitude = bits_of(y.v[i]) & 0x7FFFFFFFu;
            greatest = magnitude > greatest ? magnitude : greatest;
        }
    }
    return block_max_u32(shared_memory(), greatest);
}

/* What bf16 leaves of x; nothing where that is infinite, as inf - inf is no number. */
DEVICE float rest_of_bf16(float x, uint16_t rounded) {
    return (rounded & 0x7FFFu) == 0x7F80u ? 0.0f : x - bf16_to_f32(rounded);
}

DEVICE void store_bf16(char *to, uint32_t col, const quad &y) {
    store_global<u32x2>(to + 2 * col, u32x2{pack_bf16(y.v[0], y.v[1]), pack_bf16(y.v[2], y.v[3])});
}

DEVICE void store_split(char *to, uint32_t col, uint32_t n_padded, const quad &y) {
    u32x2 upper = {pack_bf16(y.v[0], y.v[1]), pack_bf16(y.v[2], y.v[3])};
    quad rest = {
        {rest_of_bf16(y.v[0], (uint16_t)upper.x), rest_of_bf16(y.v[1], (uint16_t)(upper.x >> 16)),
         rest_of_bf16(y.v[2], (uint16_t)upper.y), rest_of_bf16(y.v[3], (uint16_t)(upper.y >> 16))}};
    store_global<u32x2>(to + 2 * col, upper);
    store_bf16(to + 2 * n_padded, col, rest);
}

DEVICE void store_f16(char *to, uint32_t col, float inverse_scale, const quad &y) {
    store_global<u32x2>(to + 2 * col,
                        u32x2{pack_f16(y.v[0] * inverse_scale, y.v[1] * inverse_scale),
                              pack_f16(y.v[2] * inverse_scale, y.v[3] * inverse_scale)});
}

DEVICE char *prepared_row(const norm_args &args, uint32_t kind, uint32_t row) {
    char *to = static_cast<char *>(args.to[kind]);
    return to ? to + (uint64_t)row * args.to_stride[kind] : nullptr;
}

/* The row as e4m3: a warp has a block's columns, four to a lane. */
template <int N>
DEVICE void prepare_e4m3(const norm_args &args, const row_source &source, const row_norm &norm,
                         uint32_t row, char *to) {
    static_assert(LAYOUT_BLOCK_COLS == 4 * 32, "a warp's columns");
    const float least = 0x1p-100f; /* so that a scale and its inverse are normal numbers */
    const uint32_t lane = lane_index(), first = thread_index() / 32 * LAYOUT_BLOCK_COLS;
    for (uint32_t block = first; block < args.n_padded; block += NORM_STEP / N) {
        const uint32_t col = block + 4 * lane;
        quad y = {{0.0f, 0.0f, 0.0f, 0.0f}};
        if (col < source.n_cols) y = load_normed(source, norm, col);
        uint32_t greatest = bits_of(least);
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t magnitude = bits_of(y.v[i]) & 0x7FFFFFFFu;
            greatest = magnitude > greatest ? magnitude : greatest;
        }
        greatest = warp_reduce<reduce_max>(greatest); /* inf and NaN are greater than all else */
        const float most = from_bits(greatest), inverse = 448.0f / most;
        if (lane == 0)
            store_global<float>(args.block_scale +
                                    (uint64_t)(block / LAYOUT_BLOCK_COLS) * args.block_stride + row,
                                most / 448.0f);
        if (col >= args.n_padded) continue;
        char *pair = to + (col / 16 * 16 + col % 8 / 2 * 4 + col % 16 / 8 * 2);
        for (uint32_t i = 0; i < 2; i++) {
            const uint32_t low = e4m3_of(y.v[2 * i] * inverse);
            const uint32_t high = e4m3_of(y.v[2 * i + 1] * inverse);
            store_global<uint16_t>(pair + 4 * i, (uint16_t)(low | high << 8));
        }
    }
}

/* A block of NORM_THREADS / N threads. */
template <int N, typename Place> DEVICE void norm_run(const Place &place, const norm_args &args) {
    uint32_t row = place_block(place), n = args.n_cols;
    place_let_next_begin(place);
    place_wait(place);
    uint64_t from = args.index ? (uint64_t)load_global<int32_t>(args.index + row) : row;

    uint64_t head = args.head_rows ? row / args.head_rows : 0;
    if (args.head_rows) from = row % args.head_rows;
    uint64_t out_row = row, first = head * args.in_head;
    if (args.parts > 1) {
        first = (uint64_t)(row % args.parts) * n;
        from = out_row = row / args.parts;
    }
    row_source source = {args.in + from * args.in_stride + first,
                         nullptr,
                         {},
                         n,
                         args.add_scale,
                         args.sum_scale != nullptr,
                         args.sum_scale ? load_global<float>(args.sum_scale) : 1.0f};
    if (args.add) {
        const float *add = args.add + from * args.add_stride + (args.parts > 1 ? first : 0);
        row_source added = {add, nullptr, {}, n, 0.0f, false, 1.0f};
        source.add_norm = measure<N>(args.add_norm, added);
        source.add = added.in;
        if (args.sum) {
            float *sum = args.sum + (uint64_t)row * args.sum_stride;
            for (uint32_t col = 4 * thread_index(); col < n; col += NORM_STEP / N)
                store_quad(sum, col, n, load_source(source, col));
            source.in = sum; /* a thread reads only what itself has written */
            source.add = nullptr;
        }
    }
    row_norm norm = measure<N>(args.norm, source);

    float *normed = args.normed ? args.normed + out_row * args.normed_stride : nullptr;
    if (normed && args.parts > 1) normed += first;
    char *bf16 = prepared_row(args, CUDA_ACTIVATION_BF16, row);
    char *f16 = prepared_row(args, CUDA_ACTIVATION_F16, row);
    char *split = prepared_row(args, CUDA_ACTIVATION_SPLIT, row);
    float inverse_scale = 1.0f;
    if (f16) {
        float scale = scale_of(greatest_magnitude<N>(source, norm), &inverse_scale);
        if (thread_index() == 0) store_global<float>(args.scale + row, scale);
    }
    for (uint32_t col = 4 * thread_index(); col < args.n_padded; col += NORM_STEP / N) {
        quad y = {{0.0f, 0.0f, 0.0f, 0.0f}};
        if (col < n) {
            y = load_normed(source, norm, col);
            if (normed) store_quad(normed, col, n, y);
        }
        if (bf16) store_bf16(bf16, col, y);
        if (f16) store_f16(f16, col, inverse_scale, y);
        if (split) store_split(split, col, args.n_padded, y);
    }
    char *e4m3 = prepared_row(args, CUDA_ACTIVATION_E4M3, row);
    if (e4m3) prepare_e4m3<N>(args, source, norm, row, e4m3);
}

#endif
