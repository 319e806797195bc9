#include "cuda/kernels/gemm/gemm.cuh"

GEMM_KERNELS(int4_32, LAYOUT_INT4_32)
