/* The arguments of a product by warpgroups: the copy engine is told where the rows of x lie. */
#ifndef CUDA_GEMM_MAP_H
#define CUDA_GEMM_MAP_H

#include <string.h>

#include "cuda/driver.h"
#include "cuda/kernels/gemm/gemm_hopper_args.h"
#include "cuda/weight_layout.h"

/* tile_rows: of x, the kernel's N. pair: it is launched in clusters of two. */
static inline driver_result gemm_map_make(const struct driver *driver, const struct gemm_args *args,
                                          uint32_t tile_rows, bool pair,
                                          struct gemm_hopper_args *made) {
    struct driver_tensor_map map;
    const uint32_t box_rows = pair ? tile_rows / 2 : tile_rows;
    const uint64_t n_x = (uint64_t)args->n_x * (args->n_heads ? args->n_heads : 1);
    const uint64_t dims[2] = {args->n_cols, n_x}, strides[1] = {args->x_stride};
    const bool bytes = args->x_block_scale != NULL;
    const uint32_t box[2] = {bytes ? LAYOUT_BLOCK_COLS : LAYOUT_COLS, box_rows}, steps[2] = {1, 1};
    *made = (struct gemm_hopper_args){.gemm = *args, .pair = pair};
    driver_result result = driver->tensor_map_encode(
        &map, bytes ? DRIVER_TENSOR_UINT8 : DRIVER_TENSOR_BFLOAT16, 2, (void *)(uintptr_t)args->x,
        dims, strides, box, steps, DRIVER_TENSOR_INTERLEAVE_NONE, DRIVER_TENSOR_SWIZZLE_128B,
        DRIVER_TENSOR_L2_PROMOTION_128B, DRIVER_TENSOR_FILL_NONE);
    memcpy(&made->x_map, &map, sizeof made->x_map);
    if (!bytes || result != DRIVER_SUCCESS) return result;
    const uint64_t scales[2] = {n_x, (args->n_cols + LAYOUT_BLOCK_COLS - 1) / LAYOUT_BLOCK_COLS};
    const uint64_t scale_strides[1] = {(uint64_t)args->x_block_stride * sizeof(float)};
    const uint32_t scale_box[2] = {box_rows, 1};
    result = driver->tensor_map_encode(
        &map, DRIVER_TENSOR_FLOAT32, 2, (void *)(uintptr_t)args->x_block_scale, scales,
        scale_strides, scale_box, steps, DRIVER_TENSOR_INTERLEAVE_NONE, DRIVER_TENSOR_SWIZZLE_NONE,
        DRIVER_TENSOR_L2_PROMOTION_NONE, DRIVER_TENSOR_FILL_NONE);
    memcpy(&made->scale_map, &map, sizeof made->scale_map);
    return result;
}

#endif
