/* Prefix reuse through the public API: what is found and what is not, and that the bits are those
 * of a computation. */
#include "api_fixture.h"

static const char *const MODELS[] = {"small/llama-gqa",           "small/gemma3-mqa",
                                     "small/llama-window",        "small/qwen2-mha",
                                     "families/deepseek_v2-lite", "quantized/gpt-oss-mxfp4",
                                     "families/phi3-window",      "families/deepseek_v3-experts"};
enum { N_MODELS = sizeof MODELS / sizeof *MODELS, N_LAST = 5 };

static transformer_context *context_of(transformer_model *model, uint32_t prefix_cache,
                                       transformer_context_options options) {
    options.prefix_cache = prefix_cache;
    if (!options.max_sequence_tokens) options.max_sequence_tokens = 400;
    if (!options.kv_tokens) options.kv_tokens = 4096;
    if (!options.n_threads) options.n_threads = 1;
    return fixture_context(model, &options);
}

static transformer_sequence *sequence_of(transformer_context *context,
                                         transformer_sequence_options options) {
    transformer_sequence *sequence = NULL;
    options.struct_size = sizeof options;
    ok(transformer_sequence_create(context, &options, &sequence));
    return sequence;
}

/* Logits after the prompt and after each of some tokens that follow it, in a context of their own
 * that reuses nothing. */
struct expected {
    const int32_t *after; /* the tokens that follow */
    float *rows[N_LAST];
};

static struct expected compute_alone(transformer_model *model, const int32_t *tokens, int64_t n,
                                     uint32_t kv_type) {
    transformer_context *context =
        context_of(model, TRANSFORMER_OFF, (transformer_context_options){.kv_type = kv_type});
    transformer_sequence *sequence = fixture_sequence(context);
    struct expected expected = {.after = tokens};
    fixture_append(sequence, tokens, n, TRANSFORMER_LOGITS_LAST);
    for (int i = 0; i < N_LAST; i++) {
        fixture_decode(context);
        expected.rows[i] = fixture_logits(sequence, -1);
        fixture_append(sequence, tokens + i, 1, TRANSFORMER_LOGITS_LAST);
    }
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    return expected;
}

/* The tokens of a reused prompt; returns how many were found. */
static int64_t check_reuse(transformer_context *context, transformer_sequence *sequence,
                           const int32_t *tokens, int64_t n, const struct expected *expected,
                           int64_t n_vocab) {
    transformer_context_statistics before = fixture_stats(context), after;
    fixture_append(sequence, tokens, n, TRANSFORMER_LOGITS_LAST);
    for (int i = 0; i < N_LAST; i++) {
        fixture_decode(context);
        float *row = fixture_logits(sequence, -1);
        fixture_same(row, expected->rows[i], n_vocab, "after reuse");
        if (i + 1 < N_LAST)
            fixture_append(sequence, expected->after + i, 1, TRANSFORMER_LOGITS_LAST);
    }
    after = fixture_stats(context);
    int64_t found = (int64_t)(after.prefix_hit_tokens - before.prefix_hit_tokens);
    ck_assert_int_eq((int64_t)(after.rows - before.rows), n + N_LAST - 1 - found);
    return found;
}

START_TEST(same_bits) {
    if (fixture_is_brief() && _i != 0 && _i != 1 && _i != 4) return;
    const int64_t n = fixture_is_brief() ? 140 : 300, differs = n * 2 / 3;
    transformer_model *model = fixture_open(MODELS[_i]);
    int64_t n_vocab = fixture_n_vocab(model);
    const uint32_t kv_types[] = {TRANSFORMER_KV_F16, TRANSFORMER_KV_Q8_0, TRANSFORMER_KV_F32};
    int32_t *tokens = fixture_tokens(model, 1, n);
    for (int k = 0; k < (_i == 0 && !fixture_is_brief() ? 3 : 1); k++) {
        transformer_context *context =
            context_of(model, TRANSFORMER_ON,
                       (transformer_context_options){
                           .kv_type = kv_types[k], .n_threads = 3, .max_step_tokens = 100});
        struct expected expected = compute_alone(model, tokens, n, kv_types[k]);
        transformer_sequence *stays = NULL;
        for (int pass = 0; pass < 3; pass++) {
            transformer_sequence *sequence = fixture_sequence(context);
            int64_t found = check_reuse(context, sequence, tokens, n, &expected, n_vocab);
            ck_assert_int_eq(found, pass ? (n - 1) / 64 * 64 : 0);
            if (pass == 1)
                stays = sequence; /* found while another has it, and after all are gone */
            else
                transformer_sequence_destroy(sequence);
        }
        transformer_sequence_destroy(stays);
        /* Another end, and another beginning. */
        int32_t *other = fixture_tokens(model, 1, n);
        other[differs] ^= 1;
        expected = compute_alone(model, other, n, kv_types[k]);
        transformer_sequence *sequence = fixture_sequence(context);
        int64_t found = check_reuse(context, sequence, other, n, &expected, n_vocab);
        ck_assert_int_eq(found, differs / 64 * 64);
        transformer_sequence_destroy(sequence);
        other[differs] ^= 1;
        other[0] ^= 1;
        expected = compute_alone(model, other, n, kv_types[k]);
        sequence = fixture_sequence(context);
        ck_assert_int_eq(check_reuse(context, sequence, other, n, &expected, n_vocab), 0);
        transformer_sequence_destroy(sequence);
        transformer_context_destroy(context);
    }
    transformer_model_close(model);
}
END_TEST

/* Rows that are to be kept are computed, and so is the last one. */
START_TEST(what_is_asked_for_is_computed) {
    if (fixture_is_brief()) return;
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.max_logit_rows = 300};
    transformer_context *context = context_of(model, TRANSFORMER_ON, options);
    int32_t *tokens = fixture_tokens(model, 1, 256);
    transformer_sequence *all = fixture_sequence(context);
    fixture_append(all, tokens, 256, TRANSFORMER_LOGITS_ALL);
    fixture_decode(context);
    float *rows[256];
    for (int i = 0; i < 256; i++) rows[i] = fixture_logits(all, i);
    static const struct {
        int64_t n, kept, found;
    } cases[] = {{256, -1, 192}, {193, -1, 192}, {192, -1, 128}, {65, -1, 64},
                 {64, -1, 0},    {1, -1, 0},     {256, 0, 0},    {256, 63, 0},
                 {256, 64, 64},  {256, 127, 64}, {256, 128, 128}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t before = fixture_stats(context).prefix_hit_tokens;
        uint8_t keep[256] = {0};
        if (cases[i].kept >= 0) keep[cases[i].kept] = 1;
        transformer_append_options append = {.struct_size = sizeof append, .keep = keep};
        transformer_sequence *sequence = fixture_sequence(context);
        ok(transformer_sequence_append(sequence, tokens, cases[i].n, &append));
        ck_assert_int_eq(fixture_step(context, 0).n_rows, cases[i].n - cases[i].found);
        ck_assert_uint_eq(fixture_stats(context).prefix_hit_tokens - before,
                          (uint64_t)cases[i].found);
        if (cases[i].kept >= 0)
            fixture_same(fixture_logits(sequence, cases[i].kept), rows[cases[i].kept], 380,
                         "a kept row");
        fixture_same(fixture_logits(sequence, -1), rows[cases[i].n - 1], 380, "the last row");
        transformer_sequence_destroy(sequence);
    }
    fixture_end(model, context, all);
}
END_TEST

static int64_t found_by(transformer_context *context, transformer_sequence *sequence,
                        const int32_t *tokens, int64_t n) {
    uint64_t before = fixture_stats(context).prefix_hit_tokens;
    fixture_append(sequence, tokens, n, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    int64_t found = (int64_t)(fixture_stats(context).prefix_hit_tokens - before);
    transformer_sequence_destroy(sequence);
    return found;
}

START_TEST(domains) {
    if (fixture_is_brief()) return;
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context =
        context_of(model, TRANSFORMER_ON, (transformer_context_options){0});
    int32_t *tokens = fixture_tokens(model, 1, 200);
    const uint64_t names[] = {0, 1, UINT64_MAX, UINT64_C(1) << 32};
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 4; i++) {
            transformer_sequence_options options = {.cache_domain = names[i]};
            ck_assert_int_eq(found_by(context, sequence_of(context, options), tokens, 200),
                             pass ? 192 : 0);
        }
    /* A fork is of its original's domain. */
    transformer_sequence_options options = {.cache_domain = 77};
    transformer_sequence *a = sequence_of(context, options), *b = NULL;
    ok(transformer_sequence_fork(a, NULL, &b));
    ck_assert_int_eq(found_by(context, b, tokens, 200), 0);
    ck_assert_int_eq(found_by(context, a, tokens, 200), 192);
    transformer_context_destroy(context);
    /* OFF finds nothing and keeps nothing. */
    context = context_of(model, TRANSFORMER_OFF, (transformer_context_options){0});
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(found_by(context, fixture_sequence(context), tokens, 200), 0);
    ck_assert_int_eq(fixture_stats(context).kv_pages_cached, 0);
    ck_assert_uint_eq(fixture_stats(context).prefix_lookups, 0);
    transformer_context_destroy(context);
    transformer_context_options wrong = {.struct_size = sizeof wrong, .prefix_cache = 3};
    invalid(transformer_context_create(model, &wrong, &context));
    wrong = (transformer_context_options){.struct_size = sizeof wrong, .preemption = 3};
    invalid(transformer_context_create(model, &wrong, &context));
    transformer_model_close(model);
}
END_TEST

static transformer_adapter *open_adapter(transformer_model *model) {
    const transformer_adapter_options options = {.struct_size = sizeof options,
                                                 .path = SOURCE_ROOT
                                                 "/tests/goldens/data/adapters/llama-all"};
    transformer_adapter *adapter = NULL;
    ok(transformer_adapter_open(model, &options, &adapter));
    return adapter;
}

START_TEST(adapters) {
    if (fixture_is_brief()) return;
    transformer_model *model =
        fixture_open_path(SOURCE_ROOT "/tests/goldens/data/hf/llama-rope-llama3");
    transformer_context *context = context_of(
        model, TRANSFORMER_ON, (transformer_context_options){.max_sequence_tokens = 128});
    int32_t *tokens = fixture_tokens(model, 1, 100);
    transformer_adapter *adapter = open_adapter(model);
    for (int pass = 0; pass < 2; pass++) {
        transformer_sequence_options options = {0};
        int64_t found = pass ? 64 : 0;
        ck_assert_int_eq(found_by(context, sequence_of(context, options), tokens, 100), found);
        options.adapter = adapter;
        ck_assert_int_eq(found_by(context, sequence_of(context, options), tokens, 100), found);
        options.adapter_scale = 0.5f;
        ck_assert_int_eq(found_by(context, sequence_of(context, options), tokens, 100), found);
    }
    /* Another one, were it to lie where the first did: nothing is known of it. */
    transformer_adapter_close(adapter);
    for (int i = 0; i < 4; i++) {
        adapter = open_adapter(model);
        transformer_sequence_options options = {.adapter = adapter};
        ck_assert_int_eq(found_by(context, sequence_of(context, options), tokens, 100), 0);
        transformer_adapter_close(adapter);
    }
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

static transformer_sequence *with_source(transformer_context *context, const int32_t *source,
                                         int64_t n) {
    transformer_sequence *sequence = fixture_sequence(context);
    ok(transformer_sequence_set_source(sequence, source, n, NULL));
    return sequence;
}

START_TEST(sources) {
    if (fixture_is_brief()) return;
    static const char *const names[] = {"encoder_decoders/t5", "encoder_decoders/marian"};
    transformer_model *model = fixture_open(names[_i]);
    transformer_context_options options = {.max_sequence_tokens = 96, .kv_tokens = 1024};
    transformer_context *context = context_of(model, TRANSFORMER_ON, options);
    transformer_context *plain = context_of(model, TRANSFORMER_OFF, options);
    int32_t source[90], *tokens = fixture_tokens(model, 1, 90);
    const int64_t lengths[] = {1, 20, 63, 64, 65, 90};
    for (int i = 0; i < 90; i++) source[i] = 3 + i % 40;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 6; i++)
            for (int last = 0; last < 2; last++) { /* another last token is another source */
                source[lengths[i] - 1] = 4 + last;
                transformer_sequence *a = with_source(context, source, lengths[i]);
                transformer_sequence *b = with_source(plain, source, lengths[i]);
                uint64_t before = fixture_stats(context).prefix_hit_tokens;
                fixture_append(a, tokens, 90, TRANSFORMER_LOGITS_LAST);
                fixture_append(b, tokens, 90, TRANSFORMER_LOGITS_LAST);
                fixture_decode(context);
                fixture_decode(plain);
                uint64_t found = fixture_stats(context).prefix_hit_tokens - before;
                ck_assert_uint_eq(found, pass ? 64 : 0);
                fixture_same(fixture_logits(a, -1), fixture_logits(b, -1), fixture_n_vocab(model),
                             "with a source");
                transformer_sequence_destroy(a);
                transformer_sequence_destroy(b);
                source[lengths[i] - 1] = 3 + (int)(lengths[i] - 1) % 40;
            }
    transformer_context_destroy(plain);
    fixture_end(model, context);
}
END_TEST

/* A page that was written anew after truncation is the sequence's alone. */
START_TEST(truncation_and_forks) {
    if (fixture_is_brief()) return;
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context =
        context_of(model, TRANSFORMER_ON, (transformer_context_options){0});
    int32_t *tokens = fixture_tokens(model, 1, 300), *other = fixture_tokens(model, 2, 300);
    struct expected expected = compute_alone(model, tokens, 300, 0);
    transformer_sequence *a = fixture_prompt(context, model, 1, 300, TRANSFORMER_LOGITS_LAST), *b;
    fixture_decode(context);
    ok(transformer_sequence_fork(a, NULL, &b));
    ok(transformer_sequence_truncate(a, 100));
    fixture_append(a, other, 200, TRANSFORMER_LOGITS_LAST);
    ok(transformer_sequence_truncate(b, 150));
    fixture_append(b, other, 100, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    transformer_sequence *c = fixture_sequence(context);
    ck_assert_int_eq(check_reuse(context, c, tokens, 300, &expected, 380), 256);
    /* What a has now, is there to be found as well. */
    memcpy(tokens + 100, other, 200 * sizeof *tokens);
    expected = compute_alone(model, tokens, 300, 0);
    transformer_sequence *d = fixture_sequence(context);
    ck_assert_int_eq(check_reuse(context, d, tokens, 300, &expected, 380), 256);
    /* Going on along what somebody else has computed: at a page's end it is found. */
    ok(transformer_sequence_truncate(d, 128));
    ck_assert_int_eq(fixture_computed(d), 128);
    ck_assert_int_eq(check_reuse(context, d, tokens + 128, 172, &expected, 380), 128);
    fixture_end(model, context, a, b, c, d);
}
END_TEST

/* Two that have computed the same share it. */
START_TEST(equals_become_one) {
    if (fixture_is_brief()) return;
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.kv_tokens = 640};
    transformer_context *context = context_of(model, TRANSFORMER_ON, options);
    transformer_sequence *a = fixture_prompt(context, model, 1, 200, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *b = fixture_prompt(context, model, 1, 200, TRANSFORMER_LOGITS_LAST);
    ck_assert_int_eq(fixture_step(context, 0).n_rows, 400);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 5); /* 3 shared, a last one each */
    fixture_append(a, fixture_tokens(model, 2, 1), 1, TRANSFORMER_LOGITS_LAST);
    fixture_append(b, fixture_tokens(model, 2, 1), 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    fixture_same(fixture_logits(a, -1), fixture_logits(b, -1), 380, "equals");
    fixture_end(model, context, a, b);
}
END_TEST

/* Pages that are kept are free: everything fits as if nothing were kept. */
START_TEST(kept_pages_are_free) {
    if (fixture_is_brief()) return;
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.kv_tokens = 4 * 64, .max_sequence_tokens = 256};
    transformer_context *context = context_of(model, TRANSFORMER_ON, options);
    for (uint64_t seed = 0; seed < 5; seed++) {
        int32_t *tokens = fixture_tokens(model, seed, 256);
        struct expected expected = compute_alone(model, tokens, 250, 0);
        transformer_sequence *sequence = fixture_sequence(context);
        ck_assert_int_eq(check_reuse(context, sequence, tokens, 250, &expected, 380), 0);
        ck_assert_int_eq(fixture_stats(context).kv_pages_free, 0);
        /* Truncated into a page that is kept, and none is free to copy it to. */
        ok(transformer_sequence_truncate(sequence, 240));
        fixture_append(sequence, tokens + 240, 10, TRANSFORMER_LOGITS_LAST);
        fixture_decode(context);
        fixture_same(fixture_logits(sequence, -1), expected.rows[0], 380, "written anew");
        transformer_sequence_destroy(sequence);
        ck_assert_int_eq(fixture_stats(context).kv_pages_free, 4);
        ck_assert_int_eq(fixture_stats(context).kv_pages_cached, 3);
    }
    ck_assert_uint_eq(fixture_stats(context).prefix_evicted_pages, 4 * 3);
    /* All of the last page is taken: what continues it is gone by then. */
    transformer_sequence *a = fixture_prompt(context, model, 9, 256, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    float *last = fixture_logits(a, -1);
    ok(transformer_sequence_truncate(a, 255));
    fixture_append(a, fixture_tokens(model, 9, 256) + 255, 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    fixture_same(fixture_logits(a, -1), last, 380, "written anew");
    fixture_end(model, context, a);
}
END_TEST

/* ---- at random ---- */

static uint64_t random_state;

static int64_t draw(int64_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((random_state >> 33) % (uint64_t)n);
}

/* Pages of few different tokens, so that beginnings coincide. */
static int64_t some_tokens(int32_t *tokens, int64_t at, int64_t room) {
    int64_t n = 1 + draw(150), page = -1;
    if (n > room) n = room;
    int32_t first = 0;
    for (int64_t i = 0; i < n; i++) {
        if ((at + i) / 64 != page) first = (int32_t)draw(2) * 20;
        page = (at + i) / 64;
        tokens[i] = first + (int32_t)((at + i) % 19);
    }
    return n;
}

static void check_last(transformer_context *plain, transformer_sequence *sequence,
                       int64_t n_vocab) {
    int32_t tokens[320];
    int64_t n;
    ok(transformer_sequence_tokens(sequence, tokens, 320, &n, NULL));
    transformer_sequence *again = fixture_sequence(plain);
    fixture_append(again, tokens, n, TRANSFORMER_LOGITS_LAST);
    fixture_decode(plain);
    const float *a, *b;
    int64_t count;
    ok(transformer_sequence_logits(sequence, -1, &a, &count));
    ok(transformer_sequence_logits(again, -1, &b, &count));
    fixture_same(a, b, n_vocab, "at random");
    transformer_sequence_destroy(again);
}

START_TEST(at_random) {
    if (fixture_is_brief()) return;
    enum { N = 6 };
    transformer_model *model = fixture_open(MODELS[_i % 3]);
    int64_t n_vocab = fixture_n_vocab(model);
    transformer_context_options options = {.max_sequence_tokens = 320,
                                           .kv_tokens = (_i < 3 ? 12 : 7) * 64,
                                           .max_sequences = N,
                                           .max_step_tokens = 100,
                                           .preemption = _i < 3 ? TRANSFORMER_OFF : TRANSFORMER_ON};
    transformer_context *context = context_of(model, TRANSFORMER_ON, options);
    transformer_context *plain =
        context_of(model, TRANSFORMER_OFF, (transformer_context_options){.kv_tokens = 320});
    transformer_sequence *s[N] = {0};
    int64_t n_checked = 0;
    random_state = (uint64_t)_i;
    for (int i = 0; i < 700; i++) {
        int64_t which = draw(N), other = draw(N), what = draw(16), computed, room;
        int32_t tokens[320];
        if (!s[which])
            s[which] = sequence_of(context,
                                   (transformer_sequence_options){.cache_domain = (uint64_t)draw(2),
                                                                  .priority = (int32_t)draw(3)});
        int64_t length = fixture_length(s[which], &computed);
        room = 320 - length;
        if (what < 5 && room > 0) {
            int64_t n = some_tokens(tokens, length, room);
            fixture_append(s[which], tokens, n, TRANSFORMER_LOGITS_LAST);
        } else if (what == 5) {
            ok(transformer_sequence_truncate(s[which], draw(length + 1)));
        } else if (what == 6) {
            transformer_sequence_destroy(s[which]);
            s[which] = NULL;
        } else if (what == 7 && !s[other]) {
            ok(transformer_sequence_fork(s[which], NULL, &s[other]));
        } else if (what == 8) {
            ok(transformer_sequence_set_priority(s[which], (int32_t)draw(3)));
        } else {
            transformer_decode_options decode = {.struct_size = sizeof decode,
                                                 .max_tokens = draw(3) ? 0 : 1 + draw(70)};
            transformer_status status = transformer_decode(context, &decode, NULL);
            if (status == TRANSFORMER_LIMIT) {
                transformer_sequence_destroy(s[which]);
                s[which] = NULL;
                continue;
            }
            ok(status);
            for (int k = 0; k < N; k++) {
                const float *row;
                int64_t count;
                if (s[k] && transformer_sequence_logits(s[k], -1, &row, &count) == TRANSFORMER_OK) {
                    check_last(plain, s[k], n_vocab);
                    n_checked++;
                }
            }
        }
    }
    transformer_context_statistics statistics = fixture_stats(context);
    ck_assert_int_gt(n_checked, 100);
    ck_assert_uint_gt(statistics.prefix_hit_tokens, 5 * 64);
    ck_assert_uint_gt(statistics.prefix_evicted_pages, 10);
    if (_i >= 3) ck_assert_uint_gt(statistics.n_preempted, 5);
    for (int k = 0; k < N; k++) transformer_sequence_destroy(s[k]);
    statistics = fixture_stats(context);
    ck_assert_int_eq(statistics.kv_pages_free, statistics.kv_pages);
    transformer_context_destroy(plain);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

FIXTURE_MAIN("prefix", 300, LOOP(same_bits, N_MODELS), CASE(what_is_asked_for_is_computed),
             CASE(domains), CASE(adapters), LOOP(sources, 2), CASE(truncation_and_forks),
             CASE(equals_become_one), CASE(kept_pages_are_free), LOOP(at_random, 6))
