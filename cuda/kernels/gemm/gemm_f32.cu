#include "cuda/kernels/gemm/gemm.cuh"

GEMM_NARROW_KERNELS(f32, WEIGHT_F32)
