#include "cuda/kernels/attention/attention.cuh"

#define INSTANCE(bucket, key_dim, value_dim, row_warps, dim_warps) \
    ATTENTION_KERNEL(q8_0, CUDA_KV_Q8_0, bucket, key_dim, value_dim, row_warps, dim_warps)
ATTENTION_BUCKETS(INSTANCE)
