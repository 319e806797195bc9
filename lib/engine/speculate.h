/* Proposals: tokens that a sequence's own sampler may choose next, computed in the same step as the
 * last one it has and checked then (arXiv:2211.17192; a sampler here is a function of position and
 * logits, so a proposal is right when it is the token that the sampler chooses). */
#ifndef ENGINE_SPECULATE_H
#define ENGINE_SPECULATE_H

#include "engine/sequence.h"

/* Of a sequence without tokens, once: prompt lookup. INVALID_ARGUMENT: it has no sampler. */
status speculate_lookup(transformer_sequence *sequence, uint32_t most);
/* A fork's part: it looks up as its original does, where it has a sampler. */
status speculate_fork(const transformer_sequence *original, transformer_sequence *fork);
/* The host's. STATE: it has no sampler. */
status speculate_propose(transformer_sequence *sequence, const int32_t *tokens, int64_t n);
/* The sequence has only its first n tokens now, or others behind them. */
void speculate_forget(transformer_sequence *sequence, int64_t n);
void speculate_free(transformer_sequence *sequence);

/* Writes at most `room` proposals behind the sequence's tokens, where they are no tokens of it, and
 * returns how many. */
int64_t speculate_offer(transformer_sequence *sequence, int64_t room);
/* Whether the proposal behind the sequence's tokens is `token` and more may be queued behind it. */
bool speculate_is_right(const transformer_sequence *sequence, int32_t token);
/* So many of n_checked were. */
void speculate_learn(transformer_sequence *sequence, int64_t n_checked, int64_t n_right);

#endif
