/* Norm, rotation and storage of keys and values: the bits of the host's reference kernels, in every
 * KV type; nothing for rows of no sequence, and nothing beside what is stored. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels/reference.h"
#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/kinds.h"
#include "gpu_test.h"

enum { ROWS = 4, SEQUENCES = 2, PAGES = 5, PAD_BYTES = 32 };

struct problem {
    uint32_t type, head_dim, value_dim; /* value_dim 0: values are a prefix of the keys */
    uint32_t n_heads, n_kv_heads, rope_dims;
    uint32_t rope_first, rest_dim; /* rest_dim: q's dims from there on are the end of these */
    bool halves, norm, layer, bias;
    bool no_weight; /* a norm without one */
    bool other_k;   /* keys have the other kind of norm */
};

struct setup {
    const struct problem *problem;
    uint32_t n_q, n_k, n_v, n_rest; /* floats of a row */
    uint32_t k_bytes, v_bytes, page_bytes;
    float *q, *k, *v, *rest, *weights, *table;
    uint8_t *pool;
    void *device[16];
    int n_device;
};

static const int64_t positions[ROWS] = {63, 64, 5, 3};
static const int32_t sequences[ROWS] = {0, 0, -1, 1};
static const int32_t pages[] = {4, 2, 1};
static const uint32_t pages_at[SEQUENCES] = {0, 2};

static uint32_t stored_bytes(uint32_t type, uint32_t dim) {
    static const uint32_t element[] = {4, 2, 2, 1, 1};
    return ATTENTION_PAGE *
           (dim * element[type] + (type == CUDA_KV_Q8_0 ? (dim + 31) / 32 * 2 : 0));
}

/* All sizes, values out of f16's and e4m3's range and near their denormals, zeros. */
static float *values_make(struct gpu *gpu, size_t n) {
    float *x = calloc(n ? n : 1, sizeof *x);
    if (!x) exit(1);
    for (size_t i = 0; i < n; i++) {
        x[i] = gpu_random_float(gpu, -4.0f, 4.0f);
        uint32_t kind = gpu_random(gpu) % 16;
        if (kind == 0) x[i] *= 0x1p-9f;
        if (kind == 1) x[i] *= 0x1p-22f;
        if (kind == 2) x[i] *= 200.0f;
        if (kind == 3) x[i] = 0.0f;
        /* half way between two e4m3, or two int8 */
        if (kind == 4)
            x[i] = ldexpf((float)(gpu_random(gpu) % 32) - 15.5f, -(int)(gpu_random(gpu) % 10));
        if (kind == 5)
            x[i] = ldexpf((float)(gpu_random(gpu) % 32) - 15.0f, -(int)(gpu_random(gpu) % 10));
    }
    return x;
}

/* ---- what is right ---- */

/* The nearest of all codes, of two the even one; beyond the greatest that. */
static uint8_t e4m3_nearest(float x) {
    uint8_t best = 0;
    double least = INFINITY, magnitude = fabs((double)x);
    if (x != x) return signbit(x) ? 0xff : 0x7f;
    for (int code = 0; code < 0x7f; code++) {
        int exponent = code >> 3, mantissa = code & 7;
        double value = exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
        double distance = fabs(value - fmin(magnitude, 448.0));
        if (distance < least || (distance == least && code % 2 == 0)) {
            least = distance;
            best = (uint8_t)code;
        }
    }
    return signbit(x) ? best | 0x80 : best;
}

static void store(const struct kernels *kernels, uint32_t type, const float *x, uint32_t dim,
                  size_t slot, uint8_t *head) {
    static const enum kv_type host[] = {KV_F32, KV_F16, KV_BF16, KV_Q8_0};
    if (type == CUDA_KV_E4M3)
        for (uint32_t d = 0; d < dim; d++) head[slot * dim + d] = e4m3_nearest(x[d]);
    else
        kernels->kv_store(host[type], x, dim, slot, head);
}

static void turn(const struct kernels *kernels, const struct setup *s, int row, float *x,
                 bool layer, const float *weight, const float *bias, float eps) {
    const struct problem *p = s->problem;
    if (p->norm && layer)
        kernels->norm_layer(x, weight, p->bias ? bias : NULL, eps, p->head_dim, x);
    else if (p->norm)
        kernels->norm_rms(x, weight, eps, p->head_dim, x);
    if (p->rope_dims)
        kernels->rope(x + p->rope_first, s->table + (size_t)row * p->rope_dims, p->rope_dims,
                      p->halves ? ROPE_HALVES : ROPE_ADJACENT);
}

/* On s->q and s->pool. */
static void compute(const struct setup *s) {
    struct kernels kernels = {0};
    reference_elementwise(&kernels);
    reference_kv(&kernels);
    const struct problem *p = s->problem;
    size_t dim = p->head_dim;
    for (int row = 0; row < ROWS; row++) {
        if (sequences[row] < 0) continue;
        int32_t page = pages[pages_at[sequences[row]] + positions[row] / ATTENTION_PAGE];
        size_t slot = (size_t)positions[row] % ATTENTION_PAGE;
        for (uint32_t h = 0; h < p->n_heads; h++) {
            float *q = s->q + (size_t)row * s->n_q + h * dim;
            size_t n = dim - p->rope_first;
            if (p->rest_dim)
                memcpy(q + p->rope_first,
                       s->rest + (size_t)row * s->n_rest + (h + 1) * p->rest_dim - n,
                       n * sizeof *q);
            turn(&kernels, s, row, q, p->layer, s->weights, s->weights + 2 * dim, 1e-5f);
        }
        for (uint32_t h = 0; h < p->n_kv_heads; h++) {
            uint8_t *head =
                s->pool + (size_t)page * s->page_bytes + PAD_BYTES + h * (s->k_bytes + s->v_bytes);
            float *k = s->k + (size_t)row * s->n_k + h * dim;
            turn(&kernels, s, row, k, p->layer != p->other_k, s->weights + dim,
                 s->weights + 3 * dim, 1e-3f);
            store(&kernels, p->type, k, p->head_dim, slot, head);
            if (p->value_dim)
                store(&kernels, p->type, s->v + (size_t)row * s->n_v + h * p->value_dim,
                      p->value_dim, slot, head + s->k_bytes);
        }
    }
}

/* ---- a run ---- */

static void *upload(struct gpu *gpu, struct setup *s, const void *from, size_t bytes) {
    return s->device[s->n_device++] = gpu_upload(gpu, from, bytes);
}

static void setup_make(struct gpu *gpu, struct setup *s, const struct problem *p) {
    *s = (struct setup){.problem = p,
                        .n_q = p->n_heads * p->head_dim,
                        .n_k = p->n_kv_heads * p->head_dim,
                        .n_v = p->n_kv_heads * p->value_dim,
                        .n_rest = p->n_heads * p->rest_dim,
                        .k_bytes = stored_bytes(p->type, p->head_dim)};
    s->v_bytes = p->value_dim ? stored_bytes(p->type, p->value_dim) : 0;
    s->page_bytes = PAD_BYTES + p->n_kv_heads * (s->k_bytes + s->v_bytes);
    s->q = values_make(gpu, (size_t)ROWS * s->n_q);
    s->k = values_make(gpu, (size_t)ROWS * s->n_k);
    s->v = values_make(gpu, (size_t)ROWS * s->n_v);
    s->rest = values_make(gpu, (size_t)ROWS * s->n_rest);
    s->weights = values_make(gpu, (size_t)4 * p->head_dim);
    for (size_t i = 0; p->no_weight && i < 2 * p->head_dim; i++) s->weights[i] = 1.0f;
    s->table = values_make(gpu, (size_t)ROWS * p->rope_dims);
    for (size_t i = 0; i < ROWS * p->rope_dims; i++) s->table[i] = sinf(s->table[i]);
    s->pool = malloc((size_t)PAGES * s->page_bytes);
    if (!s->pool) exit(1);
    memset(s->pool, 0xa5, (size_t)PAGES * s->page_bytes);
}

static uint32_t kind_of(const struct problem *p, bool layer) {
    return !p->norm ? KIND_NORM_NONE : layer ? KIND_NORM_LAYER : KIND_NORM_RMS;
}

static void check(struct gpu *gpu, const struct problem *p) {
    struct setup s;
    setup_make(gpu, &s, p);
    size_t pool_bytes = (size_t)PAGES * s.page_bytes, q_bytes = ROWS * s.n_q * sizeof(float);
    float *weights = upload(gpu, &s, s.weights, 4 * p->head_dim * sizeof(float));
    struct rope_store_args args = {
        .rows = {.position = upload(gpu, &s, positions, sizeof positions),
                 .sequence = upload(gpu, &s, sequences, sizeof sequences)},
        .kv = {.pool = upload(gpu, &s, s.pool, pool_bytes),
               .page_bytes = s.page_bytes,
               .k_offset = PAD_BYTES,
               .v_offset = PAD_BYTES + (p->value_dim ? s.k_bytes : 0),
               .head_bytes = s.k_bytes + s.v_bytes,
               .type = p->type,
               .key_dim = p->head_dim,
               .value_dim = p->value_dim ? p->value_dim : p->head_dim / 9 * 8,
               .n_kv_heads = p->n_kv_heads,
               .pages = upload(gpu, &s, pages, sizeof pages),
               .pages_at = upload(gpu, &s, pages_at, sizeof pages_at)},
        .q = upload(gpu, &s, s.q, q_bytes),
        .k = upload(gpu, &s, s.k, ROWS * s.n_k * sizeof(float)),
        .v = p->value_dim ? upload(gpu, &s, s.v, ROWS * s.n_v * sizeof(float)) : NULL,
        .q_stride = s.n_q,
        .k_stride = s.n_k,
        .v_stride = s.n_v,
        .n_rows = ROWS,
        .n_heads = p->n_heads,
        .head_dim = p->head_dim,
        .q_norm = p->norm && !p->no_weight ? weights : NULL,
        .k_norm = p->norm && !p->no_weight ? weights + p->head_dim : NULL,
        .q_norm_bias = p->bias ? weights + 2 * p->head_dim : NULL,
        .k_norm_bias = p->bias ? weights + 3 * p->head_dim : NULL,
        .q_norm_kind = kind_of(p, p->layer),
        .k_norm_kind = kind_of(p, p->layer != p->other_k),
        .q_eps = 1e-5f,
        .k_eps = 1e-3f,
        .rope_dims = p->rope_dims,
        .rope_halves = p->halves,
        .rope_table =
            p->rope_dims ? upload(gpu, &s, s.table, ROWS * p->rope_dims * sizeof(float)) : NULL,
        .rope_first = p->rope_first,
        .q_rest = p->rest_dim ? upload(gpu, &s, s.rest, ROWS * s.n_rest * sizeof(float)) : NULL,
        .q_rest_stride = s.n_rest,
        .q_rest_dim = p->rest_dim,
    };
    gpu_run(gpu, "rope_store", ROWS, ROPE_STORE_THREADS,
            ROPE_STORE_SHARED_BYTES(p->head_dim, args.kv.value_dim), &args, sizeof args);
    compute(&s);
    uint8_t *pool = malloc(pool_bytes);
    float *q = malloc(q_bytes ? q_bytes : 1);
    if (!pool || !q) exit(1);
    gpu_download(gpu, pool, args.kv.pool, pool_bytes);
    gpu_download(gpu, q, args.q, q_bytes);
    if (memcmp(q, s.q, q_bytes) != 0)
        gpu_fail(gpu, "queries of %u dims, type %u, norm %d, rope %u differ", p->head_dim, p->type,
                 p->norm, p->rope_dims);
    for (size_t i = 0; i < pool_bytes; i++)
        if (pool[i] != s.pool[i]) {
            gpu_fail(gpu, "type %u, %u dims: byte %zu of page %zu is %#x, not %#x", p->type,
                     p->head_dim, i % s.page_bytes, i / s.page_bytes, pool[i], s.pool[i]);
            break;
        }
    for (int i = 0; i < s.n_device; i++) gpu_free(gpu, s.device[i]);
    void *host[] = {s.q, s.k, s.v, s.rest, s.weights, s.table, s.pool, pool, q};
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++) free(host[i]);
}

int main(int argc, char **argv) {
    static const uint32_t dims[] = {8, 40, 64, 72, 96, 128, 160, 192, 256};
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    for (uint32_t type = 0; type < CUDA_KV_TYPES; type++) {
        for (uint32_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
            uint32_t dim = dims[i], way = i + type;
            struct problem p = {.type = type,
                                .head_dim = dim,
                                .value_dim = i % 2 ? dim : 264 - dim,
                                .n_heads = 1 + way * 3 % 8,
                                .n_kv_heads = 1 + way % 5,
                                .rope_dims = way % 3 == 0   ? 0
                                             : way % 3 == 1 ? dim
                                                            : dim / 2,
                                .halves = way % 2,
                                .norm = way % 4 != 3,
                                .layer = way % 4 == 1,
                                .bias = way % 4 == 1 && i % 2,
                                .no_weight = i % 3 == 1,
                                .other_k = i % 4 == 2};
            check(&gpu, &p);
        }
        struct problem mla = {.type = type, .head_dim = 576, .n_heads = 3, .n_kv_heads = 1};
        check(&gpu, &mla);
        mla.rope_first = 512;
        mla.rope_dims = 64;
        mla.rest_dim = 192;
        mla.halves = type % 2;
        check(&gpu, &mla);
        struct problem small = {.type = type,
                                .head_dim = 40,
                                .n_heads = 5,
                                .n_kv_heads = 1,
                                .rope_dims = 8,
                                .rope_first = 32,
                                .rest_dim = 12};
        check(&gpu, &small);
        struct problem no_queries = {
            .type = type, .head_dim = 64, .value_dim = 64, .n_kv_heads = 2};
        check(&gpu, &no_queries);
    }
    return gpu_close(&gpu);
}
