#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q5_0, WEIGHT_Q5_0)
