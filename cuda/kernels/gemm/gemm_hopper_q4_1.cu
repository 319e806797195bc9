#include "cuda/kernels/gemm/gemm_hopper.cuh"

GEMM_HOPPER_KERNELS(q4_1, WEIGHT_Q4_1)
