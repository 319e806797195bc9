/* Plain floats, and the block formats of 32 elements with one half-precision scale (and for _1 a
 * minimum). In a block of 4- or 5-bit elements byte i of the quants holds element i in its low
 * nibble and element i + 16 in its high one. */
#include "quant/block_types.h"

#define BLOCK 32

void basic_dequantize_f32(const void *from, float *to, size_t n) {
    memcpy(to, from, n * sizeof *to);
}

void basic_quantize_f32(const float *from, void *to, size_t n) {
    memcpy(to, from, n * sizeof *from);
}

void basic_dequantize_f16(const void *from, float *to, size_t n) {
    const uint8_t *bytes = from;
    for (size_t i = 0; i < n; i++) to[i] = load_half(bytes + 2 * i);
}

void basic_quantize_f16(const float *from, void *to, size_t n) {
    uint8_t *bytes = to;
    for (size_t i = 0; i < n; i++) {
        uint16_t half = half_from_float(from[i]);
        memcpy(bytes + 2 * i, &half, sizeof half);
    }
}

void basic_dequantize_bf16(const void *from, float *to, size_t n) {
    const uint8_t *bytes = from;
    for (size_t i = 0; i < n; i++) to[i] = bfloat16_to_float(load_u16(bytes + 2 * i));
}

void basic_quantize_bf16(const float *from, void *to, size_t n) {
    uint8_t *bytes = to;
    for (size_t i = 0; i < n; i++) {
        uint16_t value = bfloat16_from_float(from[i]);
        memcpy(bytes + 2 * i, &value, sizeof value);
    }
}

/* ---- 4 bits: f16 scale, (f16 minimum,) 16 bytes of nibbles ---- */

void basic_dequantize_q4_0(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / BLOCK; b++, block += 18, to += BLOCK) {
        float scale = load_half(block);
        for (size_t i = 0; i < 16; i++) {
            to[i] = scale * (float)((block[2 + i] & 15) - 8);
            to[i + 16] = scale * (float)((block[2 + i] >> 4) - 8);
        }
    }
}

void basic_dequantize_q4_1(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / BLOCK; b++, block += 20, to += BLOCK) {
        float scale = load_half(block), minimum = load_half(block + 2);
        for (size_t i = 0; i < 16; i++) {
            to[i] = scale * (float)(block[4 + i] & 15) + minimum;
            to[i + 16] = scale * (float)(block[4 + i] >> 4) + minimum;
        }
    }
}

/* ---- 5 bits: f16 scale, (f16 minimum,) u32 of the elements' fifth bits, 16 bytes of nibbles ----
 */

/* Element i, 0 … 31, given the block's u32 of fifth bits and its nibbles. */
static int five_bits(const uint8_t *high, const uint8_t *nibbles, size_t i) {
    int low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
    return low | (high[i / 8] >> i % 8 & 1) << 4;
}

void basic_dequantize_q5_0(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / BLOCK; b++, block += 22, to += BLOCK) {
        float scale = load_half(block);
        for (size_t i = 0; i < BLOCK; i++)
            to[i] = scale * (float)(five_bits(block + 2, block + 6, i) - 16);
    }
}

void basic_dequantize_q5_1(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / BLOCK; b++, block += 24, to += BLOCK) {
        float scale = load_half(block), minimum = load_half(block + 2);
        for (size_t i = 0; i < BLOCK; i++)
            to[i] = scale * (float)five_bits(block + 4, block + 8, i) + minimum;
    }
}

/* ---- 8 bits: f16 scale, 32 int8 ---- */

void basic_dequantize_q8_0(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / BLOCK; b++, block += 34, to += BLOCK) {
        float scale = load_half(block);
        for (size_t i = 0; i < BLOCK; i++) to[i] = scale * (float)(int8_t)block[2 + i];
    }
}

/* ---- quantize ---- */

/* The element of the largest magnitude, with its sign. */
static float extreme(const float *x) {
    float best = 0.0f;
    for (size_t i = 0; i < BLOCK; i++)
        if (fabsf(x[i]) > fabsf(best)) best = x[i];
    return best;
}

static void range(const float *x, float *low, float *high) {
    *low = *high = x[0];
    for (size_t i = 1; i < BLOCK; i++) {
        if (x[i] < *low) *low = x[i];
        if (x[i] > *high) *high = x[i];
    }
}

static void store_four_bits(const int *q, uint8_t *nibbles) {
    for (size_t i = 0; i < 16; i++) nibbles[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
}

static void store_five_bits(const int *q, uint8_t *high, uint8_t *nibbles) {
    store_four_bits(q, nibbles);
    memset(high, 0, 4);
    for (size_t i = 0; i < BLOCK; i++) high[i / 8] |= (uint8_t)((q[i] >> 4) << i % 8);
}

/* x ≈ scale * (q - half_range): the extreme element is q = 0, so a negative scale is as good as a
 * positive one. */
static void symmetric(const float *x, int half_range, uint8_t *scale, int *q) {
    float factor = inverse(store_half(scale, extreme(x) / (float)-half_range));
    for (size_t i = 0; i < BLOCK; i++)
        q[i] = nearest_in(x[i] * factor + (float)half_range, 0, 2 * half_range - 1);
}

/* x ≈ scale * q + minimum, q in 0 … top. */
static void affine(const float *x, int top, uint8_t *scale, uint8_t *minimum, int *q) {
    float low, high;
    range(x, &low, &high);
    float stored_low = store_half(minimum, low);
    float factor = inverse(store_half(scale, (high - stored_low) / (float)top));
    for (size_t i = 0; i < BLOCK; i++) q[i] = nearest_in((x[i] - stored_low) * factor, 0, top);
}

void basic_quantize_q4_0(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / BLOCK; b++, block += 18, from += BLOCK) {
        int q[BLOCK];
        symmetric(from, 8, block, q);
        store_four_bits(q, block + 2);
    }
}

void basic_quantize_q4_1(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / BLOCK; b++, block += 20, from += BLOCK) {
        int q[BLOCK];
        affine(from, 15, block, block + 2, q);
        store_four_bits(q, block + 4);
    }
}

void basic_quantize_q5_0(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / BLOCK; b++, block += 22, from += BLOCK) {
        int q[BLOCK];
        symmetric(from, 16, block, q);
        store_five_bits(q, block + 2, block + 6);
    }
}

void basic_quantize_q5_1(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / BLOCK; b++, block += 24, from += BLOCK) {
        int q[BLOCK];
        affine(from, 31, block, block + 2, q);
        store_five_bits(q, block + 4, block + 8);
    }
}

void basic_quantize_q8_0(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / BLOCK; b++, block += 34, from += BLOCK) {
        float factor = inverse(store_half(block, fabsf(extreme(from)) / 127.0f));
        for (size_t i = 0; i < BLOCK; i++)
            block[2 + i] = (uint8_t)nearest_in(from[i] * factor, -127, 127);
    }
}
