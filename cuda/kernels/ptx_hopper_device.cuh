/* ptx_hopper.cuh for nvcc. */
#ifndef CUDA_KERNELS_PTX_HOPPER_DEVICE_CUH
#define CUDA_KERNELS_PTX_HOPPER_DEVICE_CUH

DEVICE uint32_t shared_address(shared at) {
    return (uint32_t)__cvta_generic_to_shared(at.at);
}

/* ---- mbarriers: 8 bytes of shared memory at a multiple of 8 ---- */

/* One thread, once; others may use it after mbarrier_fence_init by that thread and a block_sync
 * (cluster_sync, if the other block does). A phase ends with n arrivals and all bytes expected. */
DEVICE void mbarrier_init(shared barrier, uint32_t n) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(n)
                 : "memory");
}
DEVICE void mbarrier_fence_init() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
DEVICE void mbarrier_arrive(shared barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/* Also expects that copies bring so many bytes in this phase. */
DEVICE void mbarrier_arrive_expect(shared barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                     shared_address(barrier)),
                 "r"(bytes)
                 : "memory");
}
/* At the barrier at the same place in block `rank` of the cluster. */
DEVICE void mbarrier_arrive_remote(shared barrier, uint32_t rank) {
    asm volatile("{\n"
                 ".reg .b32 remote;\n"
                 "mapa.shared::cluster.u32 remote, %0, %1;\n"
                 "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n"
                 "}" ::"r"(shared_address(barrier)),
                 "r"(rank)
                 : "memory");
}
/* Has the phase of this parity ended? The first phase has parity 0; of the phase before it (parity 1)
 * the answer is yes. May wait a while before it says no. */
DEVICE bool mbarrier_try_wait(shared barrier, uint32_t parity) {
    uint32_t ended;
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;\n"
                 "}"
                 : "=r"(ended)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
    return ended;
}
DEVICE void mbarrier_wait(shared barrier, uint32_t parity) {
    while (!mbarrier_try_wait(barrier, parity)) {
    }
}

/* ---- copies by the engine; one thread asks for them ---- */

/* bytes, `to` and `from` are multiples of 16; they count for `barrier` when they are there. */
DEVICE void bulk_copy(shared to, const void *from, uint32_t bytes, shared barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
}
/* To the same place in each block of the cluster that `mask` names, and for the barrier there. */
DEVICE void bulk_copy_multicast(shared to, const void *from, uint32_t bytes, shared barrier,
                                uint32_t mask) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
                 ".multicast::cluster [%0], [%1], %2, [%3], %4;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier)), "h"((uint16_t)mask)
                 : "memory");
}
/* The map's box from (column, row) on; what lies outside of the tensor is zero, and counts. With a
 * swizzle of 128 bytes `to` is a multiple of 1,024, rows are 128 bytes, and 16-byte chunk c of row r
 * lies at c ^ (r % 8). */
DEVICE void tensor_copy(shared to, const struct tensor_map *map, int32_t column, int32_t row,
                        shared barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(to)),
                 "l"(map), "r"(shared_address(barrier)), "r"(column), "r"(row)
                 : "memory");
}
DEVICE void tensor_copy_multicast(shared to, const struct tensor_map *map, int32_t column,
                                  int32_t row, shared barrier, uint32_t mask) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
                 ".multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(shared_address(to)),
                 "l"(map), "r"(shared_address(barrier)), "r"(column), "r"(row),
                 "h"((uint16_t)mask)
                 : "memory");
}
DEVICE void tensor_map_prefetch(const struct tensor_map *map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
/* Four 8 × 8 matrices of 16-bit elements go where load_matrix4 would get them from. */
DEVICE void store_matrix4(shared row, const uint32_t (&r)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                     shared_address(row)),
                 "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}
DEVICE void fence_proxy_async() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* Bytes of b:a by four nibbles of the selector, the lowest byte's first: 0 ... 3 of a, 4 ... 7 of b. */
DEVICE uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
    return __byte_perm(a, b, selector);
}

/* ---- clusters ---- */

DEVICE uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
/* All threads of all blocks of the cluster. A block whose shared memory others may still reach must
 * not end before it. */
DEVICE void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release.aligned;\n"
                 "barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

/* ---- products of a warpgroup: 4 consecutive warps from a multiple of 4 on; all must call ---- */

/* The warp's registers for each thread; n: 24 ... 256, a multiple of 8. */
template <int n> DEVICE void registers_give() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(n));
}
template <int n> DEVICE void registers_take() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(n));
}
/* Before the first product, and again before the next after registers that one reads or writes were
 * touched. */
DEVICE void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
DEVICE void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/* At most n groups are still under way. Until then the accumulators must not be touched, nor may the
 * shared memory that was read be written. */
template <int n> DEVICE void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory");
}

/* A matrix in shared memory, rows (of A, columns of B) of 64 elements in 128 bytes with the swizzle of
 * tensor_copy, groups of 8 rows 1,024 bytes apart; `at` is its start, a multiple of 1,024, plus 32
 * bytes for every 16 of k. */
DEVICE uint64_t wgmma_matrix(shared at) {
    return ((uint64_t)(shared_address(at) & 0x3ffff) >> 4) | (uint64_t)1 << 16 |
           (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

/* The same of B whose rows lie in memory as rows, [k][n]: 64 columns in 128 bytes with that swizzle, 8
 * rows 1,024 bytes apart; the next 64 columns are `columns` bytes on. `at` is a multiple of 1,024, which
 * 16 of k are 2,048 bytes of. */
DEVICE uint64_t wgmma_matrix_of_rows(shared at, uint32_t columns) {
    return ((uint64_t)(shared_address(at) & 0x3ffff) >> 4) | (uint64_t)(columns >> 4) << 16 |
           (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

/* d[64][n] = a[64][16] b[16][n] (+ d if `add`), f32 sums. Warp w of the group has rows 16 w ... : of
 * lane l, with g = l / 4 and t = l % 4, d[4 j], d[4 j + 1] are (g, 8 j + 2 t) and the one right of it,
 * d[4 j + 2], d[4 j + 3] those of row g + 8; a in registers is as in mma_bf16. */
template <int n> struct wgmma;

#define D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define D16(i) D4(i), D4(i + 4), D4(i + 8), D4(i + 12)
#define D64(i) D16(i), D16(i + 16), D16(i + 32), D16(i + 48)
#define REGISTERS_4 "%0, %1, %2, %3"
#define REGISTERS_8 REGISTERS_4 ", %4, %5, %6, %7"
#define REGISTERS_16 \
    REGISTERS_8 \
    ", %8, %9, %10, %11, %12, %13, %14, %15"
#define REGISTERS_32 \
    REGISTERS_16 \
    ", %16, %17, %18, %19, %20, %21, %22, %23" \
    ", %24, %25, %26, %27, %28, %29, %30, %31"
#define REGISTERS_64 \
    REGISTERS_32 \
    ", %32, %33, %34, %35, %36, %37, %38, %39" \
    ", %40, %41, %42, %43, %44, %45, %46, %47" \
    ", %48, %49, %50, %51, %52, %53, %54, %55" \
    ", %56, %57, %58, %59, %60, %61, %62, %63"
#define REGISTERS_128 \
    REGISTERS_64 \
    ", %64, %65, %66, %67, %68, %69, %70, %71" \
    ", %72, %73, %74, %75, %76, %77, %78, %79" \
    ", %80, %81, %82, %83, %84, %85, %86, %87" \
    ", %88, %89, %90, %91, %92, %93, %94, %95" \
    ", %96, %97, %98, %99, %100, %101, %102, %103" \
    ", %104, %105, %106, %107, %108, %109, %110, %111" \
    ", %112, %113, %114, %115, %116, %117, %118, %119" \
    ", %120, %121, %122, %123, %124, %125, %126, %127"

/* The operands after the accumulators: %i and on. */
#define WGMMA_SHARED(type, k, transposed, n, registers, operands, i0, i1, i2) \
    static __device__ __forceinline__ void type(float (&d)[n / 2], uint64_t a, uint64_t b,  \
                                                bool add) {                                 \
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #i2 ", 0;\n"                      \
                     "wgmma.mma_async.sync.aligned.m64n" #n k ".f32." #type "." #type " {" \
                     registers "}, %" #i0 ", %" #i1 ", p, 1, 1" transposed ";\n}" \
                     : operands                                                             \
                     : "l"(a), "l"(b), "r"((uint32_t)add));                                 \
    }
#define WGMMA_REGISTERS(name, type, k, transposed, n, registers, operands, i0, i1, i2, i3, i4, i5) \
    static __device__ __forceinline__ void name(float (&d)[n / 2], const uint32_t (&a)[4],  \
                                                uint64_t b, bool add) {                     \
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #i5 ", 0;\n"                      \
                     "wgmma.mma_async.sync.aligned.m64n" #n k ".f32." #type "." #type " {" \
                     registers "}, {%" #i0 ", %" #i1 ", %" #i2 ", %" #i3 "}, %" #i4         \
                     ", p, 1, 1" transposed ";\n}" \
                     : operands                                                             \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b),                  \
                       "r"((uint32_t)add));                                                 \
    }
#define WGMMA(n, registers, operands, i0, i1, i2, i3, i4, i5) \
    template <> struct wgmma<n> {                                                      \
        WGMMA_SHARED(bf16, "k16", ", 0, 0", n, registers, OPERANDS operands, i0, i1, i2) \
        WGMMA_SHARED(f16, "k16", ", 0, 0", n, registers, OPERANDS operands, i0, i1, i2) \
        WGMMA_REGISTERS(bf16, bf16, "k16", ", 0", n, registers, OPERANDS operands, i0, i1, i2, i3, i4, \
                        i5) \
        WGMMA_REGISTERS(f16, f16, "k16", ", 0", n, registers, OPERANDS operands, i0, i1, i2, i3, i4, \
                        i5) \
        WGMMA_REGISTERS(bf16_rows, bf16, "k16", ", 1", n, registers, OPERANDS operands, i0, i1, i2, i3, \
                        i4, i5) \
        WGMMA_REGISTERS(f16_rows, f16, "k16", ", 1", n, registers, OPERANDS operands, i0, i1, i2, i3, \
                        i4, i5) \
        WGMMA_SHARED(e4m3, "k32", "", n, registers, OPERANDS operands, i0, i1, i2) \
        WGMMA_REGISTERS(e4m3, e4m3, "k32", "", n, registers, OPERANDS operands, i0, i1, i2, i3, i4, \
                        i5) \
    }
#define OPERANDS(...) __VA_ARGS__
WGMMA(8, REGISTERS_4, (D4(0)), 4, 5, 6, 7, 8, 9);
WGMMA(16, REGISTERS_8, (D4(0), D4(4)), 8, 9, 10, 11, 12, 13);
WGMMA(32, REGISTERS_16, (D16(0)), 16, 17, 18, 19, 20, 21);
WGMMA(64, REGISTERS_32, (D16(0), D16(16)), 32, 33, 34, 35, 36, 37);
WGMMA(128, REGISTERS_64, (D64(0)), 64, 65, 66, 67, 68, 69);
WGMMA(256, REGISTERS_128, (D64(0), D64(64)), 128, 129, 130, 131, 132, 133);
#undef D4
#undef D16
#undef D64
#undef OPERANDS
#undef WGMMA
#undef WGMMA_SHARED
#undef WGMMA_REGISTERS
#undef REGISTERS_4
#undef REGISTERS_8
#undef REGISTERS_16
#undef REGISTERS_32
#undef REGISTERS_64
#undef REGISTERS_128

template <int n>
DEVICE void wgmma_bf16(float (&d)[n / 2], uint64_t a, uint64_t b, bool add) {
    wgmma<n>::bf16(d, a, b, add);
}
template <int n>
DEVICE void wgmma_bf16(float (&d)[n / 2], const uint32_t (&a)[4], uint64_t b, bool add) {
    wgmma<n>::bf16(d, a, b, add);
}
template <int n>
DEVICE void wgmma_f16(float (&d)[n / 2], uint64_t a, uint64_t b, bool add) {
    wgmma<n>::f16(d, a, b, add);
}
template <int n>
DEVICE void wgmma_f16(float (&d)[n / 2], const uint32_t (&a)[4], uint64_t b, bool add) {
    wgmma<n>::f16(d, a, b, add);
}
/* B as wgmma_matrix_of_rows has it. */
template <int n>
DEVICE void wgmma_bf16_rows(float (&d)[n / 2], const uint32_t (&a)[4], uint64_t b, bool add) {
    wgmma<n>::bf16_rows(d, a, b, add);
}
template <int n>
DEVICE void wgmma_f16_rows(float (&d)[n / 2], const uint32_t (&a)[4], uint64_t b, bool add) {
    wgmma<n>::f16_rows(d, a, b, add);
}
/* Of e4m3: a[64][32] b[32][n], 32 bytes of k like the others. */
template <int n>
DEVICE void wgmma_e4m3(float (&d)[n / 2], uint64_t a, uint64_t b, bool add) {
    wgmma<n>::e4m3(d, a, b, add);
}
template <int n>
DEVICE void wgmma_e4m3(float (&d)[n / 2], const uint32_t (&a)[4], uint64_t b, bool add) {
    wgmma<n>::e4m3(d, a, b, add);
}

#endif
