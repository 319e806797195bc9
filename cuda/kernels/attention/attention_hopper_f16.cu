#include "cuda/kernels/attention/attention_hopper.cuh"

#define INSTANCE(bucket, dim) ATTENTION_HOPPER_KERNEL(f16, CUDA_KV_F16, bucket, dim)
ATTENTION_HOPPER_BUCKETS(INSTANCE)
