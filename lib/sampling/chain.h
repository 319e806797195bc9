#ifndef SAMPLING_CHAIN_H
#define SAMPLING_CHAIN_H

#include "sampling/sampling.h"
#include "sampling/weight.h"

struct sampling_chain {
    struct memory *memory;
    transformer_sampler_options options; /* logit_bias is ours */
    transformer_logit_bias *biases;      /* [options.n_logit_bias] */
    int64_t n_vocab;
    /* Scratch, NULL where the options need none. */
    float *logits;        /* [n_vocab]: biased and penalized, then those of the tokens kept */
    int32_t *ids;         /* [n_vocab]: of the tokens kept */
    uint64_t *ranks;      /* [n_vocab] */
    uint32_t *counts;     /* [n_vocab]: all 0 between calls */
    double *chunk_weight; /* [n_vocab / CHUNK + 1] */
};

/* The tokens still in the running, in the order of their ids. */
struct candidates {
    const float *logits; /* [n] */
    const int32_t *ids;  /* [n], NULL: the index is the id */
    size_t n;
    struct weight_scale scale;
};

/* Bias and penalties: logits [n_vocab] into chain->logits. */
void adjust_logits(struct sampling_chain *chain, const float *logits, const int32_t *history,
                   int64_t n_history);
bool adjust_is_needed(const transformer_sampler_options *options);
bool adjust_counts_history(const transformer_sampler_options *options);

/* Cuts the candidates down to the k likeliest, or to the head that holds p of the weight. */
void filter_top_k(struct sampling_chain *chain, struct candidates *candidates, size_t k);
void filter_top_p(struct sampling_chain *chain, struct candidates *candidates, float p);

/* The candidate at `uniform`, in [0, 1), of the weight of all whose weight is at least min_p. */
int32_t draw_token(struct sampling_chain *chain, const struct candidates *candidates, float min_p,
                   float uniform);
size_t draw_n_chunks(int64_t n_vocab);

#endif
