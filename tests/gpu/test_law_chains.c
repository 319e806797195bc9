/* The law probe's second half: chains of four products, by mma.sync and, where the device has it,
 * by wgmma. Do the bits depend on how many columns a product has, on where A comes from, on which
 * operand is which, on how the sums begin? Are they mma.sync's, the emulator's? And a factor of
 * zero beside a huge one must change nothing: attention multiplies weights of zero by whatever lies
 * in a page. On a GPU what is found is recorded; only that last one is required, since no kernel of
 * the library counts on the rest yet. In the emulator all of it must hold. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_test.h"
#include "mma_models.h"
#include "results.h"

enum { N_PROBLEMS = 2, SUMS = PROBE_ROWS * PROBE_MAX_N };

static const char *const type_names[] = {"bf16", "f16", "e4m3"};
static const uint32_t widths[] = {8, 16, 32, 64, 128, 256};

static uint8_t a[N_PROBLEMS][PROBE_ROWS][PROBE_K_BYTES];
static uint8_t b[N_PROBLEMS][PROBE_MAX_N][PROBE_K_BYTES];
static float c[N_PROBLEMS][PROBE_ROWS][PROBE_MAX_N];
/* By the kernels for the number of columns that was asked for: [problem][64][n] */
static float reference[N_PROBLEMS * SUMS], found[N_PROBLEMS * SUMS];

/* ---- elements ---- */

static uint32_t depth_of(enum probe_type type) { /* elements of a row */
    return type == PROBE_E4M3 ? PROBE_K_BYTES : PROBE_K_BYTES / 2;
}
static float get(enum probe_type type, const uint8_t *row, uint32_t k) {
    uint16_t bits;
    if (type == PROBE_E4M3) return mma_value(type, row[k]);
    memcpy(&bits, row + 2 * k, sizeof bits);
    return mma_value(type, bits);
}
static void put(enum probe_type type, uint8_t *row, uint32_t k, float value) {
    const uint16_t bits = mma_element(type, value);
    if (type == PROBE_E4M3)
        row[k] = (uint8_t)bits;
    else
        memcpy(row + 2 * k, &bits, sizeof bits);
}

/* Exponents of low ... high, either sign. */
static float spread(struct gpu *gpu, int low, int high) {
    const int exponent = low + (int)(gpu_random(gpu) % (uint32_t)(high - low + 1));
    const float x = ldexpf(gpu_random_float(gpu, 1, 2), exponent);
    return gpu_random(gpu) & 1 ? x : -x;
}
static void fill(struct gpu *gpu, enum probe_type type) {
    for (int p = 0; p < N_PROBLEMS; p++) {
        const int range = p ? 5 : 1; /* the second problem's elements are far apart */
        for (uint32_t k = 0; k < depth_of(type); k++) {
            for (int i = 0; i < PROBE_ROWS; i++) put(type, a[p][i], k, spread(gpu, -range, range));
            for (int i = 0; i < PROBE_MAX_N; i++) put(type, b[p][i], k, spread(gpu, -range, range));
        }
        for (int i = 0; i < PROBE_ROWS; i++)
            for (int j = 0; j < PROBE_MAX_N; j++) c[p][i][j] = spread(gpu, -4, 4 * range);
    }
}

/* ---- runs ---- */

/* The first n columns; false: it failed, and that is told. */
static bool run(struct gpu *gpu, enum probe_type type, const char *form, uint32_t n,
                enum probe_begin begin, float *to) {
    char kernel[80];
    const bool wgmma = strcmp(form, "chain") != 0;
    const uint32_t grid = N_PROBLEMS * (wgmma ? 1 : PROBE_ROWS / 16 * (n / 8));
    struct probe_chain_args args = {.n = n, .begin = begin};
    uint8_t *columns = malloc(N_PROBLEMS * n * PROBE_K_BYTES);
    float *sums = malloc(N_PROBLEMS * PROBE_ROWS * n * sizeof *sums);
    if (!columns || !sums) exit(1);
    for (uint32_t p = 0; p < N_PROBLEMS; p++) {
        memcpy(columns + p * n * PROBE_K_BYTES, b[p], n * PROBE_K_BYTES);
        for (uint32_t i = 0; i < PROBE_ROWS; i++)
            memcpy(sums + (p * PROBE_ROWS + i) * n, c[p][i], n * sizeof *sums);
    }
    void *on_a = gpu_upload(gpu, a, sizeof a);
    void *on_b = gpu_upload(gpu, columns, N_PROBLEMS * n * PROBE_K_BYTES);
    void *on_c = gpu_upload(gpu, sums, N_PROBLEMS * PROBE_ROWS * n * sizeof *sums);
    args.a = on_a;
    args.b = on_b;
    args.c = on_c;
    args.d = gpu_alloc(gpu, N_PROBLEMS * PROBE_ROWS * n * sizeof *sums);
    if (wgmma)
        snprintf(kernel, sizeof kernel, "probe_wgmma_%s_n%u_%s", type_names[type], n, form);
    else
        snprintf(kernel, sizeof kernel, "probe_chain_%s", type_names[type]);
    const bool ran = gpu_run(gpu, kernel, grid, wgmma ? PROBE_GROUP : 32,
                             wgmma ? PROBE_WGMMA_SHARED : 0, &args, sizeof args);
    if (ran) gpu_download(gpu, to, args.d, N_PROBLEMS * PROBE_ROWS * n * sizeof *sums);
    gpu_free(gpu, on_a);
    gpu_free(gpu, on_b);
    gpu_free(gpu, on_c);
    gpu_free(gpu, args.d);
    free(columns);
    free(sums);
    return ran;
}

struct count {
    size_t equal, all;
};

static void report(struct gpu *gpu, enum probe_type type, const char *form, const char *what,
                   struct count count, bool required) {
    char item[160];
    snprintf(item, sizeof item, "%s %s: %s", type_names[type],
             !strcmp(form, "chain")    ? "mma.sync"
             : !strcmp(form, "shared") ? "wgmma, A in shared memory"
                                       : "wgmma, A in registers",
             what);
    result_number("law", item, 100.0 * (double)count.equal / (double)count.all, "% equal bits");
    if ((required || gpu->emulated) && count.equal != count.all)
        gpu_fail(gpu, "%s: %zu of %zu equal", item, count.equal, count.all);
}

/* Of two results with different numbers of columns, those that both have. */
static struct count count_equal(const float *x, uint32_t x_n, const float *y, uint32_t y_n) {
    const uint32_t common = x_n < y_n ? x_n : y_n;
    size_t n_equal = 0;
    for (uint32_t row = 0; row < N_PROBLEMS * PROBE_ROWS; row++)
        for (uint32_t j = 0; j < common; j++)
            n_equal += !memcmp(x + row * x_n + j, y + row * y_n + j, sizeof *x);
    return (struct count){n_equal, (size_t)N_PROBLEMS * PROBE_ROWS * common};
}

/* ---- the questions ---- */

/* mma.sync's sums of 64 columns, against each way to add that is known. */
static void compare_models(struct gpu *gpu, enum probe_type type, const char *form) {
    const uint32_t n = 64, depth = type == PROBE_E4M3 ? 32 : 16;
    if (!run(gpu, type, form, n, PROBE_ONTO, found)) return;
    for (int m = 0; m < mma_n_models; m++) {
        const struct mma_model *model = &mma_models[m];
        size_t n_equal = 0;
        if ((uint32_t)model->group > depth) continue;
        for (int p = 0; p < N_PROBLEMS; p++)
            for (int row = 0; row < PROBE_ROWS; row++)
                for (uint32_t j = 0; j < n; j++) {
                    float x[PROBE_K_BYTES], y[PROBE_K_BYTES];
                    for (uint32_t k = 0; k < depth_of(type); k++) {
                        x[k] = get(type, a[p][row], k);
                        y[k] = get(type, b[p][j], k);
                    }
                    const float sum = mma_add(model, type, x, y, (int)depth_of(type), c[p][row][j]);
                    n_equal +=
                        !memcmp(&sum, &found[(p * PROBE_ROWS + row) * (int)n + (int)j], sizeof sum);
                }
        if (m == MMA_EMULATED)
            report(gpu, type, form, "as the emulator",
                   (struct count){n_equal, (size_t)N_PROBLEMS * PROBE_ROWS * n}, false);
        else {
            char item[160];
            snprintf(item, sizeof item, "%s %s: %s", type_names[type],
                     !strcmp(form, "chain") ? "mma.sync" : "wgmma", model->name);
            result_number("law", item,
                          100.0 * (double)n_equal / (N_PROBLEMS * PROBE_ROWS * (double)n),
                          "% equal bits");
        }
    }
}

/* `reference` holds mma.sync's 256 columns. */
static void compare_widths(struct gpu *gpu, enum probe_type type, const char *form) {
    static float widest[N_PROBLEMS * SUMS];
    if (!run(gpu, type, form, PROBE_MAX_N, PROBE_ONTO, widest)) return;
    report(gpu, type, form, "as mma.sync", count_equal(widest, PROBE_MAX_N, reference, PROBE_MAX_N),
           false);
    for (size_t i = 0; i + 1 < sizeof widths / sizeof *widths; i++) {
        char what[60];
        if (!run(gpu, type, form, widths[i], PROBE_ONTO, found)) return;
        snprintf(what, sizeof what, "%u columns as 256", widths[i]);
        report(gpu, type, form, what, count_equal(found, widths[i], widest, PROBE_MAX_N), false);
    }
}

static void compare_begins(struct gpu *gpu, enum probe_type type, const char *form) {
    static float zeroed[N_PROBLEMS * SUMS];
    if (!run(gpu, type, form, 64, PROBE_ZEROED, zeroed) ||
        !run(gpu, type, form, 64, PROBE_SCALE_D, found))
        return;
    report(gpu, type, form, "first product without a sum as onto zeros",
           count_equal(found, 64, zeroed, 64), false);
}

static void swap_operands(void) {
    static uint8_t rows[PROBE_ROWS][PROBE_K_BYTES];
    for (int p = 0; p < N_PROBLEMS; p++) {
        memcpy(rows, a[p], sizeof rows);
        memcpy(a[p], b[p], sizeof rows);
        memcpy(b[p], rows, sizeof rows);
        for (int i = 0; i < PROBE_ROWS; i++)
            for (int j = 0; j < i; j++) {
                const float x = c[p][i][j];
                c[p][i][j] = c[p][j][i];
                c[p][j][i] = x;
            }
    }
}
static void compare_swapped(struct gpu *gpu, enum probe_type type, const char *form) {
    static float swapped[N_PROBLEMS * SUMS];
    const uint32_t n = PROBE_ROWS;
    size_t n_equal = 0;
    if (!run(gpu, type, form, n, PROBE_ONTO, found)) return;
    swap_operands();
    const bool ran = run(gpu, type, form, n, PROBE_ONTO, swapped);
    swap_operands();
    if (!ran) return;
    for (uint32_t p = 0; p < N_PROBLEMS; p++)
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < n; j++)
                n_equal += !memcmp(&found[(p * n + i) * n + j], &swapped[(p * n + j) * n + i],
                                   sizeof *found);
    report(gpu, type, form, "operands swapped", (struct count){n_equal, (size_t)N_PROBLEMS * n * n},
           false);
}

/* Every third element of one operand becomes zero, once with the other as small there as anywhere
 * and once with the greatest number there is. */
static void compare_huge(struct gpu *gpu, enum probe_type type, const char *form) {
    static const float greatest[] = {0x1.fep127f, 65504.0f, 448.0f};
    static float huge[N_PROBLEMS * SUMS];
    for (int zero_in_b = 0; zero_in_b < 2; zero_in_b++) {
        fill(gpu, type);
        for (int pass = 0; pass < 2; pass++) {
            for (int p = 0; p < N_PROBLEMS; p++)
                for (uint32_t k = 0; k < depth_of(type); k += 3) {
                    for (int i = 0; i < PROBE_ROWS; i++) {
                        if (!zero_in_b)
                            put(type, a[p][i], k, 0);
                        else if (pass)
                            put(type, a[p][i], k, i % 2 ? greatest[type] : -greatest[type]);
                    }
                    for (int i = 0; i < PROBE_MAX_N; i++) {
                        if (zero_in_b)
                            put(type, b[p][i], k, 0);
                        else if (pass)
                            put(type, b[p][i], k, i % 2 ? greatest[type] : -greatest[type]);
                    }
                }
            if (!run(gpu, type, form, 64, PROBE_ONTO, pass ? huge : found)) return;
        }
        report(gpu, type, form, zero_in_b ? "huge A where B is zero" : "huge B where A is zero",
               count_equal(found, 64, huge, 64), !strcmp(form, "chain") && type != PROBE_E4M3);
    }
}

static void ask(struct gpu *gpu, enum probe_type type, bool wgmma) {
    static const char *const forms[] = {"chain", "shared", "registers"};
    for (int f = 0; f < (wgmma ? 3 : 1); f++) {
        fill(gpu, type);
        if (!run(gpu, type, "chain", PROBE_MAX_N, PROBE_ONTO, reference)) return;
        compare_models(gpu, type, forms[f]);
        if (f) compare_widths(gpu, type, forms[f]);
        if (f) compare_begins(gpu, type, forms[f]);
        compare_swapped(gpu, type, forms[f]);
        compare_huge(gpu, type, forms[f]);
    }
    if (!wgmma) return;
    fill(gpu, type);
    if (run(gpu, type, "shared", 128, PROBE_ONTO, reference) &&
        run(gpu, type, "registers", 128, PROBE_ONTO, found)) {
        report(gpu, type, "registers", "as A in shared memory",
               count_equal(found, 128, reference, 128), false);
    }
}

int main(int argc, char **argv) {
    struct gpu gpu;
    char text[100];
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    const bool wgmma = gpu.major == 9, e4m3 = gpu.major > 8 || (gpu.major == 8 && gpu.minor >= 9);
    bool loaded = gpu_load(&gpu, argv[0], "probe.fatbin");
    if (loaded && e4m3) loaded = gpu_load(&gpu, argv[0], "probe_e4m3.fatbin");
    if (loaded && wgmma) loaded = gpu_load(&gpu, argv[0], "probe_hopper.fatbin");
    snprintf(text, sizeof text, "skipped: compute capability %d.%d", gpu.major, gpu.minor);
    if (!e4m3) result_text("law", "mma.sync of e4m3", text);
    if (!wgmma) result_text("law", "wgmma", text);
    for (int type = PROBE_BF16; loaded && type <= (e4m3 ? PROBE_E4M3 : PROBE_F16); type++)
        ask(&gpu, (enum probe_type)type, wgmma);
    const int result = gpu_close(&gpu);
    return result == 0 && !loaded ? GPU_SKIP : result;
}
