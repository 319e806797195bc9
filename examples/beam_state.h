/* The state of a beam search: beam.c, and beam_scores.c for what may come next. */
#ifndef EXAMPLES_BEAM_STATE_H
#define EXAMPLES_BEAM_STATE_H

#include "beam.h"

#define IMPOSSIBLE (-1e9f) /* added to the score of what must not be chosen */

struct beam {
    transformer_sequence *sequence; /* of one that runs */
    int32_t *tokens;                /* [n_begin + max_tokens] */
    int64_t n_tokens;
    float score; /* log probability; of an ended one, over its length ^ length_penalty */
    int ended;
};

struct candidate { /* for the next token */
    int64_t parent;
    int32_t token;
    float score;
    int ends;
};

struct search {
    transformer_context *context;
    const struct beam_options *options;
    int64_t n_vocab, n_candidates, length; /* length: generated tokens and one */
    struct beam *running, *next;           /* [n_beams] */
    struct beam *best;                     /* [n_beams] what has ended, best first */
    struct candidate *candidates;          /* [n_candidates], best first */
    float *scores;                         /* [n_vocab] */
    int may_improve;
};

/* Fills the candidates of all running beams, at most n_candidates, and sets n_candidates. */
void beam_find_candidates(struct search *search);

#endif
