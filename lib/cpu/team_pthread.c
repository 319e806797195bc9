/* Threads of our own. */
#include "cpu/team_kind.h"

static void *worker_main(void *argument) {
    struct team_worker *self = argument;
    team_work(self->team, self->index);
    return NULL;
}

static void end_workers(struct team *team, int n_started) {
    team_dismiss(team);
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

const struct team_kind team_pthread = {
    .name = "pthread",
    .owns_threads = true,
    .start = pthread_start,
    .stop = pthread_stop,
    .run = team_lead,
};
