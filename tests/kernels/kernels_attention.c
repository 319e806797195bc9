#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels_test.h"

/* A sequence of `length` positions in pages that lie in the pool in no order, two KV heads a page,
 * of which the second is attended to. Everything no query may read is NaN. */
struct shape {
    size_t head_dim, value_dim;
    bool values_in_keys;
};

struct cache {
    enum kv_type type;
    struct shape shape;
    size_t length, n_pages, page_bytes;
    uint8_t *pool;
    int32_t *pages;
    size_t k_offset, v_offset;
};

static size_t head_bytes(enum kv_type type, size_t head_dim) {
    size_t n_scales = type == KV_Q8_0 ? (head_dim + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS : 0;
    return KV_PAGE * (head_dim * (type == KV_F32 ? 4 : type == KV_Q8_0 ? 1 : 2) + n_scales * 2);
}

static double half_at(const uint8_t *from) {
    uint16_t bits;
    memcpy(&bits, from, 2);
    return (double)half_to_float(bits);
}

/* Element `at` of the keys or values at `offset` of the position's page, and its scale. */
static double cache_element(const struct cache *c, size_t offset, size_t dim, size_t position,
                            size_t at, size_t scale) {
    const uint8_t *head = c->pool + (size_t)c->pages[position / KV_PAGE] * c->page_bytes + offset;
    float value;
    uint16_t bits;
    if (c->type == KV_F32) {
        memcpy(&value, head + 4 * at, 4);
        return (double)value;
    }
    if (c->type == KV_Q8_0)
        return (double)(int8_t)head[at] * half_at(head + KV_PAGE * dim + 2 * scale);
    memcpy(&bits, head + 2 * at, 2);
    return c->type == KV_F16 ? half_at(head + 2 * at) : (double)bfloat16_to_float(bits);
}

static double cache_key(const struct cache *c, size_t position, size_t d) {
    size_t slot = position % KV_PAGE;
    return cache_element(c, c->k_offset, c->shape.head_dim, position, d * KV_PAGE + slot,
                         d / KV_SCALE_DIMS * KV_PAGE + slot);
}

static double cache_value(const struct cache *c, size_t position, size_t d) {
    size_t dim = c->shape.value_dim, slot = position % KV_PAGE;
    size_t n_scales = (dim + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS;
    if (c->shape.values_in_keys) return cache_key(c, position, d);
    return cache_element(c, c->v_offset, dim, position, slot * dim + d,
                         slot * n_scales + d / KV_SCALE_DIMS);
}

static void cache_init(struct cache *c, const struct kernels *kernels, enum kv_type type,
                       struct shape shape, size_t length) {
    size_t key = head_bytes(type, shape.head_dim), value = head_bytes(type, shape.value_dim);
    size_t head_dim = shape.head_dim, value_dim = shape.value_dim;
    *c = (struct cache){.type = type, .shape = shape, .length = length};
    c->n_pages = (length + KV_PAGE - 1) / KV_PAGE;
    c->page_bytes = 2 * (key + value);
    c->k_offset = key;
    c->v_offset = 2 * key + value;
    c->pool = guarded_new(c->n_pages * c->page_bytes);
    memset(c->pool, 0xff, c->n_pages * c->page_bytes);
    c->pages = malloc(c->n_pages * sizeof *c->pages);
    float *x = malloc((head_dim + value_dim) * sizeof *x);
    if (!c->pages || !x) exit(2);
    for (size_t i = 0; i < c->n_pages; i++) c->pages[i] = (int32_t)i;
    for (size_t i = c->n_pages - 1; i > 0; i--) {
        size_t j = random_below(i + 1);
        int32_t swapped = c->pages[i];
        c->pages[i] = c->pages[j];
        c->pages[j] = swapped;
    }
    for (size_t p = 0; p < length; p++) {
        uint8_t *page = c->pool + (size_t)c->pages[p / KV_PAGE] * c->page_bytes;
        random_fill(x, head_dim, 1.0f);
        kernels->kv_store_key(type, x, head_dim, p % KV_PAGE, page + c->k_offset);
        if (shape.values_in_keys) continue;
        random_fill(x, value_dim, 1.0f);
        kernels->kv_store(type, x, value_dim, p % KV_PAGE, page + c->v_offset);
    }
    free(x);
}

static void cache_free(struct cache *c) {
    guarded_free(c->pool, c->n_pages * c->page_bytes, "kv pool");
    free(c->pages);
}

static double rounded(double x) {
    return (double)bfloat16_to_float(bfloat16_from_float((float)x));
}

static double alibi(const struct attention_task *task, size_t head, int64_t key, int64_t query) {
    double slope = (double)task->slopes[head];
    if (task->slope_scale == 0.0f) return slope * (double)(key - query);
    return (double)task->slope_scale *
           (rounded(slope * rounded((double)key)) - rounded(slope * rounded((double)query)));
}

/* Attention of one query in double. */
static void attend_exact(const struct attention_task *task, const struct cache *c, size_t row,
                         size_t head, double *out) {
    int64_t position = task->position + (int64_t)row, begin = 0, reach = task->relative_reach;
    int64_t last = task->n_keys ? task->n_keys - 1 : position;
    if (task->window > 0 && position - task->window + 1 > 0) begin = position - task->window + 1;
    const float *q = task->q + row * task->q_stride + head * task->head_dim;
    double *weights = malloc((size_t)(last + 1) * sizeof *weights), maximum = -INFINITY, sum = 0.0;
    if (!weights) exit(2);
    for (int64_t k = begin; k <= last; k++) {
        double s = 0.0;
        for (size_t d = 0; d < task->head_dim; d++) s += (double)q[d] * cache_key(c, (size_t)k, d);
        s *= (double)task->scale;
        if (task->softcap != 0.0f) s = (double)task->softcap * tanh(s / (double)task->softcap);
        if (task->slopes) s += alibi(task, head, k, position);
        if (task->relative) {
            int64_t distance = k - position;
            if (distance < -reach) distance = -reach;
            if (distance >= reach) distance = reach - 1;
            s += (double)task->relative[head * task->relative_stride + (size_t)(reach + distance)];
        }
        weights[k] = s;
        maximum = fmax(maximum, s);
    }
    for (size_t d = 0; d < task->value_dim; d++) out[d] = 0.0;
    for (int64_t k = begin; k <= last; k++) {
        double w = exp(weights[k] - maximum);
        sum += w;
        for (size_t d = 0; d < task->value_dim; d++) out[d] += w * cache_value(c, (size_t)k, d);
    }
    for (size_t d = 0; d < task->value_dim; d++) out[d] /= sum;
    free(weights);
}

/* All splits of a task, merged and finished: out [n_rows * n_heads][value_dim]. */
static void attend(const struct kernels *k, struct attention_task *task, float *out) {
    size_t n = task->n_rows * task->n_heads, hd = task->value_dim;
    size_t part_bytes = n * ATTENTION_PART_FLOATS(hd) * sizeof(float);
    size_t scratch = k->attention_scratch_bytes(n, task->head_dim, hd);
    float *part = guarded_new(part_bytes), *total = guarded_new(part_bytes);
    task->scratch = guarded_new(scratch);
    memset(task->scratch, 0xff, scratch);
    int64_t last = task->position + (int64_t)task->n_rows - 1;
    if (task->n_keys) last = task->n_keys - 1;
    last /= ATTENTION_SPLIT;
    k->attention_split(task, 0, total);
    for (int64_t s = 1; s <= last; s++) {
        memset(part, 0xff, part_bytes);
        k->attention_split(task, s, part);
        k->attention_merge(n, hd, part, total);
    }
    for (size_t i = 0; i < n; i++)
        k->attention_finish(total + i * ATTENTION_PART_FLOATS(hd), hd, out + i * hd);
    guarded_free(part, part_bytes, "attention part");
    guarded_free(total, part_bytes, "attention total");
    guarded_free(task->scratch, scratch, "attention scratch");
}

/* Random biases by distance [n_heads], which don't change from max_distance on. */
static float *new_biases(struct attention_task *task, int64_t max_distance) {
    task->relative_reach = max_distance + KV_PAGE;
    task->relative_stride = 2 * (size_t)task->relative_reach;
    float *biases = malloc(task->n_heads * task->relative_stride * sizeof *biases);
    if (!biases) exit(2);
    random_fill(biases, task->n_heads * task->relative_stride, 1.0f);
    for (size_t head = 0; head < task->n_heads; head++) {
        float *of = biases + head * task->relative_stride + task->relative_reach;
        for (int64_t d = max_distance; d < task->relative_reach; d++) {
            of[d] = of[max_distance];
            of[-d - 1] = of[-max_distance];
        }
    }
    task->relative = biases;
    return biases;
}

/* What a case has besides. */
struct more {
    int64_t n_keys;       /* that every query sees, wherever it is; 0: those up to itself */
    int64_t max_distance; /* of biases by distance; 0: none */
    float slope_scale;
};

static void test_more(const struct path *path, enum kv_type type, struct shape shape, size_t n_rows,
                      size_t n_heads, int64_t position, int64_t window, float softcap,
                      const float *slopes, const struct more *more) {
    const struct kernels *k = &path->kernels;
    size_t head_dim = shape.head_dim, value_dim = shape.value_dim;
    struct cache c;
    cache_init(&c, k, type, shape, more->n_keys ? (size_t)more->n_keys : (size_t)position + n_rows);
    struct attention_task task = {.q_stride = n_heads * head_dim + 5,
                                  .n_rows = n_rows,
                                  .n_heads = n_heads,
                                  .head_dim = head_dim,
                                  .value_dim = value_dim,
                                  .values_in_keys = shape.values_in_keys,
                                  .position = position,
                                  .n_keys = more->n_keys,
                                  .window = window,
                                  .scale = 1.5f / sqrtf((float)head_dim),
                                  .softcap = softcap,
                                  .slopes = slopes,
                                  .slope_scale = more->slope_scale,
                                  .type = type,
                                  .pool = c.pool,
                                  .pages = c.pages,
                                  .page_bytes = c.page_bytes,
                                  .k_offset = c.k_offset,
                                  .v_offset = c.v_offset};
    float *biases = more->max_distance ? new_biases(&task, more->max_distance) : NULL;
    /* pages that row 0 no longer sees are gone */
    if (window > 0)
        for (int64_t p = 0; (p + 1) * KV_PAGE <= position - window + 1; p++) c.pages[p] = -1;
    float *q = malloc(n_rows * task.q_stride * sizeof *q);
    if (!q) exit(2);
    random_fill(q, n_rows * task.q_stride, 1.0f);
    task.q = q;
    size_t bytes = n_rows * n_heads * value_dim * sizeof(float);
    float *out = guarded_new(bytes), *alone = guarded_new(bytes);
    attend(k, &task, out);
    double worst = 0.0, exact[512];
    for (size_t row = 0; row < n_rows; row++)
        for (size_t head = 0; head < n_heads; head++) {
            const float *got = out + (row * n_heads + head) * value_dim;
            attend_exact(&task, &c, row, head, exact);
            for (size_t d = 0; d < value_dim; d++) {
                double error = fabs((double)got[d] - exact[d]);
                if (!(error <= worst)) worst = error;
            }
            struct attention_task one = task;
            one.q = q + row * task.q_stride + head * head_dim;
            one.n_rows = one.n_heads = 1;
            if (slopes) one.slopes = slopes + head;
            if (biases) one.relative = biases + head * task.relative_stride;
            one.position = position + (int64_t)row;
            attend(k, &one, alone);
            check(memcmp(alone, got, value_dim * sizeof(float)) == 0,
                  "%s: attention of row %zu, head %zu: other bits alone than among %zu x %zu "
                  "(position %lld, window %lld)",
                  k->name, row, head, n_rows, n_heads, (long long)position, (long long)window);
        }
    /* A score is a sum of head_dim products in order, each rounded. */
    check(
        worst <= 2e-6 + 3e-8 * (double)head_dim,
        "%s: attention type %d, keys of %zu, values of %zu%s, %zu rows, %zu heads, position %lld, "
        "window %lld, cap %g%s: error %g",
        k->name, type, head_dim, value_dim, shape.values_in_keys ? " in them" : "", n_rows, n_heads,
        (long long)position, (long long)window, (double)softcap, slopes ? ", ALiBi" : "", worst);
    free(q);
    free(biases);
    guarded_free(out, bytes, "attention");
    guarded_free(alone, bytes, "attention");
    cache_free(&c);
}

static void test_case(const struct path *path, enum kv_type type, struct shape shape, size_t n_rows,
                      size_t n_heads, int64_t position, int64_t window, float softcap,
                      const float *slopes) {
    const struct more none = {0, 0, 0.0f};
    test_more(path, type, shape, n_rows, n_heads, position, window, softcap, slopes, &none);
}

/* What a query must not see may be infinite: the value of a later position, or of one that its
 * window has passed, though a neighbour in the same call sees it. */
static void test_out_of_sight(const struct path *path, enum kv_type type, int64_t window) {
    enum { ROWS = 7, HEADS = 2, DIM = 64, POSITION = 70 };
    const struct kernels *k = &path->kernels;
    struct cache c;
    cache_init(&c, k, type, (struct shape){DIM, DIM, false}, POSITION + ROWS);
    /* seen by the last row alone, or by the first */
    size_t poisoned = window > 0 ? (size_t)(POSITION - window + 1) : POSITION + ROWS - 1;
    float infinite[DIM], q[ROWS * HEADS * DIM], out[ROWS * HEADS * DIM];
    for (int d = 0; d < DIM; d++) infinite[d] = INFINITY;
    uint8_t *page = c.pool + (size_t)c.pages[poisoned / KV_PAGE] * c.page_bytes;
    k->kv_store(type, infinite, DIM, poisoned % KV_PAGE, page + c.v_offset);
    random_fill(q, ROWS * HEADS * DIM, 1.0f);
    struct attention_task task = {.q = q,
                                  .q_stride = HEADS * DIM,
                                  .n_rows = ROWS,
                                  .n_heads = HEADS,
                                  .head_dim = DIM,
                                  .value_dim = DIM,
                                  .position = POSITION,
                                  .window = window,
                                  .scale = 0.125f,
                                  .type = type,
                                  .pool = c.pool,
                                  .pages = c.pages,
                                  .page_bytes = c.page_bytes,
                                  .k_offset = c.k_offset,
                                  .v_offset = c.v_offset};
    attend(k, &task, out);
    for (size_t row = 0; row < ROWS; row++) {
        bool sees = row == (window > 0 ? 0 : ROWS - 1), finite = true;
        for (size_t i = 0; i < HEADS * DIM; i++)
            finite &= isfinite(out[row * HEADS * DIM + i]) != 0;
        check(finite != sees, "%s: attention type %d, window %lld: row %zu and an infinite value",
              k->name, (int)type, (long long)window, row);
    }
    cache_free(&c);
}

/* A split that nothing of the query lies in: m = -inf, l = 0, o = 0, and merging it does nothing.
 */
static void test_empty_split(const struct path *path) {
    const struct kernels *k = &path->kernels;
    struct cache c;
    cache_init(&c, k, KV_F16, (struct shape){64, 64, false}, 10);
    float q[64], part[ATTENTION_PART_FLOATS(64)], total[ATTENTION_PART_FLOATS(64)],
        before[ATTENTION_PART_FLOATS(64)];
    random_fill(q, 64, 1.0f);
    struct attention_task task = {.q = q,
                                  .q_stride = 64,
                                  .n_rows = 1,
                                  .n_heads = 1,
                                  .head_dim = 64,
                                  .value_dim = 64,
                                  .position = 9,
                                  .scale = 0.125f,
                                  .type = KV_F16,
                                  .pool = c.pool,
                                  .pages = c.pages,
                                  .page_bytes = c.page_bytes,
                                  .k_offset = c.k_offset,
                                  .v_offset = c.v_offset};
    size_t scratch = k->attention_scratch_bytes(1, 64, 64);
    task.scratch = guarded_new(scratch);
    k->attention_split(&task, 0, total);
    k->attention_split(&task, 1, part);
    bool empty = part[0] == -INFINITY && part[1] == 0.0f;
    for (int d = 0; d < 64; d++) empty &= part[16 + d] == 0.0f;
    check(empty, "%s: a split without keys", k->name);
    memcpy(before, total, sizeof total);
    k->attention_merge(1, 64, part, total);
    check(memcmp(before, total, sizeof total) == 0, "%s: an empty part changed the total", k->name);
    k->attention_merge(1, 64, total, part);
    check(memcmp(before, part, sizeof part) == 0, "%s: an empty total didn't become the part",
          k->name);
    guarded_free(task.scratch, scratch, "attention scratch");
    cache_free(&c);
}

/* Values of another size than keys, and, of latent attention, values that lie in them. */
static void test_shapes(const struct path *path, enum kv_type type) {
    static const struct shape shapes[] = {{576, 512, true}, {40, 24, true},   {33, 31, true},
                                          {18, 16, true},   {100, 64, true},  {24, 16, false},
                                          {8, 20, false},   {192, 128, false}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        test_case(path, type, shapes[i], 1, 1, 0, 0, 0.0f, NULL);
        test_case(path, type, shapes[i], 1 + random_below(9), 1 + random_below(18),
                  (int64_t)random_below(200), 0, 0.0f, NULL);
        test_case(path, type, shapes[i], 2, 1 + random_below(3), 500 + (int64_t)random_below(30),
                  1 + (int64_t)random_below(300), 8.0f, NULL);
    }
}

void test_attention(const struct path *path) {
    static const size_t head_dims[] = {1, 8, 16, 20, 24, 64, 72, 80, 96, 128, 192, 256};
    test_empty_split(path);
    for (int type = 0; type < KV_TYPES; type++) {
        test_out_of_sight(path, (enum kv_type)type, 0);
        test_out_of_sight(path, (enum kv_type)type, 40);
        test_shapes(path, (enum kv_type)type);
    }
    for (int type = 0; type < KV_TYPES; type++)
        for (size_t h = 0; h < sizeof head_dims / sizeof *head_dims; h++) {
            enum kv_type kv = (enum kv_type)type;
            const struct shape hd = {head_dims[h], head_dims[h], false};
            test_case(path, kv, hd, 1, 1, 0, 0, 0.0f, NULL);
            test_case(path, kv, hd, 1 + random_below(9), 1 + random_below(4),
                      (int64_t)random_below(200), 0, 0.0f, NULL);
            test_case(path, kv, hd, 1 + random_below(9), 1 + random_below(4),
                      500 + (int64_t)random_below(30), 0, 8.0f, NULL);
            test_case(path, kv, hd, 1 + random_below(70), 1 + random_below(3), 60,
                      1 + (int64_t)random_below(100), 0.0f, NULL);
            test_case(path, kv, hd, 2, 1, 1100 + (int64_t)random_below(100),
                      1 + (int64_t)random_below(700), 0.0f, NULL);
        }
    static const float slopes[] = {0.5f, 0.11f, 0.03f};
    test_case(path, KV_F16, (struct shape){64, 64, false}, 70, 3, 1000, 0, 0.0f, NULL);
    test_case(path, KV_F32, (struct shape){64, 64, false}, 70, 3, 500, 0, 0.0f, slopes);
    test_case(path, KV_F16, (struct shape){80, 80, false}, 1 + random_below(9), 3, 300, 90, 0.0f,
              slopes);
    test_case(path, KV_Q8_0, (struct shape){64, 64, false}, 3, 2, 70, 0, 8.0f, slopes);
    /* Biases by distance, keys behind the queries, keys of a source shorter and longer than they.
     */
    const struct shape wide = {64, 64, false}, small = {8, 8, false}, odd = {24, 24, false};
    const struct more far = {0, 128, 0.0f}, near = {0, 9, 0.0f}, both = {150, 20, 0.0f},
                      few = {3, 0, 0.0f}, many = {700, 0, 0.0f}, falcon = {0, 0, 0.125f};
    test_more(path, KV_F32, wide, 70, 3, 500, 0, 0.0f, NULL, &far);
    test_more(path, KV_F16, odd, 5, 2, 200, 0, 0.0f, NULL, &near);
    test_more(path, KV_F32, wide, 150, 2, 0, 0, 0.0f, NULL, &both);
    test_more(path, KV_F16, small, 7, 3, 400, 0, 0.0f, NULL, &few);
    test_more(path, KV_Q8_0, wide, 4, 2, 5, 0, 0.0f, NULL, &many);
    /* BF16 slopes, positions that BF16 has not. */
    static const float rounded_slopes[] = {0.5f, 0.109375f, 0.029296875f};
    test_more(path, KV_F32, wide, 70, 3, 500, 0, 0.0f, rounded_slopes, &falcon);
    test_more(path, KV_F16, wide, 3, 3, 1300, 0, 0.0f, rounded_slopes, &falcon);
}
