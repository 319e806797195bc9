/* Filters that cut the order of likelihood somewhere. Neither sorts: they look for the last token
 * that stays. */
#include <math.h>

#include "sampling/chain.h"
#include "sampling/rank.h"

static int32_t id_at(const struct candidates *candidates, size_t i) {
    return candidates->ids ? candidates->ids[i] : (int32_t)i;
}

/* Keeps those whose rank is at least `last`. The scratch that receives them may be what they are
 * read from. */
static void keep_head(struct sampling_chain *chain, struct candidates *candidates, uint64_t last) {
    float last_logit = rank_logit(last);
    size_t n = 0;
    for (size_t i = 0; i < candidates->n; i++) {
        float logit = candidates->logits[i];
        if (!(logit >= last_logit)) continue;
        int32_t id = id_at(candidates, i);
        if (logit == last_logit && rank_of(logit, id) < last) continue;
        chain->logits[n] = logit;
        chain->ids[n] = id;
        n++;
    }
    candidates->logits = chain->logits;
    candidates->ids = chain->ids;
    candidates->n = n;
}

void filter_top_k(struct sampling_chain *chain, struct candidates *candidates, size_t k) {
    size_t n = candidates->n;
    if (k >= n) return;
    size_t capacity = k < 256 ? 1024 : 4 * k; /* a selection pays off every 3k tokens that pass */
    if (capacity > n) capacity = n;
    uint64_t *ranks = chain->ranks;
    size_t n_ranks = 0;
    float threshold = -INFINITY; /* of equals only the first matter, and ids ascend */
    for (size_t i = 0; i < n; i++) {
        if (!(candidates->logits[i] > threshold)) continue;
        ranks[n_ranks++] = rank_of(candidates->logits[i], id_at(candidates, i));
        if (n_ranks == capacity) {
            threshold = rank_logit(rank_select(ranks, n_ranks, k));
            n_ranks = k;
        }
    }
    if (n_ranks < k) return; /* the others are -inf, and never drawn */
    keep_head(chain, candidates, rank_select(ranks, n_ranks, k));
}

#define BINS_PER_UNIT 8 /* of the exponent */
#define N_BINS 256      /* down to exp(-32); the last takes all the rest */

static int bin_of(const struct weight_scale *scale, float logit) {
    float depth = -weight_exponent(scale, logit) * BINS_PER_UNIT;
    return depth < N_BINS - 1 ? (int)depth : N_BINS - 1;
}

static double rank_weight_of(const void *scale, uint64_t rank) {
    return weight_of(scale, rank_logit(rank));
}

/* Bins of likelihood tell roughly where the head ends; only the tokens of that bin are ranked. */
void filter_top_p(struct sampling_chain *chain, struct candidates *candidates, float p) {
    const struct weight_scale *scale = &candidates->scale;
    double bins[N_BINS] = {0}, total = 0;
    for (size_t i = 0; i < candidates->n; i++)
        bins[bin_of(scale, candidates->logits[i])] += weight_of(scale, candidates->logits[i]);
    for (int bin = 0; bin < N_BINS; bin++) total += bins[bin];

    double least = (double)p * total, above = 0;
    int cut = 0;
    while (cut < N_BINS - 1 && above + bins[cut] < least) above += bins[cut++];

    size_t n = 0;
    for (size_t i = 0; i < candidates->n; i++) {
        float logit = candidates->logits[i];
        if (bin_of(scale, logit) == cut && weight_of(scale, logit) > 0)
            chain->ranks[n++] = rank_of(logit, id_at(candidates, i));
    }
    if (n == 0) return; /* rounding: all that weighs anything is above */
    keep_head(chain, candidates,
              rank_select_weight(chain->ranks, n, least - above, rank_weight_of, scale));
}
