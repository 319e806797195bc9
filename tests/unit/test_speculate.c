/* Proposals: the same tokens, bit for bit, with them and without; what is right saves steps; what
 * is wrong leaves nothing behind. Log probabilities of what a step queued. */
#include "api_fixture.h"

#include <math.h>

enum { MOST = 512, PERIOD = 7 };

struct run {
    const char *model;
    transformer_sampler_options sampling;
    uint32_t lookup, prefix_cache;
    int64_t n_sequences, n_prompt, n_new, step_tokens, logit_rows;
};

struct outcome {
    int32_t tokens[4][MOST];
    int64_t n_steps, n_proposed, n_accepted;
};

/* A prompt that repeats itself, with something else in between. */
static void append_prompt(transformer_sequence *sequence, const transformer_model *model,
                          uint64_t seed, int64_t n) {
    int32_t *tokens = fixture_tokens(model, seed, n);
    for (int64_t i = PERIOD; i < n; i++)
        if (i % (3 * PERIOD) >= PERIOD) tokens[i] = tokens[i - PERIOD];
    fixture_append(sequence, tokens, n, TRANSFORMER_LOGITS_LAST);
}

static transformer_sequence *own_sequence(transformer_context *context,
                                          transformer_sampler *sampler, uint64_t stream,
                                          uint32_t lookup) {
    transformer_sequence_options options = {.struct_size = sizeof options,
                                            .sampler = sampler,
                                            .stream = stream,
                                            .lookup_tokens = lookup};
    transformer_sequence *sequence = NULL;
    ok(transformer_sequence_create(context, &options, &sequence));
    return sequence;
}

static void read_tokens(transformer_sequence *sequence, int64_t n, int32_t *tokens) {
    int32_t all[MOST + 64];
    int64_t count = 0;
    ok(transformer_sequence_tokens(sequence, all, MOST + 64, &count, NULL));
    ck_assert_int_ge(count, n);
    memcpy(tokens, all, (size_t)n * sizeof *tokens);
}

static transformer_context *context_of(transformer_model *model, const struct run *run) {
    transformer_context_options options = {.max_sequence_tokens = 320,
                                           .max_sequences = run->n_sequences + 1,
                                           .kv_tokens = 384 * (run->n_sequences + 1),
                                           .max_step_tokens = run->step_tokens,
                                           .max_logit_rows = run->logit_rows,
                                           .n_threads = 2,
                                           .prefix_cache = run->prefix_cache};
    return fixture_context(model, &options);
}

/* Each sequence to its n_prompt + n_new tokens; what is done leaves the batch. */
static void generate(transformer_model *model, const struct run *run, struct outcome *outcome) {
    transformer_context *context = context_of(model, run);
    transformer_sampler *sampler = fixture_sampler(model, run->sampling);
    transformer_sequence *sequences[4];
    int64_t n_left = run->n_sequences, free_pages = fixture_stats(context).kv_pages_free;
    memset(outcome, 0, sizeof *outcome);
    for (int64_t i = 0; i < run->n_sequences; i++) {
        sequences[i] = own_sequence(context, sampler, (uint64_t)i, run->lookup);
        append_prompt(sequences[i], model, (uint64_t)i, run->n_prompt + i);
    }
    while (n_left > 0) {
        transformer_decode_result result = fixture_step(context, 0);
        outcome->n_steps++;
        outcome->n_proposed += result.n_proposed;
        outcome->n_accepted += result.n_accepted;
        ck_assert_int_le(result.n_accepted, result.n_proposed);
        for (int64_t i = 0; i < run->n_sequences; i++) {
            int64_t n_computed, n = run->n_prompt + i + run->n_new;
            if (!sequences[i] || fixture_length(sequences[i], &n_computed) < n) continue;
            ck_assert_int_eq(n_computed, fixture_length(sequences[i], NULL) - 1);
            read_tokens(sequences[i], n, outcome->tokens[i]);
            transformer_sequence_destroy(sequences[i]);
            sequences[i] = NULL;
            n_left--;
        }
    }
    transformer_context_statistics statistics = fixture_stats(context);
    ck_assert_uint_eq(statistics.n_proposed, (uint64_t)outcome->n_proposed);
    ck_assert_uint_eq(statistics.n_accepted, (uint64_t)outcome->n_accepted);
    ck_assert_int_eq(statistics.kv_pages_free, free_pages);
    transformer_sampler_destroy(sampler);
    transformer_context_destroy(context);
}

static const transformer_sampler_options SAMPLING[] = {
    {.temperature = 0},
    {.temperature = 0.7f, .top_k = 20, .seed = 5},
    {.temperature = 1, .top_p = 0.9f, .repetition_penalty = 1.05f, .frequency_penalty = 0.1f},
    {.temperature = 0, .presence_penalty = 0.2f, .penalty_window = 16},
};
enum { N_SAMPLINGS = sizeof SAMPLING / sizeof *SAMPLING };

static const char *const MODELS[] = {
    "small/llama-gqa",      "small/gemma3-mqa",  "small/gemma3-window-array",   "small/qwen2-mha",
    "quantized/llama-q4_1", "families/qwen2moe", "families/deepseek_v3-experts"};
enum { N_MODELS = sizeof MODELS / sizeof *MODELS };

static void expect_same(const struct outcome *a, const struct outcome *b, const char *what) {
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < MOST; j++)
            ck_assert_msg(a->tokens[i][j] == b->tokens[i][j], "%s: sequence %d, token %d", what, i,
                          j);
}

/* One model with each sampling; prompts end and steps are cut at different places. */
START_TEST(text_is_the_same) {
    static struct outcome without, with;
    static const int64_t rows[][2] = {{0, 0}, {32, 32}, {8, 5}, {64, 2}};
    transformer_model *model = fixture_open(MODELS[_i]);
    int64_t n_proposed = 0, n_accepted = 0;
    for (int s = 0; s < N_SAMPLINGS; s++)
        for (int64_t n = 1; n <= 3; n += 2) {
            struct run run = {.sampling = SAMPLING[s],
                              .n_sequences = n,
                              .n_prompt = 60,
                              .n_new = 150 / fixture_share(),
                              .step_tokens = rows[(s + n) % 4][0],
                              .logit_rows = rows[(s + n) % 4][1]};
            generate(model, &run, &without);
            ck_assert_int_eq(without.n_proposed, 0);
            run.lookup = s == 1 ? 3 : 10;
            run.prefix_cache = n == 1 ? TRANSFORMER_OFF : TRANSFORMER_ON;
            generate(model, &run, &with);
            expect_same(&without, &with, MODELS[_i]);
            n_proposed += with.n_proposed;
            n_accepted += with.n_accepted;
        }
    ck_assert_int_gt(n_proposed, 0);
    ck_assert_int_gt(n_accepted, 0);
    transformer_model_close(model);
}
END_TEST

START_TEST(text_of_a_real_model_is_the_same) {
    static struct outcome without, with;
    static const char *const names[] = {"smollm2", "gemma3-270m"};
    const char *path = fixture_real_path(names[_i]);
    if (!path) {
        printf("skipped: TEST_MODELS names no folder with %s.gguf\n", names[_i]);
        return;
    }
    transformer_model *model = fixture_open_path(path);
    for (int s = 0; s < 2; s++) {
        struct run run = {.sampling = SAMPLING[s],
                          .n_sequences = 1,
                          .n_prompt = 60,
                          .n_new = 48,
                          .logit_rows = 16};
        generate(model, &run, &without);
        run.lookup = 10;
        generate(model, &run, &with);
        expect_same(&without, &with, names[_i]);
    }
    transformer_model_close(model);
}
END_TEST

/* ---- a host's proposals ---- */

static transformer_model *model;
static transformer_context *context;
static transformer_sampler *sampler;

static void set_up(transformer_sampler_options sampling, int64_t logit_rows, int64_t kv_tokens) {
    transformer_context_options options = {.max_sequence_tokens = 256,
                                           .kv_tokens = kv_tokens,
                                           .max_logit_rows = logit_rows,
                                           .n_threads = 1};
    model = fixture_open("small/llama-gqa");
    context = fixture_context(model, &options);
    sampler = fixture_sampler(model, sampling);
}

static void tear_down(void) {
    transformer_sampler_destroy(sampler);
    transformer_context_destroy(context);
    transformer_model_close(model);
}

/* n tokens in all, one a step. */
static void alone(uint64_t seed, int64_t n_prompt, int64_t n, int32_t *tokens) {
    transformer_sequence *sequence = own_sequence(context, sampler, seed, 0);
    append_prompt(sequence, model, seed, n_prompt);
    while (fixture_length(sequence, NULL) < n) fixture_step(context, 0);
    read_tokens(sequence, n, tokens);
    transformer_sequence_destroy(sequence);
}

/* How many of guesses [n] may be accepted if all are right: none from an end token on. */
static int64_t before_end(const int32_t *guesses, int64_t n) {
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < details.n_end_tokens; k++)
            if (guesses[i] == details.end_tokens[k]) return i;
    return n;
}

START_TEST(right_proposals_save_steps) {
    int32_t expected[200], tokens[200];
    set_up(SAMPLING[_i], 32, 1024);
    alone(1, 40, 200, expected);
    transformer_sequence *sequence = own_sequence(context, sampler, 1, 0);
    append_prompt(sequence, model, 1, 40);
    ok(transformer_sequence_propose(sequence, expected + 40, 9)); /* behind the prompt's last */
    transformer_decode_result result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_rows, 49);
    ck_assert_int_eq(result.n_proposed, 9);
    ck_assert_int_eq(result.n_accepted, 9);
    ck_assert_int_eq(result.n_sampled, 1);
    ck_assert_int_eq(result.n_ready, 1);
    ck_assert_int_eq(result.n_pending, 0);
    ck_assert_int_eq(fixture_length(sequence, NULL), 50);
    ck_assert_int_eq(fixture_computed(sequence), 49);
    for (int64_t n = 50; n < 200; n = fixture_length(sequence, NULL)) {
        int64_t guesses = n + 12 < 200 ? 12 : 200 - n;
        ok(transformer_sequence_propose(sequence, expected + n, guesses));
        result = fixture_step(context, 0);
        int64_t right = before_end(expected + n, guesses);
        ck_assert_int_eq(result.n_accepted, right);
        ck_assert_int_eq(fixture_length(sequence, NULL), n + right + 1);
    }
    read_tokens(sequence, 200, tokens);
    ck_assert_mem_eq(tokens, expected, sizeof tokens);
    transformer_sequence_destroy(sequence);
    tear_down();
}
END_TEST

/* Guesses that are right up to a place of their own; also as many as the host likes. */
START_TEST(wrong_proposals_change_nothing) {
    int32_t expected[200], guesses[64], tokens[200];
    uint64_t state = 7;
#define DRAW(n) ((state = state * 6364136223846793005u + 1442695040888963407u) >> 33) % (n)
    set_up(SAMPLING[_i], 8, 1024);
    alone(2, 30, 200, expected);
    transformer_sequence *sequence = own_sequence(context, sampler, 2, _i % 2 ? 4 : 0);
    append_prompt(sequence, model, 2, 30);
    for (int64_t n = 30; n < 200; n = fixture_length(sequence, NULL)) {
        int64_t count = (int64_t)(DRAW(64)), right = (int64_t)(DRAW(10));
        for (int64_t i = 0; i < count; i++)
            guesses[i] = i < right && n + i < 200 ? expected[n + i] : (int32_t)(DRAW(380));
        if (n > 30) ok(transformer_sequence_propose(sequence, guesses, count));
        transformer_decode_result result = fixture_step(context, 0);
        ck_assert_int_le(result.n_proposed, 7);
        ck_assert_int_eq(fixture_length(sequence, NULL), n + 1 + result.n_accepted);
    }
    read_tokens(sequence, 200, tokens);
    ck_assert_mem_eq(tokens, expected, sizeof tokens);
    transformer_sequence_destroy(sequence);
    tear_down();
}
END_TEST

START_TEST(what_makes_proposals_void) {
    int32_t expected[60], token = 3;
    set_up(SAMPLING[0], 8, 2048);
    alone(1, 20, 60, expected);
    transformer_sequence *sequence = own_sequence(context, sampler, 1, 0), *fork = NULL;
    append_prompt(sequence, model, 1, 20);
    fixture_step(context, 0);
    transformer_fork_options with = {.struct_size = sizeof with, .sampler = sampler, .stream = 1};
    ok(transformer_sequence_propose(sequence, expected + 21, 3));
    ok(transformer_sequence_fork(sequence, &with, &fork));
    transformer_decode_result result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_proposed, 3); /* the fork has none of them */
    ck_assert_int_eq(fixture_length(sequence, NULL), 25);
    ck_assert_int_eq(fixture_length(fork, NULL), 22);
    transformer_sequence_destroy(fork);
    ck_assert_int_eq(fixture_step(context, 0).n_proposed, 0); /* used once */
    ok(transformer_sequence_propose(sequence, expected + 26, 3));
    ok(transformer_sequence_propose(sequence, NULL, 0));
    ck_assert_int_eq(fixture_step(context, 0).n_proposed, 0);
    ok(transformer_sequence_propose(sequence, expected + 27, 3));
    ok(transformer_sequence_propose(sequence, expected + 27, 2));
    ck_assert_int_eq(fixture_step(context, 0).n_accepted, 2);
    ok(transformer_sequence_propose(sequence, expected + 30, 2));
    ok(transformer_sequence_truncate(sequence, 29));
    ck_assert_int_eq(fixture_step(context, 0).n_proposed, 0);
    ok(transformer_sequence_propose(sequence, expected + 30, 2));
    ok(transformer_sequence_append(sequence, &token, 1, NULL));
    ck_assert_int_eq(fixture_step(context, 0).n_proposed, 0);
    transformer_sequence_destroy(sequence);
    tear_down();
}
END_TEST

/* In all that a host may do with sequences the one that looks up stays the other's equal. */
START_TEST(forks_and_truncates) {
    enum { N_OPERATIONS = 60 };
    uint64_t state = (uint64_t)_i * 2 + 1;
    set_up(SAMPLING[_i % N_SAMPLINGS], 24, 4096);
    transformer_sequence *pair[2] = {own_sequence(context, sampler, 9, 0),
                                     own_sequence(context, sampler, 9, 6)};
    append_prompt(pair[0], model, 5, 33);
    append_prompt(pair[1], model, 5, 33);
    for (int operation = 0; operation < N_OPERATIONS; operation++) {
        int32_t tokens[2][MOST];
        int64_t n = 200;
        for (int64_t steps = 1 + (int64_t)(DRAW(12)); steps > 0; steps--) fixture_step(context, 0);
        for (int i = 0; i < 2; i++)
            if (fixture_length(pair[i], NULL) < n) n = fixture_length(pair[i], NULL);
        for (int i = 0; i < 2; i++) read_tokens(pair[i], n, tokens[i]);
        ck_assert_mem_eq(tokens[0], tokens[1], (size_t)n * sizeof(int32_t));
        uint64_t kind = DRAW(4), length = n > 190 ? 20 : 1 + DRAW((uint64_t)n), seed = DRAW(1000);
        for (int i = 0; i < 2; i++) {
            if (kind == 0 || n > 190) {
                ok(transformer_sequence_truncate(pair[i], (int64_t)length));
                append_prompt(pair[i], model, seed, 5);
            } else if (kind == 1) {
                transformer_fork_options options = {
                    .struct_size = sizeof options, .sampler = sampler, .stream = seed};
                transformer_sequence *fork = NULL;
                ok(transformer_sequence_truncate(pair[i], n));
                ok(transformer_sequence_fork(pair[i], &options, &fork));
                transformer_sequence_destroy(pair[i]);
                pair[i] = fork;
            } else if (kind == 2) {
                ok(transformer_sequence_truncate(pair[i], n));
                append_prompt(pair[i], model, seed, 1 + (int64_t)(seed % 9));
            }
        }
    }
    if (_i % N_SAMPLINGS == 0) ck_assert_uint_gt(fixture_stats(context).n_accepted, 0);
    transformer_sequence_destroy(pair[0]);
    transformer_sequence_destroy(pair[1]);
    tear_down();
}
END_TEST

/* ---- what they must not cost others ---- */

START_TEST(others_come_first) {
    int32_t guesses[40];
    set_up(SAMPLING[0], 8, 2048);
    transformer_sequence *sequences[4];
    for (uint64_t i = 0; i < 4; i++) {
        sequences[i] = own_sequence(context, sampler, i, 0);
        append_prompt(sequences[i], model, i, 20);
    }
    fixture_step(context, 0);
    for (int i = 0; i < 40; i++) guesses[i] = i;
    for (int i = 0; i < 2; i++) ok(transformer_sequence_propose(sequences[i], guesses, 40));
    transformer_decode_result result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_sampled, 4);
    ck_assert_int_eq(result.n_rows, 8); /* four pending ones, two guesses for each of two */
    ck_assert_int_eq(result.n_proposed, 4);
    for (int i = 0; i < 4; i++) ok(transformer_sequence_propose(sequences[i], guesses, 1));
    result = fixture_step(context, 5);
    ck_assert_int_eq(result.n_sampled, 4);
    ck_assert_int_eq(result.n_proposed, 1);
    for (int i = 0; i < 4; i++) ok(transformer_sequence_propose(sequences[i], guesses, 9));
    result = fixture_step(context, 4);
    ck_assert_int_eq(result.n_proposed, 0);
    for (int i = 0; i < 4; i++) transformer_sequence_destroy(sequences[i]);
    tear_down();
}
END_TEST

/* Proposals take what pages are free, and give them back. */
START_TEST(pages_are_given_back) {
    int32_t expected[100], wrong[40] = {0};
    set_up(SAMPLING[0], 40, 128); /* two pages */
    alone(1, 62, 100, expected);
    transformer_sequence *a = own_sequence(context, sampler, 1, 0);
    append_prompt(a, model, 1, 62);
    fixture_step(context, 0); /* 62 of 64 positions computed */
    for (int i = 0; i < 35; i++) wrong[i] = (expected[63 + i] + 1) % 380;
    ok(transformer_sequence_propose(a, wrong, 30));
    transformer_decode_result result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_proposed, 30);
    ck_assert_int_eq(result.n_accepted, 0);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 1);
    transformer_sequence *b = own_sequence(context, sampler, 2, 0); /* takes the other page */
    append_prompt(b, model, 2, 10);
    ok(transformer_sequence_propose(a, wrong + 1, 30));
    result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_refused, 0);
    ck_assert_int_eq(result.n_proposed, 0); /* a's next position would be the page's first */
    transformer_sequence_destroy(b);
    transformer_sequence_destroy(a);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 2);
    tear_down();
}
END_TEST

START_TEST(to_the_last_token) {
    int32_t expected[256], tokens[256];
    set_up(SAMPLING[_i], 16, 1024);
    alone(3, 50, 256, expected);
    transformer_sequence *sequence = own_sequence(context, sampler, 3, 12);
    append_prompt(sequence, model, 3, 50);
    int64_t n = 50;
    while (n < 256) {
        if (_i % 2) ok(transformer_sequence_propose(sequence, expected + n, 256 - n));
        fixture_step(context, 0);
        n = fixture_length(sequence, NULL);
    }
    fixture_step(context, 0); /* the last one is computed, nothing is sampled behind it */
    ck_assert_int_eq(fixture_computed(sequence), 256);
    ck_assert_int_eq(fixture_step(context, 0).n_rows, 0);
    read_tokens(sequence, 256, tokens);
    ck_assert_mem_eq(tokens, expected, sizeof tokens);
    transformer_sequence_destroy(sequence);
    tear_down();
}
END_TEST

START_TEST(nothing_behind_an_end_token) {
    set_up(SAMPLING[0], 16, 1024);
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    int32_t end = details.end_tokens[0], guesses[4] = {end, end, end, end}, tokens[24];
    transformer_logit_bias bias = {.token = end, .bias = 1e6f};
    transformer_sampler *ends = fixture_sampler(
        model, (transformer_sampler_options){.logit_bias = &bias, .n_logit_bias = 1});
    transformer_sequence *sequence = own_sequence(context, ends, 0, 0);
    append_prompt(sequence, model, 1, 20);
    ok(transformer_sequence_propose(sequence, guesses, 4));
    transformer_decode_result result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_proposed, 4);
    ck_assert_int_eq(result.n_accepted, 0);
    ck_assert_int_eq(fixture_length(sequence, NULL), 21);
    ck_assert_int_eq(fixture_computed(sequence), 20);
    read_tokens(sequence, 21, tokens);
    ck_assert_int_eq(tokens[20], end);
    transformer_sequence_destroy(sequence);
    transformer_sampler_destroy(ends);
    tear_down();
}
END_TEST

/* A cancelled step leaves neither pages nor tokens; its proposals are the next one's. */
START_TEST(cancelled) {
    int32_t expected[60], tokens[60];
    set_up(SAMPLING[0], 16, 1024);
    alone(1, 20, 60, expected);
    transformer_sequence *sequence = own_sequence(context, sampler, 1, 4);
    append_prompt(sequence, model, 1, 20);
    fixture_step(context, 0);
    int64_t free_pages = fixture_stats(context).kv_pages_free;
    ok(transformer_sequence_propose(sequence, expected + 21, 5));
    transformer_context_cancel(context);
    expect(TRANSFORMER_CANCELLED, transformer_decode(context, NULL, NULL));
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, free_pages);
    ck_assert_int_eq(fixture_length(sequence, NULL), 21);
    ck_assert_int_eq(fixture_step(context, 0).n_accepted, 5);
    while (fixture_length(sequence, NULL) < 60) fixture_step(context, 0);
    read_tokens(sequence, 60, tokens);
    ck_assert_mem_eq(tokens, expected, sizeof tokens);
    transformer_sequence_destroy(sequence);
    tear_down();
}
END_TEST

START_TEST(with_sources) {
    static const char *const names[] = {"encoder_decoders/t5", "encoder_decoders/marian"};
    int32_t tokens[2][60];
    model = fixture_open(names[_i]);
    transformer_context_options options = {
        .max_sequence_tokens = 64, .max_logit_rows = 16, .n_threads = 1};
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    sampler = fixture_sampler(model, SAMPLING[0]);
    int32_t *source = fixture_tokens(model, 3, 20), start = details.start_token;
    for (int i = 0; i < 20; i++) source[i] %= (int32_t)details.n_source_vocab;
    for (int with = 0; with < 2; with++) {
        context = fixture_context(model, &options);
        transformer_sequence *sequence = own_sequence(context, sampler, 0, with ? 8 : 0);
        ok(transformer_sequence_set_source(sequence, source, 20, NULL));
        ok(transformer_sequence_append(sequence, &start, 1, NULL));
        while (fixture_length(sequence, NULL) < 60) fixture_step(context, 0);
        read_tokens(sequence, 60, tokens[with]);
        if (with) ck_assert_uint_gt(fixture_stats(context).n_proposed, 0);
        transformer_sequence_destroy(sequence);
        transformer_context_destroy(context);
    }
    ck_assert_mem_eq(tokens[0], tokens[1], sizeof tokens[0]);
    transformer_sampler_destroy(sampler);
    transformer_model_close(model);
}
END_TEST

START_TEST(calls_that_are_wrong) {
    set_up(SAMPLING[0], 8, 1024);
    transformer_sequence *plain = fixture_sequence(context), *own = NULL;
    transformer_sequence_options options = {.struct_size = sizeof options, .lookup_tokens = 3};
    int32_t tokens[2] = {3, 380};
    invalid(transformer_sequence_create(context, &options, &own));
    ck_assert_ptr_null(own);
    ck_assert_int_eq(fixture_stats(context).n_sequences, 1);
    expect(TRANSFORMER_STATE, transformer_sequence_propose(plain, tokens, 1));
    own = own_sequence(context, sampler, 0, UINT32_MAX);
    invalid(transformer_sequence_propose(own, tokens, 2));
    ck_assert_ptr_nonnull(strstr(transformer_last_error(), "tokens[1]"));
    invalid(transformer_sequence_propose(own, NULL, 1));
    invalid(transformer_sequence_propose(own, tokens, -1));
    invalid(transformer_sequence_propose(NULL, tokens, 1));
    ok(transformer_sequence_propose(own, tokens, 1)); /* with nothing to follow */
    ck_assert_int_eq(fixture_step(context, 0).n_rows, 0);
    transformer_sequence_destroy(plain);
    transformer_sequence_destroy(own);
    tear_down();
}
END_TEST

/* ---- log probabilities ---- */

/* Of every token that steps without proposals queued, and the likeliest two there; then the same of
 * steps that queued several. */
START_TEST(log_probabilities_of_what_was_queued) {
    enum { FIRST = 30, END = 120 };
    static struct kept {
        float value;
        transformer_token_probability top[2];
    } kept[2][END];
    int32_t tokens[END + 32], expected[END + 6];
    set_up(SAMPLING[_i], 16, 1024);
    alone(4, FIRST, END + 6, expected);
    for (int with = 0; with < 2; with++) {
        transformer_sequence *sequence = own_sequence(context, sampler, 4, with ? 10 : 0);
        append_prompt(sequence, model, 4, FIRST);
        for (int64_t n = FIRST; n < END;) {
            int64_t count;
            const float *row;
            if (with && n % 3) ok(transformer_sequence_propose(sequence, expected + n, 6));
            fixture_step(context, 0);
            ok(transformer_sequence_tokens(sequence, tokens, END + 32, &count, NULL));
            for (; n < count && n < END; n++) {
                struct kept *at = &kept[with][n];
                ok(transformer_sequence_log_probabilities(sequence, n - 1, &tokens[n], 1,
                                                          &at->value, at->top, 2));
                ck_assert(at->value <= 0);
                if (SAMPLING[_i].temperature == 0 && SAMPLING[_i].presence_penalty == 0) {
                    ck_assert_int_eq(at->top[0].token, tokens[n]);
                    ck_assert(at->top[0].log_probability == at->value);
                }
                ck_assert(at->top[0].log_probability >= at->top[1].log_probability);
            }
            /* Behind what was queued there is nothing, whatever was computed. */
            expect(TRANSFORMER_NOT_FOUND,
                   transformer_sequence_logits(sequence, count - 1, &row, &n));
            expect(TRANSFORMER_NOT_FOUND, transformer_sequence_logits(sequence, count, &row, &n));
            n = count;
        }
        transformer_sequence_destroy(sequence);
    }
    ck_assert_uint_gt(fixture_stats(context).n_accepted, 0);
    ck_assert_mem_eq(kept[0] + FIRST, kept[1] + FIRST, sizeof *kept[0] * (END - FIRST));
    tear_down();
}
END_TEST

START_TEST(log_probabilities_that_are_wrong) {
    set_up(SAMPLING[0], 8, 1024);
    transformer_sequence *sequence = fixture_prompt(context, model, 1, 5, TRANSFORMER_LOGITS_LAST);
    transformer_token_probability top[400];
    int32_t tokens[2] = {1, 380};
    float values[2] = {9, 9};
#define ask(position, tokens, n, values, top, n_top) \
    transformer_sequence_log_probabilities(sequence, position, tokens, n, values, top, n_top)
    expect(TRANSFORMER_NOT_FOUND, ask(-1, tokens, 1, values, NULL, 0));
    fixture_step(context, 0);
    expect(TRANSFORMER_NOT_FOUND, ask(0, tokens, 1, values, NULL, 0));
    expect(TRANSFORMER_NOT_FOUND, ask(5, tokens, 1, values, NULL, 0));
    invalid(ask(-1, tokens, 2, values, NULL, 0));
    invalid(ask(-1, NULL, 1, values, NULL, 0));
    invalid(ask(-1, tokens, 1, NULL, NULL, 0));
    invalid(ask(-1, tokens, -1, values, NULL, 0));
    invalid(ask(-1, NULL, 0, NULL, NULL, 1));
    invalid(ask(-1, NULL, 0, NULL, top, -1));
    invalid(ask(-1, NULL, 0, NULL, top, 381));
    invalid(transformer_sequence_log_probabilities(NULL, -1, tokens, 1, values, NULL, 0));
    ck_assert(values[0] == 9);
    ok(ask(-1, NULL, 0, NULL, NULL, 0));
    ok(ask(-1, tokens, 1, values, top, 380));
    double sum = 0;
    for (int i = 0; i < 380; i++) {
        sum += exp((double)top[i].log_probability);
        if (top[i].token == 1) ck_assert(top[i].log_probability == values[0]);
    }
    ck_assert(sum > 1 - 1e-5 && sum < 1 + 1e-5);
    transformer_sequence_destroy(sequence);
    tear_down();
}
END_TEST

FIXTURE_MAIN("speculate", 600, LOOP(text_is_the_same, N_MODELS),
             LOOP(text_of_a_real_model_is_the_same, 2),
             LOOP(right_proposals_save_steps, N_SAMPLINGS),
             LOOP(wrong_proposals_change_nothing, N_SAMPLINGS), CASE(what_makes_proposals_void),
             LOOP(forks_and_truncates, 12), CASE(others_come_first), CASE(pages_are_given_back),
             LOOP(to_the_last_token, N_SAMPLINGS), CASE(nothing_behind_an_end_token),
             CASE(cancelled), LOOP(with_sources, 2), CASE(calls_that_are_wrong),
             LOOP(log_probabilities_of_what_was_queued, N_SAMPLINGS),
             CASE(log_probabilities_that_are_wrong))
