/* The emulator's half for sm_90a: right kernels are right, broken ones are caught by name. On a GPU
 * of compute capability 9.0 only the right ones run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_test.h"
#include "tests/gpu/emulator/demonstration.h"

static float bf16_value(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static uint16_t *random_bf16(struct gpu *gpu, size_t n) {
    uint16_t *made = malloc(n * 2);
    if (!made) exit(1);
    for (size_t i = 0; i < n; i++) {
        const float x = gpu_random_float(gpu, -2, 2);
        uint32_t bits;
        memcpy(&bits, &x, 4);
        made[i] = (uint16_t)(bits >> 16);
    }
    return made;
}

static void encode(struct gpu *gpu, struct tensor_map *map, void *address, uint32_t columns,
                   uint32_t rows, uint32_t box_rows) {
    struct driver_tensor_map made;
    const uint64_t dims[2] = {columns, rows}, strides[1] = {columns * 2};
    const uint32_t box[2] = {64, box_rows}, steps[2] = {1, 1};
    if (gpu->driver.tensor_map_encode(&made, DRIVER_TENSOR_BFLOAT16, 2, address, dims, strides, box,
                                      steps, DRIVER_TENSOR_INTERLEAVE_NONE,
                                      DRIVER_TENSOR_SWIZZLE_128B, DRIVER_TENSOR_L2_PROMOTION_128B,
                                      DRIVER_TENSOR_FILL_NONE) != DRIVER_SUCCESS)
        gpu_fail(gpu, "a tensor map of %u x %u", rows, columns);
    memcpy(map, &made, sizeof *map);
}

/* Returns what the launch said; *worst: the largest difference, by the sum of magnitudes. */
static const char *run(struct gpu *gpu, const char *kernel, unsigned cluster, unsigned threads,
                       uint32_t m, uint32_t k, double *worst) {
    const uint32_t n = 64, grid = (m + 64 * cluster - 1) / (64 * cluster) * cluster;
    uint16_t *a = random_bf16(gpu, (size_t)m * k), *b = random_bf16(gpu, (size_t)n * k);
    float *y = malloc((size_t)m * n * 4);
    if (!y) exit(1);
    uint16_t *const on_a = gpu_upload(gpu, a, (size_t)m * k * 2);
    uint16_t *const on_b = gpu_upload(gpu, b, (size_t)n * k * 2);
    struct hopper_args args = {.rows = on_a, .columns = on_b, .m = m, .k = k};
    encode(gpu, &args.a, on_a, k, m, 64);
    encode(gpu, &args.b, on_b, k, n, 32);
    args.y = gpu_alloc(gpu, (size_t)m * n * 4);
    const char *wrong =
        gpu_launch_clusters(gpu, kernel, cluster, grid, threads, HOPPER_SHARED, &args, sizeof args);
    gpu_download(gpu, y, args.y, (size_t)m * n * 4);
    *worst = 0;
    for (uint32_t row = 0; row < m; row++)
        for (uint32_t column = 0; column < n; column++) {
            double sum = 0, magnitude = 0;
            for (uint32_t i = 0; i < k; i++) {
                const double product =
                    (double)bf16_value(a[row * k + i]) * (double)bf16_value(b[column * k + i]);
                sum += product;
                magnitude += fabs(product);
            }
            const double error = fabs(sum - (double)y[row * n + column]) / magnitude;
            if (!(error <= *worst)) *worst = error;
        }
    gpu_free(gpu, on_a);
    gpu_free(gpu, on_b);
    gpu_free(gpu, args.y);
    free(a);
    free(b);
    free(y);
    return wrong;
}

static void expect_right(struct gpu *gpu, const char *kernel, unsigned cluster, unsigned threads,
                         uint32_t m, uint32_t k) {
    double worst;
    const char *wrong = run(gpu, kernel, cluster, threads, m, k, &worst);
    if (wrong)
        gpu_fail(gpu, "%s", wrong);
    else if (!(worst < 1e-6))
        gpu_fail(gpu, "%s of %u rows, k %u: error %g", kernel, m, k, worst);
}

static void expect_caught(struct gpu *gpu, const char *kernel, unsigned threads, uint32_t k,
                          const char *text) {
    double worst;
    const char *wrong = run(gpu, kernel, 1, threads, 64, k, &worst);
    if (!wrong)
        gpu_fail(gpu, "%s: nothing was found wrong, expected '%s'", kernel, text);
    else if (!strstr(wrong, text))
        gpu_fail(gpu, "%s: expected '%s', got: %s", kernel, text, wrong);
    else
        printf("caught: %s\n", wrong);
}

static void test_copies(struct gpu *gpu) {
    float x[256], y[256];
    for (int i = 0; i < 256; i++) x[i] = gpu_random_float(gpu, -1, 1);
    uint16_t *const in = gpu_upload(gpu, x, sizeof x);
    struct hopper_args args = {.rows = in, .y = gpu_alloc(gpu, sizeof y)};
    if (gpu_run(gpu, "hopper_bulk", 1, 64, 1032, &args, sizeof args)) {
        gpu_download(gpu, y, args.y, sizeof y);
        if (memcmp(x, y, sizeof x) != 0) gpu_fail(gpu, "a bulk copy brought something else");
    }
    if (gpu_run(gpu, "hopper_store_matrix", 1, 32, 512, &args, sizeof args)) {
        gpu_download(gpu, y, args.y, sizeof y);
        for (int i = 0; i < 256; i++)
            if (y[i] != (float)(i % 16 * 16 + i / 16))
                gpu_fail(gpu, "store_matrix4: element %d", i);
    }
    gpu_free(gpu, in);
    gpu_free(gpu, args.y);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    if (gpu.major != 9) {
        printf("skipped: compute capability %d.%d\n", gpu.major, gpu.minor);
        gpu_close(&gpu);
        return GPU_SKIP;
    }
    if (!gpu_load(&gpu, argv[0], "demonstration_hopper.fatbin"))
        return gpu_close(&gpu) ? 1 : GPU_SKIP;
    test_copies(&gpu);
    static const uint32_t shapes[][2] = {{64, 64}, {64, 320}, {1, 8}, {130, 200}, {257, 136}};
    for (int i = 0; i < 5; i++) {
        const uint32_t m = shapes[i][0], k = shapes[i][1];
        expect_right(&gpu, "hopper_product", 1, HOPPER_THREADS, m, k);
        expect_right(&gpu, "hopper_product_registers", 1, HOPPER_THREADS, m, k);
        expect_right(&gpu, "hopper_product_cluster", 2, HOPPER_THREADS, m, k);
    }
    expect_right(&gpu, "hopper_stored", 1, 128, 64, 64);
    expect_right(&gpu, "hopper_stored", 1, 128, 33, 64);
    if (gpu.emulated) {
        expect_caught(&gpu, "hopper_wrong_parity", HOPPER_THREADS, 320, "is still writing it");
        expect_caught(&gpu, "hopper_too_many_bytes", HOPPER_THREADS, 320,
                      "deadlock; thread 0 waiting for an mbarrier");
        expect_caught(&gpu, "hopper_too_few_bytes", HOPPER_THREADS, 320, "is still writing it");
        expect_caught(&gpu, "hopper_no_empty_wait", HOPPER_THREADS, 320, "has had its 1 arrivals");
        expect_caught(&gpu, "hopper_early_arrival", HOPPER_THREADS, 320,
                      "race: writes shared memory");
        expect_caught(&gpu, "hopper_no_product_wait", HOPPER_THREADS, 64, "under way");
        expect_caught(&gpu, "hopper_no_product_fence", HOPPER_THREADS, 64, "no wgmma_fence");
        expect_caught(&gpu, "hopper_no_proxy_fence", 128, 64, "without a fence_proxy_async");
    }
    return gpu_close(&gpu);
}
