/* A context: KV pages, sequences, the buffers of a step; and who may be inside it. */
#ifndef ENGINE_CONTEXT_H
#define ENGINE_CONTEXT_H

#include "engine/model.h"
#include "engine/step_times.h"
#include "kv/page_table.h"

struct context_limits { /* options with their defaults filled in */
    int64_t max_sequence_tokens, kv_pages, max_sequences, max_step_tokens, max_logit_rows;
    int64_t max_source_tokens; /* 0: the model takes no source */
    uint32_t kv_type;
    struct pooling_spec pooling;
    int64_t prefix_entries; /* of the prefix index; 0: there is none */
    bool preemption;
    int n_threads;
    const transformer_executor *executor;
};

struct transformer_context {
    struct memory memory;
    transformer_model *model;
    struct log log;
    struct context_limits limits;
    transformer_executor executor;
    struct program *program;
    struct backend_context *backend;
    int64_t *n_pages; /* [n_groups] */
    struct kv_cache cache;

    transformer_sequence **sequences; /* [max_sequences], NULL where there is none */
    transformer_sequence **order;     /* [n_sequences] those there are, as they are planned */
    int64_t n_sequences;
    uint64_t n_created, n_plans, n_turns;
    struct prefix_index index; /* what cache.index points to */
    int32_t *page_marks; /* [most pages of a group] zero but while it counts; NULL: no preemption */
    int64_t *n_needed;   /* [n_groups] pages */

    /* Of a step; [max_step_tokens], [max_sequences], [max_logit_rows] */
    int32_t *tokens;
    uint8_t *token_types;
    struct step_sequence *planned;
    transformer_sequence **planned_sequences;
    /* The sources of a step, which come first in it; NULL where the model takes none. */
    struct step_sequence *planned_sources; /* [max_sequences] */
    struct source **sources;               /* [max_sequences] */
    int64_t next_source;                   /* where planning them begins */
    bool tokens_wait; /* the last step had sources alone: now tokens come first */
    int32_t *logit_rows;
    int64_t *logit_positions;    /* position of each kept row in its sequence */
    struct step_sample *samples; /* [max_logit_rows] */
    int32_t *pooled;             /* [max_sequences] */
    float *masked;  /* [n_vocab] logits of a sequence with a constraint; NULL until there is one */
    uint64_t steps; /* number of the last step; a sequence's kept rows are of this one or gone */
    uint64_t steps_done, rows;
    uint64_t prefix_lookups, prefix_hit_tokens, n_preempted, n_proposed, n_accepted;
    struct step_times times;

    /* Who is inside. `owners`: the handle and each sequence; the last one frees the struct. `busy`:
     * one call, or one clearing away. What is asked for while it is set is done by whoever leaves.
     */
    atomic_int owners;
    atomic_flag busy;
    atomic_bool destroy_wanted;
    bool destroyed;                         /* resources are gone; read and written inside */
    _Atomic(transformer_sequence *) doomed; /* sequences to be destroyed */
    atomic_int cancel;
};

/* options whole, checked for the rules of structs. LIMIT, INVALID_ARGUMENT. */
status context_limits_read(const transformer_model *model,
                           const transformer_context_options *options,
                           struct context_limits *limits);
status context_create(transformer_model *model, const transformer_context_options *options,
                      transformer_context **created);
status context_measure(const transformer_model *model, const transformer_context_options *options,
                       transformer_memory_estimate *estimate);
void context_destroy(transformer_context *context); /* NULL does nothing */
void context_cancel(transformer_context *context);
void context_statistics(const transformer_context *context,
                        transformer_context_statistics *statistics);

/* Inside: BUSY if a call is, STATE if the context was destroyed. */
status context_enter(transformer_context *context);
void context_leave(transformer_context *context);
void context_retain(transformer_context *context);
void context_release(transformer_context *context);
/* A sequence that is to be destroyed, at once or by whoever is inside. */
void context_doom(transformer_context *context, transformer_sequence *sequence);

#endif
