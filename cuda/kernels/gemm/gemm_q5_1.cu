#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q5_1, WEIGHT_Q5_1)
