/* What a kernel needs of the machine, in thin functions, so that kernels name no intrinsic and no
 * assembler. There are two bodies: nvcc's (ptx_device.cuh) and the host emulator's
 * (tests/gpu/emulator/ptx_emulated.h), which runs the same kernel source on a CPU and checks it.
 *
 * A kernel takes one struct of arguments, blocks and grids are one-dimensional, and all shared
 * memory is the dynamic one, whose bytes the launch gives:
 *
 *     KERNEL(scale_rows, struct scale_args, 256, 1) { ... args.rows[block_index()] ... }
 *
 * Floats: products and sums are never contracted (nvcc -fmad=false, g++ -ffp-contract=off); a fused
 * multiply-add is fma_f32. Division and square root are IEEE's. */
#ifndef CUDA_KERNELS_PTX_CUH
#define CUDA_KERNELS_PTX_CUH

#include <stdint.h>

struct alignas(8) u32x2 {
    uint32_t x, y;
};
struct alignas(16) u32x4 {
    uint32_t x, y, z, w;
};
struct alignas(8) f32x2 {
    float x, y;
};
struct alignas(16) f32x4 {
    float x, y, z, w;
};

#ifdef __CUDACC__
#include "cuda/kernels/ptx_device.cuh"
#else
#include "ptx_emulated.h"
#endif

#endif
