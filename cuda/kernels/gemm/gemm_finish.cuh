/* What becomes of a sum of products: the same operations in the same order for every kernel. */
#ifndef CUDA_KERNELS_GEMM_GEMM_FINISH_CUH
#define CUDA_KERNELS_GEMM_GEMM_FINISH_CUH

#include "cuda/kernels/gemm/gemm_args.h"
#include "cuda/kernels/math.cuh"
#include "cuda/weight_layout.h"

/* Of weight row `row` of an expert (0 where there are none) and row x of args.x. */
template <int type>
DEVICE float gemm_finish_sum(const gemm_args &args, const gemm_weight &weight, uint32_t expert,
                             uint32_t row, uint32_t x, float sum) {
    if constexpr (type == WEIGHT_F16) sum *= load_global<float>(args.x_scale + x);
    if (!weight.bias) return sum;
    return sum + load_global<float>(weight.bias + (size_t)expert * weight.n_rows + row);
}

/* value: a finished sum, or of GATE the product of two. */
DEVICE void gemm_finish_store(const gemm_args &args, float *y, float value) {
    if (args.combine == GEMM_ADD) value = load_global<float>(y) + value;
    if (args.softcap != 0.0f) value = softcap_f32(value, args.softcap);
    store_global(y, value);
}

#endif
