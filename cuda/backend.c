/* The CUDA backend: the backend table. */
#include "backend.h"

#include "cuda/device_list.h"
#include "cuda/weights.h"

const struct backend cuda_backend = {
    .name = "cuda",
    .n_devices = device_list_count,
    .device_info = device_list_info,
    .describe = device_list_describe,
    .model_bytes = cuda_weights_bytes,
    .model_create = cuda_weights_load,
    .model_destroy = cuda_weights_free,
    .model_vector = cuda_weights_host_vector,
};
