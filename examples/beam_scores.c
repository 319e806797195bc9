#include <math.h>

#include "beam_state.h"
#include "console.h"

static void allow_only(struct search *search, int32_t token) {
    for (int64_t i = 0; i < search->n_vocab; i++) search->scores[i] = i == token ? 0 : -INFINITY;
}

/* Log probabilities after a running beam, and what the options make of them. */
static void score_tokens(struct search *search, const struct beam *beam) {
    const struct beam_options *options = search->options;
    const float *row = NULL;
    int64_t n = search->n_vocab;
    console_require(transformer_sequence_logits(beam->sequence, -1, &row, &n));
    float highest = -INFINITY;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) highest = row[i] > highest ? row[i] : highest;
    for (int64_t i = 0; i < n; i++) sum += exp((double)row[i] - (double)highest);
    for (int64_t i = 0; i < n; i++)
        search->scores[i] = (float)((double)row[i] - (double)highest - log(sum));
    if (search->length < options->min_length)
        for (int64_t i = 0; i < options->n_ends; i++) search->scores[options->ends[i]] = -INFINITY;
    for (int64_t i = 0; i < options->n_never; i++) search->scores[options->never[i]] = -INFINITY;
    if (search->length == 1 && options->forced_first >= 0)
        allow_only(search, options->forced_first);
    if (search->length == options->max_tokens && options->forced_last >= 0)
        allow_only(search, options->forced_last);
}

/* Keeps the list sorted; of equals the earlier one comes first. */
static void offer(struct search *search, int64_t *n, struct candidate candidate) {
    struct candidate *list = search->candidates;
    if (*n == search->n_candidates && !(candidate.score > list[*n - 1].score)) return;
    int64_t at = *n < search->n_candidates ? (*n)++ : *n - 1;
    for (; at > 0 && candidate.score > list[at - 1].score; at--) list[at] = list[at - 1];
    list[at] = candidate;
}

static int is_end(const struct beam_options *options, int32_t token) {
    for (int64_t i = 0; i < options->n_ends; i++)
        if (options->ends[i] == token) return 1;
    return 0;
}

void beam_find_candidates(struct search *search) {
    const struct beam_options *options = search->options;
    int64_t n = 0;
    for (int64_t i = 0; i < options->n_beams; i++) {
        const struct beam *beam = &search->running[i];
        if (!beam->sequence) continue;
        score_tokens(search, beam);
        for (int64_t token = 0; token < search->n_vocab; token++) {
            struct candidate candidate = {.parent = i,
                                          .token = (int32_t)token,
                                          .score = search->scores[token] + beam->score,
                                          .ends = is_end(options, (int32_t)token) ||
                                                  search->length == options->max_tokens};
            if (candidate.score > -INFINITY) offer(search, &n, candidate);
        }
    }
    search->n_candidates = n;
}
