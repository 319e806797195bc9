#define _GNU_SOURCE
#include "api_fixture.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

void *fixture_take(size_t size) {
    static struct kept { struct kept *next; } * _Atomic all;
    struct kept *fresh = calloc(1, sizeof *fresh + 48 + size);
    ck_assert_ptr_nonnull(fresh);
    fresh->next = atomic_load(&all);
    while (!atomic_compare_exchange_weak(&all, &fresh->next, fresh)) {
    }
    return (char *)fresh + 48;
}

double fixture_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void fixture_sleep(double seconds) {
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

const char *fixture_path(const char *name) {
    char *path = fixture_take(4096);
    snprintf(path, 4096, "%s/tests/goldens/data/%s.gguf", SOURCE_ROOT, name);
    return path;
}

const char *fixture_real_path(const char *name) {
    const char *folder = getenv("TEST_MODELS");
    if (!folder || !*folder) return NULL;
    char *path = fixture_take(4096);
    snprintf(path, 4096, "%s/%s.gguf", folder, name);
    return access(path, R_OK) == 0 ? path : NULL;
}

bool fixture_is_brief(void) {
    return getenv("TEST_BRIEF") != NULL;
}

int64_t fixture_share(void) {
    const char *share = getenv("TEST_SHARE");
    int64_t n = share ? atoi(share) : 1;
    return n > 1 ? n : 1;
}

void *fixture_read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s can't be opened", path);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    void *bytes = fixture_take(*size);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

transformer_model *fixture_open_path(const char *path) {
    const char *device = getenv("TEST_DEVICE");
    transformer_model_options options = {
        .struct_size = sizeof options, .path = path, .device = device ? atoi(device) : 0};
    transformer_model *model = NULL;
    ok(transformer_model_open(&options, &model));
    ck_assert_ptr_nonnull(model);
    return model;
}

transformer_model *fixture_open(const char *name) {
    return fixture_open_path(fixture_path(name));
}

int64_t fixture_n_vocab(const transformer_model *model) {
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    return details.n_vocab;
}

transformer_context *fixture_context(transformer_model *model,
                                     const transformer_context_options *options) {
    transformer_context_options all = {.n_threads = 1};
    transformer_context *context = NULL;
    if (options) all = *options;
    /* Tests compute the same tokens again and again to compare: reuse is for those that ask. */
    if (!all.prefix_cache) all.prefix_cache = TRANSFORMER_OFF;
    all.struct_size = sizeof all;
    ok(transformer_context_create(model, &all, &context));
    ck_assert_ptr_nonnull(context);
    return context;
}

transformer_sequence *fixture_sequence(transformer_context *context) {
    transformer_sequence *sequence = NULL;
    ok(transformer_sequence_create(context, NULL, &sequence));
    ck_assert_ptr_nonnull(sequence);
    return sequence;
}

transformer_sampler *fixture_sampler(transformer_model *model,
                                     transformer_sampler_options options) {
    transformer_sampler *sampler = NULL;
    options.struct_size = sizeof options;
    ok(transformer_sampler_create(model, &options, &sampler));
    ck_assert_ptr_nonnull(sampler);
    return sampler;
}

void fixture_end_all(transformer_model *model, transformer_context *context,
                     transformer_sequence *const *sequences, size_t n) {
    for (size_t i = 0; i < n; i++) transformer_sequence_destroy(sequences[i]);
    transformer_context_destroy(context);
    transformer_model_close(model);
}

int32_t *fixture_tokens(const transformer_model *model, uint64_t seed, int64_t n) {
    uint64_t n_vocab = (uint64_t)fixture_n_vocab(model), state = seed * 2 + 1;
    int32_t *tokens = fixture_take((size_t)n * sizeof *tokens);
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        tokens[i] = (int32_t)((state >> 33) % n_vocab);
    }
    return tokens;
}

void fixture_append(transformer_sequence *sequence, const int32_t *tokens, int64_t n,
                    uint32_t logits) {
    transformer_append_options options = {.struct_size = sizeof options, .logits = logits};
    ok(transformer_sequence_append(sequence, tokens, n, &options));
}

transformer_sequence *fixture_prompt(transformer_context *context, const transformer_model *model,
                                     uint64_t seed, int64_t n, uint32_t logits) {
    transformer_sequence *sequence = fixture_sequence(context);
    fixture_append(sequence, fixture_tokens(model, seed, n), n, logits);
    return sequence;
}

transformer_decode_result fixture_step(transformer_context *context, int64_t max_rows) {
    transformer_decode_options options = {.struct_size = sizeof options, .max_tokens = max_rows};
    transformer_decode_result result = {.struct_size = sizeof result};
    ok(transformer_decode(context, &options, &result));
    return result;
}

void fixture_decode(transformer_context *context) {
    while (fixture_step(context, 0).n_pending > 0) {
    }
}

int64_t fixture_length(transformer_sequence *sequence, int64_t *n_computed) {
    int64_t count = -1;
    ok(transformer_sequence_tokens(sequence, NULL, 0, &count, n_computed));
    return count;
}

int64_t fixture_computed(transformer_sequence *sequence) {
    int64_t n = -1;
    fixture_length(sequence, &n);
    return n;
}

transformer_context_statistics fixture_stats(transformer_context *context) {
    transformer_context_statistics statistics = {.struct_size = sizeof statistics};
    ok(transformer_context_stats(context, &statistics));
    return statistics;
}

float *fixture_logits(transformer_sequence *sequence, int64_t position) {
    const float *row = NULL;
    int64_t count = 0;
    ok(transformer_sequence_logits(sequence, position, &row, &count));
    float *copy = fixture_take((size_t)count * sizeof *copy);
    memcpy(copy, row, (size_t)count * sizeof *copy);
    return copy;
}

void fixture_same(const float *a, const float *b, int64_t n, const char *what) {
    if (memcmp(a, b, (size_t)n * sizeof *a) == 0) return;
    int64_t i = 0;
    while (memcmp(&a[i], &b[i], sizeof *a) == 0) i++;
    ck_abort_msg("%s: value %lld of %lld is %.9g, not %.9g", what, (long long)i, (long long)n,
                 (double)a[i], (double)b[i]);
}

static void *counting_allocate(void *user, uint64_t size, uint64_t alignment) {
    struct counting *counting = user;
    void *block = NULL;
    if (posix_memalign(&block, (size_t)alignment, (size_t)size) != 0) return NULL;
    memset(block, 0xA5, (size_t)size); /* nothing may rely on zeros */
    uint64_t bytes = atomic_fetch_add(&counting->bytes, size) + size;
    uint64_t peak = atomic_load(&counting->peak);
    while (bytes > peak && !atomic_compare_exchange_weak(&counting->peak, &peak, bytes)) {
    }
    atomic_fetch_add(&counting->n_calls, 1);
    atomic_fetch_add(&counting->n_live, 1);
    return block;
}

static void counting_release(void *user, void *pointer, uint64_t size) {
    struct counting *counting = user;
    atomic_fetch_sub(&counting->bytes, size);
    atomic_fetch_sub(&counting->n_live, 1);
    free(pointer);
}

void counting_init(struct counting *counting) {
    *counting = (struct counting){.allocator = {.allocate = counting_allocate,
                                                .release = counting_release,
                                                .user = counting}};
}

int fixture_main(const char *suite_name, int seconds, const struct fixture_case *cases, size_t n) {
    Suite *suite = suite_create(suite_name);
    for (size_t i = 0; i < n; i++) {
        TCase *tests = tcase_create(cases[i].name);
        tcase_set_timeout(tests, seconds);
        tcase_add_loop_test(tests, cases[i].test, 0, cases[i].n_loops);
        suite_add_tcase(suite, tests);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
