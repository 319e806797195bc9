#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q4_1, WEIGHT_Q4_1)
