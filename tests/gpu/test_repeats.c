/* The same product again and again: the same bits each time, every output written each time, and
 * the same bits for a row whatever else is in the call. What the selection chooses is what runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/kernels/gemm/gemm_tiles.h"
#include "random_gemm.h"

struct setup {
    struct gpu *gpu;
    struct cuda_properties properties;
    const struct random_weight *weight;
    const struct random_shape *shape;
    struct gemm_args x; /* what arguments tell of the rows of x, the most that there are */
    int n_repeats;
};

/* y[n_x][n_rows] of the first n_x rows of x, repeated; NULL: something failed. */
static float *product(const struct setup *setup, uint32_t n_x) {
    struct gpu *gpu = setup->gpu;
    const struct random_weight *w = setup->weight;
    const uint32_t padded = (uint32_t)weight_layout_padded_cols(w->n_cols);
    const uint32_t n_matrices = setup->shape->gate ? 2 : 1;
    const struct gemm_problem problem = {.type = w->type,
                                         .combine = setup->shape->gate ? GEMM_GATE : GEMM_STORE,
                                         .n_weights = n_matrices,
                                         .n_rows = {w->n_rows, w->n_rows},
                                         .n_cols = w->n_cols,
                                         .n_x = n_x};
    const struct gemm_choice choice = select_gemm(&setup->properties, &problem);
    const size_t n_bytes = (size_t)n_x * w->n_rows * sizeof(float);
    float *first = malloc(n_bytes), *again = malloc(n_bytes), *y = gpu_alloc(gpu, n_bytes);
    if (!first || !again) exit(1);
    uint32_t *counters = gpu_alloc(gpu, choice.n_counters * sizeof *counters);
    float *parts = gpu_alloc(gpu, choice.parts_bytes);
    if (choice.n_counters) {
        gpu->driver.set_u32((driver_address)(uintptr_t)counters, 0, choice.n_counters, gpu->stream);
        gpu->driver.stream_synchronize(gpu->stream);
    }
    struct gemm_args args = {
        .weights =
            {{.tiles = w->pool, .y = y, .n_rows = w->n_rows, .y_stride = w->n_rows},
             {.tiles = w->pool + w->bytes, .y = y, .n_rows = w->n_rows, .y_stride = w->n_rows}},
        .n_weights = n_matrices,
        .n_cols = padded,
        .x = setup->x.x,
        .x_scale = setup->x.x_scale,
        .x_block_scale = setup->x.x_block_scale,
        .x_block_stride = setup->x.x_block_stride,
        .x_stride = setup->x.x_stride,
        .n_x = n_x,
        .split_cols = choice.split_cols,
        .splits_apart = choice.splits_apart,
        .parts = parts,
        .counters = counters,
        .combine = problem.combine,
        .activation = 1,
    };
    struct gemm_hopper_args made;
    random_gemm_arguments(gpu, &choice, &args, &made);
    const void *taken = choice.warpgroups ? (const void *)&made : &made.gemm;
    const size_t n_taken = choice.warpgroups ? sizeof made : sizeof made.gemm;
    bool fine = true;
    for (int i = 0; fine && i < setup->n_repeats; i++) {
        gpu_poison(gpu, y, n_bytes);
        if (choice.parts_bytes) gpu_poison(gpu, parts, choice.parts_bytes);
        const char *wrong = gpu_launch_clusters(
            gpu, choice.launch.kernel, choice.launch.cluster ? choice.launch.cluster : 1,
            choice.launch.grid, choice.launch.threads, choice.launch.shared_bytes, taken, n_taken);
        if (wrong) gpu_fail(gpu, "%s", wrong);
        fine = !wrong;
        gpu_download(gpu, i ? again : first, y, n_bytes);
        for (size_t j = 0; i == 0 && j < n_bytes / sizeof(float); j++)
            if (!(first[j] == first[j])) { /* poison is NaN */
                gpu_fail(gpu, "%s: element %zu was not written", choice.launch.kernel, j);
                break;
            }
        if (i && memcmp(first, again, n_bytes))
            gpu_fail(gpu, "%s, %u rows: repetition %d has other bits", choice.launch.kernel, n_x,
                     i);
    }
    gpu_free(gpu, y);
    gpu_free(gpu, counters);
    gpu_free(gpu, parts);
    free(again);
    if (fine) return first;
    free(first);
    return NULL;
}

int main(int argc, char **argv) {
    static const enum weight_type types[] = {
        WEIGHT_BF16, WEIGHT_F16,  WEIGHT_F32,  WEIGHT_Q8_0,
        WEIGHT_Q4_0, WEIGHT_Q4_K, WEIGHT_Q6_K, (enum weight_type)LAYOUT_FP8_FP8};
    static const struct random_shape shapes[2][2] = {
        {{"1000 x 4096", 1000, 4096, false}, {"2 x 1000 x 2048", 1000, 2048, true}},
        {{"40 x 1024", 40, 1024, false}, {"2 x 40 x 256", 40, 256, true}}};
    static const uint32_t real_x[] = {1, 2, 7, 16, 33, 64, 200, 5000}, tiny_x[] = {1, 9};
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    struct setup setup = {.gpu = &gpu,
                          .properties = random_gemm_properties(&gpu),
                          .n_repeats = gpu.emulated ? 2 : 100};
    const uint32_t *xs = gpu.emulated ? tiny_x : real_x;
    const size_t n_xs = gpu.emulated ? 2 : 8;
    const uint32_t most = gpu.emulated ? 9 : 5000;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t s = 0; s < 2; s++) {
            if ((uint32_t)types[t] == LAYOUT_FP8_FP8 && !setup.properties.warpgroups) continue;
            const struct random_shape *shape = &shapes[gpu.emulated][s];
            struct random_weight weight = random_weight_make(&gpu, types[t], shape, 0);
            float *alone = NULL;
            setup.weight = &weight;
            setup.shape = shape;
            setup.x = (struct gemm_args){0};
            random_x_make(&gpu, types[t], most, shape->n_cols, &setup.x);
            for (size_t i = 0; i < n_xs; i++) {
                float *y = product(&setup, xs[i]);
                if (i && y && alone && memcmp(y, alone, shape->n_rows * sizeof *y))
                    gpu_fail(&gpu, "%s %s: the first of %u rows has other bits than alone",
                             random_type_name(types[t]), shape->what, xs[i]);
                if (i == 0)
                    alone = y;
                else
                    free(y);
            }
            printf("%s %s: %d repetitions\n", random_type_name(types[t]), shape->what,
                   setup.n_repeats);
            free(alone);
            random_x_free(&gpu, &setup.x);
            random_weight_free(&gpu, &weight);
        }
    return gpu_close(&gpu);
}
