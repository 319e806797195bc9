/* The emulator itself: right kernels are right, and broken ones are caught by name. On a GPU only
 * the right ones run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_test.h"
#include "tests/gpu/emulator/demonstration.h"

/* A kernel must fail with a text that holds this. */
static void expect(struct gpu *gpu, const char *kernel, const char *wrong, const char *text) {
    if (!wrong)
        gpu_fail(gpu, "%s: nothing was found wrong, expected '%s'", kernel, text);
    else if (!strstr(wrong, text))
        gpu_fail(gpu, "%s: expected '%s', got: %s", kernel, text, wrong);
    else
        printf("caught: %s\n", wrong);
}

static void expect_scale(struct gpu *gpu, const char *kernel, unsigned threads, unsigned shared,
                         const char *text) {
    float x[1000];
    for (int i = 0; i < 1000; i++) x[i] = gpu_random_float(gpu, -1, 1);
    struct scale_args args = {.n = 1000};
    float *const in = gpu_upload(gpu, x, sizeof x), *const out = gpu_alloc(gpu, 4096);
    args.x = in;
    args.y = out;
    expect(gpu, kernel, gpu_launch(gpu, kernel, 4, threads, shared, &args, sizeof args), text);
    gpu_free(gpu, in);
    gpu_free(gpu, out);
}

static void test_scale_and_sum(struct gpu *gpu) {
    const uint32_t n = 1000;
    float x[1000], y[1000], sums[4];
    for (uint32_t i = 0; i < n; i++) x[i] = (float)(gpu_random(gpu) % 100);
    struct scale_args args = {.n = n};
    float *const in = gpu_upload(gpu, x, sizeof x), *const out = gpu_alloc(gpu, sizeof y);
    args.x = in;
    args.y = out;
    if (gpu_run(gpu, "emulator_scale", 4, 256, 0, &args, sizeof args)) {
        gpu_download(gpu, y, out, sizeof y);
        for (uint32_t i = 0; i < n; i++)
            if (y[i] != 2 * x[i]) gpu_fail(gpu, "scale: element %u", i);
    }
    if (gpu_run(gpu, "emulator_sum", 4, 256, 32, &args, sizeof args)) {
        gpu_download(gpu, sums, out, sizeof sums);
        for (uint32_t block = 0; block < 4; block++) {
            float sum = 0; /* of integers: exact in any order */
            for (uint32_t i = block * 256; i < n && i < block * 256 + 256; i++) sum += x[i];
            if (sums[block] != sum) gpu_fail(gpu, "sum: block %u", block);
        }
    }
    if (gpu_run(gpu, "emulator_halves", 1, 256, 512, &args, sizeof args)) {
        gpu_download(gpu, y, out, 1024);
        for (uint32_t i = 0; i < 256; i++)
            if (y[i] != (float)(3 * (i ^ 1))) gpu_fail(gpu, "halves: element %u", i);
    }
    if (gpu_run(gpu, "emulator_groups", 1, 64, 128, &args, sizeof args)) {
        gpu_download(gpu, y, out, 96 * 4);
        for (uint32_t i = 0; i < 96; i++)
            if (y[i] != (float)(i / 32 + (i % 32 ^ 5))) gpu_fail(gpu, "groups: element %u", i);
    }
    gpu_free(gpu, in);
    gpu_free(gpu, out);
}

/* ---- products ---- */

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

/* Returns what the launch said; *worst: the largest difference, by the sum of magnitudes. */
static const char *run_product(struct gpu *gpu, const char *kernel, uint32_t m, uint32_t n,
                               uint32_t k, double *worst) {
    uint16_t *a = random_bf16(gpu, (size_t)m * k), *b = random_bf16(gpu, (size_t)n * k);
    float *y = malloc((size_t)m * n * 4);
    if (!y) exit(1);
    struct product_args args = {.m = m, .n = n, .k = k};
    uint16_t *const on_a = gpu_upload(gpu, a, (size_t)m * k * 2);
    uint16_t *const on_b = gpu_upload(gpu, b, (size_t)n * k * 2);
    args.a = on_a;
    args.b = on_b;
    args.y = gpu_alloc(gpu, (size_t)m * n * 4);
    const unsigned grid =
        (m + PRODUCT_ROWS - 1) / PRODUCT_ROWS * ((n + PRODUCT_COLUMNS - 1) / PRODUCT_COLUMNS);
    const char *wrong =
        gpu_launch(gpu, kernel, grid, PRODUCT_THREADS, PRODUCT_SHARED, &args, sizeof args);
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

static void test_products(struct gpu *gpu) {
    static const uint32_t shapes[][3] = {{32, 8, 64}, {1, 1, 8}, {33, 9, 200}, {70, 17, 136}};
    double worst;
    for (int i = 0; i < 4; i++) {
        const char *wrong =
            run_product(gpu, "emulator_product", shapes[i][0], shapes[i][1], shapes[i][2], &worst);
        if (wrong) gpu_fail(gpu, "%s", wrong);
        if (!(worst < 1e-6)) gpu_fail(gpu, "product %d: error %g", i, worst);
    }
}

static void test_broken_products(struct gpu *gpu) {
    double worst;
    expect(gpu, "no barrier", run_product(gpu, "emulator_no_barrier", 33, 9, 200, &worst),
           "reads shared memory at");
    expect(gpu, "no second barrier",
           run_product(gpu, "emulator_no_second_barrier", 33, 9, 200, &worst),
           "race: writes shared memory");
    expect(gpu, "wrong phase", run_product(gpu, "emulator_wrong_phase", 33, 9, 200, &worst),
           "is still writing it");
    expect(gpu, "past the end", run_product(gpu, "emulator_past_the_end", 33, 9, 192, &worst),
           "out of bounds");
    const char *wrong = run_product(gpu, "emulator_wrong_swizzle", 33, 9, 200, &worst);
    if (wrong || worst < 1e-3)
        gpu_fail(gpu, "a wrong swizzle was not found: %s, error %g", wrong ? wrong : "ran", worst);
    else
        printf("caught: emulator_wrong_swizzle: error %g of the reference\n", worst);
}

static void test_broken(struct gpu *gpu) {
    expect_scale(gpu, "emulator_out_of_bounds", 256, 0, "out of bounds");
    expect_scale(gpu, "emulator_misaligned", 32, 0, "misaligned");
    expect_scale(gpu, "emulator_no_warp_sync", 256, 512, "reads shared memory at");
    expect_scale(gpu, "emulator_unwritten", 256, 1024, "which nothing has written");
    expect_scale(gpu, "emulator_shared_bounds", 256, 1020, "of which the launch gave 1020");
    expect_scale(gpu, "emulator_divergence", 256, 0, "divergence");
    expect_scale(gpu, "emulator_diverged_index", 32, 0, "divergence");
    expect_scale(gpu, "emulator_deadlock", 256, 0,
                 "deadlock; threads 0-31 at group_sync 1 of 64 threads");
    expect_scale(gpu, "emulator_scale", 512, 0, "LAUNCH_OUT_OF_RESOURCES");
    expect_scale(gpu, "no_such_kernel", 32, 0, "NOT_FOUND");
    /* Memory that was never written. */
    float *x = gpu_alloc(gpu, 4000);
    struct scale_args args = {.x = x, .y = x, .n = 1000};
    expect(gpu, "unwritten", gpu_launch(gpu, "emulator_scale", 4, 256, 0, &args, sizeof args),
           "which nothing has written");
    gpu_free(gpu, x);
}

/* Infinities, NaN, subnormal and large products: y = a[4][16] b[1][16], elements that are not given
 * 0. */
static void test_special_products(struct gpu *gpu) {
    enum { INF = 0x7f80, MINUS_INF = 0xff80, LARGE = 0x7f00, ONE = 0x3f80 };
    enum { TINY = 0x0001 }; /* 2^-133, subnormal */
    uint16_t a[4][16] = {{0, INF, 0, ONE}, {0, INF, 0, MINUS_INF}, {LARGE, 0, LARGE, TINY}, {TINY}};
    uint16_t b[16] = {ONE, ONE, ONE, ONE};
    float y[4];
    uint16_t *const on_a = gpu_upload(gpu, a, sizeof a), *const on_b = gpu_upload(gpu, b, sizeof b);
    struct product_args args = {.a = on_a, .b = on_b, .m = 4, .n = 1, .k = 16};
    args.y = gpu_alloc(gpu, sizeof y);
    if (gpu_run(gpu, "emulator_product", 1, PRODUCT_THREADS, PRODUCT_SHARED, &args, sizeof args)) {
        gpu_download(gpu, y, args.y, sizeof y);
        if (y[0] != INFINITY || y[1] == y[1] || y[2] != INFINITY || y[3] != 0x1p-133f)
            gpu_fail(gpu, "special values: %g %g %g %g", (double)y[0], (double)y[1], (double)y[2],
                     (double)y[3]);
    }
    gpu_free(gpu, on_a);
    gpu_free(gpu, on_b);
    gpu_free(gpu, args.y);
}

/* Blocks: one that overwrites what another reads, and the right way to add up parts. */
static void test_blocks(struct gpu *gpu) {
    float y[64 + 5 * 32] = {0};
    float *const on_y = gpu_upload(gpu, y, sizeof y);
    struct scale_args args = {.x = on_y, .y = on_y, .n = 64};
    if (gpu_run(gpu, "emulator_last_block", 5, 32, 0, &args, sizeof args)) {
        gpu_download(gpu, y, on_y, sizeof y);
        for (int i = 0; i < 32; i++)
            if (y[i] != 15) gpu_fail(gpu, "last block: element %d is %g", i, (double)y[i]);
    }
    if (gpu->emulated)
        expect(gpu, "block race",
               gpu_launch(gpu, "emulator_block_race", 2, 32, 0, &args, sizeof args),
               "race: writes byte");
    if (gpu->emulated) {
        gpu_write(gpu, on_y, y, 64 * 4);
        gpu_write(gpu, on_y + 32, &(uint32_t){0}, 4);
        expect(gpu, "no fence", gpu_launch(gpu, "emulator_no_fence", 5, 32, 0, &args, sizeof args),
               "without a fence_device");
    }
    gpu_free(gpu, on_y);
}

/* Blocks that wait for each other; waits that end; and what is wrong with those that don't ask. */
static void test_together(struct gpu *gpu) {
    enum { BLOCKS = 6 };
    float y[BLOCKS] = {0};
    uint32_t counts[2] = {0};
    float *const on_y = gpu_upload(gpu, y, sizeof y);
    uint32_t *const on_counts = gpu_upload(gpu, counts, sizeof counts);
    struct scale_args args = {.x = (const float *)(const void *)on_counts, .y = on_y};
    const char *wrong =
        gpu_launch_together(gpu, "emulator_chain", BLOCKS, 32, 0, &args, sizeof args);
    if (wrong) gpu_fail(gpu, "%s", wrong);
    gpu_download(gpu, y, on_y, sizeof y);
    for (int i = 0; i < BLOCKS; i++)
        if (y[i] != (float)(i + 1)) gpu_fail(gpu, "chain: block %d left %g", i, (double)y[i]);
    gpu_write(gpu, on_counts, counts, sizeof counts);
    wrong = gpu_launch_together(gpu, "emulator_chain_in_vain", BLOCKS, 32, 0, &args, sizeof args);
    if (wrong) gpu_fail(gpu, "%s", wrong);
    gpu_download(gpu, y, on_y, sizeof y);
    for (int i = 0; i < BLOCKS; i++)
        if (y[i] != (i ? -1.0f : 1.0f))
            gpu_fail(gpu, "chain in vain: block %d left %g", i, (double)y[i]);
    if (gpu->emulated) {
        gpu_write(gpu, on_counts, counts, sizeof counts);
        expect(
            gpu, "a chain that doesn't ask",
            gpu_launch_together(gpu, "emulator_chain_unasked", BLOCKS, 32, 0, &args, sizeof args),
            "race:");
        gpu_write(gpu, on_counts, counts, sizeof counts);
        expect(gpu, "a chain of blocks one after the other",
               gpu_launch(gpu, "emulator_chain", BLOCKS, 32, 0, &args, sizeof args),
               "a launch that isn't cooperative");
        expect(gpu, "more blocks than can be there",
               gpu_launch_together(gpu, "emulator_chain", 1 << 20, 32, 0, &args, sizeof args),
               "COOPERATIVE_LAUNCH_TOO_LARGE");
    }
    gpu_free(gpu, on_y);
    gpu_free(gpu, on_counts);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    if (!gpu_load(&gpu, argv[0], "demonstration.fatbin")) return gpu_close(&gpu) ? 1 : GPU_SKIP;
    test_scale_and_sum(&gpu);
    test_products(&gpu);
    test_special_products(&gpu);
    test_blocks(&gpu);
    test_together(&gpu);
    if (gpu.emulated) {
        test_broken_products(&gpu);
        test_broken(&gpu);
    }
    return gpu_close(&gpu);
}
