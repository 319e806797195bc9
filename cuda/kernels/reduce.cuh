/* The one reduction of a row by a block: every thread brings what it has of the row, every thread
 * gets the whole. The order of the additions depends on the number of threads alone: within a warp
 * by a butterfly, then over the warps in the same way. What a thread brings is its own affair; by
 * convention the elements i, i + n_threads, ... (or groups of four of them) in ascending order. */
#ifndef CUDA_KERNELS_REDUCE_CUH
#define CUDA_KERNELS_REDUCE_CUH

#include "cuda/kernels/ptx.cuh"

#define REDUCE_BYTES 512 /* shared memory of a reduction, at a multiple of 16 */

struct reduce_sum {
    template <typename T> DEVICE T of(T a, T b) {
        return a + b;
    }
};
/* Of floats none of which is a NaN, and of integers. */
struct reduce_max {
    template <typename T> DEVICE T of(T a, T b) {
        return a > b ? a : b;
    }
};

/* Butterfly over a warp: all lanes get the same, as a + b and b + a are the same bits. */
template <typename Op, typename T> DEVICE T warp_reduce(T value) {
    for (uint32_t mask = 16; mask > 0; mask /= 2) value = Op::of(value, shuffle_xor(value, mask));
    return value;
}

/* All threads of the block must call, at most 1,024 of them, whole warps. `nothing` is what changes
 * no value. The scratch may be used again after the call. */
template <typename Op, typename T> DEVICE T block_reduce(shared scratch, T value, T nothing) {
    static_assert(sizeof(T) <= 16, "32 of them fit the scratch");
    uint32_t n_warps = thread_count() / 32, lane = lane_index();
    value = warp_reduce<Op>(value);
    if (lane == 0) store_shared<T>(scratch + thread_index() / 32 * (uint32_t)sizeof(T), value);
    block_sync();
    value = nothing;
    if (lane < n_warps) value = load_shared<T>(scratch + lane * (uint32_t)sizeof(T));
    block_sync();
    return warp_reduce<Op>(value);
}

/* The same reduction over n_threads * N threads by a block of n_threads: thread t brings what
 * threads t, t + n_threads, ... would, and the order of the additions is theirs. */
template <typename Op, int N, typename T>
DEVICE T block_reduce_of(shared scratch, const T (&values)[N], T nothing) {
    uint32_t n_warps = thread_count() / 32, lane = lane_index();
#pragma unroll
    for (uint32_t i = 0; i < N; i++) {
        T value = warp_reduce<Op>(values[i]);
        uint32_t warp = i * n_warps + thread_index() / 32;
        if (lane == 0) store_shared<T>(scratch + warp * (uint32_t)sizeof(T), value);
    }
    block_sync();
    T value = nothing;
    if (lane < N * n_warps) value = load_shared<T>(scratch + lane * (uint32_t)sizeof(T));
    block_sync();
    return warp_reduce<Op>(value);
}

DEVICE float block_sum(shared scratch, float value) {
    return block_reduce<reduce_sum>(scratch, value, 0.0f);
}
DEVICE uint32_t block_sum_u32(shared scratch, uint32_t value) {
    return block_reduce<reduce_sum>(scratch, value, 0u);
}
/* Not NaN. */
DEVICE float block_max(shared scratch, float value) {
    return block_reduce<reduce_max>(scratch, value, from_bits(0xFF800000u));
}
DEVICE uint32_t block_max_u32(shared scratch, uint32_t value) {
    return block_reduce<reduce_max>(scratch, value, 0u);
}

/* How many bits are set. */
DEVICE uint32_t ones(uint32_t bits) {
    bits = bits - (bits >> 1 & 0x55555555u);
    bits = (bits & 0x33333333u) + (bits >> 2 & 0x33333333u);
    return ((bits + (bits >> 4)) & 0x0F0F0F0Fu) * 0x01010101u >> 24;
}

/* The sum of what the threads before this one bring, exact; total: of all. */
DEVICE uint64_t block_sum_before(shared scratch, uint64_t value, uint64_t *total) {
    uint32_t lane = lane_index(), n_warps = thread_count() / 32;
    uint64_t sum = value; /* of the lanes up to this one */
    for (uint32_t n = 1; n < 32; n *= 2) {
        uint64_t before = shuffle(sum, (lane - n) % 32);
        if (lane >= n) sum += before;
    }
    if (lane == 31) store_shared<uint64_t>(scratch + thread_index() / 32 * 8, sum);
    block_sync();
    uint64_t of_warp = 0, all = 0;
    if (lane < n_warps) of_warp = load_shared<uint64_t>(scratch + lane * 8);
    if (lane < thread_index() / 32) all = of_warp;
    block_sync();
    *total = warp_reduce<reduce_sum>(of_warp);
    return warp_reduce<reduce_sum>(all) + sum - value;
}

/* ---- the greatest value, the lowest index among equals ---- */

/* Floats that aren't NaN as integers in the same order; -0 is 0. As lib/sampling/rank.h. */
DEVICE uint32_t order_of(float value) {
    uint32_t bits = bits_of(value + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
DEVICE float value_of_order(uint32_t order) {
    return from_bits(order & 0x80000000u ? order & 0x7FFFFFFFu : ~order);
}

/* A value with its index as one integer: greater for the greater value, then for the lower index. A
 * NaN counts as -inf. */
DEVICE uint64_t ranked(float value, uint32_t index) {
    uint32_t order = value == value ? order_of(value) : order_of(from_bits(0xFF800000u));
    return (uint64_t)order << 32 | (0xFFFFFFFFu - index);
}
DEVICE uint32_t ranked_index(uint64_t rank) {
    return 0xFFFFFFFFu - (uint32_t)rank;
}
DEVICE float ranked_value(uint64_t rank) {
    return value_of_order((uint32_t)(rank >> 32));
}

/* A thread without any element brings 0. */
DEVICE uint64_t block_argmax(shared scratch, uint64_t rank) {
    return block_reduce<reduce_max>(scratch, rank, (uint64_t)0);
}

#endif
