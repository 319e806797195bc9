/* Filters that cut the order of likelihood somewhere. Neither sorts: they look for the last token
 * that stays. */
#include <math.h>
#include <string.h>

#include "sampling/chain.h"
#include "sampling/rank.h"

static int32_t id_at(const struct candidates *candidates, size_t i) {
    return candidates->ids ? candidates->ids[i] : (int32_t)i;
}

static void take_kept(struct sampling_chain *chain, struct candidates *candidates, size_t n) {
    candidates->logits = chain->logits;
    candidates->ids = chain->ids;
    candidates->n = n;
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
    take_kept(chain, candidates, n);
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

#define CHUNK 256 /* tokens weighed at a time */

static size_t chunk_size(const struct candidates *candidates, size_t first) {
    return candidates->n - first < CHUNK ? candidates->n - first : CHUNK;
}

static void fill_bins(const struct candidates *candidates, double bins[WEIGHT_N_BINS]) {
    float weights[CHUNK];
    int32_t of[CHUNK];
    memset(bins, 0, WEIGHT_N_BINS * sizeof *bins);
    for (size_t first = 0; first < candidates->n; first += CHUNK) {
        size_t n = chunk_size(candidates, first);
        weight_all(&candidates->scale, candidates->logits + first, n, 0, weights);
        weight_bins(&candidates->scale, candidates->logits + first, n, of);
        for (size_t i = 0; i < n; i++) bins[of[i]] += (double)weights[i];
    }
}

/* Keeps the bins up to `last`; returns how many ranks those of the last one have put into
 * chain->ranks. */
static size_t keep_bins(struct sampling_chain *chain, struct candidates *candidates, int32_t last) {
    int32_t of[CHUNK];
    size_t n_kept = 0, n_ranks = 0;
    for (size_t first = 0; first < candidates->n; first += CHUNK) {
        size_t n = chunk_size(candidates, first);
        weight_bins(&candidates->scale, candidates->logits + first, n, of);
        for (size_t i = 0; i < n; i++) {
            if (of[i] > last) continue;
            float logit = candidates->logits[first + i];
            int32_t id = id_at(candidates, first + i);
            if (!(logit > -INFINITY)) continue; /* or NaN */
            if (of[i] == last) chain->ranks[n_ranks++] = rank_of(logit, id);
            chain->logits[n_kept] = logit;
            chain->ids[n_kept] = id;
            n_kept++;
        }
    }
    take_kept(chain, candidates, n_kept);
    return n_ranks;
}

static double weigh_ranks(const void *scale, const uint64_t *ranks, size_t n) {
    float logits[CHUNK], weights[CHUNK];
    double sum = 0;
    for (size_t first = 0; first < n; first += CHUNK) {
        size_t size = n - first < CHUNK ? n - first : CHUNK;
        for (size_t i = 0; i < size; i++) logits[i] = rank_logit(ranks[first + i]);
        weight_all(scale, logits, size, 0, weights);
        for (size_t i = 0; i < size; i++) sum += (double)weights[i];
    }
    return sum;
}

/* Bins of likelihood tell roughly where the head ends; only the tokens of that bin are ranked. */
void filter_top_p(struct sampling_chain *chain, struct candidates *candidates, float p) {
    double bins[WEIGHT_N_BINS], total = 0, above = 0;
    fill_bins(candidates, bins);
    for (int bin = 0; bin < WEIGHT_N_BINS; bin++) total += bins[bin];

    double least = (double)p * total;
    int32_t cut = 0;
    while (cut < WEIGHT_N_BINS - 1 && above + bins[cut] < least) above += bins[cut++];

    size_t n = keep_bins(chain, candidates, cut);
    if (n == 0) return; /* rounding: all that weighs anything is above */
    keep_head(chain, candidates,
              rank_select_weight(chain->ranks, n, least - above, weigh_ranks, &candidates->scale));
}
