#include "cuda/kernels/attention/attention.cuh"

#define INSTANCE(bucket, key_dim, value_dim, row_warps, dim_warps) \
    ATTENTION_KERNEL(f32, CUDA_KV_F32, bucket, key_dim, value_dim, row_warps, dim_warps)
ATTENTION_BUCKETS_F32(INSTANCE)
