/* Attention in plain C: one query and one page of keys at a time (arXiv:2205.14135). */
#include <math.h>
#include <string.h>

#include "cpu/kernels/attention_range.h"
#include "cpu/kernels/kv_position.h"
#include "cpu/kernels/reference.h"
#include "cpu/kernels/reference_math.h"
#include "quant/weight_type.h"

#define LANES 8

/* Dim d of what is stored at a position of a head. */
static float load(enum kv_type type, const uint8_t *head, size_t head_dim, struct kv_position at,
                  size_t d) {
    size_t i = at.first + d * at.step;
    if (type == KV_F32) return ((const float *)(const void *)head)[i];
    if (type == KV_Q8_0) {
        const uint16_t *scales = (const uint16_t *)(const void *)(head + KV_PAGE * head_dim);
        return half_to_float(scales[at.first_scale + d / KV_SCALE_DIMS * at.scale_step]) *
               (float)((const int8_t *)head)[i];
    }
    uint16_t bits = ((const uint16_t *)(const void *)head)[i];
    return type == KV_F16 ? half_to_float(bits) : bfloat16_to_float(bits);
}

static float dot(enum kv_type type, const float *q, const uint8_t *keys, size_t key,
                 size_t head_dim) {
    float lane[LANES] = {0};
    for (size_t d = 0; d < head_dim; d++)
        lane[d % LANES] += q[d] * load(type, keys, head_dim, kv_column(key), d);
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
           ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static float rounded(float x) {
    return bfloat16_to_float(bfloat16_from_float(x));
}

static float rounded_slope(float slope, int64_t position) {
    return rounded(slope * rounded((float)position));
}

static float alibi(const struct attention_task *task, size_t head, int64_t key, int64_t query) {
    float slope = task->slopes[head];
    if (task->slope_scale == 0.0f) return slope * (float)(key - query);
    return task->slope_scale * (rounded_slope(slope, key) - rounded_slope(slope, query));
}

/* query: its position; first: the page's first key relative to it. */
static void page_attend(const struct attention_task *task, const uint8_t *page, const float *q,
                        size_t head, int64_t query, int64_t first, struct key_range range,
                        float *part) {
    const float *relative = task->relative ? attention_relative(task, head, first) : NULL;
    float scores[KV_PAGE], maximum = part[0];
    for (int64_t k = range.begin; k < range.end; k++) {
        float s =
            task->scale * dot(task->type, q, page + task->k_offset, (size_t)k, task->head_dim);
        if (task->softcap != 0.0f)
            s = task->softcap * (float)reference_tanh((double)(s / task->softcap));
        if (task->slopes) s += alibi(task, head, query + first + k, query);
        if (relative) s += relative[k];
        scores[k] = s;
        if (s > maximum) maximum = s;
    }
    float *values = part + 16, rescale = (float)reference_exp((double)(part[0] - maximum));
    size_t stored = task->values_in_keys ? task->head_dim : task->value_dim;
    const uint8_t *of_values = page + (task->values_in_keys ? task->k_offset : task->v_offset);
    part[0] = maximum;
    part[1] *= rescale;
    for (size_t d = 0; d < task->value_dim; d++) values[d] *= rescale;
    for (int64_t k = range.begin; k < range.end; k++) {
        float weight = (float)reference_exp((double)(scores[k] - maximum));
        struct kv_position at =
            task->values_in_keys ? kv_column((size_t)k) : kv_row((size_t)k, stored);
        part[1] += weight;
        for (size_t d = 0; d < task->value_dim; d++)
            values[d] += weight * load(task->type, of_values, stored, at, d);
    }
}

static size_t scratch_bytes(size_t n_queries, size_t head_dim, size_t value_dim) {
    (void)n_queries;
    (void)head_dim;
    (void)value_dim;
    return 64;
}

static void split(const struct attention_task *task, int64_t index, float *part) {
    size_t part_floats = ATTENTION_PART_FLOATS(task->value_dim);
    for (size_t row = 0; row < task->n_rows; row++) {
        for (size_t head = 0; head < task->n_heads; head++) {
            float *to = part + (row * task->n_heads + head) * part_floats;
            memset(to, 0, part_floats * sizeof(float));
            to[0] = -INFINITY;
            const float *q = task->q + row * task->q_stride + head * task->head_dim;
            for (int64_t i = 0; i < ATTENTION_SPLIT / KV_PAGE; i++) {
                int64_t page = index * (ATTENTION_SPLIT / KV_PAGE) + i;
                struct key_range range = attention_range(task, row, page * KV_PAGE, KV_PAGE);
                if (range.begin >= range.end) continue;
                const uint8_t *bytes = task->pool + (size_t)task->pages[page] * task->page_bytes;
                int64_t query = task->position + (int64_t)row;
                page_attend(task, bytes, q, head, query, page * KV_PAGE - query, range, to);
            }
        }
    }
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
        float of_part = (float)reference_exp((double)(part[0] - maximum));
        float of_total = (float)reference_exp((double)(total[0] - maximum));
        total[0] = maximum;
        total[1] = total[1] * of_total + part[1] * of_part;
        for (size_t d = 0; d < value_dim; d++)
            total[16 + d] = total[16 + d] * of_total + part[16 + d] * of_part;
    }
}

static void finish(const float *total, size_t value_dim, float *out) {
    for (size_t d = 0; d < value_dim; d++) out[d] = total[16 + d] / total[1];
}

void reference_attention(struct kernels *kernels) {
    kernels->attention_scratch_bytes = scratch_bytes;
    kernels->attention_split = split;
    kernels->attention_merge = merge;
    kernels->attention_finish = finish;
}
