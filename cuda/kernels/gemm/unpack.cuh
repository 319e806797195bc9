/* Packed weights (cuda/weight_layout.h) to values: exactly what weight_type_traits.dequantize
 * gives, by the same operations in the same order, a multiply-add only where its product is exact.
 */
#ifndef CUDA_KERNELS_GEMM_UNPACK_CUH
#define CUDA_KERNELS_GEMM_UNPACK_CUH

#include "cuda/kernels/ptx.cuh"
#include "cuda/kernels/weight_format.cuh"

/* Units lie in shared or in global memory. */
template <typename T> DEVICE T load_at(shared from) {
    return load_shared<T>(from);
}
template <typename T> DEVICE T load_at(const unsigned char *from) {
    return load_global<T>(from);
}

/* Whether a value is a product plus something. */
template <int type>
static constexpr bool has_shift =
    type == WEIGHT_Q2_K || packed_format<type>::scales == LAYOUT_SUB_SCALE_MIN_32 ||
    packed_format<type>::scales == LAYOUT_BLOCK_SCALE_MIN;

/* A lane's words of a unit. Elements of 8 bits and more are read when their step comes. */
template <int type, typename Memory> struct unit_words {
    Memory at;                /* the unit's first byte, moved by 16 bytes a lane */
    uint32_t low[4], high[2]; /* of 8 bits: of steps s and s + 1, s even */
    uint32_t scale[4];
    uint32_t factor[2];
};

/* header: of the unit; any address where the type has none. lane: of the fragment, which need not
 * be the thread's. */
template <int type, typename Memory>
DEVICE unit_words<type, Memory> unit_load(Memory unit, Memory header, uint32_t lane) {
    typedef packed_format<type> format;
    unit_words<type, Memory> words;
    words.at = unit + lane * 16;
    if constexpr (format::low_bits == 4) {
        u32x4 v = load_at<u32x4>(unit + lane * 16);
        words.low[0] = v.x, words.low[1] = v.y, words.low[2] = v.z, words.low[3] = v.w;
    } else if constexpr (format::low_bits == 2) {
        u32x2 v = load_at<u32x2>(unit + lane * 8);
        words.low[0] = v.x, words.low[1] = v.y;
    }
    if constexpr (format::high_bits == 2) {
        u32x2 v = load_at<u32x2>(unit + (format::high_at + lane * 8));
        words.high[0] = v.x, words.high[1] = v.y;
    } else if constexpr (format::high_bits == 1) {
        words.high[0] = load_at<uint32_t>(unit + (format::high_at + lane * 4));
    }
    if constexpr (format::scales == LAYOUT_BLOCK_SCALE_MIN ||
                  format::scales == LAYOUT_BLOCK_SCALE_ZERO) {
        u32x4 v = load_at<u32x4>(unit + (format::scales_at + lane / 4 * 16));
        words.scale[0] = v.x, words.scale[1] = v.y, words.scale[2] = v.z, words.scale[3] = v.w;
    } else if constexpr (format::scales != LAYOUT_NO_SCALE) {
        u32x2 v = load_at<u32x2>(unit + (format::scales_at + lane / 4 * 8));
        words.scale[0] = v.x, words.scale[1] = v.y;
    }
    if constexpr (format::header_bytes == 64) {
        u32x2 v = load_at<u32x2>(header + lane / 4 * 8);
        words.factor[0] = v.x, words.factor[1] = v.y;
    } else if constexpr (format::header_bytes == 32) {
        uint32_t v = load_at<uint32_t>(header + lane / 4 * 4);
        words.factor[0] = v & 0xFFFFu, words.factor[1] = v >> 16;
    }
    return words;
}

/* ---- codes to floats. A code of up to ten bits is, as an f16, a subnormal: code * 2^-24; so codes
 * are taken out of a word two at a time, and the factor goes into the scale ---- */

/* Codes are taken at bit 0 of a half, or at bit 4 for rows 8 ... 15 where four bits or less are
 * low. */
template <int type, int lower> struct code_place {
    static constexpr int bit = lower && packed_format<type>::low_bits < 8 ? 4 : 0;
    static constexpr float unit = (float)(1 << (24 - bit)); /* what makes it a whole number again */
};

template <int by> DEVICE uint32_t shifted_right(uint32_t word) {
    if constexpr (by >= 0)
        return word >> by;
    else
        return word << -by;
}
/* Two e4m3 at bit `bit` of each half: exponent and fraction put into an f16 are the value times
 * 2^-8. */
template <int bit> DEVICE uint32_t e4m3_codes(uint32_t word) {
    return bit == 0 ? (word & 0x007F007Fu) << 7 | (word & 0x00800080u) << 8
                    : (word & 0x7F007F00u) >> 1 | (word & 0x80008000u);
}

/* Values (register i, both halves) of step s without their scale, as two f16. */
template <int type, int s, int i, typename Memory>
DEVICE uint32_t unit_codes(const unit_words<type, Memory> &words) {
    typedef packed_format<type> format;
    constexpr int bits = format::low_bits, bit = code_place<type, i % 2>::bit;
    constexpr uint32_t mask = ((1u << bits) - 1u) << bit, mask2 = mask << 16 | mask;
    constexpr uint32_t offset = 0x8000u | format::code_offset << bit,
                       offset2 = offset << 16 | offset;
    uint32_t codes;
    if constexpr (bits == 8) {
        codes = words.low[s % 2 * 2 + i / 2] >> 8 * (i % 2) & mask2;
    } else {
        constexpr int at = (bits == 2 ? s % 2 * 2 : 0) + i / 2 * 8;
        codes = words.low[bits == 4 ? s : s / 2] >> at & mask2;
    }
    if constexpr (format::high_bits != 0) {
        constexpr int at = (format::high_bits == 2 ? s % 2 * 2 : s) + i / 2 * 8;
        constexpr uint32_t high = ((1u << format::high_bits) - 1u) << (bits + bit);
        uint32_t word = words.high[format::high_bits == 2 ? s / 2 : 0];
        codes |= shifted_right<at - bits>(word) & (high << 16 | high);
    }
    if constexpr (format::code_offset != 0) codes = add_f16x2(codes, offset2);
    if constexpr (format::scales == LAYOUT_BLOCK_SCALE_ZERO) {
        uint32_t zero = words.scale[2 + i % 2] >> s / 2 * 16 & 0xFFFFu;
        codes = add_f16x2(codes, zero << 16 | zero);
    } else if constexpr (format::scales == LAYOUT_UNIT_SCALE_ZERO) {
        uint32_t zero = words.scale[i % 2] >> 16;
        codes = add_f16x2(codes, zero << 16 | zero);
    }
    return codes;
}
DEVICE float low_half(uint32_t pair) {
    return f16_to_f32((uint16_t)pair);
}
DEVICE float high_half(uint32_t pair) {
    return f16_to_f32((uint16_t)(pair >> 16));
}

/* What a code of step s in row g + 8 * lower, as unit_codes gives it, is multiplied by, and what is
 * added to the product. All products here are exact. */
struct unit_scale {
    float scale, shift;
};
template <int type, int s, int lower, typename Memory>
DEVICE unit_scale unit_scales(const unit_words<type, Memory> &words) {
    typedef packed_format<type> format;
    constexpr float unit = code_place<type, lower>::unit, two_24 = 16777216.0f;
    constexpr int block = s / 2;
    uint32_t scale = words.scale[lower], factor = words.factor[lower];
    if constexpr (format::scales == LAYOUT_UNIT_SCALE) {
        return {from_bits(scale) * 256.0f, 0.0f};
    } else if constexpr (format::scales == LAYOUT_UNIT_SCALE_ZERO) {
        return {low_half(scale) * unit, 0.0f};
    } else if constexpr (format::scales == LAYOUT_BLOCK_SCALE ||
                         format::scales == LAYOUT_BLOCK_SCALE_ZERO) {
        return {(block ? high_half(scale) : low_half(scale)) * unit, 0.0f};
    } else if constexpr (format::scales == LAYOUT_BLOCK_SCALE_MIN) {
        uint32_t shift = words.scale[2 + lower];
        return {(block ? high_half(scale) : low_half(scale)) * unit,
                block ? high_half(shift) : low_half(shift)};
    } else if constexpr (type == WEIGHT_Q2_K) {
        uint32_t sub = scale >> 8 * s;
        return {low_half(factor) * (unit * two_24) * low_half(sub & 15u),
                -(high_half(factor) * (two_24 / 16.0f) * low_half(sub & 0xF0u))};
    } else if constexpr (format::scales == LAYOUT_SUB_SCALE_16) {
        constexpr uint32_t offset = (0x8000u | format::sub_offset) * 0x10001u;
        uint32_t subs = add_f16x2(scale >> 8 * (s % 2) & 0x00FF00FFu, offset);
        return {low_half(factor) * (unit * two_24) * (block ? high_half(subs) : low_half(subs)),
                0.0f};
    } else if constexpr (format::scales == LAYOUT_SUB_SCALE_MIN_32) {
        uint32_t subs = scale >> 8 * block & 0x00FF00FFu;
        return {low_half(factor) * (unit * two_24) * low_half(subs),
                -(high_half(factor) * two_24 * high_half(subs))};
    } else { /* Q8_K, whose scale may be as large as an f32 */
        return {from_bits(factor), 0.0f};
    }
}

template <int type, int s, int i, typename Memory>
DEVICE void unit_pair(const unit_words<type, Memory> &words, const unit_scale &scale, float *to) {
    uint32_t codes;
    if constexpr (type == LAYOUT_FP8)
        codes = e4m3_codes<8 * (i % 2)>(words.low[s % 2 * 2 + i / 2]);
    else
        codes = unit_codes<type, s, i>(words);
    float q0 = low_half(codes), q1 = high_half(codes);
    if constexpr (type == WEIGHT_Q8_K) q0 *= 16777216.0f, q1 *= 16777216.0f;
    if constexpr (has_shift<type>) {
        to[0] = fma_f32(scale.scale, q0, scale.shift);
        to[1] = fma_f32(scale.scale, q1, scale.shift);
    } else {
        to[0] = scale.scale * q0;
        to[1] = scale.scale * q1;
    }
}

/* The eight values of step s, [register i][half h], of every type but F16 and BF16. Steps ascend.
 */
template <int type, int s, typename Memory>
DEVICE void unit_values(unit_words<type, Memory> &words, float to[8]) {
    if constexpr (type == WEIGHT_F32) {
        f32x4 left = load_at<f32x4>(words.at + 2 * s * 512);
        f32x4 right = load_at<f32x4>(words.at + (2 * s + 1) * 512);
        to[0] = left.x, to[1] = left.y, to[2] = left.z, to[3] = left.w;
        to[4] = right.x, to[5] = right.y, to[6] = right.z, to[7] = right.w;
    } else {
        if constexpr (packed_format<type>::low_bits == 8 && s % 2 == 0) {
            u32x4 v = load_at<u32x4>(words.at + s / 2 * 512);
            words.low[0] = v.x, words.low[1] = v.y, words.low[2] = v.z, words.low[3] = v.w;
        }
        unit_scale above = unit_scales<type, s, 0>(words), below = unit_scales<type, s, 1>(words);
        unit_pair<type, s, 0>(words, above, to);
        unit_pair<type, s, 1>(words, below, to + 2);
        unit_pair<type, s, 2>(words, above, to + 4);
        unit_pair<type, s, 3>(words, below, to + 6);
    }
}

/* Step s as the A operand: f16 as it is, all else rounded to bf16. */
template <int type, int s, typename Memory>
DEVICE void unit_operand(unit_words<type, Memory> &words, uint32_t a[4]) {
    if constexpr (type == WEIGHT_BF16 || type == WEIGHT_F16) {
        u32x4 v = load_at<u32x4>(words.at + s * 512);
        a[0] = v.x, a[1] = v.y, a[2] = v.z, a[3] = v.w;
    } else {
        float w[8];
        unit_values<type, s>(words, w);
        for (int i = 0; i < 4; i++) a[i] = pack_bf16(w[2 * i], w[2 * i + 1]);
    }
}

/* F32 as a sum of two bf16: what the first leaves, rounded. */
template <int s, typename Memory>
DEVICE void unit_operand_split(unit_words<WEIGHT_F32, Memory> &words, uint32_t high[4],
                               uint32_t low[4]) {
    float w[8];
    unit_values<WEIGHT_F32, s>(words, w);
    for (int i = 0; i < 4; i++) {
        high[i] = pack_bf16(w[2 * i], w[2 * i + 1]);
        float rest0 = w[2 * i] - from_bits(high[i] << 16);
        float rest1 = w[2 * i + 1] - from_bits(high[i] & 0xFFFF0000u);
        low[i] = pack_bf16(rest0, rest1);
    }
}

#endif
