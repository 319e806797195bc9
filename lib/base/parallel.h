/* Work on arrays divided among threads that live for one call. */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stddef.h>

/* Items begin ... end-1. */
typedef void (*parallel_task)(void *argument, size_t begin, size_t end);

/* Calls task for ranges that are 0 ... n-1 together, in as many threads as there are processors but
 * with at least `grain` items in each; they have the caller's floating-point environment and no
 * signals. Threads that can't be started are done without. Returns when all is done. */
void parallel_run(size_t n, size_t grain, parallel_task task, void *argument);

#endif
