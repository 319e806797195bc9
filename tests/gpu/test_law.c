/* The law probe: bits of mma.sync for inputs that tell its arithmetic, against the emulator's and
 * against what publications found; and whether a row's bits depend on where it stands. On a GPU
 * what is found is recorded, whatever it is; only that bits depend on a row's place is a failure,
 * for then the promise of equal bits can't be kept. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_test.h"
#include "mma_models.h"
#include "probe_image.h"
#include "results.h"

#define N_CASES 32
static const char *const type_names[] = {"bf16", "f16"};

static struct probe_case cases[N_CASES];
static struct probe_sum sums[N_CASES];

static void run(struct gpu *gpu, enum probe_type type, const struct probe_case *from,
                struct probe_sum *to) {
    struct probe_mma_args args = {.type = type, .n_cases = N_CASES};
    void *device_cases = gpu_upload(gpu, from, N_CASES * sizeof *from);
    void *device_sums = gpu_alloc(gpu, N_CASES * sizeof *to);
    args.cases = device_cases;
    args.sums = device_sums;
    if (gpu_run(gpu, "probe_mma", N_CASES, 32, 0, &args, sizeof args))
        gpu_download(gpu, to, device_sums, N_CASES * sizeof *to);
    gpu_free(gpu, device_cases);
    gpu_free(gpu, device_sums);
}

/* ---- inputs ---- */

static float any(struct gpu *gpu) {
    return gpu_random_float(gpu, -1, 1);
}
/* Sign and mantissa anywhere, exponent in low ... high. */
static float spread(struct gpu *gpu, int low, int high) {
    const int exponent = low + (int)(gpu_random(gpu) % (uint32_t)(high - low + 1));
    const float x = ldexpf(gpu_random_float(gpu, 1, 2), exponent);
    return gpu_random(gpu) & 1 ? x : -x;
}

static void plain(struct gpu *gpu, enum probe_type type, int k, float *a, float *b, float *c) {
    (void)type, (void)k;
    *a = any(gpu);
    *b = any(gpu);
    *c = any(gpu);
}
/* Products in pairs that nearly cancel: what is left lies below the first's last bits. */
static void cancelling(struct gpu *gpu, enum probe_type type, int k, float *a, float *b, float *c) {
    (void)type;
    *a = k % 2 ? -64.0f : 64.0f;
    *b = 1 + (float)(gpu_random(gpu) % 4) * 0x1p-7f;
    *c = spread(gpu, -12, -6);
}
static void big_and_small(struct gpu *gpu, enum probe_type type, int k, float *a, float *b,
                          float *c) {
    (void)type, (void)k;
    *a = spread(gpu, -7, 7);
    *b = spread(gpu, -7, 7);
    *c = spread(gpu, -14, 14);
}
/* The sum so far is large: products fall below its last bit one by one. */
static void large_sum(struct gpu *gpu, enum probe_type type, int k, float *a, float *b, float *c) {
    (void)type, (void)k;
    *a = spread(gpu, -6, 0);
    *b = spread(gpu, -6, 0);
    *c = spread(gpu, 12, 16);
}
static void subnormal_elements(struct gpu *gpu, enum probe_type type, int k, float *a, float *b,
                               float *c) {
    (void)k;
    *a = ldexpf(any(gpu), type == PROBE_BF16 ? -126 : -14);
    *b = any(gpu);
    *c = ldexpf(any(gpu), type == PROBE_BF16 ? -126 : -20);
}
static void subnormal_sums(struct gpu *gpu, enum probe_type type, int k, float *a, float *b,
                           float *c) {
    (void)k;
    *a = type == PROBE_BF16 ? spread(gpu, -70, -66) : 0;
    *b = type == PROBE_BF16 ? spread(gpu, -66, -62) : any(gpu);
    *c = ldexpf(any(gpu), -128);
}
static void zero_sum(struct gpu *gpu, enum probe_type type, int k, float *a, float *b, float *c) {
    plain(gpu, type, k, a, b, c);
    *c = 0;
}

static const struct pattern {
    const char *name;
    void (*fill)(struct gpu *gpu, enum probe_type type, int k, float *a, float *b, float *c);
} patterns[] = {
    {"plain", plain},
    {"from a zeroed accumulator", zero_sum},
    {"cancelling", cancelling},
    {"big and small", big_and_small},
    {"onto a large sum", large_sum},
    {"subnormal elements", subnormal_elements},
    {"subnormal sums", subnormal_sums},
};

static void fill(struct gpu *gpu, enum probe_type type, const struct pattern *pattern) {
    for (int i = 0; i < N_CASES; i++)
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < 16; j++) {
                float a, b, c;
                pattern->fill(gpu, type, k, &a, &b, &c);
                cases[i].a[j][k] = mma_element(type, a);
                if (j < 8) {
                    cases[i].b[k][j] = mma_element(type, b);
                    cases[i].c[k][j] = c; /* k is a row here */
                }
            }
}

/* ---- what it is compared with ---- */

static int equal_bits(const struct probe_sum *a, const struct probe_sum *b) {
    int n = 0;
    for (int row = 0; row < 16; row++)
        for (int j = 0; j < 8; j++) n += !memcmp(&a->d[row][j], &b->d[row][j], sizeof(float));
    return n;
}

static void compare_models(struct gpu *gpu, enum probe_type type, const struct pattern *pattern) {
    char item[160];
    fill(gpu, type, pattern);
    run(gpu, type, cases, sums);
    for (int m = 0; m < mma_n_models; m++) {
        int n_equal = 0;
        if (mma_models[m].group > 16) continue;
        for (int i = 0; i < N_CASES; i++) {
            struct probe_sum expected;
            mma_by_model(&mma_models[m], type, &cases[i], &expected);
            n_equal += equal_bits(&sums[i], &expected);
        }
        snprintf(item, sizeof item, "%s %s: %s", type_names[type], pattern->name,
                 mma_models[m].name);
        result_number("law", item, 100.0 * n_equal / (N_CASES * 128), "% equal bits");
        if (gpu->emulated && m == MMA_EMULATED && n_equal != N_CASES * 128)
            gpu_fail(gpu, "%s: the emulator is not what it is said to be", item);
    }
}

/* ---- what must not change the bits ---- */

static void report(struct gpu *gpu, enum probe_type type, const char *what, int n_equal, int n,
                   bool law) {
    char item[160];
    snprintf(item, sizeof item, "%s %s", type_names[type], what);
    result_number("law", item, 100.0 * n_equal / n, "% equal bits");
    if (law && n_equal != n) gpu_fail(gpu, "%s: %d of %d equal", item, n_equal, n);
}

/* Every column of b and c one to the right, its neighbours NaN; every row of a and c one down. */
static void change_places(struct gpu *gpu, enum probe_type type) {
    static struct probe_case moved[N_CASES];
    static struct probe_sum found[N_CASES];
    int columns = 0, rows = 0, alone = 0;
    fill(gpu, type, &patterns[3]);
    run(gpu, type, cases, sums);
    for (int i = 0; i < N_CASES; i++)
        for (int row = 0; row < 16; row++) {
            for (int j = 0; j < 8; j++) {
                moved[i].b[row][(j + 1 + i % 7) % 8] = cases[i].b[row][j];
                moved[i].c[row][(j + 1 + i % 7) % 8] = cases[i].c[row][j];
            }
            memcpy(moved[i].a[row], cases[i].a[row], sizeof moved[i].a[row]);
        }
    run(gpu, type, moved, found);
    for (int i = 0; i < N_CASES; i++)
        for (int row = 0; row < 16; row++)
            for (int j = 0; j < 8; j++)
                columns += !memcmp(&found[i].d[row][(j + 1 + i % 7) % 8], &sums[i].d[row][j], 4);
    report(gpu, type, "columns change places", columns, N_CASES * 128, true);

    for (int i = 0; i < N_CASES; i++)
        for (int row = 0; row < 16; row++) {
            const int to = (row + 1 + i % 15) % 16;
            memcpy(moved[i].a[to], cases[i].a[row], sizeof moved[i].a[to]);
            memcpy(moved[i].c[to], cases[i].c[row], sizeof moved[i].c[to]);
            memcpy(moved[i].b[row], cases[i].b[row], sizeof moved[i].b[row]);
        }
    run(gpu, type, moved, found);
    for (int i = 0; i < N_CASES; i++)
        for (int row = 0; row < 16; row++)
            for (int j = 0; j < 8; j++)
                rows += !memcmp(&found[i].d[(row + 1 + i % 15) % 16][j], &sums[i].d[row][j], 4);
    report(gpu, type, "rows change places", rows, N_CASES * 128, true);

    const uint16_t nan = type == PROBE_BF16 ? 0x7fc0 : 0x7e00;
    memcpy(moved, cases, sizeof moved);
    for (int i = 0; i < N_CASES; i++)
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < 8; j++)
                if (j != i % 8) moved[i].b[k][j] = nan;
    run(gpu, type, moved, found);
    for (int i = 0; i < N_CASES; i++)
        for (int row = 0; row < 16; row++)
            alone += !memcmp(&found[i].d[row][i % 8], &sums[i].d[row][i % 8], 4);
    report(gpu, type, "a column beside NaN", alone, N_CASES * 16, true);
}

/* Things that a device may or may not keep: other kernels would have to know. */
static void change_more(struct gpu *gpu, enum probe_type type) {
    static struct probe_case changed[N_CASES];
    static struct probe_sum found[N_CASES];
    int swapped = 0, halves = 0, apart = 0, zeros = 0;
    fill(gpu, type, &patterns[3]);
    run(gpu, type, cases, sums);
    memset(changed, 0, sizeof changed);
    for (int i = 0; i < N_CASES; i++)
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < 8; j++) {
                changed[i].a[j][k] = cases[i].b[k][j];
                changed[i].b[k][j] = cases[i].a[j][k];
                if (k < 8) changed[i].c[j][k] = cases[i].c[k][j];
            }
    run(gpu, type, changed, found);
    for (int i = 0; i < N_CASES; i++)
        for (int row = 0; row < 8; row++)
            for (int j = 0; j < 8; j++)
                swapped += !memcmp(&found[i].d[j][row], &sums[i].d[row][j], 4);
    report(gpu, type, "operands swapped", swapped, N_CASES * 64, false);

    memcpy(changed, cases, sizeof changed);
    for (int i = 0; i < N_CASES; i++)
        for (int k = 0; k < 16; k++) {
            for (int row = 0; row < 16; row++) changed[i].a[row][k] = cases[i].a[row][(k + 8) % 16];
            memcpy(changed[i].b[k], cases[i].b[(k + 8) % 16], sizeof changed[i].b[k]);
        }
    run(gpu, type, changed, found);
    for (int i = 0; i < N_CASES; i++) halves += equal_bits(&found[i], &sums[i]);
    report(gpu, type, "halves of k change places", halves, N_CASES * 128, false);

    memcpy(changed, cases, sizeof changed);
    for (int i = 0; i < N_CASES; i++) memset(changed[i].c, 0, sizeof changed[i].c);
    run(gpu, type, changed, found);
    for (int i = 0; i < N_CASES; i++)
        for (int row = 0; row < 16; row++)
            for (int j = 0; j < 8; j++) {
                const float sum = found[i].d[row][j] + cases[i].c[row][j];
                apart += !memcmp(&sum, &sums[i].d[row][j], 4);
            }
    report(gpu, type, "the sum so far added after", apart, N_CASES * 128, false);

    memcpy(sums, found, sizeof sums);
    for (int i = 0; i < N_CASES; i++)
        for (int row = 0; row < 16; row++)
            for (int j = 0; j < 8; j++) changed[i].c[row][j] = -0.0f;
    run(gpu, type, changed, found);
    for (int i = 0; i < N_CASES; i++) zeros += equal_bits(&found[i], &sums[i]);
    report(gpu, type, "accumulators zeroed to -0", zeros, N_CASES * 128, false);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    if (probe_image_load(&gpu, argv[0]))
        for (int type = PROBE_BF16; type <= PROBE_F16; type++) {
            for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
                compare_models(&gpu, (enum probe_type)type, &patterns[i]);
            change_places(&gpu, (enum probe_type)type);
            change_more(&gpu, (enum probe_type)type);
        }
    return gpu_close(&gpu);
}
