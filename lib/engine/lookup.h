/* Prompt lookup: what may come next is what followed the last few tokens where the sequence had
 * them before (arXiv:2304.04487, with the text itself for the reference). */
#ifndef ENGINE_LOOKUP_H
#define ENGINE_LOOKUP_H

#include "base/memory.h"

enum { LOOKUP_SHORTEST = 2, LOOKUP_LONGEST = 4, LOOKUP_N_GRAMS = 3 }; /* tokens that must agree */

/* How often proposals of late were right: old ones count less and less. */
struct lookup_rate {
    uint32_t right, wrong; /* in 1/256; a proposal behind a wrong one is neither */
    uint32_t passed;       /* chances to propose that were let pass since the last proposal */
};

struct lookup {
    uint32_t most; /* proposals in a step */
    uint32_t n_bits;
    int32_t *ends;     /* [LOOKUP_N_GRAMS][1 << n_bits], by hash: where the n-gram was last, as the
                          number of tokens up to its end; 0: nowhere. A guess, to be compared */
    int64_t n_indexed; /* n-grams that end with these first tokens are in */
    struct lookup_rate rates[LOOKUP_N_GRAMS];
    int last; /* which of them the last proposals are of */
};

void lookup_rate_begin(struct lookup_rate *rate);
/* Proposals that the rate is worth, at most `most`, which is > 0. */
int64_t lookup_rate_worth(struct lookup_rate *rate, int64_t most);
void lookup_rate_learn(struct lookup_rate *rate, int64_t n_checked, int64_t n_right);

/* Of a sequence of at most max_tokens. */
status lookup_create(struct memory *memory, int64_t max_tokens, uint32_t most,
                     struct lookup **created);
void lookup_free(struct memory *memory, struct lookup *lookup); /* NULL does nothing */
/* Of two of the same size: what `from` knows. */
void lookup_copy(struct lookup *lookup, const struct lookup *from);
/* The sequence has only its first n tokens now. */
void lookup_truncate(struct lookup *lookup, int64_t n);
/* What may follow tokens [n]: at most `room`, to proposals, which don't overlap tokens but may be
 * behind them. Returns how many. O(1) for each token that is new. */
int64_t lookup_find(struct lookup *lookup, const int32_t *tokens, int64_t n, int64_t room,
                    int32_t *proposals);
/* Of the last proposals so many were checked, and so many of these were right. */
void lookup_learn(struct lookup *lookup, int64_t n_checked, int64_t n_right);

#endif
