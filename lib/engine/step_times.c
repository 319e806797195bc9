#define _POSIX_C_SOURCE 200809L
#include "engine/step_times.h"

#include <string.h>
#include <time.h>

uint64_t step_times_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void step_times_add(struct step_times *times, uint64_t nanoseconds) {
    times->sum += nanoseconds;
    times->last[times->n++ % STEP_TIMES] = nanoseconds;
}

/* Ascending; the C library's qsort may allocate. */
static void sort(uint64_t *values, int n) {
    for (int gap = n / 2; gap > 0; gap /= 2)
        for (int i = gap; i < n; i++) {
            uint64_t value = values[i];
            int j = i;
            for (; j >= gap && values[j - gap] > value; j -= gap) values[j] = values[j - gap];
            values[j] = value;
        }
}

uint64_t step_times_percentile(const struct step_times *times, int percent) {
    uint64_t sorted[STEP_TIMES];
    int n = times->n < STEP_TIMES ? (int)times->n : STEP_TIMES;
    if (n == 0) return 0;
    memcpy(sorted, times->last, (size_t)n * sizeof *sorted);
    sort(sorted, n);
    return sorted[(n * percent + 99) / 100 - 1];
}
