/* The rules of options and output structs, for every struct of the API; modes, reserved members,
 * and NULL where a pointer is required: each is INVALID_ARGUMENT and leaves the outputs alone. */
#include "api_fixture.h"

static transformer_model *model;
static transformer_context *context;
static transformer_sequence *sequence; /* with logits of its last position */
static transformer_sampler *sampler;
static int32_t token = 7;

static void set_up(void) {
    model = fixture_open("small/llama-gqa");
    context = fixture_context(model, NULL);
    sequence = fixture_prompt(context, model, 1, 3, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    sampler = fixture_sampler(model, (transformer_sampler_options){0});
}

static void tear_down(void) {
    transformer_sampler_destroy(sampler);
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    transformer_model_close(model);
}

/* ---- options structs: one call of each that takes them ---- */

static transformer_status call_open(const void *options) {
    transformer_model *opened = NULL;
    transformer_status status = transformer_model_open(options, &opened);
    ck_assert((status == TRANSFORMER_OK) == (opened != NULL));
    transformer_model_close(opened);
    return status;
}

static transformer_status call_estimate(const void *options) {
    transformer_memory_estimate estimate = {.struct_size = sizeof estimate};
    return transformer_model_estimate(options, NULL, &estimate);
}

static transformer_status call_estimate_context(const void *options) {
    transformer_memory_estimate estimate = {.struct_size = sizeof estimate};
    transformer_model_options file = {.struct_size = sizeof file,
                                      .path = fixture_path("small/llama-gqa")};
    return transformer_model_estimate(&file, options, &estimate);
}

static transformer_status call_tokenize(const void *options) {
    int64_t count;
    return transformer_tokenize(model, "a b", 3, options, NULL, 0, &count);
}

static transformer_status call_detokenize(const void *options) {
    int64_t length;
    return transformer_detokenize(model, &token, 1, options, NULL, 0, &length);
}

static transformer_status call_text_stream(const void *options) {
    transformer_text_stream *stream = NULL;
    transformer_status status = transformer_text_stream_create(model, options, &stream);
    transformer_text_stream_destroy(stream);
    return status;
}

static transformer_status call_context(const void *options) {
    transformer_context *created = NULL;
    transformer_status status = transformer_context_create(model, options, &created);
    transformer_context_destroy(created);
    return status;
}

static transformer_status call_sampler(const void *options) {
    transformer_sampler *created = NULL;
    transformer_status status = transformer_sampler_create(model, options, &created);
    transformer_sampler_destroy(created);
    return status;
}

static transformer_status call_sample(const void *options) {
    int32_t chosen;
    return transformer_sampler_sample(sampler, sequence, options, &chosen);
}

static transformer_status call_sequence(const void *options) {
    transformer_sequence *created = NULL;
    transformer_status status = transformer_sequence_create(context, options, &created);
    transformer_sequence_destroy(created);
    return status;
}

static transformer_status call_append(const void *options) {
    transformer_sequence *fresh = fixture_sequence(context);
    transformer_status status = transformer_sequence_append(fresh, &token, 1, options);
    ck_assert_int_eq(fixture_length(fresh, NULL), status == TRANSFORMER_OK);
    transformer_sequence_destroy(fresh);
    return status;
}

static transformer_status call_fork(const void *options) {
    transformer_sequence *fork = NULL;
    transformer_status status = transformer_sequence_fork(sequence, options, &fork);
    transformer_sequence_destroy(fork);
    return status;
}

static transformer_status call_decode(const void *options) {
    return transformer_decode(context, options, NULL);
}

static transformer_status call_generate(const void *options) {
    return transformer_generate(context, options, NULL, NULL, NULL);
}

struct options_case {
    const char *name;
    size_t first_size; /* of the struct in release 0.1 */
    size_t size;       /* that this library knows */
    transformer_status (*call)(const void *options);
    transformer_status of_null;
    void (*fill)(void *options); /* NULL: zeros will do */
};

static void fill_model(void *options) {
    ((transformer_model_options *)options)->path = fixture_path("small/llama-gqa");
}

static void fill_generate(void *options) {
    transformer_generate_options *generate = options;
    generate->tokens = &token;
    generate->n_tokens = 1;
    generate->max_tokens = 1;
}

#define TYPE(name) sizeof(transformer_##name)
static const struct options_case options_cases[] = {
    {"model_options", 96, TYPE(model_options), call_open, TRANSFORMER_INVALID_ARGUMENT, fill_model},
    {"model_options, estimate", 96, TYPE(model_options), call_estimate,
     TRANSFORMER_INVALID_ARGUMENT, fill_model},
    {"context_options, estimate", 88, TYPE(context_options), call_estimate_context, 0, NULL},
    {"tokenize_options", 16, TYPE(tokenize_options), call_tokenize, 0, NULL},
    {"detokenize_options", 16, TYPE(detokenize_options), call_detokenize, 0, NULL},
    {"text_stream_options", 16, TYPE(text_stream_options), call_text_stream, 0, NULL},
    {"context_options", 88, TYPE(context_options), call_context, 0, NULL},
    {"sampler_options", 72, TYPE(sampler_options), call_sampler, 0, NULL},
    {"sample_options", 16, TYPE(sample_options), call_sample, 0, NULL},
    {"sequence_options", 24, TYPE(sequence_options), call_sequence, 0, NULL},
    {"append_options", 24, TYPE(append_options), call_append, 0, NULL},
    {"fork_options", 24, TYPE(fork_options), call_fork, 0, NULL},
    {"decode_options", 16, TYPE(decode_options), call_decode, 0, NULL},
    {"generate_options", 64, TYPE(generate_options), call_generate, TRANSFORMER_INVALID_ARGUMENT,
     fill_generate},
};

static void check_options(const struct options_case *of, uint64_t struct_size, size_t poke,
                          transformer_status expected) {
    static _Alignas(16) unsigned char bytes[8192];
    memset(bytes, 0, sizeof bytes);
    if (of->fill) of->fill(bytes);
    memcpy(bytes, &struct_size, sizeof struct_size);
    if (poke) bytes[poke] = 1;
    transformer_status status = of->call(bytes);
    ck_assert_msg(status == expected, "%s of %llu bytes, byte %zu set: %s, not %s: %s", of->name,
                  (unsigned long long)struct_size, poke, transformer_status_name(status),
                  transformer_status_name(expected), transformer_last_error());
}

START_TEST(options_structs) {
    set_up();
    for (size_t i = 0; i < sizeof options_cases / sizeof *options_cases; i++) {
        const struct options_case *of = &options_cases[i];
        ck_assert_uint_ge(of->size, of->first_size);
        check_options(of, of->size, 0, TRANSFORMER_OK);
        check_options(of, of->first_size, 0, TRANSFORMER_OK);
        const uint64_t wrong[] = {0, 1, 8, of->first_size - 1, 4097, UINT64_MAX};
        for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++)
            check_options(of, wrong[j], 0, TRANSFORMER_INVALID_ARGUMENT);
        /* Longer: zeros are accepted, anything else isn't, wherever it stands. */
        check_options(of, of->size + 1, 0, TRANSFORMER_OK);
        check_options(of, of->size + 8, 0, TRANSFORMER_OK);
        check_options(of, 4096, 0, TRANSFORMER_OK);
        check_options(of, of->size + 1, of->size, TRANSFORMER_UNSUPPORTED);
        check_options(of, of->size + 8, of->size + 7, TRANSFORMER_UNSUPPORTED);
        check_options(of, 4096, of->size, TRANSFORMER_UNSUPPORTED);
        check_options(of, 4096, 4095, TRANSFORMER_UNSUPPORTED);
        /* What lies behind struct_size is not read. */
        check_options(of, of->size, of->size, TRANSFORMER_OK);
        check_options(of, 4096, 4096, TRANSFORMER_OK);
        transformer_status of_null = of->call(NULL);
        ck_assert_msg(of_null == of->of_null, "%s NULL: %s", of->name, transformer_last_error());
    }
    tear_down();
}
END_TEST

/* ---- output structs ---- */

static transformer_status into_device(void *output) {
    return transformer_device_info(0, output);
}

static transformer_status into_model(void *output) {
    return transformer_model_info(model, output);
}

static transformer_status into_estimate(void *output) {
    transformer_model_options file = {.struct_size = sizeof file,
                                      .path = fixture_path("small/llama-gqa")};
    return transformer_model_estimate(&file, NULL, output);
}

static transformer_status into_statistics(void *output) {
    return transformer_context_stats(context, output);
}

static transformer_status into_decode(void *output) {
    return transformer_decode(context, NULL, output);
}

static transformer_status into_generate(void *output) {
    transformer_generate_options options = {.struct_size = sizeof options};
    fill_generate(&options);
    return transformer_generate(context, &options, NULL, NULL, output);
}

struct output_case {
    const char *name;
    size_t first_size, size;
    transformer_status (*call)(void *output);
    transformer_status of_null;
};

static const struct output_case output_cases[] = {
    {"device_details", 48, TYPE(device_details), into_device, TRANSFORMER_INVALID_ARGUMENT},
    {"model_details", 160, TYPE(model_details), into_model, TRANSFORMER_INVALID_ARGUMENT},
    {"memory_estimate", 56, TYPE(memory_estimate), into_estimate, TRANSFORMER_INVALID_ARGUMENT},
    {"context_statistics", 112, TYPE(context_statistics), into_statistics,
     TRANSFORMER_INVALID_ARGUMENT},
    {"decode_result", 48, TYPE(decode_result), into_decode, TRANSFORMER_OK},
    {"generate_result", 48, TYPE(generate_result), into_generate, TRANSFORMER_OK},
};

enum { POISON = 0xAA };

/* Bytes that are still poisoned from `from` on, in a struct that said struct_size. */
static void check_output(const struct output_case *of, uint64_t struct_size,
                         transformer_status expected) {
    static _Alignas(16) unsigned char bytes[8192];
    memset(bytes, POISON, sizeof bytes);
    memcpy(bytes, &struct_size, sizeof struct_size);
    transformer_status status = of->call(bytes);
    ck_assert_msg(status == expected, "%s of %llu bytes: %s", of->name,
                  (unsigned long long)struct_size, transformer_last_error());
    ck_assert_mem_eq(bytes, &struct_size, sizeof struct_size);
    size_t known = struct_size < of->size ? (size_t)struct_size : of->size;
    if (status != TRANSFORMER_OK) known = struct_size = sizeof struct_size;
    size_t untouched = 0;
    for (size_t i = sizeof struct_size; i < known; i++) untouched += bytes[i] == POISON;
    /* A member may have this value in a byte, a whole struct of them has not. */
    ck_assert_uint_le(untouched, 4);
    for (size_t i = known; i < (size_t)struct_size; i++)
        ck_assert_msg(bytes[i] == 0, "%s: byte %zu isn't zeroed", of->name, i);
    for (size_t i = (size_t)struct_size; i < sizeof bytes; i++)
        ck_assert_msg(bytes[i] == POISON, "%s: byte %zu behind it was written", of->name, i);
}

START_TEST(output_structs) {
    set_up();
    for (size_t i = 0; i < sizeof output_cases / sizeof *output_cases; i++) {
        const struct output_case *of = &output_cases[i];
        const uint64_t right[] = {of->first_size, of->size, of->size + 1, of->size + 40, 4096};
        const uint64_t wrong[] = {0, 8, of->first_size - 1, 4097, UINT64_MAX};
        for (size_t j = 0; j < sizeof right / sizeof *right; j++)
            check_output(of, right[j], TRANSFORMER_OK);
        for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++)
            check_output(of, wrong[j], TRANSFORMER_INVALID_ARGUMENT);
        transformer_status of_null = of->call(NULL);
        ck_assert_msg(of_null == of->of_null, "%s NULL: %s", of->name, transformer_last_error());
    }
    tear_down();
}
END_TEST

/* ---- members with a range ---- */

#define STRUCT(type, ...)                                      \
    &(transformer_##type) {                                    \
        .struct_size = sizeof(transformer_##type), __VA_ARGS__ \
    }
#define LLAMA .path = fixture_path("small/llama-gqa")
#define PROMPT .tokens = &token, .n_tokens = 1, .max_tokens = 1

START_TEST(modes) {
    set_up();
    for (uint32_t mode = TRANSFORMER_DEFAULT; mode <= TRANSFORMER_ON; mode++) {
        ok(call_tokenize(STRUCT(tokenize_options, .add_special = mode, .parse_special = mode)));
        ok(call_detokenize(STRUCT(detokenize_options, .special = mode)));
        ok(call_text_stream(STRUCT(text_stream_options, .special = mode)));
        ok(call_open(STRUCT(model_options, LLAMA, .copy = mode)));
        if (mode != TRANSFORMER_ON) ok(call_open(STRUCT(model_options, LLAMA, .cpu_amx = mode)));
        fixture_append(sequence, &token, 1, TRANSFORMER_LOGITS_LAST);
        fixture_decode(context);
        ok(call_sample(STRUCT(sample_options, .append = mode)));
        ok(call_generate(STRUCT(generate_options, PROMPT, .add_special = mode)));
    }
    const uint32_t wrong[] = {3, UINT32_MAX};
    for (int i = 0; i < 2; i++) {
        uint32_t mode = wrong[i];
        invalid(call_tokenize(STRUCT(tokenize_options, .add_special = mode)));
        invalid(call_tokenize(STRUCT(tokenize_options, .parse_special = mode)));
        invalid(call_detokenize(STRUCT(detokenize_options, .special = mode)));
        invalid(call_text_stream(STRUCT(text_stream_options, .special = mode)));
        invalid(call_open(STRUCT(model_options, LLAMA, .copy = mode)));
        invalid(call_open(STRUCT(model_options, LLAMA, .cpu_amx = mode)));
        invalid(call_estimate(STRUCT(model_options, LLAMA, .cpu_amx = mode)));
        invalid(call_sample(STRUCT(sample_options, .append = mode)));
        invalid(call_generate(STRUCT(generate_options, PROMPT, .add_special = mode)));
        invalid(call_generate(STRUCT(generate_options, PROMPT, .parse_special = mode)));
        invalid(call_generate(
            STRUCT(generate_options, .prompt = "a", .max_tokens = 1, .parse_special = mode)));
    }
    tear_down();
}
END_TEST

START_TEST(reserved_and_unknown_values) {
    set_up();
#define unsupported(call) expect(TRANSFORMER_UNSUPPORTED, call)
    unsupported(call_detokenize(STRUCT(detokenize_options, .reserved = 1)));
    unsupported(call_text_stream(STRUCT(text_stream_options, .reserved = 1)));
    unsupported(call_sampler(STRUCT(sampler_options, .reserved = 1)));
    unsupported(call_sample(STRUCT(sample_options, .reserved = 1)));
    unsupported(call_append(STRUCT(append_options, .logits = 3)));
    unsupported(call_open(STRUCT(model_options, LLAMA, .load_mode = 2)));
    unsupported(call_context(STRUCT(context_options, .kv_type = 5)));
    unsupported(call_estimate_context(STRUCT(context_options, .kv_type = 5)));
    expect(TRANSFORMER_INVALID_ARGUMENT, call_append(STRUCT(append_options, .token_type = 1)));
    tear_down();
}
END_TEST

static void no_run(void *user, int32_t n, void (*task)(void *, int32_t), void *argument) {
    (void)user, (void)n, (void)task, (void)argument;
}

START_TEST(context_options_out_of_range) {
    set_up();
    transformer_executor executor = {.run = no_run, .n_concurrent = 0};
    transformer_allocator allocator = {0};
#define context_with(...) call_context(STRUCT(context_options, __VA_ARGS__))
    invalid(context_with(.max_sequence_tokens = -1));
    invalid(context_with(.kv_tokens = -1));
    invalid(context_with(.max_sequences = -1));
    invalid(context_with(.max_step_tokens = -1));
    invalid(context_with(.max_logit_rows = INT64_MIN));
    invalid(context_with(.n_threads = -1));
    invalid(context_with(.executor = &executor));
    executor = (transformer_executor){.n_concurrent = 1};
    invalid(context_with(.executor = &executor));
    invalid(context_with(.allocator = &allocator));
    expect(TRANSFORMER_LIMIT, context_with(.max_sequence_tokens = 2049)); /* trained for 2048 */
    expect(TRANSFORMER_LIMIT, context_with(.max_sequence_tokens = INT64_MAX));
    expect(TRANSFORMER_LIMIT, context_with(.kv_tokens = INT64_MAX));
    expect(TRANSFORMER_LIMIT, context_with(.max_sequences = INT64_MAX));
    expect(TRANSFORMER_LIMIT, context_with(.max_step_tokens = INT64_MAX));
    expect(TRANSFORMER_LIMIT, context_with(.max_logit_rows = INT64_MAX));
    expect(TRANSFORMER_LIMIT, context_with(.n_threads = INT32_MAX));
    invalid(call_decode(STRUCT(decode_options, .max_tokens = -1)));
    invalid(call_generate(STRUCT(generate_options, PROMPT, .prompt_length = -1)));
    invalid(call_generate(STRUCT(generate_options, .tokens = &token, .n_tokens = -1)));
    invalid(call_generate(STRUCT(generate_options, .tokens = &token, .n_tokens = 0)));
    invalid(call_generate(STRUCT(generate_options, PROMPT, .prompt = "a")));
    invalid(
        call_generate(STRUCT(generate_options, .tokens = &token, .n_tokens = 1, .max_tokens = -1)));
    tear_down();
}
END_TEST

START_TEST(model_options_out_of_range) {
    set_up();
    transformer_reader reader = {0};
    transformer_allocator allocator = {0};
    invalid(call_open(STRUCT(model_options, .path = NULL)));
    invalid(call_open(STRUCT(model_options, LLAMA, .data_size = 1)));
    invalid(call_open(STRUCT(model_options, LLAMA, .reader = &reader)));
    invalid(call_open(STRUCT(model_options, LLAMA, .allocator = &allocator)));
    invalid(call_open(STRUCT(model_options, .data = "x", .data_size = UINT64_MAX)));
    expect(TRANSFORMER_NOT_FOUND, call_open(STRUCT(model_options, LLAMA, .device = 1000)));
    expect(TRANSFORMER_NOT_FOUND, call_open(STRUCT(model_options, LLAMA, .device = -1)));
    expect(TRANSFORMER_NOT_FOUND, call_estimate(STRUCT(model_options, LLAMA, .device = INT32_MAX)));
    tear_down();
}
END_TEST

/* ---- NULL ---- */

START_TEST(null_handles) {
    set_up();
    transformer_memory_estimate estimate = {.struct_size = sizeof estimate};
    transformer_model_details details = {.struct_size = sizeof details};
    transformer_context_statistics statistics = {.struct_size = sizeof statistics};
    void *untouched = &estimate;
    transformer_context *context_out = untouched;
    transformer_sequence *sequence_out = untouched;
    transformer_sampler *sampler_out = untouched;
    transformer_text_stream *stream_out = untouched;
    int64_t count = -5, computed = -6;
    int32_t chosen = -7;
    const float *row = untouched;
    const char *text = untouched;
    invalid(transformer_model_info(NULL, &details));
    invalid(transformer_model_metadata(NULL, "general.name", NULL, 0, &count));
    invalid(transformer_tokenize(NULL, "a", 1, NULL, NULL, 0, &count));
    invalid(transformer_detokenize(NULL, &token, 1, NULL, NULL, 0, &count));
    invalid(transformer_token_text(NULL, 0, NULL, 0, &count));
    invalid(transformer_special_token(NULL, TRANSFORMER_TOKEN_END, &chosen));
    invalid(transformer_text_stream_create(NULL, NULL, &stream_out));
    invalid(transformer_text_stream_push(NULL, 0, &text, &count));
    invalid(transformer_text_stream_finish(NULL, &text, &count));
    invalid(transformer_context_create(NULL, NULL, &context_out));
    invalid(transformer_context_stats(NULL, &statistics));
    invalid(transformer_sampler_create(NULL, NULL, &sampler_out));
    invalid(transformer_sampler_clone(NULL, &sampler_out));
    invalid(transformer_sampler_sample(NULL, sequence, NULL, &chosen));
    invalid(transformer_sampler_sample(sampler, NULL, NULL, &chosen));
    invalid(transformer_sequence_create(NULL, NULL, &sequence_out));
    invalid(transformer_sequence_append(NULL, &token, 1, NULL));
    invalid(transformer_sequence_fork(NULL, NULL, &sequence_out));
    invalid(transformer_sequence_truncate(NULL, 0));
    invalid(transformer_sequence_tokens(NULL, NULL, 0, &count, &computed));
    invalid(transformer_decode(NULL, NULL, NULL));
    invalid(transformer_sequence_logits(NULL, -1, &row, &count));
    invalid(transformer_sequence_embedding(NULL, -1, &row, &count));
    invalid(transformer_generate(NULL, STRUCT(generate_options, PROMPT), NULL, NULL, NULL));
    ck_assert_ptr_eq(context_out, untouched);
    ck_assert_ptr_eq(sequence_out, untouched);
    ck_assert_ptr_eq(sampler_out, untouched);
    ck_assert_ptr_eq(stream_out, untouched);
    ck_assert_ptr_eq(row, untouched);
    ck_assert_ptr_eq(text, untouched);
    ck_assert_int_eq(count, -5);
    ck_assert_int_eq(computed, -6);
    ck_assert_int_eq(chosen, -7);
    ck_assert_int_eq(details.n_vocab, 0);
    ck_assert_uint_eq(statistics.steps, 0);
    ck_assert_ptr_null(transformer_model_retain(NULL));
    transformer_model_close(NULL);
    transformer_context_destroy(NULL);
    transformer_context_cancel(NULL);
    transformer_sequence_destroy(NULL);
    transformer_sampler_destroy(NULL);
    transformer_text_stream_destroy(NULL);
    tear_down();
}
END_TEST

START_TEST(null_arguments) {
    set_up();
    transformer_text_stream *stream = NULL;
    ok(transformer_text_stream_create(model, NULL, &stream));
    int64_t count = -5;
    int32_t chosen = -7, tokens[2] = {-8, -8};
    char bytes[4] = "\x7F\x7F\x7F";
    const float *row = NULL;
    const char *text = NULL;
    invalid(transformer_model_open(STRUCT(model_options, LLAMA), NULL));
    invalid(transformer_model_metadata(model, NULL, NULL, 0, &count));
    invalid(transformer_model_metadata(model, "general.name", NULL, 0, NULL));
    invalid(transformer_model_metadata(model, "general.name", NULL, 4, &count));
    invalid(transformer_model_metadata(model, "general.name", bytes, -1, &count));
    invalid(transformer_tokenize(model, NULL, 1, NULL, tokens, 2, &count));
    invalid(transformer_tokenize(model, "a", -1, NULL, tokens, 2, &count));
    invalid(transformer_tokenize(model, "a", 1, NULL, NULL, 2, &count));
    invalid(transformer_tokenize(model, "a", 1, NULL, tokens, -1, &count));
    invalid(transformer_tokenize(model, "a", 1, NULL, tokens, 2, NULL));
    invalid(transformer_detokenize(model, NULL, 1, NULL, bytes, 4, &count));
    invalid(transformer_detokenize(model, &token, -1, NULL, bytes, 4, &count));
    invalid(transformer_detokenize(model, &token, 1, NULL, NULL, 4, &count));
    invalid(transformer_detokenize(model, &token, 1, NULL, bytes, 4, NULL));
    invalid(transformer_token_text(model, 0, NULL, 4, &count));
    invalid(transformer_token_text(model, 0, bytes, 4, NULL));
    invalid(transformer_token_text(model, -1, bytes, 4, &count));
    invalid(transformer_token_text(model, 380, bytes, 4, &count)); /* n_vocab */
    invalid(transformer_special_token(model, TRANSFORMER_TOKEN_END, NULL));
    invalid(transformer_special_token(model, 0, &chosen));
    invalid(transformer_special_token(model, 9, &chosen));
    invalid(transformer_text_stream_create(model, NULL, NULL));
    invalid(transformer_text_stream_push(stream, 0, NULL, &count));
    invalid(transformer_text_stream_push(stream, 0, &text, NULL));
    invalid(transformer_text_stream_push(stream, -1, &text, &count));
    invalid(transformer_text_stream_finish(stream, NULL, &count));
    invalid(transformer_text_stream_finish(stream, &text, NULL));
    invalid(transformer_context_create(model, NULL, NULL));
    invalid(transformer_sampler_create(model, NULL, NULL));
    invalid(transformer_sampler_clone(sampler, NULL));
    invalid(transformer_sampler_sample(sampler, sequence, NULL, NULL));
    invalid(transformer_sequence_create(context, NULL, NULL));
    invalid(transformer_sequence_fork(sequence, NULL, NULL));
    invalid(transformer_sequence_append(sequence, NULL, 1, NULL));
    invalid(transformer_sequence_append(sequence, &token, -1, NULL));
    invalid(transformer_sequence_tokens(sequence, NULL, 0, NULL, NULL));
    invalid(transformer_sequence_tokens(sequence, NULL, 1, &count, NULL));
    invalid(transformer_sequence_tokens(sequence, tokens, -1, &count, NULL));
    invalid(transformer_sequence_logits(sequence, -1, NULL, &count));
    invalid(transformer_sequence_logits(sequence, -1, &row, NULL));
    invalid(transformer_sequence_embedding(sequence, -1, NULL, &count));
    invalid(transformer_sequence_embedding(sequence, -1, &row, NULL));
    ck_assert_int_eq(count, -5);
    ck_assert_int_eq(chosen, -7);
    ck_assert_int_eq(tokens[0], -8);
    ck_assert_str_eq(bytes, "\x7F\x7F\x7F");
    ck_assert_ptr_null(row);
    ck_assert_ptr_null(text);
    ck_assert_int_eq(fixture_length(sequence, NULL), 3);
    transformer_text_stream_destroy(stream);
    tear_down();
}
END_TEST

START_TEST(failures_leave_outputs_alone) {
    set_up();
    int64_t count = -5, computed = -6;
    int32_t tokens[2] = {-8, -8};
    char bytes[4] = "\x7F\x7F\x7F";
    /* Too small: the needed count is written, nothing else. */
    expect(TRANSFORMER_BUFFER_TOO_SMALL,
           transformer_sequence_tokens(sequence, tokens, 2, &count, &computed));
    ck_assert_int_eq(count, 3);
    ck_assert_int_eq(computed, -6);
    expect(TRANSFORMER_BUFFER_TOO_SMALL,
           transformer_tokenize(model, "a b c d", 7, NULL, tokens, 2, &count));
    ck_assert_int_gt(count, 2);
    ck_assert_int_eq(tokens[0], -8);
    ck_assert_int_eq(tokens[1], -8);
    int32_t all[16];
    ok(transformer_tokenize(model, "a b c d e f g", 13, NULL, all, 16, &count));
    int64_t n_tokens = count;
    expect(TRANSFORMER_BUFFER_TOO_SMALL,
           transformer_detokenize(model, all, n_tokens, NULL, bytes, 4, &count));
    ck_assert_int_ge(count, 13);
    ck_assert_str_eq(bytes, "\x7F\x7F\x7F");
    expect(TRANSFORMER_BUFFER_TOO_SMALL,
           transformer_model_metadata(model, "general.architecture", bytes, 4, &count));
    ck_assert_int_eq(count, 5);
    ck_assert_str_eq(bytes, "\x7F\x7F\x7F");
    /* A token that isn't one, at the end: nothing is queued, the message gives its index. */
    int32_t wrong[3] = {1, 2, 380};
    invalid(transformer_sequence_append(sequence, wrong, 3, NULL));
    ck_assert_ptr_nonnull(strstr(transformer_last_error(), "[2]"));
    wrong[2] = -1;
    invalid(transformer_sequence_append(sequence, wrong, 3, NULL));
    count = -5;
    invalid(transformer_detokenize(model, wrong, 3, NULL, bytes, 4, &count));
    ck_assert_int_eq(count, -5);
    ck_assert_int_eq(fixture_length(sequence, NULL), 3);
    tear_down();
}
END_TEST

START_TEST(last_error) {
    ck_assert_str_eq(transformer_last_error(), "");
    set_up();
    ck_assert_str_eq(transformer_last_error(), "");
    invalid(transformer_sequence_truncate(NULL, 0));
    char message[256];
    snprintf(message, sizeof message, "%s", transformer_last_error());
    ck_assert_str_ne(message, "");
    ck_assert_ptr_null(strchr(message, '\n'));
    fixture_length(sequence, NULL); /* a success leaves it */
    ck_assert_str_eq(transformer_last_error(), message);
    ck_assert_str_eq(transformer_status_name(TRANSFORMER_BUFFER_TOO_SMALL), "BUFFER_TOO_SMALL");
    ck_assert_str_eq(transformer_status_name(-1), "UNKNOWN");
    ck_assert_str_eq(transformer_status_name(TRANSFORMER_INTERNAL + 1), "UNKNOWN");
    tear_down();
}
END_TEST

FIXTURE_MAIN("options", 120, CASE(options_structs), CASE(output_structs), CASE(modes),
             CASE(reserved_and_unknown_values), CASE(context_options_out_of_range),
             CASE(model_options_out_of_range), CASE(null_handles), CASE(null_arguments),
             CASE(failures_leave_outputs_alone), CASE(last_error))
