/* Times of launches by the device's own clock: events around each of several repetitions, the
 * median. */
#ifndef GPU_TIMING_H
#define GPU_TIMING_H

#include "gpu_test.h"

enum { TIMING_REPEATS = 9 };

struct timing {
    struct gpu *gpu;
    driver_event begin, end;
};

void timing_open(struct timing *timing, struct gpu *gpu);
void timing_close(struct timing *timing);
/* Runs work(user, i) once to warm up, then for i = 0 ... TIMING_REPEATS - 1, and returns the median
 * of the seconds; work only submits to gpu->stream. Less than 0: something failed, and gpu_fail was
 * called. */
double timing_median(struct timing *timing, bool (*work)(void *user, int i), void *user);

/* The same of a graph of work(user, 0): launches that are over sooner than the host can make them
 * follow each other as they do in a captured step. */
double timing_median_of_graph(struct timing *timing, bool (*work)(void *user, int i), void *user);

/* A kernel that is launched again and again, without waiting. */
struct timed_kernel {
    driver_kernel kernel;
    unsigned grid, threads, shared_bytes;
    unsigned cluster; /* blocks of a cluster; 0: none */
    bool dependent;   /* it waits for the launch before it itself, and may begin earlier */
};
bool timing_find_kernel(struct gpu *gpu, const char *name, unsigned grid, unsigned threads,
                        unsigned shared_bytes, struct timed_kernel *found);
bool timing_launch(struct gpu *gpu, const struct timed_kernel *kernel, void *args);

#endif
