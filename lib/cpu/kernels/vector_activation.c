/* Activations as the integer kernels take them (activation_q8.h): the reference's bytes. */
#include <string.h>

#include "cpu/kernels/activation_q8.h"
#include "cpu/kernels/simd.h"
#include "cpu/kernels/vector.h"

#define HALF_VECTORS (Q8_HALF / SIMD_LANES)

/* |x| of a NaN loses to the other operand of max. */
static float absmax_of_half(const float *x) {
    simd_f largest = simd_zero();
    for (size_t i = 0; i < HALF_VECTORS; i++)
        largest = simd_max(simd_abs(simd_load(x + SIMD_LANES * i)), largest);
    return simd_largest(largest);
}

/* The quants of a half, a NaN's 0; their sum. */
static float quantize_half(const float *x, float inverse, int8_t *q) {
    const simd_f factor = simd_set1(inverse), limit = simd_set1(127.0f);
    simd_f sum = simd_zero();
    for (size_t i = 0; i < HALF_VECTORS; i++) {
        simd_f v = simd_mul(simd_load(x + SIMD_LANES * i), factor);
        v = simd_select(simd_unordered(v), simd_zero(), v);
        simd_i whole = simd_to_i32(simd_min(simd_max(v, simd_negate(limit)), limit));
        simd_store_i8(q + SIMD_LANES * i, whole);
        sum = simd_add(sum, simd_from_i32(whole));
    }
    return simd_sum(sum); /* of integers: exact */
}

static void q8_prepare(const float *x, size_t n, void *row) {
    struct q8_block *block = row;
    for (const float *end = x + n / Q8_BLOCK * Q8_BLOCK; x < end; x += Q8_BLOCK, block++) {
        float sums[2];
        for (int half = 0; half < 2; half++) {
            float absmax = absmax_of_half(x + Q8_HALF * half);
            float inverse = absmax > 0.0f ? 127.0f / absmax : 0.0f;
            block->scale[half] = absmax / 127.0f;
            sums[half] = quantize_half(x + Q8_HALF * half, inverse, block->q + Q8_HALF * half);
            block->sums[half] = (int16_t)sums[half];
        }
        block->scaled_sum = block->scale[0] * sums[0] + block->scale[1] * sums[1];
    }
    size_t used = n / Q8_BLOCK * sizeof *block;
    memset(block, 0, q8_row_bytes(n) - used);
}

void vector_activation(struct kernels *kernels) {
    kernels->activation[ACTIVATION_ROWS_Q8].prepare = q8_prepare;
}
