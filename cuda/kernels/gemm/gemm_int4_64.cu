#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(int4_64, LAYOUT_INT4_64)
