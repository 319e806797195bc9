/* Packed blocks of the types whose codes are looked up in a table of sixteen levels, as bytes to
 * multiply; see vector_quant_unpack.h. */
#ifndef CPU_KERNELS_VECTOR_QUANT_LEVELS_H
#define CPU_KERNELS_VECTOR_QUANT_LEVELS_H

#include "cpu/kernels/vector_quant_unpack.h"
#include "quant/codebook_tables.h"

INLINE void look_up(const int8_t *levels, simd_i *w) {
    UNROLL
    for (int j = 0; j < 8; j++) w[j] = simd_lookup(levels, w[j]);
}

INLINE void unpack_iq4_nl(const uint8_t *from, int sub, struct s8_block *to) {
    (void)sub;
    simd_i w[8];
    unpack_nibbles(from + SIMD_HALF_BYTES, w);
    look_up(codebook_levels_iq4, w);
    s8_fill(to, simd_load_f16(from), w);
}

/* A byte e of exponent [lanes]: 2^(e - 128) as the product of two powers, since it may be
 * subnormal. 0 gives 0, so that rows of zero bits are exactly zero, though -12 and 12 of a
 * subnormal are not. */
INLINE simd_f half_e8m0(simd_i exponent) {
    simd_i low = simd_srli_i32(exponent, 1), bias = simd_set1_i32(63);
    simd_i high = simd_sub_i32(exponent, low);
    simd_i not_zero = simd_srai_i32(simd_sub_i32(simd_zero_bits(), exponent), 31);
    low = simd_and_bits(simd_slli_i32(simd_add_i32(low, bias), 23), not_zero);
    high = simd_slli_i32(simd_add_i32(high, bias), 23);
    return simd_mul(simd_from_bits(low), simd_from_bits(high));
}

INLINE void unpack_mxfp4(const uint8_t *from, int sub, struct offset_block *to) {
    (void)sub;
    to->scale = half_e8m0(simd_load_u8(from));
    to->offset = simd_mul(to->scale, simd_set1(-12.0f));
    unpack_nibbles(from + SIMD_LANES, to->w);
    look_up(codebook_raised_e2m1, to->w);
}

/* e4m3 scales [4][lanes]; nibbles, columns 0 ... 7 of 16 in the low ones of eight bytes. The bits
 * of an e4m3 at the top of an f32's fraction and the end of its exponent are 2^-120 of it. */
INLINE void unpack_nvfp4(const uint8_t *from, int sub, struct halves_block *to) {
    const uint8_t *nibbles = from + SIMD_LANES * 4 + SIMD_BYTES * 4 * sub;
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_i bits = simd_load_u8(from + SIMD_LANES * (2 * sub + half));
        bits = simd_slli_i32(simd_and_bits(bits, simd_set1_i32(127)), 20);
        to->scale[half] = simd_mul(simd_from_bits(bits), simd_set1(0x1p119f));
        to->offset[half] = simd_mul(to->scale[half], simd_set1(-12.0f));
        UNROLL
        for (int j = 0; j < 2; j++) {
            simd_i both = simd_load_bytes(nibbles + SIMD_BYTES * (2 * half + j));
            to->w[4 * half + j] = low_nibbles(both);
            to->w[4 * half + j + 2] = high_nibbles(both);
        }
    }
    look_up(codebook_raised_e2m1, to->w);
}

/* d [lanes] f16; scales [lanes] int8, of which this is number `index`. Exact with any of the
 * factors, powers of two. */
INLINE simd_f level_scale(const uint8_t *from, int index, float factor) {
    simd_f scale = simd_from_i32(simd_load_i8(from + SIMD_HALF_BYTES + SIMD_LANES * index));
    return simd_mul(simd_mul(simd_load_f16(from), scale), simd_set1(factor));
}

/* d, scales [8], nibbles */
INLINE void unpack_iq4_xs(const uint8_t *from, int sub, struct s8_block *to) {
    simd_i w[8];
    unpack_nibbles(from + SIMD_LANES * 10 + SIMD_BYTES * 4 * sub, w);
    look_up(codebook_levels_iq4, w);
    s8_fill(to, level_scale(from, sub, 1.0f), w);
}

INLINE void unpack_iq3_xxs(const uint8_t *from, int sub, struct s8_block *to) {
    simd_i w[8];
    unpack_nibbles(from + SIMD_LANES * 10 + SIMD_BYTES * 4 * sub, w);
    look_up(codebook_levels_iq3_xxs, w);
    s8_fill(to, level_scale(from, sub, 0.25f), w);
}

INLINE void unpack_iq3_s(const uint8_t *from, int sub, struct offset_block *to) {
    unpack_nibbles(from + SIMD_LANES * 10 + SIMD_BYTES * 4 * sub, to->w);
    look_up(codebook_raised_iq3_s, to->w);
    to->scale = level_scale(from, sub, 1.0f);
    to->offset = simd_mul(to->scale, simd_set1(-15.0f));
}

/* Codes of three bits, laid as Q3_K's, looked up. */
INLINE void unpack_three_bits(const uint8_t *third, int sub, const int8_t *levels, simd_i *w) {
    const uint8_t *bits = third + SIMD_BYTES * (8 + 8 * (sub / 4));
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_i low = two_bits(simd_load_bytes(bits + SIMD_BYTES * j), 2 * (sub % 4), 0);
        simd_i high = simd_load_bytes(third + SIMD_BYTES * j);
        high = sub < 2 ? simd_slli_i16(high, 2 - sub) : simd_srli_i16(high, sub - 2);
        w[j] = simd_or_bits(low, simd_and_bits(high, simd_set1_i8(4)));
    }
    look_up(levels, w);
}

/* d, scales [8], third bits, two bits */
INLINE void unpack_iq2_xxs(const uint8_t *from, int sub, struct s8_block *to) {
    simd_i w[8];
    unpack_three_bits(from + SIMD_LANES * 10, sub, codebook_levels_iq2, w);
    s8_fill(to, level_scale(from, sub, 0.125f), w);
}

INLINE void unpack_iq1_s(const uint8_t *from, int sub, struct offset_block *to) {
    unpack_three_bits(from + SIMD_LANES * 10, sub, codebook_raised_iq1, to->w);
    to->scale = level_scale(from, sub, 0.125f);
    to->offset = simd_mul(to->scale, simd_set1(-9.0f));
}

/* d, scales [16], third bits, two bits */
INLINE void unpack_iq2_halves(const uint8_t *from, int sub, struct s8_halves_block *to) {
    simd_f scale[2] = {level_scale(from, 2 * sub, 0.125f), level_scale(from, 2 * sub + 1, 0.125f)};
    simd_i w[8];
    unpack_three_bits(from + SIMD_LANES * 18, sub, codebook_levels_iq2, w);
    s8_halves_fill(to, scale, w);
}

INLINE void unpack_iq1_m(const uint8_t *from, int sub, struct halves_block *to) {
    unpack_three_bits(from + SIMD_LANES * 18, sub, codebook_raised_iq1, to->w);
    UNROLL
    for (int half = 0; half < 2; half++) {
        to->scale[half] = level_scale(from, 2 * sub + half, 0.125f);
        to->offset[half] = simd_mul(to->scale[half], simd_set1(-9.0f));
    }
}

/* d, two bits as Q2_K's. The values begin at -1. The offset is a difference: a compiler may move the
 * sign of a product with -1 past another product, and a NaN then has another sign for another
 * number of rows. */
INLINE void unpack_ternary(const uint8_t *from, int sub, struct offset_block *to) {
    const uint8_t *bits = from + SIMD_HALF_BYTES + SIMD_BYTES * (8 * (sub / 4));
    to->scale = simd_load_f16(from);
    to->offset = simd_sub(simd_zero(), to->scale);
    UNROLL
    for (int j = 0; j < 8; j++)
        to->w[j] = two_bits(simd_load_bytes(bits + SIMD_BYTES * j), 2 * (sub % 4), 0);
}

#endif
