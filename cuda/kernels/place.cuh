/* Where a kernel's body runs: as a block of a launch of its own, or as a task of an instruction of
 * the persistent kernel (persistent/persistent.cuh), whose place has the same four functions. A
 * body asks its place for nothing else of the launch, so both run the same code. */
#ifndef CUDA_KERNELS_PLACE_CUH
#define CUDA_KERNELS_PLACE_CUH

#include "cuda/kernels/ptx.cuh"

struct own_launch {};

DEVICE uint32_t place_block(const own_launch &) {
    return block_index();
}
DEVICE uint32_t place_blocks(const own_launch &) {
    return block_count();
}
/* Until what comes before has written what it writes. All threads of the block call. */
DEVICE void place_wait(const own_launch &) {
    wait_for_previous_kernel();
}
/* What comes after may begin, as far as it can. */
DEVICE void place_let_next_begin(const own_launch &) {
    let_next_kernel_begin();
}

#endif
