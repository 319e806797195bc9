#include "cuda/kernels/attention/attention.cuh"

#define INSTANCE(bucket, key_dim, value_dim, row_warps, dim_warps) \
    ATTENTION_KERNEL(e4m3, CUDA_KV_E4M3, bucket, key_dim, value_dim, row_warps, dim_warps)
ATTENTION_BUCKETS(INSTANCE)
