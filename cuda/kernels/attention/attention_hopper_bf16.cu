#include "cuda/kernels/attention/attention_hopper.cuh"
#include "cuda/kernels/attention/attention_hopper_latent.cuh"

#define INSTANCE(bucket, dim) ATTENTION_HOPPER_KERNEL(bf16, CUDA_KV_BF16, bucket, dim)
ATTENTION_HOPPER_BUCKETS(INSTANCE)
ATTENTION_LATENT_KERNEL(bf16, CUDA_KV_BF16)
