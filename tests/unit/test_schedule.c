/* Who goes first in a step, who loses pages when they run out, and what the statistics say of
 * steps. */
#include "api_fixture.h"

static transformer_sequence *prompt_of(transformer_context *context, const transformer_model *model,
                                       int32_t priority, uint64_t seed, int64_t n) {
    transformer_sequence_options options = {.struct_size = sizeof options, .priority = priority};
    transformer_sequence *sequence = NULL;
    ok(transformer_sequence_create(context, &options, &sequence));
    fixture_append(sequence, fixture_tokens(model, seed, n), n, TRANSFORMER_LOGITS_LAST);
    return sequence;
}

static float *alone(transformer_model *model, uint64_t seed, int64_t n) {
    transformer_context *context = fixture_context(model, NULL);
    transformer_sequence *sequence =
        fixture_prompt(context, model, seed, n, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    float *logits = fixture_logits(sequence, -1);
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    return logits;
}

/* ---- order ---- */

START_TEST(higher_goes_first) {
    if (fixture_is_brief()) return;
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.kv_tokens = 1024, .max_step_tokens = 16};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *low = prompt_of(context, model, -5, 1, 40);
    transformer_sequence *middle = prompt_of(context, model, 0, 2, 40);
    transformer_sequence *high = prompt_of(context, model, INT32_MAX, 3, 40);
    fixture_step(context, 0);
    ck_assert_int_eq(fixture_computed(high), 16);
    ck_assert_int_eq(fixture_computed(middle), 0);
    fixture_step(context, 0);
    ck_assert_int_eq(fixture_step(context, 0).n_rows, 16);
    ck_assert_int_eq(fixture_computed(high), 40);
    ck_assert_int_eq(fixture_computed(middle), 8); /* what is left goes to the next */
    ok(transformer_sequence_set_priority(low, 1));
    fixture_step(context, 0);
    ck_assert_int_eq(fixture_computed(low), 16);
    /* A fork has its original's; a single token of a lower one waits. */
    ok(transformer_sequence_set_priority(low, INT32_MIN));
    transformer_sequence *fork = NULL, *single = prompt_of(context, model, 1, 4, 1);
    ok(transformer_sequence_fork(middle, NULL, &fork));
    ok(transformer_sequence_set_priority(fork, 2));
    fixture_step(context, 0);
    ck_assert_int_eq(fixture_computed(fork), 24);
    ck_assert_int_eq(fixture_computed(single), 0);
    fixture_decode(context);
    fixture_same(fixture_logits(low, -1), alone(model, 1, 40), 380, "the last one");
    invalid(transformer_sequence_set_priority(NULL, 1));
    fixture_end(model, context, low, middle, high, fork, single);
}
END_TEST

/* While a long prompt is computed in chunks, who waits for one token gets it in every step. */
START_TEST(single_tokens_go_along) {
    if (fixture_is_brief()) return;
    enum { N = 5 };
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.kv_tokens = 2048, .max_step_tokens = 64};
    transformer_context *context = fixture_context(model, &options);
    transformer_sampler *samplers[N];
    transformer_sequence *s[N + 1];
    for (int i = 0; i < N; i++) {
        samplers[i] = fixture_sampler(model, (transformer_sampler_options){0});
        transformer_sequence_options own = {.struct_size = sizeof own, .sampler = samplers[i]};
        ok(transformer_sequence_create(context, &own, &s[i]));
        fixture_append(s[i], fixture_tokens(model, (uint64_t)i, 3), 3, TRANSFORMER_LOGITS_LAST);
    }
    fixture_step(context, 0);
    s[N] = fixture_prompt(context, model, 9, 300, TRANSFORMER_LOGITS_LAST);
    for (int step = 0; fixture_computed(s[N]) < 300; step++) {
        transformer_decode_result result = fixture_step(context, 16);
        ck_assert_int_eq(result.n_rows, step < 27 ? 16 : N + 300 - 27 * 11);
        ck_assert_int_eq(result.n_sampled, N);
    }
    for (int i = 0; i < N; i++) transformer_sampler_destroy(samplers[i]);
    fixture_end_all(model, context, s, N + 1);
}
END_TEST

/* ---- preemption ---- */

static transformer_context *few_pages(transformer_model *model, uint32_t preemption,
                                      uint32_t prefix_cache) {
    transformer_context_options options = {.max_sequence_tokens = 256,
                                           .kv_tokens = 4 * 64,
                                           .max_logit_rows = 8,
                                           .preemption = preemption,
                                           .prefix_cache = prefix_cache};
    return fixture_context(model, &options);
}

START_TEST(the_lowest_gives_up_its_pages) {
    transformer_model *model = fixture_open("small/llama-gqa");
    for (uint32_t cache = TRANSFORMER_OFF; cache <= TRANSFORMER_ON; cache++) {
        transformer_context *context = few_pages(model, TRANSFORMER_ON, cache);
        transformer_sequence *low = prompt_of(context, model, 0, 1, 100);
        transformer_sequence *middle = prompt_of(context, model, 1, 2, 100);
        ck_assert_int_eq(fixture_step(context, 0).n_ready, 2);
        transformer_sequence *high = prompt_of(context, model, 2, 3, 100);
        transformer_decode_result result = fixture_step(context, 0);
        ck_assert_int_eq(result.n_preempted, 1);
        ck_assert_int_eq(result.n_rows, 100);
        ck_assert_int_eq(result.n_ready, 1);
        ck_assert_int_eq(result.n_refused, 1);
        ck_assert_int_eq(result.n_pending, 1);
        ck_assert_int_eq(fixture_computed(low), 0);
        ck_assert_int_eq(fixture_length(low, NULL), 100);
        ck_assert_int_eq(fixture_computed(middle), 100);
        ck_assert_uint_eq(fixture_stats(context).n_preempted, 1);
        fixture_same(fixture_logits(high, -1), alone(model, 3, 100), 380, "the higher one");
        /* It waits; nobody can go on. */
        expect(TRANSFORMER_LIMIT, transformer_decode(context, NULL, &result));
        ck_assert_int_eq(result.n_refused, 1);
        ck_assert_int_eq(result.n_preempted, 0);
        transformer_sequence_destroy(middle);
        result = fixture_step(context, 0);
        ck_assert_int_eq(result.n_ready, 1);
        fixture_same(fixture_logits(low, -1), alone(model, 1, 100), 380, "the one that waited");
        fixture_end_all(model, context, (transformer_sequence *[]){low, high}, 2);
        model = fixture_open("small/llama-gqa");
    }
    transformer_model_close(model);
}
END_TEST

/* Among equals the youngest; the lowest never takes a page from a higher one; OFF refuses. */
START_TEST(who_is_not_preempted) {
    if (fixture_is_brief()) return;
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = few_pages(model, TRANSFORMER_ON, TRANSFORMER_OFF);
    transformer_sequence *a = prompt_of(context, model, 0, 1, 128);
    transformer_sequence *b = prompt_of(context, model, 0, 2, 128);
    fixture_decode(context);
    fixture_append(b, fixture_tokens(model, 3, 1), 1, TRANSFORMER_LOGITS_LAST);
    expect(TRANSFORMER_LIMIT, transformer_decode(context, NULL, NULL)); /* a is older */
    ok(transformer_sequence_set_priority(a, -1));
    transformer_decode_result result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_preempted, 1);
    ck_assert_int_eq(fixture_computed(a), 0);
    ck_assert_int_eq(fixture_computed(b), 129);
    transformer_sequence_destroy(a);
    transformer_sequence_destroy(b);
    transformer_context_destroy(context);

    context = few_pages(model, TRANSFORMER_DEFAULT, TRANSFORMER_OFF);
    a = prompt_of(context, model, 0, 1, 256);
    fixture_decode(context);
    b = prompt_of(context, model, 9, 2, 1);
    expect(TRANSFORMER_LIMIT, transformer_decode(context, NULL, NULL));
    ck_assert_int_eq(fixture_computed(a), 256);
    transformer_sequence_destroy(a);
    transformer_sequence_destroy(b);
    transformer_context_destroy(context);

    /* Pages that a higher one holds as well would not become free: nobody loses them. */
    context = few_pages(model, TRANSFORMER_ON, TRANSFORMER_OFF);
    a = prompt_of(context, model, 5, 1, 256);
    fixture_decode(context);
    ok(transformer_sequence_fork(a, NULL, &b));
    ok(transformer_sequence_set_priority(b, 0));
    transformer_sequence *c = prompt_of(context, model, 1, 2, 1);
    expect(TRANSFORMER_LIMIT, transformer_decode(context, NULL, NULL));
    ck_assert_int_eq(fixture_computed(b), 256);
    /* Those that two lower ones share do. */
    ok(transformer_sequence_set_priority(a, 0));
    result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_preempted, 2);
    ck_assert_int_eq(result.n_rows, 1);
    fixture_end(model, context, a, b, c);
}
END_TEST

/* Logits that were asked for are kept once, the last token's again. */
START_TEST(what_is_kept_again) {
    if (fixture_is_brief()) return;
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = few_pages(model, TRANSFORMER_ON, TRANSFORMER_ON);
    uint8_t keep[200] = {[3] = 1, [150] = 1};
    transformer_append_options append = {.struct_size = sizeof append, .keep = keep};
    transformer_sequence *low = fixture_sequence(context);
    ok(transformer_sequence_append(low, fixture_tokens(model, 1, 200), 200, &append));
    fixture_step(context, 100); /* 150 is not computed yet */
    transformer_sequence *high = prompt_of(context, model, 1, 2, 256);
    transformer_decode_result result = {.struct_size = sizeof result};
    while (fixture_computed(high) < 256) result = fixture_step(context, 0);
    ck_assert_int_eq(fixture_computed(low), 0);
    transformer_sequence_destroy(high);
    fixture_decode(context);
    const float *row;
    int64_t count;
    expect(TRANSFORMER_NOT_FOUND, transformer_sequence_logits(low, 3, &row, &count));
    ok(transformer_sequence_logits(low, 150, &row, &count));
    fixture_same(fixture_logits(low, -1), alone(model, 1, 200), 380, "after preemption");
    /* Idle and preempted: it is ready once more. */
    high = prompt_of(context, model, 1, 2, 256);
    while (fixture_computed(high) < 256) result = fixture_step(context, 0);
    transformer_sequence_destroy(high);
    ck_assert_int_eq(fixture_computed(low), 0);
    result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_ready, 1);
    fixture_same(fixture_logits(low, -1), alone(model, 1, 200), 380, "after preemption");
    fixture_end(model, context, low);
}
END_TEST

/* ---- many at once, too few pages ---- */

enum { N = 10, MOST = 330 };

struct text {
    int32_t tokens[MOST];
    int64_t n_prompt, n;
};

static uint64_t random_state;

static int64_t draw(int64_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((random_state >> 33) % (uint64_t)n);
}

static transformer_sequence *sampled(transformer_context *context, transformer_sampler *sampler,
                                     int i, int32_t priority, const struct text *text) {
    transformer_sequence_options options = {.struct_size = sizeof options,
                                            .sampler = sampler,
                                            .stream = (uint64_t)i,
                                            .priority = priority};
    transformer_sequence *sequence = NULL;
    ok(transformer_sequence_create(context, &options, &sequence));
    fixture_append(sequence, text->tokens, text->n_prompt, TRANSFORMER_LOGITS_LAST);
    return sequence;
}

/* Each alone: the text it is to come to. */
static void write_alone(transformer_model *model, transformer_sampler *sampler,
                        struct text *texts) {
    transformer_context_options options = {
        .max_sequence_tokens = MOST, .kv_tokens = 512, .n_threads = 1};
    transformer_context *context = fixture_context(model, &options);
    for (int i = 0; i < N; i++) {
        struct text *text = &texts[i];
        text->n_prompt = 1 + draw(200);
        text->n = text->n_prompt + 1 + draw(MOST - text->n_prompt);
        /* Half of them begin alike. */
        int32_t *tokens = fixture_tokens(model, (uint64_t)(i % 2 ? 1 : i + 100), text->n_prompt);
        memcpy(text->tokens, tokens, (size_t)text->n_prompt * sizeof *tokens);
        transformer_sequence *sequence = sampled(context, sampler, i, 0, text);
        while (fixture_length(sequence, NULL) < text->n) fixture_step(context, 0);
        int64_t n;
        ok(transformer_sequence_tokens(sequence, text->tokens, MOST, &n, NULL));
        ck_assert_int_eq(n, text->n);
        transformer_sequence_destroy(sequence);
    }
    transformer_context_destroy(context);
}

static void check_text(transformer_sequence *sequence, const struct text *text) {
    int32_t tokens[MOST];
    int64_t n;
    ok(transformer_sequence_tokens(sequence, tokens, MOST, &n, NULL));
    ck_assert_int_ge(n, text->n);
    ck_assert_mem_eq(tokens, text->tokens, (size_t)text->n * sizeof *tokens);
}

START_TEST(nothing_is_lost) {
    if (fixture_is_brief()) return;
    static const char *const names[] = {"small/llama-gqa", "small/gemma3-mqa",
                                        "small/llama-window"};
    transformer_model *model = fixture_open(names[_i % 3]);
    transformer_sampler *sampler =
        fixture_sampler(model, (transformer_sampler_options){.temperature = 1, .top_k = 20});
    struct counting counting;
    counting_init(&counting);
    transformer_context_options options = {.max_sequence_tokens = MOST,
                                           .kv_tokens = _i < 6 ? 6 * 64 : 9 * 64,
                                           .max_sequences = N,
                                           .max_step_tokens = _i % 2 ? 40 : 200,
                                           .n_threads = 1,
                                           .preemption = TRANSFORMER_ON,
                                           .prefix_cache =
                                               _i % 4 < 2 ? TRANSFORMER_ON : TRANSFORMER_OFF,
                                           .allocator = &counting.allocator};
    static struct text texts[N];
    random_state = (uint64_t)_i;
    write_alone(model, sampler, texts);
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *s[N];
    int n_alive = N;
    for (int i = 0; i < N; i++)
        s[i] = sampled(context, sampler, i, (int32_t)draw(3) - 1, &texts[i]);
    fixture_step(context, 0);
    uint64_t n_calls = counting.n_calls;
    int n_steps = 0, n_allocated = 0;
    for (; n_alive > 0; n_steps++) {
        ck_assert_int_lt(n_steps, 20000); /* it gets on */
        transformer_decode_result result = fixture_step(context, draw(4) ? 0 : 1 + draw(100));
        ck_assert_int_gt(result.n_rows, 0);
        n_allocated += counting.n_calls != n_calls;
        int64_t which = draw(N);
        if (s[which] && draw(10) == 0)
            ok(transformer_sequence_set_priority(s[which], (int32_t)draw(3) - 1));
        for (int i = 0; i < N; i++) {
            if (!s[i] || fixture_length(s[i], NULL) < texts[i].n) continue;
            check_text(s[i], &texts[i]);
            transformer_sequence_destroy(s[i]);
            s[i] = NULL;
            n_alive--;
        }
        n_calls = counting.n_calls;
    }
    ck_assert_int_eq(n_allocated, 0);
    transformer_context_statistics statistics = fixture_stats(context);
    ck_assert_uint_gt(statistics.n_preempted, 3);
    ck_assert_int_eq(statistics.kv_pages_free, statistics.kv_pages);
    ck_assert_uint_eq(statistics.steps, (uint64_t)n_steps + 1);
    transformer_sampler_destroy(sampler);
    fixture_end(model, context);
}
END_TEST

/* ---- statistics ---- */

START_TEST(times_of_steps) {
    if (fixture_is_brief()) return;
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.max_sequence_tokens = 2000, .n_threads = 1};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *sequence = fixture_sequence(context);
    transformer_context_statistics s = fixture_stats(context);
    ck_assert_uint_eq(s.step_nanoseconds, 0);
    ck_assert_uint_eq(s.step_nanoseconds_median, 0);
    ck_assert_uint_eq(s.step_nanoseconds_p99, 0);
    double start = fixture_seconds();
    for (int i = 0; i < 1500; i++) {
        fixture_append(sequence, fixture_tokens(model, 1, 1), 1, TRANSFORMER_LOGITS_NONE);
        fixture_step(context, 0);
        if (i % 300) continue;
        s = fixture_stats(context);
        double all = fixture_seconds() - start, n = i + 1 < 1024 ? i + 1 : 1024;
        ck_assert((double)s.step_nanoseconds * 1e-9 <= all);
        ck_assert_uint_gt(s.step_nanoseconds_median, 0);
        ck_assert_uint_le(s.step_nanoseconds_median, s.step_nanoseconds_p99);
        /* Half of the steps took the median at least. */
        ck_assert((double)s.step_nanoseconds_median * n / 2 <= (double)s.step_nanoseconds);
        if (i == 0) ck_assert_uint_eq(s.step_nanoseconds_p99, s.step_nanoseconds);
    }
    uint64_t before = s.step_nanoseconds;
    fixture_step(context, 0); /* nothing is pending: no step */
    ck_assert_uint_ge(fixture_stats(context).step_nanoseconds, before);
    ck_assert_uint_eq(fixture_stats(context).steps, 1500);
    fixture_end(model, context, sequence);
}
END_TEST

FIXTURE_MAIN("schedule", 600, CASE(higher_goes_first), CASE(single_tokens_go_along),
             CASE(the_lowest_gives_up_its_pages), CASE(who_is_not_preempted),
             CASE(what_is_kept_again), LOOP(nothing_is_lost, 12), CASE(times_of_steps))
