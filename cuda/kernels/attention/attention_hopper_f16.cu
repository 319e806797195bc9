#include "cuda/kernels/attention/attention_hopper.cuh"
#include "cuda/kernels/attention/attention_hopper_latent.cuh"

#define INSTANCE(bucket, dim) ATTENTION_HOPPER_KERNEL(f16, CUDA_KV_F16, bucket, dim)
ATTENTION_HOPPER_BUCKETS(INSTANCE)
ATTENTION_LATENT_KERNEL(f16, CUDA_KV_F16)
