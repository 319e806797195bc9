/* Arguments of the GEMM kernels for warpgroups: those of gemm_args.h, and tensor maps of the
 * activations. */
#ifndef CUDA_KERNELS_GEMM_HOPPER_ARGS_H
#define CUDA_KERNELS_GEMM_HOPPER_ARGS_H

#include "cuda/kernels/gemm/gemm_args.h"
#include "cuda/kernels/tensor_map.h"

/* The grid is any number of blocks, which take the tiles in turn; with `pair` an even number. */
struct gemm_hopper_args {
    struct tensor_map x_map; /* of gemm.x: [n_x][n_cols] of 16 bits, boxes of LAYOUT_COLS columns
                                and the kernel's N rows, half as many with `pair`, swizzle of 128
                                bytes. Of e4m3: boxes of LAYOUT_BLOCK_COLS columns */
    struct tensor_map scale_map; /* of e4m3: its scales [n_blocks][n_x] f32, boxes of one block and
                                    as many rows of x; not looked at by other kernels */
    struct gemm_args gemm;       /* splits_apart 0 with `pair` */
    uint32_t pair; /* nonzero: launched in clusters of two blocks, whose tiles have the same rows of
                      x: each brings half of these to both. N is 16 at least, of e4m3 64 */
};

#endif
