/* Attention over paged keys and values against softmax in double precision from the values as they
 * are stored; and the same bits however the queries are shared out among items, splits, blocks and
 * stages. Positions that no query sees hold NaNs, and pages that no query of a step sees don't
 * exist. test_attention_hopper.c is the same of the kernels for warpgroups, where they have such
 * heads.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_map.h"
#include "cuda/kernels/attention/attention_tiles.h"
#include "gpu_test.h"
#include "quant/weight_type.h"

#ifndef TEST_HOPPER
#define TEST_HOPPER 0
#endif

enum { MAX_SEQUENCES = 4, PAD_BYTES = 64 };

enum relative { RELATIVE_NONE, RELATIVE_ONE_WAY, RELATIVE_BOTH_WAYS };

struct problem {
    uint32_t type, key_dim, value_dim; /* value_dim 0: MLA, 8 / 9 of key_dim */
    uint32_t n_heads, n_kv_heads;
    int64_t window;
    float softcap;
    bool sinks, alibi, unmasked;
    float alibi_scale;
    enum relative relative;
    int n_sequences;
    int64_t past[MAX_SEQUENCES], n_rows[MAX_SEQUENCES]; /* unmasked: past more keys than rows */
    bool spread; /* values by powers of two up to 2^11 from key to key */
};

struct setup {
    const struct problem *problem;
    const struct attention_bucket *bucket;
    uint32_t value_dim, group;
    uint32_t k_bytes, v_bytes; /* of a head in a page */
    uint32_t pad_bytes;        /* at the beginning of a page */
    uint32_t page_bytes;
    int64_t n_rows, n_pages;
    uint8_t *pool; /* on the host */
    int32_t *pages, *sequence;
    uint32_t pages_at[MAX_SEQUENCES];
    int64_t *position, key_counts[MAX_SEQUENCES];
    float *q, *sinks, *slopes, *bias, *out;
    struct attention_args args; /* with addresses of the device */
    void *device[16];
    int n_device;
};

static uint32_t stored_bytes(uint32_t type, uint32_t dim) {
    static const uint32_t element[] = {4, 2, 2, 1, 1};
    return ATTENTION_PAGE *
           (dim * element[type] + (type == CUDA_KV_Q8_0 ? (dim + 31) / 32 * 2 : 0));
}

/* ---- values as they are stored ---- */

static void put(struct gpu *gpu, uint32_t type, uint8_t *head, uint32_t dim, uint32_t slot,
                float factor) {
    uint32_t n_scales = (dim + 31) / 32;
    for (uint32_t d = 0; d < dim; d++) {
        float x = factor * gpu_random_float(gpu, -2.0f, 2.0f);
        size_t at = (size_t)slot * dim + d;
        if (type == CUDA_KV_F32) memcpy(head + 4 * at, &x, 4);
        uint16_t bits = type == CUDA_KV_F16 ? half_from_float(x) : bfloat16_from_float(x);
        if (type == CUDA_KV_F16 || type == CUDA_KV_BF16) memcpy(head + 2 * at, &bits, 2);
        if (type == CUDA_KV_Q8_0) head[at] = (uint8_t)(gpu_random(gpu) % 255 - 127);
        /* |x| < 4, denormals too */
        if (type == CUDA_KV_E4M3)
            head[at] = (uint8_t)((gpu_random(gpu) & 0x80) | gpu_random(gpu) % 0x48);
    }
    for (uint32_t i = 0; type == CUDA_KV_Q8_0 && i < n_scales; i++) {
        uint16_t scale = half_from_float(factor * gpu_random_float(gpu, 0.005f, 0.02f));
        memcpy(head + (size_t)ATTENTION_PAGE * dim + 2 * (slot * n_scales + i), &scale, 2);
    }
}

static double get(uint32_t type, const uint8_t *head, uint32_t dim, uint32_t slot, uint32_t d) {
    size_t at = (size_t)slot * dim + d;
    uint16_t bits;
    float x;
    switch (type) {
    case CUDA_KV_F32:
        memcpy(&x, head + 4 * at, 4);
        return (double)x;
    case CUDA_KV_F16:
    case CUDA_KV_BF16:
        memcpy(&bits, head + 2 * at, 2);
        return (double)(type == CUDA_KV_F16 ? half_to_float(bits) : bfloat16_to_float(bits));
    case CUDA_KV_Q8_0:
        memcpy(&bits, head + (size_t)ATTENTION_PAGE * dim + 2 * (slot * ((dim + 31) / 32) + d / 32),
               2);
        return (double)half_to_float(bits) * (int8_t)head[at];
    default: {
        int exponent = head[at] >> 3 & 15, mantissa = head[at] & 7;
        double magnitude = exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
        if (exponent == 15 && mantissa == 7) magnitude = (double)NAN;
        return head[at] & 0x80 ? -magnitude : magnitude;
    }
    }
}

/* ---- a step ---- */

static void *keep(struct setup *s, void *address) {
    s->device[s->n_device++] = address;
    return address;
}

static void *take(size_t bytes) {
    void *memory = calloc(bytes ? bytes : 1, 1);
    if (!memory) exit(1);
    return memory;
}

static float rounded(float x) {
    return bfloat16_to_float(bfloat16_from_float(x));
}

static void *random_floats(struct gpu *gpu, size_t n, float limit) {
    float *x = take(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = gpu_random_float(gpu, -limit, limit);
    return x;
}

static int64_t first_key(const struct problem *p, int64_t position) {
    return !p->unmasked && p->window && position >= p->window ? position - p->window + 1 : 0;
}

/* A sequence's pages: in no order, -1 where no row sees anything. */
static void sequence_make(struct gpu *gpu, struct setup *s, int index, int64_t *row,
                          int64_t *page) {
    const struct problem *p = s->problem;
    int64_t n_keys = p->past[index] + p->n_rows[index], begin = first_key(p, p->past[index]);
    s->pages_at[index] = (uint32_t)*page;
    s->key_counts[index] = n_keys;
    for (int64_t i = 0; i * ATTENTION_PAGE < n_keys; i++, ++*page) {
        /* 7 and n_pages have no common factor */
        int64_t number = (*page * 7 + 3) % s->n_pages;
        s->pages[*page] = (i + 1) * ATTENTION_PAGE <= begin ? -1 : (int32_t)number;
        uint8_t *to = s->pool + number * s->page_bytes + s->pad_bytes;
        for (int64_t key = i * ATTENTION_PAGE; key < (i + 1) * ATTENTION_PAGE && key < n_keys;
             key++) {
            if (key < begin) continue;
            for (uint32_t h = 0; h < p->n_kv_heads; h++) {
                uint8_t *head = to + h * (s->k_bytes + s->v_bytes);
                put(gpu, p->type, head, p->key_dim, (uint32_t)(key % ATTENTION_PAGE), 1.0f);
                if (p->value_dim)
                    put(gpu, p->type, head + s->k_bytes, p->value_dim,
                        (uint32_t)(key % ATTENTION_PAGE),
                        p->spread ? ldexpf(1.0f, (int)(key * 7 % 12)) : 1.0f);
            }
        }
    }
    for (int64_t i = 0; i < p->n_rows[index]; i++, ++*row) {
        s->position[*row] = p->past[index] + i;
        s->sequence[*row] = index;
    }
}

static uint32_t value_dim_of(const struct problem *p) {
    return p->value_dim ? p->value_dim : p->key_dim / 9 * 8;
}

static void setup_make(struct gpu *gpu, struct setup *s, const struct problem *p) {
    *s = (struct setup){.problem = p, .group = p->n_heads / p->n_kv_heads};
    s->value_dim = value_dim_of(p);
    s->bucket = attention_bucket_find(p->type, p->key_dim, s->value_dim, !p->value_dim);
    s->k_bytes = stored_bytes(p->type, p->key_dim);
    s->v_bytes = p->value_dim ? stored_bytes(p->type, p->value_dim) : 0;
    s->pad_bytes = TEST_HOPPER ? 6 * p->key_dim : PAD_BYTES;
    s->page_bytes = s->pad_bytes + p->n_kv_heads * (s->k_bytes + s->v_bytes);
    for (int i = 0; i < p->n_sequences; i++) {
        s->n_rows += p->n_rows[i];
        s->n_pages += (p->past[i] + p->n_rows[i] + ATTENTION_PAGE - 1) / ATTENTION_PAGE;
    }
    s->n_pages += s->n_pages % 7 ? 0 : 1;
    size_t pool_bytes = (size_t)s->n_pages * s->page_bytes;
    s->pool = take(pool_bytes);
    memset(s->pool, 0xff, pool_bytes);
    s->pages = take((size_t)s->n_pages * sizeof *s->pages);
    s->position = take((size_t)s->n_rows * sizeof *s->position);
    s->sequence = take((size_t)s->n_rows * sizeof *s->sequence);
    int64_t row = 0, page = 0;
    for (int i = 0; i < p->n_sequences; i++) sequence_make(gpu, s, i, &row, &page);
    s->q = random_floats(gpu, (size_t)s->n_rows * p->n_heads * p->key_dim, 3.0f);
    s->sinks = random_floats(gpu, p->n_heads, 3.0f);
    s->slopes = random_floats(gpu, p->n_heads, 0.1f);
    for (uint32_t i = 0; i < p->n_heads && p->alibi_scale != 0.0f; i++)
        s->slopes[i] = rounded(s->slopes[i]);
    s->bias = random_floats(gpu, 32 * (size_t)p->n_heads, 2.0f);
    s->out = take((size_t)s->n_rows * p->n_heads * s->value_dim * sizeof(float));
    size_t n_rows = (size_t)s->n_rows;
#define UPLOAD(from, n) keep(s, gpu_upload(gpu, from, (size_t)(n) * sizeof *(from)))
    s->args = (struct attention_args){
        .rows = {.position = UPLOAD(s->position, n_rows), .sequence = UPLOAD(s->sequence, n_rows)},
        .kv = {.pool = UPLOAD(s->pool, pool_bytes),
               .page_bytes = s->page_bytes,
               .k_offset = s->pad_bytes,
               .v_offset = s->pad_bytes + (p->value_dim ? s->k_bytes : 0),
               .head_bytes = s->k_bytes + s->v_bytes,
               .type = p->type,
               .key_dim = p->key_dim,
               .value_dim = s->value_dim,
               .n_kv_heads = p->n_kv_heads,
               .pages = UPLOAD(s->pages, s->n_pages),
               .pages_at = UPLOAD(s->pages_at, MAX_SEQUENCES)},
        .q = UPLOAD(s->q, n_rows * p->n_heads * p->key_dim),
        .out = keep(s, gpu_alloc(gpu, n_rows * p->n_heads * s->value_dim * sizeof(float))),
        .q_stride = p->n_heads * p->key_dim,
        .out_stride = p->n_heads * s->value_dim,
        .n_heads = p->n_heads,
        .unmasked = p->unmasked,
        .window = p->window,
        .scale = 1.0f / sqrtf((float)p->key_dim),
        .softcap = p->softcap,
        .sinks = p->sinks ? UPLOAD(s->sinks, p->n_heads) : NULL,
        .alibi_slopes = p->alibi ? UPLOAD(s->slopes, p->n_heads) : NULL,
        .alibi_scale = p->alibi_scale,
        .relative_bias = p->relative ? UPLOAD(s->bias, 32 * p->n_heads) : NULL,
        .relative_buckets = 32,
        .relative_max_distance = 128,
        .relative_bidirectional = p->relative == RELATIVE_BOTH_WAYS,
        .key_counts = UPLOAD(s->key_counts, MAX_SEQUENCES),
    };
}

static void setup_free(struct gpu *gpu, struct setup *s) {
    for (int i = 0; i < s->n_device; i++) gpu_free(gpu, s->device[i]);
    void *host[] = {s->pool,  s->pages,  s->position, s->sequence, s->q,
                    s->sinks, s->slopes, s->bias,     s->out};
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++) free(host[i]);
}

/* ---- sharing out ---- */

struct sharing {
    int64_t rows;    /* of an item, at most */
    int64_t splits;  /* of an item; 0: all, without parts */
    int64_t queries; /* of an item, at most; 0: all */
    unsigned grid;
    uint32_t stages;
};

struct work {
    struct attention_item *items;
    struct attention_merge_item *merges;
    uint32_t n_items, n_merges, n_parts;
};

static void work_add(struct work *work, const struct setup *s, const struct sharing *how,
                     struct attention_item item) {
    int64_t queries = (int64_t)item.n_rows * s->group, splits = how->splits;
    int32_t first_split = item.first_split, end_split = item.end_split;
    if (splits) {
        int64_t step = how->queries ? ATTENTION_MERGE_QUERIES : queries;
        for (int64_t first = 0; first < queries; first += step)
            work->merges[work->n_merges++] = (struct attention_merge_item){
                .first_row = item.first_row,
                .n_rows = item.n_rows,
                .kv_head = item.kv_head,
                .part = (int32_t)work->n_parts,
                .n_splits = end_split - first_split,
                .first_query = (int32_t)first,
                .n_queries = !how->queries            ? 0
                             : first + step < queries ? (int32_t)step
                                                      : (int32_t)(queries - first)};
    }
    for (int32_t split = first_split; split < end_split; split += (int32_t)splits) {
        item.part = splits ? (int32_t)work->n_parts : -1;
        item.first_split = split;
        item.end_split = splits && split + splits < end_split ? split + (int32_t)splits : end_split;
        if (splits) work->n_parts += (uint32_t)(queries * (item.end_split - split));
        int64_t step = how->queries ? how->queries : queries;
        for (int64_t first = 0; first < queries; first += step) {
            item.first_query = (int32_t)first;
            item.n_queries =
                how->queries ? (int32_t)(first + step < queries ? step : queries - first) : 0;
            work->items[work->n_items++] = item;
        }
        if (!splits) break;
    }
}

static void work_make(struct work *work, const struct setup *s, const struct sharing *how) {
    const struct problem *p = s->problem;
    size_t most = (size_t)s->n_rows * p->n_heads * (size_t)(s->n_pages + 1);
    *work = (struct work){.items = take(most * sizeof *work->items),
                          .merges = take(most * sizeof *work->merges)};
    int64_t row = 0;
    for (int i = 0; i < p->n_sequences; row += p->n_rows[i], i++) {
        for (int64_t r = 0; r < p->n_rows[i]; r += how->rows) {
            int64_t n = p->n_rows[i] - r < how->rows ? p->n_rows[i] - r : how->rows;
            int64_t position = p->past[i] + r, last = position + n - 1;
            if (p->unmasked) last = s->key_counts[i] - 1;
            for (uint32_t h = 0; h < p->n_kv_heads; h++)
                work_add(
                    work, s, how,
                    (struct attention_item){
                        .sequence = i,
                        .first_row = (int32_t)(row + r),
                        .n_rows = (int32_t)n,
                        .kv_head = (int32_t)h,
                        .first_split = (int32_t)(first_key(p, position) / ATTENTION_SPLIT_KEYS),
                        .end_split = (int32_t)(last / ATTENTION_SPLIT_KEYS + 1)});
        }
    }
}

static const struct attention_hopper_bucket *hopper_bucket(const struct problem *p) {
    return attention_hopper_bucket_find(p->type, p->key_dim, value_dim_of(p), !p->value_dim);
}

/* One launch of the kernel that has such heads. */
static void launch(struct gpu *gpu, const struct setup *s, const struct sharing *how,
                   const struct attention_args *args) {
    const struct problem *p = s->problem;
    char name[64];
    if (TEST_HOPPER) {
        const struct attention_hopper_bucket *bucket = hopper_bucket(p);
        struct attention_hopper_args hopper;
        attention_map_make(gpu, args, (uint64_t)s->n_pages, &hopper);
        gpu_run(gpu, bucket->kernels[p->type], how->grid, ATTENTION_HOPPER_THREADS,
                attention_hopper_shared_bytes(p->type, bucket), &hopper, sizeof hopper);
        return;
    }
    snprintf(name, sizeof name, "attention_%s_%s", attention_type_names[p->type], s->bucket->name);
    gpu_run(gpu, name, how->grid, ATTENTION_THREADS,
            attention_shared_bytes(p->type, s->bucket, how->stages), args, sizeof *args);
}

/* Whether the kernels that are tested have such heads. */
static bool is_had(const struct problem *p) {
    return !TEST_HOPPER || hopper_bucket(p);
}

static void run(struct gpu *gpu, const struct setup *s, const struct sharing *how, float *out) {
    struct work work;
    work_make(&work, s, how);
    struct attention_args args = s->args;
    size_t part_bytes = CUDA_ATTENTION_PART_FLOATS(s->value_dim) * sizeof(float);
    size_t out_bytes = (size_t)s->n_rows * args.out_stride * sizeof(float);
    args.items = gpu_upload(gpu, work.items, (work.n_items + 1) * sizeof *work.items);
    args.merges = gpu_upload(gpu, work.merges, (work.n_merges + 1) * sizeof *work.merges);
    args.n_items = gpu_upload(gpu, &work.n_items, sizeof work.n_items);
    args.n_merges = gpu_upload(gpu, &work.n_merges, sizeof work.n_merges);
    args.parts = gpu_alloc(gpu, (work.n_parts + 1) * part_bytes);
    args.stages = how->stages;
    gpu_poison(gpu, args.out, out_bytes);
    launch(gpu, s, how, &args);
    if (how->splits)
        gpu_run(gpu, "attention_merge", how->grid, ATTENTION_MERGE_THREADS, 0, &args, sizeof args);
    gpu_download(gpu, out, args.out, out_bytes);
    const void *lent[] = {args.items, args.merges, args.n_items, args.n_merges, args.parts};
    for (size_t i = 0; i < sizeof lent / sizeof lent[0]; i++)
        gpu_free(gpu, (void *)(uintptr_t)lent[i]);
    free(work.items);
    free(work.merges);
}

/* ---- what is right ---- */

/* Hugging Face's _relative_position_bucket, for 32 buckets and distances up to 128. */
static int bucket_of(int64_t distance, enum relative relative) {
    int n = 32, bucket = 0;
    if (relative == RELATIVE_BOTH_WAYS) {
        n = 16;
        bucket = distance > 0 ? n : 0;
        distance = distance < 0 ? -distance : distance;
    } else {
        distance = distance < 0 ? -distance : 0;
    }
    int exact = n / 2;
    if (distance < exact) return bucket + (int)distance;
    double scaled = log((double)distance / exact) / log(128.0 / exact) * (n - exact);
    int large = exact + (int)(scaled + 1e-7);
    return bucket + (large < n ? large : n - 1);
}

static double alibi_of(const struct setup *s, float slope, int64_t key, int64_t query) {
    float scale = s->problem->alibi_scale;
    if (scale == 0.0f) return (double)slope * (double)(key - query);
    float of_key = rounded(slope * rounded((float)key));
    return (double)scale * (double)(of_key - rounded(slope * rounded((float)query)));
}

static double score(const struct setup *s, int64_t row, uint32_t head, int64_t key,
                    const uint8_t *k_head) {
    const struct problem *p = s->problem;
    const float *q = s->q + ((size_t)row * p->n_heads + head) * p->key_dim;
    double dot = 0.0;
    for (uint32_t d = 0; d < p->key_dim; d++)
        dot += (double)q[d] * get(p->type, k_head, p->key_dim, (uint32_t)(key % ATTENTION_PAGE), d);
    double x = dot * (double)s->args.scale;
    if (p->softcap != 0.0f) x = (double)p->softcap * tanh(x / (double)p->softcap);
    int64_t distance = key - s->position[row];
    if (p->alibi) x += alibi_of(s, s->slopes[head], key, s->position[row]);
    if (p->relative)
        x += (double)s->bias[(size_t)bucket_of(distance, p->relative) * p->n_heads + head];
    return x;
}

/* The largest difference from the query's values in doubles. */
static double error_of(const struct setup *s, int64_t row, uint32_t head, double *scores) {
    const struct problem *p = s->problem;
    int32_t sequence = s->sequence[row];
    int64_t begin = first_key(p, s->position[row]);
    int64_t end = p->unmasked ? s->key_counts[sequence] : s->position[row] + 1;
    const int32_t *pages = s->pages + s->pages_at[sequence];
    size_t head_at = s->pad_bytes + head / s->group * (size_t)(s->k_bytes + s->v_bytes);
    double maximum = p->sinks ? (double)s->sinks[head] : -INFINITY, sum = 0.0, worst = 0.0;
    for (int64_t key = begin; key < end; key++) {
        const uint8_t *page = s->pool + (size_t)pages[key / ATTENTION_PAGE] * s->page_bytes;
        scores[key] = score(s, row, head, key, page + head_at);
        maximum = fmax(maximum, scores[key]);
    }
    if (p->sinks) sum = exp((double)s->sinks[head] - maximum);
    for (int64_t key = begin; key < end; key++) sum += scores[key] = exp(scores[key] - maximum);
    for (uint32_t d = 0; d < s->value_dim; d++) {
        double value = 0.0;
        for (int64_t key = begin; key < end; key++) {
            const uint8_t *page = s->pool + (size_t)pages[key / ATTENTION_PAGE] * s->page_bytes;
            const uint8_t *v = page + head_at + (p->value_dim ? s->k_bytes : 0);
            uint32_t dim = p->value_dim ? p->value_dim : p->key_dim;
            value += scores[key] * get(p->type, v, dim, (uint32_t)(key % ATTENTION_PAGE), d);
        }
        double got = (double)s->out[((size_t)row * p->n_heads + head) * s->value_dim + d];
        double error = fabs(got - (begin < end ? value / sum : 0.0));
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

/* Bounds of the difference where |q| < 3, |k|, |v| < 2 (e4m3: 4), scale 1 / sqrt(key_dim): the
 * rounding of queries, quants and weights to the products' types. */
static const float tolerances[CUDA_KV_TYPES] = {1e-4f, 3e-3f, 2e-2f, 5e-3f, 5e-3f};

/* The most stages, up to so many, that a block of this device has memory for. */
static uint32_t stages_that_fit(const struct gpu *gpu, const struct setup *s, uint32_t stages) {
    int most = 0;
    gpu->driver.device_get_attribute(&most, DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
                                     gpu->device);
    while (stages && attention_shared_bytes(s->problem->type, s->bucket, stages) > (uint32_t)most)
        stages--;
    return stages;
}

static void check(struct gpu *gpu, const struct problem *p, const char *what) {
    struct setup s;
    if (!is_had(p)) return;
    setup_make(gpu, &s, p);
    int64_t rows =
        (TEST_HOPPER ? hopper_bucket(p)->tile_queries : ATTENTION_TILE_ROWS(s.bucket->row_warps)) /
        s.group;
    rows = rows ? rows : 1;
    const struct sharing ways[] = {
        {.rows = rows, .grid = 3, .stages = 2},
        {.rows = 1, .grid = 64, .stages = 1},
        {.rows = rows + 1, .grid = 2, .stages = 3},
        {.rows = rows, .splits = 1, .grid = 5, .stages = 2},
        {.rows = 2, .splits = 2, .queries = 3, .grid = 7, .stages = 2},
    };
    size_t floats = (size_t)s.n_rows * s.args.out_stride;
    float *out = take(floats * sizeof *out);
    if (!stages_that_fit(gpu, &s, 1)) {
        printf("%s, %s: not enough shared memory\n", what, attention_type_names[p->type]);
        goto done;
    }
    struct sharing first = ways[0];
    first.stages = stages_that_fit(gpu, &s, first.stages);
    run(gpu, &s, &first, s.out);
    for (size_t i = 1; i < sizeof ways / sizeof ways[0]; i++) {
        struct sharing how = ways[i];
        how.stages = stages_that_fit(gpu, &s, how.stages);
        run(gpu, &s, &how, out);
        if (memcmp(out, s.out, floats * sizeof *out) != 0) {
            size_t at = 0;
            while (memcmp(&out[at], &s.out[at], sizeof *out) == 0) at++;
            gpu_fail(
                gpu,
                "%s: other bits when shared out in way %zu: row %zu, head %zu, dim %zu: %a, %a",
                what, i, at / s.args.out_stride, at % s.args.out_stride / s.value_dim,
                at % s.value_dim, (double)s.out[at], (double)out[at]);
        }
    }
    double worst = 0.0, *scores = take((size_t)s.n_pages * ATTENTION_PAGE * sizeof *scores);
    for (int64_t row = 0; row < s.n_rows; row++)
        for (uint32_t head = 0; head < p->n_heads; head++) {
            double error = error_of(&s, row, head, scores);
            if (!(error <= worst)) worst = error;
        }
    float tolerance = tolerances[p->type] * (p->spread ? 2048.0f : 1.0f);
    if (getenv("GPU_VERBOSE"))
        printf("%-28s %s %u/%u: %.2g of %.2g\n", what, attention_type_names[p->type], p->key_dim,
               s.value_dim, worst, (double)tolerance);
    if (!(worst <= (double)tolerance))
        gpu_fail(gpu, "%s, %s, %u dims: off by %g", what, attention_type_names[p->type], p->key_dim,
                 worst);
    free(scores);
done:
    free(out);
    setup_free(gpu, &s);
}

/* ---- cases ---- */

/* Every type with every head size; groups, sequences and positions by turns. */
static void check_sizes(struct gpu *gpu) {
    static const uint32_t dims[] = {8, 40, 64, 72, 96, 128, 160, 192, 256};
    for (uint32_t type = 0; type < CUDA_KV_TYPES; type++)
        for (uint32_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
            uint32_t group = 1 + (i + 3 * type) % 8, n_kv = 1 + (i + type) % 2;
            struct problem p = {.type = type,
                                .key_dim = dims[i],
                                .value_dim = dims[i],
                                .n_heads = group * n_kv,
                                .n_kv_heads = n_kv,
                                .n_sequences = 2,
                                .past = {gpu_random(gpu) % 100, 0},
                                .n_rows = {1, 2 + gpu_random(gpu) % 5}};
            check(gpu, &p, "sizes");
        }
}

static void check_features(struct gpu *gpu, uint32_t type) {
    struct problem base = {.type = type,
                           .key_dim = 64,
                           .value_dim = 64,
                           .n_heads = 4,
                           .n_kv_heads = 2,
                           .n_sequences = 3,
                           .past = {70, 0, 127},
                           .n_rows = {1, 9, 3}};
    struct problem p = base;
    p.window = 40;
    check(gpu, &p, "window");
    p.window = 1;
    check(gpu, &p, "window of one");
    p = base;
    p.softcap = 2.0f;
    p.sinks = true;
    check(gpu, &p, "softcap and sinks");
    p = base;
    p.alibi = true;
    check(gpu, &p, "ALiBi");
    p.alibi_scale = 0.125f;
    p.past[0] = 700;
    check(gpu, &p, "ALiBi of rounded slopes and positions");
    p = base;
    p.relative = RELATIVE_ONE_WAY;
    check(gpu, &p, "relative bias of a decoder");
    p = base;
    p.relative = RELATIVE_BOTH_WAYS;
    p.unmasked = true;
    check(gpu, &p, "relative bias of an encoder");
    p = base;
    p.unmasked = true;
    p.value_dim = 40;
    check(gpu, &p, "cross attention");
    p = base;
    p.key_dim = 40;
    p.value_dim = 104;
    check(gpu, &p, "longer values");
    p = base;
    p.spread = true;
    check(gpu, &p, "values of all sizes");
}

/* Prefill and decode together, over several splits, windows that begin in one of them. */
static void check_splits(struct gpu *gpu, uint32_t type) {
    struct problem p = {.type = type,
                        .key_dim = 32,
                        .value_dim = 32,
                        .n_heads = 3,
                        .n_kv_heads = 1,
                        .n_sequences = 3,
                        .past = {1100, 500, 3},
                        .n_rows = {1, 23, 2}};
    check(gpu, &p, "splits");
    p.window = 530;
    p.sinks = true;
    check(gpu, &p, "splits and window");
    p.window = 0;
    p.unmasked = true;
    check(gpu, &p, "splits, unmasked");
}

static void check_mla(struct gpu *gpu, uint32_t type) {
    struct problem p = {.type = type,
                        .key_dim = 576,
                        .n_heads = 20,
                        .n_kv_heads = 1,
                        .n_sequences = 2,
                        .past = {130, 0},
                        .n_rows = {1, 2}};
    check(gpu, &p, "MLA");
    p.key_dim = 288;
    p.n_heads = 5;
    p.past[0] = 515;
    check(gpu, &p, "a small MLA");
    for (uint32_t dim = 72; dim <= 144; dim += 72) {
        p.key_dim = dim;
        check(gpu, &p, "a smaller MLA");
    }
}

/* Nothing to see: zeros. */
static void check_nothing(struct gpu *gpu) {
    struct problem p = {.type = CUDA_KV_F16,
                        .key_dim = 64,
                        .value_dim = 64,
                        .n_heads = 2,
                        .n_kv_heads = 1,
                        .unmasked = true,
                        .n_sequences = 1,
                        .n_rows = {2}};
    struct setup s;
    setup_make(gpu, &s, &p);
    int64_t none[MAX_SEQUENCES] = {0};
    gpu_write(gpu, (void *)(uintptr_t)s.args.key_counts, none, sizeof none);
    s.args.sinks = NULL;
    run(gpu, &s, &(struct sharing){.rows = 2, .grid = 1, .stages = 2}, s.out);
    for (size_t i = 0; i < 2 * s.args.out_stride; i++)
        if (s.out[i] != 0.0f) gpu_fail(gpu, "of no keys comes %g", (double)s.out[i]);
    setup_free(gpu, &s);
}

/* A value that is infinite or NaN reaches those who see its key, and only them, in its dim. */
static void check_infinite(struct gpu *gpu, uint32_t type, int64_t window, bool nan) {
    enum { DIM = 5, POISONED = 69 };
    struct problem p = {.type = type,
                        .key_dim = 16,
                        .value_dim = 16,
                        .n_heads = 2,
                        .n_kv_heads = 1,
                        .window = window,
                        .n_sequences = 1,
                        .past = {66},
                        .n_rows = {8}};
    struct setup s;
    if (!is_had(&p)) return;
    setup_make(gpu, &s, &p);
    uint8_t *page = s.pool + (size_t)s.pages[POISONED / ATTENTION_PAGE] * s.page_bytes;
    uint8_t *v = page + s.pad_bytes + s.k_bytes;
    size_t at = POISONED % ATTENTION_PAGE * 16 + DIM;
    float value = nan ? NAN : INFINITY;
    uint16_t bits = type == CUDA_KV_BF16 ? bfloat16_from_float(value) : half_from_float(value);
    if (type == CUDA_KV_F32) memcpy(v + 4 * at, &value, 4);
    if (type == CUDA_KV_F16 || type == CUDA_KV_BF16) memcpy(v + 2 * at, &bits, 2);
    if (type == CUDA_KV_Q8_0)
        memcpy(v + ATTENTION_PAGE * 16 + 2 * (POISONED % ATTENTION_PAGE), &bits, 2);
    if (type == CUDA_KV_E4M3) v[at] = 0x7f;
    gpu_write(gpu, s.args.kv.pool, s.pool, (size_t)s.n_pages * s.page_bytes);
    float *out = take((size_t)s.n_rows * s.args.out_stride * sizeof *out);
    run(gpu, &s, &(struct sharing){.rows = 8, .grid = 1, .stages = 2}, s.out);
    run(gpu, &s, &(struct sharing){.rows = 1, .grid = 8, .stages = 2}, out);
    for (int64_t row = 0; row < s.n_rows; row++)
        for (uint32_t i = 0; i < s.args.out_stride; i++) {
            int64_t position = s.position[row];
            bool sees = position >= POISONED && (!window || position - window < POISONED);
            bool own = type == CUDA_KV_Q8_0 || i % 16 == DIM;
            size_t j = (size_t)row * s.args.out_stride + i;
            if (isfinite(s.out[j]) != !(sees && own))
                gpu_fail(gpu, "type %u, window %lld, row %lld, dim %u: %g beside an infinite value",
                         type, (long long)window, (long long)row, i, (double)s.out[j]);
            if (isfinite(s.out[j]) != isfinite(out[j]) ||
                (isfinite(out[j]) && memcmp(&out[j], &s.out[j], 4) != 0))
                gpu_fail(gpu, "type %u, row %lld, dim %u: alone %g, among others %g", type,
                         (long long)row, i, (double)out[j], (double)s.out[j]);
        }
    free(out);
    setup_free(gpu, &s);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    if (TEST_HOPPER && gpu.major != 9) {
        printf("skipped: compute capability %d.%d\n", gpu.major, gpu.minor);
        gpu_close(&gpu);
        return GPU_SKIP;
    }
    check_sizes(&gpu);
    for (uint32_t type = 0; type < CUDA_KV_TYPES; type++) {
        check_features(&gpu, type);
        check_splits(&gpu, type);
        check_mla(&gpu, type);
        for (int64_t window = 0; window <= 3; window += 3) {
            if (type != CUDA_KV_E4M3) check_infinite(&gpu, type, window, false);
            check_infinite(&gpu, type, window, true);
        }
    }
    check_nothing(&gpu);
    return gpu_close(&gpu);
}
