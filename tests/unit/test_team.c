/* The thread team: barriers, more threads than processors, forks, the host's executor,
 * floating-point environment, signals, and threads and memory that can't be had. Linked with
 * --wrap=pthread_create. */
#define _GNU_SOURCE
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/processors.h"
#include "cpu/team.h"

#include <check.h> /* its macro `fail` must come after our function */

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

#define MAX_N 16

/* ---- threads and memory that fail on demand ---- */

static atomic_int starts_until_failure = -1; /* -1: never */
static atomic_int n_starts;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*entry)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*entry)(void *), void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*entry)(void *), void *argument) {
    n_starts++;
    if (starts_until_failure >= 0 && starts_until_failure-- == 0) return EAGAIN;
    return __real_pthread_create(thread, attributes, entry, argument);
}

struct failing_allocator {
    int until_failure; /* -1: never */
    int n_calls;
};

static void *allocate(void *user, uint64_t size, uint64_t alignment) {
    struct failing_allocator *allocator = user;
    allocator->n_calls++;
    if (allocator->until_failure >= 0 && allocator->until_failure-- == 0) return NULL;
    return aligned_alloc(alignment, size);
}

static void release(void *user, void *pointer, uint64_t size) {
    (void)user;
    (void)size;
    free(pointer);
}

/* ---- work ---- */

/* Every thread adds what its neighbour had before the barrier: one missed barrier and the values
 * differ. */
struct relay {
    struct team *team;
    int n_rounds;
    int n_threads; /* as body saw it */
    struct {
        _Alignas(64) uint64_t value;
    } cells[MAX_N];
};

static void relay_body(void *argument, int thread, int n_threads) {
    struct relay *relay = argument;
    if (thread == 0) relay->n_threads = n_threads;
    relay->cells[thread].value = (uint64_t)thread;
    team_barrier(relay->team, thread);
    for (int round = 0; round < relay->n_rounds; round++) {
        uint64_t next = relay->cells[(thread + 1) % n_threads].value;
        team_barrier(relay->team, thread);
        relay->cells[thread].value = next + 1;
        team_barrier(relay->team, thread);
    }
}

/* After r rounds thread t has what thread t+r began with, and r. */
static bool relay_is_right(const struct relay *relay) {
    int n = relay->n_threads, rounds = relay->n_rounds;
    for (int t = 0; t < n; t++)
        if (relay->cells[t].value != (uint64_t)((t + rounds) % n + rounds)) return false;
    return n > 0;
}

static bool relay_run(struct team *team, int n_rounds) {
    struct relay relay = {.team = team, .n_rounds = n_rounds};
    return team_run(team, relay_body, &relay) == OK && relay.n_threads <= team_size(team) &&
           relay_is_right(&relay);
}

static struct memory memory;
static struct team *team;

static void create(int n_threads) {
    memory_init(&memory, NULL);
    ck_assert_int_eq(team_create(&memory, &(struct team_options){.n_threads = n_threads}, &team),
                     OK);
}

static void destroy(void) {
    team_destroy(team);
    ck_assert_uint_eq(memory.bytes, 0);
}

/* ---- tests ---- */

START_TEST(barriers_and_runs) {
    create(_i);
    ck_assert_int_eq(team_size(team), _i);
    ck_assert(relay_run(team, 3000));
    for (int run = 0; run < 1000; run++) ck_assert(relay_run(team, run % 4));
    destroy();
}
END_TEST

START_TEST(more_threads_than_processors) {
    create(4 * processors_count() > MAX_N ? MAX_N : 4 * processors_count());
    ck_assert(relay_run(team, 1000));
    for (int run = 0; run < 100; run++) ck_assert(relay_run(team, 1));
    destroy();
}
END_TEST

START_TEST(sizes) {
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    ck_assert_int_eq(processors_count(), CPU_COUNT(&set));
    create(0);
    ck_assert_int_eq(team_size(team), CPU_COUNT(&set));
    destroy();
    struct team *none = NULL;
    struct team_options options = {.n_threads = -1};
    ck_assert_int_eq(team_create(&memory, &options, &none), INVALID_ARGUMENT);
    options.n_threads = 1025;
    ck_assert_int_eq(team_create(&memory, &options, &none), LIMIT);
    ck_assert_ptr_null(none);
    ck_assert_uint_eq(memory.bytes, 0);
    team_destroy(NULL);
#if defined(TEAM_OPENMP)
    ck_assert_str_eq(team_kind(), "openmp");
#else
    ck_assert_str_eq(team_kind(), "pthread");
#endif
}
END_TEST

static void *run_many(void *argument) {
    struct team *own;
    struct memory own_memory;
    memory_init(&own_memory, NULL);
    bool *right = argument;
    *right = team_create(&own_memory, &(struct team_options){.n_threads = 3}, &own) == OK;
    for (int run = 0; *right && run < 200; run++) *right = relay_run(own, 20);
    team_destroy(own);
    *right = *right && own_memory.bytes == 0;
    return NULL;
}

START_TEST(two_teams_at_once) {
    bool right[2];
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, run_many, &right[0]), 0);
    run_many(&right[1]);
    pthread_join(other, NULL);
    ck_assert(right[0]);
    ck_assert(right[1]);
}
END_TEST

static void *run_and_destroy(void *argument) {
    bool *right = argument;
    *right = relay_run(team, 10);
    team_destroy(team);
    return NULL;
}

START_TEST(used_and_destroyed_from_other_threads) {
    create(3);
    ck_assert(relay_run(team, 10));
    bool right = false;
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, run_and_destroy, &right), 0);
    pthread_join(other, NULL);
    ck_assert(right);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

struct environments {
    int rounding[MAX_N];
    bool denormals[MAX_N];
};

static void note_environment(void *argument, int thread, int n_threads) {
    (void)n_threads;
    struct environments *environments = argument;
    volatile float tiny = 0x1p-130f, half = 0.5f, three = 3.0f;
    environments->rounding[thread] = fegetround();
    environments->denormals[thread] = tiny * half != 0;
    volatile float third = 1.0f / three;
    (void)third;
}

/* Also what the caller has set reaches no thread that it starts later. */
START_TEST(floating_point_environment) {
    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_DIVBYZERO);
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040); /* flush denormals */
    unsigned before = __builtin_ia32_stmxcsr();
#endif
    create(_i);
    struct environments environments;
    memset(&environments, 0xFF, sizeof environments);
    ck_assert_int_eq(team_run(team, note_environment, &environments), OK);
    int rounding = fegetround(), raised = fetestexcept(FE_ALL_EXCEPT);
    team_destroy(team);
#if defined(__x86_64__)
    ck_assert_uint_eq(__builtin_ia32_stmxcsr(), before);
#endif
    fesetenv(FE_DFL_ENV);
    ck_assert_int_eq(rounding, FE_UPWARD);
    ck_assert_int_eq(raised, FE_DIVBYZERO);
    for (int t = 0; t < _i; t++) {
        ck_assert_int_eq(environments.rounding[t], FE_TONEAREST);
        ck_assert(environments.denormals[t]);
    }
}
END_TEST

struct masks {
    pthread_t caller;
    bool blocked[MAX_N];
    bool is_caller[MAX_N];
};

static void note_mask(void *argument, int thread, int n_threads) {
    (void)n_threads;
    struct masks *masks = argument;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    masks->blocked[thread] =
        sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGPROF) && sigismember(&mask, SIGINT);
    masks->is_caller[thread] = pthread_equal(pthread_self(), masks->caller) != 0;
}

START_TEST(signals_stay_with_the_host) {
    create(3);
    struct masks masks = {.caller = pthread_self()};
    for (int t = 0; t < 3; t++) masks.is_caller[t] = true; /* where fewer run */
    ck_assert_int_eq(team_run(team, note_mask, &masks), OK);
    for (int t = 0; t < 3; t++) ck_assert(masks.is_caller[t] != masks.blocked[t]);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    ck_assert(!sigismember(&mask, SIGUSR1));
    destroy();
}
END_TEST

/* ---- the host's executor ---- */

struct host_task {
    void (*task)(void *argument, int32_t index);
    void *argument;
    int32_t index;
};

static void *host_thread(void *argument) {
    struct host_task *task = argument;
    fesetround(FE_DOWNWARD);
    task->task(task->argument, task->index);
    if (fegetround() != FE_DOWNWARD) task->index = -1;
    return NULL;
}

static void host_run(void *user, int32_t n, void (*task)(void *argument, int32_t index),
                     void *argument) {
    int32_t *asked = user;
    *asked = n;
    pthread_t threads[MAX_N];
    struct host_task tasks[MAX_N];
    for (int32_t i = 0; i < n; i++) {
        tasks[i] = (struct host_task){task, argument, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, host_thread, &tasks[i]), 0);
    }
    for (int32_t i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(tasks[i].index, i);
    }
}

START_TEST(executor) {
    static const struct {
        int n_threads, n_concurrent, n;
    } cases[] = {{0, 3, 3}, {2, 3, 2}, {9, 3, 3}, {5, 5, 5}};
    memory_init(&memory, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t asked = 0;
        transformer_executor host = {
            .run = host_run, .user = &asked, .n_concurrent = cases[i].n_concurrent};
        struct team_options options = {.n_threads = cases[i].n_threads, .executor = &host};
        int starts = n_starts;
        ck_assert_int_eq(team_create(&memory, &options, &team), OK);
        ck_assert_int_eq(n_starts, starts);
        memset(&host, 0xFF, sizeof host); /* it was copied */
        ck_assert_int_eq(team_size(team), cases[i].n);
        for (int run = 0; run < 20; run++) ck_assert(relay_run(team, 50));
        ck_assert_int_eq(asked, cases[i].n);
        struct environments environments;
        ck_assert_int_eq(team_run(team, note_environment, &environments), OK);
        for (int t = 0; t < cases[i].n; t++)
            ck_assert_int_eq(environments.rounding[t], FE_TONEAREST);
        destroy();
    }
}
END_TEST

START_TEST(executor_that_breaks_the_rules) {
    memory_init(&memory, NULL);
    transformer_executor host = {.run = host_run, .n_concurrent = 0};
    struct team_options options = {.executor = &host};
    ck_assert_int_eq(team_create(&memory, &options, &team), INVALID_ARGUMENT);
    host.n_concurrent = 2;
    host.run = NULL;
    ck_assert_int_eq(team_create(&memory, &options, &team), INVALID_ARGUMENT);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

/* ---- fork ---- */

#if !defined(THREAD_SANITIZER) /* which doesn't let a forked child start threads */

static void expect_clean_exit(pid_t child) {
    int end;
    ck_assert_int_eq(waitpid(child, &end, 0), child);
    ck_assert_msg(end == 0, "the child ended with %#x", (unsigned)end);
}

/* Before a fork every thread has run: AddressSanitizer holds its allocator's lock while one starts,
 * and a child would find it held.
 *
 * In a child: exit codes instead of Check's messages. */
static void leave_child(bool right) {
    team_destroy(team);
    _exit(right && memory.bytes == 0 ? 0 : 1);
}

START_TEST(fork_and_run_in_both) {
    create(_i);
    ck_assert(relay_run(team, 10));
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        bool right = true;
        for (int run = 0; right && run < 50; run++) right = relay_run(team, 10);
        leave_child(right);
    }
    for (int run = 0; run < 50; run++) ck_assert(relay_run(team, 10));
    expect_clean_exit(child);
    destroy();
}
END_TEST

START_TEST(fork_and_only_destroy) {
    create(3);
    ck_assert(relay_run(team, 10));
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        leave_child(true);
    }
    expect_clean_exit(child);
    ck_assert(relay_run(team, 10));
    destroy();
}
END_TEST

START_TEST(fork_of_a_fork) {
    create(3);
    ck_assert(relay_run(team, 10));
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        bool right = relay_run(team, 10);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            alarm(20);
            leave_child(relay_run(team, 10));
        }
        int end;
        right = right && waitpid(grandchild, &end, 0) == grandchild && end == 0;
        leave_child(right && relay_run(team, 10));
    }
    expect_clean_exit(child);
    ck_assert(relay_run(team, 10));
    destroy();
}
END_TEST

static atomic_bool running, enough;
static bool goes_on; /* of the barriers between which it is written and read */

static void run_until_enough(void *argument, int thread, int n_threads) {
    (void)argument;
    (void)n_threads;
    do {
        team_barrier(team, thread);
        if (thread == 0) goes_on = !enough;
        running = true;
        team_barrier(team, thread);
    } while (goes_on);
}

static void *run_for_long(void *argument) {
    (void)argument;
    ck_assert_int_eq(team_run(team, run_until_enough, NULL), OK);
    return NULL;
}

START_TEST(fork_in_the_middle_of_a_run) {
    create(3);
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, run_for_long, NULL), 0);
    while (!running) sched_yield();
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        leave_child(relay_run(team, 10) && relay_run(team, 10));
    }
    expect_clean_exit(child);
    enough = true;
    pthread_join(other, NULL);
    destroy();
}
END_TEST

START_TEST(fork_and_no_threads) {
    create(4);
    ck_assert(relay_run(team, 10));
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        bool right = true;
        for (int n = 0; n < 3; n++) {
            starts_until_failure = n;
            struct relay relay = {.team = team};
            right = right && team_run(team, relay_body, &relay) == OUT_OF_MEMORY;
        }
        starts_until_failure = -1;
        leave_child(right && relay_run(team, 10));
    }
    expect_clean_exit(child);
    destroy();
}
END_TEST

#endif

/* ---- faults ---- */

START_TEST(nth_thread_start_fails) {
    memory_init(&memory, NULL);
    int n = 0;
    for (;; n++) {
        starts_until_failure = n;
        struct team *made = NULL;
        status result = team_create(&memory, &(struct team_options){.n_threads = 4}, &made);
        bool failed = starts_until_failure < 0;
        starts_until_failure = -1;
        if (!failed) {
            ck_assert_int_eq(result, OK);
            ck_assert(relay_run(made, 10));
            team_destroy(made);
            break;
        }
        ck_assert_int_eq(result, OUT_OF_MEMORY);
        ck_assert_ptr_null(made);
        ck_assert_uint_eq(memory.bytes, 0);
    }
    ck_assert_int_ge(n, 3);
}
END_TEST

START_TEST(nth_allocation_fails) {
    struct failing_allocator failing = {0};
    memory_init(&memory, &(transformer_allocator){allocate, release, &failing});
    int n = 0;
    for (;; n++) {
        failing.until_failure = n;
        struct team *made = NULL;
        status result = team_create(&memory, &(struct team_options){.n_threads = 3}, &made);
        if (result == OK) {
            failing.until_failure = 0; /* a run has no need of memory */
            ck_assert(relay_run(made, 10));
            ck_assert_int_eq(failing.until_failure, 0);
            team_destroy(made);
            break;
        }
        ck_assert_int_eq(result, OUT_OF_MEMORY);
        ck_assert_ptr_null(made);
        ck_assert_uint_eq(memory.bytes, 0);
    }
    ck_assert_int_ge(n, 2);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

/* OpenMP may give fewer threads than asked for. Its variables are read at the process's start. */
static int run_limited(void) {
    memory_init(&memory, NULL);
    if (team_create(&memory, &(struct team_options){.n_threads = 5}, &team) != OK) return 1;
    bool right = team_size(team) == 5;
    for (int run = 0; run < 100; run++) right = right && relay_run(team, 10);
    struct relay relay = {.team = team};
    right = right && team_run(team, relay_body, &relay) == OK;
#if defined(TEAM_OPENMP)
    right = right && relay.n_threads <= 3; /* the caller is not OpenMP's */
#else
    right = right && relay.n_threads == 5;
#endif
    team_destroy(team);
    return right ? 0 : 1;
}

#if !defined(THREAD_SANITIZER)
START_TEST(fewer_threads_than_asked_for) {
    pid_t child = fork();
    if (child == 0) {
        setenv("OMP_THREAD_LIMIT", "2", 1);
        execl("/proc/self/exe", "test_team", "--limited", (char *)NULL);
        _exit(2);
    }
    expect_clean_exit(child);
}
END_TEST
#endif

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--limited") == 0) {
        alarm(30);
        return run_limited();
    }
    Suite *suite = suite_create("team");
    TCase *tests = tcase_create("team");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, barriers_and_runs, 1, 6);
    tcase_add_test(tests, more_threads_than_processors);
    tcase_add_test(tests, sizes);
    tcase_add_test(tests, two_teams_at_once);
    tcase_add_test(tests, used_and_destroyed_from_other_threads);
    tcase_add_loop_test(tests, floating_point_environment, 1, 4);
    tcase_add_test(tests, signals_stay_with_the_host);
    tcase_add_test(tests, executor);
    tcase_add_test(tests, executor_that_breaks_the_rules);
    tcase_add_test(tests, nth_thread_start_fails);
    tcase_add_test(tests, nth_allocation_fails);
#if defined(THREAD_SANITIZER)
    puts("skipped: the fork tests, ThreadSanitizer doesn't let a forked child start threads");
#else
    tcase_add_loop_test(tests, fork_and_run_in_both, 1, 5);
    tcase_add_test(tests, fork_and_only_destroy);
    tcase_add_test(tests, fork_of_a_fork);
    tcase_add_test(tests, fork_in_the_middle_of_a_run);
    tcase_add_test(tests, fork_and_no_threads);
    tcase_add_test(tests, fewer_threads_than_asked_for);
#endif
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
