#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q8_k, WEIGHT_Q8_K)
