#include "cuda/kernels/gemm/gemm_hopper.cuh"

GEMM_HOPPER_KERNELS_OF_BYTES(fp8_fp8, LAYOUT_FP8_FP8)
