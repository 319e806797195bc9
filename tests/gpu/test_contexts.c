/* Contexts on a GPU when it refuses, fails or is shared: on the emulator's driver, with the kernels
 * themselves. */
#define _GNU_SOURCE /* setenv */
#include <pthread.h>

#include "cuda/driver.h"
#include "cuda/image.h"
#include "device_fixture.h"
#include "tests/fault/faults.h"

enum { PROMPT = 9, STEPS = 4, MAX_TOKENS = 64 };

static const transformer_context_options small_options = {
    .struct_size = sizeof small_options,
    .max_sequence_tokens = MAX_TOKENS,
    .kv_tokens = 4 * MAX_TOKENS,
    .max_sequences = 2,
    .max_step_tokens = 16,
};

/* A prompt, a fork of it, and a few greedy tokens of both: pages are copied, single tokens
 * replayed. Fills tokens [PROMPT + STEPS]. */
static status write_some(transformer_context *context, int32_t *tokens) {
    transformer_sequence *sequence = NULL, *fork = NULL;
    transformer_sampler *sampler = NULL;
    transformer_decode_result result = {.struct_size = sizeof result};
    status done;
    for (int i = 0; i < PROMPT; i++) tokens[i] = 3 * i + 1;
    do {
        if ((done = transformer_sequence_create(context, NULL, &sequence)) != OK) break;
        if ((done = transformer_sampler_create(context->model, NULL, &sampler)) != OK) break;
        if ((done = transformer_sequence_append(sequence, tokens, PROMPT, NULL)) != OK) break;
        if ((done = transformer_decode(context, NULL, &result)) != OK) break;
        if ((done = transformer_sequence_fork(sequence, NULL, &fork)) != OK) break;
        for (int i = 0; i < STEPS && done == OK; i++) {
            transformer_sample_options append = {.struct_size = sizeof append,
                                                 .append = TRANSFORMER_ON};
            int32_t token = 0, other = 0;
            done = transformer_sampler_sample(sampler, sequence, &append, &token);
            if (done == OK) done = transformer_sampler_sample(sampler, fork, &append, &other);
            if (done != OK) break;
            ck_assert_int_eq(token, other); /* the same tokens, the same bits */
            tokens[PROMPT + i] = token;
            done = transformer_decode(context, NULL, &result);
        }
    } while (0);
    transformer_sequence_destroy(sequence);
    transformer_sequence_destroy(fork);
    transformer_sampler_destroy(sampler);
    return done;
}

static status run_once(transformer_model *model, int32_t *tokens) {
    transformer_context *context = NULL;
    TRY(transformer_context_create(model, &small_options, &context));
    status done = write_some(context, tokens);
    transformer_context_destroy(context);
    return done;
}

/* ---- estimates ---- */

START_TEST(estimated) {
    static const char *const names[] = {"small/llama-gqa", "small/gemma3-mqa",
                                        "small/gemma3-62-layers", "quantized/llama-q4_k",
                                        "families/qwen2moe"};
    static const transformer_context_options options[] = {
        {.struct_size = sizeof *options},
        {.struct_size = sizeof *options, .kv_type = TRANSFORMER_KV_Q8_0, .kv_tokens = 100000},
        {.struct_size = sizeof *options, .max_step_tokens = 2048, .max_logit_rows = 64},
    };
    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
        transformer_model_options file = {
            .struct_size = sizeof file, .path = model_path(names[_i]), .device = 1};
        transformer_memory_estimate estimate = {.struct_size = sizeof estimate};
        transformer_context_statistics stats = {.struct_size = sizeof stats};
        transformer_model *model = NULL;
        transformer_context *context = NULL;
        expect(OK, transformer_model_estimate(&file, &options[o], &estimate));
        all_given_back("an estimate");
        expect(OK, transformer_model_open(&file, &model));
        expect(OK, transformer_context_create(model, &options[o], &context));
        expect(OK, transformer_context_stats(context, &stats));
        ck_assert_uint_eq(stats.host_bytes, estimate.context_host_bytes);
        double ratio = (double)estimate.device_bytes / (double)live_bytes();
        double units = 8.0 * (2 << 20) / (double)live_bytes(); /* the driver's blocks */
        ck_assert_msg(ratio > 0.95 && ratio < 1.05 + units, "%s: %llu bytes estimated, %zu taken",
                      names[_i], (unsigned long long)estimate.device_bytes, live_bytes());
        ck_assert_uint_gt(estimate.context_kv_bytes, 0);
        transformer_context_destroy(context);
        transformer_model_close(model);
        all_given_back("a context");
    }
}
END_TEST
enum { N_ESTIMATED = 5 };

/* ---- refusals and faults ---- */

static const struct {
    const char *kind;
    unsigned result;
    status code;
    const char *says;
} faults[] = {
    {"alloc", 2, OUT_OF_MEMORY, "asked for"},
    {"host_alloc", 2, OUT_OF_MEMORY, "asked for"},
    {"launch", 719, DEVICE, "was lost"},
    {"launch", 700, DEVICE, "was lost"},
    {"copy", 719, DEVICE, "was lost"},
    {"sync", 719, DEVICE, "was lost"},
    {"launch", 2, OUT_OF_MEMORY, "out of memory"},
};
enum { N_FAULTS = sizeof faults / sizeof *faults };

/* The n-th call of a kind fails, in whatever it is for, until none does. */
START_TEST(nth_call_fails) {
    int32_t tokens[PROMPT + STEPS];
    for (int n = 1;; n += n < 20 ? 1 : n / 4) {
        char fault[64];
        transformer_model *model = NULL;
        snprintf(fault, sizeof fault, "%s:%d:%u", faults[_i].kind, n, faults[_i].result);
        setenv("EMULATED_FAIL", fault, 1);
        status done = open_on(1, SMALL, &model);
        if (done == OK) done = run_once(model, tokens);
        transformer_model_close(model);
        all_given_back(fault);
        if (done == OK) {
            ck_assert_int_gt(n, 1);
            return;
        }
        expect(faults[_i].code, done);
        says(faults[_i].says);
        ck_assert_int_lt(n, 100000);
    }
}
END_TEST

/* Refused memory is no loss: the same context goes on, and what was refused can be had later. */
START_TEST(refused_and_asked_again) {
    int32_t tokens[PROMPT + STEPS], again[PROMPT + STEPS];
    transformer_model *model = NULL;
    transformer_context *first = NULL, *second = NULL;
    char fault[32];
    setenv("EMULATED_LEAKS", "0", 1);
    for (int n = 1;;
         n++) { /* the first that is not the model's, the next not the first context's */
        snprintf(fault, sizeof fault, "alloc:%d:2", n);
        setenv("EMULATED_FAIL", fault, 1);
        if (open_on(1, SMALL, &model) != OK) continue;
        status created = transformer_context_create(model, &small_options, &first);
        if (created == OK) {
            status other = transformer_context_create(model, &small_options, &second);
            if (other != OK) {
                expect(OUT_OF_MEMORY, other);
                break;
            }
        }
        transformer_context_destroy(first);
        transformer_context_destroy(second);
        transformer_model_close(model);
        ck_assert_int_lt(n, 1000);
    }
    expect(OK, write_some(first, tokens));
    expect(OK, transformer_context_create(model, &small_options, &second));
    expect(OK, write_some(second, again));
    ck_assert_mem_eq(tokens, again, sizeof tokens);
    transformer_context_destroy(first);
    transformer_context_destroy(second);
    transformer_model_close(model);
    all_given_back("two contexts");
}
END_TEST

/* The device is gone from the n-th call on: DEVICE, and with the same reason ever after. */
START_TEST(lost_at_any_call) {
    int32_t tokens[PROMPT + STEPS];
    for (int n = 0;; n += 1 + n / 16) {
        char calls[16];
        transformer_model *model = NULL;
        transformer_context *context = NULL;
        snprintf(calls, sizeof calls, "%d", n);
        setenv("EMULATED_LOST", calls, 1);
        status done = open_on(1, SMALL, &model);
        if (done == OK) done = transformer_context_create(model, &small_options, &context);
        if (done == OK) done = write_some(context, tokens);
        if (done != OK) {
            expect(DEVICE, done);
            says("GPU 0 was lost: CUDA");
        }
        if (done != OK && context) {
            expect(DEVICE, write_some(context, tokens));
            says("GPU 0 was lost: CUDA");
        }
        if (done != OK && model) {
            transformer_context *other = NULL;
            expect(DEVICE, transformer_context_create(model, &small_options, &other));
            says("GPU 0 was lost: CUDA");
        }
        transformer_context_destroy(context);
        transformer_model_close(model);
        all_given_back("a lost device");
        if (n % 64 == 0) cpu_goes_on();
        if (done == OK) break;
        ck_assert_int_lt(n, 1000000);
    }
}
END_TEST

/* Work that is done only when it is waited for gives the same tokens. */
START_TEST(lazily) {
    int32_t tokens[PROMPT + STEPS], lazy[PROMPT + STEPS];
    transformer_model *model = NULL;
    expect(OK, open_on(1, SMALL, &model));
    expect(OK, run_once(model, tokens));
    transformer_model_close(model);
    setenv("EMULATED_LAZY", "1", 1);
    expect(OK, open_on(1, SMALL, &model));
    expect(OK, run_once(model, lazy));
    transformer_model_close(model);
    ck_assert_mem_eq(tokens, lazy, sizeof tokens);
    all_given_back("both");
}
END_TEST

/* Where a launch cannot begin before the one ahead has ended, because the code has no wait or the
 * driver no such graphs: nothing asks for it, and the tokens are the same. */
START_TEST(without_dependent_launches) {
    static const struct {
        const char *capability, *driver;
    } machines[] = {{"9.0", "13000"}, {"10.0", "13000"}, {"12.0", "13000"}, {"9.0", "12020"}};
    int32_t tokens[PROMPT + STEPS], other[PROMPT + STEPS];
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        transformer_model *model = NULL;
        if (image_least_driver() > atoi(machines[i].driver)) continue;
        setenv("EMULATED_CAPABILITY", machines[i].capability, 1);
        setenv("EMULATED_DRIVER", machines[i].driver, 1);
        expect(OK, open_on(1, SMALL, &model));
        expect(OK, run_once(model, i ? other : tokens));
        if (i) ck_assert_mem_eq(tokens, other, sizeof tokens);
        transformer_model_close(model);
        all_given_back(machines[i].capability);
    }
}
END_TEST

static int32_t stop(void *user, const char *text, uint64_t length) {
    (void)text, (void)length;
    transformer_context_cancel(user);
    return 0;
}

START_TEST(cancelled) {
    transformer_model *model = NULL;
    transformer_context *context = NULL;
    int32_t tokens[PROMPT + STEPS], again[PROMPT + STEPS];
    transformer_generate_options text = {
        .struct_size = sizeof text, .prompt = "the river", .max_tokens = 8};
    expect(OK, open_on(1, SMALL, &model));
    expect(OK, transformer_context_create(model, &small_options, &context));
    expect(OK, write_some(context, tokens));
    expect(CANCELLED, transformer_generate(context, &text, stop, context, NULL));
    expect(OK, write_some(context, again));
    ck_assert_mem_eq(tokens, again, sizeof tokens);
    transformer_context_destroy(context);
    transformer_model_close(model);
    all_given_back("a cancelled step");
}
END_TEST

/* ---- the process's ---- */

START_TEST(fifty_rounds) {
    int32_t first[PROMPT + STEPS], tokens[PROMPT + STEPS];
    size_t bytes = 0, idle;
    transformer_model *model = NULL;
    expect(OK, open_on(1, SMALL, &model));
    idle = live_bytes();
    for (int round = 0; round < 50; round++) {
        transformer_context *a = NULL, *b = NULL;
        expect(OK, transformer_context_create(model, &small_options, &a));
        expect(OK, transformer_context_create(model, &small_options, &b));
        if (round == 0) bytes = live_bytes();
        ck_assert_uint_eq(live_bytes(), bytes);
        if (round % 10 == 0) expect(OK, write_some(b, round ? tokens : first));
        if (round && round % 10 == 0) ck_assert_mem_eq(tokens, first, sizeof first);
        transformer_context_destroy(round % 2 ? a : b);
        transformer_context_destroy(round % 2 ? b : a);
        ck_assert_uint_eq(live_bytes(), idle);
    }
    transformer_model_close(model);
    all_given_back("all rounds");
}
END_TEST

/* A host with CUDA of its own: its context stays current through every call. */
START_TEST(callers_context_stays) {
    struct driver driver;
    driver_context own = NULL, current = NULL;
    driver_device first;
    transformer_model *model = NULL;
    int32_t tokens[PROMPT + STEPS];
    expect(OK, driver_open(&driver));
    ck_assert_uint_eq(driver.device_get(&first, 0), 0);
    ck_assert_uint_eq(driver.primary_context_retain(&own, first), 0);
    if (_i % 2) ck_assert_uint_eq(driver.context_push(own), 0);
    if (_i / 2) setenv("EMULATED_LOST", "200", 1);
    status done = open_on(1, SMALL, &model);
    if (done == OK) done = run_once(model, tokens);
    expect(_i / 2 ? DEVICE : OK, done);
    transformer_model_close(model);
    ck_assert_uint_eq(driver.context_get_current(&current), 0);
    ck_assert_ptr_eq(current, _i % 2 ? own : NULL);
    if (_i % 2) driver.context_pop(&current);
    driver.context_get_current(&current);
    ck_assert_ptr_null(current);
    ck_assert_uint_eq(driver.primary_context_release(first), 0);
    ck_assert_uint_ne(driver.context_push(own), 0); /* nobody holds it */
}
END_TEST

/* While the host captures a stream of its own in another thread, in the mode that forbids all
 * threads what a capture can't have, a whole life of a model goes on, and the thread's mode is what
 * it was. */
struct capturer {
    struct driver driver;
    driver_context context;
    pthread_barrier_t began, over;
    driver_result ended;
};

static void *capture_meanwhile(void *argument) {
    struct capturer *host = argument;
    driver_stream stream = NULL;
    driver_graph graph = NULL;
    host->driver.context_push(host->context);
    host->driver.stream_create(&stream, DRIVER_STREAM_NON_BLOCKING);
    host->ended = host->driver.stream_begin_capture(stream, DRIVER_CAPTURE_GLOBAL);
    pthread_barrier_wait(&host->began);
    pthread_barrier_wait(&host->over);
    if (host->ended == DRIVER_SUCCESS)
        host->ended = host->driver.stream_end_capture(stream, &graph);
    if (graph) host->driver.graph_destroy(graph);
    host->driver.stream_destroy(stream);
    host->driver.context_pop(&host->context);
    return NULL;
}

START_TEST(while_the_host_captures) {
    struct capturer host = {.ended = DRIVER_SUCCESS};
    driver_device first;
    driver_address block = 0;
    pthread_t thread;
    transformer_model *model = NULL;
    int32_t tokens[PROMPT + STEPS];
    expect(OK, driver_open(&host.driver));
    ck_assert_uint_eq(host.driver.device_get(&first, 0), 0);
    ck_assert_uint_eq(host.driver.primary_context_retain(&host.context, first), 0);
    pthread_barrier_init(&host.began, NULL, 2);
    pthread_barrier_init(&host.over, NULL, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, capture_meanwhile, &host), 0);
    pthread_barrier_wait(&host.began);
    expect(OK, open_on(1, SMALL, &model));
    expect(OK, run_once(model, tokens));
    transformer_model_close(model);
    ck_assert_uint_eq(host.driver.context_push(host.context), DRIVER_SUCCESS);
    ck_assert_uint_eq(host.driver.mem_alloc(&block, 1), DRIVER_STREAM_CAPTURE_UNSUPPORTED);
    host.driver.context_pop(&host.context);
    pthread_barrier_wait(&host.over);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(host.ended, DRIVER_SUCCESS);
    ck_assert_uint_eq(host.driver.primary_context_release(first), 0);
    pthread_barrier_destroy(&host.began);
    pthread_barrier_destroy(&host.over);
    all_given_back("a capture of the host's");
}
END_TEST

struct runner {
    transformer_model *model;
    status done;
    int32_t tokens[PROMPT + STEPS];
};

static void *run_thread(void *argument) {
    struct runner *runner = argument;
    runner->done = run_once(runner->model, runner->tokens);
    return NULL;
}

/* Contexts of one model in several threads: none waits for another's capture, none disturbs it. */
START_TEST(in_parallel) {
    enum { N = 3 };
    struct runner runners[N];
    pthread_t threads[N];
    transformer_model *model = NULL;
    expect(OK, open_on(1, SMALL, &model));
    for (int i = 0; i < N; i++) {
        runners[i] = (struct runner){.model = model};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_thread, &runners[i]), 0);
    }
    for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(runners[i].done, OK);
        ck_assert_mem_eq(runners[i].tokens, runners[0].tokens, sizeof runners[0].tokens);
    }
    transformer_model_close(model);
    all_given_back("threads");
}
END_TEST

static Suite *contexts(void) {
    Suite *suite = suite_create("contexts");
    TCase *all = tcase_create("contexts");
    tcase_set_timeout(all, 600);
    tcase_add_loop_test(all, estimated, 0, N_ESTIMATED);
    tcase_add_loop_test(all, nth_call_fails, 0, N_FAULTS);
    tcase_add_test(all, refused_and_asked_again);
    tcase_add_test(all, lost_at_any_call);
    tcase_add_test(all, lazily);
    tcase_add_test(all, without_dependent_launches);
    tcase_add_test(all, cancelled);
    tcase_add_test(all, fifty_rounds);
    tcase_add_loop_test(all, callers_context_stays, 0, 4);
    tcase_add_test(all, while_the_host_captures);
    tcase_add_test(all, in_parallel);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return fixture_main(contexts(), true);
}
