/* A step's attention as a list of work: which queries, which splits of their keys, one block each.
 * How the work is cut changes no bits: splits are merged in order wherever they were computed. */
#ifndef CUDA_ATTENTION_PLAN_H
#define CUDA_ATTENTION_PLAN_H

#include "backend.h"
#include "cuda/kernels/attention/attention_args.h"

/* What layers that share a plan have in common. */
struct attention_geometry {
    int64_t window;     /* keys a query sees; 0: all before it */
    bool bidirectional; /* those behind it, too */
    int64_t n_heads, n_kv_heads;
    int64_t key_dim, value_dim;
    bool values_in_keys;
};

struct attention_limits {
    int64_t rows_per_item; /* consecutive rows of a sequence in an item, at most */
    int64_t tile_queries;  /* of a KV head that a block computes at once: of an item, at most */
    int64_t n_blocks;      /* that the device runs at once: work is cut until there are as many */
    int64_t max_items, max_merges;
    int64_t max_slots; /* parts that the workspace has room for */
};

struct attention_plan {
    struct attention_item *items;        /* [max_items] */
    struct attention_merge_item *merges; /* [max_merges] */
    int64_t n_items, n_merges, n_slots;
};

/* Items that a step of so many rows and sequences has before any is cut along the keys; of limits
 * rows_per_item and tile_queries count. */
int64_t attention_plan_least_items(const struct attention_geometry *geometry,
                                   const struct attention_limits *limits, int64_t n_rows,
                                   int64_t n_sequences);
/* limits.max_items is at least least_items; n_items, n_merges and n_slots are written. */
void attention_plan_make(const struct attention_geometry *geometry,
                         const struct attention_limits *limits, const struct step *step,
                         struct attention_plan *plan);

#endif
