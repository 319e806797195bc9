#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "beam_state.h"
#include "console.h"

/* ---- memory ---- */

static struct beam *new_beams(const struct beam_options *options) {
    struct beam *beams = console_allocate(NULL, (size_t)options->n_beams, sizeof *beams);
    for (int64_t i = 0; i < options->n_beams; i++) {
        beams[i] = (struct beam){.score = IMPOSSIBLE};
        beams[i].tokens = console_allocate(NULL, (size_t)(options->n_begin + options->max_tokens),
                                           sizeof(int32_t));
    }
    return beams;
}

static void free_beams(struct beam *beams, int64_t n) {
    for (int64_t i = 0; i < n; i++) free(beams[i].tokens);
    free(beams);
}

static void copy_tokens(struct beam *to, const struct beam *from, int32_t token) {
    memcpy(to->tokens, from->tokens, (size_t)from->n_tokens * sizeof *to->tokens);
    to->tokens[from->n_tokens] = token;
    to->n_tokens = from->n_tokens + 1;
}

/* ---- beams that end ---- */

static int all_ended(const struct search *search) {
    for (int64_t i = 0; i < search->options->n_beams; i++)
        if (!search->best[i].ended) return 0;
    return 1;
}

static void add_ended(struct search *search, const struct candidate *candidate) {
    const struct beam_options *options = search->options;
    float score = candidate->score / powf((float)search->length, options->length_penalty);
    int64_t at = options->n_beams - 1;
    if (search->best[at].ended && !(score > search->best[at].score)) return;
    struct beam added = search->best[at];
    for (; at > 0 && (!search->best[at - 1].ended || score > search->best[at - 1].score); at--)
        search->best[at] = search->best[at - 1];
    copy_tokens(&added, &search->running[candidate->parent], candidate->token);
    added.score = score;
    added.ended = 1;
    search->best[at] = added;
}

/* Of the best n_beams candidates; those behind them are there to go on with. */
static void take_ended(struct search *search) {
    const struct beam_options *options = search->options;
    int full = all_ended(search) && options->early_stopping;
    for (int64_t i = 0; i < options->n_beams && i < search->n_candidates; i++)
        if (search->candidates[i].ends && search->may_improve && !full)
            add_ended(search, &search->candidates[i]);
}

/* ---- beams that go on ---- */

/* The last child of a parent takes its sequence, the others take forks. */
static void take_sequences(struct search *search, const struct candidate **chosen, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        struct beam *parent = &search->running[chosen[i]->parent];
        int last = 1;
        for (int64_t k = i + 1; k < n; k++) last = last && chosen[k]->parent != chosen[i]->parent;
        if (last) {
            search->next[i].sequence = parent->sequence;
            parent->sequence = NULL;
        } else {
            console_require(
                transformer_sequence_fork(parent->sequence, NULL, &search->next[i].sequence));
        }
    }
}

static void go_on(struct search *search) {
    int64_t n_beams = search->options->n_beams, n = 0;
    const struct candidate **chosen = console_allocate(NULL, (size_t)n_beams, sizeof(void *));
    for (int64_t i = 0; i < search->n_candidates && n < n_beams; i++)
        if (!search->candidates[i].ends) chosen[n++] = &search->candidates[i];
    for (int64_t i = 0; i < n_beams; i++) { /* first, so that their places are free for forks */
        int goes_on = 0;
        for (int64_t k = 0; k < n; k++) goes_on = goes_on || chosen[k]->parent == i;
        if (goes_on) continue;
        transformer_sequence_destroy(search->running[i].sequence);
        search->running[i].sequence = NULL;
    }
    take_sequences(search, chosen, n);
    for (int64_t i = 0; i < n; i++) {
        struct beam *beam = &search->next[i];
        copy_tokens(beam, &search->running[chosen[i]->parent], chosen[i]->token);
        beam->score = chosen[i]->score;
        console_require(transformer_sequence_append(beam->sequence, &chosen[i]->token, 1, NULL));
    }
    for (int64_t i = n; i < n_beams; i++) search->next[i].sequence = NULL;
    struct beam *other = search->running;
    search->running = search->next;
    search->next = other;
    free(chosen);
}

/* Whether the best that runs could still come before the worst that has ended. */
static int improves(const struct search *search) {
    const struct beam *worst = &search->best[search->options->n_beams - 1];
    float best =
        search->running[0].score / powf((float)search->length, search->options->length_penalty);
    return !all_ended(search) || best > worst->score;
}

static void decode(transformer_context *context) {
    transformer_decode_result result = {.struct_size = sizeof result};
    do {
        console_require(transformer_decode(context, NULL, &result));
    } while (result.n_pending > 0);
}

static void begin(struct search *search, const int32_t *source, int64_t n_source) {
    struct beam *first = &search->running[0];
    const struct beam_options *options = search->options;
    console_require(transformer_sequence_create(search->context, NULL, &first->sequence));
    if (source)
        console_require(transformer_sequence_set_source(first->sequence, source, n_source, NULL));
    console_require(
        transformer_sequence_append(first->sequence, options->begin, options->n_begin, NULL));
    memcpy(first->tokens, options->begin, (size_t)options->n_begin * sizeof *first->tokens);
    first->n_tokens = options->n_begin;
    first->score = 0;
}

int32_t *beam_search(transformer_context *context, const int32_t *source, int64_t n_source,
                     const struct beam_options *options, int64_t *count) {
    int64_t most = 2 * options->n_beams; /* one in two may end */
    struct search search = {.context = context,
                            .options = options,
                            .length = 1,
                            .running = new_beams(options),
                            .next = new_beams(options),
                            .best = new_beams(options),
                            .may_improve = 1};
    const float *row = NULL;
    search.candidates = console_allocate(NULL, (size_t)most, sizeof *search.candidates);
    begin(&search, source, n_source);
    for (;;) {
        decode(context);
        if (!search.scores) {
            console_require(
                transformer_sequence_logits(search.running[0].sequence, -1, &row, &search.n_vocab));
            search.scores = console_allocate(NULL, (size_t)search.n_vocab, sizeof(float));
        }
        search.n_candidates = most;
        beam_find_candidates(&search);
        take_ended(&search);
        if (search.length == options->max_tokens || !search.n_candidates) break;
        go_on(&search);
        search.may_improve = search.may_improve && improves(&search);
        search.length++;
        if (!search.running[0].sequence || !search.may_improve ||
            (options->early_stopping && all_ended(&search)))
            break;
    }
    int32_t *tokens = search.best[0].tokens;
    *count = search.best[0].n_tokens;
    search.best[0].tokens = NULL;
    for (int64_t i = 0; i < options->n_beams; i++)
        transformer_sequence_destroy(search.running[i].sequence);
    free_beams(search.running, options->n_beams);
    free_beams(search.next, options->n_beams);
    free_beams(search.best, options->n_beams);
    free(search.candidates);
    free(search.scores);
    return tokens;
}
