/* How long decode steps took. */
#ifndef ENGINE_STEP_TIMES_H
#define ENGINE_STEP_TIMES_H

#include <stdint.h>

#define STEP_TIMES 1024

struct step_times {
    uint64_t sum, n; /* of all steps, nanoseconds */
    uint64_t last[STEP_TIMES];
};

uint64_t step_times_now(void);
void step_times_add(struct step_times *times, uint64_t nanoseconds);
/* Of the last ones: the time that so many in a hundred didn't exceed, 1 to 100; 0 before the first.
 */
uint64_t step_times_percentile(const struct step_times *times, int percent);

#endif
