/* The conversions behind weight_type_traits, and what they share. */
#ifndef QUANT_BLOCK_TYPES_H
#define QUANT_BLOCK_TYPES_H

#include <math.h>
#include <string.h>

#include "quant/weight_type.h"

/* Unaligned little-endian loads and stores; the library builds for little-endian machines only. */
static inline uint16_t load_u16(const uint8_t *from) {
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline float load_half(const uint8_t *from) {
    return half_to_float(load_u16(from));
}

/* Stores the nearest half and returns the value that it has. Beyond the halves: the largest one. */
static inline float store_half(uint8_t *to, float value) {
    if (value > 65504.0f) value = 65504.0f;
    if (value < -65504.0f) value = -65504.0f;
    uint16_t half = half_from_float(value);
    memcpy(to, &half, sizeof half);
    return half_to_float(half);
}

/* The nearest integer in low … high; NaN gives low. */
static inline int nearest_in(float value, int low, int high) {
    if (!(value > (float)low)) return low;
    if (value >= (float)high) return high;
    return (int)rintf(value);
}

static inline float inverse(float value) {
    float result = value != 0.0f ? 1.0f / value : 0.0f;
    return isfinite(result) ? result : 0.0f;
}

/* ---- basic.c: floats, and blocks of 32 with one scale ---- */

void basic_dequantize_f32(const void *from, float *to, size_t n);
void basic_dequantize_f16(const void *from, float *to, size_t n);
void basic_dequantize_bf16(const void *from, float *to, size_t n);
void basic_dequantize_q4_0(const void *from, float *to, size_t n);
void basic_dequantize_q4_1(const void *from, float *to, size_t n);
void basic_dequantize_q5_0(const void *from, float *to, size_t n);
void basic_dequantize_q5_1(const void *from, float *to, size_t n);
void basic_dequantize_q8_0(const void *from, float *to, size_t n);
void basic_quantize_f32(const float *from, void *to, size_t n);
void basic_quantize_f16(const float *from, void *to, size_t n);
void basic_quantize_bf16(const float *from, void *to, size_t n);
void basic_quantize_q4_0(const float *from, void *to, size_t n);
void basic_quantize_q4_1(const float *from, void *to, size_t n);
void basic_quantize_q5_0(const float *from, void *to, size_t n);
void basic_quantize_q5_1(const float *from, void *to, size_t n);
void basic_quantize_q8_0(const float *from, void *to, size_t n);

/* ---- k_quants.c, k_quantize.c: super-blocks of 256 whose scales are quantized too ---- */

#define K_BLOCK 256

/* Q4_K and Q5_K keep eight 6-bit scales and eight 6-bit minima in 12 bytes: scale i < 4 in byte i,
 * minimum i < 4 in byte 4 + i; the low nibbles of 4 … 7 share byte 8 + i - 4, their top two bits
 * are those of the first eight bytes. */
#define K_SCALE_BYTES 12

void k_quants_dequantize_q2_k(const void *from, float *to, size_t n);
void k_quants_dequantize_q3_k(const void *from, float *to, size_t n);
void k_quants_dequantize_q4_k(const void *from, float *to, size_t n);
void k_quants_dequantize_q5_k(const void *from, float *to, size_t n);
void k_quants_dequantize_q6_k(const void *from, float *to, size_t n);
void k_quants_dequantize_q8_k(const void *from, float *to, size_t n);
void k_quantize_q2_k(const float *from, void *to, size_t n);
void k_quantize_q3_k(const float *from, void *to, size_t n);
void k_quantize_q4_k(const float *from, void *to, size_t n);
void k_quantize_q5_k(const float *from, void *to, size_t n);
void k_quantize_q6_k(const float *from, void *to, size_t n);
void k_quantize_q8_k(const float *from, void *to, size_t n);

/* ---- four_bit.c, codebook.c: levels of a table ---- */

void four_bit_dequantize_iq4_nl(const void *from, float *to, size_t n);
void codebook_dequantize_iq4_xs(const void *from, float *to, size_t n);
void four_bit_dequantize_mxfp4(const void *from, float *to, size_t n);
void four_bit_dequantize_nvfp4(const void *from, float *to, size_t n);
void codebook_dequantize_tq1_0(const void *from, float *to, size_t n);
void codebook_dequantize_tq2_0(const void *from, float *to, size_t n);
void codebook_dequantize_iq1_s(const void *from, float *to, size_t n);
void codebook_dequantize_iq1_m(const void *from, float *to, size_t n);
void codebook_dequantize_iq2_xxs(const void *from, float *to, size_t n);
void codebook_dequantize_iq2_xs(const void *from, float *to, size_t n);
void codebook_dequantize_iq2_s(const void *from, float *to, size_t n);
void codebook_dequantize_iq3_xxs(const void *from, float *to, size_t n);
void codebook_dequantize_iq3_s(const void *from, float *to, size_t n);

#endif
