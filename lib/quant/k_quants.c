/* Super-blocks of 256 elements. A group of 16 or 32 elements has a scale, and for Q2_K, Q4_K and
 * Q5_K a minimum that is subtracted; these are integers, multiplied by half-precision factors of
 * the super-block. */
#include "quant/block_types.h"

/* Scale and minimum of group i of Q4_K and Q5_K. */
static void scale_min(const uint8_t *packed, size_t i, uint8_t *scale, uint8_t *minimum) {
    if (i < 4) {
        *scale = packed[i] & 63;
        *minimum = packed[4 + i] & 63;
    } else {
        *scale = (uint8_t)((packed[4 + i] & 15) | (packed[i - 4] >> 6) << 4);
        *minimum = (uint8_t)(packed[4 + i] >> 4 | (packed[i] >> 6) << 4);
    }
}

/* 16 bytes (scale in the low nibble, minimum in the high one) | 64 bytes of 2 bits | scale |
 * minimum
 */
void k_quants_dequantize_q2_k(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 84, to += K_BLOCK) {
        float scale = load_half(block + 80), minimum = load_half(block + 82);
        for (size_t group = 0; group < 16; group++) {
            float s = scale * (float)(block[group] & 15), m = minimum * (float)(block[group] >> 4);
            /* 32 bytes serve 128 elements: bits 0-1 the first 32 of them, and so on. */
            const uint8_t *bits = block + 16 + group / 8 * 32 + group % 2 * 16;
            size_t shift = group % 8 / 2 * 2;
            for (size_t i = 0; i < 16; i++)
                to[group * 16 + i] = s * (float)(bits[i] >> shift & 3) - m;
        }
    }
}

/* 32 bytes of third bits | 64 bytes of 2 bits | 12 bytes of 6-bit scales | scale. The third bit
 * stands for +4 on values that begin at -4. */
void k_quants_dequantize_q3_k(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 110, to += K_BLOCK) {
        const uint8_t *packed = block + 96;
        float scale = load_half(block + 108);
        for (size_t group = 0; group < 16; group++) {
            int low = packed[group % 8] >> group / 8 * 4 & 15;
            int high = packed[8 + group % 4] >> group / 4 * 2 & 3;
            float s = scale * (float)((low | high << 4) - 32);
            const uint8_t *bits = block + 32 + group / 8 * 32 + group % 2 * 16;
            const uint8_t *third = block + group % 2 * 16;
            size_t shift = group % 8 / 2 * 2;
            for (size_t i = 0; i < 16; i++) {
                int q = (bits[i] >> shift & 3) - (third[i] >> group / 2 & 1 ? 0 : 4);
                to[group * 16 + i] = s * (float)q;
            }
        }
    }
}

/* scale | minimum | 12 bytes of scales and minima | 128 bytes of nibbles: 32 bytes serve two groups
 */
void k_quants_dequantize_q4_k(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 144, to += K_BLOCK) {
        float scale = load_half(block), minimum = load_half(block + 2);
        for (size_t group = 0; group < 8; group++) {
            uint8_t s6, m6;
            scale_min(block + 4, group, &s6, &m6);
            float s = scale * (float)s6, m = minimum * (float)m6;
            const uint8_t *nibbles = block + 16 + group / 2 * 32;
            size_t shift = group % 2 * 4;
            for (size_t i = 0; i < 32; i++)
                to[group * 32 + i] = s * (float)(nibbles[i] >> shift & 15) - m;
        }
    }
}

/* As Q4_K, with 32 bytes of fifth bits before the nibbles: bit g is group g's. */
void k_quants_dequantize_q5_k(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 176, to += K_BLOCK) {
        float scale = load_half(block), minimum = load_half(block + 2);
        const uint8_t *fifth = block + 16;
        for (size_t group = 0; group < 8; group++) {
            uint8_t s6, m6;
            scale_min(block + 4, group, &s6, &m6);
            float s = scale * (float)s6, m = minimum * (float)m6;
            const uint8_t *nibbles = block + 48 + group / 2 * 32;
            size_t shift = group % 2 * 4;
            for (size_t i = 0; i < 32; i++) {
                int q = (nibbles[i] >> shift & 15) | (fifth[i] >> group & 1) << 4;
                to[group * 32 + i] = s * (float)q - m;
            }
        }
    }
}

/* 128 bytes of low nibbles | 64 bytes of upper 2 bits | 16 int8 scales | scale. 64 bytes of nibbles
 * and 32 of upper bits serve 128 elements. */
void k_quants_dequantize_q6_k(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 210, to += K_BLOCK) {
        float scale = load_half(block + 208);
        for (size_t group = 0; group < 16; group++) {
            float s = scale * (float)(int8_t)block[192 + group];
            const uint8_t *nibbles = block + group / 8 * 64 + group % 4 * 16;
            const uint8_t *upper = block + 128 + group / 8 * 32 + group % 2 * 16;
            size_t nibble_shift = group % 8 / 4 * 4, upper_shift = group % 8 / 2 * 2;
            for (size_t i = 0; i < 16; i++) {
                int q = (nibbles[i] >> nibble_shift & 15) | (upper[i] >> upper_shift & 3) << 4;
                to[group * 16 + i] = s * (float)(q - 32);
            }
        }
    }
}

/* f32 scale | 256 int8 | 16 int16 sums of groups, which dequantizing needs not */
void k_quants_dequantize_q8_k(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / K_BLOCK; b++, block += 292, to += K_BLOCK) {
        float scale;
        memcpy(&scale, block, sizeof scale);
        for (size_t i = 0; i < K_BLOCK; i++) to[i] = scale * (float)(int8_t)block[4 + i];
    }
}
