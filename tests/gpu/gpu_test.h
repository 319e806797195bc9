/* What a test of kernels needs: memory of the device, a launch by name, random numbers, results.
 * The same program runs on the host emulator (its libcuda.so.1 first in LD_LIBRARY_PATH) and on a
 * GPU.
 *
 *     int main(int argc, char **argv) {
 *         struct gpu gpu;
 *         if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
 *         float *x = gpu_upload(&gpu, host, sizeof host), *y = gpu_alloc(&gpu, sizeof host);
 *         struct scale_args args = {.x = x, .y = y, .n = 100};
 *         gpu_run(&gpu, "scale", (n + 255) / 256, 256, 0, &args, sizeof args);
 *         gpu_download(&gpu, host, y, sizeof host);
 *         if (host[3] != 6) gpu_fail(&gpu, "element 3 is %g", host[3]);
 *         return gpu_close(&gpu);
 *     }
 *
 * An argument that is a number is the seed (else 1), and gpu_open prints it. */
#ifndef GPU_TEST_H
#define GPU_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "cuda/driver.h"

enum { GPU_SKIP = 77 };

struct gpu {
    struct driver driver;
    driver_device device;
    driver_context context;
    driver_stream stream;
    driver_library *libraries;
    uint32_t n_libraries;
    char name[96];
    int major, minor; /* compute capability */
    bool emulated;
    uint64_t seed, random; /* state of gpu_random */
    size_t n_allocated;    /* live allocations of gpu_alloc */
    int n_failed;
};

/* false: there is no device; says why and that the test is skipped. Any other failure ends the
 * program. */
bool gpu_open(struct gpu *gpu, int argc, char **argv);
/* Tells what is still allocated or failed; what main returns. */
int gpu_close(struct gpu *gpu);

/* Kernels beyond the library's: a file beside the program. The emulator has them all. false: it is
 * not there; says so and that the test is skipped. Another failure is one of the test, and returns
 * false. */
bool gpu_load(struct gpu *gpu, const char *program, const char *file);

/* Memory of the device, whose address kernels' arguments hold. Failure ends the program. Fresh
 * memory is poison: bytes 0xff (NaN), which the emulator also knows as never written. */
void *gpu_alloc(struct gpu *gpu, size_t bytes);
void *gpu_upload(struct gpu *gpu, const void *from, size_t bytes); /* allocates */
void gpu_write(struct gpu *gpu, void *to, const void *from, size_t bytes);
void gpu_download(struct gpu *gpu, void *to, const void *from, size_t bytes);
void gpu_poison(struct gpu *gpu, void *to, size_t bytes);
void gpu_free(struct gpu *gpu, void *memory);

/* Runs a kernel and waits for it. Returns NULL, or what went wrong until the next call: from the
 * emulator the kernel, block, thread and what it did. The device is usable again afterwards where
 * it is emulated. cluster: blocks in a cluster, 1 none. */
const char *gpu_launch(struct gpu *gpu, const char *kernel, unsigned grid, unsigned threads,
                       unsigned shared_bytes, const void *args, size_t args_bytes);
const char *gpu_launch_clusters(struct gpu *gpu, const char *kernel, unsigned cluster,
                                unsigned grid, unsigned threads, unsigned shared_bytes,
                                const void *args, size_t args_bytes);
/* All blocks run at once. */
const char *gpu_launch_together(struct gpu *gpu, const char *kernel, unsigned grid,
                                unsigned threads, unsigned shared_bytes, const void *args,
                                size_t args_bytes);
/* The same as gpu_launch; that it fails is a failure of the test. */
bool gpu_run(struct gpu *gpu, const char *kernel, unsigned grid, unsigned threads,
             unsigned shared_bytes, const void *args, size_t args_bytes);

uint32_t gpu_random(struct gpu *gpu);
float gpu_random_float(struct gpu *gpu, float low, float high); /* low <= x < high */

/* Prints and counts a failure; the first 20 are printed. */
void gpu_fail(struct gpu *gpu, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
