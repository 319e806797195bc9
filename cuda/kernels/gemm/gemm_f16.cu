#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(f16, WEIGHT_F16)
