#include "read_rate.h"

#include "results.h"
#include "tests/gpu/probe_args.h"

struct read {
    struct gpu *gpu;
    struct timed_kernel kernel;
    struct probe_read_args args;
};
static bool read_once(void *user, int repeat) {
    struct read *read = user;
    (void)repeat;
    return timing_launch(read->gpu, &read->kernel, &read->args);
}

double read_rate(struct timing *timing, size_t n_bytes) {
    struct gpu *gpu = timing->gpu;
    struct read read = {.gpu = gpu};
    double seconds = 0;
    int n_multiprocessors = 1;
    n_bytes = n_bytes / PROBE_STEP * PROBE_STEP;
    gpu->driver.device_get_attribute(&n_multiprocessors, DRIVER_DEVICE_MULTIPROCESSOR_COUNT,
                                     gpu->device);
    void *from = gpu_alloc(gpu, n_bytes);
    uint32_t *sink = gpu_alloc(gpu, sizeof *sink);
    gpu->driver.set_u32((driver_address)(uintptr_t)from, 0x3c003c01, n_bytes / 4, gpu->stream);
    read.args = (struct probe_read_args){from, sink, n_bytes};
    if (timing_find_kernel(gpu, "probe_read_8", gpu->emulated ? 2 : (unsigned)n_multiprocessors * 8,
                           PROBE_THREADS, 0, &read.kernel))
        seconds = timing_median(timing, read_once, &read);
    gpu_free(gpu, from);
    gpu_free(gpu, sink);
    if (seconds <= 0) return 0;
    result_number("speed", "reading", (double)n_bytes / seconds * 1e-9, "GB/s");
    return (double)n_bytes / seconds;
}
