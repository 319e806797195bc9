#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q4_k, WEIGHT_Q4_K)
