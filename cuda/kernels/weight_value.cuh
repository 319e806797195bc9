/* One value of a packed weight (cuda/weight_layout.h), exactly what weight_type_traits.dequantize
 * gives: for what takes single rows of a weight; products unpack whole units. */
#ifndef CUDA_KERNELS_WEIGHT_VALUE_CUH
#define CUDA_KERNELS_WEIGHT_VALUE_CUH

#include "cuda/kernels/ptx.cuh"
#include "cuda/kernels/weight_format.cuh"

/* Where a value is in its unit, in the terms of weight_layout.h: row g + 8 lower. */
struct value_place {
    uint32_t g, lower, lane, s, i, h;
};

DEVICE value_place value_place_of(uint32_t row, uint32_t col) {
    value_place p;
    p.g = row % 8;
    p.lower = row / 8 % 2;
    p.lane = p.g * 4 + col % 8 / 2;
    p.s = col % LAYOUT_COLS / 16;
    p.i = col % 16 / 8 * 2 + p.lower;
    p.h = col % 2;
    return p;
}

template <int bits> DEVICE uint32_t value_bits(const unsigned char *plane, const value_place &p) {
    if constexpr (bits == 8) {
        return load_global<uint8_t>(
            plane + (p.s / 2 * 512 + p.lane * 16 + p.s % 2 * 8 + p.i / 2 * 4 + p.h * 2 + p.i % 2));
    } else if constexpr (bits == 4) {
        uint32_t word = load_global<uint32_t>(plane + (p.lane * 16 + p.s * 4));
        return word >> (4 * p.i + 16 * p.h) & 15;
    } else if constexpr (bits == 2) {
        uint32_t word = load_global<uint32_t>(plane + (p.lane * 8 + p.s / 2 * 4));
        return word >> (p.s % 2 * 2 + 4 * p.i + 16 * p.h) & 3;
    } else if constexpr (bits == 1) {
        return load_global<uint32_t>(plane + p.lane * 4) >> (p.s + 4 * p.i + 16 * p.h) & 1;
    } else {
        return 0;
    }
}

DEVICE float load_half_value(const unsigned char *from) {
    return f16_to_f32(load_global<uint16_t>(from));
}

/* The same operations in the same order as the type's dequantize. */
template <int type>
DEVICE float value_scaled(const unsigned char *header, const unsigned char *scales,
                          const value_place &p, float code) {
    typedef packed_format<type> format;
    const unsigned char *sub = scales + (p.g * 8 + p.lower * 4);
    const unsigned char *factors =
        header + (p.g * (format::header_bytes / 8) + p.lower * (format::header_bytes / 16));
    uint32_t block = p.s / 2;
    if constexpr (format::scales == LAYOUT_BLOCK_SCALE) {
        return load_half_value(sub + block * 2) * code;
    } else if constexpr (format::scales == LAYOUT_BLOCK_SCALE_MIN) {
        const unsigned char *pair = scales + (p.g * 16 + p.lower * 4 + block * 2);
        return load_half_value(pair) * code + load_half_value(pair + 8);
    } else if constexpr (type == WEIGHT_Q2_K) {
        uint32_t both = load_global<uint8_t>(sub + p.s);
        float scale = load_half_value(factors) * (float)(both & 15);
        return scale * code - load_half_value(factors + 2) * (float)(both >> 4);
    } else if constexpr (format::scales == LAYOUT_SUB_SCALE_16) {
        float group = (float)load_global<uint8_t>(sub + p.s) - (float)format::sub_offset;
        return load_half_value(factors) * group * code;
    } else if constexpr (format::scales == LAYOUT_SUB_SCALE_MIN_32) {
        float scale = load_half_value(factors) * (float)load_global<uint8_t>(sub + block);
        float minimum = load_half_value(factors + 2) * (float)load_global<uint8_t>(sub + 2 + block);
        return scale * code - minimum;
    } else if constexpr (format::scales == LAYOUT_UNIT_SCALE) {
        return load_global<float>(sub) * code;
    } else { /* Q8_K */
        return load_global<float>(factors) * code;
    }
}

/* tile: of 16 rows, in global memory; row: its last four bits count. */
template <int type>
DEVICE float weight_value(const unsigned char *tile, uint32_t row, uint32_t col) {
    typedef packed_format<type> format;
    uint32_t index = col / LAYOUT_COLS;
    const unsigned char *header =
        tile + (uint64_t)(index / format::header_units) * format::run_bytes;
    const unsigned char *unit =
        header + (format::header_bytes + index % format::header_units * format::unit_bytes);
    value_place p = value_place_of(row, col);
    if constexpr (type == WEIGHT_F32) {
        return load_global<float>(
            unit + ((2 * p.s + p.i / 2) * 512 + p.lane * 16 + p.i % 2 * 8 + p.h * 4));
    } else if constexpr (format::low_bits == 16) {
        uint16_t bits = load_global<uint16_t>(unit + (p.s * 512 + p.lane * 16 + p.i * 4 + p.h * 2));
        return type == WEIGHT_F16 ? f16_to_f32(bits) : bf16_to_f32(bits);
    } else if constexpr (type == LAYOUT_FP8) { /* as an f16, 2^-8 of it */
        const uint32_t code = value_bits<8>(unit, p);
        const float value = f16_to_f32((uint16_t)((code & 0x7Fu) << 7 | (code & 0x80u) << 8));
        return value_scaled<type>(header, unit + format::scales_at, p, value * 256.0f);
    } else {
        uint32_t code = value_bits<format::low_bits>(unit, p) |
                        value_bits<format::high_bits>(unit + format::high_at, p)
                            << format::low_bits;
        return value_scaled<type>(header, unit + format::scales_at, p,
                                  (float)((int)code - (int)format::code_offset));
    }
}

/* Bytes of a tile of n_cols columns. */
template <int type> DEVICE uint64_t weight_tile_bytes(uint32_t n_cols) {
    typedef packed_format<type> format;
    uint64_t units = (n_cols + LAYOUT_COLS - 1) / LAYOUT_COLS;
    uint64_t headers = (units + format::header_units - 1) / format::header_units;
    return units * format::unit_bytes + headers * format::header_bytes;
}

#endif
