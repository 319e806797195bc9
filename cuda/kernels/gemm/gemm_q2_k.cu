#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q2_k, WEIGHT_Q2_K)
