#include "cuda/kernels/attention/attention_hopper.cuh"

#define INSTANCE(bucket, dim) ATTENTION_HOPPER_KERNEL(e4m3, CUDA_KV_E4M3, bucket, dim)
ATTENTION_HOPPER_BUCKETS(INSTANCE)
