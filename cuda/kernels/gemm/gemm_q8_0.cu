#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(q8_0, WEIGHT_Q8_0)
