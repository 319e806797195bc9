/* Kernels that test the emulator: right ones, and copies of them that are broken in one place. */
#include "cuda/kernels/ptx_persistent.cuh"

#include "tests/gpu/emulator/demonstration.h"

enum fault {
    NO_FAULT,
    NO_BARRIER,        /* the copies of other threads are read before all have waited */
    WRONG_SWIZZLE,     /* rows are read where the chunk of another one lies */
    WRONG_PHASE,       /* a wait that leaves the copy under way that is read next */
    NO_SECOND_BARRIER, /* a stage is copied over while others still read it */
    PAST_THE_END,      /* the last stage is one too many */
};

DEVICE uint32_t chunk_at(uint32_t row, uint32_t chunk) {
    return row * 128 + (chunk ^ row % 8) * 16;
}

DEVICE void copy_rows(shared to, const uint16_t *from, uint32_t first, uint32_t n_rows, uint32_t n,
                      uint32_t k0, uint32_t k) {
    for (uint32_t i = thread_index(); i < n_rows * 8; i += thread_count()) {
        const uint32_t row = i / 8, chunk = i % 8, column = k0 + chunk * 8;
        const bool valid = first + row < n && column < k;
        copy_async16(to + chunk_at(row, chunk),
                     valid ? from + (uint64_t)(first + row) * k + column : from, valid);
    }
}

template <enum fault fault> DEVICE void product(const struct product_args &args) {
    const uint32_t n_row_tiles = (args.m + PRODUCT_ROWS - 1) / PRODUCT_ROWS;
    const uint32_t first_row = block_index() % n_row_tiles * PRODUCT_ROWS;
    const uint32_t first_column = block_index() / n_row_tiles * PRODUCT_COLUMNS;
    const uint32_t n_steps = (args.k + 63) / 64 + (fault == PAST_THE_END);
    const uint32_t lane = lane_index(), warp = warp_index();
    float d[4] = {0, 0, 0, 0};
    for (uint32_t step = 0; step <= n_steps; step++) {
        if (step < n_steps) {
            const shared stage = shared_memory() + step % 2 * PRODUCT_STAGE;
            const uint32_t k = fault == PAST_THE_END ? args.k + 64 : args.k;
            copy_rows(stage, args.a, first_row, 32, args.m, step * 64, k);
            copy_rows(stage + 32 * 128, args.b, first_column, 8, args.n, step * 64, k);
        }
        copy_async_commit();
        if (step == 0) continue;
        copy_async_wait<fault == WRONG_PHASE ? 2 : 1>();
        if (fault != NO_BARRIER) block_sync();
        const shared stage = shared_memory() + (step - 1) % 2 * PRODUCT_STAGE;
        for (uint32_t k = 0; k < 4; k++) {
            uint32_t a[4], b[2];
            const uint32_t row = warp * 16 + lane % 16, column = lane % 8;
            const uint32_t turned = fault == WRONG_SWIZZLE ? 1 : 0;
            load_matrix4(a, stage + chunk_at(row, (2 * k + lane / 16) ^ turned));
            load_matrix2(b, stage + 32 * 128 + chunk_at(column, 2 * k + lane / 8 % 2));
            mma_bf16(d, a, b);
        }
        if (fault != NO_SECOND_BARRIER) block_sync();
    }
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t row = first_row + warp * 16 + lane / 4 + i / 2 * 8;
        const uint32_t column = first_column + lane % 4 * 2 + i % 2;
        if (row < args.m && column < args.n)
            store_global(args.y + (uint64_t)row * args.n + column, d[i]);
    }
}

KERNEL(emulator_product, struct product_args, PRODUCT_THREADS, 1) {
    product<NO_FAULT>(args);
}
KERNEL(emulator_no_barrier, struct product_args, PRODUCT_THREADS, 1) {
    product<NO_BARRIER>(args);
}
KERNEL(emulator_wrong_swizzle, struct product_args, PRODUCT_THREADS, 1) {
    product<WRONG_SWIZZLE>(args);
}
KERNEL(emulator_wrong_phase, struct product_args, PRODUCT_THREADS, 1) {
    product<WRONG_PHASE>(args);
}
KERNEL(emulator_no_second_barrier, struct product_args, PRODUCT_THREADS, 1) {
    product<NO_SECOND_BARRIER>(args);
}
KERNEL(emulator_past_the_end, struct product_args, PRODUCT_THREADS, 1) {
    product<PAST_THE_END>(args);
}

/* ---- element by element ---- */

KERNEL(emulator_scale, struct scale_args, 256, 1) {
    const uint32_t i = block_index() * thread_count() + thread_index();
    if (i < args.n) store_global(args.y + i, 2 * load_global<float>(args.x + i));
}
KERNEL(emulator_out_of_bounds, struct scale_args, 256, 1) {
    const uint32_t i = block_index() * thread_count() + thread_index();
    store_global(args.y + i, 2 * load_global<float>(args.x + i));
}
KERNEL(emulator_misaligned, struct scale_args, 256, 1) {
    const float *from = args.x + 1 + 4 * thread_index();
    store_global(args.y + thread_index(), load_global<f32x4>(from).x);
}

/* ---- among threads ---- */

/* y[block] = the sum of the block's x, through shared memory. */
KERNEL(emulator_sum, struct scale_args, 256, 1) {
    const uint32_t i = block_index() * thread_count() + thread_index();
    float sum = i < args.n ? load_global<float>(args.x + i) : 0;
    for (uint32_t mask = 16; mask; mask /= 2) sum += shuffle_xor(sum, mask);
    const shared mine = shared_memory() + 4 * warp_index();
    if (lane_index() == 0) store_shared(mine, sum);
    block_sync();
    if (thread_index() != 0) return;
    for (uint32_t warp = 1; warp < thread_count() / 32; warp++)
        sum += load_shared<float>(shared_memory() + 4 * warp);
    store_global(args.y + block_index(), sum);
}
/* y[i] = bytes of x counted by each thread into halves of words that belong to two threads. */
KERNEL(emulator_halves, struct scale_args, 256, 1) {
    const shared mine = shared_memory() + 2 * thread_index();
    store_shared<uint16_t>(mine, (uint16_t)(3 * thread_index()));
    warp_sync();
    const uint32_t other = thread_index() ^ 1;
    const uint16_t theirs = load_shared<uint16_t>(shared_memory() + 2 * other);
    store_global(args.y + thread_index(), (float)theirs);
}
KERNEL(emulator_no_warp_sync, struct scale_args, 256, 1) {
    const shared mine = shared_memory() + 2 * thread_index();
    store_shared<uint16_t>(mine, (uint16_t)(3 * thread_index()));
    const uint32_t other = thread_index() & ~1u;
    const uint16_t theirs = load_shared<uint16_t>(shared_memory() + 2 * other);
    store_global(args.y + thread_index(), (float)theirs);
}
KERNEL(emulator_unwritten, struct scale_args, 256, 1) {
    if (thread_index() < 255) store_shared(shared_memory() + 4 * thread_index(), 1.0f);
    block_sync();
    store_global(args.y + thread_index(), load_shared<float>(shared_memory() + 4 * thread_index()));
}
KERNEL(emulator_shared_bounds, struct scale_args, 256, 1) {
    store_shared(shared_memory() + 4 * thread_index(), 1.0f);
}
KERNEL(emulator_divergence, struct scale_args, 256, 1) {
    float x = 1;
    if (lane_index() != 7)
        x = shuffle_xor(x, 1);
    else
        warp_sync();
    store_global(args.y + thread_index(), x);
}
/* The first warp waits for 64 threads, the others have no part in it. */
KERNEL(emulator_deadlock, struct scale_args, 256, 1) {
    if (warp_index() == 0) group_sync(1, 64);
    store_global(args.y + thread_index(), 1.0f);
}
/* Two groups in turn, as a producer and a consumer are. */
KERNEL(emulator_groups, struct scale_args, 64, 1) {
    const uint32_t lane = lane_index();
    for (uint32_t step = 0; step < 3; step++) {
        if (warp_index() == 0) {
            if (step) group_sync(2, 64);
            store_shared(shared_memory() + 4 * lane, (float)(step + lane));
            group_sync(1, 64);
        } else {
            group_sync(1, 64);
            const float x = load_shared<float>(shared_memory() + 4 * (lane ^ 5));
            store_global(args.y + step * 32 + lane, x);
            if (step < 2) group_sync(2, 64);
        }
    }
}

/* In place, while the block before still needs what is overwritten. */
KERNEL(emulator_block_race, struct scale_args, 32, 1) {
    const uint32_t i = block_index() * 32 + thread_index(), next = i + 32;
    float x = load_global<float>(args.y + i);
    if (next < args.n) x += load_global<float>(args.y + next);
    store_global(args.y + i, x);
}
/* y[0 ... 31] of n = number of blocks parts, added up by the block that is last. */
template <bool fenced> DEVICE void last_block(const struct scale_args &args) {
    uint32_t *const counter = (uint32_t *)(args.y + 32);
    float *const parts = args.y + 64;
    store_global(parts + block_index() * 32 + thread_index(), (float)(block_index() + 1));
    if (fenced) fence_device();
    warp_sync();
    uint32_t before = 0;
    if (thread_index() == 0) before = atomic_add_u32(counter, 1);
    if (shuffle(before, 0) + 1 < block_count()) return;
    float sum = 0;
    for (uint32_t block = 0; block < block_count(); block++)
        sum += load_global<float>(parts + block * 32 + thread_index());
    store_global(args.y + thread_index(), sum);
}
KERNEL(emulator_last_block, struct scale_args, 32, 1) {
    last_block<true>(args);
}
KERNEL(emulator_no_fence, struct scale_args, 32, 1) {
    last_block<false>(args);
}
KERNEL(emulator_diverged_index, struct scale_args, 32, 1) {
    if (thread_index() < 8) store_global(args.y, (float)warp_index_of_all());
}

/* ---- cooperative launches ---- */

/* Block b makes y[b] of y[b - 1], once that is there: counters at x are zeros, the second one is
 * that of failures. `asks` for one more than there will be. */
template <bool waits, bool asks> DEVICE void chain(const struct scale_args &args) {
    uint32_t *const count = (uint32_t *)(uintptr_t)args.x;
    const uint32_t block = block_index();
    bool there = true;
    if (waits && thread_index() == 0)
        there = wait_for_count(count, block + (asks && block), count + 1, 1 << 20);
    if (warp_ballot(!there)) {
        if (thread_index() == 0) store_global(args.y + block, -1.0f);
        end_thread();
    }
    const float before = block ? load_global<float>(args.y + (block - 1)) : 0.0f;
    warp_sync();
    if (thread_index() == 0) {
        store_global(args.y + block, before + 1.0f);
        add_release(count, 1);
    }
}
KERNEL(emulator_chain, struct scale_args, 32, 1) {
    chain<true, false>(args);
}
KERNEL(emulator_chain_unasked, struct scale_args, 32, 1) {
    chain<false, false>(args);
}
KERNEL(emulator_chain_in_vain, struct scale_args, 32, 1) {
    chain<true, true>(args);
}

/* ---- programmatic launches ---- */

KERNEL(emulator_waits, struct scale_args, 256, 1) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    const uint32_t i = block_index() * thread_count() + thread_index();
    if (i < args.n) store_global(args.y + i, load_global<float>(args.x + i));
}
KERNEL(emulator_reads_early, struct scale_args, 256, 1) {
    const uint32_t i = block_index() * thread_count() + thread_index();
    const float x = i < args.n ? load_global<float>(args.x + i) : 0;
    wait_for_previous_kernel();
    if (i < args.n) store_global(args.y + i, x);
}
KERNEL(emulator_nothing, struct scale_args, 256, 1) {}
