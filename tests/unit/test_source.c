/* Sources of encoder-decoders through the public API: what may be asked for, and the same bits
 * whatever shares a step. */
#include "api_fixture.h"

enum { N = 24 }; /* tokens of a target */

static transformer_context *context_of(transformer_model *model, int64_t n_sequences,
                                       int64_t step_tokens) {
    transformer_context_options options = {.max_sequence_tokens = 96,
                                           .max_sequences = n_sequences,
                                           .kv_tokens = 64 * 2 * n_sequences,
                                           .max_step_tokens = step_tokens,
                                           .max_logit_rows = 64,
                                           .n_threads = 2};
    return fixture_context(model, &options);
}

static int32_t *source_tokens(const transformer_model *model, uint64_t seed, int64_t n) {
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    int32_t *tokens = fixture_tokens(model, seed, n);
    for (int64_t i = 0; i < n; i++) tokens[i] %= (int32_t)details.n_source_vocab;
    return tokens;
}

/* Pending, its logits wanted. */
static transformer_sequence *begin(transformer_context *context, const transformer_model *model,
                                   uint64_t seed, int64_t n_source) {
    transformer_sequence *sequence = fixture_sequence(context);
    ok(transformer_sequence_set_source(sequence, source_tokens(model, seed, n_source), n_source,
                                       NULL));
    fixture_append(sequence, fixture_tokens(model, seed + 100, N), N, TRANSFORMER_LOGITS_LAST);
    return sequence;
}

/* Alone in a context of its own. */
static float *alone(transformer_model *model, uint64_t seed, int64_t n_source) {
    transformer_context *context = context_of(model, 1, 0);
    transformer_sequence *sequence = begin(context, model, seed, n_source);
    fixture_decode(context);
    float *logits = fixture_logits(sequence, -1);
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    return logits;
}

static const char *const MODELS[] = {"encoder_decoders/t5", "encoder_decoders/marian",
                                     "encoder_decoders/mbart"};

START_TEST(what_a_model_says) {
    transformer_model *model = fixture_open("encoder_decoders/marian-separate");
    transformer_model_details details = {.struct_size = sizeof details};
    int32_t token = -1;
    ok(transformer_model_info(model, &details));
    ck_assert_uint_eq(details.needs_source, 1);
    ck_assert_int_eq(details.start_token, 60);
    ck_assert_int_eq(details.n_vocab, 67);
    ck_assert_int_eq(details.n_source_vocab, 61);
    ck_assert_int_eq(details.source_context_length, 96);
    ok(transformer_special_token(model, TRANSFORMER_TOKEN_START, &token));
    ck_assert_int_eq(token, 60);
    transformer_model_close(model);

    model = fixture_open("small/llama-gqa");
    ok(transformer_model_info(model, &details));
    ck_assert_uint_eq(details.needs_source, 0);
    ck_assert_int_eq(details.start_token, -1);
    ck_assert_int_eq(details.n_source_vocab, 0);
    expect(TRANSFORMER_NOT_FOUND,
           transformer_special_token(model, TRANSFORMER_TOKEN_START, &token));
    transformer_context *context = fixture_context(model, NULL);
    transformer_sequence *sequence = fixture_sequence(context);
    expect(TRANSFORMER_UNSUPPORTED, transformer_sequence_set_source(sequence, &token, 1, NULL));
    fixture_end(model, context, sequence);
}
END_TEST

START_TEST(calls_that_are_wrong) {
    transformer_model *model = fixture_open(MODELS[0]);
    transformer_context *context = context_of(model, 2, 80);
    transformer_sequence *sequence = fixture_sequence(context);
    int32_t tokens[96] = {1, 2, 3};
    transformer_source_options options = {.struct_size = sizeof options, .reserved = 1};
    invalid(transformer_sequence_set_source(NULL, tokens, 3, NULL));
    invalid(transformer_sequence_set_source(sequence, NULL, 3, NULL));
    invalid(transformer_sequence_set_source(sequence, tokens, -1, NULL));
    invalid(transformer_sequence_set_source(sequence, tokens, 0, NULL));
    expect(TRANSFORMER_UNSUPPORTED, transformer_sequence_set_source(sequence, tokens, 3, &options));
    tokens[2] = 61;
    invalid(transformer_sequence_set_source(sequence, tokens, 3, NULL));
    ck_assert_msg(strstr(transformer_last_error(), "tokens[2]"), "%s", transformer_last_error());
    tokens[2] = 3;
    expect(TRANSFORMER_LIMIT, transformer_sequence_set_source(sequence, tokens, 81, NULL));
    ck_assert_msg(strstr(transformer_last_error(), "max_source_tokens"), "%s",
                  transformer_last_error());
    ok(transformer_sequence_set_source(sequence, tokens, 80, NULL));
    expect(TRANSFORMER_STATE, transformer_sequence_set_source(sequence, tokens, 3, NULL));
    transformer_context_options too_long = {
        .struct_size = sizeof too_long, .max_step_tokens = 80, .max_source_tokens = 81};
    transformer_context *none = NULL;
    expect(TRANSFORMER_LIMIT, transformer_context_create(model, &too_long, &none));
    ck_assert_msg(strstr(transformer_last_error(), "max_step_tokens"), "%s",
                  transformer_last_error());
    ck_assert_int_eq(fixture_stats(context).max_source_tokens, 80);
    fixture_end(model, context, sequence);
}
END_TEST

/* Who lacks a source waits; the others go on. */
START_TEST(without_a_source) {
    transformer_model *model = fixture_open(MODELS[0]);
    transformer_context *context = context_of(model, 2, 0);
    transformer_sequence *lacks = fixture_prompt(context, model, 1, N, TRANSFORMER_LOGITS_LAST);
    transformer_decode_result result = {.struct_size = sizeof result};
    expect(TRANSFORMER_STATE, transformer_decode(context, NULL, &result));
    ck_assert_int_eq(fixture_computed(lacks), 0);
    transformer_sequence *has = begin(context, model, 2, 9);
    result = fixture_step(context, 0);
    ck_assert_int_eq(result.n_rows, 9 + N);
    ck_assert_int_eq(result.n_pending, 1);
    ck_assert_int_eq(fixture_computed(lacks), 0);
    float *logits = fixture_logits(has, -1);
    fixture_same(logits, alone(model, 2, 9), fixture_n_vocab(model), "beside one that waits");
    expect(TRANSFORMER_STATE, transformer_decode(context, NULL, &result));
    ok(transformer_sequence_set_source(lacks, source_tokens(model, 3, 4), 4, NULL));
    fixture_decode(context);
    ck_assert_int_eq(fixture_computed(lacks), N);
    ck_assert_uint_eq(fixture_stats(context).rows, 9 + 4 + 2 * N);
    fixture_end(model, context, lacks, has);
}
END_TEST

/* Sources and tokens of several sequences in steps of every size. */
START_TEST(the_same_bits_in_a_batch) {
    transformer_model *model = fixture_open(MODELS[_i]);
    static const int64_t lengths[] = {5, 70, 1, 64};
    int64_t n_vocab = fixture_n_vocab(model);
    const float *golden[4];
    for (uint64_t i = 0; i < 4; i++) golden[i] = alone(model, i, lengths[i]);
    for (int64_t step = 70; step <= 300; step += fixture_is_brief() ? 115 : 46) {
        transformer_context *context = context_of(model, 4, step);
        transformer_sequence *sequences[4];
        for (uint64_t i = 0; i < 4; i++) {
            sequences[i] = begin(context, model, i, lengths[i]);
            if (i == 1) fixture_step(context, 0);
        }
        const float *logits[4] = {0};
        for (int n_done = 0, n_steps = 0; n_done < 4; n_steps++) {
            fixture_step(context, 0);
            ck_assert_int_lt(n_steps, 40);
            for (int i = 0; i < 4; i++) {
                const float *row = NULL;
                int64_t n = 0;
                if (logits[i] || fixture_computed(sequences[i]) < N) continue;
                if (transformer_sequence_logits(sequences[i], -1, &row, &n) == TRANSFORMER_OK)
                    logits[i] = fixture_logits(sequences[i], -1);
                else
                    logits[i] = golden[i]; /* of the first step */
                n_done++;
            }
        }
        for (uint64_t i = 0; i < 4; i++) fixture_same(logits[i], golden[i], n_vocab, "in a batch");
        for (int i = 0; i < 4; i++) transformer_sequence_destroy(sequences[i]);
        ck_assert_int_eq(fixture_stats(context).kv_pages, fixture_stats(context).kv_pages_free);
        transformer_context_destroy(context);
    }
    transformer_model_close(model);
}
END_TEST

/* Token by token, through forks made before and after the source was encoded. */
START_TEST(the_same_bits_through_forks) {
    transformer_model *model = fixture_open(MODELS[_i]);
    int64_t n_vocab = fixture_n_vocab(model);
    const float *golden = alone(model, 7, 66);
    transformer_context *context = context_of(model, 4, 0);
    const int32_t *tokens = fixture_tokens(model, 107, N);
    transformer_sequence *first = fixture_sequence(context), *early = NULL, *late = NULL;
    ok(transformer_sequence_set_source(first, source_tokens(model, 7, 66), 66, NULL));
    ok(transformer_sequence_fork(first, NULL, &early));
    fixture_append(first, tokens, 1, TRANSFORMER_LOGITS_LAST);
    ck_assert_int_eq(fixture_step(context, 0).n_rows, 67);
    for (int64_t i = 1; i < N / 2; i++) {
        fixture_append(first, tokens + i, 1, TRANSFORMER_LOGITS_LAST);
        ck_assert_int_eq(fixture_step(context, 0).n_rows, 1);
    }
    int64_t n_free = fixture_stats(context).kv_pages_free;
    ok(transformer_sequence_fork(first, NULL, &late));
    ck_assert_int_eq(fixture_stats(context).kv_pages_free, n_free);
    transformer_sequence_destroy(first);
    fixture_append(late, tokens + N / 2, N - N / 2, TRANSFORMER_LOGITS_LAST);
    fixture_append(early, tokens, N, TRANSFORMER_LOGITS_LAST);
    ck_assert_int_eq(fixture_step(context, 0).n_rows, N + N - N / 2); /* its source is there */
    fixture_same(fixture_logits(late, -1), golden, n_vocab, "a late fork");
    fixture_same(fixture_logits(early, -1), golden, n_vocab, "an early fork");
    ok(transformer_sequence_truncate(late, 3));
    fixture_append(late, tokens + 3, N - 3, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    fixture_same(fixture_logits(late, -1), golden, n_vocab, "after a truncation");
    fixture_end(model, context, early, late);
}
END_TEST

START_TEST(a_step_too_small) {
    transformer_model *model = fixture_open(MODELS[0]);
    transformer_context *context = context_of(model, 2, 0);
    transformer_sequence *sequence = begin(context, model, 4, 30);
    transformer_decode_options small = {.struct_size = sizeof small, .max_tokens = 29};
    transformer_decode_result result = {.struct_size = sizeof result};
    expect(TRANSFORMER_LIMIT, transformer_decode(context, &small, &result));
    ck_assert_msg(strstr(transformer_last_error(), "max_tokens"), "%s", transformer_last_error());
    small.max_tokens = 30; /* the source, then the tokens */
    ok(transformer_decode(context, &small, &result));
    ck_assert_int_eq(result.n_rows, 30);
    ck_assert_int_eq(fixture_computed(sequence), 0);
    small.max_tokens = 7;
    while (fixture_computed(sequence) < N) ok(transformer_decode(context, &small, &result));
    fixture_same(fixture_logits(sequence, -1), alone(model, 4, 30), fixture_n_vocab(model),
                 "in small steps");
    fixture_end(model, context, sequence);
}
END_TEST

START_TEST(no_page_for_a_source) {
    transformer_model *model = fixture_open(MODELS[0]);
    transformer_context_options options = {
        .max_sequence_tokens = 64, .kv_tokens = 128, .max_sequences = 3, .max_source_tokens = 128};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *long_one = begin(context, model, 1, 65);
    fixture_decode(context);
    transformer_sequence *waits = begin(context, model, 2, 3);
    transformer_decode_result result = {.struct_size = sizeof result};
    expect(TRANSFORMER_LIMIT, transformer_decode(context, NULL, &result));
    ck_assert_int_eq(result.n_refused, 1);
    fixture_append(long_one, fixture_tokens(model, 9, 1), 1, TRANSFORMER_LOGITS_LAST);
    result = fixture_step(context, 0); /* the other goes on */
    ck_assert_int_eq(result.n_rows, 1);
    ck_assert_int_eq(result.n_refused, 1);
    transformer_sequence_destroy(long_one);
    fixture_decode(context);
    fixture_same(fixture_logits(waits, -1), alone(model, 2, 3), fixture_n_vocab(model),
                 "after waiting for pages");
    fixture_end(model, context, waits);
}
END_TEST

START_TEST(a_cancelled_step) {
    transformer_model *model = fixture_open(MODELS[0]);
    transformer_context *context = context_of(model, 1, 0);
    transformer_sequence *sequence = begin(context, model, 4, 30);
    transformer_context_cancel(context);
    expect(TRANSFORMER_CANCELLED, transformer_decode(context, NULL, NULL));
    fixture_decode(context);
    fixture_same(fixture_logits(sequence, -1), alone(model, 4, 30), fixture_n_vocab(model),
                 "after a cancelled step");
    fixture_end(model, context, sequence);
}
END_TEST

/* Team and empty arrays aside. */
static void within(uint64_t estimated, uint64_t measured) {
    ck_assert_uint_le(estimated, measured);
    ck_assert_uint_ge(estimated + measured / 50, measured);
}

START_TEST(memory_is_as_estimated) {
    struct counting counting;
    counting_init(&counting);
    transformer_model_options model_options = {.struct_size = sizeof model_options,
                                               .path = fixture_path(MODELS[_i])};
    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequence_tokens = 64,
                                           .max_source_tokens = 70,
                                           .allocator = &counting.allocator,
                                           .n_threads = 1};
    transformer_memory_estimate estimate = {.struct_size = sizeof estimate};
    transformer_model *model = NULL;
    transformer_context *context = NULL;
    transformer_sequence *sequence = NULL;
    ok(transformer_model_estimate(&model_options, &options, &estimate));
    ok(transformer_model_open(&model_options, &model));
    ok(transformer_context_create(model, &options, &context));
    within(estimate.context_host_bytes, fixture_stats(context).host_bytes);
    uint64_t empty = fixture_stats(context).host_bytes;
    ok(transformer_sequence_create(context, NULL, &sequence));
    uint64_t before = fixture_stats(context).host_bytes;
    ck_assert_uint_eq(before, empty + estimate.sequence_host_bytes);
    ok(transformer_sequence_set_source(sequence, source_tokens(model, 1, 70), 70, NULL));
    ck_assert_uint_eq(fixture_stats(context).host_bytes, before + estimate.source_host_bytes);
    fixture_append(sequence, fixture_tokens(model, 1, 5), 5, TRANSFORMER_LOGITS_LAST);
    uint64_t n_calls = counting.n_calls;
    fixture_decode(context);
    ck_assert_uint_eq(counting.n_calls, n_calls); /* a step takes nothing */
    fixture_end(model, context, sequence);
    ck_assert_int_eq(counting.n_live, 0);
}
END_TEST

/* The ten-line program reads its prompt as the source. */
START_TEST(generation) {
    transformer_model *model = fixture_open(MODELS[1]);
    transformer_context *context = context_of(model, 1, 0);
    const int32_t *source = source_tokens(model, 4, 12), answer[] = {5, 6};
    transformer_generate_options options = {.struct_size = sizeof options,
                                            .tokens = source,
                                            .n_tokens = 12,
                                            .max_tokens = 8,
                                            .answer = answer,
                                            .n_answer = 2};
    transformer_generate_result result = {.struct_size = sizeof result};
    ok(transformer_generate(context, &options, NULL, NULL, &result));
    ck_assert_int_eq(result.n_prompt_tokens, 12);
    ck_assert_int_eq(result.n_generated_tokens, 8);
    options.answer = NULL;
    invalid(transformer_generate(context, &options, NULL, NULL, NULL));
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

FIXTURE_MAIN("source", 120, CASE(what_a_model_says), CASE(calls_that_are_wrong),
             CASE(without_a_source), LOOP(the_same_bits_in_a_batch, 3),
             LOOP(the_same_bits_through_forks, 3), CASE(a_step_too_small),
             CASE(no_page_for_a_source), CASE(a_cancelled_step), LOOP(memory_is_as_estimated, 3),
             CASE(generation))
