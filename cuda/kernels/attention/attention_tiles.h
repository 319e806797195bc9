/* The attention kernels by name, their blocks and their shared memory: for the kernels themselves
 * and for who launches them.
 *
 * A kernel attention_TYPE_BUCKET serves keys of at most key_dim and values of at most value_dim
 * dims. Its block has ATTENTION_THREADS threads and works on `rows` queries at a time (a query: a
 * row of the step with one query head); all query heads of a KV head lie one beside the other. */
#ifndef CUDA_KERNELS_ATTENTION_TILES_H
#define CUDA_KERNELS_ATTENTION_TILES_H

#include "cuda/kernels/attention/attention_args.h"

#define ATTENTION_THREADS 128
/* attention_merge: a block for a merge item, a warp for a query; no shared memory. */
#define ATTENTION_MERGE_THREADS 128
#define ATTENTION_MAX_DISTANCE 1024 /* attention_args.relative_max_distance, at most */
#define ATTENTION_MAX_STAGES 4
#define ROPE_STORE_THREADS 128

/* Bucket by bucket: name, most dims of a key and of a value, warps along the queries (16 each) and
 * along the dims of a value. The buckets' order is that in which to look for the first that fits.
 * In mla the values are a prefix of the keys (v_offset = k_offset), in the others they aren't. f32
 * values take more registers. */
#define ATTENTION_BUCKETS(X) \
    X(d64, 64, 64, 4, 1)     \
    X(d128, 128, 128, 4, 1)  \
    X(d256, 256, 256, 2, 2)  \
    X(mla, 576, 512, 1, 4)
#define ATTENTION_BUCKETS_F32(X) \
    X(d64, 64, 64, 2, 2)         \
    X(d128, 128, 128, 2, 2)      \
    X(d256, 256, 256, 2, 2)      \
    X(mla, 576, 512, 1, 4)

#ifndef __CUDACC__
struct attention_bucket {
    const char *name;
    uint32_t key_dim, value_dim;
    uint32_t row_warps, dim_warps;
    uint32_t shared_kv; /* 1: the values must be a prefix of the keys */
};

/* By enum cuda_kv_type. */
static const char *const attention_type_names[CUDA_KV_TYPES] = {"f32", "f16", "bf16", "q8_0",
                                                                "e4m3"};

#define ATTENTION_BUCKET(name, key_dim, value_dim, row_warps, dim_warps) \
    {#name, key_dim, value_dim, row_warps, dim_warps, (key_dim) != (value_dim)},
static const struct attention_bucket attention_buckets[] = {ATTENTION_BUCKETS(ATTENTION_BUCKET)};
static const struct attention_bucket attention_buckets_f32[] = {
    ATTENTION_BUCKETS_F32(ATTENTION_BUCKET)};
#undef ATTENTION_BUCKET
#define ATTENTION_N_BUCKETS ((int)(sizeof attention_buckets / sizeof attention_buckets[0]))

/* The bucket of a stream; NULL: none has room. shared_kv: the values are a prefix of the keys. */
static inline const struct attention_bucket *
attention_bucket_find(uint32_t type, uint32_t key_dim, uint32_t value_dim, uint32_t shared_kv) {
    for (int i = 0; i < ATTENTION_N_BUCKETS; i++) {
        const struct attention_bucket *bucket =
            (type == CUDA_KV_F32 ? attention_buckets_f32 : attention_buckets) + i;
        if (bucket->shared_kv <= shared_kv && key_dim <= bucket->key_dim &&
            value_dim <= bucket->value_dim)
            return bucket;
    }
    return 0;
}
#endif

/* Queries of a block at a time. An item may have more, which the block then does one tile after
 * the other: attention_item.first_query and n_queries share them out among blocks. */
#define ATTENTION_TILE_ROWS(row_warps) (16 * (row_warps))

/* ---- shared memory: queries | P among warps (dim_warps > 1) | converted page | ring | small ----
 */

/* Bytes of a row of 16-bit elements: an odd number of 16-byte pieces, so that the eight rows of a
 * matrix lie in different banks. */
#define ATTENTION_ROW_BYTES(dim) (2 * (dim) + 16)
/* f32 values go as two bf16 planes. */
#define ATTENTION_PLANES(type) ((type) == CUDA_KV_F32 ? 2 : 1)
/* Quants become f16 in a buffer of their own. */
#define ATTENTION_CONVERTS(type) ((type) == CUDA_KV_Q8_0 || (type) == CUDA_KV_E4M3)

#define ATTENTION_QUERY_BYTES(type, key_dim, row_warps) \
    (ATTENTION_PLANES(type) * ATTENTION_TILE_ROWS(row_warps) * ATTENTION_ROW_BYTES(key_dim))
#define ATTENTION_P_BYTES(type, row_warps, dim_warps)                            \
    ((dim_warps) > 1 ? ATTENTION_PLANES(type) * ATTENTION_TILE_ROWS(row_warps) * \
                           ATTENTION_ROW_BYTES(ATTENTION_PAGE)                   \
                     : 0)
#define ATTENTION_CONVERTED_BYTES(type, key_dim) \
    (ATTENTION_CONVERTS(type) ? ATTENTION_PAGE * ATTENTION_ROW_BYTES(key_dim) : 0)
/* Keys or values of a page as they are stored; f32 is read from global memory where it is used. */
#define ATTENTION_STAGE_BYTES(type, key_dim)                                               \
    ((type) == CUDA_KV_F32    ? 0                                                          \
     : (type) == CUDA_KV_Q8_0 ? ATTENTION_PAGE * ((key_dim) + 2 * (((key_dim) + 31) / 32)) \
     : (type) == CUDA_KV_E4M3 ? ATTENTION_PAGE * (key_dim)                                 \
                              : ATTENTION_PAGE * ATTENTION_ROW_BYTES(key_dim))
/* What each query sees, its head and its factor; maxima and sums among warps; buckets by distance.
 */
#define ATTENTION_SMALL_BYTES(row_warps, dim_warps) \
    (ATTENTION_TILE_ROWS(row_warps) * (32 + 8 * (dim_warps)) + ATTENTION_MAX_DISTANCE)
/* Dims of the total that a warp keeps there, where a part and the total together leave too few
 * registers: of 128. */
#define ATTENTION_TOTAL_DIMS(type, key_dim, dim_warps) \
    ((key_dim) / (dim_warps) <= 64 ? 0 : ATTENTION_CONVERTS(type) ? 96 : 64)
#define ATTENTION_TOTAL_BYTES(type, key_dim, row_warps, dim_warps) \
    (4 * ATTENTION_TILE_ROWS(row_warps) *                          \
     (dim_warps)*ATTENTION_TOTAL_DIMS(type, key_dim, dim_warps))

/* stages 1 ... ATTENTION_MAX_STAGES (attention_args.stages must be the same): pages' halves (keys
 * or values) under way or in use; 1: no overlap of copies and products. The bits don't depend on
 * it. Dims and warps: the bucket's. */
#define ATTENTION_SHARED_BYTES(type, key_dim, row_warps, dim_warps, stages)                        \
    (ATTENTION_QUERY_BYTES(type, key_dim, row_warps) +                                             \
     ATTENTION_P_BYTES(type, row_warps, dim_warps) + ATTENTION_SMALL_BYTES(row_warps, dim_warps) + \
     ATTENTION_TOTAL_BYTES(type, key_dim, row_warps, dim_warps) +                                  \
     ATTENTION_CONVERTED_BYTES(type, key_dim) + (stages)*ATTENTION_STAGE_BYTES(type, key_dim))

/* The same of the persistent kernel's tasks: 16 queries, whose values' dims four warps share, while
 * each makes all scores; the whole total lies there. */
#define ATTENTION_RESIDENT_TOTAL_BYTES(dim) (4 * 16 * (dim))
#define ATTENTION_RESIDENT_BYTES(type, dim, stages)                               \
    (ATTENTION_QUERY_BYTES(type, dim, 1) + ATTENTION_SMALL_BYTES(1, 4) +          \
     ATTENTION_RESIDENT_TOTAL_BYTES(dim) + ATTENTION_CONVERTED_BYTES(type, dim) + \
     (stages)*ATTENTION_STAGE_BYTES(type, dim))

#ifndef __CUDACC__
static inline uint32_t attention_shared_bytes(uint32_t type, const struct attention_bucket *bucket,
                                              uint32_t stages) {
    return ATTENTION_SHARED_BYTES(type, bucket->key_dim, bucket->row_warps, bucket->dim_warps,
                                  stages);
}
#endif

/* rope_store: a block for a row; a head of floats for every eight lanes. */
#define ROPE_STORE_SHARED_BYTES(head_dim, value_dim) \
    (ROPE_STORE_THREADS / 8 * 4 * ((head_dim) > (value_dim) ? (head_dim) : (value_dim)))

#endif
