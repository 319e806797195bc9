#include "cuda/kernels/attention/attention_hopper.cuh"

#define INSTANCE(bucket, dim) ATTENTION_HOPPER_KERNEL(q8_0, CUDA_KV_Q8_0, bucket, dim)
ATTENTION_HOPPER_BUCKETS(INSTANCE)
