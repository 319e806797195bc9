/* A sequence: its tokens, how many of them are in the KV cache, and their pages. */
#ifndef ENGINE_SEQUENCE_H
#define ENGINE_SEQUENCE_H

#include "engine/adapter.h"
#include "engine/context.h"
#include "engine/lookup.h"
#include "engine/sampler.h"
#include "engine/source.h"

struct transformer_sequence {
    transformer_context *context;
    int64_t index;                /* in context.sequences */
    transformer_sampler *sampler; /* NULL: none */
    uint64_t stream;
    transformer_adapter *adapter; /* NULL: none */
    float adapter_scale;
    int32_t *tokens; /* [max_sequence_tokens] */
    uint8_t *keep;   /* [max_sequence_tokens] nonzero: logits wanted */
    uint8_t *types;  /* [max_sequence_tokens] token types */
    int64_t n_tokens, n_computed;
    struct page_table *tables;     /* [n_groups]; those of groups that don't grow are empty */
    struct source *source;         /* NULL: none */
    struct constraint *constraint; /* NULL: none */
    /* Kept rows of the last step: [first_row, end_row) of the context, if step is still the
     * context's. */
    uint64_t logits_step;
    int64_t first_row, end_row;
    int64_t pooled; /* likewise, of the step's pooled vectors; -1: none */
    int32_t priority;
    uint64_t serial;        /* higher than of all sequences before it */
    uint64_t plan, refused; /* number of the context's plan that last had it, had no pages for it */
    uint64_t went_first[2]; /* as a single token, as a prompt: the context's turn */
    bool waits;             /* it was preempted: until its pages are there */
    struct prefix_domain domain;
    struct prefix_follower follower;
    bool apart; /* some of its keys and values are not of this context's making: they are shared
                   with its forks alone, and it with no others' */
    struct lookup *lookup; /* NULL: none */
    int32_t *proposals;    /* [n_proposals] the host's, for behind the last token; NULL: none yet */
    int64_t n_proposals;
    int64_t n_checked; /* of the step that is planned: proposals behind its tokens; else 0 */
    transformer_sequence *next_doomed;
};

/* All inside the context. */
/* With all that the options say; they are checked. */
status sequence_open(transformer_context *context, const transformer_sequence_options *options,
                     transformer_sequence **opened);
status sequence_create(transformer_context *context, transformer_sampler *sampler, uint64_t stream,
                       transformer_sequence **created);
/* Of a sequence without tokens, once. UNSUPPORTED: what the adapter changes. */
status sequence_adapt(transformer_sequence *sequence, transformer_adapter *adapter, float scale);
status sequence_fork(transformer_sequence *original, transformer_sampler *sampler, uint64_t stream,
                     transformer_sequence **created);
status sequence_append(transformer_sequence *sequence, const int32_t *tokens, int64_t count,
                       const transformer_append_options *options);
/* Of a program that is whole: a sequence is computed anew with every token it gets, in one step.
 * LIMIT: no step could, with `count` tokens more. What waits is never what can't be done. */
status sequence_check_step(const transformer_sequence *sequence, int64_t count,
                           const transformer_append_options *options);
/* STATE: it has one. */
status sequence_set_source(transformer_sequence *sequence, const int32_t *tokens, int64_t n);
/* The first n tokens are what is computed from here on, the pages of the others are given back. */
void sequence_rewind(transformer_sequence *sequence, int64_t n);
status sequence_truncate(transformer_sequence *sequence, int64_t n);
/* Row of the context's logits that belongs to position; NOT_FOUND. */
status sequence_logit_row(const transformer_sequence *sequence, int64_t position, int64_t *row);
/* The pooled vector's number; NOT_FOUND: the last step did not compute the last position. */
status sequence_pooled(const transformer_sequence *sequence, int64_t *index);
status sequence_sample(transformer_sequence *sequence, transformer_sampler *sampler,
                       int32_t *token);
/* INVALID_ARGUMENT: the index of one that is outside the vocabulary. */
status sequence_check_ids(int64_t n_vocab, const int32_t *tokens, int64_t count);
/* Takes it out of the context and frees all it has, its claim on the context too. */
void sequence_free(transformer_sequence *sequence);
/* Bytes of one sequence. */
uint64_t sequence_bytes(const struct context_limits *limits, int n_groups);

#endif
