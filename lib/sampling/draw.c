#include "sampling/chain.h"

#define CHUNK 256 /* tokens whose weight is kept as one sum */

size_t draw_n_chunks(int64_t n_vocab) {
    return (size_t)n_vocab / CHUNK + 1;
}

/* Four sums side by side: one would wait for each addition. */
static double sum(const float *weights, size_t n) {
    double sums[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++) sums[j] += (double)weights[i + j];
    for (; i < n; i++) sums[0] += (double)weights[i];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static size_t weigh_chunk(const struct candidates *candidates, size_t chunk, float min_p,
                          float weights[CHUNK]) {
    size_t first = chunk * CHUNK, n = candidates->n - first < CHUNK ? candidates->n - first : CHUNK;
    weight_all(&candidates->scale, candidates->logits + first, n, min_p, weights);
    return n;
}

int32_t draw_token(struct sampling_chain *chain, const struct candidates *candidates, float min_p,
                   float uniform) {
    float weights[CHUNK];
    size_t n_chunks = (candidates->n + CHUNK - 1) / CHUNK;
    double total = 0;
    for (size_t chunk = 0; chunk < n_chunks; chunk++) {
        size_t n = weigh_chunk(candidates, chunk, min_p, weights);
        chain->chunk_weight[chunk] = sum(weights, n);
        total += chain->chunk_weight[chunk];
    }
    /* The first token whose running sum is over `target`: never one that weighs nothing. Where
     * rounding has it that there is none, the last one that weighs anything. */
    double target = (double)uniform * total, before = 0;
    size_t last_chunk = 0, chunk = 0;
    for (; chunk < n_chunks; chunk++) {
        if (chain->chunk_weight[chunk] == 0) continue;
        last_chunk = chunk;
        if (before + chain->chunk_weight[chunk] > target) break;
        before += chain->chunk_weight[chunk];
    }
    if (chunk == n_chunks) before -= chain->chunk_weight[last_chunk];
    size_t n = weigh_chunk(candidates, last_chunk, min_p, weights), chosen = 0;
    for (size_t i = 0; i < n; i++) {
        if (weights[i] == 0) continue;
        chosen = i;
        before += (double)weights[i];
        if (before > target) break;
    }
    chosen += last_chunk * CHUNK;
    return candidates->ids ? candidates->ids[chosen] : (int32_t)chosen;
}
