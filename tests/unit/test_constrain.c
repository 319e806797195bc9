/* Sequences whose tokens are texts of a grammar: sampled hot from random models, what comes out
 * always is one; truncated, forked, closed in time, and the same in any company. */
#include "api_fixture.h"

#define MODEL "small/llama-gqa"

static transformer_model *model;
static transformer_context *context;

static void set_up(void) {
    transformer_context_options options = {
        .max_sequence_tokens = 256, .n_threads = 1, .max_step_tokens = 64, .kv_tokens = 4096};
    model = fixture_open(MODEL);
    context = fixture_context(model, &options);
}

static transformer_grammar *make(transformer_grammar_options options) {
    transformer_grammar *grammar = NULL;
    options.struct_size = sizeof options;
    ok(transformer_grammar_create(model, &options, &grammar));
    return grammar;
}

static const char *const schemas[] = {
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":6},\"n\":{"
    "\"type\":"
    "\"integer\",\"minimum\":0,\"maximum\":99}},\"required\":[\"name\",\"n\"],"
    "\"additionalProperties\":false}",
    "{\"enum\":[\"yes\",\"no\",[1,{\"a\":null}],17.5]}",
    "{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":2,\"maxItems\":4}",
    "{\"type\":\"string\",\"pattern\":\"^[a-z]{2,8}$\"}",
};
enum { N_SCHEMAS = sizeof schemas / sizeof *schemas };

static transformer_sampler *hot(uint64_t seed) {
    return fixture_sampler(model, (transformer_sampler_options){.temperature = 5, .seed = seed});
}

static bool is_end(int32_t token) {
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    for (int64_t i = 0; i < details.n_end_tokens; i++)
        if (details.end_tokens[i] == token) return true;
    return false;
}

/* One more token; false at the end. */
static bool next(transformer_sequence *sequence, transformer_sampler *sampler, int32_t *token) {
    transformer_sample_options append = {.struct_size = sizeof append, .append = TRANSFORMER_ON};
    fixture_decode(context);
    ok(transformer_sampler_sample(sampler, sequence, &append, token));
    return !is_end(*token);
}

static int32_t match_of(const transformer_grammar *grammar, const int32_t *tokens, int64_t n) {
    char text[4096];
    size_t at = 0;
    int32_t match = -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t length;
        ok(transformer_token_text(model, tokens[i], text + at, (int64_t)(sizeof text - at),
                                  &length));
        at += (size_t)length;
    }
    ok(transformer_grammar_match(grammar, text, (int64_t)at, &match));
    return match;
}

static int64_t run(transformer_sequence *sequence, uint64_t seed, int64_t most, int32_t *tokens) {
    transformer_sampler *sampler = hot(seed);
    int64_t n = 0;
    while (n < most && next(sequence, sampler, &tokens[n])) n++;
    transformer_sampler_destroy(sampler);
    return n;
}

START_TEST(texts_are_valid) {
    set_up();
    transformer_grammar *grammar = make((transformer_grammar_options){.json_schema = schemas[_i]});
    transformer_constraint_options close = {
        .struct_size = sizeof close, .max_tokens = 80, .close = TRANSFORMER_ON};
    for (uint64_t seed = 0; seed < 10; seed++) {
        int32_t tokens[256];
        transformer_sequence *sequence =
            fixture_prompt(context, model, seed, 5, TRANSFORMER_LOGITS_LAST);
        ok(transformer_sequence_constrain(sequence, grammar, seed % 2 ? &close : NULL));
        int64_t n = run(sequence, seed, seed % 2 ? 80 : 200, tokens);
        int32_t match = match_of(grammar, tokens, n);
        if (seed % 2 || n < 200)
            ck_assert_int_eq(match, TRANSFORMER_MATCH_WHOLE);
        else
            ck_assert_int_ne(match, TRANSFORMER_MATCH_NONE);
        transformer_sequence_destroy(sequence);
    }
    transformer_grammar_destroy(grammar);
    fixture_end(model, context);
}
END_TEST

/* The least budget is told; with it and each greater one the text comes to its end. */
START_TEST(closes_within_each_budget) {
    set_up();
    transformer_grammar *grammar = make((transformer_grammar_options){.json_schema = schemas[_i]});
    int64_t least = 0;
    for (int64_t budget = 1; budget < 60; budget++) {
        int32_t tokens[256];
        transformer_constraint_options close = {
            .struct_size = sizeof close, .max_tokens = budget, .close = TRANSFORMER_ON};
        transformer_sequence *sequence =
            fixture_prompt(context, model, 3, 5, TRANSFORMER_LOGITS_LAST);
        transformer_status status = transformer_sequence_constrain(sequence, grammar, &close);
        if (status) {
            expect(TRANSFORMER_LIMIT, status);
            ck_assert_int_eq(least, 0);
        } else {
            if (!least) least = budget;
            int64_t n = run(sequence, (uint64_t)budget, budget, tokens);
            ck_assert_int_eq(match_of(grammar, tokens, n), TRANSFORMER_MATCH_WHOLE);
        }
        transformer_sequence_destroy(sequence);
    }
    ck_assert_int_gt(least, 0);
    transformer_grammar_destroy(grammar);
    fixture_end(model, context);
}
END_TEST

START_TEST(truncated_and_forked) {
    int32_t tokens[256], again[256], last, match;
    int64_t count;
    set_up();
    transformer_grammar *grammar = make((transformer_grammar_options){.json_schema = schemas[0]});
    transformer_sequence *sequence = fixture_prompt(context, model, 1, 5, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *fork = NULL;
    ok(transformer_sequence_constrain(sequence, grammar, NULL));
    transformer_grammar_destroy(grammar); /* the sequence keeps it */
    int64_t n = run(sequence, 4, 12, tokens);
    ck_assert_int_eq(n, 12);
    /* Back to its sixth token and on again: the same random numbers, the same tokens. */
    ok(transformer_sequence_truncate(sequence, 5 + 5));
    ok(transformer_sequence_append(sequence, tokens + 5, 1, NULL));
    ck_assert_int_eq(run(sequence, 4, 6, again), 6);
    ck_assert_mem_eq(again, tokens + 6, 6 * sizeof *tokens);
    /* A fork goes on by itself, and outlives the original. */
    ok(transformer_sequence_truncate(sequence, 5 + 6));
    ok(transformer_sequence_append(sequence, tokens + 6, 1, NULL));
    ok(transformer_sequence_fork(sequence, NULL, &fork));
    transformer_sequence_destroy(sequence);
    ck_assert_int_eq(run(fork, 4, 5, again), 5);
    ck_assert_mem_eq(again, tokens + 7, 5 * sizeof *tokens);
    /* What doesn't match is told when it is sampled, and forgiven once it is gone. */
    ok(transformer_tokenize(model, "}}", 2, NULL, again, 256, &count));
    ok(transformer_sequence_append(fork, again, count, NULL));
    fixture_decode(context);
    transformer_sampler *sampler = hot(1);
    expect(TRANSFORMER_STATE, transformer_sampler_sample(sampler, fork, NULL, &last));
    ok(transformer_sequence_truncate(fork, 5 + 11));
    ok(transformer_sequence_append(fork, tokens + 11, 1, NULL));
    fixture_decode(context);
    ok(transformer_sampler_sample(sampler, fork, NULL, &last));
    /* Lifted by truncating to less than there was. */
    ok(transformer_sequence_truncate(fork, 4));
    ok(transformer_sequence_append(fork, again, count, NULL));
    fixture_decode(context);
    ok(transformer_sampler_sample(sampler, fork, NULL, &last));
    transformer_sampler_destroy(sampler);
    /* A grammar of its own kind, and none. */
    grammar = make((transformer_grammar_options){.regex = "a+"});
    ok(transformer_sequence_constrain(fork, grammar, NULL));
    ok(transformer_grammar_match(grammar, "aa", 2, &match));
    ck_assert_int_eq(match, TRANSFORMER_MATCH_WHOLE);
    ok(transformer_sequence_constrain(fork, NULL, NULL));
    transformer_grammar_destroy(grammar);
    fixture_end(model, context, fork);
}
END_TEST

/* Own samplers in one step with others, and alone: the same tokens. */
START_TEST(company_changes_nothing) {
    int32_t alone[N_SCHEMAS][64], together[256];
    int64_t count;
    for (int company = 0; company < 2; company++) {
        transformer_sequence *sequences[N_SCHEMAS] = {NULL};
        transformer_sampler *samplers[N_SCHEMAS];
        transformer_grammar *grammars[N_SCHEMAS];
        set_up();
        for (int i = 0; i < N_SCHEMAS; i++) {
            grammars[i] = make((transformer_grammar_options){.json_schema = schemas[i]});
            samplers[i] = hot(9);
        }
        for (int i = 0; i < N_SCHEMAS; i++) {
            transformer_sequence_options with = {
                .struct_size = sizeof with, .sampler = samplers[i], .stream = (uint64_t)i};
            ok(transformer_sequence_create(context, &with, &sequences[i]));
            fixture_append(sequences[i], fixture_tokens(model, (uint64_t)i, 6), 6,
                           TRANSFORMER_LOGITS_LAST);
            ok(transformer_sequence_constrain(sequences[i], grammars[i], NULL));
            if (company && i < N_SCHEMAS - 1) continue;
            for (int step = 0; step < 20; step++) fixture_step(context, 0);
            for (int j = company ? 0 : i; j <= i; j++) {
                ok(transformer_sequence_tokens(sequences[j], together, 256, &count, NULL));
                ck_assert_int_eq(count, 26);
                if (company)
                    ck_assert_mem_eq(alone[j], together, 26 * sizeof *together);
                else
                    memcpy(alone[j], together, 26 * sizeof *together);
            }
            if (!company) transformer_sequence_destroy(sequences[i]);
            if (!company) sequences[i] = NULL;
        }
        for (int i = 0; i < N_SCHEMAS; i++) {
            transformer_grammar_destroy(grammars[i]);
            transformer_sampler_destroy(samplers[i]);
            transformer_sequence_destroy(sequences[i]);
        }
        fixture_end(model, context);
    }
}
END_TEST

struct text {
    char bytes[4096];
    uint64_t n;
};

static int32_t collect(void *user, const char *text, uint64_t length) {
    struct text *all = user;
    memcpy(all->bytes + all->n, text, length);
    all->n += length;
    return 0;
}

START_TEST(generated) {
    set_up();
    transformer_grammar *grammar = make((transformer_grammar_options){.json_schema = schemas[0]});
    for (uint64_t seed = 0; seed < 8; seed++) {
        transformer_sampler_options sampler = {
            .struct_size = sizeof sampler, .temperature = 3, .seed = seed};
        transformer_constraint_options close = {.struct_size = sizeof close,
                                                .close = TRANSFORMER_ON};
        transformer_generate_options options = {.struct_size = sizeof options,
                                                .prompt = "Once",
                                                .sampler = &sampler,
                                                .max_tokens = 40,
                                                .grammar = grammar,
                                                .constraint = &close};
        transformer_generate_result result = {.struct_size = sizeof result};
        struct text text = {.n = 0};
        int32_t match;
        ok(transformer_generate(context, &options, collect, &text, &result));
        ok(transformer_grammar_match(grammar, text.bytes, (int64_t)text.n, &match));
        ck_assert_int_eq(match, TRANSFORMER_MATCH_WHOLE);
    }
    transformer_grammar_destroy(grammar);
    fixture_end(model, context);
}
END_TEST

START_TEST(steps_of_a_constraint_allocate_nothing) {
    struct counting counting;
    counting_init(&counting);
    transformer_model_options options = {.struct_size = sizeof options,
                                         .path = fixture_path(MODEL),
                                         .allocator = &counting.allocator};
    ok(transformer_model_open(&options, &model));
    context = fixture_context(model, NULL);
    transformer_grammar *grammar = make((transformer_grammar_options){.json_schema = "{}"});
    transformer_sampler *sampler = hot(2);
    transformer_sequence_options with = {.struct_size = sizeof with, .sampler = sampler};
    transformer_sequence *sequence = NULL;
    ok(transformer_sequence_create(context, &with, &sequence));
    fixture_append(sequence, fixture_tokens(model, 1, 5), 5, TRANSFORMER_LOGITS_LAST);
    ok(transformer_sequence_constrain(sequence, grammar, NULL));
    fixture_step(context, 0);
    uint64_t calls = counting.n_calls;
    for (int i = 0; i < 30; i++) {
        fixture_step(context, 0);
        if (i % 7 == 6) ok(transformer_sequence_truncate(sequence, 8));
    }
    ck_assert_uint_eq(counting.n_calls, calls);
    transformer_sampler_destroy(sampler);
    transformer_grammar_destroy(grammar);
    fixture_end(model, context, sequence);
    ck_assert_uint_eq(counting.bytes, 0);
}
END_TEST

START_TEST(wrong_arguments) {
    set_up();
    transformer_grammar *grammar = NULL, *other_grammar;
    transformer_sequence *sequence = fixture_sequence(context);
    transformer_grammar_options options = {.struct_size = sizeof options};
    int32_t match;
    invalid(transformer_grammar_create(model, NULL, &grammar));
    invalid(transformer_grammar_create(model, &options, &grammar));
    options.regex = "a";
    options.ebnf = "r ::= \"a\"";
    invalid(transformer_grammar_create(model, &options, &grammar));
    options.ebnf = NULL;
    options.reserved = 1;
    ck_assert_int_ne(transformer_grammar_create(model, &options, &grammar), TRANSFORMER_OK);
    options.reserved = 0;
    invalid(transformer_grammar_create(NULL, &options, &grammar));
    options.regex = "(";
    invalid(transformer_grammar_create(model, &options, &grammar));
    ck_assert_ptr_null(grammar);
    grammar = make((transformer_grammar_options){.regex = "[a-z]{40}"});
    invalid(transformer_grammar_match(grammar, NULL, 1, &match));
    invalid(transformer_grammar_match(grammar, "a", -1, &match));
    transformer_constraint_options close = {.struct_size = sizeof close, .max_tokens = -1};
    invalid(transformer_sequence_constrain(sequence, grammar, &close));
    close.max_tokens = 5;
    invalid(transformer_sequence_constrain(sequence, grammar, &close)); /* close isn't ON */
    close.close = TRANSFORMER_ON;
    expect(TRANSFORMER_LIMIT, transformer_sequence_constrain(sequence, grammar, &close));
    transformer_model *first = model, *other = model = fixture_open(MODEL);
    other_grammar = make((transformer_grammar_options){.regex = "a"});
    model = first;
    invalid(transformer_sequence_constrain(sequence, other_grammar, NULL));
    transformer_grammar_destroy(other_grammar);
    transformer_model_close(other);
    transformer_grammar_destroy(grammar);
    transformer_grammar_destroy(NULL);
    fixture_end(model, context, sequence);
}
END_TEST

FIXTURE_MAIN("constrain", 300, LOOP(texts_are_valid, N_SCHEMAS),
             LOOP(closes_within_each_budget, N_SCHEMAS), CASE(truncated_and_forked),
             CASE(company_changes_nothing), CASE(generated),
             CASE(steps_of_a_constraint_allocate_nothing), CASE(wrong_arguments))
