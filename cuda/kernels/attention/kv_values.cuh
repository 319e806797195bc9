/* Keys and values as they are stored, and as operands of matrix products. */
#ifndef CUDA_KERNELS_ATTENTION_KV_VALUES_CUH
#define CUDA_KERNELS_ATTENTION_KV_VALUES_CUH

#include "cuda/kernels/attention/attention_args.h"
#include "cuda/kernels/ptx.cuh"

#define KV_SCALE_DIMS 32 /* of a head that share a scale in q8_0 */

/* ---- to storage ---- */

/* What the host's reference_int8 gives: ties to even, a NaN 0. */
DEVICE uint32_t int8_of(float value) {
    const float to_integer = 12582912.0f; /* 1.5 * 2^23 */
    if (!(value == value)) return 0;
    value = value > 127.0f ? 127.0f : value;
    value = value < -127.0f ? -127.0f : value;
    float rounded = value + to_integer - to_integer;
    return (uint32_t)(int32_t)rounded & 0xFFu;
}

/* 4 exponent bits of bias 7, 3 of mantissa, no infinity, 0x7F NaN (OCP 8-bit floating point). Ties
 * to even, beyond 448 cut, infinity too; a NaN stays one. */
DEVICE uint32_t e4m3_of(float value) {
    uint32_t bits = bits_of(value), sign = bits >> 24 & 0x80u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return sign | 0x7Fu;
    if (magnitude >= 0x43E00000u) return sign | 0x7Eu; /* 448 */
    if (magnitude < 0x3C800000u) { /* below 2^-6: multiples of 2^-9, which the sum rounds */
        float rounded = from_bits(magnitude) + 16384.0f;
        return sign | (bits_of(rounded) - bits_of(16384.0f));
    }
    uint32_t odd = magnitude >> 20 & 1u;
    uint32_t code = ((magnitude + 0x7FFFFu + odd) >> 20) - (120u << 3);
    return sign | (code > 0x7Eu ? 0x7Eu : code);
}

/* ---- to operands ---- */

/* Two quants as f16, scaled. Finite scales are cut where 127 times them would leave f16's range; an
 * infinite one gives NaNs or infinities, as it does on the host. */
DEVICE float q8_scale(uint16_t bits) {
    float scale = f16_to_f32(bits);
    return scale > 515.75f && scale <= 65504.0f ? 515.75f : scale;
}
/* 2^23 + 128 + q is a float with q + 128 in its low byte. */
DEVICE float q8_value(uint32_t biased) {
    return from_bits(0x4B000000u | biased) - 8388736.0f;
}
/* Four quants to four f16. */
DEVICE u32x2 q8_to_f16(uint32_t quants, float scale) {
    uint32_t biased = quants ^ 0x80808080u;
    return u32x2{pack_f16(q8_value(biased & 0xFFu) * scale, q8_value(biased >> 8 & 0xFFu) * scale),
                 pack_f16(q8_value(biased >> 16 & 0xFFu) * scale, q8_value(biased >> 24) * scale)};
}

/* What e4m3_to_f16 leaves out of the values. */
#define E4M3_FACTOR 256.0f

/* Two e4m3 in the low bytes of the halves to f16 / 256, exactly: the exponents' biases differ by 8,
 * and denormals stay such. A NaN gets its last exponent bit. */
DEVICE uint32_t e4m3_pair(uint32_t pair) {
    uint32_t magnitude = pair & 0x007F007Fu, sign = (pair & 0x00800080u) << 8;
    uint32_t nan = ((magnitude + 0x00010001u) & 0x00800080u) << 7;
    return sign | magnitude << 7 | nan;
}
DEVICE u32x2 e4m3_to_f16(uint32_t four) {
    return u32x2{e4m3_pair((four & 0xFFu) | (four & 0xFF00u) << 8),
                 e4m3_pair((four >> 16 & 0xFFu) | (four >> 8 & 0xFF0000u))};
}

/* x, y as bf16 and what that leaves as bf16 too. What is not finite leaves nothing. */
DEVICE void split_bf16(float x, float y, uint32_t *high, uint32_t *low) {
    *high = pack_bf16(x, y);
    float rest_x = x - from_bits(*high << 16), rest_y = y - from_bits(*high & 0xFFFF0000u);
    *low =
        pack_bf16(rest_x - rest_x == 0.0f ? rest_x : 0.0f, rest_y - rest_y == 0.0f ? rest_y : 0.0f);
}

/* The halves of a pair that are infinite or NaN, as a mask. */
template <bool F16> DEVICE uint32_t infinite_halves(uint32_t pair) {
    const uint32_t exponent = F16 ? 0x7C007C00u : 0x7F807F80u;
    const uint32_t one = F16 ? 0x04000400u : 0x00800080u;
    uint32_t carry = ((pair & exponent) + one) & 0x80008000u;
    return (carry >> 15) * 0xFFFFu;
}

#endif
