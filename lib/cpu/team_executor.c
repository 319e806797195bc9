/* The host's threads. Its run is what starts and ends them, so there is nothing to hand over. */
#include "cpu/team_kind.h"

static status executor_start(struct team *team) {
    (void)team;
    return OK;
}

static void executor_stop(struct team *team) {
    (void)team;
}

static void executor_task(void *argument, int32_t index) {
    struct team *team = argument;
    team_member(team, index, team->n_threads);
}

static void executor_run(struct team *team) {
    team->executor.run(team->executor.user, team->n_threads, executor_task, team);
}

const struct team_kind team_executor = {
    .name = "executor",
    .start = executor_start,
    .stop = executor_stop,
    .run = executor_run,
};
