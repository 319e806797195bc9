/* The ten-line program: what it gives out, when it stops, and what a callback may do. */
#define _GNU_SOURCE
#include "api_fixture.h"

#include <fenv.h>

static transformer_model *model;
static transformer_context *context;

static void set_up(int64_t max_sequence_tokens) {
    transformer_context_options options = {
        .max_sequence_tokens = max_sequence_tokens, .n_threads = 1, .max_step_tokens = 16};
    model = fixture_open("small/llama-gqa");
    context = fixture_context(model, &options);
}

static void tear_down(void) {
    ck_assert_int_eq(fixture_stats(context).n_sequences, 0); /* its sequence is gone */
    transformer_context_destroy(context);
    transformer_model_close(model);
}

struct text {
    char bytes[65536];
    uint64_t n, n_calls, stop_at;
};

static int32_t collect(void *user, const char *text, uint64_t length) {
    struct text *all = user;
    ck_assert_uint_gt(length, 0);
    ck_assert_uint_lt(all->n + length, sizeof all->bytes);
    memcpy(all->bytes + all->n, text, length);
    all->n += length;
    return ++all->n_calls == all->stop_at ? 5 : 0;
}

static bool is_end(int32_t token) {
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    for (int64_t i = 0; i < details.n_end_tokens; i++)
        if (details.end_tokens[i] == token) return true;
    return false;
}

/* The same by hand: tokens, greedy or by a sampler, and their text by a stream. */
static int64_t by_hand(const int32_t *prompt, int64_t n, int64_t max_tokens,
                       transformer_sampler_options options, struct text *all, int32_t *finish) {
    transformer_sequence *sequence = fixture_sequence(context);
    transformer_sampler *sampler = fixture_sampler(model, options);
    transformer_text_stream *stream = NULL;
    transformer_sample_options append = {.struct_size = sizeof append, .append = TRANSFORMER_ON};
    const char *text;
    int64_t length, n_generated = 0;
    ok(transformer_text_stream_create(model, NULL, &stream));
    fixture_append(sequence, prompt, n, TRANSFORMER_LOGITS_LAST);
    *all = (struct text){.n = 0};
    for (*finish = 0; !*finish;) {
        int32_t token;
        fixture_decode(context);
        transformer_status status = transformer_sampler_sample(sampler, sequence, &append, &token);
        if (status == TRANSFORMER_LIMIT) {
            ok(transformer_sampler_sample(sampler, sequence, NULL, &token));
            *finish = TRANSFORMER_FINISH_CONTEXT;
        } else {
            ok(status);
        }
        if (is_end(token)) {
            *finish = TRANSFORMER_FINISH_END;
            break;
        }
        if (++n_generated == max_tokens) *finish = TRANSFORMER_FINISH_LENGTH;
        ok(transformer_text_stream_push(stream, token, &text, &length));
        if (length) collect(all, text, (uint64_t)length);
    }
    ok(transformer_text_stream_finish(stream, &text, &length));
    if (length) collect(all, text, (uint64_t)length);
    transformer_text_stream_destroy(stream);
    transformer_sampler_destroy(sampler);
    transformer_sequence_destroy(sequence);
    return n_generated;
}

static void check_against_hand(transformer_generate_options options, const int32_t *prompt,
                               int64_t n, transformer_sampler_options sampling) {
    static struct text hand, all;
    int32_t finish;
    int64_t n_generated = by_hand(prompt, n, options.max_tokens, sampling, &hand, &finish);
    all = (struct text){.n = 0};
    transformer_generate_result result = {.struct_size = sizeof result};
    options.struct_size = sizeof options;
    sampling.struct_size = sizeof sampling;
    options.sampler = &sampling;
    ok(transformer_generate(context, &options, collect, &all, &result));
    ck_assert_int_eq(result.n_prompt_tokens, n);
    ck_assert_int_eq(result.n_generated_tokens, n_generated);
    ck_assert_int_eq(result.finish_reason, finish);
    ck_assert_int_eq(result.reserved, 0);
    ck_assert_uint_gt(result.prompt_nanoseconds, 0);
    ck_assert_uint_eq(all.n, hand.n);
    ck_assert_mem_eq(all.bytes, hand.bytes, hand.n);
}

START_TEST(as_by_hand) {
    const uint64_t n_seeds = fixture_is_brief() ? 1 : 5;
    const int64_t most = fixture_is_brief() ? 25 : 100;
    set_up(512);
    const int32_t *prompt = fixture_tokens(model, 1, 40);
    transformer_sampler_options greedy = {0};
    check_against_hand(
        (transformer_generate_options){.tokens = prompt, .n_tokens = 40, .max_tokens = 60}, prompt,
        40, greedy);
    for (uint64_t seed = 0; seed < n_seeds; seed++) {
        transformer_sampler_options sampling = {.temperature = 1, .seed = seed, .top_k = 100};
        check_against_hand(
            (transformer_generate_options){.tokens = prompt, .n_tokens = 20, .max_tokens = most},
            prompt, 20, sampling);
    }
    int32_t tokens[64];
    int64_t n;
    const char *text = "Hello world, hello";
    ok(transformer_tokenize(model, text, 18, NULL, tokens, 64, &n));
    check_against_hand((transformer_generate_options){.prompt = text, .max_tokens = 30}, tokens, n,
                       greedy);
    ok(transformer_tokenize(model, text, 5, NULL, tokens, 64, &n));
    check_against_hand(
        (transformer_generate_options){.prompt = text, .prompt_length = 5, .max_tokens = 30},
        tokens, n, greedy);
    tear_down();
}
END_TEST

static transformer_generate_result run(transformer_generate_options options, struct text *all) {
    transformer_generate_result result = {.struct_size = sizeof result};
    options.struct_size = sizeof options;
    ok(transformer_generate(context, &options, all ? collect : NULL, all, &result));
    return result;
}

START_TEST(finish_reasons) {
    static struct text all;
    set_up(64);
    const int32_t *prompt = fixture_tokens(model, 1, 64);
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    ck_assert_int_gt(details.n_end_tokens, 0);
    transformer_logit_bias bias = {.token = details.end_tokens[0], .bias = 1e6f};
    transformer_sampler_options ends = {
        .struct_size = sizeof ends, .logit_bias = &bias, .n_logit_bias = 1};
    transformer_generate_result result = run(
        (transformer_generate_options){.tokens = prompt, .n_tokens = 5, .sampler = &ends}, &all);
    ck_assert_int_eq(result.finish_reason, TRANSFORMER_FINISH_END);
    ck_assert_int_eq(result.n_generated_tokens, 0);
    ck_assert_uint_eq(all.n_calls, 0);
    /* Never the end: the context fills up. The last token is given out, not computed. */
    transformer_logit_bias never[8];
    for (int64_t i = 0; i < details.n_end_tokens; i++)
        never[i] = (transformer_logit_bias){details.end_tokens[i], -1e30f};
    transformer_sampler_options goes_on = {
        .struct_size = sizeof goes_on, .logit_bias = never, .n_logit_bias = details.n_end_tokens};
    result =
        run((transformer_generate_options){.tokens = prompt, .n_tokens = 60, .sampler = &goes_on},
            NULL);
    ck_assert_int_eq(result.finish_reason, TRANSFORMER_FINISH_CONTEXT);
    ck_assert_int_eq(result.n_generated_tokens, 5);
    result =
        run((transformer_generate_options){.tokens = prompt, .n_tokens = 64, .sampler = &goes_on},
            NULL);
    ck_assert_int_eq(result.finish_reason, TRANSFORMER_FINISH_CONTEXT);
    ck_assert_int_eq(result.n_generated_tokens, 1);
    result = run(
        (transformer_generate_options){
            .tokens = prompt, .n_tokens = 60, .max_tokens = 3, .sampler = &goes_on},
        NULL);
    ck_assert_int_eq(result.finish_reason, TRANSFORMER_FINISH_LENGTH);
    ck_assert_int_eq(result.n_generated_tokens, 3);
    all = (struct text){.stop_at = 2};
    result = run(
        (transformer_generate_options){.tokens = prompt, .n_tokens = 5, .sampler = &goes_on}, &all);
    ck_assert_int_eq(result.finish_reason, TRANSFORMER_FINISH_STOPPED);
    ck_assert_uint_eq(all.n_calls, 2); /* and no more */
    tear_down();
}
END_TEST

START_TEST(what_does_not_fit) {
    set_up(32);
    const int32_t *prompt = fixture_tokens(model, 1, 33);
    transformer_generate_options options = {
        .struct_size = sizeof options, .tokens = prompt, .n_tokens = 33, .max_tokens = 1};
    transformer_generate_result result = {.struct_size = sizeof result, .finish_reason = -9};
    expect(TRANSFORMER_LIMIT, transformer_generate(context, &options, NULL, NULL, &result));
    ck_assert_int_eq(result.finish_reason, -9);
    int32_t wrong[2] = {3, 9999};
    options.tokens = wrong;
    options.n_tokens = 2;
    invalid(transformer_generate(context, &options, NULL, NULL, &result));
    /* No page is left for it; the sequence that has them isn't harmed. */
    transformer_sequence *a = fixture_prompt(context, model, 1, 32, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    float *row = fixture_logits(a, -1);
    options.tokens = prompt;
    expect(TRANSFORMER_LIMIT, transformer_generate(context, &options, NULL, NULL, &result));
    fixture_same(fixture_logits(a, -1), row, 380, "another sequence");
    transformer_sequence_destroy(a);
    ok(transformer_generate(context, &options, NULL, NULL, &result));
    tear_down();
}
END_TEST

/* ---- what a callback may do ---- */

static transformer_sequence *bystander;
static int64_t n_allowed;

static int32_t uses_everything(void *user, const char *text, uint64_t length) {
    (void)user, (void)text, (void)length;
    transformer_context_statistics statistics = {.struct_size = sizeof statistics};
    transformer_sequence *created = NULL;
    int64_t count = -1;
    int32_t token = 3;
    transformer_generate_options again = {
        .struct_size = sizeof again, .tokens = &token, .n_tokens = 1, .max_tokens = 1};
#define busy(call) expect(TRANSFORMER_BUSY, call)
    busy(transformer_decode(context, NULL, NULL));
    busy(transformer_context_stats(context, &statistics));
    busy(transformer_generate(context, &again, NULL, NULL, NULL));
    busy(transformer_sequence_create(context, NULL, &created));
    busy(transformer_sequence_append(bystander, &token, 1, NULL));
    busy(transformer_sequence_truncate(bystander, 0));
    busy(transformer_sequence_tokens(bystander, NULL, 0, &count, NULL));
    ck_assert_ptr_null(created);
    ck_assert_int_eq(count, -1);
    ok(transformer_tokenize(model, "a b", 3, NULL, NULL, 0, &count));
    ok(transformer_token_text(model, 3, NULL, 0, &count));
    ck_assert_int_eq(fixture_n_vocab(model), 380);
    n_allowed++;
    return 0;
}

START_TEST(callback_is_inside) {
    set_up(64);
    bystander = fixture_sequence(context);
    int32_t prompt[4] = {9, 8, 7, 6};
    transformer_generate_options options = {
        .struct_size = sizeof options, .tokens = prompt, .n_tokens = 4, .max_tokens = 10};
    transformer_context_options two = {.kv_tokens = 256, .n_threads = 1};
    transformer_context_destroy(context);
    transformer_sequence_destroy(bystander);
    context = fixture_context(model, &two);
    bystander = fixture_sequence(context);
    ok(transformer_generate(context, &options, uses_everything, NULL, NULL));
    ck_assert_int_gt(n_allowed, 0);
    transformer_sequence_destroy(bystander);
    tear_down();
}
END_TEST

static int32_t cancels(void *user, const char *text, uint64_t length) {
    (void)user, (void)text, (void)length;
    n_allowed++;
    transformer_context_cancel(context);
    return 0;
}

START_TEST(callback_cancels) {
    set_up(64);
    int32_t prompt[4] = {9, 8, 7, 6};
    transformer_generate_options options = {
        .struct_size = sizeof options, .tokens = prompt, .n_tokens = 4, .max_tokens = 40};
    expect(TRANSFORMER_CANCELLED, transformer_generate(context, &options, cancels, NULL, NULL));
    ck_assert_int_eq(n_allowed, 1);
    ok(transformer_generate(context, &options, NULL, NULL, NULL));
    tear_down();
}
END_TEST

/* The callback is the host's code, in the host's floating-point environment: it finds there what
 * the host has set, what it does there stays, and the text is the same. */
static int32_t rounds_up(void *user, const char *text, uint64_t length) {
    ck_assert_int_eq(fegetround(), n_allowed == 0 ? FE_UPWARD : FE_DOWNWARD);
    ck_assert_int_eq(fetestexcept(FE_ALL_EXCEPT), n_allowed == 0 ? FE_INVALID : FE_OVERFLOW);
    fesetround(FE_DOWNWARD);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_OVERFLOW);
    n_allowed++;
    return collect(user, text, length);
}

START_TEST(callback_has_its_environment) {
    static struct text all, other;
    set_up(64);
    int32_t prompt[4] = {9, 8, 7, 6};
    transformer_sampler_options sampling = {
        .struct_size = sizeof sampling, .temperature = 1, .top_p = 0.9f, .seed = 1};
    transformer_generate_options options = {.struct_size = sizeof options,
                                            .tokens = prompt,
                                            .n_tokens = 4,
                                            .max_tokens = 20,
                                            .sampler = &sampling};
    ok(transformer_generate(context, &options, collect, &all, NULL));
    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_INVALID);
    transformer_status generated = transformer_generate(context, &options, rounds_up, &other, NULL);
    int rounding = fegetround(), raised = fetestexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
    ok(generated);
    ck_assert_int_gt(n_allowed, 1);
    ck_assert_int_eq(rounding, FE_DOWNWARD);
    ck_assert_int_eq(raised, FE_OVERFLOW);
    ck_assert_uint_eq(other.n, all.n);
    ck_assert_mem_eq(other.bytes, all.bytes, all.n);
    tear_down();
}
END_TEST

/* All handles go while it generates: it goes on to its end, then everything is freed. */
static int32_t destroys(void *user, const char *text, uint64_t length) {
    (void)user, (void)text, (void)length;
    if (n_allowed++ > 0) return 0;
    fixture_end(model, context, bystander);
    return 0;
}

START_TEST(callback_destroys) {
    struct counting counting;
    counting_init(&counting);
    transformer_model_options file = {.struct_size = sizeof file,
                                      .path = fixture_path("small/llama-gqa"),
                                      .allocator = &counting.allocator};
    ok(transformer_model_open(&file, &model));
    transformer_context_options two = {.kv_tokens = 256, .n_threads = 2};
    context = fixture_context(model, &two);
    bystander = fixture_sequence(context);
    int32_t prompt[4] = {9, 8, 7, 6};
    transformer_generate_options options = {
        .struct_size = sizeof options, .tokens = prompt, .n_tokens = 4, .max_tokens = 10};
    transformer_generate_result result = {.struct_size = sizeof result};
    ok(transformer_generate(context, &options, destroys, NULL, &result));
    ck_assert_int_gt(n_allowed, 1);
    ck_assert_int_eq(result.n_generated_tokens, 10);
    ck_assert_int_eq(counting.n_live, 0);
    ck_assert_uint_eq(counting.bytes, 0);
}
END_TEST

START_TEST(without_tokenizer) {
    model = fixture_open("small/qwen2-mha");
    context = fixture_context(model, NULL);
    int32_t prompt[4] = {9, 8, 7, 6};
    transformer_generate_options options = {
        .struct_size = sizeof options, .tokens = prompt, .n_tokens = 4, .max_tokens = 10};
    transformer_generate_result result = {.struct_size = sizeof result};
    ok(transformer_generate(context, &options, NULL, NULL, &result));
    ck_assert_int_eq(result.n_generated_tokens, 10);
    options = (transformer_generate_options){.struct_size = sizeof options, .prompt = "a"};
    expect(TRANSFORMER_STATE, transformer_generate(context, &options, NULL, NULL, &result));
    tear_down();
}
END_TEST

/* ---- stop strings, and what proposes tokens ---- */

static const char *const none[1] = {NULL};

/* The tokens' text as a stream with these stop strings gives it, piece by piece; returns the tokens
 * that were pushed until it stopped. */
static int64_t stream_text(const int32_t *tokens, int64_t n, const char *const *stop,
                           int64_t n_stop, struct text *all, int32_t *stopped) {
    transformer_text_stream_options options = {
        .struct_size = sizeof options, .stop = stop, .n_stop = n_stop};
    transformer_text_stream *stream = NULL;
    const char *text;
    int64_t length, i = 0;
    ok(transformer_text_stream_create(model, &options, &stream));
    *all = (struct text){.n = 0};
    for (; i < n && transformer_text_stream_stopped(stream) < 0; i++) {
        ok(transformer_text_stream_push(stream, tokens[i], &text, &length));
        if (length) collect(all, text, (uint64_t)length);
    }
    int64_t n_pushed = i;
    for (; i < n; i++) { /* nothing comes any more */
        ok(transformer_text_stream_push(stream, tokens[i], &text, &length));
        ck_assert_int_eq(length, 0);
    }
    ok(transformer_text_stream_finish(stream, &text, &length));
    if (length) collect(all, text, (uint64_t)length);
    *stopped = transformer_text_stream_stopped(stream);
    ok(transformer_text_stream_push(stream, 0, &text, &length)); /* anew; it has no text */
    ck_assert_int_eq(transformer_text_stream_stopped(stream), -1);
    transformer_text_stream_destroy(stream);
    return n_pushed;
}

/* Whether a place of UTF-8 text is between characters. */
static bool is_border(const struct text *text, uint64_t at) {
    return at >= text->n || ((unsigned char)text->bytes[at] & 0xC0) != 0x80;
}

/* Every piece of the text of some tokens, wherever tokens end: what is before its first place. */
START_TEST(streams_stop) {
    enum { N_TOKENS = 60, MOST = 12 };
    static struct text whole, all;
    int32_t stopped, tokens[N_TOKENS];
    int64_t n = 0;
    set_up(64);
    const char *given =
        "Hello, world! \xe4\xb8\xad\xe6\x96\x87 is text, and so is \xf0\x9f\x9a\x80.";
    ok(transformer_tokenize(model, given, (int64_t)strlen(given), NULL, tokens, N_TOKENS, &n));
    ck_assert_int_eq(stream_text(tokens, n, none, 0, &whole, &stopped), n);
    ck_assert_int_eq(stopped, -1);
    ck_assert_uint_gt(whole.n, 40);
    for (uint64_t begin = 0; begin < whole.n; begin++)
        for (uint64_t length = 1; length <= MOST && begin + length <= whole.n; length++) {
            char string[MOST + 1] = {0};
            const char *const stop[] = {"not in there", string};
            if (!is_border(&whole, begin) || !is_border(&whole, begin + length)) continue;
            memcpy(string, whole.bytes + begin, length);
            uint64_t first = 0;
            while (memcmp(whole.bytes + first, string, length) != 0) first++;
            int64_t n_pushed = stream_text(tokens, n, stop, 2, &all, &stopped);
            ck_assert_int_eq(stopped, 1);
            ck_assert_uint_eq(all.n, first);
            ck_assert_mem_eq(all.bytes, whole.bytes, first);
            /* One token less and all but what may begin it is out. */
            stream_text(tokens, n_pushed - 1, stop, 2, &all, &stopped);
            ck_assert_int_eq(stopped, -1);
            if (all.n >= 3 && memcmp(all.bytes + all.n - 3, "\xef\xbf\xbd", 3) == 0)
                all.n -= 3; /* of an unfinished character */
            ck_assert_mem_eq(all.bytes, whole.bytes, all.n);
        }
    const char *const half[] = {"\xf0\x9f"};
    transformer_text_stream_options options = {
        .struct_size = sizeof options, .stop = half, .n_stop = 1};
    transformer_text_stream *stream = NULL;
    invalid(transformer_text_stream_create(model, &options, &stream));
    options.stop = NULL;
    invalid(transformer_text_stream_create(model, &options, &stream));
    options.stop = half, options.n_stop = -1;
    invalid(transformer_text_stream_create(model, &options, &stream));
    ck_assert_int_eq(transformer_text_stream_stopped(NULL), -1);
    tear_down();
}
END_TEST

/* Random models end soon where a token may be the end: none is. */
static transformer_sampler_options going_on(transformer_sampler_options sampling) {
    static transformer_logit_bias never[8];
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    for (int64_t i = 0; i < details.n_end_tokens; i++)
        never[i] = (transformer_logit_bias){details.end_tokens[i], -1e30f};
    sampling.struct_size = sizeof sampling;
    sampling.logit_bias = never;
    sampling.n_logit_bias = details.n_end_tokens;
    return sampling;
}

static const transformer_sampler_options SAMPLINGS[] = {
    {.temperature = 0}, {.temperature = 0.8f, .top_k = 50, .seed = 3}};

static void expect_text(const struct text *all, const struct text *expected, uint64_t n) {
    ck_assert_uint_eq(all->n, n);
    ck_assert_mem_eq(all->bytes, expected->bytes, n);
}

/* With a draft model, its own self or another, and with lookup: the same text, also where it ends
 * at max_tokens or a stop string in the middle of a step. */
START_TEST(proposals_change_no_text) {
    static struct text expected, all;
    const int64_t most = fixture_is_brief() ? 40 : 120, length_of_all = 2 * most + 16;
    set_up(length_of_all);
    transformer_model_options rounded = {.struct_size = sizeof rounded,
                                         .path = fixture_path("small/llama-gqa"),
                                         .weight_type = TRANSFORMER_WEIGHTS_Q4_0};
    transformer_model *other = NULL;
    ok(transformer_model_open(&rounded, &other));
    transformer_context_options more = {.max_sequence_tokens = length_of_all, .n_threads = 1};
    transformer_context *drafts[] = {NULL, fixture_context(model, &more),
                                     fixture_context(other, &more)};
    const int32_t *prompt = fixture_tokens(model, 1, 40);
    transformer_sampler_options sampling = going_on(SAMPLINGS[_i]);
    transformer_generate_options options = {
        .tokens = prompt, .n_tokens = 40, .max_tokens = most, .sampler = &sampling};
    transformer_generate_result plain = run(options, &expected);
    ck_assert_int_eq(plain.finish_reason, TRANSFORMER_FINISH_LENGTH);
    ck_assert_uint_eq(fixture_stats(context).n_proposed, 0);
    for (int draft = 0; draft < 3; draft++)
        for (uint32_t lookup = 0; lookup < 12; lookup += 5) {
            if (fixture_is_brief() && lookup != (uint32_t)(draft + 1) % 3 * 5) continue;
            options.draft = drafts[draft];
            options.lookup_tokens = lookup;
            options.max_tokens = most;
            options.n_stop = 0;
            all = (struct text){.n = 0};
            transformer_generate_result result = run(options, &all);
            ck_assert_int_eq(result.n_generated_tokens, most);
            ck_assert_int_eq(result.finish_reason, TRANSFORMER_FINISH_LENGTH);
            expect_text(&all, &expected, expected.n);
            options.max_tokens = 0; /* to the end of the context */
            result = run(options, NULL);
            ck_assert_int_eq(result.finish_reason, TRANSFORMER_FINISH_CONTEXT);
            ck_assert_int_eq(result.n_generated_tokens, length_of_all - 40 + 1);
            /* A string of the text's middle, over several tokens as likely as not. */
            uint64_t at = expected.n / 2, length = 7;
            while (!is_border(&expected, at)) at++;
            while (!is_border(&expected, at + length)) length++;
            char string[16] = {0};
            const char *const stop[] = {string};
            memcpy(string, expected.bytes + at, length);
            uint64_t first = 0;
            while (memcmp(expected.bytes + first, string, length) != 0) first++;
            options.stop = stop;
            options.n_stop = 1;
            all = (struct text){.n = 0};
            result = run(options, &all);
            ck_assert_int_eq(result.finish_reason, TRANSFORMER_FINISH_STOP_STRING);
            expect_text(&all, &expected, first);
            ck_assert_int_lt(result.n_generated_tokens, most);
            int64_t n_stopped = result.n_generated_tokens;
            result = run(options, NULL); /* without on_text too */
            ck_assert_int_eq(result.finish_reason, TRANSFORMER_FINISH_STOP_STRING);
            ck_assert_int_eq(result.n_generated_tokens, n_stopped);
        }
    /* The model itself as its draft is always right. */
    ck_assert_uint_gt(fixture_stats(context).n_accepted, (uint64_t)most * 5 / 6);
    for (int draft = 1; draft < 3; draft++) {
        ck_assert_int_eq(fixture_stats(drafts[draft]).n_sequences, 0);
        transformer_context_destroy(drafts[draft]);
    }
    transformer_model_close(other);
    tear_down();
}
END_TEST

/* A grammar's mask sees the tokens up to each position, whatever was proposed behind it. */
START_TEST(proposals_in_a_grammar) {
    static struct text expected, all;
    const int64_t most = fixture_is_brief() ? 40 : 80;
    set_up(256);
    transformer_grammar_options regex = {.struct_size = sizeof regex, .regex = "([a-c]{1,4} )*end"};
    transformer_grammar *grammar = NULL;
    transformer_context_options more = {.max_sequence_tokens = 256, .n_threads = 1};
    transformer_context *draft = fixture_context(model, &more);
    ok(transformer_grammar_create(model, &regex, &grammar));
    for (int i = fixture_is_brief() ? 1 : 0; i < 2; i++) {
        transformer_sampler_options sampling = SAMPLINGS[i];
        sampling.struct_size = sizeof sampling;
        transformer_generate_options options = {.prompt = "abc ab abc ab",
                                                .max_tokens = most,
                                                .sampler = &sampling,
                                                .grammar = grammar};
        expected = (struct text){.n = 0};
        transformer_generate_result plain = run(options, &expected);
        for (int with = 1; with < 4; with++) {
            options.lookup_tokens = with & 1 ? 7 : 0;
            options.draft = with & 2 ? draft : NULL;
            all = (struct text){.n = 0};
            transformer_generate_result result = run(options, &all);
            ck_assert_int_eq(result.n_generated_tokens, plain.n_generated_tokens);
            ck_assert_int_eq(result.finish_reason, plain.finish_reason);
            expect_text(&all, &expected, expected.n);
        }
    }
    ck_assert_uint_gt(fixture_stats(context).n_proposed, 0);
    transformer_grammar_destroy(grammar);
    transformer_context_destroy(draft);
    tear_down();
}
END_TEST

/* A draft's context that holds less than the text needs proposes as long as it can. */
START_TEST(small_draft) {
    static struct text expected, all;
    set_up(256);
    transformer_context_options less = {.max_sequence_tokens = 64, .n_threads = 1};
    transformer_context *draft = fixture_context(model, &less);
    transformer_sampler_options sampling = going_on(SAMPLINGS[0]);
    transformer_generate_options options = {
        .prompt = "Hello world", .max_tokens = fixture_is_brief() ? 90 : 150, .sampler = &sampling};
    run(options, &expected);
    options.draft = draft;
    run(options, &all);
    expect_text(&all, &expected, expected.n);
    ck_assert_uint_gt(fixture_stats(context).n_accepted, 0);
    transformer_context_destroy(draft);
    tear_down();
}
END_TEST

START_TEST(drafts_that_are_wrong) {
    set_up(64);
    transformer_model *others[] = {fixture_open("small/qwen2-mha"),
                                   fixture_open("encoder_decoders/t5")};
    transformer_context *contexts[] = {fixture_context(others[0], NULL),
                                       fixture_context(others[1], NULL),
                                       fixture_context(model, NULL)};
    const int32_t *prompt = fixture_tokens(model, 1, 10);
    transformer_generate_options options = {.struct_size = sizeof options,
                                            .tokens = prompt,
                                            .n_tokens = 10,
                                            .max_tokens = 3,
                                            .draft = context};
    invalid(transformer_generate(context, &options, NULL, NULL, NULL));
    options.draft = contexts[0];
    invalid(transformer_generate(context, &options, NULL, NULL, NULL));
    options.draft = contexts[1];
    expect(TRANSFORMER_UNSUPPORTED, transformer_generate(context, &options, NULL, NULL, NULL));
    options.draft = contexts[2];
    ok(transformer_generate(context, &options, NULL, NULL, NULL));
    /* A vocabulary that differs by a letter. */
    size_t size;
    char *bytes = fixture_read_file(fixture_path("small/llama-gqa"), &size);
    char *token = memmem(bytes, size, "<|im_end|>", 10);
    ck_assert_ptr_nonnull(token);
    token[3] ^= 2;
    transformer_model_options file = {.struct_size = sizeof file, .data = bytes, .data_size = size};
    transformer_model *differs = NULL;
    ok(transformer_model_open(&file, &differs));
    options.draft = fixture_context(differs, NULL);
    invalid(transformer_generate(context, &options, NULL, NULL, NULL));
    ck_assert_ptr_nonnull(strstr(transformer_last_error(), "has another text"));
    transformer_context_destroy(options.draft);
    transformer_model_close(differs);
    options.draft = contexts[2];
    transformer_sequence *full[8];
    for (int i = 0; i < 8; i++) full[i] = fixture_sequence(contexts[2]);
    expect(TRANSFORMER_LIMIT, transformer_generate(context, &options, NULL, NULL, NULL));
    for (int i = 0; i < 8; i++) transformer_sequence_destroy(full[i]);
    options.draft = NULL;
    options.n_stop = 1;
    invalid(transformer_generate(context, &options, NULL, NULL, NULL));
    options.n_stop = -1;
    invalid(transformer_generate(context, &options, NULL, NULL, NULL));
    options.n_stop = 0;
    options.reserved = 1;
    expect(TRANSFORMER_UNSUPPORTED, transformer_generate(context, &options, NULL, NULL, NULL));
    for (int i = 0; i < 3; i++) transformer_context_destroy(contexts[i]);
    for (int i = 0; i < 2; i++) transformer_model_close(others[i]);
    tear_down();
}
END_TEST

FIXTURE_MAIN("generate", 300, CASE(as_by_hand), CASE(finish_reasons), CASE(what_does_not_fit),
             CASE(callback_is_inside), CASE(callback_cancels), CASE(callback_has_its_environment),
             CASE(callback_destroys), CASE(without_tokenizer), CASE(streams_stop),
             LOOP(proposals_change_no_text, 2), CASE(proposals_in_a_grammar), CASE(small_draft),
             CASE(drafts_that_are_wrong))
