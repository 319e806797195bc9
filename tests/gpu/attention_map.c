#include "attention_map.h"

#include <string.h>

void attention_map_make(struct gpu *gpu, const struct attention_args *args, uint64_t n_pages,
                        struct attention_hopper_args *made) {
    struct driver_tensor_map map;
    made->attention = *args;
    memset(&made->kv_map, 0, sizeof made->kv_map);
    if (ATTENTION_CONVERTS(args->kv.type)) return; /* copied as they are */
    const uint64_t row_bytes = 2 * args->kv.key_dim;
    const uint64_t dims[2] = {args->kv.key_dim, n_pages * args->kv.page_bytes / row_bytes};
    const uint64_t strides[1] = {row_bytes};
    const uint32_t box[2] = {64, ATTENTION_PAGE}, steps[2] = {1, 1};
    if (gpu->driver.tensor_map_encode(&map, DRIVER_TENSOR_BFLOAT16, 2, args->kv.pool, dims, strides,
                                      box, steps, DRIVER_TENSOR_INTERLEAVE_NONE,
                                      DRIVER_TENSOR_SWIZZLE_128B, DRIVER_TENSOR_L2_PROMOTION_128B,
                                      DRIVER_TENSOR_FILL_NONE))
        gpu_fail(gpu, "the tensor map of %u dims is refused", args->kv.key_dim);
    memcpy(&made->kv_map, &map, sizeof made->kv_map);
}
