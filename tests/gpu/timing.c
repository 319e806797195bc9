#include "timing.h"

#include <stdlib.h>

static bool fine(struct gpu *gpu, driver_result result, const char *what) {
    char reason[1200];
    if (result == DRIVER_SUCCESS) return true;
    gpu_fail(gpu, "%s: %s", what, driver_describe(&gpu->driver, result, reason, sizeof reason));
    return false;
}

void timing_open(struct timing *timing, struct gpu *gpu) {
    *timing = (struct timing){.gpu = gpu};
    if (!fine(gpu, gpu->driver.event_create(&timing->begin, 0), "an event") ||
        !fine(gpu, gpu->driver.event_create(&timing->end, 0), "an event"))
        exit(1);
}

void timing_close(struct timing *timing) {
    timing->gpu->driver.event_destroy(timing->begin);
    timing->gpu->driver.event_destroy(timing->end);
}

static int compare(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double timing_median(struct timing *timing, bool (*work)(void *user, int i), void *user) {
    struct gpu *gpu = timing->gpu;
    const struct driver *driver = &gpu->driver;
    float milliseconds[TIMING_REPEATS];
    if (!work(user, 0) || !fine(gpu, driver->stream_synchronize(gpu->stream), "the warm-up"))
        return -1;
    for (int i = 0; i < TIMING_REPEATS; i++)
        if (!fine(gpu, driver->event_record(timing->begin, gpu->stream), "an event") ||
            !work(user, i) ||
            !fine(gpu, driver->event_record(timing->end, gpu->stream), "an event") ||
            !fine(gpu, driver->event_synchronize(timing->end), "what is timed") ||
            !fine(gpu, driver->event_elapsed_time(&milliseconds[i], timing->begin, timing->end),
                  "the time"))
            return -1;
    qsort(milliseconds, TIMING_REPEATS, sizeof *milliseconds, compare);
    return (double)milliseconds[TIMING_REPEATS / 2] * 1e-3;
}

struct graph_run {
    struct gpu *gpu;
    driver_graph_exec exec;
};
static bool run_graph(void *user, int repeat) {
    struct graph_run *run = user;
    (void)repeat;
    return fine(run->gpu, run->gpu->driver.graph_launch(run->exec, run->gpu->stream), "a graph");
}

double timing_median_of_graph(struct timing *timing, bool (*work)(void *user, int i), void *user) {
    struct gpu *gpu = timing->gpu;
    const struct driver *driver = &gpu->driver;
    struct graph_run run = {.gpu = gpu};
    driver_graph graph = NULL;
    double seconds = -1;
    /* What is launched for the first time is loaded then, which a capture forbids. */
    if (!work(user, 0) || !fine(gpu, driver->stream_synchronize(gpu->stream), "the warm-up") ||
        !fine(gpu, driver->stream_begin_capture(gpu->stream, DRIVER_CAPTURE_THREAD_LOCAL),
              "a capture"))
        return -1;
    const bool worked = work(user, 0);
    if (fine(gpu, driver->stream_end_capture(gpu->stream, &graph), "a capture's end") && worked &&
        fine(gpu, driver->graph_instantiate(&run.exec, graph, 0), "a graph"))
        seconds = timing_median(timing, run_graph, &run);
    if (run.exec) driver->graph_exec_destroy(run.exec);
    if (graph) driver->graph_destroy(graph);
    return seconds;
}

bool timing_find_kernel(struct gpu *gpu, const char *name, unsigned grid, unsigned threads,
                        unsigned shared_bytes, struct timed_kernel *found) {
    driver_result result = DRIVER_NOT_FOUND;
    *found = (struct timed_kernel){.grid = grid, .threads = threads, .shared_bytes = shared_bytes};
    for (uint32_t i = 0; result == DRIVER_NOT_FOUND && i < gpu->n_libraries; i++)
        result = gpu->driver.library_get_kernel(&found->kernel, gpu->libraries[i], name);
    if (result == DRIVER_SUCCESS && shared_bytes > 48 * 1024)
        result = gpu->driver.kernel_set_attribute(DRIVER_KERNEL_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                                  (int)shared_bytes, found->kernel, gpu->device);
    if (result == DRIVER_SUCCESS) /* as the library has it */
        result = gpu->driver.kernel_set_attribute(DRIVER_KERNEL_PREFERRED_SHARED_MEMORY_CARVEOUT,
                                                  100, found->kernel, gpu->device);
    return fine(gpu, result, name);
}

bool timing_launch(struct gpu *gpu, const struct timed_kernel *kernel, void *args) {
    struct driver_launch_attribute attributes[2];
    struct driver_launch launch = {.grid_x = kernel->grid,
                                   .grid_y = 1,
                                   .grid_z = 1,
                                   .block_x = kernel->threads,
                                   .block_y = 1,
                                   .block_z = 1,
                                   .shared_bytes = kernel->shared_bytes,
                                   .stream = gpu->stream,
                                   .attributes = attributes};
    if (kernel->dependent)
        attributes[launch.n_attributes++] =
            (struct driver_launch_attribute){.id = DRIVER_LAUNCH_PROGRAMMATIC_STREAM_SERIALIZATION,
                                             .value = {.programmatic_stream_serialization = 1}};
    if (kernel->cluster > 1)
        attributes[launch.n_attributes++] = (struct driver_launch_attribute){
            .id = DRIVER_LAUNCH_CLUSTER_DIMENSION, .value = {.cluster = {kernel->cluster, 1, 1}}};
    void *parameters[] = {args};
    return fine(gpu, gpu->driver.launch(&launch, (driver_function)kernel->kernel, parameters, NULL),
                "a launch");
}
