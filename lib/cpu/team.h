/* Threads that run one function together, with a barrier of their own. */
#ifndef CPU_TEAM_H
#define CPU_TEAM_H

#include "base/memory.h"

struct team;

struct team_options {
    int n_threads; /* 0: one for each processor this process may use; with an executor at most what
                      it guarantees */
    const transformer_executor *executor; /* NULL: threads of our own */
};

/* How many threads a team of these options has. INVALID_ARGUMENT, LIMIT. */
status team_count_threads(const struct team_options *options, int *n_threads);
/* OUT_OF_MEMORY  a thread can't be started; nothing is left behind. */
status team_create(struct memory *memory, const struct team_options *options, struct team **team);
void team_destroy(struct team *team); /* NULL does nothing. From any thread; not from inside a run.
                                         In a forked child it frees what is there. */
int team_size(const struct team *team);
const char *team_kind(void); /* "openmp" or "pthread": what this build uses by default */

/* Calls body(argument, thread, n_threads) with thread = 0 … n_threads-1, all at once; returns when
 * all have. One run at a time. Each thread runs in the default floating-point environment and gets
 * its own back. No allocation, lock or system call beyond the futex (except in the first run of a
 * forked child, which starts threads anew: only there it can fail, with OUT_OF_MEMORY). */
status team_run(struct team *team, void (*body)(void *argument, int thread, int n_threads),
                void *argument);
/* Inside body, by every thread: none goes on before all have come; what they wrote before it is
 * seen after it. */
void team_barrier(struct team *team, int thread);

#endif
