#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(fp8, LAYOUT_FP8)
