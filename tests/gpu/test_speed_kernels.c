/* Speeds of attention, in percent of reading where one token is decoded and of cuBLAS's product for
 * prompts, and times of the kernels between the products. Keys and values are cycled through 1 GiB,
 * so that none is in the cache. In the emulator everything is tiny: what runs is tested, the
 * figures say nothing.
 *
 * usage: test_speed_kernels [attention | elementwise] [SEED]   both of them without any */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_map.h"
#include "cublas.h"
#include "cuda/attention_plan.h"
#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/select.h"
#include "gpu_test.h"
#include "probe_image.h"
#include "random_gemm.h"
#include "read_rate.h"
#include "results.h"
#include "timing.h"

struct bench {
    struct gpu *gpu;
    struct cuda_properties properties;
    struct timing timing;
    double most_read;    /* bytes a second; 0: not measured */
    double most_product; /* operations a second; 0: not measured */
    size_t pool_bytes;
};

static void *take(size_t bytes) {
    void *memory = calloc(bytes ? bytes : 1, 1);
    if (!memory) exit(1);
    return memory;
}

static float *random_floats(struct gpu *gpu, size_t n) { /* of the device */
    float *host = take(n * sizeof *host);
    for (size_t i = 0; i < n; i++) host[i] = gpu_random_float(gpu, -2, 2);
    float *x = gpu_upload(gpu, host, n * sizeof *host);
    free(host);
    return x;
}

/* ---- ceilings ---- */

struct product {
    struct cublas *cublas;
    void *w, *x, *y;
    int n;
};
static bool multiply(void *user, int repeat) {
    const struct product *p = user;
    (void)repeat;
    return cublas_linear(p->cublas, p->w, p->x, p->y, p->n, p->n, p->n) == 0;
}
static double product_rate(struct bench *bench) {
    struct gpu *gpu = bench->gpu;
    struct cublas cublas;
    char why[400];
    const size_t n = 8192;
    if (gpu->emulated || !cublas_open(&cublas, gpu->stream, why, sizeof why)) {
        result_text("speed", "cuBLAS", gpu->emulated ? "the device is emulated" : why);
        return 0;
    }
    uint16_t *host = take(n * n * sizeof *host);
    for (size_t i = 0; i < n * n; i++) /* bf16 of magnitude 1/2 ... 2, either sign */
        host[i] = (uint16_t)(0x3f00 + (gpu_random(gpu) & 0x80ff));
    struct product product = {.cublas = &cublas, .n = (int)n};
    product.w = gpu_upload(gpu, host, n * n * sizeof *host);
    product.x = gpu_upload(gpu, host, n * n * sizeof *host);
    product.y = gpu_alloc(gpu, n * n * sizeof(float));
    const double seconds = timing_median(&bench->timing, multiply, &product);
    free(host);
    gpu_free(gpu, product.w);
    gpu_free(gpu, product.x);
    gpu_free(gpu, product.y);
    cublas_close(&cublas);
    return seconds > 0 ? 2.0 * (double)n * (double)n * (double)n / seconds : 0;
}

/* ---- attention ---- */

struct problem {
    uint32_t kv_type, head_dim, n_heads, n_kv_heads;
    uint32_t latent_dim;               /* 0; or of the values, the first dims of the keys */
    int64_t n_sequences, n_rows, past; /* rows and earlier tokens of each sequence */
};

static uint32_t stored_bytes(uint32_t type, uint32_t dim) { /* of a head in a page */
    return type == CUDA_KV_Q8_0 ? ATTENTION_PAGE * (dim + dim / 32 * 2) : ATTENTION_PAGE * dim * 2;
}

static uint32_t value_dim_of(const struct problem *p) {
    return p->latent_dim ? p->latent_dim : p->head_dim;
}

/* One page of all heads. */
static uint8_t *make_page(struct gpu *gpu, const struct problem *p, uint32_t page_bytes) {
    const uint32_t n_values = ATTENTION_PAGE * p->head_dim,
                   head = stored_bytes(p->kv_type, p->head_dim);
    uint8_t *page = take(page_bytes);
    for (uint32_t at = 0; at < page_bytes; at += head) {
        for (uint32_t i = 0; i < n_values; i++) {
            const uint16_t bits = half_from_float(gpu_random_float(gpu, -1, 1));
            if (p->kv_type == CUDA_KV_Q8_0)
                page[at + i] = (uint8_t)(gpu_random(gpu) % 255 - 127);
            else
                memcpy(page + at + 2 * i, &bits, sizeof bits);
        }
        for (uint32_t i = 0; p->kv_type == CUDA_KV_Q8_0 && i < n_values / 32; i++) {
            const uint16_t scale = half_from_float(gpu_random_float(gpu, 0.005f, 0.01f));
            memcpy(page + at + n_values + 2 * i, &scale, sizeof scale);
        }
    }
    return page;
}

struct attention_run {
    struct gpu *gpu;
    struct timed_kernel attention, merge;
    struct attention_args args;
    struct attention_hopper_args hopper; /* if the kernel takes these: of args */
    bool warpgroups;
    const int32_t *pages;                  /* all copies' */
    int64_t n_pages, n_copies, n_launches; /* n_pages: of one copy */
    bool merges;
};
static bool run_attention(void *user, int repeat) {
    struct attention_run *run = user;
    (void)repeat;
    for (int64_t i = 0; i < run->n_launches; i++) {
        run->args.kv.pages = run->pages + i % run->n_copies * run->n_pages;
        run->hopper.attention.kv.pages = run->args.kv.pages;
        if (!timing_launch(run->gpu, &run->attention,
                           run->warpgroups ? (void *)&run->hopper : &run->args))
            return false;
        if (run->merges && !timing_launch(run->gpu, &run->merge, &run->args)) return false;
    }
    return true;
}

/* The step's work list, as a context makes it. */
static void plan(struct bench *bench, const struct problem *p,
                 const struct attention_choice *choice, struct attention_run *run) {
    struct gpu *gpu = bench->gpu;
    const struct attention_geometry geometry = {.n_heads = p->n_heads,
                                                .n_kv_heads = p->n_kv_heads,
                                                .key_dim = p->head_dim,
                                                .value_dim = value_dim_of(p),
                                                .values_in_keys = p->latent_dim != 0};
    struct step_sequence *sequences = take((size_t)p->n_sequences * sizeof *sequences);
    for (int64_t i = 0; i < p->n_sequences; i++) {
        sequences[i].first_row = i * p->n_rows;
        sequences[i].n_rows = p->n_rows;
        sequences[i].position = p->past;
    }
    const struct step step = {.n_rows = p->n_sequences * p->n_rows,
                              .n_sequences = p->n_sequences,
                              .sequences = sequences};
    struct attention_limits limits = {.rows_per_item = choice->rows_per_item,
                                      .tile_queries = choice->tile_queries,
                                      .n_blocks = choice->launch.grid,
                                      .max_merges = 1 << 16};
    limits.max_items =
        attention_plan_least_items(&geometry, &limits, step.n_rows, step.n_sequences) +
        8 * limits.n_blocks;
    limits.max_slots =
        (32 << 20) / (int64_t)(CUDA_ATTENTION_PART_FLOATS(value_dim_of(p)) * sizeof(float));
    struct attention_plan made = {.items = take((size_t)limits.max_items * sizeof *made.items),
                                  .merges = take((size_t)limits.max_merges * sizeof *made.merges)};
    attention_plan_make(&geometry, &limits, &step, &made);
    const uint32_t n_items = (uint32_t)made.n_items, n_merges = (uint32_t)made.n_merges;
    struct attention_args *args = &run->args;
    args->items = gpu_upload(gpu, made.items, ((size_t)n_items + 1) * sizeof *made.items);
    args->merges = gpu_upload(gpu, made.merges, ((size_t)n_merges + 1) * sizeof *made.merges);
    args->n_items = gpu_upload(gpu, &n_items, sizeof n_items);
    args->n_merges = gpu_upload(gpu, &n_merges, sizeof n_merges);
    args->parts = gpu_alloc(gpu, ((size_t)made.n_slots + 1) *
                                     CUDA_ATTENTION_PART_FLOATS(value_dim_of(p)) * sizeof(float));
    run->merges = n_merges > 0;
    free(made.items);
    free(made.merges);
    free(sequences);
}

/* Rows and page tables; the pool. */
static void fill(struct bench *bench, const struct problem *p, struct attention_run *run) {
    struct gpu *gpu = bench->gpu;
    const int64_t n_rows = p->n_sequences * p->n_rows;
    const int64_t of_sequence = (p->past + p->n_rows + ATTENTION_PAGE - 1) / ATTENTION_PAGE;
    const uint32_t head = stored_bytes(p->kv_type, p->head_dim);
    const uint32_t n_halves = p->latent_dim ? 1 : 2, page_bytes = n_halves * head * p->n_kv_heads;
    run->n_pages = of_sequence * p->n_sequences;
    run->n_copies = (int64_t)bench->pool_bytes / (run->n_pages * page_bytes);
    if (run->n_copies < 1 || p->n_rows > 1) run->n_copies = 1;
    const int64_t n_all = run->n_pages * run->n_copies;
    uint8_t *page = make_page(gpu, p, page_bytes);
    uint8_t *pool = gpu_alloc(gpu, (size_t)n_all * page_bytes);
    int32_t *pages = take((size_t)n_all * sizeof *pages);
    uint32_t *pages_at = take((size_t)p->n_sequences * sizeof *pages_at);
    int64_t *position = take((size_t)n_rows * sizeof *position);
    int32_t *sequence = take((size_t)n_rows * sizeof *sequence);
    for (int64_t i = 0; i < n_all; i++) {
        gpu_write(gpu, pool + i * page_bytes, page, page_bytes);
        pages[i] = (int32_t)(i ^ 1) < n_all ? (int32_t)(i ^ 1) : (int32_t)i; /* not in order */
    }
    for (int64_t i = 0; i < p->n_sequences; i++) pages_at[i] = (uint32_t)(i * of_sequence);
    for (int64_t i = 0; i < n_rows; i++) {
        position[i] = p->past + i % p->n_rows;
        sequence[i] = (int32_t)(i / p->n_rows);
    }
    run->pages = gpu_upload(gpu, pages, (size_t)n_all * sizeof *pages);
    run->args.rows.position = gpu_upload(gpu, position, (size_t)n_rows * sizeof *position);
    run->args.rows.sequence = gpu_upload(gpu, sequence, (size_t)n_rows * sizeof *sequence);
    run->args.kv = (struct kv_stream_args){
        .pool = pool,
        .page_bytes = page_bytes,
        .v_offset = p->latent_dim ? 0 : head,
        .head_bytes = n_halves * head,
        .type = p->kv_type,
        .key_dim = p->head_dim,
        .value_dim = value_dim_of(p),
        .n_kv_heads = p->n_kv_heads,
        .pages_at = gpu_upload(gpu, pages_at, (size_t)p->n_sequences * sizeof *pages_at)};
    free(page);
    free(pages);
    free(pages_at);
    free(position);
    free(sequence);
}

static void time_attention(struct bench *bench, const struct problem *p) {
    struct gpu *gpu = bench->gpu;
    const int64_t n_rows = p->n_sequences * p->n_rows;
    const uint32_t width = p->n_heads * p->head_dim, value_dim = value_dim_of(p);
    struct attention_run run = {.gpu = gpu};
    const struct attention_problem problem = {.kv_type = p->kv_type,
                                              .key_dim = p->head_dim,
                                              .value_dim = value_dim,
                                              .n_heads = p->n_heads,
                                              .n_kv_heads = p->n_kv_heads,
                                              .values_in_keys = p->latent_dim != 0};
    const struct attention_choice choice = select_attention(&bench->properties, &problem);
    char item[160];
    snprintf(item, sizeof item, "%s, %lld x %lld tokens after %lld, %u / %u heads of %u%s",
             attention_type_names[p->kv_type], (long long)p->n_sequences, (long long)p->n_rows,
             (long long)p->past, p->n_heads, p->n_kv_heads, p->head_dim,
             choice.warpgroups ? ", wgmma" : "");
    if (!choice.launch.kernel) {
        result_text("speed", item, "no kernel has the shared memory that it needs");
        return;
    }
    fill(bench, p, &run);
    plan(bench, p, &choice, &run);
    run.args.q = random_floats(gpu, (size_t)n_rows * width);
    run.args.out = gpu_alloc(gpu, (size_t)n_rows * p->n_heads * value_dim * sizeof(float));
    run.args.q_stride = width;
    run.args.out_stride = p->n_heads * value_dim;
    run.args.n_heads = p->n_heads;
    run.args.scale = 1 / sqrtf((float)p->head_dim);
    run.args.stages = choice.stages;
    run.warpgroups = choice.warpgroups;
    if (run.warpgroups)
        attention_map_make(gpu, &run.args, (uint64_t)(run.n_pages * run.n_copies), &run.hopper);
    run.n_launches = gpu->emulated || p->n_rows > 1 ? 1 : run.n_copies < 32 ? run.n_copies : 32;
    const struct launch_shape *shape = &choice.launch, *merge = &choice.merge;
    if (timing_find_kernel(gpu, shape->kernel, shape->grid, shape->threads, shape->shared_bytes,
                           &run.attention) &&
        timing_find_kernel(gpu, merge->kernel, merge->grid, merge->threads, merge->shared_bytes,
                           &run.merge)) {
        const double seconds =
            timing_median(&bench->timing, run_attention, &run) / (double)run.n_launches;
        /* Keys that queries see, times two products. */
        const double keys = (double)n_rows * ((double)p->past + (double)(p->n_rows + 1) / 2);
        const double rate = 2.0 * keys * p->n_heads * (p->head_dim + value_dim) / seconds;
        const double bytes = (double)run.n_pages * (double)run.args.kv.page_bytes / seconds;
        if (seconds > 0) result_number("speed", item, seconds * 1e6, "us");
        if (seconds > 0 && p->n_rows == 1) {
            result_number("speed", item, bytes * 1e-9, "GB/s of keys and values");
            if (bench->most_read > 0)
                result_number("speed", item, 100 * bytes / bench->most_read, "% of reading");
        } else if (seconds > 0) {
            result_number("speed", item, rate * 1e-12, "TFLOP/s");
            if (bench->most_product > 0)
                result_number("speed", item, 100 * rate / bench->most_product,
                              "% of cuBLAS's product");
        }
    }
    const void *lent[] = {run.args.items,    run.args.merges,        run.args.n_items,
                          run.args.n_merges, run.args.parts,         run.args.q,
                          run.args.out,      run.args.rows.position, run.args.rows.sequence,
                          run.args.kv.pool,  run.args.kv.pages_at,   run.pages};
    for (size_t i = 0; i < sizeof lent / sizeof *lent; i++)
        gpu_free(gpu, (void *)(uintptr_t)lent[i]);
}

/* Sequences, rows and past of the steps that are timed. */
typedef int64_t attention_step[3];
static const attention_step tiny_steps[] = {{1, 9, 0}, {2, 1, 70}};

static void time_steps(struct bench *bench, const struct problem *heads,
                       const attention_step *steps, size_t n) {
    const bool small = bench->gpu->emulated;
    for (size_t i = 0; i < (small ? sizeof tiny_steps / sizeof *tiny_steps : n); i++) {
        const int64_t *of = small ? tiny_steps[i] : steps[i];
        struct problem p = *heads;
        p.n_sequences = of[0];
        p.n_rows = of[1];
        p.past = of[2];
        time_attention(bench, &p);
    }
}

static void time_attentions(struct bench *bench) {
    static const uint32_t types[] = {CUDA_KV_F16, CUDA_KV_Q8_0}, dims[] = {128, 64};
    static const attention_step steps[] = {{1, 8192, 0}, {1, 512, 7680}, {1, 1, 1023},
                                           {1, 1, 8191}, {1, 1, 32767},  {32, 1, 1023},
                                           {8, 1, 8191}};
    static const attention_step fewer[] = {{1, 2048, 0}, {1, 1, 8191}, {1, 1, 32767}, {8, 1, 8191}};
    const bool small = bench->gpu->emulated;
    for (int t = 0; t < 2; t++) {
        for (int d = 0; d < 2; d++)
            time_steps(bench,
                       &(struct problem){.kv_type = types[t],
                                         .head_dim = dims[d],
                                         .n_heads = small ? 4 : 32,
                                         .n_kv_heads = small ? 2 : 8},
                       steps, sizeof steps / sizeof *steps);
        time_steps(bench,
                   &(struct problem){.kv_type = types[t],
                                     .head_dim = 256,
                                     .n_heads = small ? 4 : 16,
                                     .n_kv_heads = small ? 2 : 8},
                   fewer, sizeof fewer / sizeof *fewer);
    }
    for (uint32_t n_heads = 16; n_heads <= 128; n_heads *= 8)
        if (!small || n_heads == 16)
            time_steps(bench,
                       &(struct problem){.kv_type = CUDA_KV_F16,
                                         .head_dim = 576,
                                         .latent_dim = 512,
                                         .n_heads = n_heads,
                                         .n_kv_heads = 1},
                       fewer, sizeof fewer / sizeof *fewer);
}

/* ---- what lies between the products ---- */

struct kernel_run {
    struct gpu *gpu;
    struct timed_kernel kernel;
    void *args;
};
static bool run_kernel(void *user, int repeat) {
    struct kernel_run *run = user;
    (void)repeat;
    for (int i = 0; i < (run->gpu->emulated ? 1 : 16); i++)
        if (!timing_launch(run->gpu, &run->kernel, run->args)) return false;
    return true;
}

/* bytes: read and written; 0: the time alone says something. */
static void time_kernel(struct bench *bench, const char *item, const struct launch_shape *shape,
                        void *args, double bytes) {
    struct kernel_run run = {.gpu = bench->gpu, .args = args};
    if (!timing_find_kernel(bench->gpu, shape->kernel, shape->grid, shape->threads,
                            shape->shared_bytes, &run.kernel))
        return;
    const double seconds =
        timing_median(&bench->timing, run_kernel, &run) / (bench->gpu->emulated ? 1 : 16);
    if (seconds <= 0) return;
    result_number("speed", item, seconds * 1e6, "us");
    if (bytes > 0) result_number("speed", item, bytes / seconds * 1e-9, "GB/s");
}

static void time_norm(struct bench *bench, uint32_t n_rows, uint32_t n_cols) {
    struct gpu *gpu = bench->gpu;
    char item[100];
    float *x = random_floats(gpu, (size_t)n_rows * n_cols);
    float *weight = random_floats(gpu, n_cols);
    void *to = gpu_alloc(gpu, (size_t)n_rows * n_cols * 2);
    struct norm_args args = {.in = x,
                             .norm = {.weight = weight, .kind = KIND_NORM_RMS, .eps = 1e-5f},
                             .to = {[CUDA_ACTIVATION_BF16] = to},
                             .to_stride = {[CUDA_ACTIVATION_BF16] = n_cols * 2},
                             .in_stride = n_cols,
                             .n_rows = n_rows,
                             .n_cols = n_cols,
                             .n_padded = n_cols};
    const struct launch_shape shape = {"norm_prepare", n_rows, NORM_THREADS, NORM_SHARED, 0};
    snprintf(item, sizeof item, "norm, %u rows of %u", n_rows, n_cols);
    time_kernel(bench, item, &shape, &args, 6.0 * n_rows * n_cols);
    gpu_free(gpu, x);
    gpu_free(gpu, weight);
    gpu_free(gpu, to);
}

static void time_gate(struct bench *bench, uint32_t n_rows, uint32_t n_cols) {
    struct gpu *gpu = bench->gpu;
    char item[100];
    float *gate = random_floats(gpu, (size_t)n_rows * n_cols);
    float *up = random_floats(gpu, (size_t)n_rows * n_cols);
    float *out = gpu_alloc(gpu, (size_t)n_rows * n_cols * sizeof *out);
    struct gate_args args = {.gate = gate,
                             .up = up,
                             .out = out,
                             .gate_stride = n_cols,
                             .up_stride = n_cols,
                             .out_stride = n_cols,
                             .n_rows = n_rows,
                             .n_cols = n_cols,
                             .activation = 1};
    const uint32_t blocks = gpu->emulated ? 2 : (uint32_t)bench->properties.n_multiprocessors * 8;
    const struct launch_shape shape = {"gate", blocks, GATE_THREADS, 0, 0};
    snprintf(item, sizeof item, "gate, %u rows of %u", n_rows, n_cols);
    time_kernel(bench, item, &shape, &args, 12.0 * n_rows * n_cols);
    gpu_free(gpu, gate);
    gpu_free(gpu, up);
    gpu_free(gpu, out);
}

static void time_sample(struct bench *bench, uint32_t n_rows, uint32_t n_vocab, bool greedy) {
    struct gpu *gpu = bench->gpu;
    char item[100];
    float *logits = random_floats(gpu, (size_t)n_rows * n_vocab);
    struct sample_row *rows = take(n_rows * sizeof *rows);
    for (uint32_t i = 0; i < n_rows; i++)
        rows[i] = (struct sample_row){.seed = 1,
                                      .stream = i,
                                      .temperature = greedy ? 0 : 0.8f,
                                      .top_k = greedy ? 0 : 40,
                                      .top_p = greedy ? 0 : 0.95f,
                                      .min_p = greedy ? 0 : 0.05f,
                                      .logits_row = (int32_t)i};
    struct sample_row *on_device = gpu_upload(gpu, rows, n_rows * sizeof *rows);
    int32_t *token = gpu_alloc(gpu, n_rows * sizeof *token);
    struct sample_args args = {.logits = logits,
                               .sample = on_device,
                               .token = token,
                               .n_rows = n_rows,
                               .n_vocab = n_vocab,
                               .logits_stride = n_vocab};
    const struct launch_shape shape = {"sample", n_rows, SAMPLE_THREADS, SAMPLE_SHARED, 0};
    snprintf(item, sizeof item, "sample, %u rows of %u, %s", n_rows, n_vocab,
             greedy ? "greedy" : "top-k, top-p and min-p");
    time_kernel(bench, item, &shape, &args, 0);
    gpu_free(gpu, logits);
    gpu_free(gpu, on_device);
    gpu_free(gpu, token);
    free(rows);
}

static void time_elementwise(struct bench *bench) {
    const bool tiny = bench->gpu->emulated;
    static const uint32_t n_rows[] = {1, 32, 2048};
    for (int i = 0; i < (tiny ? 1 : 3); i++) {
        time_norm(bench, n_rows[i], tiny ? 256 : 4096);
        time_gate(bench, n_rows[i], tiny ? 256 : 14336);
    }
    for (int i = 0; i < (tiny ? 1 : 2); i++) {
        time_sample(bench, n_rows[i], tiny ? 300 : 128256, true);
        time_sample(bench, n_rows[i], tiny ? 300 : 128256, false);
    }
}

int main(int argc, char **argv) {
    struct gpu gpu;
    bool any = false;
    for (int i = 1; i < argc; i++)
        any |= !strcmp(argv[i], "attention") || !strcmp(argv[i], "elementwise");
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    struct bench bench = {.gpu = &gpu,
                          .properties = random_gemm_properties(&gpu),
                          .pool_bytes = gpu.emulated ? (size_t)1 << 18 : (size_t)1 << 30};
    timing_open(&bench.timing, &gpu);
    if (probe_image_load(&gpu, argv[0]))
        bench.most_read = read_rate(&bench.timing, bench.pool_bytes);
    for (int i = any ? 1 : 0; i < (any ? argc : 1); i++) {
        if (!any || !strcmp(argv[i], "attention")) {
            bench.most_product = product_rate(&bench);
            time_attentions(&bench);
        }
        if (!any || !strcmp(argv[i], "elementwise")) time_elementwise(&bench);
    }
    timing_close(&bench.timing);
    return gpu_close(&gpu);
}
