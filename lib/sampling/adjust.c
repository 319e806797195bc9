/* What changes single logits: bias, and penalties for tokens that the sequence has. */
#include <math.h>

#include "sampling/chain.h"

bool adjust_counts_history(const transformer_sampler_options *options) {
    bool repetition = options->repetition_penalty != 0 && options->repetition_penalty != 1;
    return repetition || options->frequency_penalty != 0 || options->presence_penalty != 0;
}

bool adjust_is_needed(const transformer_sampler_options *options) {
    return options->n_logit_bias > 0 || adjust_counts_history(options);
}

/* inf - inf counts as -inf, as any NaN does. */
static float without_nan(float logit) {
    return isnan(logit) ? -INFINITY : logit;
}

static float penalize(const transformer_sampler_options *options, float logit, uint32_t count) {
    float repetition = options->repetition_penalty;
    if (repetition != 0) logit = logit > 0 ? logit / repetition : logit * repetition;
    logit -= options->frequency_penalty * (float)count;
    logit -= options->presence_penalty;
    return without_nan(logit);
}

static void penalize_history(struct sampling_chain *chain, const int32_t *history, int64_t n) {
    const transformer_sampler_options *options = &chain->options;
    int64_t window = options->penalty_window;
    int64_t first = window > 0 && window < n ? n - window : 0;
    uint32_t *counts = chain->counts;
    for (int64_t i = first; i < n; i++)
        if (history[i] >= 0 && history[i] < chain->n_vocab) counts[history[i]]++;
    for (int64_t i = first; i < n; i++) {
        int32_t token = history[i];
        if (token < 0 || token >= chain->n_vocab || counts[token] == 0) continue;
        chain->logits[token] = penalize(options, chain->logits[token], counts[token]);
        counts[token] = 0; /* done, and clean for the next call */
    }
}

void adjust_logits(struct sampling_chain *chain, const float *logits, const int32_t *history,
                   int64_t n_history) {
    for (int64_t i = 0; i < chain->n_vocab; i++) chain->logits[i] = without_nan(logits[i]);
    for (int64_t i = 0; i < chain->options.n_logit_bias; i++) {
        float *logit = &chain->logits[chain->biases[i].token];
        *logit = without_nan(*logit + chain->biases[i].bias);
    }
    if (chain->counts) penalize_history(chain, history, n_history);
}
