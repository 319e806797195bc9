/* The CUDA backend: the backend table. */
#include "backend.h"

#include "cuda/device_list.h"
#include "cuda/launcher.h"

/* Keys and values both as [position][dim]. */
static status cuda_kv_format(uint32_t kv_type, struct kv_format *format) {
    switch (kv_type) {
    case TRANSFORMER_KV_F32:
        *format = (struct kv_format){.element_bytes = 4};
        return OK;
    case TRANSFORMER_KV_F16:
    case TRANSFORMER_KV_BF16:
        *format = (struct kv_format){.element_bytes = 2};
        return OK;
    case TRANSFORMER_KV_Q8_0:
        *format = (struct kv_format){.element_bytes = 1, .scale_bytes = 2};
        return OK;
    default:
        return fail(UNSUPPORTED, "kv_type %" PRIu32 " is not known", kv_type);
    }
}

/* Of the host: the one that makes the call. */
static int n_threads(const struct backend_context *context) {
    (void)context;
    return 1;
}

const struct backend cuda_backend = {
    .name = "cuda",
    .n_devices = device_list_count,
    .device_info = device_list_info,
    .describe = device_list_describe,
    .model_bytes = cuda_weights_bytes,
    .model_create = cuda_weights_load,
    .model_destroy = cuda_weights_free,
    .model_vector = cuda_weights_host_vector,
    .kv_format = cuda_kv_format,
    .context_bytes = cuda_context_bytes,
    .context_create = cuda_context_create,
    .context_destroy = cuda_context_destroy,
    .n_threads = n_threads,
    .adapter_create = cuda_adapter_create,
    .adapter_destroy = cuda_adapter_destroy,
    .reserve_adapters = cuda_reserve_adapters,
    .copy_page = cuda_copy_page,
    .read_page = cuda_read_page,
    .write_page = cuda_write_page,
    .max_sampled_vocab = SAMPLE_MAX_VOCAB,
    .run = cuda_run,
    .logits = cuda_logits,
    .hidden = cuda_hidden,
    .pooled = cuda_pooled,
    .score = cuda_score,
};
