/* Sampling through the API: the same seed gives the same tokens whatever shares the batch, on any
 * number of threads, by an attached sampler or by hand; streams, forks, penalties, clones. */
#define _GNU_SOURCE
#include "api_fixture.h"

#include <math.h>
#include <pthread.h>

enum { PROMPT = 20, N = 60 };

static int n_sampled(void) {
    return fixture_is_brief() ? N / 4 : N;
}

static const transformer_sampler_options warm = {
    .temperature = 1.3f, .seed = 11, .top_p = 0.98f, .frequency_penalty = 0.1f};

static transformer_context *new_context(transformer_model *model, int32_t n_threads) {
    transformer_context_options options = {
        .n_threads = n_threads, .max_sequence_tokens = 128, .kv_tokens = 8 * 128};
    return fixture_context(model, &options);
}

/* The prompt of seed 1 and the n_sampled() tokens after it; zeros. */
struct sampled {
    int32_t tokens[PROMPT + N];
};

static struct sampled read_tokens(transformer_sequence *sequence) {
    struct sampled sampled = {{0}};
    int64_t count;
    ok(transformer_sequence_tokens(sequence, sampled.tokens, PROMPT + N, &count, NULL));
    ck_assert_int_eq(count, PROMPT + n_sampled());
    return sampled;
}

static transformer_sequence *sampled_sequence(transformer_context *context,
                                              transformer_sampler *sampler, uint64_t stream) {
    transformer_sequence_options options = {
        .struct_size = sizeof options, .sampler = sampler, .stream = stream};
    transformer_sequence *sequence = NULL;
    ok(transformer_sequence_create(context, &options, &sequence));
    return sequence;
}

/* By transformer_sampler_sample, one token after the other. */
static struct sampled explicitly(transformer_model *model, transformer_context *context,
                                 transformer_sampler_options options, uint64_t stream) {
    transformer_sampler *sampler = fixture_sampler(model, options);
    transformer_sequence *sequence = sampled_sequence(context, NULL, stream);
    transformer_sample_options append = {.struct_size = sizeof append, .append = TRANSFORMER_ON};
    fixture_append(sequence, fixture_tokens(model, 1, PROMPT), PROMPT, TRANSFORMER_LOGITS_LAST);
    for (int i = 0; i < n_sampled(); i++) {
        int32_t token = -1, again = -2;
        fixture_decode(context);
        ok(transformer_sampler_sample(sampler, sequence, NULL, &again));
        ok(transformer_sampler_sample(sampler, sequence, &append, &token));
        ck_assert_int_eq(token, again); /* by position, not by how often it is asked */
    }
    struct sampled sampled = read_tokens(sequence);
    transformer_sequence_destroy(sequence);
    transformer_sampler_destroy(sampler);
    return sampled;
}

/* By a sampler of the sequence's own, with n_others that do the same on other streams. */
static struct sampled attached(transformer_model *model, transformer_context *context,
                               int n_others) {
    transformer_sampler *samplers[8];
    transformer_sequence *sequences[8];
    for (int i = 0; i <= n_others; i++) {
        samplers[i] = fixture_sampler(model, warm);
        sequences[i] = sampled_sequence(context, samplers[i], (uint64_t)i);
        int64_t n = i ? 3 * i : PROMPT;
        fixture_append(sequences[i], fixture_tokens(model, 1, n), n, TRANSFORMER_LOGITS_NONE);
    }
    for (int i = 0; i < n_sampled(); i++) {
        transformer_decode_result result = fixture_step(context, 0);
        ck_assert_int_eq(result.n_sampled, n_others + 1);
        ck_assert_int_eq(result.n_ready, n_others + 1);
        ck_assert_int_eq(result.n_pending, 0); /* they count as ready, not as pending */
    }
    struct sampled sampled = read_tokens(sequences[0]);
    for (int i = 0; i <= n_others; i++) {
        transformer_sampler_destroy(samplers[i]);
        transformer_sequence_destroy(sequences[i]);
    }
    return sampled;
}

#define same(a, b) ck_assert_mem_eq((a).tokens, (b).tokens, sizeof(a).tokens)
#define differ(a, b) ck_assert_mem_ne((a).tokens, (b).tokens, sizeof(a).tokens)

START_TEST(same_seed_same_tokens) {
    transformer_model *model = fixture_open(_i ? "quantized/llama-q4_1" : "small/llama-gqa");
    transformer_context *one = new_context(model, 1), *five = new_context(model, 5);
    struct sampled alone = explicitly(model, one, warm, 0);
    struct sampled other = explicitly(model, five, warm, 0);
    same(alone, other);
    other = attached(model, one, 0);
    same(alone, other);
    other = attached(model, one, 7);
    same(alone, other);
    other = attached(model, five, 7);
    same(alone, other);
    /* And what has to differ does. */
    other = explicitly(model, one, warm, 1);
    differ(alone, other);
    transformer_sampler_options seeded = warm;
    seeded.seed = 12;
    other = explicitly(model, one, seeded, 0);
    differ(alone, other);
    transformer_context_destroy(one);
    transformer_context_destroy(five);
    transformer_model_close(model);
}
END_TEST

START_TEST(forks_and_streams) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = new_context(model, 1);
    transformer_sampler *sampler = fixture_sampler(model, warm), *clones[3];
    transformer_sequence *original = sampled_sequence(context, NULL, 5), *forks[3];
    /* What is pending when a sampler comes with the fork is sampled from, whether or not its
     * logits were asked for. */
    fixture_append(original, fixture_tokens(model, 1, PROMPT), PROMPT,
                   _i ? TRANSFORMER_LOGITS_NONE : TRANSFORMER_LOGITS_LAST);
    for (int i = 0; i < 3; i++) {
        ok(transformer_sampler_clone(sampler, &clones[i]));
        transformer_fork_options options = {
            .struct_size = sizeof options, .sampler = clones[i], .stream = i == 2 ? 6 : 5};
        ok(transformer_sequence_fork(original, &options, &forks[i]));
    }
    transformer_sampler_destroy(sampler); /* clones are their own */
    for (int i = 0; i < n_sampled(); i++) ck_assert_int_eq(fixture_step(context, 0).n_sampled, 3);
    struct sampled a = read_tokens(forks[0]), b = read_tokens(forks[1]),
                   other = read_tokens(forks[2]);
    same(a, b);
    differ(a, other);
    struct sampled by_hand = explicitly(model, context, warm, 5);
    same(a, by_hand);
    for (int i = 0; i < 3; i++) {
        transformer_sampler_destroy(clones[i]);
        transformer_sequence_destroy(forks[i]);
    }
    fixture_end(model, context, original);
}
END_TEST

/* A sequence with a sampler that is cut back within its pending tokens goes on by itself. */
START_TEST(truncated_while_pending) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = new_context(model, 1);
    transformer_sampler *sampler = fixture_sampler(model, (transformer_sampler_options){0});
    transformer_sequence *sequence = sampled_sequence(context, sampler, 0);
    fixture_append(sequence, fixture_tokens(model, 1, PROMPT), PROMPT, TRANSFORMER_LOGITS_LAST);
    ok(transformer_sequence_truncate(sequence, 10));
    transformer_decode_result result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_rows, 10);
    ck_assert_int_eq(result.n_sampled, 1);
    ck_assert_int_eq(fixture_length(sequence, NULL), 11);
    transformer_sequence_destroy(sequence);
    transformer_sampler_destroy(sampler);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

/* When the sequence is full its sampler stops; it is ready then, and no error. */
START_TEST(full_sequence) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.max_sequence_tokens = 12};
    transformer_context *context = fixture_context(model, &options);
    transformer_sampler *sampler = fixture_sampler(model, (transformer_sampler_options){0});
    transformer_sequence *sequence = sampled_sequence(context, sampler, 0);
    fixture_append(sequence, fixture_tokens(model, 1, 10), 10, TRANSFORMER_LOGITS_LAST);
    ck_assert_int_eq(fixture_step(context, 0).n_sampled, 1);
    ck_assert_int_eq(fixture_step(context, 0).n_sampled, 1);
    transformer_decode_result result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_rows, 1);
    ck_assert_int_eq(result.n_ready, 1);
    ck_assert_int_eq(result.n_sampled, 0);
    ck_assert_int_eq(fixture_step(context, 0).n_rows, 0);
    ck_assert_int_eq(fixture_length(sequence, NULL), 12);
    transformer_sequence_destroy(sequence);
    transformer_sampler_destroy(sampler);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

static int32_t best_but(const float *row, const int32_t *tokens, int n) {
    int32_t best = -1;
    for (int32_t i = 0; i < 380; i++) {
        bool seen = false;
        for (int j = 0; j < n; j++) seen |= tokens[j] == i;
        if (!seen && (best < 0 || row[i] > row[best])) best = i;
    }
    return best;
}

START_TEST(greedy_bias_and_penalties) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = new_context(model, 1);
    transformer_sequence *sequence =
        fixture_prompt(context, model, 1, PROMPT, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    const float *row = fixture_logits(sequence, -1);
    const int32_t *seen = fixture_tokens(model, 1, PROMPT);
    int32_t token, best = best_but(row, NULL, 0), second = best_but(row, &best, 1);
    transformer_sampler *greedy = fixture_sampler(model, (transformer_sampler_options){0});
    ok(transformer_sampler_sample(greedy, sequence, NULL, &token));
    ck_assert_int_eq(token, best);
    transformer_logit_bias bias = {.token = best, .bias = -INFINITY};
    transformer_sampler *biased = fixture_sampler(
        model, (transformer_sampler_options){.logit_bias = &bias, .n_logit_bias = 1});
    bias.token = second; /* it was copied */
    ok(transformer_sampler_sample(biased, sequence, NULL, &token));
    ck_assert_int_eq(token, second);
    /* The penalty looks at the sequence's own tokens: none of them is left, but behind a window. */
    transformer_sampler *penal =
        fixture_sampler(model, (transformer_sampler_options){.presence_penalty = 1e6f});
    ok(transformer_sampler_sample(penal, sequence, NULL, &token));
    ck_assert_int_eq(token, best_but(row, seen, PROMPT));
    transformer_sampler *windowed = fixture_sampler(
        model, (transformer_sampler_options){.presence_penalty = 1e6f, .penalty_window = 2});
    fixture_append(sequence, &best, 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    row = fixture_logits(sequence, -1);
    const int32_t last[2] = {seen[PROMPT - 1], best};
    ok(transformer_sampler_sample(windowed, sequence, NULL, &token));
    ck_assert_int_eq(token, best_but(row, last, 2));
    /* No logits of the last position. */
    fixture_append(sequence, &best, 1, TRANSFORMER_LOGITS_NONE);
    expect(TRANSFORMER_STATE, transformer_sampler_sample(greedy, sequence, NULL, &token));
    fixture_decode(context);
    expect(TRANSFORMER_STATE, transformer_sampler_sample(greedy, sequence, NULL, &token));
    /* Options out of range. */
    transformer_sampler *none = NULL;
    const transformer_sampler_options wrong[] = {
        {.temperature = -1}, {.temperature = NAN},       {.top_k = -1},
        {.top_p = 1.5f},     {.min_p = -0.1f},           {.penalty_window = -1},
        {.n_logit_bias = 1}, {.repetition_penalty = -1}, {.temperature = INFINITY},
        {.n_logit_bias = -1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        transformer_sampler_options options = wrong[i];
        options.struct_size = sizeof options;
        invalid(transformer_sampler_create(model, &options, &none));
    }
    ck_assert_ptr_null(none);
    transformer_sampler_destroy(greedy);
    transformer_sampler_destroy(biased);
    transformer_sampler_destroy(penal);
    transformer_sampler_destroy(windowed);
    fixture_end(model, context, sequence);
}
END_TEST

/* ---- one call at a time ---- */

struct user {
    transformer_sampler *sampler;
    transformer_sequence *sequence;
    transformer_context *context;
    _Atomic bool *stop;
    int64_t n_busy, n_ok;
    int32_t token;
    bool wrong;
};

static void *sample_often(void *argument) {
    struct user *user = argument;
    while (!*user->stop) {
        int32_t token = -1;
        transformer_status status =
            transformer_sampler_sample(user->sampler, user->sequence, NULL, &token);
        if (status == TRANSFORMER_OK) {
            user->n_ok++;
            if (user->token >= 0 && token != user->token) user->wrong = true;
            user->token = token;
        } else if (status == TRANSFORMER_BUSY && token == -1) {
            user->n_busy++;
        } else {
            user->wrong = true;
        }
    }
    return NULL;
}

START_TEST(busy_sampler) {
    transformer_model *model = fixture_open("small/gemma3-mqa");
    transformer_sampler *sampler = fixture_sampler(
        model, (transformer_sampler_options){
                   .temperature = 1, .top_k = 100, .top_p = 0.9f, .frequency_penalty = 0.1f});
    _Atomic bool stop = false;
    struct user users[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        transformer_context *context = fixture_context(model, NULL);
        users[i] = (struct user){
            .sampler = sampler,
            .context = context,
            .sequence = fixture_prompt(context, model, (uint64_t)i, 1000, TRANSFORMER_LOGITS_LAST),
            .stop = &stop,
            .token = -1};
        fixture_decode(context);
    }
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, sample_often, &users[i]);
    fixture_sleep(1);
    stop = true;
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert(!users[i].wrong);
        transformer_sequence_destroy(users[i].sequence);
        transformer_context_destroy(users[i].context);
    }
    ck_assert_int_gt(users[0].n_ok + users[1].n_ok, 0);
    ck_assert_int_gt(users[0].n_busy + users[1].n_busy, 0);
    transformer_sampler_destroy(sampler);
    transformer_model_close(model);
}
END_TEST

FIXTURE_MAIN("sample", 300, LOOP(same_seed_same_tokens, 2), LOOP(forks_and_streams, 2),
             CASE(truncated_while_pending), CASE(full_sequence), CASE(greedy_bias_and_penalties),
             CASE(busy_sampler))
