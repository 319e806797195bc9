#include "cuda/kernels/gemm/gemm_hopper.cuh"

GEMM_HOPPER_KERNELS(bf16, WEIGHT_BF16)
