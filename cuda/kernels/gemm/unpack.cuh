/* Packed weights (cuda/weight_layout.h) to values: exactly what weight_type_traits.dequantize
 * gives, by the same operations in the same order, a multiply-add only where its product is exact.
 */
#ifndef CUDA_KERNELS_GEMM_UNPACK_CUH
#define CUDA_KERNELS_GEMM_UNPACK_CUH

#include "cuda/kernels/ptx.cuh"
#include "cuda/weight_layout.h"

/* Units lie in shared or in global memory. */
template <typename T> DEVICE T load_at(shared from) {
    return load_shared<T>(from);
}
template <typename T> DEVICE T load_at(const unsigned char *from) {
    return load_global<T>(from);
}

/* The format as constants, all of them made where nvcc makes constants. */
template <int type> struct unit_format {
    static constexpr weight_format format = weight_layout_format((weight_type)type);
    static constexpr uint32_t low_bits = format.low_bits, high_bits = format.high_bits;
    static constexpr uint32_t code_offset = format.code_offset, sub_offset = format.sub_offset;
    static constexpr int scales = format.scales;
    static constexpr uint32_t header_bytes = format.header_bytes;
    static constexpr uint32_t high_at = weight_layout_low_bytes(format);
    static constexpr uint32_t scales_at = high_at + weight_layout_high_bytes(format);
    static constexpr uint32_t unit_bytes = weight_layout_unit_bytes(format);
    static constexpr bool has_shift = type == WEIGHT_Q2_K || scales == LAYOUT_SUB_SCALE_MIN_32 ||
                                      scales == LAYOUT_BLOCK_SCALE_MIN;
};

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
    typedef unit_format<type> format;
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
    if constexpr (format::scales == LAYOUT_BLOCK_SCALE_MIN) {
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

/* ---- codes to floats: a code's bits, put below the exponent of 2^(23 - bit), are 2^(23 - bit)
 * plus the code; and that less the power and the code's offset is exact ---- */

template <uint32_t bit, uint32_t offset> struct code_place {
    static constexpr uint32_t exponent = (150u - bit) << 23;
    static constexpr float bias = (float)((1u << (23u - bit)) + offset);
};
template <uint32_t bits, uint32_t bit, uint32_t offset> DEVICE float code_value(uint32_t word) {
    static_assert(bit + bits <= 23, "a mantissa holds it");
    typedef code_place<bit, offset> place;
    return from_bits((word & ((1u << bits) - 1u) << bit) | place::exponent) - place::bias;
}

template <int shift> DEVICE uint32_t shifted_right(uint32_t word) {
    if constexpr (shift >= 0)
        return word >> shift;
    else
        return word << -shift;
}

/* Value (register i, half h) of step s as a float. */
template <int type, int s, int i, int h, typename Memory>
DEVICE float unit_code(const unit_words<type, Memory> &words) {
    typedef unit_format<type> format;
    constexpr uint32_t bits = format::low_bits, offset = format::code_offset;
    if constexpr (bits == 8) {
        return code_value<8, 8 * (i % 2), offset>(words.low[s % 2 * 2 + i / 2] >> 16 * h);
    } else if constexpr (format::high_bits == 0) {
        constexpr uint32_t bit = bits == 4 ? 4 * i : 8 * (s % 2) + 2 * i;
        return code_value<bits, bit, offset>(words.low[bits == 4 ? s : s / 2] >> 16 * h);
    } else {
        /* Both halves of a word at once: the code's low bits at 0 and 16, the high ones above. */
        constexpr int low_bit = bits == 4 ? 4 * i : 8 * (s % 2) + 2 * i;
        constexpr int high_bit = format::high_bits == 1 ? 4 * s + i : 8 * (s % 2) + 2 * i;
        constexpr uint32_t low_mask = ((1u << bits) - 1u) << 16 * h;
        constexpr uint32_t high_mask = ((1u << format::high_bits) - 1u) << (bits + 16 * h);
        typedef code_place<16 * h, offset> place;
        uint32_t low = words.low[bits == 4 ? s : s / 2] >> low_bit;
        uint32_t high =
            shifted_right<high_bit - (int)bits>(words.high[format::high_bits == 1 ? 0 : s / 2]);
        return from_bits((low & low_mask) | place::exponent | (high & high_mask)) - place::bias;
    }
}

/* What a code of step s in row g + 8 * lower is multiplied by, and what is added to the product. */
struct unit_scale {
    float scale, shift;
};
template <int type, int s, int lower, typename Memory>
DEVICE unit_scale unit_scales(const unit_words<type, Memory> &words) {
    typedef unit_format<type> format;
    constexpr int block = s / 2;
    uint32_t scale = words.scale[lower], factor = words.factor[lower];
    if constexpr (format::scales == LAYOUT_BLOCK_SCALE) {
        return {f16_to_f32((uint16_t)(scale >> 16 * block)), 0.0f};
    } else if constexpr (format::scales == LAYOUT_BLOCK_SCALE_MIN) {
        return {f16_to_f32((uint16_t)(scale >> 16 * block)),
                f16_to_f32((uint16_t)(words.scale[2 + lower] >> 16 * block))};
    } else if constexpr (type == WEIGHT_Q2_K) {
        float d = f16_to_f32((uint16_t)factor), dmin = f16_to_f32((uint16_t)(factor >> 16));
        uint32_t sub = scale >> 8 * s;
        return {d * code_value<4, 0, 0>(sub), -(dmin * code_value<4, 4, 0>(sub))};
    } else if constexpr (format::scales == LAYOUT_SUB_SCALE_16) {
        float sub = code_value<8, 0, format::sub_offset>(scale >> 8 * s);
        return {f16_to_f32((uint16_t)factor) * sub, 0.0f};
    } else if constexpr (format::scales == LAYOUT_SUB_SCALE_MIN_32) {
        float d = f16_to_f32((uint16_t)factor), dmin = f16_to_f32((uint16_t)(factor >> 16));
        return {d * code_value<8, 8 * block, 0>(scale),
                -(dmin * code_value<8, 8 * block, 0>(scale >> 16))};
    } else { /* Q8_K */
        return {from_bits(factor), 0.0f};
    }
}

template <int type, int s, int i, typename Memory>
DEVICE void unit_pair(const unit_words<type, Memory> &words, const unit_scale &scale, float *to) {
    float q0 = unit_code<type, s, i, 0>(words), q1 = unit_code<type, s, i, 1>(words);
    if constexpr (unit_format<type>::has_shift) {
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
        if constexpr (unit_format<type>::low_bits == 8 && s % 2 == 0) {
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
