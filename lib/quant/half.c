/* IEEE 754 binary16, in integers so that no rounding mode or flush-to-zero setting changes a bit.
 */
#include <string.h>

#include "quant/weight_type.h"

float half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t magnitude = half & 0x7FFFu;
    uint32_t bits;
    if (magnitude >= 0x7C00u) { /* infinity, or NaN made quiet */
        bits = 0x7F800000u | (magnitude << 13) | (magnitude > 0x7C00u ? 0x400000u : 0u);
    } else if (magnitude >= 0x0400u) {
        bits = (magnitude << 13) + (112u << 23);
    } else if (magnitude == 0) {
        bits = 0;
    } else { /* subnormal: magnitude * 2^-24, normal as a float */
        uint32_t shift = (uint32_t)__builtin_clz(magnitude) - 8;
        bits = (magnitude << shift) + ((125u - shift) << 23);
    }
    bits |= sign;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t half_from_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u); /* 65520 and above */
    if (magnitude >= 0x38800000u) {                                  /* 2^-14: a normal half */
        magnitude += 0xFFFu + (magnitude >> 13 & 1u);
        return (uint16_t)(sign | (magnitude - 0x38000000u) >> 13);
    }
    uint32_t shift = 126u - (magnitude >> 23); /* from the float's last place to 2^-24 */
    if (shift > 24) return (uint16_t)sign;
    uint32_t significand = (magnitude & 0x7FFFFFu) | 0x800000u;
    uint32_t kept = significand >> shift;
    uint32_t rest = significand & ((1u << shift) - 1u), tie = 1u << (shift - 1);
    kept += rest > tie || (rest == tie && (kept & 1u));
    return (uint16_t)(sign | kept);
}
