#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q5_k, WEIGHT_Q5_K)
