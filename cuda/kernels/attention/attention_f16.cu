#include "cuda/kernels/attention/attention.cuh"

#define INSTANCE(bucket, key_dim, value_dim, row_warps, dim_warps) \
    ATTENTION_KERNEL(f16, CUDA_KV_F16, bucket, key_dim, value_dim, row_warps, dim_warps)
ATTENTION_BUCKETS(INSTANCE)
