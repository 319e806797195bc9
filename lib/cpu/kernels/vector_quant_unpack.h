/* A type's packed block (packing.c) as bytes to multiply. Where a block of the type is longer than
 * 32 columns, `sub` is the block of 32 columns in it. */
#ifndef CPU_KERNELS_VECTOR_QUANT_UNPACK_H
#define CPU_KERNELS_VECTOR_QUANT_UNPACK_H

#if defined(SIMD_DOT4)
#include "cpu/kernels/vector_quant_dot4.h"
#else
#include "cpu/kernels/vector_quant_int16.h"
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

/* d [lanes] f16; scales [16][lanes] int8; low four bits: sub-block s of a half in the vectors
 * s % 2 * 8 ... + 7, nibble s / 2; high two bits: bits 2s, 2s + 1 of the half's eight vectors. */
INLINE void unpack_q6_k(const uint8_t *from, int sub, struct u6_block *to) {
    int half = sub / 4, s = sub % 4;
    const uint8_t *scales = from + SIMD_HALF_BYTES + 2 * SIMD_LANES * sub;
    const uint8_t *low = from + 18 * SIMD_LANES + SIMD_BYTES * (16 * half + 8 * (s % 2));
    const uint8_t *high = from + 146 * SIMD_LANES + SIMD_BYTES * (8 * half);
    u6_fill(to, simd_load_f16(from), simd_load_i8(scales), simd_load_i8(scales + SIMD_LANES));
    UNROLL
    for (int j = 0; j < 8; j++) {
        simd_i both = simd_load_bytes(low + SIMD_BYTES * j);
        simd_i bits = simd_load_bytes(high + SIMD_BYTES * j);
        simd_i moved = s == 0   ? simd_slli_i16(bits, 4)
                       : s == 1 ? simd_slli_i16(bits, 2)
                       : s == 2 ? bits
                                : simd_srli_i16(bits, 2);
        to->w[j] = simd_or_bits(s / 2 ? high_nibbles(both) : low_nibbles(both),
                                simd_and_bits(moved, simd_set1_i8(0x30)));
    }
}

#endif
