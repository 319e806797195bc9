/* OpenMP, tamed. libgomp keeps a pool of threads for every thread that enters a region, and kills
 * the process when it can't start one. So regions are entered by one leader thread, whose end takes
 * its pool along, and a start is tried before libgomp does it. Nothing here is called in a forked
 * child. */
#include "cpu/team_kind.h"

#if defined(TEAM_OPENMP)
#include <omp.h>

static void *leader_main(void *argument) {
    struct team *team = argument;
    int n_threads = team->n_threads;
    struct patience patience = team_handover_patience(team);
/* Starts the pool now, not in the first run. */
#pragma omp parallel num_threads(n_threads) default(none)
    {}
    futex_set(&team->done, 1);
    for (uint32_t job = 1;;) {
        job = futex_wait(&team->job, job, patience);
        if (team->stopping) return NULL;
/* There may be fewer than asked for: OMP_THREAD_LIMIT, OMP_DYNAMIC. */
#pragma omp parallel num_threads(n_threads) default(none) shared(team)
        team_member(team, omp_get_thread_num(), omp_get_num_threads());
        futex_set(&team->done, job);
    }
}

static void *wait_for_go(void *argument) {
    struct team *team = argument;
    futex_wait(&team->job, 0, (struct patience){0, 0});
    return NULL;
}

/* As many threads as the team will have, alive at the same time, with stacks as libgomp's. */
static status probe(struct team *team) {
    int n = 0, error = 0;
    while (n < team->n_threads && error == 0) {
        error = team_thread_start(&team->workers[n].thread, 0, wait_for_go, team);
        if (error == 0) n++;
    }
    futex_set(&team->job, 1);
    for (int i = 0; i < n; i++) pthread_join(team->workers[i].thread, NULL);
    if (error == 0) return OK;
    return fail(OUT_OF_MEMORY, "thread %d of %d can't be started: error %d", n, team->n_threads,
                error);
}

static status openmp_start(struct team *team) {
    TRY(probe(team));
    int error = team_thread_start(&team->workers[0].thread, TEAM_STACK_BYTES, leader_main, team);
    if (error != 0)
        return fail(OUT_OF_MEMORY, "the leader thread can't be started: error %d", error);
    futex_wait(&team->done, 0, (struct patience){0, 0});
    return OK;
}

static void openmp_stop(struct team *team) {
    team->stopping = true;
    futex_set(&team->job, atomic_load_explicit(&team->job.value, memory_order_relaxed) + 1);
    pthread_join(team->workers[0].thread, NULL);
}

static void openmp_run(struct team *team) {
    uint32_t job = atomic_load_explicit(&team->job.value, memory_order_relaxed);
    futex_set(&team->job, job + 1);
    futex_wait(&team->done, job, team_handover_patience(team));
}

const struct team_kind team_openmp = {
    .name = "openmp",
    .owns_threads = true,
    .start = openmp_start,
    .stop = openmp_stop,
    .run = openmp_run,
};
#endif
