/* What a backend must provide. It sees base, quant, program and this; never the engine. */
#ifndef BACKEND_H
#define BACKEND_H

#include <stdatomic.h>

#include "program/op.h"

struct backend_model;
struct backend_context;

/* What the host chose when it opened the model. */
struct backend_choice {
    bool cpu_amx;
};

struct backend_limits {
    int64_t max_rows;                     /* of a step */
    int64_t max_sequences;                /* of a step */
    int64_t max_logit_rows;               /* of a step */
    const int64_t *n_pages;               /* [program.kv.n_groups] */
    uint32_t kv_type;                     /* TRANSFORMER_KV_F32 … */
    int n_threads;                        /* 0: as many as there are processors */
    const transformer_executor *executor; /* or NULL */
};

struct step_sequence {
    int64_t position;          /* of its first row in this step */
    int64_t first_row, n_rows; /* consecutive rows of the step */
    const int32_t *const
        *pages; /* [n_groups][position / KV_PAGE_TOKENS]; -1 where a window has passed */
};

struct step {
    int64_t n_rows, n_sequences, n_logit_rows;
    const int32_t *tokens; /* [n_rows] */
    const struct step_sequence *sequences;
    const int32_t
        *logit_rows;    /* [n_logit_rows] rows whose logits and hidden states are kept, ascending */
    atomic_int *cancel; /* nonzero: stop before the next op with `boundary` */
};

struct backend {
    const char *name;

    /* Bytes that model_create will take from the allocator. */
    status (*model_bytes)(const struct spec *spec, const struct backend_choice *choice,
                          uint64_t *bytes);
    /* Lays every weight of the spec out for itself, dropping the file's pages behind it. progress
     * may be NULL; CANCELLED if it says so. */
    status (*model_create)(struct memory *memory, struct checkpoint *checkpoint,
                           const struct spec *spec, const struct backend_choice *choice,
                           transformer_progress_function progress, void *progress_user,
                           struct backend_model **model);
    void (*model_destroy)(struct backend_model *model); /* NULL does nothing */
    /* A vector of the spec as f32, for what is computed at build time. */
    const float *(*model_vector)(const struct backend_model *model, const struct weight_ref *ref);

    /* Bytes that context_create will take, the KV part of them too. UINT64_MAX: more than 64 bits
     * can count. */
    status (*context_bytes)(const struct program *program, const struct backend_choice *choice,
                            const struct backend_limits *limits, uint64_t *bytes,
                            uint64_t *kv_bytes);
    /* model and program must outlive the context. */
    status (*context_create)(struct memory *memory, const struct backend_model *model,
                             const struct program *program, const struct backend_limits *limits,
                             struct backend_context **context);
    void (*context_destroy)(struct backend_context *context); /* NULL does nothing */
    int (*n_threads)(const struct backend_context *context);

    /* Keys and values of one page to another, before any later step. */
    void (*copy_page)(struct backend_context *context, int group, int32_t from, int32_t to);
    /* Runs the program. CANCELLED: pages may hold keys of some layers, results are gone. Allocates
     * nothing. */
    status (*run)(struct backend_context *context, const struct step *step);
    /* Views of what the last run kept, row i being logit_rows[i]: [n_vocab] and [n_embd]. */
    const float *(*logits)(const struct backend_context *context, int64_t row);
    const float *(*hidden)(const struct backend_context *context, int64_t row);
};

/* The CPU. UNSUPPORTED: TRANSFORMER_CPU or the choice names a path that can't run here. */
extern const struct backend cpu_backend;

#endif
