#define _GNU_SOURCE
#include "base/parallel.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "base/processors.h"

enum { MOST_THREADS = 64 };

struct share {
    parallel_task task;
    void *argument;
    size_t begin, end;
    const fenv_t *environment;
    pthread_t thread;
    bool started;
};

static void *share_main(void *argument) {
    const struct share *share = argument;
    fesetenv(share->environment);
    share->task(share->argument, share->begin, share->end);
    return NULL;
}

void parallel_run(size_t n, size_t grain, parallel_task task, void *argument) {
    struct share shares[MOST_THREADS];
    size_t n_shares = n / (grain ? grain : 1), n_processors = (size_t)processors_count();
    if (n_shares > n_processors) n_shares = n_processors;
    if (n_shares > MOST_THREADS) n_shares = MOST_THREADS;
    if (n_shares <= 1) {
        if (n) task(argument, 0, n);
        return;
    }
    fenv_t environment;
    sigset_t all, before;
    fegetenv(&environment);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < n_shares; i++) {
        shares[i] = (struct share){.task = task,
                                   .argument = argument,
                                   .begin = n * i / n_shares,
                                   .end = n * (i + 1) / n_shares,
                                   .environment = &environment};
        shares[i].started =
            i > 0 && pthread_create(&shares[i].thread, NULL, share_main, &shares[i]) == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (size_t i = 0; i < n_shares; i++)
        if (!shares[i].started) task(argument, shares[i].begin, shares[i].end);
    for (size_t i = 0; i < n_shares; i++)
        if (shares[i].started) pthread_join(shares[i].thread, NULL);
}
