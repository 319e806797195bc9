/* Activations as the integer kernels take them (activation_q8.h): the reference's bytes. Written
 * for eight lanes, the columns of a scale, and compiled once for an architecture. */
#include <string.h>

#include "cpu/kernels/activation_bf16.h"
#include "cpu/kernels/activation_q8.h"
#include "cpu/kernels/simd.h"
#include "cpu/kernels/vector.h"

_Static_assert(SIMD_LANES == Q8_PART, "a vector is a part");

/* Lane i: the largest |x| of part i; |x| of a NaN loses to the other operand of max. Lanes 4 ... 7
 * as lanes 0 ... 3. */
static simd_f absmax_of_parts(const simd_f *x) {
    simd_f magnitude[Q8_PARTS];
    for (int i = 0; i < Q8_PARTS; i++) magnitude[i] = simd_max(simd_abs(x[i]), simd_zero());
    return simd_largest_of_four(magnitude);
}

/* The quants of the block with the scales and their inverses in lanes 0 ... 3, a NaN's 0; the
 * sums. */
static void quantize(const simd_f *x, simd_f scale, simd_f inverse, struct q8_block *block) {
    const simd_f limit = simd_set1(127.0f), least = simd_set1(-127.0f);
    float inverses[SIMD_LANES], sums[SIMD_LANES];
    simd_store(inverses, inverse);
    simd_f quants[Q8_PARTS];
    for (int i = 0; i < Q8_PARTS; i++) {
        simd_f v = simd_mul(x[i], simd_set1(inverses[i]));
        v = simd_select(simd_unordered(v), simd_zero(), v);
        simd_i whole = simd_to_i32(simd_min(simd_max(v, least), limit));
        simd_store_i8(block->q + Q8_PART * i, whole);
        quants[i] = simd_from_i32(whole);
    }
    simd_f scaled = simd_mul(scale, simd_sum_of_four(quants)); /* sums of integers: exact */
    simd_store(sums, simd_add(scaled, simd_swap_pairs(scaled)));
    block->half_sum[0] = sums[0];
    block->half_sum[1] = sums[2];
    block->scaled_sum = sums[0] + sums[2];
}

static void load_block(const float *x, simd_f *to) {
    for (size_t i = 0; i < Q8_PARTS; i++) to[i] = simd_load(x + SIMD_LANES * i);
}

/* 1 / x where x > 0, else 0 */
static simd_f inverse_of(simd_f numerator, simd_f x) {
    return simd_keep(simd_less(simd_zero(), x), simd_div(numerator, x));
}

static void float_prepare(const float *x, size_t n, void *row) {
    struct q8_block *block = row;
    for (const float *end = x + n / Q8_BLOCK * Q8_BLOCK; x < end; x += Q8_BLOCK, block++) {
        simd_f v[Q8_PARTS];
        load_block(x, v);
        simd_f absmax = absmax_of_parts(v), scale = simd_div(absmax, simd_set1(127.0f));
        simd_store_n(block->scale, scale, Q8_PARTS);
        block->block_scale = 0.0f;
        quantize(v, scale, inverse_of(simd_set1(127.0f), absmax), block);
    }
}

static void integer_prepare(const float *x, size_t n, void *row) {
    struct q8_block *block = row;
    const simd_f most = simd_set1((float)Q8_MULTIPLES);
    for (const float *end = x + n / Q8_BLOCK * Q8_BLOCK; x < end; x += Q8_BLOCK, block++) {
        simd_f v[Q8_PARTS];
        load_block(x, v);
        simd_f absmax = absmax_of_parts(v);
        float largest = simd_largest(absmax);
        block->block_scale = largest / (float)(127 * Q8_MULTIPLES);
        /* to an integer, upwards; a NaN loses to the other operand of min */
        simd_f ratio = simd_mul(simd_div(absmax, simd_set1(largest)), most);
        simd_f m = simd_round(simd_min(ratio, most));
        m = simd_select(simd_less(m, ratio), simd_add(m, simd_set1(1.0f)), m);
        m = simd_max(simd_min(m, most), simd_set1(1.0f));
        if (!(largest > 0.0f)) m = simd_set1(1.0f);
        simd_i both = simd_to_i32(m);
        both = simd_or_bits(both, simd_slli_i32(both, 16));
        simd_f scale = simd_mul(simd_set1(block->block_scale), m);
        simd_store_n((float *)block->multiple, simd_from_bits(both), Q8_PARTS);
        quantize(v, scale, inverse_of(simd_set1(1.0f), scale), block);
    }
}

static void bf16_prepare(const float *x, size_t n, void *row) {
    uint8_t *to = row;
    for (size_t i = 0; i < n; i += SIMD_LANES, to += SIMD_HALF_BYTES)
        simd_store_u16(to, simd_bfloat16_bits(simd_load_n(x + i, n - i)));
    memset(to, 0, (size_t)((uint8_t *)row + bf16_row_bytes(n) - to));
}

void vector_activation(struct kernels *kernels) {
    kernels->activation[ACTIVATION_BF16].prepare = bf16_prepare;
    kernels->activation[ACTIVATION_Q8_FLOAT].prepare = float_prepare;
    kernels->activation[ACTIVATION_Q8_INTEGER].prepare = integer_prepare;
}
