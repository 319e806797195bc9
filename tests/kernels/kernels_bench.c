#define _GNU_SOURCE
/* Speeds, next to what this machine can read and multiply. Each figure is the best of several
 * repetitions, since others may share the machine. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels_test.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define STREAM_BYTES ((size_t)96 << 20) /* weights of a matvec: past most last-level caches */
#define REPETITIONS 9

static double now(clockid_t of) {
    struct timespec t;
    clock_gettime(of, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *take(size_t size) {
    void *block = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!block) exit(2);
    memset(block, 0, size);
    return block;
}

/* ---- work that threads share by parts ---- */

struct job {
    void (*part)(void *argument, int part, int n_parts);
    void *argument;
    int index, n_threads;
    pthread_barrier_t *barrier;
    double best;
};

static void *job_run(void *argument) {
    struct job *job = argument;
    /* One thread is timed by its own clock, which stands while others have the processor. */
    clockid_t of = job->n_threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    for (int i = 0; i < REPETITIONS; i++) {
        pthread_barrier_wait(job->barrier);
        double start = now(of);
        job->part(job->argument, job->index, job->n_threads);
        pthread_barrier_wait(job->barrier);
        double seconds = now(of) - start;
        if (i == 0 || seconds < job->best) job->best = seconds;
    }
    return NULL;
}

/* Seconds of the best repetition. */
static double time_threads(int n_threads, void (*part)(void *, int, int), void *argument) {
    struct job jobs[8];
    pthread_t threads[8];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)n_threads);
    for (int i = 0; i < n_threads; i++) {
        jobs[i] = (struct job){part, argument, i, n_threads, &barrier, 0.0};
        if (i > 0 && pthread_create(&threads[i], NULL, job_run, &jobs[i]) != 0) exit(2);
    }
    job_run(&jobs[0]);
    for (int i = 1; i < n_threads; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    return jobs[0].best;
}

/* ---- what the machine can do ---- */

struct region {
    const uint8_t *bytes;
    size_t size;
    uint64_t sum;
};

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void read_part(void *argument, int part, int n_parts) {
    struct region *region = argument;
    size_t share = region->size / (size_t)n_parts / 256 * 256;
    const uint8_t *from = region->bytes + (size_t)part * share;
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                      _mm256_setzero_si256()};
    for (size_t i = 0; i < share; i += 128) {
        _mm_prefetch((const char *)from + i + 2560, _MM_HINT_T0);
        _mm_prefetch((const char *)from + i + 2624, _MM_HINT_T0);
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm256_add_epi64(
                sum[j], _mm256_load_si256((const __m256i *)(const void *)(from + i + 32 * j)));
    }
    for (int j = 1; j < 4; j++) sum[0] = _mm256_add_epi64(sum[0], sum[j]);
    __atomic_fetch_add(&region->sum, (uint64_t)_mm256_extract_epi64(sum[0], 0), __ATOMIC_RELAXED);
}

/* Independent chains of one instruction or two: what the processor can multiply and add. */
#define PEAK_STEPS 200000
#define CHAINS 10
#define PEAK(NAME, TARGET, VECTOR, START, FACTOR, STEP, FIRST)                                \
    __attribute__((target(TARGET))) static void NAME(void *argument, int part, int n_parts) { \
        (void)part;                                                                           \
        (void)n_parts;                                                                        \
        VECTOR sum[CHAINS], w = FACTOR;                                                       \
        for (int j = 0; j < CHAINS; j++) sum[j] = START;                                      \
        for (int i = 0; i < PEAK_STEPS; i++) {                                                \
            _Pragma("GCC unroll 16") for (int j = 0; j < CHAINS; j++) sum[j] = STEP;          \
            __asm__ volatile("" : "+v"(w));                                                   \
        }                                                                                     \
        for (int j = 0; j < CHAINS; j++)                                                      \
            __atomic_fetch_add((uint64_t *)argument, (uint64_t)(FIRST), __ATOMIC_RELAXED);    \
    }
PEAK(fma_256, "avx2,fma", __m256, _mm256_set1_ps((float)j), _mm256_set1_ps(0.999f),
     _mm256_fmadd_ps(sum[j], w, w), _mm256_cvtss_f32(sum[j]))
PEAK(fma_512, "avx512f", __m512, _mm512_set1_ps((float)j), _mm512_set1_ps(0.999f),
     _mm512_fmadd_ps(sum[j], w, w), _mm512_cvtss_f32(sum[j]))
/* An int8 multiply-add as kernels need it: the products and their int16 sum. */
PEAK(int8_256, "avx2", __m256i, _mm256_set1_epi8((char)j), _mm256_set1_epi8(3),
     _mm256_add_epi16(sum[j], _mm256_maddubs_epi16(w, sum[j])), _mm256_extract_epi64(sum[j], 0))
PEAK(int8_512, "avx512bw", __m512i, _mm512_set1_epi8((char)j), _mm512_set1_epi8(3),
     _mm512_add_epi16(sum[j], _mm512_maddubs_epi16(w, sum[j])), _mm512_cvtsi512_si32(sum[j]))
PEAK(dot4_256, "avx2,avxvnni", __m256i, _mm256_set1_epi8((char)j), _mm256_set1_epi8(3),
     _mm256_dpbusd_avx_epi32(sum[j], w, w), _mm256_extract_epi64(sum[j], 0))
PEAK(dot4_512, "avx512f,avx512vnni", __m512i, _mm512_set1_epi8((char)j), _mm512_set1_epi8(3),
     _mm512_dpbusd_epi32(sum[j], w, w), _mm512_cvtsi512_si32(sum[j]))

static const struct {
    const char *name;
    uint32_t isa;
    int n_macs; /* of a step */
    void (*part)(void *, int, int);
} peaks[] = {
    {"f32 multiply-add ymm", ISA_AVX2, 8, fma_256},
    {"f32 multiply-add zmm", ISA_AVX512, 16, fma_512},
    {"int8 vpmaddubsw + vpaddw ymm", ISA_AVX2, 32, int8_256},
    {"int8 vpmaddubsw + vpaddw zmm", ISA_AVX512, 64, int8_512},
    {"int8 vpdpbusd ymm", ISA_AVX_VNNI, 32, dot4_256},
    {"int8 vpdpbusd zmm", ISA_AVX512_VNNI, 64, dot4_512},
};

static void bench_machine(void) {
    uint64_t sink = 0;
    uint32_t isa = isa_detect();
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        struct region region = {take(STREAM_BYTES), STREAM_BYTES, 0};
        memset((void *)(uintptr_t)region.bytes, 1, STREAM_BYTES);
        double seconds = time_threads(n_threads, read_part, &region);
        printf("machine, %d thread%s: read %.1f GB/s\n", n_threads, n_threads > 1 ? "s" : "",
               1e-9 * STREAM_BYTES / seconds);
        free((void *)(uintptr_t)region.bytes);
    }
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++) {
        if (!(isa & peaks[i].isa)) continue;
        double steps = (double)PEAK_STEPS * CHAINS * peaks[i].n_macs;
        printf("machine, 1 thread: %s %.1f GMAC/s\n", peaks[i].name,
               1e-9 * steps / time_threads(1, peaks[i].part, &sink));
    }
}
#else
static void bench_machine(void) {}
#endif

/* ---- linear ---- */

struct multiplication {
    const struct linear_kernel *kernel;
    const uint8_t *groups;
    size_t n_groups, n_cols, n_x, x_bytes;
    const uint8_t *x;
    float *y;
};

static void multiply_part(void *argument, int part, int n_parts) {
    struct multiplication *m = argument;
    size_t first = m->n_groups * (size_t)part / (size_t)n_parts;
    size_t end = m->n_groups * (size_t)(part + 1) / (size_t)n_parts;
    m->kernel->multiply(m->groups + first * m->kernel->group_bytes(m->n_cols), end - first,
                        m->n_cols, m->x, m->x_bytes, m->n_x, m->y + first * m->kernel->group,
                        m->n_groups * m->kernel->group);
}

static void bench_linear(const struct kernels *kernels, enum weight_type type) {
    const struct linear_kernel *kernel = &kernels->linear[type];
    const struct activation_kernel *activation = &kernels->activation[kernel->format];
    bool slow = strcmp(kernels->name, "reference") == 0;
    const size_t n_cols = 2048, max_x = 512;
    size_t group_bytes = kernel->group_bytes(n_cols), x_bytes = activation->row_bytes(n_cols);
    size_t stream = slow ? STREAM_BYTES / 16 : STREAM_BYTES;
    size_t n_groups = stream / group_bytes, row_bytes = weight_type_row_bytes(type, n_cols);
    size_t n_few = 2048 / kernel->group; /* groups of the many-row products: 2048 x 2048 */
    if (n_groups < n_few) n_groups = n_few;
    uint8_t *groups = take(n_groups * group_bytes), *rows = take(kernel->group * row_bytes);
    weights_fill(type, PATTERN_NORMAL, kernel->group * n_cols, rows);
    for (size_t g = 0; g < n_groups; g++)
        kernel->pack(rows, row_bytes, kernel->group, n_cols, groups + g * group_bytes);
    float *x = take(n_cols * sizeof(float));
    uint8_t *prepared = take(max_x * x_bytes);
    for (size_t i = 0; i < max_x; i++) {
        random_fill(x, n_cols, 1.0f);
        activation->prepare(x, n_cols, prepared + i * x_bytes);
    }
    size_t y_rows = n_groups > max_x * n_few ? n_groups : max_x * n_few;
    float *y = take(y_rows * kernel->group * sizeof(float));
    struct multiplication m = {kernel, groups, n_groups, n_cols, 1, x_bytes, prepared, y};
    printf("%-11s %-5s", kernels->name, weight_type_traits[type].name);
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        double seconds = time_threads(n_threads, multiply_part, &m);
        printf(" | matvec %d: %5.1f GB/s %6.1f GMAC/s", n_threads,
               1e-9 * (double)(n_groups * group_bytes) / seconds,
               1e-9 * (double)(n_groups * kernel->group * n_cols) / seconds);
    }
    m.n_groups = n_few;
    double macs = (double)(n_few * kernel->group * n_cols);
    static const size_t counts[] = {4, 64, 512};
    for (size_t i = 0; i < (slow ? 2 : 3); i++) {
        m.n_x = counts[i];
        double seconds = time_threads(1, multiply_part, &m);
        printf(" | %zu rows: %6.1f", counts[i], 1e-9 * macs * (double)m.n_x / seconds);
    }
    printf(" GMAC/s\n");
    fflush(stdout);
    free(groups);
    free(rows);
    free(x);
    free(prepared);
    free(y);
}

/* ---- attention and the rest ---- */

struct attention_work {
    const struct kernels *kernels;
    struct attention_task task;
    float *part;
};

static void attention_part(void *argument, int part, int n_parts) {
    (void)part;
    (void)n_parts;
    struct attention_work *w = argument;
    for (int repeat = 0; repeat < 20; repeat++) w->kernels->attention_split(&w->task, 0, w->part);
}

static void bench_attention(const struct kernels *kernels, size_t n_rows) {
    enum { HEAD_DIM = 64, HEADS = 3, PAGES = ATTENTION_SPLIT / KV_PAGE };
    size_t tile = KV_PAGE * HEAD_DIM * 2;
    int32_t pages[PAGES];
    for (int i = 0; i < PAGES; i++) pages[i] = i;
    float *q = take(n_rows * HEADS * HEAD_DIM * sizeof(float));
    random_fill(q, n_rows * HEADS * HEAD_DIM, 1.0f);
    uint8_t *pool = take(PAGES * 2 * tile);
    for (size_t i = 0; i < PAGES * KV_PAGE; i++) {
        uint8_t *page = pool + i / KV_PAGE * 2 * tile;
        float row[HEAD_DIM];
        random_fill(row, HEAD_DIM, 1.0f);
        kernels->kv_store_key(KV_F16, row, HEAD_DIM, i % KV_PAGE, page);
        kernels->kv_store(KV_F16, row, HEAD_DIM, i % KV_PAGE, page + tile);
    }
    struct attention_work w = {
        kernels,
        {.q = q,
         .q_stride = HEADS * HEAD_DIM,
         .n_rows = n_rows,
         .n_heads = HEADS,
         .head_dim = HEAD_DIM,
         .value_dim = HEAD_DIM,
         .position = ATTENTION_SPLIT - (int64_t)n_rows,
         .scale = 0.125f,
         .type = KV_F16,
         .pool = pool,
         .pages = pages,
         .page_bytes = 2 * tile,
         .v_offset = tile,
         .scratch = take(kernels->attention_scratch_bytes(n_rows * HEADS, HEAD_DIM, HEAD_DIM))},
        take(n_rows * HEADS * ATTENTION_PART_FLOATS(HEAD_DIM) * sizeof(float))};
    double seconds = time_threads(1, attention_part, &w) / 20;
    double keys = 0.0;
    for (size_t i = 0; i < n_rows; i++) keys += (double)(ATTENTION_SPLIT - n_rows + i + 1) * HEADS;
    printf("%-11s attention f16, head_dim 64, 3 heads, %zu rows, %d keys: %.1f us, %.1f GMAC/s, "
           "%.1f GB/s of keys and values\n",
           kernels->name, n_rows, ATTENTION_SPLIT, 1e6 * seconds,
           1e-9 * 2 * HEAD_DIM * keys / seconds, 1e-9 * (double)(PAGES * 2 * tile) / seconds);
    free(q);
    free(pool);
    free(w.task.scratch);
    free(w.part);
}

struct vector_work {
    const struct kernels *kernels;
    int what;
    float *x, *y;
};

#define VECTOR 4096

static void vector_part(void *argument, int part, int n_parts) {
    (void)part;
    (void)n_parts;
    struct vector_work *w = argument;
    const struct kernels *k = w->kernels;
    for (int repeat = 0; repeat < 50; repeat++) switch (w->what) {
        case 0:
            k->norm_rms(w->x, w->x, 1e-5f, VECTOR, w->y);
            break;
        case 1:
            k->gate(ACTIVATION_SILU, w->x, w->x, VECTOR, w->y);
            break;
        case 2:
            k->gate(ACTIVATION_GELU_TANH, w->x, w->x, VECTOR, w->y);
            break;
        case 3:
            k->gate(ACTIVATION_GELU, w->x, w->x, VECTOR, w->y);
            break;
        case 4:
            k->softcap(30.0f, VECTOR, w->y);
            break;
        case 5:
            k->activation[ACTIVATION_Q8_INTEGER].prepare(w->x, VECTOR, w->y);
            break;
        default:
            k->kv_store(KV_F16, w->x, VECTOR, 0, w->y);
        }
}

static void bench_vectors(const struct kernels *kernels) {
    static const char *names[] = {"norm_rms", "silu", "gelu tanh",   "gelu",
                                  "softcap",  "q8",   "kv_store f16"};
    struct vector_work w = {kernels, 0, take(VECTOR * 8), take(VECTOR * 8)};
    random_fill(w.x, VECTOR, 1.0f);
    printf("%-11s ns an element:", kernels->name);
    for (w.what = 0; w.what < 7; w.what++)
        printf(" %s %.3f", names[w.what], 1e9 * time_threads(1, vector_part, &w) / (50.0 * VECTOR));
    printf("\n");
    free(w.x);
    free(w.y);
}

void bench(const struct path *paths, size_t n_paths, const char *only) {
    bench_machine();
    for (size_t i = 0; i < n_paths; i++) {
        const struct kernels *kernels = &paths[i].kernels;
        if (only && strstr("reference", only) == NULL && strcmp(kernels->name, "reference") == 0)
            continue;
        for (int type = 0; type < WEIGHT_TYPES; type++)
            if (!only || strstr(weight_type_traits[type].name, only) ||
                strcmp(only, kernels->name) == 0)
                bench_linear(kernels, (enum weight_type)type);
        if (only && strcmp(only, kernels->name) != 0 && strcmp(only, "attention") != 0) continue;
        bench_attention(kernels, 1);
        bench_attention(kernels, 64);
        bench_vectors(kernels);
    }
}
