/* Arguments of the GEMM kernels for warpgroups: those of gemm_args.h, and a tensor map of the
 * activations. */
#ifndef CUDA_KERNELS_GEMM_HOPPER_ARGS_H
#define CUDA_KERNELS_GEMM_HOPPER_ARGS_H

#include "cuda/kernels/gemm/gemm_args.h"
#include "cuda/kernels/tensor_map.h"

/* The grid is any number of blocks, which take the tiles in turn. */
struct gemm_hopper_args {
    struct tensor_map x_map; /* of gemm.x: [n_x][n_cols] of 16 bits, boxes of LAYOUT_COLS columns
                                and the kernel's N rows, swizzle of 128 bytes */
    struct gemm_args gemm;
};

#endif
