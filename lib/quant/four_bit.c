/* Blocks of 32 and 64 elements whose nibbles are indices into sixteen levels. */
#include "quant/block_types.h"
#include "quant/codebook_tables.h"

/* f16 scale | 16 bytes, element i in the low nibble of byte i, element i + 16 in the high one */
void four_bit_dequantize_iq4_nl(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / 32; b++, block += 18, to += 32) {
        float scale = load_half(block);
        for (size_t i = 0; i < 16; i++) {
            to[i] = scale * (float)codebook_levels_iq4[block[2 + i] & 15];
            to[i + 16] = scale * (float)codebook_levels_iq4[block[2 + i] >> 4];
        }
    }
}

/* Half of e8m0's 2^(e - 127), the levels being doubled; 0 and 1 give subnormal floats. OCP
 * Microscaling Formats 1.0, section 5.4.1; 255 is no NaN here but the next power of two. */
static float half_e8m0(uint8_t exponent) {
    uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t)(exponent - 1) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e8m0 scale | 16 bytes of e2m1, in IQ4_NL's order */
void four_bit_dequantize_mxfp4(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / 32; b++, block += 17, to += 32) {
        float scale = half_e8m0(block[0]);
        for (size_t i = 0; i < 16; i++) {
            to[i] = scale * (float)codebook_levels_e2m1[block[1 + i] & 15];
            to[i + 16] = scale * (float)codebook_levels_e2m1[block[1 + i] >> 4];
        }
    }
}

/* Half of an e4m3 whose sign is ignored; 127 alone, its NaN, is zero. */
static float half_e4m3(uint8_t code) {
    if (code == 127) return 0.0f;
    int exponent = code >> 3 & 15, mantissa = code & 7;
    return exponent == 0 ? (float)mantissa * 0x1p-10f
                         : ldexpf((float)(8 + mantissa), exponent - 11);
}

/* 4 e4m3 scales | 4 x 8 bytes of e2m1, element i of 16 in the low nibble, i + 8 in the high one */
void four_bit_dequantize_nvfp4(const void *from, float *to, size_t n) {
    const uint8_t *block = from;
    for (size_t b = 0; b < n / 64; b++, block += 36, to += 64)
        for (size_t i = 0; i < 32; i++) {
            size_t group = i / 8;
            float scale = half_e4m3(block[group]);
            uint8_t both = block[4 + i];
            to[16 * group + i % 8] = scale * (float)codebook_levels_e2m1[both & 15];
            to[16 * group + 8 + i % 8] = scale * (float)codebook_levels_e2m1[both >> 4];
        }
}
