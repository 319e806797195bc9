/* Arguments of rope + KV store and of attention over paged keys and values. */
#ifndef CUDA_KERNELS_ATTENTION_ARGS_H
#define CUDA_KERNELS_ATTENTION_ARGS_H

#include <stdint.h>

#define ATTENTION_PAGE 64        /* positions in a page */
#define ATTENTION_SPLIT_KEYS 512 /* keys after which the online softmax starts anew */
/* Queries in a merge item: one for each warp of the block. More are merged one after the other. */
#define ATTENTION_MERGE_QUERIES 4

/* Values are stored as these; the numbers are those of enum cuda_kv_type in the host's code. */
enum cuda_kv_type {
    CUDA_KV_F32,
    CUDA_KV_F16,
    CUDA_KV_BF16,
    CUDA_KV_Q8_0,
    CUDA_KV_E4M3,
    CUDA_KV_TYPES
};

/* One stream of keys and values in the pages of its group. A head's place in a page: keys
 * [64][key_dim], then for Q8_0 their f16 scales [64][ceil(key_dim / 32)]; from v_offset - k_offset
 * on the values in the same way with value_dim. MLA: value_dim dims at the front of the keys are
 * the values, v_offset = k_offset. */
struct kv_stream_args {
    uint8_t *pool; /* page p begins at pool + p * page_bytes */
    uint64_t page_bytes;
    uint64_t k_offset, v_offset; /* of head 0 in a page */
    uint64_t head_bytes;         /* from head to head */
    uint32_t type;               /* enum cuda_kv_type */
    uint32_t key_dim, value_dim;
    uint32_t n_kv_heads;
    const int32_t *pages;     /* page numbers of all sequences of the step, this stream's group */
    const uint32_t *pages_at; /* [sequence]: its first one in `pages`; page of position p:
                                 pages[pages_at[s] + p / 64] */
};

/* What every kernel knows of the step's rows. A row of no sequence (sequence -1) is there to fill a
 * captured launch: nothing is stored for it. */
struct step_rows {
    const int32_t *token;    /* [n_rows] */
    const int64_t *position; /* [n_rows] */
    const int32_t *sequence; /* [n_rows] index in the step, or -1 */
};

/* q and k of every row: clamp, norm of each head, rotation, then k and v rounded into their pages.
 * One block for a row. */
struct rope_store_args {
    struct step_rows rows;
    struct kv_stream_args kv;
    float *q;       /* [n_rows][q_stride], in place */
    const float *k; /* [n_rows][k_stride]; NULL: they are there already, q alone is turned */
    const float *v; /* [n_rows][v_stride]; NULL: none, or MLA, the values are a prefix of k */
    uint32_t q_stride, k_stride, v_stride;
    uint32_t n_rows, n_heads, head_dim;
    const float *q_norm, *k_norm;           /* weights, NULL: ones: [head_dim], or for each head */
    const float *q_norm_bias, *k_norm_bias; /* of NORM_LAYER; NULL: none */
    uint32_t q_norm_kind, k_norm_kind;      /* enum kind_of_norm */
    uint32_t v_norm_kind;                   /* likewise, without weights */
    uint32_t norm_of_each;                  /* a head has weights and bias of its own */
    uint32_t norm_turned;                   /* q and k are normed after their rotation */
    uint32_t padding;
    float q_eps, k_eps, v_eps;
    uint32_t rope_dims;      /* of a head that are rotated; 0 none */
    uint32_t rope_halves;    /* pairs: 0 (2i, 2i + 1), 1 (i, i + rope_dims / 2) */
    const float *rope_table; /* [n_rows][rope_dims / 2][2]: cos, sin */
    float clamp;             /* q, k and v are cut to -clamp ... clamp before the norm; 0: none */
    uint32_t rope_first;     /* dims of a head before those that are rotated */
    const float *q_rest;     /* MLA: q's dims from rope_first on come from the end of its heads */
    uint32_t q_rest_stride, q_rest_dim; /* [n_rows][q_rest_stride], a head q_rest_dim; NULL: none */
};

/* A block's work: queries of consecutive rows of one sequence, with all query heads of one KV head,
 * over splits first_split ... end_split - 1 of the keys. */
struct attention_item {
    int32_t sequence;
    int32_t first_row, n_rows; /* of the step */
    int32_t kv_head;
    int32_t first_split, end_split;
    int32_t part; /* -1: these are all splits, the result goes to out; else the first slot of parts
                     for it: split s of query i (row * heads of the KV head + head) at part + (s -
                     first_split) * (n_rows * heads) + i */
    int32_t first_query, n_queries; /* which of the item's n_rows * heads queries; n_queries 0: all
                                       from first_query on. So that blocks share many heads. */
};
/* Queries whose splits several items have: merged in order of the splits. */
struct attention_merge_item {
    int32_t first_row, n_rows, kv_head;
    int32_t part; /* first slot */
    int32_t n_splits;
    int32_t first_query, n_queries; /* as in attention_item: which of the slots' queries */
    int32_t padding;
};

struct attention_args {
    struct step_rows rows;
    struct kv_stream_args kv;
    const float *q; /* [n_rows][q_stride], head h at h * key_dim */
    float *out;     /* [n_rows][out_stride], head h at h * value_dim */
    uint32_t q_stride, out_stride;
    uint32_t n_heads; /* query heads in all */
    uint32_t
        unmasked;   /* 1: every query sees every key of its sequence (encoder, cross attention) */
    int64_t window; /* keys a query sees, itself included; 0 all before it; unmasked: those less
                       than `window` positions away on either side */
    float scale;    /* score = scale * (q · k), then softcap, then the biases */
    float softcap;  /* 0 none */
    const float *sinks;        /* [n_heads] a score without a value; NULL none */
    const float *alibi_slopes; /* [n_heads] slope * (key - query) is added; NULL none */
    float alibi_scale;         /* 0, or: added is alibi_scale * (r(slope * r(key)) - r(slope *
                                  r(query))) of BF16 slopes, r rounding to BF16 */
    uint32_t padding;
    const float *relative_bias; /* T5: [relative_buckets][n_heads], bucket by distance; NULL none */
    uint32_t relative_buckets, relative_max_distance;
    uint32_t relative_bidirectional;
    uint32_t stages;           /* of the ring in shared memory: attention_tiles.h */
    const int64_t *key_counts; /* [sequence] keys of the sequence; for unmasked */
    const struct attention_item *items;
    const uint32_t *n_items; /* in device memory: a captured launch serves any number */
    const struct attention_merge_item *merges;
    const uint32_t *n_merges;
    float *parts; /* slots of CUDA_ATTENTION_PART_FLOATS: maximum, sum, 2 unused, values */
};
#define CUDA_ATTENTION_PART_FLOATS(value_dim) (4 + (value_dim))

#endif
