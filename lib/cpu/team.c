#define _GNU_SOURCE
#include "cpu/team.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/float_environment.h"
#include "base/processors.h"
#include "cpu/team_kind.h"

#define MAX_THREADS 1024

/* Longer than the threads of a balanced op differ, shorter than a time slice of a neighbour who
 * wants the processor. */
#define SPIN_NANOSECONDS 40000

const char *team_kind(void) {
#if defined(TEAM_OPENMP)
    return team_openmp.name;
#else
    return team_pthread.name;
#endif
}

static const struct team_kind *choose_kind(const struct team *team,
                                           const struct team_options *options) {
    if (team->n_threads == 1) return &team_direct;
    if (options->executor) return &team_executor;
#if defined(TEAM_OPENMP)
    return &team_openmp;
#else
    return &team_pthread;
#endif
}

status team_count_threads(const struct team_options *options, int *n_threads) {
    const transformer_executor *executor = options->executor;
    int n = options->n_threads;
    if (n < 0) return fail(INVALID_ARGUMENT, "n_threads is %d", n);
    if (n > MAX_THREADS)
        return fail(LIMIT, "n_threads is %d, at most %d are possible", n, MAX_THREADS);
    if (executor && !executor->run) return fail(INVALID_ARGUMENT, "the executor's run is NULL");
    if (executor && executor->n_concurrent < 1)
        return fail(INVALID_ARGUMENT, "the executor's n_concurrent is %" PRId32,
                    executor->n_concurrent);
    if (n == 0) n = executor ? executor->n_concurrent : processors_count();
    if (executor && n > executor->n_concurrent) n = executor->n_concurrent;
    *n_threads = n > MAX_THREADS ? MAX_THREADS : n;
    return OK;
}

static status mark_create(struct team *team) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *mark = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mark == MAP_FAILED) return fail(OUT_OF_MEMORY, "no memory for the thread team's mark");
    if (madvise(mark, page, MADV_WIPEONFORK) == 0) /* Linux 4.14 */
        team->mark = mark;
    else
        munmap(mark, page);
    return OK;
}

static void mark_set(struct team *team) {
    if (team->mark) *team->mark = 1;
    team->owner = getpid();
}

static bool threads_are_here(const struct team *team) {
    return team->mark ? *team->mark != 0 : team->owner == getpid();
}

static void reset(struct team *team) {
    futex_init(&team->job, 0);
    futex_init(&team->started, 0);
    futex_init(&team->generation, 0);
    atomic_init(&team->n_arrived, 0);
    atomic_init(&team->n_running, 0);
    team->stopping = false;
    team->n_started = team->n_threads;
}

static status start(struct team *team) {
    reset(team);
    TRY(team->kind->start(team));
    mark_set(team);
    return OK;
}

static void free_team(struct team *team) {
    if (team->mark) munmap(team->mark, (size_t)sysconf(_SC_PAGESIZE));
    memory_give(team->memory, team->workers);
    memory_give(team->memory, team->waiters);
    memory_give(team->memory, team);
}

status team_create(struct memory *memory, const struct team_options *options, struct team **team) {
    int n_threads = 0;
    TRY(team_count_threads(options, &n_threads));
    struct team *made;
    TRY(MEMORY_TAKE_ONE(memory, "the thread team", &made));
    made->memory = memory;
    made->n_threads = n_threads;
    made->n_spins = n_threads > processors_count() ? 0 : futex_spins(SPIN_NANOSECONDS);
    if (options->executor) made->executor = *options->executor;
    made->kind = choose_kind(made, options);

    status result = OK;
    TRY_OR_EXIT(
        MEMORY_TAKE_ARRAY(memory, (size_t)n_threads, "the barrier of a team", &made->waiters));
    for (int i = 0; i < n_threads; i++)
        made->waiters[i].patience = (struct patience){.n_spins = made->n_spins};
    if (made->kind->owns_threads) {
        TRY_OR_EXIT(
            MEMORY_TAKE_ARRAY(memory, (size_t)n_threads, "the threads of a team", &made->workers));
        TRY_OR_EXIT(mark_create(made));
    }
    TRY_OR_EXIT(start(made));
    *team = made;
    return OK;
exit:
    free_team(made);
    return result;
}

void team_destroy(struct team *team) {
    if (!team) return;
    if (!team->kind->owns_threads || threads_are_here(team)) team->kind->stop(team);
    free_team(team);
}

int team_size(const struct team *team) {
    return team->n_threads;
}

/* libgomp can't be entered in a forked child, so from here on its threads are our own. */
static status start_in_child(struct team *team) {
    team->kind = &team_pthread;
    return start(team);
}

status team_run(struct team *team, void (*body)(void *argument, int thread, int n_threads),
                void *argument) {
    if (team->kind->owns_threads && !threads_are_here(team)) TRY(start_in_child(team));
    team->body = body;
    team->argument = argument;
    team->kind->run(team);
    return OK;
}

void team_member(struct team *team, int thread, int n_threads) {
    /* Every thread knows the number, but the barrier's callers don't hand it over. It rarely
     * changes: a shared cache line better stays clean. */
    if (atomic_load_explicit(&team->n_running, memory_order_relaxed) != n_threads)
        atomic_store_explicit(&team->n_running, n_threads, memory_order_relaxed);
    fenv_t saved;
    float_environment_enter(&saved);
    team->body(team->argument, thread, n_threads);
    float_environment_leave(&saved);
}

void team_barrier(struct team *team, int thread) {
    int n = atomic_load_explicit(&team->n_running, memory_order_relaxed);
    if (n == 1) return;
    /* It can't move on before this thread has arrived. */
    uint32_t generation = atomic_load_explicit(&team->generation.value, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&team->n_arrived, 1, memory_order_acq_rel) + 1 == n) {
        atomic_store_explicit(&team->n_arrived, 0, memory_order_relaxed);
        futex_set(&team->generation, generation + 1);
    } else {
        futex_wait(&team->generation, generation, &team->waiters[thread].patience);
    }
}

/* Between two steps the caller samples and may do more: a worker stays awake for a while longer
 * than in a barrier, since waking it takes as long as several ops. */
#define HANDOVER_SPINS 4

void team_work(struct team *team, int index) {
    struct patience patience = {.n_spins = team->n_spins * HANDOVER_SPINS};
    uint32_t job = 0; /* not read from the team: the first may be set before this thread runs */
    for (;;) {
        job = futex_wait(&team->job, job, &patience);
        if (team->stopping) return;
        team_member(team, index, team->n_started);
        team_barrier(team, index);
    }
}

static void next_job(struct team *team) {
    uint32_t job = atomic_load_explicit(&team->job.value, memory_order_relaxed);
    futex_set(&team->job, job + 1);
}

void team_lead(struct team *team) {
    next_job(team);
    team_member(team, 0, team->n_started);
    team_barrier(team, 0);
}

void team_dismiss(struct team *team) {
    team->stopping = true;
    next_job(team);
}

int team_thread_start(pthread_t *thread, size_t stack_bytes, void *(*entry)(void *),
                      void *argument) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error == 0) {
        if (stack_bytes > 0) pthread_attr_setstacksize(&attributes, stack_bytes);
        error = pthread_create(thread, &attributes, entry, argument);
        pthread_attr_destroy(&attributes);
        /* The C library counts a program's thread-local variables against the stack. */
        if (error == EINVAL) error = pthread_create(thread, NULL, entry, argument);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
