/* Kernels that show what the machine does: the bits of mma.sync, and how fast memory is read by how
 * many blocks with how much of it in flight. */
#include "cuda/kernels/ptx.cuh"
#include "tests/gpu/probe_chain.cuh"

/* ---- the bits of a product ---- */

DEVICE uint32_t pair(const uint16_t *low, const uint16_t *high) {
    return (uint32_t)load_global<uint16_t>(low) | (uint32_t)load_global<uint16_t>(high) << 16;
}

KERNEL(probe_mma, struct probe_mma_args, 32, 1) {
    const struct probe_case *c = args.cases + block_index();
    struct probe_sum *sum = args.sums + block_index();
    uint32_t g = lane_index() / 4, t = lane_index() % 4 * 2;
    uint32_t a[4], b[2];
    float d[4];
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t row = g + i % 2 * 8, k = t + i / 2 * 8;
        a[i] = pair(&c->a[row][k], &c->a[row][k + 1]);
    }
    for (uint32_t i = 0; i < 2; i++) b[i] = pair(&c->b[t + i * 8][g], &c->b[t + i * 8 + 1][g]);
    for (uint32_t i = 0; i < 4; i++) d[i] = load_global<float>(&c->c[g + i / 2 * 8][t + i % 2]);
    if (args.type == PROBE_BF16)
        mma_bf16(d, a, b);
    else
        mma_f16(d, a, b);
    for (uint32_t i = 0; i < 4; i++) store_global(&sum->d[g + i / 2 * 8][t + i % 2], d[i]);
}

KERNEL(probe_chain_bf16, struct probe_chain_args, 32, 1) {
    chain<PROBE_BF16>(args);
}
KERNEL(probe_chain_f16, struct probe_chain_args, 32, 1) {
    chain<PROBE_F16>(args);
}

/* ---- the rate of reading ---- */

template <uint32_t in_flight> DEVICE void read_all(const struct probe_read_args &args) {
    const uint64_t step = (uint64_t)PROBE_THREADS * in_flight;
    const struct u32x4 *from = static_cast<const struct u32x4 *>(args.from);
    uint64_t n = args.n_bytes / sizeof(struct u32x4);
    uint32_t sum = 0;
    for (uint64_t at = block_index() * step; at < n; at += block_count() * step) {
        struct u32x4 words[in_flight];
#pragma unroll
        for (uint32_t i = 0; i < in_flight; i++)
            words[i] = load_stream<struct u32x4>(from + at + i * PROBE_THREADS + thread_index());
#pragma unroll
        for (uint32_t i = 0; i < in_flight; i++)
            sum ^= words[i].x ^ words[i].y ^ words[i].z ^ words[i].w;
    }
    if (sum == 0x5eed1e55) store_global(args.sink, sum);
}

KERNEL(probe_read_1, struct probe_read_args, PROBE_THREADS, 4) {
    read_all<1>(args);
}
KERNEL(probe_read_2, struct probe_read_args, PROBE_THREADS, 4) {
    read_all<2>(args);
}
KERNEL(probe_read_4, struct probe_read_args, PROBE_THREADS, 4) {
    read_all<4>(args);
}
KERNEL(probe_read_8, struct probe_read_args, PROBE_THREADS, 4) {
    read_all<8>(args);
}

KERNEL(probe_copy, struct probe_copy_args, PROBE_THREADS, 4) {
    const uint32_t in_flight = 4;
    const uint64_t step = (uint64_t)PROBE_THREADS * in_flight;
    const struct u32x4 *from = static_cast<const struct u32x4 *>(args.from);
    struct u32x4 *to = static_cast<struct u32x4 *>(args.to);
    uint64_t n = args.n_bytes / sizeof(struct u32x4);
    for (uint64_t at = block_index() * step; at < n; at += block_count() * step) {
        struct u32x4 words[in_flight];
#pragma unroll
        for (uint32_t i = 0; i < in_flight; i++)
            words[i] = load_stream<struct u32x4>(from + at + i * PROBE_THREADS + thread_index());
#pragma unroll
        for (uint32_t i = 0; i < in_flight; i++)
            store_global(to + at + i * PROBE_THREADS + thread_index(), words[i]);
    }
}

/* Every thread reads back what it copied itself, so that the ring needs no barrier: what is
 * measured is the depth. */
template <uint32_t depth> DEVICE void read_ring(const struct probe_read_args &args) {
    const struct u32x4 *from = static_cast<const struct u32x4 *>(args.from);
    const uint64_t n = args.n_bytes / sizeof(struct u32x4) / PROBE_THREADS; /* steps in all */
    const uint64_t mine = n > block_index() ? (n - block_index() - 1) / block_count() + 1 : 0;
    const shared slot = shared_memory() + thread_index() * 16;
    uint32_t sum = 0;
    for (uint64_t i = 0; i < mine + depth - 1; i++) {
        if (i < mine)
            copy_async16(
                slot + (uint32_t)(i % depth) * (PROBE_THREADS * 16),
                from + (block_index() + i * block_count()) * PROBE_THREADS + thread_index(), true);
        copy_async_commit();
        if (i + 1 < depth) continue;
        copy_async_wait<depth - 1>();
        uint64_t done = i + 1 - depth;
        struct u32x4 word =
            load_shared<struct u32x4>(slot + (uint32_t)(done % depth) * (PROBE_THREADS * 16));
        sum ^= word.x ^ word.y ^ word.z ^ word.w;
    }
    if (sum == 0x5eed1e55) store_global(args.sink, sum);
}

KERNEL(probe_ring_2, struct probe_read_args, PROBE_THREADS, 4) {
    read_ring<2>(args);
}
KERNEL(probe_ring_4, struct probe_read_args, PROBE_THREADS, 4) {
    read_ring<4>(args);
}
KERNEL(probe_ring_8, struct probe_read_args, PROBE_THREADS, 4) {
    read_ring<8>(args);
}
KERNEL(probe_ring_16, struct probe_read_args, PROBE_THREADS, 1) {
    read_ring<16>(args);
}
