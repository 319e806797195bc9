/* What the device is and the most it does: reading by number of blocks and bytes in flight,
 * copying, and cuBLAS's matrix product where the machine has cuBLAS. Figures for docs/gpu.md and
 * for the law of splits in cuda/select.c; no figure is a failure.
 *
 * usage: test_ceilings [device | read | product]...   all of them without any
 * In the emulator everything is tiny: what runs is tested, the figures say nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cublas.h"
#include "gpu_test.h"
#include "probe_image.h"
#include "results.h"
#include "tests/gpu/probe_args.h"
#include "timing.h"

static int attribute(struct gpu *gpu, unsigned which) {
    int value = 0;
    gpu->driver.device_get_attribute(&value, which, gpu->device);
    return value;
}

/* ---- device ---- */

static void tell_device(struct gpu *gpu) {
    char text[160];
    size_t free_bytes = 0, total_bytes = 0;
    result_text("device", "name", gpu->name);
    snprintf(text, sizeof text, "%d.%d", gpu->major, gpu->minor);
    result_text("device", "compute capability", text);
    snprintf(text, sizeof text, "%d.%d", gpu->driver.version / 1000,
             gpu->driver.version % 1000 / 10);
    result_text("device", "newest CUDA of the driver", text);
    static const struct {
        const char *item;
        unsigned attribute;
        double unit;
        const char *unit_name;
    } attributes[] = {
        {"multiprocessors", DRIVER_DEVICE_MULTIPROCESSOR_COUNT, 1, ""},
        {"clock, the highest", DRIVER_DEVICE_CLOCK_RATE, 1e3, "MHz"},
        {"memory clock, the highest", DRIVER_DEVICE_MEMORY_CLOCK_RATE, 1e3, "MHz"},
        {"memory bus", DRIVER_DEVICE_GLOBAL_MEMORY_BUS_WIDTH, 1, "bits"},
        {"L2", DRIVER_DEVICE_L2_CACHE_SIZE, 1 << 20, "MiB"},
        {"shared memory of a multiprocessor", DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
         1 << 10, "KiB"},
        {"shared memory of a block", DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 1 << 10,
         "KiB"},
    };
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        result_number("device", attributes[i].item,
                      attribute(gpu, attributes[i].attribute) / attributes[i].unit,
                      attributes[i].unit_name);
    /* Two transfers a clock. */
    result_number("device", "memory bandwidth by its clock and bus",
                  2e3 * attribute(gpu, DRIVER_DEVICE_MEMORY_CLOCK_RATE) *
                      attribute(gpu, DRIVER_DEVICE_GLOBAL_MEMORY_BUS_WIDTH) / 8 * 1e-9,
                  "GB/s");
    if (gpu->driver.mem_get_info(&free_bytes, &total_bytes) == DRIVER_SUCCESS) {
        result_number("device", "memory", (double)total_bytes / (1 << 30), "GiB");
        result_number("device", "memory free", (double)free_bytes / (1 << 30), "GiB");
    }
}

/* ---- reading and copying ---- */

struct launches {
    struct gpu *gpu;
    struct timed_kernel kernel;
    void *args;
};
static bool launch_once(void *user, int i) {
    const struct launches *launches = user;
    (void)i;
    return timing_launch(launches->gpu, &launches->kernel, launches->args);
}

/* Bytes a second of one kernel; the best of all goes to *most. */
static void time_kernel(struct timing *timing, const char *item, const char *kernel, unsigned grid,
                        unsigned shared_bytes, void *args, double bytes, double *most) {
    struct launches launches = {.gpu = timing->gpu, .args = args};
    if (!timing_find_kernel(timing->gpu, kernel, grid, PROBE_THREADS, shared_bytes,
                            &launches.kernel))
        return;
    const double seconds = timing_median(timing, launch_once, &launches);
    if (seconds <= 0) return;
    result_number("ceilings", item, bytes / seconds * 1e-9, "GB/s");
    if (bytes / seconds > *most) *most = bytes / seconds;
}

static void time_memory(struct gpu *gpu) {
    const unsigned n_multiprocessors =
        gpu->emulated ? 2 : (unsigned)attribute(gpu, DRIVER_DEVICE_MULTIPROCESSOR_COUNT);
    const size_t n_bytes = gpu->emulated ? 4 * PROBE_STEP : (size_t)1 << 30;
    static const unsigned in_flight[] = {1, 2, 4, 8}, depths[] = {2, 4, 8, 16};
    char item[120], kernel[40];
    struct timing timing;
    double most = 0, copied = 0;
    void *from = gpu_alloc(gpu, n_bytes), *to = gpu_alloc(gpu, n_bytes);
    uint32_t *sink = gpu_alloc(gpu, sizeof *sink);
    gpu->driver.set_u32((driver_address)(uintptr_t)from, 0x3c003c01, n_bytes / 4, gpu->stream);
    timing_open(&timing, gpu);
    struct probe_read_args read = {from, sink, n_bytes};
    for (size_t i = 0; i < sizeof in_flight / sizeof *in_flight; i++)
        for (unsigned blocks = 1; blocks <= 8; blocks *= 2) {
            snprintf(kernel, sizeof kernel, "probe_read_%u", in_flight[i]);
            snprintf(item, sizeof item, "read, %u blocks, %u KiB of each in flight", blocks,
                     in_flight[i] * PROBE_THREADS * 16 / 1024);
            time_kernel(&timing, item, kernel, n_multiprocessors * blocks, 0, &read,
                        (double)n_bytes, &most);
        }
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
        for (unsigned blocks = 1; blocks <= (depths[i] > 8 ? 1 : 4); blocks *= 2) {
            snprintf(kernel, sizeof kernel, "probe_ring_%u", depths[i]);
            snprintf(item, sizeof item, "ring, %u blocks, %u KiB of each in flight", blocks,
                     (depths[i] - 1) * PROBE_THREADS * 16 / 1024);
            time_kernel(&timing, item, kernel, n_multiprocessors * blocks,
                        depths[i] * PROBE_THREADS * 16, &read, (double)n_bytes, &most);
        }
    /* Fewer blocks than multiprocessors: what one of them can take. */
    for (unsigned part = 8; part >= 1; part /= 2) {
        const unsigned grid = n_multiprocessors / part;
        if (!grid) continue;
        snprintf(item, sizeof item, "ring, on a part of the multiprocessors: 1 / %u", part);
        time_kernel(&timing, item, "probe_ring_8", grid, 8 * PROBE_THREADS * 16, &read,
                    (double)n_bytes, &most);
    }
    struct probe_copy_args copy = {from, to, n_bytes};
    time_kernel(&timing, "copy, read and written", "probe_copy", n_multiprocessors * 8, 0, &copy,
                2.0 * (double)n_bytes, &copied);
    result_number("ceilings", "read, the most of all", most * 1e-9, "GB/s");
    timing_close(&timing);
    gpu_free(gpu, from);
    gpu_free(gpu, to);
    gpu_free(gpu, sink);
}

/* ---- cuBLAS ---- */

struct product {
    struct cublas *cublas;
    void *w, *x, *y;
    int n;
};
static bool multiply(void *user, int i) {
    const struct product *p = user;
    (void)i;
    return cublas_linear(p->cublas, p->w, p->x, p->y, p->n, p->n, p->n) == 0;
}

static void time_cublas(struct gpu *gpu) {
    struct cublas cublas;
    struct timing timing;
    char why[400];
    if (gpu->emulated) {
        result_text("ceilings", "cuBLAS", "skipped: the device is emulated");
        return;
    }
    if (!cublas_open(&cublas, gpu->stream, why, sizeof why)) {
        result_text("ceilings", "cuBLAS", why);
        return;
    }
    const size_t n = 8192;
    uint16_t *host = malloc(n * n * sizeof *host);
    if (!host) exit(1);
    for (size_t i = 0; i < n * n; i++) /* bf16 of magnitude 1/2 ... 2, either sign */
        host[i] = (uint16_t)(0x3f00 + (gpu_random(gpu) & 0x80ff));
    struct product product = {.cublas = &cublas, .n = (int)n};
    product.w = gpu_upload(gpu, host, n * n * sizeof *host);
    product.x = gpu_upload(gpu, host, n * n * sizeof *host);
    product.y = gpu_alloc(gpu, n * n * sizeof(float));
    free(host);
    timing_open(&timing, gpu);
    const double seconds = timing_median(&timing, multiply, &product);
    if (seconds > 0)
        result_number("ceilings", "cuBLAS, bf16, 8192 x 8192 x 8192",
                      2.0 * (double)(n * n * n) / seconds * 1e-12, "TFLOP/s");
    timing_close(&timing);
    gpu_free(gpu, product.w);
    gpu_free(gpu, product.x);
    gpu_free(gpu, product.y);
    cublas_close(&cublas);
}

static bool wanted(int argc, char **argv, const char *what) {
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], what)) return true;
        any |= argv[i][0] < '0' || argv[i][0] > '9';
    }
    return !any;
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    if (wanted(argc, argv, "device")) tell_device(&gpu);
    if (wanted(argc, argv, "read") && probe_image_load(&gpu, argv[0])) time_memory(&gpu);
    if (wanted(argc, argv, "product")) time_cublas(&gpu);
    return gpu_close(&gpu);
}
