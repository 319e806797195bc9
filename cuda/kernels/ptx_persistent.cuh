/* What blocks that run at once say to each other, in thin functions beside those of ptx.cuh. All of
 * them must be there at once: a cooperative launch. */
#ifndef CUDA_KERNELS_PTX_PERSISTENT_CUH
#define CUDA_KERNELS_PTX_PERSISTENT_CUH

#include "cuda/kernels/ptx.cuh"

#ifdef __CUDACC__

/* Adds, after all that this thread has written or, by barriers, knows to be written: who has waited
 * for the count sees it. */
DEVICE void add_release(uint32_t *at, uint32_t value) {
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(at), "r"(value) : "memory");
}
DEVICE uint32_t load_acquire(const uint32_t *from) {
    uint32_t value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
    return value;
}
/* Until *count is `wanted`: false if it isn't so after most_polls looks, or *failed isn't 0. What
 * was written before it became so is then seen by this thread and, after a barrier, by the block.
 */
DEVICE bool wait_for_count(const uint32_t *count, uint32_t wanted, const uint32_t *failed,
                           uint32_t most_polls) {
    for (uint32_t i = 0; load_acquire(count) != wanted; i++)
        if (i >= most_polls || (i % 64 == 63 && load_acquire(failed) != 0)) return false;
    return true;
}
/* This thread does nothing more. */
DEVICE void end_thread() {
    asm volatile("exit;");
}
/* A struct in shared memory, to be read in place. */
template <typename T> DEVICE const T &shared_struct(shared at) {
    return *reinterpret_cast<const T *>(at.at);
}

#else
#include "ptx_persistent_emulated.h"
#endif

#endif
