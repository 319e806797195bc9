#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q3_k, WEIGHT_Q3_K)
