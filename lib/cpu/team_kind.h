/* What the parts of the team share: where its threads come from is a struct of functions. */
#ifndef CPU_TEAM_KIND_H
#define CPU_TEAM_KIND_H

#include <pthread.h>

#include "cpu/futex.h"
#include "cpu/team.h"

#define TEAM_STACK_BYTES ((size_t)512 * 1024) /* of a thread of our own */

struct team_kind {
    const char *name;
    bool owns_threads; /* which a forked child doesn't have */
    /* Starts the threads. On failure none is left. */
    status (*start)(struct team *team);
    /* Ends and joins them. */
    void (*stop)(struct team *team);
    /* Has team_member called by all threads; returns when all have. */
    void (*run)(struct team *team);
};

extern const struct team_kind team_direct;   /* one thread: the caller's */
extern const struct team_kind team_executor; /* the host's threads */
extern const struct team_kind team_pthread;  /* the caller's thread and workers */
#if defined(TEAM_OPENMP)
extern const struct team_kind team_openmp; /* the caller's thread and a parallel region's */
#endif

struct team_worker {
    struct team *team;
    pthread_t thread;
    int index; /* its number in a run */
};

/* What a thread's barriers came to. */
struct waiter {
    _Alignas(CACHE_LINE) struct patience patience;
};

struct team {
    const struct team_kind *kind;
    struct memory *memory;
    int n_threads; /* at most in a run */
    transformer_executor executor;
    int n_spins;                 /* of a barrier, at most */
    struct waiter *waiters;      /* [n_threads] */
    struct team_worker *workers; /* [n_threads] */
    void (*body)(void *argument, int thread, int n_threads);
    void *argument;
    bool stopping; /* the job is to end */
    /* One page that a forked child finds cleared, so that a run needs no system call to know where
     * it is: nonzero where the threads are. NULL: the kernel can't, and owner tells. */
    uint32_t *mark;
    pid_t owner;

    int n_started;           /* threads there are, the caller's included */
    struct futex started;    /* 1: n_started is known; of a leader */
    struct futex job;        /* number of the run */
    struct futex generation; /* of the barrier */
    _Alignas(CACHE_LINE) _Atomic int n_arrived;
    _Alignas(CACHE_LINE) _Atomic int n_running; /* threads of this run */
};

/* One thread's part of a run. */
void team_member(struct team *team, int thread, int n_threads);
/* Starts a thread with all signals blocked, so that the host's handlers run in the host's threads.
 * stack_bytes 0: what the C library gives. 0 or the error number of pthread_create. */
int team_thread_start(pthread_t *thread, size_t stack_bytes, void *(*entry)(void *),
                      void *argument);
/* What teams do whose thread 0 is the caller and whose workers wait for jobs: a worker's life, a
 * run, and the order to workers to return. The barrier ends a run. */
void team_work(struct team *team, int index);
void team_lead(struct team *team);
void team_dismiss(struct team *team);

#endif
