#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q6_k, WEIGHT_Q6_K)
