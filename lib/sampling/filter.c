/* Filters that cut the order of likelihood somewhere. Neither sorts: they look for the last token
 * that stays. */
#include <math.h>
#include <string.h>

#include "sampling/chain.h"
#include "sampling/rank.h"

static int32_t id_at(const struct candidates *candidates, size_t i) {
    return candidates->ids ? candidates->ids[i] : (int32_t)i;
}

static uint32_t within(const struct candidates *candidates, size_t first, float least,
                       float beyond) {
    size_t n = candidates->n - first < WEIGHT_BLOCK ? candidates->n - first : WEIGHT_BLOCK;
    return weight_within(candidates->logits + first, n, least, beyond);
}

/* Keeps those whose rank is at least `last`. The scratch that receives them may be what they are
 * read from. */
static void keep_head(struct sampling_chain *chain, struct candidates *candidates, uint64_t last) {
    float last_logit = rank_logit(last);
    int32_t last_id = rank_token(last);
    size_t n = 0;
    for (size_t first = 0; first < candidates->n; first += WEIGHT_BLOCK) {
        uint32_t left = within(candidates, first, last_logit, NAN);
        for (; left; left &= left - 1) {
            size_t i = first + (size_t)__builtin_ctz(left);
            float logit = candidates->logits[i];
            int32_t id = id_at(candidates, i);
            chain->logits[n] = logit;
            chain->ids[n] = id;
            n += (logit != last_logit) | (id <= last_id);
        }
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

#define CHUNK 256 /* tokens weighed at a time */
#define RUN 8     /* of them that may all be in one bin */

static bool same_bin(const int32_t of[RUN]) {
    int32_t difference = 0;
    for (size_t i = 1; i < RUN; i++) difference |= of[i] ^ of[0];
    return difference == 0;
}

/* Sums in a bin but the last one are exact, whatever their order: a bin is so narrow that the last
 * bits of its weights stand for much the same. */
static void fill_bins(const struct candidates *candidates, double bins[WEIGHT_N_BINS]) {
    float weights[CHUNK];
    int32_t of[CHUNK];
    memset(bins, 0, WEIGHT_N_BINS * sizeof *bins);
    for (size_t first = 0; first < candidates->n; first += CHUNK) {
        size_t n = candidates->n - first < CHUNK ? candidates->n - first : CHUNK, i = 0;
        weight_bins(&candidates->scale, candidates->logits + first, n, weights, of);
        for (; i + RUN <= n; i += RUN) {
            if (same_bin(of + i)) { /* adding to one place again and again would wait each time */
                double sum = 0;
                for (size_t j = 0; j < RUN; j++) sum += (double)weights[i + j];
                bins[of[i]] += sum;
            } else {
                for (size_t j = 0; j < RUN; j++) bins[of[i + j]] += (double)weights[i + j];
            }
        }
        for (; i < n; i++) bins[of[i]] += (double)weights[i];
    }
}

/* The ranks of the tokens in a bin into chain->ranks; returns how many. */
static size_t rank_bin(struct sampling_chain *chain, const struct candidates *candidates,
                       int32_t bin) {
    float least = weight_least_logit(&candidates->scale, bin);
    float beyond = bin > 0 ? weight_least_logit(&candidates->scale, bin - 1) : NAN;
    size_t n = 0;
    for (size_t first = 0; first < candidates->n; first += WEIGHT_BLOCK) {
        uint32_t left = within(candidates, first, least, beyond);
        for (; left; left &= left - 1) {
            size_t i = first + (size_t)__builtin_ctz(left);
            chain->ranks[n++] = rank_of(candidates->logits[i], id_at(candidates, i));
        }
    }
    return n;
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

    size_t n = rank_bin(chain, candidates, cut);
    uint64_t last =
        n > 0 ? rank_select_weight(chain->ranks, n, least - above, weigh_ranks, &candidates->scale)
              /* rounding: all that weighs anything is above */
              : rank_of(weight_least_logit(&candidates->scale, cut), INT32_MAX);
    keep_head(chain, candidates, last);
}
