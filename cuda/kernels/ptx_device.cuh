/* ptx.cuh for nvcc. */
#ifndef CUDA_KERNELS_PTX_DEVICE_CUH
#define CUDA_KERNELS_PTX_DEVICE_CUH

#define DEVICE static __device__ __forceinline__
/* A function that is called: its registers are its own, and nothing of it is computed outside. */
#define DEVICE_CALLED static __device__ __noinline__

/* extern "C", so that the driver finds it by its name. min_blocks: of this kernel on one
 * multiprocessor, which bounds the registers. */
#define KERNEL(name, args_type, n_threads, min_blocks)                  \
    extern "C" __global__ void __launch_bounds__(n_threads, min_blocks) \
        name(const __grid_constant__ args_type args)

/* ---- who am I ---- */

DEVICE uint32_t thread_index() {
    return threadIdx.x;
}
DEVICE uint32_t thread_count() {
    return blockDim.x;
}
DEVICE uint32_t lane_index() {
    return threadIdx.x % 32;
}
/* Read anew each time: kept in a register it would cost one. */
DEVICE uint32_t warp_index() {
    uint32_t thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread / 32;
}
/* The same, where all lanes of the warp call: the compiler then knows that they have one value. */
DEVICE uint32_t warp_index_of_all() {
    return __shfl_sync(0xffffffff, threadIdx.x / 32, 0);
}
DEVICE uint32_t block_index() {
    return blockIdx.x;
}
DEVICE uint32_t block_count() {
    return gridDim.x;
}

/* ---- waiting for each other ---- */

DEVICE void block_sync() {
    __syncthreads();
}
DEVICE void warp_sync() {
    __syncwarp();
}
/* Barrier `id` (1 ... 15) of n_threads threads, whole warps. */
DEVICE void group_sync(uint32_t id, uint32_t n_threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(n_threads) : "memory");
}
/* Earlier writes to global memory are seen by whoever sees a later one. */
DEVICE void fence_device() {
    __threadfence();
}
/* Returns what was there. */
DEVICE uint32_t atomic_add_u32(uint32_t *at, uint32_t value) {
    return atomicAdd(at, value);
}
/* Programmatic dependent launch: the kernel before has written what it writes; the kernel after may
 * begin. Without it (sm_80, or a launch that does not ask for it) both do nothing. */
DEVICE void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
DEVICE void let_next_kernel_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* ---- among the 32 lanes of a warp; all of them must call ---- */

template <typename T> DEVICE T shuffle(T value, uint32_t lane) {
    return __shfl_sync(0xffffffff, value, (int)lane);
}
template <typename T> DEVICE T shuffle_xor(T value, uint32_t mask) {
    return __shfl_xor_sync(0xffffffff, value, (int)mask);
}
DEVICE uint32_t warp_ballot(bool predicate) {
    return __ballot_sync(0xffffffff, predicate);
}

/* ---- memory ---- */

/* An address in the block's shared memory; + counts bytes. T below: 1 to 16 bytes, at a multiple of
 * its size. */
struct shared {
    unsigned char *at;
};
DEVICE shared operator+(shared base, uint32_t bytes) {
    return shared{base.at + bytes};
}
/* Its first byte, at a multiple of 1,024. */
DEVICE shared shared_memory() {
    extern __shared__ __align__(1024) unsigned char arena[];
    return shared{arena};
}
template <typename T> DEVICE T load_shared(shared from) {
    return *reinterpret_cast<const T *>(from.at);
}
template <typename T> DEVICE void store_shared(shared to, T value) {
    *reinterpret_cast<T *>(to.at) = value;
}
/* Returns what was there. */
DEVICE uint32_t atomic_add_shared(shared at, uint32_t value) {
    return atomicAdd(reinterpret_cast<uint32_t *>(at.at), value);
}
template <typename T> DEVICE T load_global(const void *from) {
    __builtin_assume(__isGlobal(from));
    return *static_cast<const T *>(from);
}
/* What is read once: it need not stay in L1. 4, 8 or 16 bytes. */
template <typename T> DEVICE T load_stream(const void *from) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16, "a vector of words");
    uint32_t w[sizeof(T) / 4];
    if constexpr (sizeof(T) == 16)
        asm("ld.global.nc.L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];"
            : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3])
            : "l"(from));
    else if constexpr (sizeof(T) == 8)
        asm("ld.global.nc.L1::no_allocate.v2.b32 {%0, %1}, [%2];"
            : "=r"(w[0]), "=r"(w[1])
            : "l"(from));
    else
        asm("ld.global.nc.L1::no_allocate.b32 %0, [%1];" : "=r"(w[0]) : "l"(from));
    T value;
    memcpy(&value, w, sizeof(T));
    return value;
}
template <typename T> DEVICE void store_global(void *to, T value) {
    __builtin_assume(__isGlobal(to));
    *static_cast<T *>(to) = value;
}

/* cp.async of 16 bytes, both sides aligned; not `valid`: zeros, and `from` is not read. */
DEVICE void copy_async16(shared to, const void *from, bool valid) {
    uint32_t address = (uint32_t)__cvta_generic_to_shared(to.at), n = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(n)
                 : "memory");
}
/* What this thread has copied since the last commit is a group. */
DEVICE void copy_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* At most n of this thread's groups are still under way; others see it after a block_sync. */
template <int n> DEVICE void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

/* ---- matrices (PTX ISA, warp-level matrix instructions) ---- */

/* Four 8 × 8 matrices of 16-bit elements: lane l gives the address of row l % 8 of matrix l / 8,
 * and gets of matrix i the elements (l / 4, 2 (l % 4)) and the one right of it in r[i]. */
DEVICE void load_matrix4(uint32_t r[4], shared row) {
    uint32_t address = (uint32_t)__cvta_generic_to_shared(row.at);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}
/* The same of the transposed matrices. */
DEVICE void load_matrix4_transposed(uint32_t r[4], shared row) {
    uint32_t address = (uint32_t)__cvta_generic_to_shared(row.at);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}
/* Two matrices; lanes 0 ... 15 give the addresses. */
DEVICE void load_matrix2(uint32_t r[2], shared row) {
    uint32_t address = (uint32_t)__cvta_generic_to_shared(row.at);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
}

/* d[16][8] += a[16][16] b[16][8], f32 sums. Of lane l, with g = l / 4 and t = l % 4, lower half
 * first: a[0] (g, 2t), a[1] (g + 8, 2t), a[2] (g, 2t + 8), a[3] (g + 8, 2t + 8), each with the
 * element right of it; b[0] (2t, g), b[1] (2t + 8, g), each with the one below; d[0], d[1] (g, 2t)
 * and the one right of it, d[2], d[3] of row g + 8. */
DEVICE void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void mma_f16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* d[16][8] += a[16][32] b[32][8] of e4m3: where mma_bf16 has an element, two. sm_89 and later. */
DEVICE void mma_e4m3(float d[4], const uint32_t a[4], const uint32_t b[2]) {
#if __CUDA_ARCH__ >= 890
    asm volatile("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    (void)d, (void)a, (void)b;
    __trap();
#endif
}

/* ---- numbers; all roundings to nearest even ---- */

DEVICE float fma_f32(float a, float b, float c) {
    return __fmaf_rn(a, b, c);
}
DEVICE float sqrt_f32(float x) {
    return __fsqrt_rn(x);
}
DEVICE uint32_t bits_of(float x) {
    return __float_as_uint(x);
}
DEVICE float from_bits(uint32_t bits) {
    return __uint_as_float(bits);
}
DEVICE float bf16_to_f32(uint16_t x) {
    return __uint_as_float((uint32_t)x << 16);
}
/* `low` in the lower half. A NaN stays one. */
DEVICE uint32_t pack_bf16(float low, float high) {
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}
DEVICE float f16_to_f32(uint16_t x) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(x));
    return value;
}
/* Two f16 sums, subnormals kept. */
DEVICE uint32_t add_f16x2(uint32_t a, uint32_t b) {
    uint32_t sum;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(sum) : "r"(a), "r"(b));
    return sum;
}
DEVICE uint32_t pack_f16(float low, float high) {
    uint32_t packed;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

#endif
