/* Every allocation, read and thread start fails in turn: once, and from there on. Each time there
 * is a clean status, nothing leaks, and the same call works afterwards. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

#define MODEL SOURCE_ROOT "/tests/goldens/data/small/llama-gqa.gguf"
#define MODEL_ENCODER SOURCE_ROOT "/tests/goldens/data/encoders/bert-sentence"
#define MODEL_ENCODER_DECODER SOURCE_ROOT "/tests/goldens/data/encoder_decoders/m2m_100"
#define MODEL_FOLDER SOURCE_ROOT "/tests/goldens/data/hf/llama-tiny-heads"
#define MODEL_QUANTIZED SOURCE_ROOT "/tests/goldens/data/hf_quantized/gptq-order"
#define MODEL_WITH_EXPERTS SOURCE_ROOT "/tests/goldens/data/hf/llama-moe"
#define MODEL_WITH_PARTS SOURCE_ROOT "/tests/goldens/data/hf/gpt-oss" /* of experts' tensors */
#define MODEL_WITH_LATENTS SOURCE_ROOT "/tests/goldens/data/hf/deepseek_v3-experts"
#define MODEL_WITH_TEXT SOURCE_ROOT "/tests/goldens/data/folder"
#define MODEL_WITH_WINDOW SOURCE_ROOT "/tests/goldens/data/small/gemma3-mqa.gguf"

/* Stops a loop that no failure ends. */
enum { MOST_CALLS = 100000 };

/* ---- thread starts ---- */

static struct fault thread_fault;
static pthread_mutex_t thread_fault_lock = PTHREAD_MUTEX_INITIALIZER;

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*entry)(void *), void *argument) {
    pthread_mutex_lock(&thread_fault_lock);
    bool strikes = fault_strikes(&thread_fault);
    pthread_mutex_unlock(&thread_fault_lock);
    return strikes ? EAGAIN : __real_pthread_create(thread, attributes, entry, argument);
}

/* ---- what is tried ---- */

struct world {
    struct faulty_memory memory;
    transformer_allocator allocator;
    transformer_model *model;
    transformer_context *context;
    transformer_sequence *sequence;
    transformer_sampler *sampler;
};

static transformer_status open_model(struct world *world, const char *path) {
    transformer_model_options options = {
        .struct_size = sizeof options, .path = path, .allocator = &world->allocator};
    return transformer_model_open(&options, &world->model);
}

static transformer_status create_context(struct world *world) {
    transformer_context_options options = {.struct_size = sizeof options,
                                           .preemption = TRANSFORMER_ON,
                                           .max_sequence_tokens = 64,
                                           .max_step_tokens = 16,
                                           .n_threads = 2};
    return transformer_context_create(world->model, &options, &world->context);
}

static void close_all(struct world *world) {
    transformer_sampler_destroy(world->sampler);
    transformer_sequence_destroy(world->sequence);
    transformer_context_destroy(world->context);
    transformer_model_close(world->model);
    world->sampler = NULL;
    world->sequence = NULL;
    world->context = NULL;
    world->model = NULL;
}

static transformer_status try_open(struct world *world) {
    transformer_status status = open_model(world, MODEL);
    if (status == TRANSFORMER_OK) transformer_model_close(world->model);
    world->model = NULL;
    return status;
}

static transformer_status try_open_window(struct world *world) {
    transformer_status status = open_model(world, MODEL_WITH_WINDOW);
    if (status == TRANSFORMER_OK) transformer_model_close(world->model);
    world->model = NULL;
    return status;
}

static transformer_status try_open_folder(struct world *world) {
    transformer_status status = open_model(world, MODEL_FOLDER);
    if (status == TRANSFORMER_OK) transformer_model_close(world->model);
    world->model = NULL;
    return status;
}

static transformer_status try_open_encoder(struct world *world) {
    transformer_context_options options = {
        .struct_size = sizeof options, .max_sequence_tokens = 64, .n_threads = 1};
    transformer_status status = open_model(world, MODEL_ENCODER);
    if (status == TRANSFORMER_OK)
        status = transformer_context_create(world->model, &options, &world->context);
    transformer_context_destroy(world->context);
    transformer_model_close(world->model);
    world->context = NULL;
    world->model = NULL;
    return status;
}

/* tokenizer.json is read, and a pair of texts tokenized. */
static transformer_status try_open_text_folder(struct world *world) {
    static const char text[] = "the river 123 \xf0\x9f\xa6\x8a <|im_end|>";
    transformer_tokenize_options options = {.struct_size = sizeof options,
                                            .parse_special = TRANSFORMER_ON,
                                            .second = text,
                                            .second_length = 9};
    int32_t tokens[128], types[128];
    int64_t count;
    transformer_status status = open_model(world, MODEL_WITH_TEXT);
    if (status != TRANSFORMER_OK) return status;
    options.types = types;
    status =
        transformer_tokenize(world->model, text, sizeof text - 1, &options, tokens, 128, &count);
    transformer_model_close(world->model);
    world->model = NULL;
    return status;
}

/* A folder whose positions are computed; a source, forks that share it, and a step of both. */
static transformer_status try_encoder_decoder(struct world *world) {
    static const int32_t tokens[] = {3, 1, 4, 1, 5};
    transformer_sequence *fork = NULL;
    transformer_status status = open_model(world, MODEL_ENCODER_DECODER);
    if (status == TRANSFORMER_OK) status = create_context(world);
    if (status == TRANSFORMER_OK)
        status = transformer_sequence_create(world->context, NULL, &world->sequence);
    if (status == TRANSFORMER_OK)
        status = transformer_sequence_set_source(world->sequence, tokens, 5, NULL);
    if (status == TRANSFORMER_OK)
        status = transformer_sequence_append(world->sequence, tokens, 1, NULL);
    if (status == TRANSFORMER_OK) status = transformer_sequence_fork(world->sequence, NULL, &fork);
    if (status == TRANSFORMER_OK) status = transformer_decode(world->context, NULL, NULL);
    transformer_sequence_destroy(fork);
    close_all(world);
    return status;
}

static transformer_status try_open_experts(struct world *world) {
    transformer_status status = open_model(world, MODEL_WITH_EXPERTS);
    if (status == TRANSFORMER_OK) transformer_model_close(world->model);
    world->model = NULL;
    return status;
}

static transformer_status try_open_parts(struct world *world) {
    transformer_status status = open_model(world, MODEL_WITH_PARTS);
    if (status == TRANSFORMER_OK) transformer_model_close(world->model);
    world->model = NULL;
    return status;
}

/* Weights of codes with scales that are quantized once more. */
static transformer_status try_open_quantized(struct world *world) {
    transformer_model_options options = {.struct_size = sizeof options,
                                         .path = MODEL_QUANTIZED,
                                         .load_mode = TRANSFORMER_LOAD_READ,
                                         .weight_type = TRANSFORMER_WEIGHTS_Q8_0,
                                         .allocator = &world->allocator};
    transformer_status status = transformer_model_open(&options, &world->model);
    if (status == TRANSFORMER_OK) transformer_model_close(world->model);
    world->model = NULL;
    return status;
}

static transformer_status try_open_latents(struct world *world) {
    transformer_status status = open_model(world, MODEL_WITH_LATENTS);
    if (status == TRANSFORMER_OK) transformer_model_close(world->model);
    world->model = NULL;
    return status;
}

#define ADAPTED_MODEL SOURCE_ROOT "/tests/goldens/data/hf/llama-rope-llama3"
#define ADAPTER SOURCE_ROOT "/tests/goldens/data/adapters/llama-all"

/* Opened and attached. */
static transformer_status try_adapter(struct world *world) {
    const transformer_adapter_options file = {.struct_size = sizeof file, .path = ADAPTER};
    transformer_sequence_options options = {.struct_size = sizeof options};
    transformer_status status = open_model(world, ADAPTED_MODEL);
    if (status == TRANSFORMER_OK)
        status = transformer_adapter_open(world->model, &file, &options.adapter);
    if (status == TRANSFORMER_OK) status = create_context(world);
    if (status == TRANSFORMER_OK)
        status = transformer_sequence_create(world->context, &options, &world->sequence);
    transformer_adapter_close(options.adapter);
    close_all(world);
    return status;
}

static int32_t count_bytes(void *user, const void *bytes, uint64_t n) {
    *(uint64_t *)user += n;
    return bytes == NULL;
}

static transformer_status try_convert(struct world *world) {
    uint64_t n_bytes = 0;
    const transformer_model_options model = {.struct_size = sizeof model,
                                             .path = MODEL_FOLDER,
                                             .weight_type = TRANSFORMER_WEIGHTS_F16,
                                             .allocator = &world->allocator};
    const transformer_convert_options options = {.struct_size = sizeof options,
                                                 .model = &model,
                                                 .write = count_bytes,
                                                 .write_user = &n_bytes};
    return transformer_model_convert(&options);
}

static transformer_status try_create_context(struct world *world) {
    struct world other = {.model = world->model};
    transformer_status status = create_context(&other);
    transformer_context_destroy(other.context);
    return status;
}

static transformer_status try_create_sequence(struct world *world) {
    transformer_sequence *sequence;
    transformer_status status = transformer_sequence_create(world->context, NULL, &sequence);
    if (status == TRANSFORMER_OK) transformer_sequence_destroy(sequence);
    return status;
}

/* A sequence that looks up, a host's proposals to it, and its fork. */
static transformer_status try_speculate(struct world *world) {
    static const int32_t tokens[] = {3, 1, 4, 1, 5};
    transformer_sequence_options options = {.struct_size = sizeof options, .lookup_tokens = 4};
    transformer_fork_options forking = {.struct_size = sizeof forking};
    transformer_sequence *sequence = NULL, *fork = NULL;
    transformer_sampler *sampler = NULL;
    transformer_status status = transformer_sampler_create(world->model, NULL, &sampler);
    options.sampler = forking.sampler = sampler;
    if (status == TRANSFORMER_OK)
        status = transformer_sequence_create(world->context, &options, &sequence);
    if (status == TRANSFORMER_OK) status = transformer_sequence_append(sequence, tokens, 5, NULL);
    if (status == TRANSFORMER_OK) status = transformer_sequence_propose(sequence, tokens, 5);
    if (status == TRANSFORMER_OK) status = transformer_sequence_fork(sequence, &forking, &fork);
    if (status == TRANSFORMER_OK) status = transformer_decode(world->context, NULL, NULL);
    transformer_sequence_destroy(sequence);
    transformer_sequence_destroy(fork);
    transformer_sampler_destroy(sampler);
    return status;
}

static transformer_status try_fork(struct world *world) {
    transformer_sequence *fork;
    transformer_status status = transformer_sequence_fork(world->sequence, NULL, &fork);
    if (status == TRANSFORMER_OK) transformer_sequence_destroy(fork);
    return status;
}

static transformer_status try_append_and_decode(struct world *world) {
    static const int32_t tokens[] = {3, 1, 4, 1, 5};
    transformer_status status = transformer_sequence_append(world->sequence, tokens, 5, NULL);
    if (status == TRANSFORMER_OK) status = transformer_decode(world->context, NULL, NULL);
    if (status == TRANSFORMER_OK) status = transformer_sequence_truncate(world->sequence, 0);
    return status;
}

static transformer_status try_tokenize(struct world *world) {
    static const char text[] = "The quick brown fox, 1234 times \xf0\x9f\xa6\x8a <|im_end|>";
    transformer_tokenize_options options = {.struct_size = sizeof options,
                                            .parse_special = TRANSFORMER_ON};
    int32_t tokens[256];
    int64_t count;
    return transformer_tokenize(world->model, text, (int64_t)strlen(text), &options, tokens, 256,
                                &count);
}

static transformer_status try_sampler(struct world *world) {
    transformer_logit_bias bias = {.token = 1, .bias = 2.0f};
    transformer_sampler_options options = {.struct_size = sizeof options,
                                           .temperature = 0.7f,
                                           .top_k = 5,
                                           .logit_bias = &bias,
                                           .n_logit_bias = 1};
    transformer_sampler *sampler = NULL, *clone = NULL;
    transformer_status status = transformer_sampler_create(world->model, &options, &sampler);
    if (status == TRANSFORMER_OK) status = transformer_sampler_clone(sampler, &clone);
    transformer_sampler_destroy(sampler);
    transformer_sampler_destroy(clone);
    return status;
}

static transformer_status try_text_stream(struct world *world) {
    transformer_text_stream *stream = NULL;
    transformer_status status = transformer_text_stream_create(world->model, NULL, &stream);
    transformer_text_stream_destroy(stream);
    return status;
}

static transformer_status try_stop_strings(struct world *world) {
    static const char *const stop[] = {"stop", "st", "\n\n"};
    transformer_text_stream_options options = {
        .struct_size = sizeof options, .stop = stop, .n_stop = 3};
    transformer_text_stream *stream = NULL;
    transformer_status status = transformer_text_stream_create(world->model, &options, &stream);
    transformer_text_stream_destroy(stream);
    return status;
}

static transformer_status try_chat(struct world *world) {
    transformer_chat_message messages[] = {{"system", "be brief"}, {"user", "hello"}};
    transformer_chat_options options = {
        .struct_size = sizeof options,
        .messages = messages,
        .n_messages = 2,
        .tools_json = "[{\"name\":\"f\",\"n\":[1,2.5,null]}]",
        .template_text = "{% macro m(x) %}<{{ x|upper }}>{% endmacro %}{% for m in messages %}"
                         "{{ loop.index }}{{ m.role ~ ':' ~ m.content }}{% endfor %}"
                         "{% set ns = namespace(a=[]) %}{% for i in range(40) %}"
                         "{% set ns.a = ns.a + [i * 'xy'] %}{% endfor %}{{ ns.a|join }}"
                         "{{ tools|tojson(indent=2) }}{{ m('b') }}"};
    char buffer[8192];
    int64_t length;
    return transformer_chat_format(world->model, &options, buffer, sizeof buffer, &length);
}

static int32_t on_text(void *user, const char *text, uint64_t length) {
    (void)user;
    (void)text;
    (void)length;
    return 0;
}

static transformer_status try_generate(struct world *world) {
    transformer_generate_options options = {
        .struct_size = sizeof options, .prompt = "Once upon a time", .max_tokens = 3};
    return transformer_generate(world->context, &options, on_text, NULL, NULL);
}

/* ---- snapshots ---- */

struct snapshot {
    uint8_t bytes[1 << 16];
    uint64_t size, at;
};

static int32_t snapshot_write(void *user, const void *bytes, uint64_t n) {
    struct snapshot *to = user;
    if (n > sizeof to->bytes - to->size) return 1;
    memcpy(to->bytes + to->size, bytes, n);
    to->size += n;
    return 0;
}

static int64_t snapshot_read(void *user, void *buffer, uint64_t n) {
    struct snapshot *from = user;
    if (n > from->size - from->at) n = from->size - from->at;
    memcpy(buffer, from->bytes + from->at, n);
    from->at += n;
    return (int64_t)n;
}

static transformer_status restore_snapshot(struct world *world, struct snapshot *snapshot,
                                           bool through_reader) {
    transformer_restore_options options = {.struct_size = sizeof options};
    transformer_sequence *restored = NULL;
    snapshot->at = 0;
    if (through_reader) {
        options.read = snapshot_read;
        options.read_user = snapshot;
    } else {
        options.data = snapshot->bytes;
        options.data_size = snapshot->size;
    }
    transformer_status status = transformer_sequence_restore(world->context, &options, &restored);
    if (status == TRANSFORMER_OK) transformer_sequence_destroy(restored);
    return status;
}

static transformer_status save_snapshot(struct world *world, int64_t n_source,
                                        struct snapshot *snapshot) {
    static const int32_t tokens[] = {3, 1, 4, 1, 5};
    const transformer_save_options options = {
        .struct_size = sizeof options, .write = snapshot_write, .write_user = snapshot};
    transformer_sequence *sequence = NULL;
    uint64_t size;
    snapshot->size = 0;
    transformer_status status = transformer_sequence_create(world->context, NULL, &sequence);
    if (status == TRANSFORMER_OK && n_source)
        status = transformer_sequence_set_source(sequence, tokens, n_source, NULL);
    if (status == TRANSFORMER_OK) status = transformer_sequence_append(sequence, tokens, 5, NULL);
    if (status == TRANSFORMER_OK) status = transformer_decode(world->context, NULL, NULL);
    if (status == TRANSFORMER_OK) status = transformer_sequence_save(sequence, &options, &size);
    transformer_sequence_destroy(sequence);
    return status;
}

/* Saved, and restored from memory and through a reader. */
static transformer_status save_and_restore(struct world *world, int64_t n_source) {
    static struct snapshot snapshot;
    transformer_status status = save_snapshot(world, n_source, &snapshot);
    if (status == TRANSFORMER_OK) status = restore_snapshot(world, &snapshot, false);
    if (status == TRANSFORMER_OK) status = restore_snapshot(world, &snapshot, true);
    return status;
}

static transformer_status try_snapshot(struct world *world) {
    return save_and_restore(world, 0);
}

static transformer_status try_snapshot_of_source(struct world *world) {
    transformer_status status = open_model(world, MODEL_ENCODER_DECODER);
    if (status == TRANSFORMER_OK) status = create_context(world);
    if (status == TRANSFORMER_OK) status = save_and_restore(world, 4);
    close_all(world);
    return status;
}

static transformer_status try_generate_with_draft(struct world *world) {
    static const char *const stop[] = {"stop"};
    transformer_context_options small = {.struct_size = sizeof small,
                                         .max_sequence_tokens = 64,
                                         .n_threads = 1,
                                         .allocator = &world->allocator};
    transformer_generate_options options = {.struct_size = sizeof options,
                                            .prompt = "Once upon a time",
                                            .max_tokens = 5,
                                            .stop = stop,
                                            .n_stop = 1,
                                            .lookup_tokens = 3};
    transformer_status status = transformer_context_create(world->model, &small, &options.draft);
    if (status == TRANSFORMER_OK)
        status = transformer_generate(world->context, &options, on_text, NULL, NULL);
    transformer_context_destroy(options.draft);
    return status;
}

/* Of a fresh model: its vocabulary's trie is made too. */
static transformer_status try_first_grammar(struct world *world) {
    transformer_grammar_options options = {.struct_size = sizeof options, .regex = "a|bc*"};
    transformer_grammar *grammar = NULL;
    transformer_status status = open_model(world, MODEL);
    if (!status) status = transformer_grammar_create(world->model, &options, &grammar);
    transformer_grammar_destroy(grammar);
    transformer_model_close(world->model);
    world->model = NULL;
    return status;
}

static transformer_status try_constrain(struct world *world) {
    transformer_grammar_options options = {
        .struct_size = sizeof options,
        .json_schema = "{\"properties\":{\"a\":{\"type\":\"integer\"}},\"type\":\"object\"}"};
    transformer_sequence *sequence = NULL, *fork = NULL;
    transformer_grammar *grammar = NULL;
    transformer_status status = transformer_grammar_create(world->model, &options, &grammar);
    if (!status) status = transformer_sequence_create(world->context, NULL, &sequence);
    if (!status) status = transformer_sequence_constrain(sequence, grammar, NULL);
    if (!status) status = transformer_sequence_fork(sequence, NULL, &fork);
    transformer_sequence_destroy(sequence);
    transformer_sequence_destroy(fork);
    transformer_grammar_destroy(grammar);
    return status;
}

static transformer_status try_schema_in_rule(struct world *world) {
    transformer_grammar_options options = {
        .struct_size = sizeof options,
        .ebnf = "root ::= \"<\" %json {\"type\":[\"integer\",\"array\"]} \">\" | more\n"
                "more ::= %json {\"properties\":{\"a\":{\"maxLength\":2}}}"};
    transformer_grammar *grammar = NULL;
    transformer_status status = transformer_grammar_create(world->model, &options, &grammar);
    transformer_grammar_destroy(grammar);
    return status;
}

/* ---- the loop ---- */

/* Fails call n = 1, 2, … of `fault` during `attempt` until it passes untouched; then `again` must
 * work too. */
static void fail_each(struct world *world, struct fault *fault,
                      transformer_status (*attempt)(struct world *), bool from_there,
                      bool must_strike) {
    int64_t n = 1;
    for (; n < MOST_CALLS; n++) {
        int64_t live = world->memory.live;
        fault_arm(fault, n, from_there);
        transformer_status status = attempt(world);
        bool struck = fault->struck;
        fault_disarm(fault);
        ck_assert_int_eq(world->memory.live, live);
        if (!struck) {
            ck_assert_int_eq(status, TRANSFORMER_OK);
            break;
        }
        ck_assert_msg(status == TRANSFORMER_OUT_OF_MEMORY, "failure %d gave %s: %s", (int)n,
                      transformer_status_name(status), transformer_last_error());
        ck_assert_uint_gt(strlen(transformer_last_error()), 0);
        ck_assert_int_eq(attempt(world), TRANSFORMER_OK);
        ck_assert_int_eq(world->memory.live, live);
    }
    ck_assert_int_lt(n, MOST_CALLS);
    if (must_strike) ck_assert_int_gt(n, 1);
}

static const struct {
    const char *name;
    transformer_status (*attempt)(struct world *);
    bool allocates;
} attempts[] = {
    {"context_create", try_create_context, true},
    {"sequence_create", try_create_sequence, true},
    {"speculate", try_speculate, true},
    {"fork", try_fork, true},
    {"append and decode", try_append_and_decode, false},
    {"snapshot", try_snapshot, true},
    {"tokenize", try_tokenize, true},
    {"chat", try_chat, true},
    {"sampler", try_sampler, true},
    {"text_stream", try_text_stream, true},
    {"stop_strings", try_stop_strings, true},
    {"generate", try_generate, true},
    {"generate with a draft", try_generate_with_draft, true},
    {"grammar and constraint", try_constrain, true},
    {"a schema in a rule", try_schema_in_rule, true},
};

static void begin(struct world *world) {
    memset(world, 0, sizeof *world);
    world->allocator = faulty_memory_allocator(&world->memory);
    ck_assert_int_eq(open_model(world, MODEL), TRANSFORMER_OK);
    ck_assert_int_eq(create_context(world), TRANSFORMER_OK);
    ck_assert_int_eq(transformer_sequence_create(world->context, NULL, &world->sequence),
                     TRANSFORMER_OK);
    /* What a model and a context keep from then on. */
    ck_assert_int_eq(try_constrain(world), TRANSFORMER_OK);
}

START_TEST(each_allocation_of_a_call) {
    struct world world;
    begin(&world);
    fail_each(&world, &world.memory.fault, attempts[_i / 2].attempt, _i % 2,
              attempts[_i / 2].allocates);
    close_all(&world);
    ck_assert_int_eq(world.memory.live, 0);
}
END_TEST

static transformer_status convert_text(struct world *world) {
    uint64_t n_bytes = 0;
    const transformer_model_options model = {.struct_size = sizeof model,
                                             .path = SOURCE_ROOT "/tests/goldens/data/folder",
                                             .allocator = &world->allocator};
    const transformer_convert_options options = {.struct_size = sizeof options,
                                                 .model = &model,
                                                 .write = count_bytes,
                                                 .write_user = &n_bytes};
    return transformer_model_convert(&options);
}

/* A tokenizer is compared with another one over thousands of texts: each of the first allocations,
 * then fewer and fewer of them. */
START_TEST(allocations_of_a_tokenizer_that_is_written) {
    struct world world = {0};
    world.allocator = faulty_memory_allocator(&world.memory);
    bool struck = true;
    for (int64_t n = 1; struck; n += 1 + n / 8) {
        fault_arm(&world.memory.fault, n, _i);
        transformer_status status = convert_text(&world);
        struck = world.memory.fault.struck;
        fault_disarm(&world.memory.fault);
        ck_assert_int_eq(world.memory.live, 0);
        ck_assert_msg(status == (struck ? TRANSFORMER_OUT_OF_MEMORY : TRANSFORMER_OK),
                      "failure %d gave %s: %s", (int)n, transformer_status_name(status),
                      transformer_last_error());
        ck_assert(struck || n > 100);
    }
}
END_TEST

enum { N_OPENS = 14 };

START_TEST(each_allocation_of_open) {
    struct world world = {0};
    world.allocator = faulty_memory_allocator(&world.memory);
    transformer_status (*const opens[N_OPENS])(struct world *) = {try_open,
                                                                  try_open_window,
                                                                  try_open_folder,
                                                                  try_open_experts,
                                                                  try_open_parts,
                                                                  try_open_encoder,
                                                                  try_encoder_decoder,
                                                                  try_open_latents,
                                                                  try_open_quantized,
                                                                  try_convert,
                                                                  try_adapter,
                                                                  try_open_text_folder,
                                                                  try_snapshot_of_source,
                                                                  try_first_grammar};
    fail_each(&world, &world.memory.fault, opens[_i / 2], _i & 1, true);
}
END_TEST

START_TEST(each_allocation_of_a_context_with_experts) {
    static const char *const models[] = {MODEL_WITH_EXPERTS, MODEL_WITH_LATENTS};
    struct world world = {0};
    world.allocator = faulty_memory_allocator(&world.memory);
    ck_assert_int_eq(open_model(&world, models[_i / 2]), TRANSFORMER_OK);
    fail_each(&world, &world.memory.fault, try_create_context, _i & 1, true);
    ck_assert_int_eq(create_context(&world), TRANSFORMER_OK);
    ck_assert_int_eq(transformer_sequence_create(world.context, NULL, &world.sequence),
                     TRANSFORMER_OK);
    fail_each(&world, &world.memory.fault, try_append_and_decode, _i & 1, false);
    close_all(&world);
    ck_assert_int_eq(world.memory.live, 0);
}
END_TEST

START_TEST(each_thread_start) {
    struct world world;
    begin(&world);
    fail_each(&world, &thread_fault, try_create_context, _i, true);
    close_all(&world);
}
END_TEST

START_TEST(each_read) {
    struct faulty_file file = {.shorten = _i & 1};
    struct faulty_memory memory = {0};
    transformer_allocator allocator = faulty_memory_allocator(&memory);
    file.bytes = faults_read_file(MODEL, &file.size);
    transformer_reader reader = faulty_file_reader(&file);
    transformer_model_options options = {.struct_size = sizeof options,
                                         .path = "model.gguf",
                                         .reader = &reader,
                                         .allocator = &allocator};
    int64_t n = 1;
    for (; n < MOST_CALLS; n++) {
        transformer_model *model = NULL;
        fault_arm(&file.fault, n, _i & 2);
        transformer_status status = transformer_model_open(&options, &model);
        if (!file.fault.struck) {
            ck_assert_int_eq(status, TRANSFORMER_OK);
            transformer_model_close(model);
            break;
        }
        ck_assert_msg(status == TRANSFORMER_IO || status == TRANSFORMER_NOT_FOUND,
                      "read %d gave %s: %s", (int)n, transformer_status_name(status),
                      transformer_last_error());
        ck_assert_ptr_null(model);
        ck_assert_int_eq(memory.live, 0);
    }
    ck_assert_int_gt(n, 2);
    ck_assert_int_lt(n, MOST_CALLS);
    ck_assert_int_eq(memory.live, 0);
    free((void *)(uintptr_t)file.bytes);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fault");
    TCase *faults = tcase_create("faults");
    tcase_set_timeout(faults, 300);
    tcase_add_loop_test(faults, each_allocation_of_open, 0, 2 * N_OPENS);
    tcase_add_loop_test(faults, allocations_of_a_tokenizer_that_is_written, 0, 2);
    tcase_add_loop_test(faults, each_allocation_of_a_call, 0,
                        2 * (int)(sizeof attempts / sizeof *attempts));
    tcase_add_loop_test(faults, each_allocation_of_a_context_with_experts, 0, 4);
    tcase_add_loop_test(faults, each_thread_start, 0, 2);
    tcase_add_loop_test(faults, each_read, 0, 4);
    suite_add_tcase(suite, faults);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
