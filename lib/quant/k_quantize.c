/* To the super-block types: each group's scale is searched on its own, the scales are rounded to
 * what the super-block can hold, then the elements are rounded against the scales as stored. */
#include "quant/block_types.h"

/* x ≈ s * q, q in -top … top-1: the best of several scales around extreme / -top, each after a
 * least-squares step. */
static float search_scale(const float *x, size_t n, int top) {
    float extreme = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
    if (!(fabsf(extreme) > 1e-30f) || !isfinite(extreme)) return 0.0f;
    float best = extreme / (float)-top, best_gain = -1.0f;
    for (int step = -8; step <= 8; step++) {
        float factor = -((float)top + 0.1f * (float)step) / extreme;
        float xq = 0.0f, qq = 0.0f; /* of x scaled to extreme 1, so nothing under- or overflows */
        for (size_t i = 0; i < n; i++) {
            float q = (float)nearest_in(x[i] * factor, -top, top - 1);
            xq += x[i] / extreme * q;
            qq += q * q;
        }
        /* The error is the constant sum of x² less xq²/qq. */
        if (qq > 0.0f && xq * xq / qq > best_gain) {
            best_gain = xq * xq / qq;
            best = extreme * (xq / qq);
        }
    }
    return best;
}

/* Squared error of x ≈ s * q - m with the best q. */
static float affine_error(const float *x, size_t n, int top, float s, float m) {
    float factor = inverse(s), error = 0.0f;
    for (size_t i = 0; i < n; i++) {
        float difference = s * (float)nearest_in((x[i] + m) * factor, 0, top) - m - x[i];
        error += difference * difference;
    }
    return error;
}

/* x ≈ s * q - m, q in 0 … top, s and m not negative: the best of several steps and minima. */
static void search_affine(const float *x, size_t n, int top, float *s, float *m) {
    float low = 0.0f, high = 0.0f;
    for (size_t i = 0; i < n; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    *m = -low;
    *s = (high - low) / (float)top;
    if (!(high - low > 1e-30f) || !isfinite(high - low)) return;
    float best = affine_error(x, n, top, *s, *m);
    for (int shrink = 0; shrink <= 4; shrink++) {
        for (int step = -4; step <= 12; step++) {
            float minimum = -low * (1.0f - 0.05f * (float)shrink);
            float scale = (high + minimum) / ((float)top + 0.1f * (float)step);
            float error = affine_error(x, n, top, scale, minimum);
            if (error < best) best = error, *s = scale, *m = minimum;
        }
    }
}

static float largest(const float *values, size_t n) {
    float best = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (values[i] > best) best = values[i];
    return best;
}

/* x ≈ s * q - m against the scales as stored. */
static void round_affine(const float *x, size_t n, int top, float s, float m, uint8_t *q) {
    float factor = inverse(s);
    for (size_t i = 0; i < n; i++) q[i] = (uint8_t)nearest_in((x[i] + m) * factor, 0, top);
}

/* x ≈ s * (q - top), q in 0 … 2 top - 1. */
static void round_symmetric(const float *x, size_t n, int top, float s, uint8_t *q) {
    float factor = inverse(s);
    for (size_t i = 0; i < n; i++) q[i] = (uint8_t)(nearest_in(x[i] * factor, -top, top - 1) + top);
}

/* Two bits of 256 elements in 64 bytes, as Q2_K, Q3_K and Q6_K's upper bits lie. */
static void store_two_bits(const uint8_t *q, uint8_t *to) {
    memset(to, 0, 64);
    for (size_t i = 0; i < K_BLOCK; i++)
        to[i / 128 * 32 + i % 32] |= (uint8_t)((q[i] & 3) << i % 128 / 32 * 2);
}

/* Bit `bit` of 256 elements in 32 bytes, as Q3_K and Q5_K have it. */
static void store_top_bits(const uint8_t *q, int bit, uint8_t *to) {
    memset(to, 0, 32);
    for (size_t i = 0; i < K_BLOCK; i++) to[i % 32] |= (uint8_t)((q[i] >> bit & 1) << i / 32);
}

void k_quantize_q2_k(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 84, from += K_BLOCK) {
        float scales[16], minima[16];
        uint8_t q[K_BLOCK];
        for (size_t g = 0; g < 16; g++) search_affine(from + 16 * g, 16, 3, &scales[g], &minima[g]);
        float scale = store_half(block + 80, largest(scales, 16) / 15.0f);
        float minimum = store_half(block + 82, largest(minima, 16) / 15.0f);
        for (size_t g = 0; g < 16; g++) {
            int s = nearest_in(scales[g] * inverse(scale), 0, 15);
            int m = nearest_in(minima[g] * inverse(minimum), 0, 15);
            block[g] = (uint8_t)(s | m << 4);
            round_affine(from + 16 * g, 16, 3, scale * (float)s, minimum * (float)m, q + 16 * g);
        }
        store_two_bits(q, block + 16);
    }
}

/* The scale of largest magnitude, with its sign: it becomes the most negative integer. */
static float extreme_scale(const float *scales) {
    float best = 0.0f;
    for (size_t g = 0; g < 16; g++)
        if (fabsf(scales[g]) > fabsf(best)) best = scales[g];
    return best;
}

void k_quantize_q3_k(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 110, from += K_BLOCK) {
        float scales[16];
        uint8_t q[K_BLOCK], *packed = block + 96;
        for (size_t g = 0; g < 16; g++) scales[g] = search_scale(from + 16 * g, 16, 4);
        float scale = store_half(block + 108, extreme_scale(scales) / -32.0f);
        memset(packed, 0, 12);
        for (size_t g = 0; g < 16; g++) {
            int s = nearest_in(scales[g] * inverse(scale), -32, 31);
            packed[g % 8] |= (uint8_t)(((s + 32) & 15) << g / 8 * 4);
            packed[8 + g % 4] |= (uint8_t)((s + 32) >> 4 << g / 4 * 2);
            round_symmetric(from + 16 * g, 16, 4, scale * (float)s, q + 16 * g);
        }
        store_two_bits(q, block + 32);
        store_top_bits(q, 2, block);
    }
}

/* The part that Q4_K and Q5_K share: scale, minimum and their twelve bytes; the elements to q. */
static void quantize_q45(const float *from, int top, uint8_t *block, uint8_t *q) {
    float scales[8], minima[8];
    for (size_t g = 0; g < 8; g++) search_affine(from + 32 * g, 32, top, &scales[g], &minima[g]);
    float scale = store_half(block, largest(scales, 8) / 63.0f);
    float minimum = store_half(block + 2, largest(minima, 8) / 63.0f);
    uint8_t *packed = block + 4;
    memset(packed, 0, K_SCALE_BYTES);
    for (size_t g = 0; g < 8; g++) {
        int s = nearest_in(scales[g] * inverse(scale), 0, 63);
        int m = nearest_in(minima[g] * inverse(minimum), 0, 63);
        if (g < 4) {
            packed[g] |= (uint8_t)s;
            packed[4 + g] |= (uint8_t)m;
        } else {
            packed[4 + g] = (uint8_t)((s & 15) | (m & 15) << 4);
            packed[g - 4] |= (uint8_t)(s >> 4 << 6);
            packed[g] |= (uint8_t)(m >> 4 << 6);
        }
        round_affine(from + 32 * g, 32, top, scale * (float)s, minimum * (float)m, q + 32 * g);
    }
}

static void store_nibble_pairs(const uint8_t *q, uint8_t *to) {
    for (size_t i = 0; i < 128; i++) {
        const uint8_t *pair = q + i / 32 * 64 + i % 32;
        to[i] = (uint8_t)((pair[0] & 15) | (pair[32] & 15) << 4);
    }
}

void k_quantize_q4_k(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 144, from += K_BLOCK) {
        uint8_t q[K_BLOCK];
        quantize_q45(from, 15, block, q);
        store_nibble_pairs(q, block + 16);
    }
}

void k_quantize_q5_k(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 176, from += K_BLOCK) {
        uint8_t q[K_BLOCK];
        quantize_q45(from, 31, block, q);
        store_top_bits(q, 4, block + 16);
        store_nibble_pairs(q, block + 48);
    }
}

void k_quantize_q6_k(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 210, from += K_BLOCK) {
        float scales[16];
        uint8_t q[K_BLOCK], upper[K_BLOCK];
        for (size_t g = 0; g < 16; g++) scales[g] = search_scale(from + 16 * g, 16, 32);
        float scale = store_half(block + 208, extreme_scale(scales) / -128.0f);
        for (size_t g = 0; g < 16; g++) {
            int s = nearest_in(scales[g] * inverse(scale), -128, 127);
            block[192 + g] = (uint8_t)s;
            round_symmetric(from + 16 * g, 16, 32, scale * (float)s, q + 16 * g);
        }
        for (size_t i = 0; i < 128; i++) {
            const uint8_t *pair = q + i / 64 * 128 + i % 64;
            block[i] = (uint8_t)((pair[0] & 15) | (pair[64] & 15) << 4);
        }
        for (size_t i = 0; i < K_BLOCK; i++) upper[i] = q[i] >> 4;
        store_two_bits(upper, block + 128);
    }
}

void k_quantize_q8_k(const float *from, void *to, size_t n) {
    uint8_t *block = to;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 292, from += K_BLOCK) {
        float magnitude = 0.0f;
        for (size_t i = 0; i < K_BLOCK; i++)
            if (fabsf(from[i]) > magnitude) magnitude = fabsf(from[i]);
        float scale = magnitude / 127.0f, factor = inverse(scale);
        memcpy(block, &scale, sizeof scale);
        for (size_t g = 0; g < 16; g++) {
            int sum = 0;
            for (size_t i = 16 * g; i < 16 * (g + 1); i++) {
                int q = nearest_in(from[i] * factor, -127, 127);
                block[4 + i] = (uint8_t)q;
                sum += q;
            }
            int16_t stored = (int16_t)sum;
            memcpy(block + 4 + K_BLOCK + 2 * g, &stored, sizeof stored);
        }
    }
}
