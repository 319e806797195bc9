/* Beam search on the public API: each beam is a sequence, and one that goes on in two ways is
 * forked, so that what both have in common is computed and kept once. */
#ifndef EXAMPLES_BEAM_H
#define EXAMPLES_BEAM_H

#include <stdint.h>
#include <transformer.h>

struct beam_options {     /* as in Hugging Face transformers' generate */
    int64_t n_beams;      /* 1: greedy */
    int64_t max_tokens;   /* generated ones */
    int64_t min_length;   /* no end token before there are so many tokens, generated ones and one */
    float length_penalty; /* a finished beam's score is its log probability / length ^ this */
    int early_stopping;   /* stop as soon as n_beams have ended */
    const int32_t *begin; /* [n_begin] of all beams: the start token, or a prompt */
    int64_t n_begin;
    const int32_t *ends; /* [n_ends] tokens that end a beam */
    int64_t n_ends;
    int32_t forced_first; /* the token after `begin`; -1: whichever is likeliest */
    int32_t forced_last;  /* the token at max_tokens; -1 likewise */
    const int32_t *never; /* [n_never] tokens that must not come */
    int64_t n_never;
};

/* The best of what the beams end in, `begin` first; the caller frees it. source: [n_source] of an
 * encoder-decoder, else NULL. The context has room for n_beams sequences of n_begin + max_tokens
 * tokens. Failures end the process, as in console.h. */
int32_t *beam_search(transformer_context *context, const int32_t *source, int64_t n_source,
                     const struct beam_options *options, int64_t *count);

#endif
