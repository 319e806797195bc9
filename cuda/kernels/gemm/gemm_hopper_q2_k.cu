#include "cuda/kernels/gemm/gemm_hopper.cuh"

GEMM_HOPPER_KERNELS(q2_k, WEIGHT_Q2_K)
