/* Speeds of the GEMM kernels as they are selected, in percent of what the device does at most:
 * reading for few tokens, cuBLAS's product of the same shape for many. Weights are random and
 * cycled through 1 GiB, so that none is in the cache. cuBLAS is an oracle for bf16's values too. In
 * the emulator everything is tiny: what runs is tested, the figures say nothing. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cublas.h"
#include "cuda/kernels/gemm/gemm_hopper_tiles.h"
#include "cuda/kernels/gemm/gemm_tiles.h"
#include "cuda/select.h"
#include "gpu_test.h"
#include "probe_image.h"
#include "random_gemm.h"
#include "read_rate.h"
#include "results.h"
#include "tests/gpu/probe_args.h"
#include "timing.h"

struct bench {
    struct gpu *gpu;
    struct cuda_properties properties;
    struct timing timing;
    struct cublas cublas;
    bool has_cublas;
    double most_read; /* bytes a second; 0: not measured */
    size_t pool_bytes;
};

/* ---- one launch for each copy ---- */

struct run {
    struct bench *bench;
    const struct random_weight *weight;
    struct timed_kernel kernel;
    struct gemm_hopper_args args;
    void *taken; /* what of it the kernel takes */
    uint32_t n_launches;
    size_t copy_bytes;
    bool waits; /* the kernel's code for this device has a wait for the launch before */
};
static bool run_copies(void *user, int repeat) {
    struct run *run = user;
    (void)repeat;
    for (uint32_t i = 0; i < run->n_launches; i++) {
        const uint8_t *copy = run->weight->pool + i % run->weight->n_copies * run->copy_bytes;
        run->args.gemm.weights[0].tiles = copy;
        run->args.gemm.weights[1].tiles = copy + run->weight->bytes;
        run->kernel.dependent = i > 0 && run->waits;
        if (!timing_launch(run->bench->gpu, &run->kernel, run->taken)) return false;
    }
    return true;
}

struct library_run {
    struct cublas *cublas;
    void *w, *x, *y;
    int n_rows, n_cols, n_x;
};
static bool run_library(void *user, int repeat) {
    const struct library_run *run = user;
    (void)repeat;
    return cublas_linear(run->cublas, run->w, run->x, run->y, run->n_rows, run->n_cols, run->n_x) ==
           0;
}

/* Seconds of cuBLAS for the same shape in bf16, and how far our values are from its. */
static double ask_library(struct bench *bench, const struct random_weight *weight, const void *x,
                          const float *y, uint32_t n_x, const char *item) {
    struct gpu *gpu = bench->gpu;
    const size_t row = weight->n_cols * sizeof(uint16_t), n = (size_t)n_x * weight->n_rows;
    struct library_run run = {.cublas = &bench->cublas,
                              .n_rows = (int)weight->n_rows,
                              .n_cols = (int)weight->n_cols,
                              .n_x = (int)n_x};
    uint8_t *w = gpu_alloc(gpu, weight->n_rows * row);
    for (uint32_t r = 0; r < weight->n_rows; r += LAYOUT_ROWS)
        gpu_write(gpu, w + r * row, weight->rows,
                  (weight->n_rows - r < LAYOUT_ROWS ? weight->n_rows - r : LAYOUT_ROWS) * row);
    run.w = w;
    run.x = (void *)(uintptr_t)x;
    run.y = gpu_alloc(gpu, n * sizeof(float));
    const double seconds = timing_median(&bench->timing, run_library, &run);
    float *ours = malloc(n * sizeof *ours), *theirs = malloc(n * sizeof *theirs);
    if (!ours || !theirs) exit(1);
    gpu_download(gpu, ours, y, n * sizeof *ours);
    gpu_download(gpu, theirs, run.y, n * sizeof *theirs);
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        const double apart = (double)ours[i] - (double)theirs[i];
        difference += apart * apart;
        size += (double)theirs[i] * (double)theirs[i];
    }
    const double error = sqrt(difference / size);
    result_number("speed", item, error, "of cuBLAS's norm apart");
    if (!(error < 1e-4)) gpu_fail(gpu, "%s: %g", item, error);
    free(ours);
    free(theirs);
    gpu_free(gpu, w);
    gpu_free(gpu, run.y);
    return seconds;
}

static void time_gemm(struct bench *bench, const struct random_weight *weight,
                      const struct random_shape *shape, uint32_t n_x,
                      const struct gemm_choice *choice) {
    struct gpu *gpu = bench->gpu;
    const uint32_t n_matrices = shape->gate ? 2 : 1;
    const uint32_t padded = (uint32_t)weight_layout_padded_cols(shape->n_cols);
    struct run run = {.bench = bench, .weight = weight, .copy_bytes = n_matrices * weight->bytes};
    char item[160];
    const char *name = random_type_name(weight->type);
    float *y = gpu_alloc(gpu, (size_t)n_x * shape->n_rows * sizeof *y);
    struct gemm_args args = {
        .weights = {{.y = y, .n_rows = shape->n_rows, .y_stride = shape->n_rows},
                    {.y = y, .n_rows = shape->n_rows, .y_stride = shape->n_rows}},
        .n_weights = n_matrices,
        .n_cols = padded,
        .n_x = n_x,
        .split_cols = choice->split_cols,
        .splits_apart = choice->splits_apart,
        .combine = shape->gate ? GEMM_GATE : GEMM_STORE,
        .activation = 1, /* SiLU */
    };
    random_x_make(gpu, weight->type, n_x, shape->n_cols, &args);
    args.parts = gpu_alloc(gpu, choice->parts_bytes);
    args.counters = gpu_alloc(gpu, choice->n_counters * sizeof(uint32_t));
    random_gemm_arguments(gpu, choice, &args, &run.args);
    run.taken = choice->warpgroups ? (void *)&run.args : &run.args.gemm;
    if (choice->n_counters)
        gpu->driver.set_u32((driver_address)(uintptr_t)args.counters, 0, choice->n_counters,
                            gpu->stream);
    /* Many tokens take long: fewer launches then. */
    run.n_launches = n_x >= 512 ? 4 : weight->n_copies < 64 ? weight->n_copies : 64;
    if (gpu->emulated) run.n_launches = 1;
    if (timing_find_kernel(gpu, choice->launch.kernel, choice->launch.grid, choice->launch.threads,
                           choice->launch.shared_bytes, &run.kernel)) {
        int compiled_for = 0;
        run.kernel.cluster = choice->launch.cluster;
        gpu->driver.kernel_get_attribute(&compiled_for, DRIVER_KERNEL_PTX_VERSION,
                                         run.kernel.kernel, gpu->device);
        run.waits = compiled_for >= 90 && gpu->driver.version >= 12030;
        const double seconds =
            timing_median_of_graph(&bench->timing, run_copies, &run) / run.n_launches;
        snprintf(item, sizeof item, "%s %s, %u tokens: %s, %u blocks, splits of %u", name,
                 shape->what, n_x, choice->launch.kernel, choice->launch.grid, choice->split_cols);
        if (seconds > 0 && n_x <= 64) {
            const double rate = (double)run.copy_bytes / seconds;
            result_number("speed", item, rate * 1e-9, "GB/s of weights");
            if (bench->most_read > 0)
                result_number("speed", item, 100 * rate / bench->most_read, "% of reading");
        }
        const double rate = 2.0 * shape->n_rows * shape->n_cols * n_x * n_matrices / seconds;
        if (seconds > 0 && n_x >= 64) result_number("speed", item, rate * 1e-12, "TFLOP/s");
        if (seconds > 0 && weight->rows && bench->has_cublas && !shape->gate) {
            const double theirs =
                ask_library(bench, weight, (void *)(uintptr_t)args.x, y, n_x, item);
            /* Its weights are in the cache, which helps few tokens only. */
            if (theirs > 0 && n_x >= 512)
                result_number("speed", item, 100 * theirs / seconds, "% of cuBLAS's speed");
        }
    }
    random_x_free(gpu, &args);
    gpu_free(gpu, y);
    gpu_free(gpu, args.parts);
    gpu_free(gpu, args.counters);
}

static void time_selected(struct bench *bench, const struct random_weight *weight,
                          const struct random_shape *shape, uint32_t n_x) {
    const struct gemm_problem problem = {.type = weight->type,
                                         .combine = shape->gate ? GEMM_GATE : GEMM_STORE,
                                         .n_weights = shape->gate ? 2 : 1,
                                         .n_rows = {shape->n_rows, shape->n_rows},
                                         .n_cols = shape->n_cols,
                                         .n_x = n_x};
    const struct gemm_choice choice = select_gemm(&bench->properties, &problem);
    time_gemm(bench, weight, shape, n_x, &choice);
}

/* The kernel of one token, a block for each tile and split. */
static struct gemm_choice narrowest(const struct bench *bench, const struct random_weight *weight,
                                    uint32_t gate, uint32_t split_cols, char kernel[64]) {
    const bool hopper = bench->properties.warpgroups && weight->type != WEIGHT_F32;
    const uint32_t n = hopper ? gemm_hopper_n(0) : gemm_tile_n(0);
    const struct gemm_tile tile = gemm_tile_of(weight->type, gate, n);
    const struct gemm_hopper_tile hopper_tile = gemm_hopper_tile_of(weight->type, gate, n);
    const uint32_t rows = hopper ? GEMM_HOPPER_ROWS : tile.rows;
    const uint32_t n_row_blocks = (weight->n_rows + rows - 1) / rows;
    const uint32_t n_splits = (weight->n_cols - 1) / split_cols + 1;
    snprintf(kernel, 64, "gemm_%s%s_n%u%s", hopper ? "hopper_" : "", random_type_name(weight->type),
             n, gate ? "_gate" : "");
    for (char *c = kernel; *c; c++) *c = (char)tolower((unsigned char)*c);
    return (struct gemm_choice){
        .launch = {.kernel = kernel,
                   .grid = n_row_blocks * n_splits,
                   .threads = hopper ? GEMM_HOPPER_THREADS : tile.threads,
                   .shared_bytes = hopper ? hopper_tile.shared_bytes : tile.shared_bytes},
        .split_cols = split_cols,
        .splits_apart = n_splits > 1,
        .parts_bytes = (uint64_t)n_row_blocks * n_splits *
                       (hopper ? gemm_hopper_part_bytes(gate, n) : gemm_tile_part_bytes(gate, n)),
        .n_counters = n_row_blocks,
        .tile_rows = n,
        .warpgroups = hopper};
}

/* One token, columns split into 1, 2, 4 … parts: what the law of splits is to be frozen by. */
static void time_splits(struct bench *bench, const struct random_weight *weight,
                        const struct random_shape *shape) {
    const uint32_t n_pieces = (shape->n_cols - 1) / GEMM_SPLIT_MULTIPLE + 1;
    for (uint32_t wanted = 1; wanted <= 16 && wanted <= n_pieces; wanted *= 2) {
        char kernel[64];
        const uint32_t split_cols = ((n_pieces - 1) / wanted + 1) * GEMM_SPLIT_MULTIPLE;
        const struct gemm_choice choice = narrowest(bench, weight, shape->gate, split_cols, kernel);
        time_gemm(bench, weight, shape, 1, &choice);
    }
}

/* ---- what is measured ---- */

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Every type with every shape for every number of tokens. */
struct set {
    const enum weight_type *types;
    const struct random_shape *shapes;
    const uint32_t *xs;
    size_t n_types, n_shapes, n_xs;
};

static const enum weight_type usual_types[] = {WEIGHT_BF16, WEIGHT_F16,  WEIGHT_Q8_0, WEIGHT_Q4_0,
                                               WEIGHT_Q4_K, WEIGHT_Q6_K, WEIGHT_F32};
static const struct random_shape usual_shapes[] = {{"4096 x 4096", 4096, 4096, false},
                                                   {"1024 x 4096", 1024, 4096, false},
                                                   {"2 x 14336 x 4096", 14336, 4096, true},
                                                   {"4096 x 14336", 4096, 14336, false}};
static const uint32_t usual_xs[] = {1, 8, 16, 64, 512, 4096};

/* Of the table that bench.sh makes: squares, and the projections of models of 1B, 8B and 70B. */
static const struct random_shape squares[] = {{"2048 x 2048", 2048, 2048, false},
                                              {"4096 x 4096", 4096, 4096, false},
                                              {"8192 x 8192", 8192, 8192, false}};
static const uint32_t square_xs[] = {2048, 4096, 8192};
static const struct random_shape projections[] = {
    {"512 x 2048", 512, 2048, false},        {"2 x 8192 x 2048", 8192, 2048, true},
    {"2048 x 8192", 2048, 8192, false},      {"1024 x 4096", 1024, 4096, false},
    {"2 x 14336 x 4096", 14336, 4096, true}, {"4096 x 14336", 4096, 14336, false},
    {"1024 x 8192", 1024, 8192, false},      {"2 x 28672 x 8192", 28672, 8192, true},
    {"8192 x 28672", 8192, 28672, false}};
static const uint32_t many_xs[] = {512, 2048, 8192}, few_xs[] = {1, 8, 16, 32, 64};
static const enum weight_type few_types[] = {WEIGHT_BF16, WEIGHT_Q8_0, WEIGHT_Q4_K};
static const enum weight_type fp8_types[] = {(enum weight_type)LAYOUT_FP8_FP8,
                                             (enum weight_type)LAYOUT_FP8};

static const struct random_shape tiny_shapes[] = {{"96 x 512", 96, 512, false},
                                                  {"2 x 64 x 256", 64, 256, true}};
static const uint32_t tiny_xs[] = {1, 9};

#define SET(types, shapes, xs) \
    { types, shapes, xs, COUNT(types), COUNT(shapes), COUNT(xs) }
static const struct set tiny = {usual_types, tiny_shapes, tiny_xs, 2, 2, 2};
static const struct set tiny_fp8 = {fp8_types, tiny_shapes, tiny_xs, 2, 2, 2};
/* Codes of e4m3, with activations of e4m3 where there are kernels for them. */
static const struct set fp8[] = {{fp8_types, squares + 1, square_xs + 1, 1, 2, 2},
                                 {fp8_types, projections, many_xs, 1, COUNT(projections), 3},
                                 {fp8_types, projections, few_xs, 2, COUNT(projections), 3}};
static const struct set usual[] = {SET(usual_types, usual_shapes, usual_xs)};
static const struct set table[] = {{few_types, squares, square_xs, 1, 1, 1},
                                   {few_types, squares + 1, square_xs + 1, 1, 1, 1},
                                   {few_types, squares + 2, square_xs + 2, 1, 1, 1},
                                   SET(few_types, squares, few_xs),
                                   SET(few_types, projections, few_xs),
                                   {few_types, projections, many_xs, 1, COUNT(projections), 3}};

static void time_set(struct bench *bench, const struct set *set, bool splits) {
    for (size_t t = 0; t < set->n_types; t++) {
        if ((uint32_t)set->types[t] == LAYOUT_FP8_FP8 && !bench->properties.warpgroups) continue;
        for (size_t s = 0; s < set->n_shapes; s++) {
            struct random_weight weight =
                random_weight_make(bench->gpu, set->types[t], &set->shapes[s], bench->pool_bytes);
            if (splits) time_splits(bench, &weight, &set->shapes[s]);
            for (size_t i = 0; !splits && i < set->n_xs; i++)
                time_selected(bench, &weight, &set->shapes[s], set->xs[i]);
            random_weight_free(bench->gpu, &weight);
        }
    }
}

/* usage: gpu_speed [splits | table | fp8] [SEED] */
int main(int argc, char **argv) {
    struct gpu gpu;
    char why[400];
    const bool splits = argc > 1 && !strcmp(argv[1], "splits");
    const bool whole_table = argc > 1 && !strcmp(argv[1], "table");
    const bool of_fp8 = argc > 1 && !strcmp(argv[1], "fp8");
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    struct bench bench = {.gpu = &gpu,
                          .properties = random_gemm_properties(&gpu),
                          .pool_bytes = gpu.emulated ? 2 * PROBE_STEP : (size_t)1 << 30};
    timing_open(&bench.timing, &gpu);
    if (probe_image_load(&gpu, argv[0]))
        bench.most_read = read_rate(&bench.timing, bench.pool_bytes);
    if (!gpu.emulated) bench.has_cublas = cublas_open(&bench.cublas, gpu.stream, why, sizeof why);
    if (!bench.has_cublas)
        result_text("speed", "cuBLAS", gpu.emulated ? "the device is emulated" : why);
    const struct set *sets = whole_table ? table : of_fp8 ? fp8 : usual;
    size_t n_sets = whole_table ? COUNT(table) : of_fp8 ? COUNT(fp8) : COUNT(usual);
    if (gpu.emulated) {
        sets = of_fp8 ? &tiny_fp8 : &tiny;
        n_sets = 1;
    }
    for (size_t i = 0; i < n_sets; i++) time_set(&bench, &sets[i], splits);
    if (bench.has_cublas) cublas_close(&bench.cublas);
    timing_close(&bench.timing);
    return gpu_close(&gpu);
}
