/* Arguments and shared memory of the attention kernels for warpgroups (wgmma, sm_90a): those of
 * attention_args.h, and a tensor map of the pool of keys and values. A query gets the same bits
 * whatever shares its block; they need not be those of the kernels of attention_tiles.h.
 *
 * Kernel attention_hopper_TYPE_BUCKET serves keys and values of at most the bucket's dims. Those of
 * f16 and bf16 want keys and values of one size, or values that are a prefix of the keys, and every
 * head's place in the pool at a multiple of 2 * key_dim bytes. q8_0 and e4m3 need no map.
 * Kernel attention_hopper_TYPE_mla, f16 or bf16, is for values that are a prefix of long keys. */
#ifndef CUDA_KERNELS_ATTENTION_HOPPER_ARGS_H
#define CUDA_KERNELS_ATTENTION_HOPPER_ARGS_H

#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/tensor_map.h"

struct attention_hopper_args {
    struct tensor_map kv_map; /* of attention.kv.pool: rows of key_dim 16-bit elements, boxes of 64
                                 columns and ATTENTION_PAGE rows, swizzle of 128 bytes */
    struct attention_args attention;
};

#define ATTENTION_HOPPER_THREADS 384 /* one warpgroup brings pages, two multiply */
#define ATTENTION_HOPPER_CONSUMERS 256
#define ATTENTION_HOPPER_ROWS 64 /* queries in a product */
#define ATTENTION_HOPPER_BUCKETS(X) \
    X(d64, 64)                      \
    X(d128, 128)
#define ATTENTION_LATENT_KEY_DIM 576
#define ATTENTION_LATENT_VALUE_DIM 512

/* ---- a bucket's: each warpgroup has queries of its own ---- */

#define ATTENTION_HOPPER_TILE_QUERIES 128

/* Shared memory: stages (keys or values of a page each, as operands), then for each warpgroup its
 * queries, some of its totals, what its queries see and their factors, T5's buckets; stages of
 * quants as they are stored; then what is found among warps, and barriers. */
#define ATTENTION_HOPPER_STAGES(type, dim) \
    (((dim) <= 64 ? 16u : 8u) / (ATTENTION_CONVERTS(type) ? 2u : 1u))
#define ATTENTION_HOPPER_STAGE_BYTES(dim) (ATTENTION_PAGE * (dim)*2)
#define ATTENTION_HOPPER_STORED_STAGES(type, dim) \
    (!ATTENTION_CONVERTS(type) ? 0u : (dim) <= 64 ? 16u : 8u)
#define ATTENTION_HOPPER_QUERY_BYTES(dim) (ATTENTION_HOPPER_ROWS * (dim)*2)
/* Dims of the total that a thread keeps there: with a part and two pages' scores it has no more
 * registers. */
#define ATTENTION_HOPPER_TOTAL_DIMS(dim) ((dim) <= 64 ? 0u : 96u)
#define ATTENTION_HOPPER_TOTAL_BYTES(dim) \
    (ATTENTION_HOPPER_ROWS * ATTENTION_HOPPER_TOTAL_DIMS(dim) * 4)
#define ATTENTION_HOPPER_GROUP_BYTES(dim)                                           \
    (ATTENTION_HOPPER_QUERY_BYTES(dim) + ATTENTION_HOPPER_TOTAL_BYTES(dim) + 2048 + \
     ATTENTION_MAX_DISTANCE)
#define ATTENTION_HOPPER_GROUPS_AT(type, dim) \
    (ATTENTION_HOPPER_STAGES(type, dim) * ATTENTION_HOPPER_STAGE_BYTES(dim))
#define ATTENTION_HOPPER_STORED_AT(type, dim) \
    (ATTENTION_HOPPER_GROUPS_AT(type, dim) + 2 * ATTENTION_HOPPER_GROUP_BYTES(dim))
#define ATTENTION_HOPPER_FOUND_AT(type, dim) \
    (ATTENTION_HOPPER_STORED_AT(type, dim) + \
     ATTENTION_HOPPER_STORED_STAGES(type, dim) * ATTENTION_STAGE_BYTES(type, dim))
#define ATTENTION_HOPPER_BARRIERS_AT(type, dim) (ATTENTION_HOPPER_FOUND_AT(type, dim) + 32)
#define ATTENTION_HOPPER_SHARED_BYTES(type, dim) \
    (ATTENTION_HOPPER_BARRIERS_AT(type, dim) +   \
     16 * (ATTENTION_HOPPER_STAGES(type, dim) + ATTENTION_HOPPER_STORED_STAGES(type, dim)))

/* ---- latent: the warpgroups share queries, each has half of the values' dims ---- */

#define ATTENTION_LATENT_TILE_QUERIES ATTENTION_HOPPER_ROWS
#define ATTENTION_LATENT_STAGES 2
#define ATTENTION_LATENT_STAGE_BYTES (ATTENTION_PAGE * ATTENTION_LATENT_KEY_DIM * 2)
/* Pages, queries, weights, what queries see, their factors, maxima and sums of each warpgroup and
 * of the total; what is found among warps, how many pages each has done, barriers. */
#define ATTENTION_LATENT_QUERIES_AT (ATTENTION_LATENT_STAGES * ATTENTION_LATENT_STAGE_BYTES)
#define ATTENTION_LATENT_WEIGHTS_AT \
    (ATTENTION_LATENT_QUERIES_AT + ATTENTION_HOPPER_ROWS * ATTENTION_LATENT_KEY_DIM * 2)
#define ATTENTION_LATENT_SEEN_AT \
    (ATTENTION_LATENT_WEIGHTS_AT + ATTENTION_HOPPER_ROWS * ATTENTION_PAGE * 2)
#define ATTENTION_LATENT_FOUND_AT \
    (ATTENTION_LATENT_SEEN_AT + ATTENTION_HOPPER_ROWS * (16 + 4 + 8 + 8 + 8))
#define ATTENTION_LATENT_COUNTS_AT (ATTENTION_LATENT_FOUND_AT + 32)
#define ATTENTION_LATENT_BARRIERS_AT (ATTENTION_LATENT_COUNTS_AT + 32)
#define ATTENTION_LATENT_SHARED_BYTES (ATTENTION_LATENT_BARRIERS_AT + 16 * ATTENTION_LATENT_STAGES)

#ifndef __CUDACC__
struct attention_hopper_bucket {
    uint32_t key_dim, value_dim;
    uint32_t tile_queries;
    const char *kernels[CUDA_KV_TYPES];
};

/* As attention_bucket_find. */
static inline const struct attention_hopper_bucket *
attention_hopper_bucket_find(uint32_t type, uint32_t key_dim, uint32_t value_dim,
                             uint32_t shared_kv) {
#define ATTENTION_HOPPER_BUCKET(bucket, dim)                                \
    {dim,                                                                   \
     dim,                                                                   \
     ATTENTION_HOPPER_TILE_QUERIES,                                         \
     {0, "attention_hopper_f16_" #bucket, "attention_hopper_bf16_" #bucket, \
      "attention_hopper_q8_0_" #bucket, "attention_hopper_e4m3_" #bucket}},
    static const struct attention_hopper_bucket buckets[] = {
        ATTENTION_HOPPER_BUCKETS(ATTENTION_HOPPER_BUCKET){
            ATTENTION_LATENT_KEY_DIM,
            ATTENTION_LATENT_VALUE_DIM,
            ATTENTION_LATENT_TILE_QUERIES,
            {0, "attention_hopper_f16_mla", "attention_hopper_bf16_mla", 0, 0}}};
#undef ATTENTION_HOPPER_BUCKET
    const int n = (int)(sizeof buckets / sizeof *buckets);
    if (key_dim % 8 || value_dim % 8) return 0;
    if (!ATTENTION_CONVERTS(type) && !shared_kv && key_dim != value_dim) return 0;
    for (int i = 0; i < n; i++) {
        const int is_latent = buckets[i].key_dim != buckets[i].value_dim;
        if (buckets[i].kernels[type] && (shared_kv || !is_latent) &&
            key_dim <= buckets[i].key_dim && value_dim <= buckets[i].value_dim)
            return buckets + i;
    }
    return 0;
}

static inline uint32_t attention_hopper_shared_bytes(uint32_t type,
                                                     const struct attention_hopper_bucket *bucket) {
    if (bucket->key_dim == ATTENTION_LATENT_KEY_DIM) return ATTENTION_LATENT_SHARED_BYTES;
    return ATTENTION_HOPPER_SHARED_BYTES(type, bucket->key_dim);
}
#endif

#endif
