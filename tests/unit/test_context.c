/* Who may be inside a context, for how long handles live, and cancelling. */
#define _GNU_SOURCE
#include "api_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

static const int32_t *noise(const transformer_model *model) {
    return fixture_tokens(model, 9, 2000);
}

/* Tokens of a step that is long enough to meet another thread in, a second or so. */
#if defined(ADDRESS_SANITIZER) || defined(THREAD_SANITIZER)
enum { LONG = 300 };
#else
enum { LONG = 1500 };
#endif

/* ---- lifetimes ---- */

START_TEST(destroyed_in_any_order) {
    struct counting counting;
    counting_init(&counting);
    transformer_model_options options = {.struct_size = sizeof options,
                                         .path = fixture_path("small/llama-gqa"),
                                         .allocator = &counting.allocator};
    /* Every order of model, context, sampler, sequence with it, fork, stream. */
    for (int order = 0; order < 720; order += 7) {
        transformer_model *model = NULL;
        ok(transformer_model_open(&options, &model));
        transformer_context_options small = {
            .max_sequence_tokens = 64, .kv_tokens = 256, .n_threads = 1, .max_step_tokens = 8};
        transformer_context *context = fixture_context(model, &small);
        transformer_sampler *sampler =
            fixture_sampler(model, (transformer_sampler_options){.temperature = 1});
        transformer_sequence_options with = {.struct_size = sizeof with, .sampler = sampler};
        transformer_sequence *sequence = NULL, *fork = NULL;
        ok(transformer_sequence_create(context, &with, &sequence));
        fixture_append(sequence, noise(model), 5, TRANSFORMER_LOGITS_LAST);
        fixture_step(context, 0);
        ok(transformer_sequence_fork(sequence, NULL, &fork));
        transformer_text_stream *stream = NULL;
        ok(transformer_text_stream_create(model, NULL, &stream));
        bool gone[6] = {false}, without_context = false;
        for (int left = 6, code = order; left > 0; code /= left, left--) {
            int which = -1;
            for (int skip = code % left; skip >= 0; skip--) do
                    which++;
                while (gone[which]);
            gone[which] = true;
            switch (which) {
            case 0:
                transformer_model_close(model);
                break;
            case 1:
                transformer_context_destroy(context);
                without_context = true;
                break;
            case 2:
                transformer_sampler_destroy(sampler);
                break;
            case 3:
                transformer_sequence_destroy(sequence);
                break;
            case 4:
                transformer_sequence_destroy(fork);
                break;
            default:
                transformer_text_stream_destroy(stream);
                break;
            }
            int64_t count;
            transformer_status expected = without_context ? TRANSFORMER_STATE : TRANSFORMER_OK;
            if (!gone[3])
                expect(expected, transformer_sequence_tokens(sequence, NULL, 0, &count, NULL));
            if (!gone[4])
                expect(expected, transformer_sequence_tokens(fork, NULL, 0, &count, NULL));
            if (!gone[3] && !without_context) {
                /* The sampler is kept alive by the sequence. */
                ck_assert_int_eq(fixture_step(context, 0).n_sampled, 1);
            }
            const char *text;
            if (!gone[5]) ok(transformer_text_stream_push(stream, 3, &text, &count));
        }
        ck_assert_int_eq(counting.n_live, 0);
        ck_assert_uint_eq(counting.bytes, 0);
    }
}
END_TEST

START_TEST(sequence_without_context) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = fixture_context(model, NULL);
    transformer_sampler *sampler = fixture_sampler(model, (transformer_sampler_options){0});
    transformer_sequence *a = fixture_prompt(context, model, 1, 5, TRANSFORMER_LOGITS_LAST), *b;
    fixture_decode(context);
    transformer_context_destroy(context);
    int32_t token;
    int64_t count;
    const float *row;
#define state(call) expect(TRANSFORMER_STATE, call)
    state(transformer_sequence_append(a, noise(model), 1, NULL));
    state(transformer_sequence_fork(a, NULL, &b));
    state(transformer_sequence_truncate(a, 0));
    state(transformer_sequence_tokens(a, NULL, 0, &count, NULL));
    state(transformer_sequence_logits(a, -1, &row, &count));
    state(transformer_sequence_embedding(a, -1, &row, &count));
    state(transformer_sampler_sample(sampler, a, NULL, &token));
    transformer_sequence_destroy(a);
    transformer_sampler_destroy(sampler);
    transformer_model_close(model);
}
END_TEST

START_TEST(counted_models) {
    transformer_model *model = fixture_open("small/llama-gqa");
    ck_assert_ptr_eq(transformer_model_retain(model), model);
    transformer_model_close(model);
    ck_assert_int_eq(fixture_n_vocab(model), 380);
    transformer_model_close(model);
}
END_TEST

START_TEST(of_another_model) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_model *other = fixture_open("small/llama-gqa");
    transformer_context *context = fixture_context(model, NULL);
    transformer_sampler *sampler = fixture_sampler(other, (transformer_sampler_options){0});
    transformer_sequence_options with = {.struct_size = sizeof with, .sampler = sampler};
    transformer_fork_options fork = {.struct_size = sizeof fork, .sampler = sampler};
    transformer_sequence *a = fixture_prompt(context, model, 1, 5, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *b = NULL;
    fixture_decode(context);
    int32_t token = -1;
    invalid(transformer_sampler_sample(sampler, a, NULL, &token));
    invalid(transformer_sequence_create(context, &with, &b));
    invalid(transformer_sequence_fork(a, &fork, &b));
    ck_assert_int_eq(token, -1);
    ck_assert_ptr_null(b);
    transformer_sampler_destroy(sampler);
    fixture_end(model, context, a);
    transformer_model_close(other);
}
END_TEST

/* ---- a decode that takes long: what other threads may do meanwhile ---- */

struct decoding {
    transformer_context *context;
    _Atomic int state; /* 0: not yet, 1: inside, 2: done */
    transformer_status status;
    transformer_decode_result result;
    double began, ended;
};

static void *decode_thread(void *argument) {
    struct decoding *decoding = argument;
    decoding->result.struct_size = sizeof decoding->result;
    decoding->began = fixture_seconds();
    atomic_store(&decoding->state, 1);
    /* The call that looks whether this one is inside may be there first. */
    do {
        decoding->status = transformer_decode(decoding->context, NULL, &decoding->result);
    } while (decoding->status == TRANSFORMER_BUSY);
    decoding->ended = fixture_seconds();
    atomic_store(&decoding->state, 2);
    return NULL;
}

/* 62 layers. */
static transformer_context *long_context(transformer_model **model, int32_t n_threads) {
    *model = fixture_open("small/gemma3-62-layers");
    transformer_context_options options = {.max_step_tokens = LONG,
                                           .max_sequence_tokens = 2000,
                                           .n_threads = n_threads,
                                           .kv_type = TRANSFORMER_KV_F32,
                                           .max_sequences = 3,
                                           .kv_tokens = 4096};
    return fixture_context(*model, &options);
}

/* Waits until another thread's call is met: the stats say BUSY. */
static void wait_until_busy(struct decoding *decoding) {
    transformer_context_statistics statistics = {.struct_size = sizeof statistics};
    while (atomic_load(&decoding->state) == 0) fixture_sleep(0.001);
    while (transformer_context_stats(decoding->context, &statistics) != TRANSFORMER_BUSY)
        ck_assert_int_ne(atomic_load(&decoding->state), 2);
}

START_TEST(busy_while_decoding) {
    transformer_model *model;
    transformer_context *context = long_context(&model, 1 + _i);
    transformer_sampler *sampler = fixture_sampler(model, (transformer_sampler_options){0});
    transformer_sequence *a = fixture_prompt(context, model, 1, LONG, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *b = fixture_sequence(context);
    struct decoding decoding = {.context = context};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, decode_thread, &decoding), 0);
    wait_until_busy(&decoding);
    transformer_sequence *c = NULL;
    transformer_context_statistics statistics = {.struct_size = sizeof statistics};
    int64_t count = -1;
    const float *row = NULL;
    int32_t token = -1;
    transformer_generate_options generate = {
        .struct_size = sizeof generate, .tokens = noise(model), .n_tokens = 1, .max_tokens = 1};
#define busy(call) expect(TRANSFORMER_BUSY, call)
    busy(transformer_sequence_append(b, noise(model), 1, NULL));
    busy(transformer_sequence_fork(a, NULL, &c));
    busy(transformer_sequence_truncate(a, 0));
    busy(transformer_sequence_tokens(a, NULL, 0, &count, NULL));
    busy(transformer_sequence_logits(a, -1, &row, &count));
    busy(transformer_sequence_embedding(a, -1, &row, &count));
    busy(transformer_sampler_sample(sampler, a, NULL, &token));
    busy(transformer_sequence_create(context, NULL, &c));
    busy(transformer_context_stats(context, &statistics));
    busy(transformer_decode(context, NULL, NULL));
    busy(transformer_generate(context, &generate, NULL, NULL, NULL));
    /* The model's calls go on. */
    ck_assert_int_eq(fixture_n_vocab(model), 263);
    ck_assert_int_ne(atomic_load(&decoding.state), 2);
    pthread_join(thread, NULL);
    ck_assert_int_eq(decoding.status, TRANSFORMER_OK);
    ck_assert_int_eq(decoding.result.n_rows, LONG);
    ck_assert_int_eq(fixture_length(b, NULL), 0);
    ck_assert_ptr_null(c);
    transformer_sampler_destroy(sampler);
    fixture_end(model, context, a, b);
}
END_TEST

/* Takes effect when the step is over; it doesn't wait for that, and the step isn't disturbed. */
START_TEST(destroyed_while_decoding) {
    struct counting counting;
    counting_init(&counting);
    transformer_model *model = fixture_open("small/gemma3-62-layers");
    transformer_context_options options = {.max_step_tokens = LONG,
                                           .max_sequence_tokens = 2000,
                                           .n_threads = 1 + _i,
                                           .allocator = &counting.allocator};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *a = fixture_prompt(context, model, 1, LONG, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *b = fixture_prompt(context, model, 2, 5, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *c = fixture_sequence(context);
    struct decoding decoding = {.context = context};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, decode_thread, &decoding), 0);
    wait_until_busy(&decoding);
    int64_t live = counting.n_live;
    fixture_end(model, context, a, c);
    ck_assert_int_ne(atomic_load(&decoding.state), 2);
    ck_assert_int_eq(counting.n_live, live);
    pthread_join(thread, NULL);
    ck_assert_int_eq(decoding.status, TRANSFORMER_OK);
    ck_assert_int_eq(decoding.result.n_rows, LONG);
    /* All is given back but what the last handle points to. */
    ck_assert_int_lt(counting.n_live, 8);
    int64_t count;
    expect(TRANSFORMER_STATE, transformer_sequence_tokens(b, NULL, 0, &count, NULL));
    transformer_sequence_destroy(b);
    ck_assert_int_eq(counting.n_live, 0);
}
END_TEST

/* ---- cancelling ---- */

/* Tokens are pending again, nothing else has changed, and the bits are those of a run that wasn't
 * disturbed. */
static void check_cancelled(transformer_context *context, const transformer_model *model,
                            transformer_sequence *sequence, int64_t n_computed) {
    int64_t computed = -1, n = fixture_length(sequence, &computed);
    ck_assert_int_eq(computed, n_computed);
    fixture_decode(context);
    float *row = fixture_logits(sequence, -1);
    transformer_sequence *again = fixture_prompt(context, model, 1, n, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    fixture_same(row, fixture_logits(again, -1), fixture_n_vocab(model), "after cancelling");
    transformer_sequence_destroy(again);
}

START_TEST(cancelled_before) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {.kv_tokens = 640, .max_step_tokens = 30};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *a = fixture_prompt(context, model, 1, 100, TRANSFORMER_LOGITS_LAST);
    fixture_step(context, 0);
    transformer_context_cancel(context);
    transformer_context_cancel(context);
    transformer_decode_result result;
    memset(&result, 0x11, sizeof result);
    result.struct_size = sizeof result;
    expect(TRANSFORMER_CANCELLED, transformer_decode(context, NULL, &result));
    ck_assert_int_eq(result.n_rows, 0x1111111111111111); /* untouched */
    ck_assert_uint_eq(fixture_stats(context).steps, 1);
    check_cancelled(context, model, a, 30); /* cleared: one cancel, one CANCELLED */
    transformer_context_cancel(context);
    transformer_generate_options generate = {
        .struct_size = sizeof generate, .tokens = noise(model), .n_tokens = 9, .max_tokens = 1};
    expect(TRANSFORMER_CANCELLED, transformer_generate(context, &generate, NULL, NULL, NULL));
    ok(transformer_generate(context, &generate, NULL, NULL, NULL));
    ck_assert_int_eq(fixture_stats(context).n_sequences, 1);
    fixture_end(model, context, a);
}
END_TEST

static transformer_context *to_cancel;
static volatile sig_atomic_t n_signals;

static void on_alarm(int signal) {
    (void)signal;
    n_signals = n_signals + 1;
    transformer_context_cancel(to_cancel);
}

static double decode_and_measure(transformer_context *context, transformer_status expected) {
    double began = fixture_seconds();
    expect(expected, transformer_decode(context, NULL, NULL));
    return fixture_seconds() - began;
}

/* By a signal handler, a tenth into the step. */
START_TEST(cancelled_by_signal) {
    transformer_model *model;
    transformer_context *context = to_cancel = long_context(&model, 1 + _i);
    transformer_sequence *a = fixture_prompt(context, model, 1, LONG, TRANSFORMER_LOGITS_LAST);
    double whole = decode_and_measure(context, TRANSFORMER_OK);
    ok(transformer_sequence_truncate(a, 0));
    fixture_append(a, fixture_tokens(model, 1, LONG), LONG, TRANSFORMER_LOGITS_LAST);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    double after = whole / 10;
    struct itimerval timer = {
        .it_value = {.tv_sec = (time_t)after,
                     .tv_usec = (suseconds_t)((after - (double)(time_t)after) * 1e6)}};
    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
    double cancelled = decode_and_measure(context, TRANSFORMER_CANCELLED);
    ck_assert_int_eq(n_signals, 1);
    ck_assert_msg(cancelled < 0.7 * whole, "cancelled after %g s of %g s", cancelled, whole);
    signal(SIGALRM, SIG_DFL);
    check_cancelled(context, model, a, 0);
    fixture_end(model, context, a);
}
END_TEST

START_TEST(cancelled_by_thread) {
    transformer_model *model;
    transformer_context *context = long_context(&model, 1 + _i);
    transformer_sequence *a =
        fixture_prompt(context, model, 1, LONG + 300, TRANSFORMER_LOGITS_LAST);
    struct decoding decoding = {.context = context};
    pthread_t thread;
    double whole = decode_and_measure(context, TRANSFORMER_OK);
    ck_assert_msg(whole > 0.01, "the step is too short to be cancelled: %g s", whole);
    ok(transformer_sequence_truncate(a, 0));
    fixture_append(a, fixture_tokens(model, 1, LONG + 300), LONG + 300, TRANSFORMER_LOGITS_LAST);
    ok(transformer_decode(context, &(transformer_decode_options){16, 100}, NULL));
    ck_assert_int_eq(pthread_create(&thread, NULL, decode_thread, &decoding), 0);
    wait_until_busy(&decoding);
    double asked = fixture_seconds();
    transformer_context_cancel(context);
    pthread_join(thread, NULL);
    ck_assert_int_eq(decoding.status, TRANSFORMER_CANCELLED);
    ck_assert_msg(decoding.ended - asked < 0.7 * whole, "cancelled after %g s of %g s",
                  decoding.ended - asked, whole);
    check_cancelled(context, model, a, 100);
    fixture_end(model, context, a);
}
END_TEST

/* From the host's executor: inside the step for sure. Other sequences lose nothing either. */
struct half {
    void (*task)(void *argument, int32_t index);
    void *argument;
};

static void *second_half(void *argument) {
    struct half *half = argument;
    half->task(half->argument, 1);
    return NULL;
}

static void cancel_and_run(void *user, int32_t n, void (*task)(void *, int32_t), void *argument) {
    transformer_context **context = user;
    transformer_context_statistics statistics = {.struct_size = sizeof statistics};
    if (*context) {
        expect(TRANSFORMER_BUSY, transformer_context_stats(*context, &statistics));
        transformer_context_cancel(*context);
        *context = NULL;
    }
    struct half half = {task, argument};
    pthread_t thread;
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, second_half, &half), 0);
    task(argument, 0);
    pthread_join(thread, NULL);
}

START_TEST(cancelled_inside) {
    transformer_model *model = fixture_open("small/gemma3-mqa");
    transformer_context *victim = NULL;
    transformer_executor executor = {.run = cancel_and_run, .user = &victim, .n_concurrent = 2};
    transformer_context_options options = {.executor = &executor, .kv_tokens = 1024};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *a = fixture_prompt(context, model, 1, 100, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *b = NULL;
    fixture_decode(context);
    ok(transformer_sequence_fork(a, NULL, &b));
    int64_t pages = fixture_stats(context).kv_pages_free;
    const int32_t *tokens = fixture_tokens(model, 1, 250);
    fixture_append(a, tokens + 100, 150, TRANSFORMER_LOGITS_LAST);
    victim = context;
    transformer_status status = transformer_decode(context, NULL, NULL);
    ck_assert_int_eq(status, TRANSFORMER_CANCELLED);
    int64_t computed;
    ck_assert_int_eq(fixture_length(a, &computed), 250);
    ck_assert_int_eq(computed, 100);
    /* The pages that were copied for the write stay its own. */
    ck_assert_int_ge(fixture_stats(context).kv_pages_free, pages - 2);
    check_cancelled(context, model, a, 100);
    fixture_append(b, tokens + 100, 50, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    transformer_sequence *c = fixture_prompt(context, model, 1, 150, TRANSFORMER_LOGITS_LAST);
    float *row = fixture_logits(b, -1);
    fixture_decode(context);
    fixture_same(row, fixture_logits(c, -1), fixture_n_vocab(model), "a bystander");
    fixture_end(model, context, a, b, c);
}
END_TEST

FIXTURE_MAIN("context", 300, CASE(destroyed_in_any_order), CASE(sequence_without_context),
             CASE(counted_models), CASE(of_another_model), LOOP(busy_while_decoding, 2),
             LOOP(destroyed_while_decoding, 2), CASE(cancelled_before),
             LOOP(cancelled_by_signal, 2), LOOP(cancelled_by_thread, 2), CASE(cancelled_inside))
