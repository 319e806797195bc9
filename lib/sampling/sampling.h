/* Logits to a token: the chain of filters of transformer_sampler_options, and counter-based random
 * numbers. Pure functions. */
#ifndef SAMPLING_SAMPLING_H
#define SAMPLING_SAMPLING_H

#include "base/memory.h"

struct sampling_chain; /* checked options and scratch for one vocabulary: one call at a time */

/* INVALID_ARGUMENT names the option that is out of range (NaN, top_p > 1, temperature < 0, a biased
 * token outside the vocabulary …). All options read already (full-size struct). */
status sampling_create(struct memory *memory, const transformer_sampler_options *options,
                       int64_t n_vocab, struct sampling_chain **chain);
status sampling_clone(const struct sampling_chain *chain, struct sampling_chain **clone);
void sampling_destroy(struct sampling_chain *chain); /* NULL does nothing */
/* Its own, as they were given. */
const transformer_sampler_options *sampling_options(const struct sampling_chain *chain);
int64_t sampling_n_vocab(const struct sampling_chain *chain);

/* All that a chain does, where it has neither bias nor penalties; a filter that cuts nothing is
 * 0. */
struct sampling_filters {
    uint64_t seed;
    float temperature;
    int32_t top_k;
    float top_p, min_p;
};
/* false: it has. */
bool sampling_has_filters_only(const struct sampling_chain *chain,
                               struct sampling_filters *filters);

/* logits [n_vocab] are not changed; NaN counts as -inf; if no logit is above -inf the lowest id is
 * taken. history [n_history]: the sequence's tokens, for the penalties. Allocates nothing. */
int32_t sampling_choose(struct sampling_chain *chain, const float *logits, const int32_t *history,
                        int64_t n_history, uint64_t stream, uint64_t position);

/* Philox4x32-10 (Salmon et al., SC'11): 32 random bits of counter (position, stream) under key
 * seed. */
uint32_t sampling_random(uint64_t seed, uint64_t stream, uint64_t position);
/* In [0, 1), 24 bits. */
float sampling_uniform(uint64_t seed, uint64_t stream, uint64_t position);

#endif
