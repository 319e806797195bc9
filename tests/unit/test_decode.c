/* What a step computes and counts: chunks, kept logits, pages that run out, full contexts, forks,
 * truncation, and which logits can be read when. */
#include "api_fixture.h"

static void counts(transformer_decode_result result, int64_t n_rows, int64_t n_ready,
                   int64_t n_pending, int64_t n_refused, int64_t n_sampled) {
    const int64_t got[] = {result.n_rows, result.n_ready, result.n_pending, result.n_refused,
                           result.n_sampled};
    const int64_t wanted[] = {n_rows, n_ready, n_pending, n_refused, n_sampled};
    for (int i = 0; i < 5; i++)
        ck_assert_msg(got[i] == wanted[i], "count %d is %lld, not %lld", i, (long long)got[i],
                      (long long)wanted[i]);
}

static transformer_status read_row(transformer_sequence *sequence, int64_t position) {
    const float *row = NULL;
    int64_t count = -1;
    transformer_status status = transformer_sequence_logits(sequence, position, &row, &count);
    if (status == TRANSFORMER_OK) {
        ck_assert_int_eq(count, 380);
        ck_assert_ptr_nonnull(row);
        ok(transformer_sequence_embedding(sequence, position, &row, &count));
        ck_assert_int_eq(count, 48);
    } else { /* untouched */
        ck_assert_ptr_null(row);
        ck_assert_int_eq(count, -1);
        expect(status, transformer_sequence_embedding(sequence, position, &row, &count));
    }
    return status;
}
#define has_row(sequence, position) ok(read_row(sequence, position))
#define no_row(sequence, position) expect(TRANSFORMER_NOT_FOUND, read_row(sequence, position))

START_TEST(nothing_pending) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = fixture_context(model, NULL);
    counts(fixture_step(context, 0), 0, 0, 0, 0, 0);
    transformer_sequence *sequence = fixture_sequence(context);
    ok(transformer_sequence_append(sequence, NULL, 0, NULL));
    counts(fixture_step(context, 0), 0, 0, 0, 0, 0);
    ck_assert_uint_eq(fixture_stats(context).steps, 0);
    fixture_end(model, context, sequence);
}
END_TEST

START_TEST(chunks_and_counts) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.max_step_tokens = 20, .kv_tokens = 640};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *a = fixture_prompt(context, model, 1, 50, TRANSFORMER_LOGITS_LAST);
    ck_assert_int_eq(fixture_stats(context).pending_tokens, 50);
    counts(fixture_step(context, 0), 20, 0, 1, 0, 0);
    ck_assert_int_eq(fixture_computed(a), 20);
    no_row(a, 19); /* not asked for */
    no_row(a, -1);
    counts(fixture_step(context, 7), 7, 0, 1, 0, 0);
    counts(fixture_step(context, 1000), 20, 0, 1, 0, 0); /* no more than the context's */
    transformer_sequence *b = fixture_prompt(context, model, 2, 1, TRANSFORMER_LOGITS_LAST);
    /* The single token goes along with what is left of the prompt. */
    counts(fixture_step(context, 0), 4, 2, 0, 0, 0);
    has_row(a, -1);
    has_row(a, 49);
    has_row(b, 0);
    ck_assert_int_eq(fixture_computed(a), 50);
    /* Single tokens first: the long prompt doesn't hold them up. */
    fixture_append(a, fixture_tokens(model, 3, 200), 200, TRANSFORMER_LOGITS_LAST);
    for (int i = 0; i < 5; i++) {
        fixture_append(b, fixture_tokens(model, 4, 1), 1, TRANSFORMER_LOGITS_LAST);
        counts(fixture_step(context, 0), 20, 1, 1, 0, 0);
        has_row(b, -1);
    }
    transformer_context_statistics statistics = fixture_stats(context);
    ck_assert_uint_eq(statistics.steps, 9);
    ck_assert_uint_eq(statistics.rows, 20 + 7 + 20 + 4 + 100);
    ck_assert_int_eq(statistics.pending_tokens, 105);
    ck_assert_int_eq(statistics.n_sequences, 2);
    ck_assert_int_eq(statistics.max_step_tokens, 20);
    fixture_end(model, context, a, b);
}
END_TEST

/* Two prompts share the steps: neither starves. */
START_TEST(prompts_take_turns) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.max_step_tokens = 16, .kv_tokens = 640};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *s[3];
    for (int i = 0; i < 3; i++)
        s[i] = fixture_prompt(context, model, (uint64_t)i, 160, TRANSFORMER_LOGITS_LAST);
    for (int i = 0; i < 16; i++) fixture_step(context, 0);
    for (int i = 0; i < 3; i++) ck_assert_int_gt(fixture_computed(s[i]), 16);
    for (int i = 0; i < 3; i++) transformer_sequence_destroy(s[i]);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

START_TEST(which_logits) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.max_logit_rows = 64};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *all = fixture_prompt(context, model, 1, 10, TRANSFORMER_LOGITS_ALL);
    transformer_sequence *none = fixture_prompt(context, model, 2, 10, TRANSFORMER_LOGITS_NONE);
    transformer_sequence *some = fixture_sequence(context);
    uint8_t keep[10] = {[2] = 1, [5] = 255};
    transformer_append_options append = {
        .struct_size = sizeof append, .keep = keep, .logits = TRANSFORMER_LOGITS_NONE};
    const int32_t *tokens = fixture_tokens(model, 1, 10);
    ok(transformer_sequence_append(some, tokens, 10, &append));
    transformer_sequence *both = fixture_sequence(context);
    append.logits = TRANSFORMER_LOGITS_LAST;
    ok(transformer_sequence_append(both, tokens, 10, &append));
    no_row(all, 0); /* not yet */
    counts(fixture_step(context, 0), 40, 4, 0, 0, 0);
    for (int64_t i = 0; i < 10; i++) {
        has_row(all, i);
        has_row(all, i - 10);
        fixture_same(fixture_logits(all, i), fixture_logits(all, i - 10), 380, "positions");
        no_row(none, i);
        expect(i == 2 || i == 5 ? TRANSFORMER_OK : TRANSFORMER_NOT_FOUND, read_row(some, i));
        expect(i == 2 || i == 5 || i == 9 ? TRANSFORMER_OK : TRANSFORMER_NOT_FOUND,
               read_row(both, i));
    }
    fixture_same(fixture_logits(some, 5), fixture_logits(all, 5), 380, "kept by mask");
    ck_assert_mem_ne(fixture_logits(all, 4), fixture_logits(all, 5), 380 * sizeof(float));
    no_row(all, 10);
    no_row(all, -11);
    no_row(all, INT64_MIN);
    no_row(all, INT64_MAX);
    /* Gone after the next decode that computes, for every sequence. */
    fixture_append(none, tokens, 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    no_row(all, 9);
    no_row(some, 5);
    has_row(none, 10);
    /* Appending doesn't take them away; -1 is the last token then, whose logits are not there. */
    fixture_append(none, tokens, 1, TRANSFORMER_LOGITS_LAST);
    has_row(none, 10);
    no_row(none, -1);
    has_row(none, -2);
    fixture_decode(context);
    ok(transformer_sequence_truncate(none, 12)); /* all of it: nothing happens */
    has_row(none, 11);
    ok(transformer_sequence_truncate(none, 11));
    no_row(none, 10);
    no_row(none, -1);
    fixture_end(model, context, all, none, some, both);
}
END_TEST

/* Chunks end where the rows of logits do; nothing that was asked for is left out. */
START_TEST(few_logit_rows) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options wide = {.max_logit_rows = 64}, narrow = {.max_logit_rows = 3};
    transformer_context *of_all = fixture_context(model, &wide);
    transformer_sequence *whole = fixture_prompt(of_all, model, 1, 20, TRANSFORMER_LOGITS_ALL);
    fixture_decode(of_all);
    transformer_context *context = fixture_context(model, &narrow);
    ck_assert_int_eq(fixture_stats(context).max_logit_rows, 3);
    transformer_sequence *a = fixture_prompt(context, model, 1, 20, TRANSFORMER_LOGITS_ALL);
    int64_t position = 0;
    for (int step = 0; step < 7; step++) {
        transformer_decode_result result = fixture_step(context, 0);
        ck_assert_int_eq(result.n_rows, step < 6 ? 3 : 2);
        for (int64_t i = 0; i < result.n_rows; i++, position++)
            fixture_same(fixture_logits(a, position), fixture_logits(whole, position), 380,
                         "a row kept in a cut chunk");
    }
    ck_assert_int_eq(position, 20);
    /* Rows that are not kept take no room. */
    transformer_sequence *b = fixture_prompt(context, model, 2, 30, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *c = fixture_prompt(context, model, 3, 30, TRANSFORMER_LOGITS_NONE);
    counts(fixture_step(context, 0), 60, 2, 0, 0, 0);
    has_row(b, -1);
    transformer_sequence *d[4];
    for (int i = 0; i < 4; i++)
        d[i] = fixture_prompt(context, model, 4, 1, TRANSFORMER_LOGITS_LAST);
    counts(fixture_step(context, 0), 3, 3, 1, 0, 0);
    counts(fixture_step(context, 0), 1, 1, 0, 0, 0);
    for (int i = 0; i < 4; i++) transformer_sequence_destroy(d[i]);
    transformer_sequence_destroy(a);
    transformer_sequence_destroy(b);
    transformer_sequence_destroy(c);
    transformer_sequence_destroy(whole);
    transformer_context_destroy(of_all);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

START_TEST(pages_run_out) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.max_sequence_tokens = 512, .kv_tokens = 4 * 64};
    transformer_context *context = fixture_context(model, &options);
    transformer_context_statistics statistics = fixture_stats(context);
    ck_assert_int_eq(statistics.kv_pages, 4);
    ck_assert_int_eq(statistics.kv_pages_free, 4);
    ck_assert_int_eq(statistics.kv_page_tokens, 64);
    transformer_sequence *a = fixture_prompt(context, model, 1, 128, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *b = fixture_prompt(context, model, 2, 100, TRANSFORMER_LOGITS_LAST);
    counts(fixture_step(context, 0), 228, 2, 0, 0, 0);
    float *of_a = fixture_logits(a, -1);
    const int32_t *more = fixture_tokens(model, 3, 100);
    fixture_append(a, more, 100, TRANSFORMER_LOGITS_LAST);
    fixture_append(b, more, 100, TRANSFORMER_LOGITS_LAST);
    /* b has room for 28 more rows, a for none. */
    counts(fixture_step(context, 0), 28, 0, 2, 1, 0);
    transformer_decode_result result = {.struct_size = sizeof result};
    for (int i = 0; i < 2; i++) {
        memset((char *)&result + 8, 0xAA, sizeof result - 8);
        expect(TRANSFORMER_LIMIT, transformer_decode(context, NULL, &result));
        counts(result, 0, 0, 2, 2, 0); /* written all the same */
    }
    int64_t done = 0;
    ck_assert_int_eq(fixture_length(a, &done), 228);
    ck_assert_int_eq(done, 128);
    ck_assert_int_eq(fixture_length(b, &done), 200);
    ck_assert_int_eq(done, 128);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 0);
    /* Truncating one lets the other go on. */
    ok(transformer_sequence_truncate(b, 64));
    counts(fixture_step(context, 0), 64, 0, 1, 0, 0);
    expect(TRANSFORMER_LIMIT, transformer_decode(context, NULL, NULL));
    transformer_sequence_destroy(b);
    counts(fixture_step(context, 0), 36, 1, 0, 0, 0);
    has_row(a, -1);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 0);
    /* And back: the same bits as before it all. */
    ok(transformer_sequence_truncate(a, 127));
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 2);
    fixture_append(a, fixture_tokens(model, 1, 128) + 127, 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    fixture_same(fixture_logits(a, -1), of_a, 380, "after LIMIT");
    transformer_sequence_destroy(a);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 4);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

START_TEST(context_full) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.max_sequence_tokens = 10};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *a = fixture_prompt(context, model, 1, 8, TRANSFORMER_LOGITS_LAST);
    const int32_t *tokens = fixture_tokens(model, 2, 10);
    expect(TRANSFORMER_LIMIT, transformer_sequence_append(a, tokens, 3, NULL));
    ck_assert_int_eq(fixture_length(a, NULL), 8); /* nothing is queued */
    fixture_append(a, tokens, 2, TRANSFORMER_LOGITS_LAST);
    expect(TRANSFORMER_LIMIT, transformer_sequence_append(a, tokens, 1, NULL));
    counts(fixture_step(context, 0), 10, 1, 0, 0, 0);
    expect(TRANSFORMER_LIMIT, transformer_sequence_append(a, tokens, 1, NULL));
    has_row(a, -1); /* a refused append doesn't take the logits away */
    int32_t token = -1;
    transformer_sampler *sampler = fixture_sampler(model, (transformer_sampler_options){0});
    transformer_sample_options append = {.struct_size = sizeof append, .append = TRANSFORMER_ON};
    expect(TRANSFORMER_LIMIT, transformer_sampler_sample(sampler, a, &append, &token));
    ck_assert_int_eq(token, -1);
    ok(transformer_sampler_sample(sampler, a, NULL, &token));
    ok(transformer_sequence_truncate(a, 5));
    fixture_append(a, tokens, 5, TRANSFORMER_LOGITS_LAST);
    counts(fixture_step(context, 0), 5, 1, 0, 0, 0);
    transformer_sequence *b = fixture_sequence(context);
    expect(TRANSFORMER_LIMIT,
           transformer_sequence_append(b, fixture_tokens(model, 3, 11), 11, NULL));
    ck_assert_int_eq(fixture_length(b, NULL), 0);
    transformer_sampler_destroy(sampler);
    fixture_end(model, context, a, b);
}
END_TEST

START_TEST(tokens_of_a_sequence) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = fixture_context(model, NULL);
    transformer_sequence *a = fixture_prompt(context, model, 1, 6, TRANSFORMER_LOGITS_LAST);
    fixture_step(context, 4);
    int32_t tokens[6];
    int64_t count, n_computed;
    ok(transformer_sequence_tokens(a, tokens, 6, &count, &n_computed));
    ck_assert_int_eq(count, 6);
    ck_assert_int_eq(n_computed, 4);
    ck_assert_mem_eq(tokens, fixture_tokens(model, 1, 6), sizeof tokens);
    /* Truncation: pending ones, computed ones, what it can't. */
    invalid(transformer_sequence_truncate(a, 7));
    invalid(transformer_sequence_truncate(a, -1));
    ok(transformer_sequence_truncate(a, 5));
    ck_assert_int_eq(fixture_computed(a), 4);
    ok(transformer_sequence_truncate(a, 2));
    ck_assert_int_eq(fixture_length(a, &n_computed), 2);
    ck_assert_int_eq(n_computed, 2);
    counts(fixture_step(context, 0), 0, 0, 0, 0, 0);
    ok(transformer_sequence_truncate(a, 0));
    ck_assert_int_eq(fixture_length(a, &n_computed), 0);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, fixture_stats(context).kv_pages);
    fixture_end(model, context, a);
}
END_TEST

START_TEST(forks) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {
        .kv_tokens = 640, .max_sequences = 3, .max_logit_rows = 8};
    transformer_context *context = fixture_context(model, &options);
    uint8_t keep[100] = {[50] = 1, [99] = 1};
    transformer_append_options append = {.struct_size = sizeof append, .keep = keep};
    transformer_sequence *a = fixture_sequence(context), *b = NULL, *c = NULL, *d = NULL;
    ok(transformer_sequence_append(a, fixture_tokens(model, 1, 100), 100, &append));
    fixture_decode(context);
    float *last = fixture_logits(a, -1), *middle = fixture_logits(a, 50);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 8);
    ok(transformer_sequence_fork(a, NULL, &b));
    ok(transformer_sequence_fork(b, NULL, &c));
    expect(TRANSFORMER_LIMIT, transformer_sequence_fork(a, NULL, &d));
    expect(TRANSFORMER_LIMIT, transformer_sequence_create(context, NULL, &d));
    ck_assert_ptr_null(d);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 8); /* shared */
    fixture_same(fixture_logits(b, -1), last, 380, "the fork's logits");
    fixture_same(fixture_logits(c, 50), middle, 380, "the fork's logits");
    /* Truncating one doesn't take them from the other. */
    ok(transformer_sequence_truncate(a, 70));
    no_row(a, 50);
    fixture_same(fixture_logits(b, -1), last, 380, "the fork's logits");
    transformer_sampler *sampler = fixture_sampler(model, (transformer_sampler_options){0});
    int32_t best = -1;
    ok(transformer_sampler_sample(sampler, b, NULL, &best));
    for (int i = 0; i < 380; i++) ck_assert(last[i] <= last[best]);
    /* Writing takes a page of one's own for the last, half-full one only. */
    fixture_append(b, fixture_tokens(model, 2, 1), 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 7);
    transformer_sequence_destroy(a);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 7); /* c has its pages still */
    transformer_sequence_destroy(c);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 8);
    ok(transformer_sequence_fork(b, NULL, &c)); /* there is room again */
    transformer_sequence_destroy(b);
    int64_t n_computed;
    ck_assert_int_eq(fixture_length(c, &n_computed), 101);
    ck_assert_int_eq(n_computed, 101);
    transformer_sequence_destroy(c);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, 10);
    transformer_sampler_destroy(sampler);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

/* A fork that can't have a page of its own is refused, not broken. */
START_TEST(fork_without_pages) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.max_sequence_tokens = 128, .kv_tokens = 64};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *a = fixture_prompt(context, model, 1, 10, TRANSFORMER_LOGITS_LAST), *b;
    fixture_decode(context);
    ok(transformer_sequence_fork(a, NULL, &b));
    const int32_t *token = fixture_tokens(model, 2, 1);
    fixture_append(a, token, 1, TRANSFORMER_LOGITS_LAST);
    expect(TRANSFORMER_LIMIT, transformer_decode(context, NULL, NULL));
    transformer_sequence_destroy(b);
    counts(fixture_step(context, 0), 1, 1, 0, 0, 0);
    fixture_end(model, context, a);
}
END_TEST

/* Back behind a sliding window whose keys are gone: the tokens are pending again, and computed to
 * the same bits. */
START_TEST(truncation_behind_a_window) {
    const char *const names[] = {"small/gemma3-mqa", "small/gemma3-mha-untied",
                                 "small/llama-window"};
    transformer_model *model = fixture_open(names[_i]);
    int64_t n_vocab = fixture_n_vocab(model);
    transformer_context_options options = {
        .max_logit_rows = 400, .kv_tokens = 1024, .max_sequence_tokens = 400, .n_threads = 1};
    transformer_context *context = fixture_context(model, &options);
    const int32_t *tokens = fixture_tokens(model, 1, 300);
    transformer_sequence *whole = fixture_sequence(context);
    fixture_append(whole, tokens, 300, TRANSFORMER_LOGITS_ALL);
    fixture_decode(context);
    float *all = fixture_take((size_t)(300 * n_vocab) * sizeof *all);
    for (int64_t i = 0; i < 300; i++)
        memcpy(all + i * n_vocab, fixture_logits(whole, i), (size_t)n_vocab * sizeof *all);
    const int64_t lengths[] = {299, 257, 256, 255, 200, 129, 128, 100, 65, 64, 63, 20, 1, 0};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int64_t n = lengths[i], n_computed = -1;
        if (fixture_is_brief() && i % 4 != 1) continue;
        transformer_sequence *sequence = fixture_sequence(context);
        fixture_append(sequence, tokens, 300, TRANSFORMER_LOGITS_LAST);
        fixture_decode(context);
        ok(transformer_sequence_truncate(sequence, n));
        ck_assert_int_eq(fixture_length(sequence, &n_computed), n);
        ck_assert(n_computed == n || n_computed == 0);
        fixture_append(sequence, tokens + n, 300 - n, TRANSFORMER_LOGITS_ALL);
        fixture_decode(context);
        for (int64_t j = n; j < 300; j++)
            fixture_same(fixture_logits(sequence, j), all + j * n_vocab, n_vocab, "a window");
        transformer_sequence_destroy(sequence);
    }
    /* Both ways of it occurred: far back there is nothing left to go on from. */
    int64_t n_computed = -1;
    transformer_sequence *fork = NULL;
    ok(transformer_sequence_truncate(whole, 299));
    fixture_length(whole, &n_computed);
    ck_assert_int_eq(n_computed, 299);
    ok(transformer_sequence_fork(whole, NULL, &fork));
    ok(transformer_sequence_truncate(whole, 100));
    fixture_length(whole, &n_computed);
    ck_assert_int_eq(n_computed, 0);
    ck_assert_int_eq(fixture_step(context, 0).n_rows, 100);
    /* The fork has kept what it shares. */
    fixture_append(fork, tokens + 299, 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    fixture_same(fixture_logits(fork, -1), all + 299 * n_vocab, n_vocab, "a fork with a window");
    fixture_end(model, context, fork, whole);
}
END_TEST

/* The window's pages are given back while a sequence grows: it needs few of them. */
START_TEST(windows_give_pages_back) {
    transformer_model *model = fixture_open("small/gemma3-mqa");
    transformer_context_options options = {
        .max_sequence_tokens = 1024, .max_step_tokens = 64, .max_sequences = 1};
    transformer_context *context = fixture_context(model, &options);
    ck_assert_int_lt(fixture_stats(context).kv_pages, 2 * 16); /* two groups of streams */
    transformer_sequence *a = fixture_prompt(context, model, 1, 1024, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    ck_assert_int_eq(fixture_computed(a), 1024);
    transformer_sequence_destroy(a);
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, fixture_stats(context).kv_pages);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

/* Single tokens alone could fill every step; a prompt gets on all the same, and they too. */
START_TEST(prompt_beside_full_steps) {
    static const transformer_context_options tight[] = {
        {.max_step_tokens = 2, .kv_tokens = 640},
        {.max_step_tokens = 1, .kv_tokens = 640},
        {.max_step_tokens = 8, .max_logit_rows = 1, .kv_tokens = 640}};
    if (fixture_is_brief() && _i != 2) return; /* the device has no part in it */
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = fixture_context(model, &tight[_i]);
    transformer_sequence *singles[3], *prompt;
    const int32_t token = 5;
    for (int i = 0; i < 3; i++) singles[i] = fixture_sequence(context);
    prompt = fixture_prompt(context, model, 1, 10, TRANSFORMER_LOGITS_LAST);
    for (int step = 0; step < 40; step++) {
        for (int i = 0; i < 3; i++) {
            int64_t n_computed;
            if (fixture_length(singles[i], &n_computed) == n_computed)
                fixture_append(singles[i], &token, 1, TRANSFORMER_LOGITS_LAST);
        }
        ck_assert_int_gt(fixture_step(context, 0).n_rows, 0);
    }
    ck_assert_int_eq(fixture_computed(prompt), 10);
    for (int i = 0; i < 3; i++) ck_assert_int_ge(fixture_computed(singles[i]), 3);
    for (int i = 0; i < 3; i++) transformer_sequence_destroy(singles[i]);
    fixture_end(model, context, prompt);
}
END_TEST

FIXTURE_MAIN("decode", 300, CASE(nothing_pending), CASE(chunks_and_counts),
             CASE(prompts_take_turns), CASE(which_logits), CASE(few_logit_rows),
             CASE(pages_run_out), CASE(context_full), CASE(tokens_of_a_sequence), CASE(forks),
             CASE(fork_without_pages), LOOP(truncation_behind_a_window, 3),
             CASE(windows_give_pages_back), LOOP(prompt_beside_full_steps, 3))
