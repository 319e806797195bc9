/* A type's packed block (packing.c) as bytes to multiply. Where a block of the type is longer than
 * 32 columns, `sub` is the block of 32 columns in it. */
#ifndef CPU_KERNELS_VECTOR_QUANT_UNPACK_H
#define CPU_KERNELS_VECTOR_QUANT_UNPACK_H

#if defined(SIMD_MATRIX)
#include "cpu/kernels/vector_quant_matrix.h"
#elif defined(SIMD_DOT4)
#include "cpu/kernels/vector_quant_dot4.h"
#else
#include "cpu/kernels/vector_quant_int16.h"
#endif

#if !defined(SIMD_MATRIX)
/* Tiles multiply blocks as they are unpacked. */
#define offset_tile_step offset_step
#define halves_tile_step halves_step
#define s8_tile_step s8_step
#define s8_halves_tile_step s8_halves_step
INLINE void tile_arrange(simd_i *w) {
    (void)w;
}
#endif

INLINE simd_i low_nibbles(simd_i x) {
    return simd_and_bits(x, simd_set1_i8(15));
}

INLINE simd_i high_nibbles(simd_i x) {
    return low_nibbles(simd_srli_i16(x, 4));
}

/* Four vectors: columns 0 ... 15 in the low nibbles, 16 ... 31 in the high ones. */
INLINE void unpack_nibbles(const uint8_t *from, simd_i *w) {
    UNROLL
    for (int j = 0; j < 4; j++) {
        simd_i both = simd_load_bytes(from + SIMD_BYTES * j);
        w[j] = low_nibbles(both);
        w[j + 4] = high_nibbles(both);
    }
}

/* Bit `bit` of every byte becomes its bit 4. */
INLINE simd_i fifth_bit(simd_i bits, int bit) {
    simd_i moved = bit < 4 ? simd_slli_i16(bits, 4 - bit) : simd_srli_i16(bits, bit - 4);
    return simd_and_bits(moved, simd_set1_i8(16));
}

INLINE void unpack_fifth_bits(const uint8_t *from, simd_i *w) {
    simd_i bits = simd_load_bytes(from);
    UNROLL
    for (int j = 0; j < 8; j++) w[j] = simd_or_bits(w[j], fifth_bit(bits, j));
}

INLINE void unpack_q4_0(const uint8_t *from, int sub, struct offset_block *to) {
    (void)sub;
    to->scale = simd_load_f16(from);
    to->offset = simd_mul(to->scale, simd_set1(-8.0f));
    unpack_nibbles(from + SIMD_HALF_BYTES, to->w);
}

INLINE void unpack_q4_1(const uint8_t *from, int sub, struct offset_block *to) {
    (void)sub;
    to->scale = simd_load_f16(from);
    to->offset = simd_load_f16(from + SIMD_HALF_BYTES);
    unpack_nibbles(from + 2 * SIMD_HALF_BYTES, to->w);
}

INLINE void unpack_q5_0(const uint8_t *from, int sub, struct offset_block *to) {
    (void)sub;
    to->scale = simd_load_f16(from);
    to->offset = simd_mul(to->scale, simd_set1(-16.0f));
    unpack_nibbles(from + SIMD_HALF_BYTES + SIMD_BYTES, to->w);
    unpack_fifth_bits(from + SIMD_HALF_BYTES, to->w);
}

INLINE void unpack_q5_1(const uint8_t *from, int sub, struct offset_block *to) {
    (void)sub;
    to->scale = simd_load_f16(from);
    to->offset = simd_load_f16(from + SIMD_HALF_BYTES);
    unpack_nibbles(from + 2 * SIMD_HALF_BYTES + SIMD_BYTES, to->w);
    unpack_fifth_bits(from + 2 * SIMD_HALF_BYTES, to->w);
}

INLINE void unpack_q8_0(const uint8_t *from, int sub, struct s8_block *to) {
    (void)sub;
    simd_i w[8];
    UNROLL
    for (int j = 0; j < 8; j++) w[j] = simd_load_bytes(from + SIMD_HALF_BYTES + SIMD_BYTES * j);
    s8_fill(to, simd_load_f16(from), w);
}

/* d, dmin [lanes] f16; scales, minima [8 sub-blocks][lanes] bytes of six bits. An f16 times six
 * bits is exact in f32. The minima are negated as integers: a compiler may move a float's sign past
 * a product, and a NaN then has another sign for another number of rows. */
INLINE void unpack_k_scales(const uint8_t *from, int sub, struct offset_block *to) {
    simd_i scale = simd_load_u8(from + SIMD_LANES * (4 + sub));
    simd_i minimum = simd_load_u8(from + SIMD_LANES * (12 + sub));
    simd_i negative = simd_sub_i32(simd_zero_bits(), minimum);
    to->scale = simd_mul(simd_load_f16(from), simd_from_i32(scale));
    to->offset = simd_mul(simd_load_f16(from + SIMD_HALF_BYTES), simd_from_i32(negative));
}

/* Sub-blocks 2i and 2i + 1 are the low and the high nibbles of the same vectors. */
INLINE void unpack_k_nibbles(const uint8_t *from, int sub, simd_i *w) {
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_i both = simd_load_bytes(from + SIMD_BYTES * (8 * (sub / 2) + j));
        w[j] = sub % 2 ? high_nibbles(both) : low_nibbles(both);
    }
}

INLINE void unpack_q4_k(const uint8_t *from, int sub, struct offset_block *to) {
    unpack_k_scales(from, sub, to);
    unpack_k_nibbles(from + 20 * SIMD_LANES, sub, to->w);
}

INLINE void unpack_q5_k(const uint8_t *from, int sub, struct offset_block *to) {
    unpack_k_scales(from, sub, to);
    unpack_k_nibbles(from + 52 * SIMD_LANES, sub, to->w);
    UNROLL
    for (int j = 0; j < 8; j++)
        to->w[j] = simd_or_bits(
            to->w[j], fifth_bit(simd_load_bytes(from + 20 * SIMD_LANES + SIMD_BYTES * j), sub));
}

/* Scales of the halves d * s, offsets `zero` of them: the product of an f16 and eight bits is
 * exact. */
INLINE void fill_halves(struct halves_block *to, simd_f d, const simd_i *s, float zero) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        to->scale[half] = simd_mul(d, simd_from_i32(s[half]));
        to->offset[half] = simd_mul(to->scale[half], simd_set1(zero));
    }
}

/* Bits `from` and from + 1 of every byte moved to bits `to` and to + 1, alone. */
INLINE simd_i two_bits(simd_i x, int from, int to) {
    simd_i moved = from < to ? simd_slli_i16(x, to - from) : simd_srli_i16(x, from - to);
    return simd_and_bits(moved, simd_set1_i8((int8_t)(3 << to)));
}

/* d, dmin [lanes] f16; scale in the low nibble, minimum in the high one [16][lanes]; two bits:
 * sub-block s of a half is bits 2s, 2s + 1 of the half's eight vectors. */
INLINE void unpack_q2_k(const uint8_t *from, int sub, struct halves_block *to) {
    const uint8_t *scales = from + SIMD_LANES * (4 + 2 * sub);
    const uint8_t *bits = from + SIMD_LANES * 20 + SIMD_BYTES * (8 * (sub / 4));
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_i both = simd_load_u8(scales + SIMD_LANES * half);
        simd_i scale = simd_and_bits(both, simd_set1_i32(15));
        simd_i negative = simd_sub_i32(simd_zero_bits(), simd_srli_i32(both, 4));
        to->scale[half] = simd_mul(simd_load_f16(from), simd_from_i32(scale));
        to->offset[half] = simd_mul(simd_load_f16(from + SIMD_HALF_BYTES), simd_from_i32(negative));
    }
    UNROLL
    for (int j = 0; j < 8; j++)
        to->w[j] = two_bits(simd_load_bytes(bits + SIMD_BYTES * j), 2 * (sub % 4), 0);
}

/* d [lanes] f16; scales [16][lanes], 32 more than they are; third bits: sub-block s is bit s of the
 * eight vectors; two bits as Q2_K's. The values begin at -4. */
INLINE void unpack_q3_k(const uint8_t *from, int sub, struct halves_block *to) {
    const uint8_t *scales = from + SIMD_LANES * (2 + 2 * sub);
    const uint8_t *third = from + SIMD_LANES * 18;
    const uint8_t *bits = from + SIMD_LANES * 50 + SIMD_BYTES * (8 * (sub / 4));
    simd_i s[2];
    UNROLL
    for (int half = 0; half < 2; half++)
        s[half] = simd_sub_i32(simd_load_u8(scales + SIMD_LANES * half), simd_set1_i32(32));
    fill_halves(to, simd_load_f16(from), s, -4.0f);
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_i low = two_bits(simd_load_bytes(bits + SIMD_BYTES * j), 2 * (sub % 4), 0);
        simd_i high = simd_load_bytes(third + SIMD_BYTES * j);
        high = sub < 2 ? simd_slli_i16(high, 2 - sub) : simd_srli_i16(high, sub - 2);
        to->w[j] = simd_or_bits(low, simd_and_bits(high, simd_set1_i8(4)));
    }
}

/* d [lanes] f16; scales [16][lanes] int8; low four bits: sub-block s of a half in the vectors
 * s % 2 * 8 ... + 7, nibble s / 2; high two bits as Q2_K's. The values begin at -32. */
INLINE void unpack_q6_k(const uint8_t *from, int sub, struct halves_block *to) {
    int half = sub / 4, s = sub % 4;
    const uint8_t *scales = from + SIMD_HALF_BYTES + 2 * SIMD_LANES * sub;
    const uint8_t *low = from + 18 * SIMD_LANES + SIMD_BYTES * (16 * half + 8 * (s % 2));
    const uint8_t *high = from + 146 * SIMD_LANES + SIMD_BYTES * (8 * half);
    simd_i both_scales[2] = {simd_load_i8(scales), simd_load_i8(scales + SIMD_LANES)};
    fill_halves(to, simd_load_f16(from), both_scales, -32.0f);
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_i both = simd_load_bytes(low + SIMD_BYTES * j);
        simd_i bits = two_bits(simd_load_bytes(high + SIMD_BYTES * j), 2 * s, 4);
        to->w[j] = simd_or_bits(s / 2 ? high_nibbles(both) : low_nibbles(both), bits);
    }
}

#endif
