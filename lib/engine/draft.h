/* A draft model's part in a generation: a sequence in a context of its own that follows another and
 * proposes what comes next (arXiv:2211.17192). */
#ifndef ENGINE_DRAFT_H
#define ENGINE_DRAFT_H

#include "engine/lookup.h"
#include "engine/sequence.h"

enum { DRAFT_MOST = 16 }; /* proposals at once */

struct draft {
    transformer_context *context;
    transformer_sequence *sequence;
    transformer_sampler *sampler;
    struct lookup_rate rate;
    int64_t at, n; /* the last proposals, and the tokens in front of them */
    int32_t proposals[DRAFT_MOST];
};

/* For `target`, whose sampler's options its own has: with the same random numbers two distributions
 * that are alike mostly give the same token. Enters the context.
 * INVALID_ARGUMENT: the contexts are the same, or the vocabularies differ. UNSUPPORTED: a model
 * that takes a source, or gives no logits. BUSY, STATE, OUT_OF_MEMORY, LIMIT. */
status draft_open(transformer_context *context, const transformer_sequence *target,
                  struct draft **opened);
/* Leaves the context. NULL does nothing. */
void draft_close(struct draft *draft);
/* Proposes to the target, where it has one pending token: what room there is in the draft's
 * context, and how often it was right, allow. */
status draft_propose(struct draft *draft, transformer_sequence *target);

#endif
