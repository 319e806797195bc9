/* Kernels that test the emulator's half for sm_90a: right ones, and copies of them that are broken
 * in one place. */
#include "cuda/kernels/ptx_hopper.cuh"

#include "tests/gpu/emulator/demonstration.h"

enum fault {
    NO_FAULT,
    WRONG_PARITY,   /* the consumer takes the phase before for its own */
    TOO_MANY_BYTES, /* more is expected than copied */
    TOO_FEW_BYTES,
    NO_EMPTY_WAIT,   /* a stage is copied over while it is read */
    EARLY_ARRIVAL,   /* a stage is given back before the products have read it */
    NO_PRODUCT_WAIT, /* sums are used while the products are under way */
    NO_PRODUCT_FENCE,
    NO_PROXY_FENCE,
};
enum form { PLAIN, CLUSTER, A_IN_REGISTERS };

struct ring {
    shared stage, full, empty;
    uint32_t parity; /* of this round's `full` */
};
DEVICE ring ring_at(uint32_t step) {
    const shared barriers = shared_memory() + 2 * HOPPER_STAGE;
    const uint32_t i = step % 2;
    return ring{shared_memory() + i * HOPPER_STAGE, barriers + 8 * i, barriers + 16 + 8 * i,
                step / 2 % 2};
}

template <enum fault fault, enum form form>
DEVICE void produce(const struct hopper_args &args, uint32_t n_steps) {
    const uint32_t bytes = HOPPER_STAGE + (fault == TOO_MANY_BYTES ? 16 : 0) -
                           (fault == TOO_FEW_BYTES ? 4096 : 0) -
                           (form == A_IN_REGISTERS ? 64 * 128 : 0);
    for (uint32_t step = 0; step < n_steps; step++) {
        const ring at = ring_at(step);
        if (fault != NO_EMPTY_WAIT) mbarrier_wait(at.empty, at.parity ^ 1);
        mbarrier_arrive_expect(at.full, bytes);
        const int32_t k = (int32_t)step * 64;
        if (form != A_IN_REGISTERS)
            tensor_copy(at.stage, &args.a, k, (int32_t)block_index() * 64, at.full);
        const shared b = at.stage + 64 * 128;
        if (form == CLUSTER) { /* each block brings half of b to both */
            const uint32_t half = cluster_rank();
            tensor_copy_multicast(b + half * 4096, &args.b, k, (int32_t)half * 32, at.full, 3);
        } else {
            tensor_copy(b, &args.b, k, 0, at.full);
            tensor_copy(b + 4096, &args.b, k, 32, at.full);
        }
    }
}

/* Of rows that may lie outside: zeros. */
DEVICE void load_fragment(uint32_t a[4], const struct hopper_args &args, uint32_t row, uint32_t k) {
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t m = row + i % 2 * 8, column = k + i / 2 * 8;
        a[i] = m < args.m && column < args.k
                   ? load_global<uint32_t>(args.rows + (uint64_t)m * args.k + column)
                   : 0;
    }
}

template <enum fault fault, enum form form>
DEVICE void multiply(float (&d)[32], const struct hopper_args &args, uint32_t n_steps) {
    const uint32_t lane = lane_index(), row = block_index() * 64 + warp_index() % 4 * 16 + lane / 4;
    for (uint32_t step = 0; step < n_steps; step++) {
        const ring at = ring_at(step);
        mbarrier_wait(at.full, fault == WRONG_PARITY ? at.parity ^ 1 : at.parity);
        uint32_t a[4][4];
        if (form == A_IN_REGISTERS)
            for (uint32_t k = 0; k < 4; k++)
                load_fragment(a[k], args, row, step * 64 + k * 16 + lane % 4 * 2);
        if (fault != NO_PRODUCT_FENCE) wgmma_fence();
        for (uint32_t k = 0; k < 4; k++) {
            const uint64_t b = wgmma_matrix(at.stage + 64 * 128 + 32 * k);
            const bool add = step + k > 0;
            if (form == A_IN_REGISTERS)
                wgmma_bf16<64>(d, a[k], b, add);
            else
                wgmma_bf16<64>(d, wgmma_matrix(at.stage + 32 * k), b, add);
        }
        wgmma_commit();
        if (fault == EARLY_ARRIVAL && lane == 0) mbarrier_arrive(at.empty);
        if (fault == NO_PRODUCT_WAIT)
            wgmma_wait<1>();
        else
            wgmma_wait<0>();
        if (lane == 0) {
            if (fault != EARLY_ARRIVAL) mbarrier_arrive(at.empty);
            if (form == CLUSTER) mbarrier_arrive_remote(at.empty, cluster_rank() ^ 1);
        }
    }
}

DEVICE void store_sums(const float (&d)[32], const struct hopper_args &args) {
    const uint32_t lane = lane_index(), row = block_index() * 64 + warp_index() % 4 * 16 + lane / 4;
    for (uint32_t i = 0; i < 32; i++) {
        const uint32_t m = row + i % 4 / 2 * 8, n = i / 4 * 8 + lane % 4 * 2 + i % 2;
        if (m < args.m) store_global(args.y + m * 64 + n, d[i]);
    }
}

/* The first warpgroup's first thread produces, the second one consumes. */
template <enum fault fault, enum form form> DEVICE void product(const struct hopper_args &args) {
    const uint32_t n_steps = (args.k + 63) / 64;
    if (thread_index() == 0) {
        for (uint32_t i = 0; i < 2; i++) {
            mbarrier_init(ring_at(i).full, 1);
            mbarrier_init(ring_at(i).empty, form == CLUSTER ? 8 : 4);
        }
        mbarrier_fence_init();
    }
    if (form == CLUSTER)
        cluster_sync();
    else
        block_sync();
    if (warp_index() < 4) {
        registers_give<40>();
        if (thread_index() == 0) produce<fault, form>(args, n_steps);
    } else {
        registers_take<232>();
        float d[32];
        multiply<fault, form>(d, args, n_steps);
        store_sums(d, args);
    }
    if (form == CLUSTER) cluster_sync();
}

KERNEL(hopper_product, struct hopper_args, HOPPER_THREADS, 1) {
    product<NO_FAULT, PLAIN>(args);
}
KERNEL(hopper_product_cluster, struct hopper_args, HOPPER_THREADS, 1) {
    product<NO_FAULT, CLUSTER>(args);
}
KERNEL(hopper_product_registers, struct hopper_args, HOPPER_THREADS, 1) {
    product<NO_FAULT, A_IN_REGISTERS>(args);
}
KERNEL(hopper_wrong_parity, struct hopper_args, HOPPER_THREADS, 1) {
    product<WRONG_PARITY, PLAIN>(args);
}
KERNEL(hopper_too_many_bytes, struct hopper_args, HOPPER_THREADS, 1) {
    product<TOO_MANY_BYTES, PLAIN>(args);
}
KERNEL(hopper_too_few_bytes, struct hopper_args, HOPPER_THREADS, 1) {
    product<TOO_FEW_BYTES, PLAIN>(args);
}
KERNEL(hopper_no_empty_wait, struct hopper_args, HOPPER_THREADS, 1) {
    product<NO_EMPTY_WAIT, PLAIN>(args);
}
KERNEL(hopper_early_arrival, struct hopper_args, HOPPER_THREADS, 1) {
    product<EARLY_ARRIVAL, PLAIN>(args);
}
#ifndef __CUDACC__ /* the compiler would see these itself, and serialize the products */
KERNEL(hopper_no_product_wait, struct hopper_args, HOPPER_THREADS, 1) {
    product<NO_PRODUCT_WAIT, PLAIN>(args);
}
KERNEL(hopper_no_product_fence, struct hopper_args, HOPPER_THREADS, 1) {
    product<NO_PRODUCT_FENCE, PLAIN>(args);
}
#endif

/* ---- matrices that the threads themselves write, k = 64, one warpgroup ---- */

template <enum fault fault> DEVICE void stored(const struct hopper_args &args) {
    for (uint32_t i = thread_index(); i < 64 * 8; i += thread_count()) {
        const uint32_t row = i / 8, chunk = i % 8, at = row * 128 + (chunk ^ row % 8) * 16;
        const u32x4 zero = {0, 0, 0, 0};
        const uint64_t from = (uint64_t)row * 64 + chunk * 8;
        store_shared(shared_memory() + at,
                     row < args.m ? load_global<u32x4>(args.rows + from) : zero);
        store_shared(shared_memory() + 64 * 128 + at, load_global<u32x4>(args.columns + from));
    }
    if (fault != NO_PROXY_FENCE) fence_proxy_async();
    block_sync();
    float d[32];
    wgmma_fence();
    for (uint32_t k = 0; k < 4; k++)
        wgmma_bf16<64>(d, wgmma_matrix(shared_memory() + 32 * k),
                       wgmma_matrix(shared_memory() + 64 * 128 + 32 * k), k > 0);
    wgmma_commit();
    wgmma_wait<0>();
    store_sums(d, args);
}
KERNEL(hopper_stored, struct hopper_args, 128, 1) {
    stored<NO_FAULT>(args);
}
KERNEL(hopper_no_proxy_fence, struct hopper_args, 128, 1) {
    stored<NO_PROXY_FENCE>(args);
}

/* ---- matrices out of registers and back: y[row][column of 16] = 16 row + column, transposed ----
 */

KERNEL(hopper_store_matrix, struct hopper_args, 32, 1) {
    const uint32_t lane = lane_index(), g = lane / 4, t = lane % 4 * 2;
    const shared mine = shared_memory() + (lane % 16 * 32 + lane / 16 * 16);
    uint32_t r[4];
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t value = (g + i % 2 * 8) * 16 + t + i / 2 * 8;
        r[i] = value | (value + 1) << 16;
    }
    store_matrix4(mine, r);
    warp_sync();
    load_matrix4_transposed(r, mine);
    for (uint32_t i = 0; i < 4; i++) {
        float *const to = args.y + (g + i / 2 * 8) * 16 + t + i % 2 * 8;
        store_global(to, (float)(r[i] & 0xffff));
        store_global(to + 1, (float)(r[i] >> 16));
    }
}

/* ---- a plain copy: y = the first 256 floats of rows, by way of shared memory ---- */

KERNEL(hopper_bulk, struct hopper_args, 64, 1) {
    const shared barrier = shared_memory() + 1024;
    if (thread_index() == 0) {
        mbarrier_init(barrier, 1);
        mbarrier_fence_init();
    }
    block_sync();
    if (thread_index() == 0) {
        mbarrier_arrive_expect(barrier, 1024);
        bulk_copy(shared_memory(), args.rows, 512, barrier);
        bulk_copy(shared_memory() + 512, args.rows + 256, 512, barrier);
    }
    mbarrier_wait(barrier, 0);
    for (uint32_t i = thread_index(); i < 256; i += 64)
        store_global(args.y + i, load_shared<float>(shared_memory() + 4 * i));
}
