#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q4_0, WEIGHT_Q4_0)
