/* Contexts in parallel, the host's executor, and a process that forks. ThreadSanitizer looks at
 * this one too. */
#define _GNU_SOURCE
#include "api_fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROMPT = 90, N = 25 };

struct run {
    transformer_model *model;
    int32_t n_threads;
    uint64_t seed;
    float *rows[N];
    int32_t tokens[N];
};

/* A prompt and N greedy tokens, with everything that a thread of a host does. */
static void *run_all(void *argument) {
    struct run *run = argument;
    transformer_context_options options = {.struct_size = sizeof options,
                                           .n_threads = run->n_threads,
                                           .max_step_tokens = 40,
                                           .max_sequence_tokens = 128,
                                           .kv_tokens = 512};
    transformer_context *context = fixture_context(run->model, &options);
    transformer_sampler *sampler = fixture_sampler(run->model, (transformer_sampler_options){0});
    transformer_sequence *sequence =
        fixture_prompt(context, run->model, run->seed, PROMPT, TRANSFORMER_LOGITS_LAST);
    transformer_sequence *fork = NULL;
    transformer_sample_options append = {.struct_size = sizeof append, .append = TRANSFORMER_ON};
    for (int i = 0; i < N; i++) {
        fixture_decode(context);
        run->rows[i] = fixture_logits(sequence, -1);
        ok(transformer_sampler_sample(sampler, sequence, &append, &run->tokens[i]));
        if (i == N / 2) ok(transformer_sequence_fork(sequence, NULL, &fork));
    }
    transformer_sequence_destroy(fork);
    transformer_sequence_destroy(sequence);
    transformer_sampler_destroy(sampler);
    transformer_context_destroy(context);
    return NULL;
}

static void same_run(const struct run *a, const struct run *b, const char *what) {
    int64_t n_vocab = fixture_n_vocab(a->model);
    for (int i = 0; i < N; i++) fixture_same(a->rows[i], b->rows[i], n_vocab, what);
    ck_assert_mem_eq(a->tokens, b->tokens, sizeof a->tokens);
}

/* Contexts of one model, each in a thread of its own, in threads that other contexts have been in
 * before. */
START_TEST(contexts_in_parallel) {
    enum { N_RUNS = 3 };
    const char *const names[] = {"small/llama-gqa", "small/gemma3-mqa", "quantized/llama-q4_1"};
    transformer_model *model = fixture_open(names[_i / 2]);
    int32_t n_threads = 1 + _i % 2;
    struct run alone[N_RUNS], together[N_RUNS];
    pthread_t threads[N_RUNS];
    for (int i = 0; i < N_RUNS; i++) {
        alone[i] = (struct run){.model = model, .n_threads = n_threads, .seed = (uint64_t)i};
        together[i] = alone[i];
        run_all(&alone[i]);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N_RUNS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, run_all, &together[i]), 0);
        for (int i = 0; i < N_RUNS; i++) pthread_join(threads[i], NULL);
        for (int i = 0; i < N_RUNS; i++) same_run(&alone[i], &together[i], "in parallel");
    }
    transformer_model_close(model);
}
END_TEST

/* One context handed from thread to thread, created here and destroyed there. */
struct handed {
    transformer_context *context;
    transformer_sequence *sequence;
    int32_t token;
};

static void *one_step(void *argument) {
    struct handed *handed = argument;
    fixture_append(handed->sequence, &handed->token, 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(handed->context);
    return NULL;
}

static void *destroy_all(void *argument) {
    struct handed *handed = argument;
    transformer_context_destroy(handed->context);
    transformer_sequence_destroy(handed->sequence);
    return NULL;
}

START_TEST(handed_from_thread_to_thread) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {
        .n_threads = 3, .max_sequence_tokens = 256, .kv_tokens = 512};
    struct handed handed = {.context = fixture_context(model, &options)};
    handed.sequence = fixture_sequence(handed.context);
    pthread_t thread;
    for (int i = 0; i < 20; i++) {
        handed.token = i;
        pthread_create(&thread, NULL, one_step, &handed);
        pthread_join(thread, NULL);
    }
    transformer_sequence *again = fixture_sequence(handed.context);
    for (int i = 0; i < 20; i++) fixture_append(again, &i, 1, TRANSFORMER_LOGITS_LAST);
    float *row = fixture_logits(handed.sequence, -1);
    fixture_decode(handed.context);
    fixture_same(row, fixture_logits(again, -1), 380, "from thread to thread");
    transformer_sequence_destroy(again);
    pthread_create(&thread, NULL, destroy_all, &handed);
    pthread_join(thread, NULL);
    transformer_model_close(model);
}
END_TEST

/* Calls that collide: each is OK or BUSY, none is anything else, and what is counted adds up. */
struct collider {
    transformer_context *context;
    transformer_model *model;
    _Atomic int64_t *n_tokens;
    bool wrong;
};

static void *collide(void *argument) {
    struct collider *collider = argument;
    for (int i = 0; i < 200; i++) {
        transformer_sequence *sequence = NULL;
        transformer_context_statistics statistics = {.struct_size = sizeof statistics};
        int32_t token = i;
        transformer_status status = transformer_sequence_create(collider->context, NULL, &sequence);
        if (status == TRANSFORMER_OK) {
            status = transformer_sequence_append(sequence, &token, 1, NULL);
            if (status == TRANSFORMER_OK) atomic_fetch_add(collider->n_tokens, 1);
            if (status != TRANSFORMER_OK && status != TRANSFORMER_BUSY) collider->wrong = true;
        } else if (status != TRANSFORMER_BUSY) {
            collider->wrong = true;
        }
        status = transformer_decode(collider->context, NULL, NULL);
        if (status != TRANSFORMER_OK && status != TRANSFORMER_BUSY) collider->wrong = true;
        status = transformer_context_stats(collider->context, &statistics);
        if (status != TRANSFORMER_OK && status != TRANSFORMER_BUSY) collider->wrong = true;
        transformer_sequence_destroy(sequence);
    }
    return NULL;
}

START_TEST(calls_that_collide) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context_options options = {
        .n_threads = 2, .max_sequence_tokens = 64, .kv_tokens = 64 * 8};
    transformer_context *context = fixture_context(model, &options);
    _Atomic int64_t n_tokens = 0;
    struct collider colliders[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        colliders[i] = (struct collider){context, model, &n_tokens, false};
        pthread_create(&threads[i], NULL, collide, &colliders[i]);
    }
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++) ck_assert(!colliders[i].wrong);
    transformer_context_statistics statistics = fixture_stats(context);
    ck_assert_int_eq(statistics.n_sequences, 0);
    ck_assert_int_eq(statistics.kv_pages_free, statistics.kv_pages);
    ck_assert_int_le((int64_t)statistics.rows, n_tokens);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

/* ---- fork ---- */

#if !defined(THREAD_SANITIZER)
/* Decodes in the child with contexts of before, of every kind, and with a new one. */
static void in_child(transformer_context *const *contexts, transformer_sequence *const *sequences,
                     int n, transformer_model *model, const float *expected) {
    int32_t token = 3;
    for (int i = 0; i < n; i++) {
        const float *row;
        int64_t count;
        if (transformer_sequence_append(sequences[i], &token, 1, NULL) != TRANSFORMER_OK) _exit(2);
        if (transformer_decode(contexts[i], NULL, NULL) != TRANSFORMER_OK) _exit(3);
        if (transformer_sequence_logits(sequences[i], -1, &row, &count) != TRANSFORMER_OK) _exit(4);
        if (memcmp(row, expected, (size_t)count * sizeof *row) != 0) _exit(5);
    }
    transformer_context *fresh = NULL;
    transformer_context_options options = {.struct_size = sizeof options, .n_threads = 2};
    if (transformer_context_create(model, &options, &fresh) != TRANSFORMER_OK) _exit(6);
    transformer_context_destroy(fresh);
    for (int i = 0; i < n; i++) {
        transformer_sequence_destroy(sequences[i]);
        transformer_context_destroy(contexts[i]);
    }
    transformer_model_close(model);
    _exit(0);
}

START_TEST(process_that_forks) {
    enum { N_CONTEXTS = 3 };
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *contexts[N_CONTEXTS];
    transformer_sequence *sequences[N_CONTEXTS];
    int32_t token = 3;
    for (int i = 0; i < N_CONTEXTS; i++) {
        transformer_context_options options = {
            .n_threads = 1 + 2 * i, .kv_tokens = 512, .max_sequence_tokens = 256};
        contexts[i] = fixture_context(model, &options);
        sequences[i] = fixture_prompt(contexts[i], model, 1, 70, TRANSFORMER_LOGITS_LAST);
        if (_i) fixture_decode(contexts[i]); /* its threads have run, or not */
    }
    transformer_context *context = fixture_context(model, NULL);
    transformer_sequence *sequence = fixture_prompt(context, model, 1, 70, TRANSFORMER_LOGITS_LAST);
    fixture_append(sequence, &token, 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    float *expected = fixture_logits(sequence, -1);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        alarm(60);
        in_child(contexts, sequences, N_CONTEXTS, model, expected);
    }
    for (int i = 0; i < N_CONTEXTS; i++) {
        fixture_append(sequences[i], &token, 1, TRANSFORMER_LOGITS_LAST);
        fixture_decode(contexts[i]);
        fixture_same(fixture_logits(sequences[i], -1), expected, 380, "the parent");
        transformer_sequence_destroy(sequences[i]);
        transformer_context_destroy(contexts[i]);
    }
    int how = -1;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert_msg(WIFEXITED(how) && WEXITSTATUS(how) == 0, "the child ended with %x",
                  (unsigned)how);
    fixture_end(model, context, sequence);
}
END_TEST
#endif

int main(void) {
    Suite *suite = suite_create("threads");
    TCase *tests = tcase_create("threads");
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, contexts_in_parallel, 0, 6);
    tcase_add_test(tests, handed_from_thread_to_thread);
    tcase_add_test(tests, calls_that_collide);
#if defined(THREAD_SANITIZER)
    puts("skipped: process_that_forks, ThreadSanitizer lets no forked child start threads");
#else
    tcase_add_loop_test(tests, process_that_forks, 0, 2);
#endif
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
