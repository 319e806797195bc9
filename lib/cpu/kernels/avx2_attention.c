/* Attention over pages of KV_PAGE keys: scores with lane = dim and one fixed horizontal sum, an
 * online softmax a page at a time (arXiv:2205.14135), values with lane = dim, keys in order. How
 * many queries walk a page together changes no query's arithmetic. */
#include <math.h>
#include <string.h>

#include "cpu/kernels/attention_range.h"
#include "cpu/kernels/avx2.h"
#include "cpu/kernels/avx2_math.h"

static void to_f32(enum kv_type type, const void *from, size_t n, float *to) {
    const __m128i *halves = from;
    for (size_t i = 0; i < n; i += 8, halves++) {
        __m128i bits = _mm_loadu_si128(halves);
        __m256 v = type == KV_F16
                       ? _mm256_cvtph_ps(bits)
                       : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
        _mm256_store_ps(to + i, v);
    }
}

/* The keys (or values) begin ... end - 1 of a page as f32, in place or converted into scratch. */
static const float *page_f32(const struct attention_task *task, const uint8_t *bytes, int64_t begin,
                             int64_t end, float *scratch) {
    if (task->type == KV_F32) return (const float *)(const void *)bytes;
    size_t first = (size_t)begin * task->head_dim, n = (size_t)(end - begin) * task->head_dim;
    to_f32(task->type, bytes + first * 2, n, scratch + first);
    return scratch;
}

/* The sums of four vectors. */
INLINE __m128 sums_of_four(__m256 a, __m256 b, __m256 c, __m256 d) {
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

/* scores[t][k] = q_t · key_k for keys begin ... end - 1, both multiples of four. */
INLINE void scores(int n_queries, const float *const *q, const float *keys, size_t head_dim,
                   int64_t begin, int64_t end, float (*to)[KV_PAGE]) {
    for (int64_t k = begin; k < end; k += 4) {
        const float *key = keys + (size_t)k * head_dim;
        __m256 sum[2][4];
        UNROLL
        for (int t = 0; t < n_queries; t++) UNROLL
        for (int j = 0; j < 4; j++) sum[t][j] = _mm256_setzero_ps();
        for (size_t d = 0; d < head_dim; d += 8) UNROLL
        for (int t = 0; t < n_queries; t++) {
            __m256 qd = _mm256_loadu_ps(q[t] + d);
            for (int j = 0; j < 4; j++)
                sum[t][j] =
                    _mm256_fmadd_ps(qd, _mm256_load_ps(key + (size_t)j * head_dim + d), sum[t][j]);
        }
        UNROLL
        for (int t = 0; t < n_queries; t++)
            _mm_store_ps(to[t] + k, sums_of_four(sum[t][0], sum[t][1], sum[t][2], sum[t][3]));
    }
}

/* Scores → weights of the page relative to the new maximum, exactly 0 for keys out of range; the
 * query's maximum and sum move on. Returns what its values are to be multiplied by. */
static float softmax(const struct attention_task *task, float *s, struct key_range range,
                     float *part) {
    const __m256i begin = _mm256_set1_epi32((int)range.begin - 1);
    const __m256i end = _mm256_set1_epi32((int)range.end);
    const __m256 scale = _mm256_set1_ps(task->scale), none = _mm256_set1_ps(-INFINITY);
    __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256 score[KV_PAGE / 8], valid[KV_PAGE / 8], largest = none;
    for (int i = 0; i < KV_PAGE / 8; i++) {
        __m256i in =
            _mm256_and_si256(_mm256_cmpgt_epi32(index, begin), _mm256_cmpgt_epi32(end, index));
        index = _mm256_add_epi32(index, _mm256_set1_epi32(8));
        __m256 v = _mm256_mul_ps(_mm256_load_ps(s + 8 * i), scale);
        if (task->softcap != 0.0f) {
            __m256 cap = _mm256_set1_ps(task->softcap);
            v = _mm256_mul_ps(cap, avx2_tanh(_mm256_div_ps(v, cap)));
        }
        valid[i] = _mm256_castsi256_ps(in);
        score[i] = _mm256_blendv_ps(none, v, valid[i]);
        largest = _mm256_max_ps(score[i], largest);
    }
    float maximum = avx2_max(largest);
    if (part[0] > maximum) maximum = part[0];
    const __m256 m = _mm256_set1_ps(maximum);
    __m256 sum = _mm256_setzero_ps();
    for (int i = 0; i < KV_PAGE / 8; i++) {
        __m256 weight = _mm256_and_ps(avx2_exp(_mm256_sub_ps(score[i], m)), valid[i]);
        _mm256_store_ps(s + 8 * i, weight);
        sum = _mm256_add_ps(sum, weight);
    }
    float rescale = part[0] == maximum ? 1.0f : avx2_exp_scalar(part[0] - maximum);
    part[0] = maximum;
    part[1] = part[1] * rescale + avx2_sum(sum);
    return rescale;
}

/* o_t = rescale_t * o_t + sum of weight_t[k] * value_k over n_vectors vectors of dims. */
INLINE void weigh_values(int n_queries, int n_vectors, const float (*weights)[KV_PAGE],
                         const float *values, size_t head_dim, struct key_range range,
                         const float *rescale, float *const *o) {
    __m256 sum[2][8];
    UNROLL
    for (int t = 0; t < n_queries; t++) UNROLL
    for (int j = 0; j < n_vectors; j++)
        sum[t][j] = _mm256_mul_ps(_mm256_loadu_ps(o[t] + 8 * j), _mm256_set1_ps(rescale[t]));
    for (int64_t k = range.begin; k < range.end; k++) {
        const float *value = values + (size_t)k * head_dim;
        UNROLL
        for (int t = 0; t < n_queries; t++) {
            __m256 weight = _mm256_broadcast_ss(&weights[t][k]);
            UNROLL
            for (int j = 0; j < n_vectors; j++)
                sum[t][j] = _mm256_fmadd_ps(weight, _mm256_load_ps(value + 8 * j), sum[t][j]);
        }
    }
    UNROLL
    for (int t = 0; t < n_queries; t++) UNROLL
    for (int j = 0; j < n_vectors; j++) _mm256_storeu_ps(o[t] + 8 * j, sum[t][j]);
}

/* One page for n_queries (1 or 2, a constant) queries that see the same keys of it. */
INLINE void attend(int n_queries, const struct attention_task *task, const float *keys,
                   const float *values, const float *const *q, struct key_range range,
                   float *const *part) {
    _Alignas(32) float s[2][KV_PAGE];
    if (range.begin > 0 || range.end < KV_PAGE) memset(s, 0, sizeof s);
    scores(n_queries, q, keys, task->head_dim, range.begin / 4 * 4, (range.end + 3) / 4 * 4, s);
    float rescale[2];
    UNROLL
    for (int t = 0; t < n_queries; t++) rescale[t] = softmax(task, s[t], range, part[t]);
    const float(*weights)[KV_PAGE] = (const float(*)[KV_PAGE])s;
    size_t d = 0, n = task->head_dim;
    float *o[2];
    for (;; d += n_queries == 1 ? 64 : 32) {
        UNROLL
        for (int t = 0; t < n_queries; t++) o[t] = part[t] + 16 + d;
        if (n_queries == 1 && d + 64 <= n)
            weigh_values(n_queries, 8, weights, values + d, n, range, rescale, o);
        else if (n_queries == 2 && d + 32 <= n)
            weigh_values(n_queries, 4, weights, values + d, n, range, rescale, o);
        else
            break;
    }
    for (; d < n; d += 8) {
        UNROLL
        for (int t = 0; t < n_queries; t++) o[t] = part[t] + 16 + d;
        weigh_values(n_queries, 1, weights, values + d, n, range, rescale, o);
    }
}

static void attend_one(const struct attention_task *task, const float *keys, const float *values,
                       const float *q, struct key_range range, float *part) {
    attend(1, task, keys, values, &q, range, &part);
}

static void attend_two(const struct attention_task *task, const float *keys, const float *values,
                       const float *const *q, struct key_range range, float *const *part) {
    attend(2, task, keys, values, q, range, part);
}

static void attend_page(const struct attention_task *task, int64_t page, float *part) {
    size_t part_floats = ATTENTION_PART_FLOATS(task->head_dim);
    struct key_range first = attention_range(task, 0, page * KV_PAGE, KV_PAGE);
    struct key_range last = attention_range(task, task->n_rows - 1, page * KV_PAGE, KV_PAGE);
    int64_t begin = first.begin / 4 * 4, end = (last.end + 3) / 4 * 4;
    if (begin >= end) return;
    const uint8_t *bytes = task->pool + (size_t)task->pages[page] * task->page_bytes;
    float *scratch = task->scratch;
    const float *keys = page_f32(task, bytes + task->k_offset, begin, end, scratch);
    const float *values =
        page_f32(task, bytes + task->v_offset, begin, end, scratch + KV_PAGE * task->head_dim);
    const float *waiting_q = NULL;
    float *waiting_part = NULL;
    struct key_range waiting = {0, 0};
    for (size_t row = 0; row < task->n_rows; row++) {
        struct key_range range = attention_range(task, row, page * KV_PAGE, KV_PAGE);
        if (range.begin >= range.end) continue;
        for (size_t head = 0; head < task->n_heads; head++) {
            const float *q = task->q + row * task->q_stride + head * task->head_dim;
            float *to = part + (row * task->n_heads + head) * part_floats;
            if (waiting_q && waiting.begin == range.begin && waiting.end == range.end) {
                const float *two_q[2] = {waiting_q, q};
                float *two_parts[2] = {waiting_part, to};
                attend_two(task, keys, values, two_q, range, two_parts);
                waiting_q = NULL;
                continue;
            }
            if (waiting_q) attend_one(task, keys, values, waiting_q, waiting, waiting_part);
            waiting_q = q;
            waiting_part = to;
            waiting = range;
        }
    }
    if (waiting_q) attend_one(task, keys, values, waiting_q, waiting, waiting_part);
}

/* One page of keys and one of values as f32. */
static bool fits(size_t head_dim) {
    return head_dim % 8 == 0 && head_dim <= 256;
}

static size_t scratch_bytes(size_t n_queries, size_t head_dim) {
    (void)n_queries;
    return 2 * KV_PAGE * head_dim * sizeof(float);
}

static void split(const struct attention_task *task, int64_t index, float *part) {
    size_t part_floats = ATTENTION_PART_FLOATS(task->head_dim);
    size_t n_queries = task->n_rows * task->n_heads;
    memset(part, 0, n_queries * part_floats * sizeof(float));
    for (size_t i = 0; i < n_queries; i++) part[i * part_floats] = -INFINITY;
    const int64_t n_pages = ATTENTION_SPLIT / KV_PAGE;
    for (int64_t page = index * n_pages; page < (index + 1) * n_pages; page++)
        attend_page(task, page, part);
}

static void merge(size_t n_queries, size_t head_dim, const float *part, float *total) {
    size_t part_floats = ATTENTION_PART_FLOATS(head_dim);
    for (size_t i = 0; i < n_queries; i++, part += part_floats, total += part_floats) {
        if (part[1] == 0.0f) continue;
        if (total[1] == 0.0f) {
            memcpy(total, part, part_floats * sizeof(float));
            continue;
        }
        float maximum = part[0] > total[0] ? part[0] : total[0];
        const __m256 of_part = avx2_exp(_mm256_set1_ps(part[0] - maximum));
        const __m256 of_total = avx2_exp(_mm256_set1_ps(total[0] - maximum));
        total[0] = maximum;
        total[1] = total[1] * _mm256_cvtss_f32(of_total) + part[1] * _mm256_cvtss_f32(of_part);
        for (size_t d = 16; d < 16 + head_dim; d += 8) {
            __m256 t = _mm256_mul_ps(_mm256_loadu_ps(total + d), of_total);
            _mm256_storeu_ps(total + d, _mm256_fmadd_ps(_mm256_loadu_ps(part + d), of_part, t));
        }
    }
}

static void finish(const float *total, size_t head_dim, float *out) {
    const __m256 sum = _mm256_set1_ps(total[1]);
    for (size_t d = 0; d < head_dim; d += 8)
        _mm256_storeu_ps(out + d, _mm256_div_ps(_mm256_loadu_ps(total + 16 + d), sum));
}

void avx2_attention(struct kernels *kernels) {
    kernels->attention_fits = fits;
    kernels->attention_scratch_bytes = scratch_bytes;
    kernels->attention_split = split;
    kernels->attention_merge = merge;
    kernels->attention_finish = finish;
}
