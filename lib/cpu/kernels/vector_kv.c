/* Keys and values of one position into their page: rounded as a row, which is then laid out. */
#include "cpu/kernels/kv_position.h"
#include "cpu/kernels/simd.h"
#include "cpu/kernels/vector.h"

/* n <= KV_SCALE_DIMS floats to 16 bits, with room for a whole vector at the end. */
static void to_halves(enum kv_type type, const float *x, size_t n, uint8_t *to) {
    for (size_t i = 0; i < n; i += SIMD_LANES, to += SIMD_HALF_BYTES) {
        simd_f v = simd_load_n(x + i, n - i);
        if (type == KV_F16)
            simd_store_f16(to, v);
        else
            simd_store_u16(to, simd_bfloat16_bits(v));
    }
}

/* The same for int8; returns their scale as f16. A NaN becomes 0. */
static uint16_t to_q8(const float *x, size_t n, int8_t *to) {
    simd_f largest = simd_zero();
    for (size_t i = 0; i < n; i += SIMD_LANES)
        largest = simd_max(simd_abs(simd_load_n(x + i, n - i)), largest);
    uint8_t halves[SIMD_HALF_BYTES];
    simd_store_f16(halves, simd_set1(simd_largest(largest) / 127.0f));
    const simd_f scale = simd_load_f16(halves), limit = simd_set1(127.0f);
    const simd_f inverse =
        simd_keep(simd_less(simd_zero(), scale), simd_div(simd_set1(1.0f), scale));
    for (size_t i = 0; i < n; i += SIMD_LANES) {
        simd_f v = simd_mul(simd_load_n(x + i, n - i), inverse);
        v = simd_select(simd_unordered(v), simd_zero(), v);
        simd_store_i8(to + i, simd_to_i32(simd_min(simd_max(v, simd_negate(limit)), limit)));
    }
    uint16_t bits;
    memcpy(&bits, halves, sizeof bits);
    return bits;
}

/* Elements of size bytes, step elements apart. */
INLINE void lay_out(size_t size, const uint8_t *from, size_t n, uint8_t *to, size_t step) {
    if (step == 1)
        memcpy(to, from, n * size);
    else
        for (size_t i = 0; i < n; i++) memcpy(to + i * step * size, from + i * size, size);
}

static void store(enum kv_type type, const float *x, size_t n, void *head, struct kv_position at) {
    _Static_assert(KV_SCALE_DIMS % SIMD_LANES == 0, "whole vectors");
    uint16_t *scale = kv_scales_of(head, n) + at.first_scale;
    for (size_t i = 0; i < n; i += KV_SCALE_DIMS, scale += at.scale_step) {
        size_t count = n - i < KV_SCALE_DIMS ? n - i : KV_SCALE_DIMS, to = at.first + i * at.step;
        uint8_t row[KV_SCALE_DIMS * 2];
        if (type == KV_F32) {
            lay_out(4, (const uint8_t *)(x + i), count, (uint8_t *)head + 4 * to, at.step);
        } else if (type == KV_Q8_0) {
            *scale = to_q8(x + i, count, (int8_t *)row);
            lay_out(1, row, count, (uint8_t *)head + to, at.step);
        } else {
            to_halves(type, x + i, count, row);
            lay_out(2, row, count, (uint8_t *)head + 2 * to, at.step);
        }
    }
}

static void kv_store(enum kv_type type, const float *x, size_t n, size_t position, void *head) {
    store(type, x, n, head, kv_row(position, n));
}

static void kv_store_key(enum kv_type type, const float *x, size_t n, size_t position, void *head) {
    store(type, x, n, head, kv_column(position));
}

void vector_kv(struct kernels *kernels) {
    kernels->kv_store = kv_store;
    kernels->kv_store_key = kv_store_key;
}
