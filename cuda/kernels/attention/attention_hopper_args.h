/* Arguments and shared memory of the attention kernels for warpgroups (wgmma, sm_90a): those of
 * attention_args.h, and a tensor map of the pool of keys and values. Kernel
 * attention_hopper_TYPE_BUCKET, TYPE f16 or bf16, serves keys and values of one size, at most the
 * bucket's dims, where every head's place in the pool is a multiple of 2 * key_dim bytes. A query
 * gets the same bits whatever shares its block; they need not be those of the kernels of
 * attention_tiles.h. */
#ifndef CUDA_KERNELS_ATTENTION_HOPPER_ARGS_H
#define CUDA_KERNELS_ATTENTION_HOPPER_ARGS_H

#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/tensor_map.h"

struct attention_hopper_args {
    struct tensor_map kv_map; /* of attention.kv.pool: rows of key_dim 16-bit elements, boxes of 64
                                 columns and ATTENTION_PAGE rows, swizzle of 128 bytes */
    struct attention_args attention;
};

/* One warpgroup asks for copies, two have ATTENTION_HOPPER_ROWS queries each. */
#define ATTENTION_HOPPER_THREADS 384
#define ATTENTION_HOPPER_CONSUMERS 256
#define ATTENTION_HOPPER_ROWS 64
#define ATTENTION_HOPPER_TILE_QUERIES 128
#define ATTENTION_HOPPER_BUCKETS(X) \
    X(d64, 64)                      \
    X(d128, 128)

/* Shared memory: stages (keys or values of a page each), then for each warpgroup its queries, some
 * of its totals, what its queries see and their factors, T5's buckets; then what is found among
 * warps, and barriers. */
#define ATTENTION_HOPPER_STAGES(dim) ((dim) <= 64 ? 16 : 8)
#define ATTENTION_HOPPER_STAGE_BYTES(dim) (ATTENTION_PAGE * (dim)*2)
#define ATTENTION_HOPPER_QUERY_BYTES(dim) (ATTENTION_HOPPER_ROWS * (dim)*2)
/* Dims of the total that a thread keeps there: with a part and two pages' scores it has no more
 * registers. */
#define ATTENTION_HOPPER_TOTAL_DIMS(dim) ((dim) <= 64 ? 0 : 96)
#define ATTENTION_HOPPER_TOTAL_BYTES(dim) \
    (ATTENTION_HOPPER_ROWS * ATTENTION_HOPPER_TOTAL_DIMS(dim) * 4)
#define ATTENTION_HOPPER_GROUP_BYTES(dim)                                           \
    (ATTENTION_HOPPER_QUERY_BYTES(dim) + ATTENTION_HOPPER_TOTAL_BYTES(dim) + 2048 + \
     ATTENTION_MAX_DISTANCE)
#define ATTENTION_HOPPER_GROUPS_AT(dim) \
    (ATTENTION_HOPPER_STAGES(dim) * ATTENTION_HOPPER_STAGE_BYTES(dim))
#define ATTENTION_HOPPER_FOUND_AT(dim) \
    (ATTENTION_HOPPER_GROUPS_AT(dim) + 2 * ATTENTION_HOPPER_GROUP_BYTES(dim))
#define ATTENTION_HOPPER_BARRIERS_AT(dim) (ATTENTION_HOPPER_FOUND_AT(dim) + 32)
#define ATTENTION_HOPPER_SHARED_BYTES(dim) \
    (ATTENTION_HOPPER_BARRIERS_AT(dim) + 16 * ATTENTION_HOPPER_STAGES(dim))

#ifndef __CUDACC__
/* dim: the bucket's. */
static inline uint32_t attention_hopper_shared_bytes(uint32_t dim) {
    return dim <= 64 ? ATTENTION_HOPPER_SHARED_BYTES(64) : ATTENTION_HOPPER_SHARED_BYTES(128);
}
#endif

#endif
