/* OpenMP, tamed. libgomp keeps a pool of threads for every thread that enters a region, kills the
 * process when it can't start one, and has the pool spin for a while after each region, on
 * processors that the caller may want. So one leader thread enters one region for the team's whole
 * life, and in it every thread waits for jobs as the pthread team's workers do; the leader's end
 * takes the pool along, and a start is tried before libgomp does it. Nothing here is called in a
 * forked child. */
#include "cpu/team_kind.h"

#if defined(TEAM_OPENMP)
#include <omp.h>

static void *leader_main(void *argument) {
    struct team *team = argument;
    int n_workers = team->n_threads - 1;
#pragma omp parallel num_threads(n_workers) default(none) shared(team)
    {
        if (omp_get_thread_num() == 0) {
            /* There may be fewer than asked for: OMP_THREAD_LIMIT, OMP_DYNAMIC. */
            team->n_started = omp_get_num_threads() + 1;
            futex_set(&team->started, 1);
        }
        team_work(team, omp_get_thread_num() + 1);
    }
    return NULL;
}

static void *wait_for_go(void *argument) {
    struct team *team = argument;
    futex_wait(&team->job, 0, &(struct patience){0});
    return NULL;
}

/* As many threads as the team will have, alive at the same time, with stacks as libgomp's. */
static status probe(struct team *team) {
    int n = 0, error = 0;
    while (n < team->n_threads - 1 && error == 0) {
        error = team_thread_start(&team->workers[n].thread, 0, wait_for_go, team);
        if (error == 0) n++;
    }
    futex_set(&team->job, 1);
    for (int i = 0; i < n; i++) pthread_join(team->workers[i].thread, NULL);
    futex_init(&team->job, 0);
    if (error == 0) return OK;
    return fail(OUT_OF_MEMORY, "thread %d of %d can't be started: error %d", n + 1, team->n_threads,
                error);
}

static status openmp_start(struct team *team) {
    TRY(probe(team));
    int error = team_thread_start(&team->workers[0].thread, TEAM_STACK_BYTES, leader_main, team);
    if (error != 0)
        return fail(OUT_OF_MEMORY, "the leader thread can't be started: error %d", error);
    futex_wait(&team->started, 0, &(struct patience){0});
    return OK;
}

static void openmp_stop(struct team *team) {
    team_dismiss(team);
    pthread_join(team->workers[0].thread, NULL);
}

const struct team_kind team_openmp = {
    .name = "openmp",
    .owns_threads = true,
    .start = openmp_start,
    .stop = openmp_stop,
    .run = team_lead,
};
#endif
