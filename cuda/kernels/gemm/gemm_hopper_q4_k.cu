#include "cuda/kernels/gemm/gemm_hopper.cuh"

GEMM_HOPPER_KERNELS(q4_k, WEIGHT_Q4_K)
