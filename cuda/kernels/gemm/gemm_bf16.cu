#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(bf16, WEIGHT_BF16)
