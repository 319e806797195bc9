/* Attention over pages of KV_PAGE keys (arXiv:2205.14135): scores with lane = key, an online
 * softmax a page at a time, values with lane = dim, keys in order. The queries of a task walk a
 * page together; how many they are changes no query's arithmetic. */
#include <math.h>
#include <string.h>

#include "cpu/kernels/attention_range.h"
#include "cpu/kernels/kv_position.h"
#include "cpu/kernels/simd_math.h"
#include "cpu/kernels/vector.h"
#include "cpu/kernels/vector_gemm.h"

#define PAGE_VECTORS (KV_PAGE / SIMD_LANES)
/* Queries and vectors of a tile whose sums fill the registers; of the smaller ones for the rest. */
#define WIDE_ROWS 6
#define WIDE_VECTORS (SIMD_REGISTERS / 8)
#define NARROW_ROWS 3
#define NARROW_VECTORS 4

/* Rows of floats are padded to whole vectors. */
static size_t padded(size_t dim) {
    return (dim + 15) / 16 * 16;
}

/* The parts of task.scratch; queries go row by row, in a row head by head. */
struct scratch {
    float *queries; /* [n_queries][padded(head_dim)] */
    float *keys;    /* [head_dim][KV_PAGE] */
    float *values;  /* [KV_PAGE][padded(value_dim)] */
};

static size_t scratch_bytes(size_t n_queries, size_t head_dim, size_t value_dim) {
    return ((n_queries + KV_PAGE) * padded(head_dim) + KV_PAGE * padded(value_dim)) * sizeof(float);
}

static struct scratch scratch_of(const struct attention_task *task) {
    size_t dim = padded(task->head_dim);
    struct scratch s = {.queries = task->scratch};
    s.keys = s.queries + task->n_rows * task->n_heads * dim;
    s.values = s.keys + KV_PAGE * dim;
    return s;
}

/* What the queries read of a page: as it lies there, or converted. */
struct page {
    enum gemm_type type;
    const uint8_t *keys, *values;
    const uint8_t *next_keys;    /* of the page after it, to be prefetched; NULL: none */
    size_t key_step, value_step; /* bytes from one dim, one position to the next */
};

static void convert(enum gemm_type type, const uint8_t *from, size_t n, float *to) {
    size_t step = gemm_vector_bytes(type);
    for (; n >= SIMD_LANES; n -= SIMD_LANES, from += step, to += SIMD_LANES)
        simd_store(to, gemm_load(type, from));
    if (n == 0) return;
    uint8_t last[SIMD_BYTES] = {0};
    memcpy(last, from, n * (step / SIMD_LANES));
    simd_store(to, gemm_load(type, last));
}

static size_t round_down(int64_t key) {
    return (size_t)key / SIMD_LANES * SIMD_LANES;
}

static size_t round_up(int64_t key) {
    return ((size_t)key + SIMD_LANES - 1) / SIMD_LANES * SIMD_LANES;
}

/* Keys as [head_dim][KV_PAGE] from vector `first` on, n of them: their scales are lanes, too. */
static void convert_q8_keys(const uint8_t *head, size_t head_dim, size_t first, size_t n,
                            float *to) {
    const uint8_t *scales = head + KV_PAGE * head_dim;
    for (size_t d = 0; d < head_dim; d++) {
        const uint8_t *scale = scales + (d / KV_SCALE_DIMS * KV_PAGE + first) * 2;
        for (size_t k = 0; k < n; k += SIMD_LANES) {
            simd_f q = simd_from_i32(simd_load_i8(head + d * KV_PAGE + first + k));
            simd_store(to + d * KV_PAGE + first + k, simd_mul(simd_load_f16(scale + k * 2), q));
        }
    }
}

static void convert_q8_values(const uint8_t *head, size_t value_dim, size_t position, float *to) {
    struct kv_position at = kv_row(position, value_dim);
    const uint8_t *q = head + at.first, *scales = head + KV_PAGE * value_dim + at.first_scale * 2;
    for (size_t d = 0; d < value_dim; d += SIMD_LANES, q += SIMD_LANES) {
        uint8_t last[SIMD_LANES] = {0}, scale[SIMD_HALF_BYTES] = {0};
        if (value_dim - d < SIMD_LANES) memcpy(last, q, value_dim - d);
        memcpy(scale, scales + d / KV_SCALE_DIMS * 2, 2);
        float s = simd_first(simd_load_f16(scale));
        simd_i values = simd_load_i8(value_dim - d < SIMD_LANES ? last : q);
        simd_store(to + d, simd_mul(simd_set1(s), simd_from_i32(values)));
    }
}

/* Keys of the page as floats, from vector `first` on, n of them. */
static void convert_keys(const struct attention_task *task, const struct page *page, size_t first,
                         size_t n, float *to) {
    size_t element = page->key_step / KV_PAGE;
    if (task->type == KV_Q8_0)
        convert_q8_keys(page->keys, task->head_dim, first, n, to);
    else
        for (size_t d = 0; d < task->head_dim; d++)
            convert(page->type, page->keys + d * page->key_step + first * element, n,
                    to + d * KV_PAGE + first);
}

/* Values that lie in the keys: as rows. Blocks of 16, so that what is written stays in L1. */
static void transpose_values(const float *keys, size_t value_dim, struct key_range seen,
                             float *to) {
    size_t step = padded(value_dim);
    for (size_t block = 0; block < step; block += 16)
        for (size_t k = (size_t)seen.begin; k < (size_t)seen.end; k++)
            for (size_t d = block; d < block + 16; d++)
                to[k * step + d] = d < value_dim ? keys[d * KV_PAGE + k] : 0.0f;
}

/* Few queries convert as they read, unless values end in a part of a vector or aren't rows. seen:
 * keys that any query sees. */
static struct page open_page(const struct attention_task *task, const struct scratch *scratch,
                             int64_t index, struct key_range seen) {
    enum gemm_type type = task->type == KV_F32   ? GEMM_F32
                          : task->type == KV_F16 ? GEMM_F16
                                                 : GEMM_BF16;
    size_t element = type == GEMM_F32 ? 4 : 2, dim = task->value_dim, padded_dim = padded(dim);
    bool q8 = task->type == KV_Q8_0;
    const uint8_t *bytes = task->pool + (size_t)task->pages[index] * task->page_bytes;
    struct page page = {.type = type,
                        .keys = bytes + task->k_offset,
                        .values = bytes + task->v_offset,
                        .key_step = KV_PAGE * element,
                        .value_step = dim * element};
    bool few = type == GEMM_F32 || task->n_rows * task->n_heads <= NARROW_ROWS;
    if (few && dim % SIMD_LANES == 0 && !q8 && !task->values_in_keys) {
        int64_t end = task->n_keys ? task->n_keys : task->position + (int64_t)task->n_rows;
        bool last = index + 1 >= (end + KV_PAGE - 1) / KV_PAGE;
        page.next_keys =
            last ? page.keys
                 : task->pool + (size_t)task->pages[index + 1] * task->page_bytes + task->k_offset;
        return page;
    }
    size_t first = round_down(seen.begin), n = round_up(seen.end) - first;
    convert_keys(task, &page, first, n, scratch->keys);
    if (task->values_in_keys) transpose_values(scratch->keys, dim, seen, scratch->values);
    for (size_t k = (size_t)seen.begin; k < (size_t)seen.end && !task->values_in_keys; k++)
        if (q8)
            convert_q8_values(page.values, dim, k, scratch->values + k * padded_dim);
        else
            convert(type, page.values + k * page.value_step, dim, scratch->values + k * padded_dim);
    return (struct page){.type = GEMM_F32,
                         .keys = (const uint8_t *)scratch->keys,
                         .values = (const uint8_t *)scratch->values,
                         .key_step = KV_PAGE * sizeof(float),
                         .value_step = padded_dim * sizeof(float)};
}

/* y [rows][n_vectors] += a [rows][n_k] * b [n_k][n_vectors] */
struct product {
    const float *a;
    size_t a_stride;
    const uint8_t *b;
    size_t b_step, n_k, n_vectors;
    bool fresh;
    const uint8_t *ahead; /* see gemm_tile */
    float *y;
    size_t y_stride;
};

/* n_rows rows, a constant, by `vectors` vectors at a time, a constant too. */
INLINE void multiply_rows(const struct product *p, enum gemm_type type, int n_rows, size_t first,
                          int vectors) {
    const float *a = p->a + first * p->a_stride;
    float *y = p->y + first * p->y_stride;
    const uint8_t *b = p->b, *ahead = p->ahead;
    size_t v = 0, step = gemm_vector_bytes(type);
    for (; v + (size_t)vectors <= p->n_vectors; v += (size_t)vectors, ahead = NULL)
        gemm_tile(type, n_rows, vectors, a, p->a_stride, b + v * step, p->b_step, p->n_k, p->fresh,
                  ahead, y + v * SIMD_LANES, p->y_stride);
    for (; v < p->n_vectors; v++)
        gemm_tile(type, n_rows, 1, a, p->a_stride, b + v * step, p->b_step, p->n_k, p->fresh, NULL,
                  y + v * SIMD_LANES, p->y_stride);
}

INLINE void multiply_few(const struct product *p, enum gemm_type type, size_t first,
                         size_t n_rows) {
    for (; n_rows >= NARROW_ROWS; n_rows -= NARROW_ROWS, first += NARROW_ROWS)
        multiply_rows(p, type, NARROW_ROWS, first, NARROW_VECTORS);
    for (; n_rows > 0; n_rows--, first++) multiply_rows(p, type, 1, first, PAGE_VECTORS);
}

static void multiply_f32(const struct product *p, size_t n_rows) {
    size_t first = 0;
    for (; n_rows - first >= WIDE_ROWS; first += WIDE_ROWS)
        multiply_rows(p, GEMM_F32, WIDE_ROWS, first, WIDE_VECTORS);
    multiply_few(p, GEMM_F32, first, n_rows - first);
}

static void multiply_f16(const struct product *p, size_t n_rows) {
    multiply_few(p, GEMM_F16, 0, n_rows);
}

static void multiply_bf16(const struct product *p, size_t n_rows) {
    multiply_few(p, GEMM_BF16, 0, n_rows);
}

static void multiply(enum gemm_type type, const struct product *p, size_t n_rows) {
    if (type == GEMM_F32)
        multiply_f32(p, n_rows);
    else if (type == GEMM_F16)
        multiply_f16(p, n_rows);
    else
        multiply_bf16(p, n_rows);
}

/* What is added to the score of key k of a page: ALiBi's slope * (first + k), or the rounded form
 * of kernels.h, and relative[k]. */
struct bias {
    float slope, scale;    /* scale 0: not rounded */
    int64_t first, query;  /* the page's first key relative to the query; the query's position */
    const float *relative; /* NULL: none */
};

/* To nearest even, of numbers that are no NaN. */
INLINE simd_f round_to_bf16(simd_f x) {
    simd_i bits = simd_bits(x);
    simd_i odd = simd_and_bits(simd_srli_i32(bits, 16), simd_set1_i32(1));
    bits = simd_add_i32(simd_add_i32(bits, simd_set1_i32(0x7FFF)), odd);
    return simd_from_bits(simd_slli_i32(simd_srli_i32(bits, 16), 16));
}

INLINE simd_f rounded_slope(simd_f slope, simd_f position) {
    return round_to_bf16(simd_mul(slope, round_to_bf16(position)));
}

INLINE simd_f add_bias(simd_f score, struct bias bias, int first) {
    static const float lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    simd_f slope = simd_set1(bias.slope);
    simd_f distance = simd_add(simd_set1((float)(bias.first + first)), simd_load(lane));
    if (bias.scale == 0.0f) return simd_add(score, simd_mul(slope, distance));
    simd_f query = simd_set1((float)bias.query);
    simd_f of_query = rounded_slope(slope, query);
    simd_f of_key = rounded_slope(slope, simd_add(query, distance));
    return simd_add(score, simd_mul(simd_set1(bias.scale), simd_sub(of_key, of_query)));
}

/* whole, a constant: the range is all keys of the page, and nothing need be left out. */
INLINE simd_f weigh_scores(const struct attention_task *task, float *s, struct key_range range,
                           bool whole, struct bias bias, float *part) {
    const simd_f scale = simd_set1(task->scale), none = simd_set1(-INFINITY);
    simd_f score[PAGE_VECTORS], largest = none;
    simd_m valid[PAGE_VECTORS];
    UNROLL
    for (int i = 0; i < PAGE_VECTORS; i++) {
        int first = i * SIMD_LANES;
        score[i] = simd_mul(simd_load(s + first), scale);
        if (task->softcap != 0.0f) {
            simd_f cap = simd_set1(task->softcap);
            score[i] = simd_mul(cap, simd_tanh(simd_div(score[i], cap)));
        }
        if (task->slopes) score[i] = add_bias(score[i], bias, first);
        if (task->relative) score[i] = simd_add(score[i], simd_load(bias.relative + first));
        if (!whole) {
            valid[i] = simd_between((int)range.begin - first, (int)range.end - first);
            score[i] = simd_select(valid[i], score[i], none);
        }
        largest = simd_max(score[i], largest);
    }
    /* Whether the maximum moves can't be predicted, so nothing branches on it: where it stays, the
     * values are multiplied by exactly 1. */
    const simd_f before = simd_set1(part[0]);
    const simd_f m = simd_max(before, simd_set1(simd_largest(largest)));
    simd_f sum = simd_zero();
    UNROLL
    for (int i = 0; i < PAGE_VECTORS; i++) {
        simd_f weight = simd_exp_weight(simd_sub(score[i], m));
        if (!whole) weight = simd_keep(valid[i], weight);
        simd_store(s + i * SIMD_LANES, weight);
        sum = simd_add(sum, weight);
    }
    const simd_f rescale = simd_exp(simd_sub(before, m));
    part[0] = simd_first(m);
    part[1] = part[1] * simd_first(rescale) + simd_sum(sum);
    return rescale;
}

/* Scores → weights of the page relative to the new maximum, exactly 0 for keys out of range; the
 * query's maximum and sum move on, and so does the scale of its values. */
static void softmax(const struct attention_task *task, float *s, struct key_range range,
                    struct bias bias, float *part) {
    bool whole = range.begin == 0 && range.end == KV_PAGE;
    const simd_f rescale = whole ? weigh_scores(task, s, range, true, bias, part)
                                 : weigh_scores(task, s, range, false, bias, part);
    float *o = part + 16;
    for (size_t d = 0; d < task->value_dim; d += SIMD_LANES)
        simd_store(o + d, simd_mul(simd_load(o + d), rescale));
}

/* The values of keys begin ... end - 1, weighted, onto those of n_rows queries. */
static void weigh_values(const struct attention_task *task, const struct page *page,
                         const float *weights, int64_t begin, int64_t end, size_t n_rows,
                         float *part) {
    if (begin >= end) return;
    struct product product = {.a = weights + begin,
                              .a_stride = KV_PAGE,
                              .b = page->values + (size_t)begin * page->value_step,
                              .b_step = page->value_step,
                              .n_k = (size_t)(end - begin),
                              .n_vectors = round_up((int64_t)task->value_dim) / SIMD_LANES,
                              .ahead = page->next_keys,
                              .y = part + 16,
                              .y_stride = ATTENTION_PART_FLOATS(task->value_dim)};
    multiply(page->type, &product, n_rows);
}

/* n <= WIDE_ROWS queries, all of which see some of the page. What only some of them see, before and
 * after what all do, is weighed for each alone: a value that a query must not see may be NaN. */
static void attend_queries(const struct attention_task *task, const struct scratch *scratch,
                           const struct page *page, int64_t index, const struct key_range *range,
                           size_t query, size_t n, float *part) {
    float scores[WIDE_ROWS * KV_PAGE] = {0};
    size_t first = round_down(range[0].begin), end = round_up(range[n - 1].end);
    struct product product = {.a = scratch->queries + query * padded(task->head_dim),
                              .a_stride = padded(task->head_dim),
                              .b = page->keys + first / SIMD_LANES * gemm_vector_bytes(page->type),
                              .b_step = page->key_step,
                              .n_k = task->head_dim,
                              .n_vectors = (end - first) / SIMD_LANES,
                              .fresh = true,
                              .y = scores + first,
                              .y_stride = KV_PAGE};
    multiply(page->type, &product, n);

    size_t part_floats = ATTENTION_PART_FLOATS(task->value_dim);
    float *to = part + query * part_floats;
    int64_t all_begin = range[n - 1].begin, all_end = range[0].end;
    if (all_end < all_begin) all_end = all_begin;
    for (size_t t = 0; t < n; t++) {
        size_t head = (query + t) % task->n_heads, row = (query + t) / task->n_heads;
        int64_t position = task->position + (int64_t)row;
        struct bias bias = {.slope = task->slopes ? task->slopes[head] : 0.0f,
                            .scale = task->slope_scale,
                            .first = index * KV_PAGE - position,
                            .query = position};
        if (task->relative) bias.relative = attention_relative(task, head, bias.first);
        softmax(task, scores + t * KV_PAGE, range[t], bias, to + t * part_floats);
        int64_t before = range[t].end < all_begin ? range[t].end : all_begin;
        weigh_values(task, page, scores + t * KV_PAGE, range[t].begin, before, 1,
                     to + t * part_floats);
    }
    weigh_values(task, page, scores, all_begin, all_end, n, to);
    for (size_t t = 0; t < n; t++) {
        int64_t after = range[t].begin > all_end ? range[t].begin : all_end;
        weigh_values(task, page, scores + t * KV_PAGE, after, range[t].end, 1,
                     to + t * part_floats);
    }
}

static void attend_page(const struct attention_task *task, const struct scratch *scratch,
                        int64_t index, float *part) {
    /* Rows see keys that begin and end later and later: those that see some of the page lie
     * together. */
    struct key_range seen = {KV_PAGE, 0};
    size_t first_row = task->n_rows, end_row = 0;
    for (size_t row = 0; row < task->n_rows; row++) {
        struct key_range range = attention_range(task, row, index * KV_PAGE, KV_PAGE);
        if (range.begin >= range.end) continue;
        if (range.begin < seen.begin) seen.begin = range.begin;
        if (range.end > seen.end) seen.end = range.end;
        if (row < first_row) first_row = row;
        end_row = row + 1;
    }
    if (first_row >= end_row) return;
    struct page page = open_page(task, scratch, index, seen);
    size_t end = end_row * task->n_heads;
    for (size_t query = first_row * task->n_heads; query < end; query += WIDE_ROWS) {
        struct key_range range[WIDE_ROWS];
        size_t n = end - query < WIDE_ROWS ? end - query : WIDE_ROWS;
        for (size_t t = 0; t < n; t++)
            range[t] = attention_range(task, (query + t) / task->n_heads, index * KV_PAGE, KV_PAGE);
        attend_queries(task, scratch, &page, index, range, query, n, part);
    }
}

static void split(const struct attention_task *task, int64_t index, float *part) {
    struct scratch scratch = scratch_of(task);
    size_t part_floats = ATTENTION_PART_FLOATS(task->value_dim);
    size_t n_queries = task->n_rows * task->n_heads;
    memset(part, 0, n_queries * part_floats * sizeof(float));
    for (size_t i = 0; i < n_queries; i++) {
        part[i * part_floats] = -INFINITY;
        memcpy(scratch.queries + i * padded(task->head_dim),
               task->q + i / task->n_heads * task->q_stride + i % task->n_heads * task->head_dim,
               task->head_dim * sizeof(float));
    }
    const int64_t n_pages = ATTENTION_SPLIT / KV_PAGE;
    for (int64_t page = index * n_pages; page < (index + 1) * n_pages; page++)
        attend_page(task, &scratch, page, part);
}

static void merge(size_t n_queries, size_t value_dim, const float *part, float *total) {
    size_t part_floats = ATTENTION_PART_FLOATS(value_dim);
    for (size_t i = 0; i < n_queries; i++, part += part_floats, total += part_floats) {
        if (part[1] == 0.0f) continue;
        if (total[1] == 0.0f) {
            memcpy(total, part, part_floats * sizeof(float));
            continue;
        }
        float maximum = part[0] > total[0] ? part[0] : total[0];
        const simd_f of_part = simd_exp(simd_set1(part[0] - maximum));
        const simd_f of_total = simd_exp(simd_set1(total[0] - maximum));
        total[0] = maximum;
        total[1] = total[1] * simd_first(of_total) + part[1] * simd_first(of_part);
        for (size_t d = 16; d < 16 + value_dim; d += SIMD_LANES) {
            simd_f t = simd_mul(simd_load(total + d), of_total);
            simd_store(total + d, simd_fma(simd_load(part + d), of_part, t));
        }
    }
}

static void finish(const float *total, size_t value_dim, float *out) {
    const simd_f sum = simd_set1(total[1]);
    for (size_t d = 0; d < value_dim; d += SIMD_LANES)
        simd_store_n(out + d, simd_div(simd_load(total + 16 + d), sum), value_dim - d);
}

void vector_attention(struct kernels *kernels) {
    kernels->attention_scratch_bytes = scratch_bytes;
    kernels->attention_split = split;
    kernels->attention_merge = merge;
    kernels->attention_finish = finish;
}
