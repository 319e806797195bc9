#include "cuda/kernels/gemm/gemm_groups.cuh"

KERNEL(gemm_groups, struct gemm_groups_args, GEMM_GROUPS_THREADS, 1) {
    groups<GEMM_GROUPS_THREADS>::run(own_launch{}, args);
}
