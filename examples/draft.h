/* A draft model that guesses for another: what a host does with transformer_sequence_propose.
 * Failures end the process, as in console.h. */
#ifndef EXAMPLES_DRAFT_H
#define EXAMPLES_DRAFT_H

#include <stdint.h>
#include <transformer.h>

struct draft {
    transformer_context *context;
    transformer_sequence *sequence;
    transformer_sampler *sampler;
    int32_t *tokens; /* [n_tokens] the draft's own sequence */
    int64_t n_tokens, max_tokens;
};

/* The sampler's options are those of the sequence that it guesses for: with the same random numbers
 * two models that are alike mostly choose the same token. */
void draft_open(struct draft *draft, transformer_model *model,
                const transformer_sampler_options *sampler, int64_t max_tokens, int32_t n_threads);
void draft_close(struct draft *draft);

/* Guesses at most n tokens behind tokens [n_tokens] and proposes them to the sequence that has
 * these. */
void draft_propose(struct draft *draft, transformer_sequence *sequence, const int32_t *tokens,
                   int64_t n_tokens, int64_t n);

#endif
