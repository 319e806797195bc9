/* Keys and values of one position into their page, in plain C. */
#include <math.h>

#include "cpu/kernels/kv_position.h"
#include "cpu/kernels/reference.h"

/* n <= KV_SCALE_DIMS dims with one scale; a NaN becomes 0. */
static uint16_t quantize(const float *x, size_t n, int8_t *q, size_t step) {
    float absmax = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > absmax) absmax = fabsf(x[i]);
    uint16_t bits = half_from_float(absmax / 127.0f);
    float scale = half_to_float(bits), inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
    for (size_t i = 0; i < n; i++) q[i * step] = reference_int8(x[i] * inverse);
    return bits;
}

static void store_q8(const float *x, size_t n, void *head, struct kv_position at) {
    int8_t *q = (int8_t *)head + at.first;
    uint16_t *scale = kv_scales_of(head, n) + at.first_scale;
    for (size_t i = 0; i < n; i += KV_SCALE_DIMS, scale += at.scale_step)
        *scale = quantize(x + i, n - i < KV_SCALE_DIMS ? n - i : KV_SCALE_DIMS, q + i * at.step,
                          at.step);
}

static void store(enum kv_type type, const float *x, size_t n, void *head, struct kv_position at) {
    if (type == KV_Q8_0) {
        store_q8(x, n, head, at);
        return;
    }
    for (size_t i = 0, to = at.first; i < n; i++, to += at.step) {
        if (type == KV_F32)
            ((float *)head)[to] = x[i];
        else
            ((uint16_t *)head)[to] =
                type == KV_F16 ? half_from_float(x[i]) : bfloat16_from_float(x[i]);
    }
}

static void kv_store(enum kv_type type, const float *x, size_t n, size_t position, void *head) {
    store(type, x, n, head, kv_row(position, n));
}

static void kv_store_key(enum kv_type type, const float *x, size_t n, size_t position, void *head) {
    store(type, x, n, head, kv_column(position));
}

void reference_kv(struct kernels *kernels) {
    kernels->kv_store = kv_store;
    kernels->kv_store_key = kv_store_key;
}
