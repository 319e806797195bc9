#include "generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beam.h"
#include "console.h"
#include "model.h"

static int is_end(const transformer_model_details *details, int32_t token) {
    for (int64_t i = 0; i < details->n_end_tokens; i++)
        if (details->end_tokens[i] == token) return 1;
    return 0;
}

/* The model's probabilities where the token was chosen. */
static void print_log_probabilities(const struct generation *g, int64_t position) {
    static transformer_token_probability top[MOST_TOP];
    int64_t n =
        g->settings->logprobs < g->details.n_vocab ? g->settings->logprobs : g->details.n_vocab;
    int32_t token = g->tokens[position];
    float value;
    console_require(transformer_sequence_log_probabilities(g->sequence, position - 1, &token, 1,
                                                           &value, top, n));
    printf("{\"token\":%d,\"log_probability\":%.9g,\"top\":[", (int)token, (double)value);
    for (int64_t i = 0; i < n; i++)
        printf("%s[%d,%.9g]", i ? "," : "", (int)top[i].token, (double)top[i].log_probability);
    puts("]}");
}

static void print_token(struct generation *g, int64_t position) {
    const char *text = NULL;
    int64_t length = 0;
    int32_t token = g->tokens[position];
    const struct settings *s = g->settings;
    console_require(transformer_text_stream_push(g->stream, token, &text, &length));
    if (s->logprobs >= 0)
        print_log_probabilities(g, position);
    else if (s->ids)
        printf("%s%d", position > g->n_prompt ? " " : "", (int)token);
    else
        console_write(text, length);
    console_flush();
    if (transformer_text_stream_stopped(g->stream) >= 0) g->done = 1;
}

void generation_print_end(struct generation *g) {
    const char *text = NULL;
    int64_t length = 0;
    const struct settings *s = g->settings;
    console_require(transformer_text_stream_finish(g->stream, &text, &length));
    if (s->logprobs < 0 && !s->ids) console_write(text, length);
    if (s->logprobs < 0) putchar('\n');
    console_flush();
}

/* The tokens that the last step queued, of which there may be several, up to the last that is
 * wanted. */
static void take_tokens(struct generation *g) {
    int64_t n = 0, n_before = g->n_tokens;
    console_require(transformer_sequence_tokens(g->sequence, NULL, 0, &n, NULL));
    g->tokens = console_allocate(g->tokens, (size_t)n + 1, sizeof(int32_t));
    console_require(transformer_sequence_tokens(g->sequence, g->tokens, n, &n, NULL));
    if (n == n_before) /* the sequence is full: the last token needn't go in */
        console_require(transformer_sampler_sample(g->sampler, g->sequence, NULL, &g->tokens[n++]));
    while (g->n_tokens < n && !g->done) {
        if (is_end(&g->details, g->tokens[g->n_tokens])) {
            g->done = 1;
            break;
        }
        print_token(g, g->n_tokens++);
        if (g->n_tokens - g->n_prompt == g->limit) g->done = 1;
    }
}

void generation_step(struct generation *g) {
    transformer_decode_result result = {.struct_size = sizeof result};
    int64_t left = g->n_prompt + g->limit - g->n_tokens - 1;
    if (g->settings->draft && g->n_tokens > g->n_prompt && left > 0)
        draft_propose(&g->draft, g->sequence, g->tokens, g->n_tokens,
                      left < g->settings->guesses ? left : g->settings->guesses);
    do {
        console_require(transformer_decode(g->context, NULL, &result));
        g->n_steps++;
        g->n_proposed += result.n_proposed;
        g->n_accepted += result.n_accepted;
    } while (result.n_pending > 0);
    take_tokens(g);
}

void generation_print_speed(const struct generation *g, double prompt_s, double generate_s) {
    int64_t n = g->n_tokens - g->n_prompt, n_new = g->n_prompt - g->n_loaded;
    if (g->settings->stats)
        fprintf(stderr,
                "{\"prompt_tokens\":%lld,\"tokens\":%lld,\"steps\":%lld,\"proposed\":%lld,"
                "\"accepted\":%lld,\"prompt_s\":%.6g,\"generate_s\":%.6g}\n",
                (long long)n_new, (long long)n, (long long)g->n_steps, (long long)g->n_proposed,
                (long long)g->n_accepted, prompt_s, generate_s);
    if (g->settings->stats || n == 0 || !console_has_terminal()) return;
    fprintf(stderr, "prompt %lld tokens, %.1f tokens/s; generated %lld tokens", (long long)n_new,
            (double)n_new / prompt_s, (long long)n);
    if (n > 1) /* the first one came with the prompt */
        fprintf(stderr, ", %.1f tokens/s", (double)(n - 1) / generate_s);
    if (g->n_proposed)
        fprintf(stderr, "; %lld of %lld guesses were right", (long long)g->n_accepted,
                (long long)g->n_proposed);
    fputc('\n', stderr);
}

void generation_search(const struct settings *s, transformer_model *model, const int32_t *prompt,
                       int64_t n_prompt) {
    transformer_model_details details = model_details(model);
    int64_t count = 0, length = 0;
    struct beam_options beams = {.n_beams = s->beams,
                                 .max_tokens = s->max_tokens,
                                 .length_penalty = 1,
                                 .begin = prompt,
                                 .n_begin = n_prompt,
                                 .ends = details.end_tokens,
                                 .n_ends = details.n_end_tokens,
                                 .forced_first = -1,
                                 .forced_last = -1};
    transformer_context_options options = {
        .struct_size = sizeof options,
        .max_sequence_tokens = n_prompt + s->max_tokens,
        .kv_tokens = n_prompt + s->beams * (s->max_tokens + 128), /* a page or two of its own */
        .max_sequences = s->beams,
        .n_threads = s->n_threads,
        .kv_type = s->kv_type};
    transformer_context *context = NULL;
    transformer_text_stream *stream = NULL;
    const char *text = NULL;
    console_require(transformer_context_create(model, &options, &context));
    console_require(transformer_text_stream_create(model, NULL, &stream));
    int32_t *tokens = beam_search(context, NULL, 0, &beams, &count);
    for (int64_t i = n_prompt; i < count; i++) {
        console_require(transformer_text_stream_push(stream, tokens[i], &text, &length));
        if (s->ids)
            printf(i > n_prompt ? " %d" : "%d", (int)tokens[i]);
        else
            console_write(text, length);
    }
    console_require(transformer_text_stream_finish(stream, &text, &length));
    if (!s->ids) console_write(text, length);
    putchar('\n');
    console_flush();
    transformer_text_stream_destroy(stream);
    transformer_context_destroy(context);
    free(tokens);
}

void generation_begin(struct generation *g) {
    int64_t n_new = g->n_prompt - g->n_loaded, n;
    int32_t *all = console_allocate(NULL, (size_t)g->n_prompt + 1, sizeof *all);
    console_require(transformer_sequence_tokens(g->sequence, all, g->n_loaded, &n, NULL));
    memcpy(all + g->n_loaded, g->tokens, (size_t)n_new * sizeof *all);
    free(g->tokens);
    g->tokens = all;
    g->n_tokens = g->n_prompt;
    int64_t first = n_new == 0 ? g->n_prompt - 1 : g->n_loaded;
    if (first < 0) console_fail("there is nothing to go on from");
    console_require(transformer_sequence_truncate(g->sequence, first));
    console_require(
        transformer_sequence_append(g->sequence, all + first, g->n_prompt - first, NULL));
}

void generation_save(struct generation *g) {
    int64_t n;
    console_require(transformer_sequence_tokens(g->sequence, NULL, 0, &n, NULL));
    if (n > g->n_tokens) console_require(transformer_sequence_truncate(g->sequence, g->n_tokens));
    model_save_sequence(g->sequence, g->settings->save);
}
