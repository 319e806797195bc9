/* What a step tells its kernels: tokens, positions, page tables and attention's work, as one block
 * of bytes that is written on the host and copied to the same place on the device, whose addresses
 * captured launches hold. */
#ifndef CUDA_STEP_DATA_H
#define CUDA_STEP_DATA_H

#include "cuda/adapters.h"
#include "cuda/attention_plan.h"
#include "cuda/kernels/elementwise/elementwise_args.h"

/* One list of attention work, shared by the layers of a geometry. */
struct step_attention {
    struct attention_geometry geometry;
    struct attention_limits limits;
    size_t counts, items, merges; /* offsets; counts: uint32_t n_items, n_merges */
    struct attention_plan plan;   /* of the step; its lists are in the block */
};

/* Rows of one adapter at one scale, while a step's are sorted. */
struct step_adapter {
    const struct backend_adapter *adapter; /* NULL: none */
    float scale;
    uint32_t item; /* the last of theirs */
};

/* Offsets in the block. What every step copies whole comes first. */
struct step_data {
    int64_t max_rows, max_sequences, max_logit_rows;
    int n_groups, n_attentions;
    const struct kv_group *groups;     /* [n_groups]; NULL: all grow */
    struct step_attention *attentions; /* [n_attentions] */
    size_t token, token_type, position, sequence, logit_row;
    size_t key_counts;     /* [max_sequences] of int64_t; then those of sources */
    size_t pages_at;       /* [n_groups][max_sequences] of uint32_t */
    size_t adapter_counts; /* uint32_t of the two lists below */
    size_t fixed_bytes;    /* up to here */
    size_t adapter_items, adapter_logit_items; /* of rows, of kept rows: where a sequence has one */
    struct step_adapter *adapters;             /* [max_sequences], for the host alone */
    size_t samples;                            /* [max_logit_rows] struct sample_row */
    size_t pooled;                             /* [max_sequences] struct pool_sequence */
    size_t pages;                              /* int32_t, as many as the step's tables have */
    size_t bytes;
};

struct step_range { /* of the block, to be copied */
    size_t offset, bytes;
};
/* fixed, samples, pooled, items of rows and of kept rows, pages, and items and merges of each
 * attention */
#define STEP_MAX_RANGES(n_attentions) (6 + 2 * (n_attentions))

/* Whether rows of the step have adapters: sources have none. */
bool step_data_adapts(const struct step *step);

/* Sets the offsets; attentions with their geometry and limits are there already. */
void step_data_measure(struct step_data *data, const struct backend_limits *limits, int n_groups);
/* Writes the step into `block` [bytes], with n_rows (at least the step's) rows and n_logit_rows:
 * those beyond the step's belong to no sequence. ranges [STEP_MAX_RANGES]: what changed; returns
 * how many. */
int step_data_write(struct step_data *data, const struct step *step, int64_t n_rows,
                    int64_t n_logit_rows, uint8_t *block, struct step_range *ranges);

#endif
