/* ptx_hopper.cuh for the host's compiler. Copies arrive, and products are done, as late as they
 * may: what is used too early is not there. */
#ifndef GPU_PTX_HOPPER_EMULATED_H
#define GPU_PTX_HOPPER_EMULATED_H

#include "hopper.h"

/* ---- mbarriers ---- */

DEVICE void mbarrier_init(shared barrier, uint32_t n, SITE) {
    emulated_mbarrier_init(barrier.at, n, HERE);
}
DEVICE void mbarrier_fence_init() {
    emulated_mbarrier_fence_init();
}
DEVICE void mbarrier_arrive(shared barrier, SITE) {
    emulated_mbarrier_arrive(emulated_self->block->rank, barrier.at, 0, HERE);
}
DEVICE void mbarrier_arrive_expect(shared barrier, uint32_t bytes, SITE) {
    emulated_mbarrier_arrive(emulated_self->block->rank, barrier.at, bytes, HERE);
}
DEVICE void mbarrier_arrive_remote(shared barrier, uint32_t rank, SITE) {
    emulated_mbarrier_arrive(rank, barrier.at, 0, HERE);
}
DEVICE bool mbarrier_try_wait(shared barrier, uint32_t parity, SITE) {
    return emulated_mbarrier_try_wait(barrier.at, parity, HERE);
}
DEVICE void mbarrier_wait(shared barrier, uint32_t parity, SITE) {
    while (!emulated_mbarrier_try_wait(barrier.at, parity, HERE)) {
    }
}

/* ---- copies ---- */

DEVICE void bulk_copy(shared to, const void *from, uint32_t bytes, shared barrier, SITE) {
    emulated_bulk_copy(to.at, from, bytes, barrier.at, 1u << emulated_self->block->rank, HERE);
}
DEVICE void bulk_copy_multicast(shared to, const void *from, uint32_t bytes, shared barrier,
                                uint32_t mask, SITE) {
    emulated_bulk_copy(to.at, from, bytes, barrier.at, mask, HERE);
}
DEVICE void tensor_copy(shared to, const struct tensor_map *map, int32_t column, int32_t row,
                        shared barrier, SITE) {
    emulated_tensor_copy(to.at, map->opaque, column, row, barrier.at,
                         1u << emulated_self->block->rank, HERE);
}
DEVICE void tensor_copy_multicast(shared to, const struct tensor_map *map, int32_t column,
                                  int32_t row, shared barrier, uint32_t mask, SITE) {
    emulated_tensor_copy(to.at, map->opaque, column, row, barrier.at, mask, HERE);
}
DEVICE void tensor_map_prefetch(const struct tensor_map *) {}
DEVICE void store_matrix4(shared row, const uint32_t (&r)[4], SITE) {
    warp_call call = {};
    call.op = OP_STORE_MATRIX4;
    call.site = HERE;
    call.a = row.at;
    call.from[0] = r;
    emulated_warp_call(&call);
}
DEVICE void fence_proxy_async() {
    emulated_self->n_fences = (uint16_t)((emulated_self->n_fences + 1) & ~ASYNC_PROXY);
}

/* ---- clusters ---- */

DEVICE uint32_t cluster_rank() {
    return emulated_self->block->rank;
}
DEVICE void cluster_sync(SITE) {
    emulated_call(OP_CLUSTER_SYNC, 0, 0, HERE);
}

/* ---- products of a warpgroup; the sums are those of mma_bf16 ---- */

template <int n> DEVICE void registers_give(SITE) {
    static_assert(n >= 24 && n <= 256 && n % 8 == 0, "what setmaxnreg takes");
    emulated_call(OP_REGISTERS, 0, n, HERE);
}
template <int n> DEVICE void registers_take(SITE) {
    static_assert(n >= 24 && n <= 256 && n % 8 == 0, "what setmaxnreg takes");
    emulated_call(OP_REGISTERS, 1, n, HERE);
}
DEVICE void wgmma_fence(SITE) {
    emulated_call(OP_WGMMA_FENCE, 0, 0, HERE);
}
DEVICE void wgmma_commit(SITE) {
    emulated_call(OP_WGMMA_COMMIT, 0, 0, HERE);
}
template <int n> DEVICE void wgmma_wait(SITE) {
    emulated_call(OP_WGMMA_WAIT, n, 0, HERE);
}
DEVICE uint64_t wgmma_matrix(shared at) {
    return ((uint64_t)(at.at & 0x3ffff) >> 4) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}

DEVICE uint64_t wgmma_matrix_of_rows(shared at, uint32_t columns) {
    return ((uint64_t)(at.at & 0x3ffff) >> 4) | (uint64_t)(columns >> 4) << 16 |
           (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

DEVICE uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
    uint32_t result = 0;
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t from = selector >> 4 * i & 7;
        result |= ((from < 4 ? a : b) >> 8 * (from % 4) & 0xFF) << 8 * i;
    }
    return result;
}

DEVICE void emulated_wgmma_call(uint32_t n, enum element element, float *d,
                                const uint32_t *a_registers, uint64_t a, uint64_t b, bool add,
                                bool b_rows, struct site site) {
    const struct wgmma_call product = {n, element, add, a_registers, a, b, b_rows};
    warp_call call = {};
    call.op = OP_WGMMA;
    call.site = site;
    call.to = d;
    call.wgmma = &product;
    emulated_warp_call(&call);
}
#define EMULATED_WGMMA(name, element)                                                             \
    template <int n> DEVICE void name(float(&d)[n / 2], uint64_t a, uint64_t b, bool add, SITE) { \
        emulated_wgmma_call(n, element, d, nullptr, a, b, add, false, HERE);                      \
    }                                                                                             \
    template <int n>                                                                              \
    DEVICE void name(float(&d)[n / 2], const uint32_t(&a)[4], uint64_t b, bool add, SITE) {       \
        emulated_wgmma_call(n, element, d, a, 0, b, add, false, HERE);                            \
    }
EMULATED_WGMMA(wgmma_bf16, ELEMENT_BF16)
EMULATED_WGMMA(wgmma_f16, ELEMENT_F16)
EMULATED_WGMMA(wgmma_e4m3, ELEMENT_E4M3)
#undef EMULATED_WGMMA
template <int n>
DEVICE void wgmma_bf16_rows(float (&d)[n / 2], const uint32_t (&a)[4], uint64_t b, bool add, SITE) {
    emulated_wgmma_call(n, ELEMENT_BF16, d, a, 0, b, add, true, HERE);
}
template <int n>
DEVICE void wgmma_f16_rows(float (&d)[n / 2], const uint32_t (&a)[4], uint64_t b, bool add, SITE) {
    emulated_wgmma_call(n, ELEMENT_F16, d, a, 0, b, add, true, HERE);
}

#endif
