/* The caller is thread 0; workers 1 … n-1 wait for jobs. The barrier ends a run. */
#include "cpu/team_kind.h"

static void *worker_main(void *argument) {
    struct team_worker *self = argument;
    struct team *team = self->team;
    struct patience patience = team_handover_patience(team);
    uint32_t job = 0; /* not read from the team: the first may be set before this thread runs */
    for (;;) {
        job = futex_wait(&team->job, job, patience);
        if (team->stopping) return NULL;
        team_member(team, self->index, team->n_threads);
        team_barrier(team, self->index);
    }
}

static void next_job(struct team *team) {
    uint32_t job = atomic_load_explicit(&team->job.value, memory_order_relaxed);
    futex_set(&team->job, job + 1);
}

static void end_workers(struct team *team, int n_started) {
    team->stopping = true;
    next_job(team);
    for (int i = 1; i < n_started; i++) pthread_join(team->workers[i].thread, NULL);
}

static status pthread_start(struct team *team) {
    for (int i = 1; i < team->n_threads; i++) {
        struct team_worker *worker = &team->workers[i];
        worker->team = team;
        worker->index = i;
        int error = team_thread_start(&worker->thread, TEAM_STACK_BYTES, worker_main, worker);
        if (error != 0) {
            end_workers(team, i);
            return fail(OUT_OF_MEMORY, "thread %d of %d can't be started: error %d", i,
                        team->n_threads, error);
        }
    }
    return OK;
}

static void pthread_stop(struct team *team) {
    end_workers(team, team->n_threads);
}

static void pthread_run(struct team *team) {
    next_job(team);
    team_member(team, 0, team->n_threads);
    team_barrier(team, 0);
}

const struct team_kind team_pthread = {
    .name = "pthread",
    .owns_threads = true,
    .start = pthread_start,
    .stop = pthread_stop,
    .run = pthread_run,
};
