#include "cuda/kernels/gemm/gemm_hopper.cuh"

GEMM_HOPPER_KERNELS(fp8, LAYOUT_FP8)
