/* A team of one needs no thread and no barrier. */
#include "cpu/team_kind.h"

static status direct_start(struct team *team) {
    (void)team;
    return OK;
}

static void direct_stop(struct team *team) {
    (void)team;
}

static void direct_run(struct team *team) {
    team_member(team, 0, 1);
}

const struct team_kind team_direct = {
    .name = "direct",
    .start = direct_start,
    .stop = direct_stop,
    .run = direct_run,
};
