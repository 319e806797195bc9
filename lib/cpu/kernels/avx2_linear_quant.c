/* Linear layers of the quantized weight types with int8 activations: how each type's packed block
 * (packing.c) unpacks; the kernels are avx2_quant_template.h. */
#include "cpu/kernels/avx2.h"
#include "cpu/kernels/avx2_math.h"
#include "cpu/kernels/avx2_quant_blocks.h"
#include "cpu/kernels/packing.h"

#define STRIP_BLOCKS 32 /* blocks of 32 columns unpacked at a time: 10 KiB of L1 */
#define TOKEN_BLOCK 240 /* rows whose strip of activations stays in L2 while the groups pass */
#define PREFETCH_BYTES 2560

INLINE __m256i load(const uint8_t *from) {
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

INLINE __m256 load_f16(const uint8_t *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)from));
}

INLINE __m128i load_8_bytes(const uint8_t *from) {
    return _mm_loadl_epi64((const __m128i *)(const void *)from);
}

INLINE __m256i low_nibbles(__m256i x) {
    return _mm256_and_si256(x, _mm256_set1_epi8(15));
}

INLINE __m256i high_nibbles(__m256i x) {
    return low_nibbles(_mm256_srli_epi16(x, 4));
}

/* Four vectors: columns 0 ... 15 in the low nibbles, 16 ... 31 in the high ones. */
INLINE void unpack_nibbles(const uint8_t *from, __m256i *w) {
    UNROLL
    for (int j = 0; j < 4; j++) {
        __m256i both = load(from + 32 * j);
        w[j] = low_nibbles(both);
        w[j + 4] = high_nibbles(both);
    }
}

/* Bit `bit` of every byte becomes its bit 4. */
INLINE __m256i fifth_bit(__m256i bits, int bit) {
    __m256i moved = bit < 4 ? _mm256_slli_epi16(bits, 4 - bit) : _mm256_srli_epi16(bits, bit - 4);
    return _mm256_and_si256(moved, _mm256_set1_epi8(16));
}

INLINE void unpack_fifth_bits(const uint8_t *from, __m256i *w) {
    __m256i bits = load(from);
    UNROLL
    for (int j = 0; j < 8; j++) w[j] = _mm256_or_si256(w[j], fifth_bit(bits, j));
}

INLINE void unpack_q4_0(const uint8_t *from, int sub, struct offset_block *to) {
    (void)sub;
    to->scale = load_f16(from);
    to->offset = _mm256_mul_ps(to->scale, _mm256_set1_ps(-8.0f));
    unpack_nibbles(from + 16, to->w);
}

INLINE void unpack_q4_1(const uint8_t *from, int sub, struct offset_block *to) {
    (void)sub;
    to->scale = load_f16(from);
    to->offset = load_f16(from + 16);
    unpack_nibbles(from + 32, to->w);
}

INLINE void unpack_q5_0(const uint8_t *from, int sub, struct offset_block *to) {
    (void)sub;
    to->scale = load_f16(from);
    to->offset = _mm256_mul_ps(to->scale, _mm256_set1_ps(-16.0f));
    unpack_nibbles(from + 48, to->w);
    unpack_fifth_bits(from + 16, to->w);
}

INLINE void unpack_q5_1(const uint8_t *from, int sub, struct offset_block *to) {
    (void)sub;
    to->scale = load_f16(from);
    to->offset = load_f16(from + 16);
    unpack_nibbles(from + 64, to->w);
    unpack_fifth_bits(from + 32, to->w);
}

INLINE void unpack_q8_0(const uint8_t *from, int sub, struct s8_block *to) {
    (void)sub;
    to->scale = load_f16(from);
    UNROLL
    for (int j = 0; j < 8; j++) to->w[j] = load(from + 16 + 32 * j);
}

/* d, dmin [8] f16; scales, minima [8 sub-blocks][8] bytes of six bits. An f16 times six bits is
 * exact in f32. The minima are negated as integers: a compiler may move a float's sign past a
 * product, and a NaN then has another sign for another number of rows. */
INLINE void unpack_k_scales(const uint8_t *from, int sub, struct offset_block *to) {
    __m256i scale = _mm256_cvtepu8_epi32(load_8_bytes(from + 32 + 8 * sub));
    __m256i minimum = _mm256_cvtepu8_epi32(load_8_bytes(from + 96 + 8 * sub));
    __m256i negative = _mm256_sub_epi32(_mm256_setzero_si256(), minimum);
    to->scale = _mm256_mul_ps(load_f16(from), _mm256_cvtepi32_ps(scale));
    to->offset = _mm256_mul_ps(load_f16(from + 16), _mm256_cvtepi32_ps(negative));
}

/* Sub-blocks 2i and 2i + 1 are the low and the high nibbles of the same vectors. */
INLINE void unpack_k_nibbles(const uint8_t *from, int sub, __m256i *w) {
    UNROLL
    for (int j = 0; j < 8; j++) {
        __m256i both = load(from + 256 * (sub / 2) + 32 * j);
        w[j] = sub % 2 ? high_nibbles(both) : low_nibbles(both);
    }
}

INLINE void unpack_q4_k(const uint8_t *from, int sub, struct offset_block *to) {
    unpack_k_scales(from, sub, to);
    unpack_k_nibbles(from + 160, sub, to->w);
}

INLINE void unpack_q5_k(const uint8_t *from, int sub, struct offset_block *to) {
    unpack_k_scales(from, sub, to);
    unpack_k_nibbles(from + 416, sub, to->w);
    UNROLL
    for (int j = 0; j < 8; j++)
        to->w[j] = _mm256_or_si256(to->w[j], fifth_bit(load(from + 160 + 32 * j), sub));
}

/* d [8] f16; scales [16][8] int8; low four bits: sub-block s of a half in the vectors
 * s % 2 * 8 ... + 7, nibble s / 2; high two bits: bits 2s, 2s + 1 of the half's eight vectors. */
INLINE void unpack_q6_k(const uint8_t *from, int sub, struct u6_block *to) {
    int half = sub / 4, s = sub % 4;
    const uint8_t *low = from + 144 + 512 * half + 256 * (s % 2);
    const uint8_t *high = from + 1168 + 256 * half;
    to->scale = load_f16(from);
    __m256i first = _mm256_cvtepi8_epi32(load_8_bytes(from + 16 + 16 * sub));
    __m256i second = _mm256_cvtepi8_epi32(load_8_bytes(from + 24 + 16 * sub));
    __m256i first_high = _mm256_slli_epi32(first, 16), second_high = _mm256_slli_epi32(second, 16);
    to->half_scale[0] = _mm256_blend_epi16(first, first_high, 0xaa);
    to->half_scale[1] = _mm256_blend_epi16(second, second_high, 0xaa);
    const __m256i by = _mm256_set1_epi16(-32), zero = _mm256_setzero_si256();
    to->correction[0] = _mm256_mullo_epi16(_mm256_blend_epi16(first, zero, 0xaa), by);
    to->correction[1] = _mm256_mullo_epi16(_mm256_blend_epi16(zero, second_high, 0xaa), by);
    UNROLL
    for (int j = 0; j < 8; j++) {
        __m256i both = load(low + 32 * j), bits = load(high + 32 * j);
        __m256i moved = s == 0   ? _mm256_slli_epi16(bits, 4)
                        : s == 1 ? _mm256_slli_epi16(bits, 2)
                        : s == 2 ? bits
                                 : _mm256_srli_epi16(bits, 2);
        to->w[j] = _mm256_or_si256(s / 2 ? high_nibbles(both) : low_nibbles(both),
                                   _mm256_and_si256(moved, _mm256_set1_epi8(0x30)));
    }
}

#define TYPE Q4_0
#define BLOCK offset_block
#define STEP offset_step
#define TILE 6
#define SUB_BLOCKS 1
#define BLOCK_BYTES 144
#define UNPACK unpack_q4_0
#include "cpu/kernels/avx2_quant_template.h"

#define TYPE Q4_1
#define BLOCK offset_block
#define STEP offset_step
#define TILE 6
#define SUB_BLOCKS 1
#define BLOCK_BYTES 160
#define UNPACK unpack_q4_1
#include "cpu/kernels/avx2_quant_template.h"

#define TYPE Q5_0
#define BLOCK offset_block
#define STEP offset_step
#define TILE 6
#define SUB_BLOCKS 1
#define BLOCK_BYTES 176
#define UNPACK unpack_q5_0
#include "cpu/kernels/avx2_quant_template.h"

#define TYPE Q5_1
#define BLOCK offset_block
#define STEP offset_step
#define TILE 6
#define SUB_BLOCKS 1
#define BLOCK_BYTES 192
#define UNPACK unpack_q5_1
#include "cpu/kernels/avx2_quant_template.h"

#define TYPE Q8_0
#define BLOCK s8_block
#define STEP s8_step
#define TILE 4
#define SUB_BLOCKS 1
#define BLOCK_BYTES 272
#define UNPACK unpack_q8_0
#include "cpu/kernels/avx2_quant_template.h"

#define TYPE Q4_K
#define BLOCK offset_block
#define STEP offset_step
#define TILE 6
#define SUB_BLOCKS 8
#define BLOCK_BYTES 1184
#define UNPACK unpack_q4_k
#include "cpu/kernels/avx2_quant_template.h"

#define TYPE Q5_K
#define BLOCK offset_block
#define STEP offset_step
#define TILE 6
#define SUB_BLOCKS 8
#define BLOCK_BYTES 1440
#define UNPACK unpack_q5_k
#include "cpu/kernels/avx2_quant_template.h"

#define TYPE Q6_K
#define BLOCK u6_block
#define STEP u6_step
#define TILE 4
#define SUB_BLOCKS 8
#define BLOCK_BYTES 1680
#define UNPACK unpack_q6_k
#include "cpu/kernels/avx2_quant_template.h"

/* ---- activations ---- */

/* One half: 16 columns to 16-bit lanes 0-3, 8-11, 4-7, 12-15. |x| of a NaN loses to the other
 * operand of max; its quant is 0. */
INLINE __m256i q8_half(const float *x, float *scale, int16_t *sum) {
    const __m256 sign = _mm256_set1_ps(-0.0f), limit = _mm256_set1_ps(127.0f);
    __m256 v[2], largest = _mm256_setzero_ps();
    for (int i = 0; i < 2; i++) {
        v[i] = _mm256_loadu_ps(x + 8 * i);
        largest = _mm256_max_ps(_mm256_andnot_ps(sign, v[i]), largest);
    }
    float absmax = avx2_max(largest), inverse = absmax > 0.0f ? 127.0f / absmax : 0.0f;
    __m256i q[2];
    for (int i = 0; i < 2; i++) {
        __m256 scaled = _mm256_mul_ps(v[i], _mm256_set1_ps(inverse));
        scaled = _mm256_and_ps(scaled, _mm256_cmp_ps(scaled, scaled, _CMP_ORD_Q));
        scaled = _mm256_min_ps(_mm256_max_ps(scaled, _mm256_xor_ps(limit, sign)), limit);
        q[i] = _mm256_cvtps_epi32(scaled);
    }
    __m256i packed = _mm256_packs_epi32(q[0], q[1]);
    __m256i pairs = _mm256_madd_epi16(packed, _mm256_set1_epi16(1));
    __m128i total =
        _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    total = _mm_hadd_epi32(total, total);
    total = _mm_hadd_epi32(total, total);
    *scale = absmax / 127.0f;
    *sum = (int16_t)_mm_cvtsi128_si32(total);
    return packed;
}

static void q8_prepare(const float *x, size_t n, void *row) {
    struct q8_block *block = row;
    for (const float *end = x + n / Q8_BLOCK * Q8_BLOCK; x < end; x += Q8_BLOCK, block++) {
        __m256i first = q8_half(x, &block->scale[0], &block->sums[0]);
        __m256i second = q8_half(x + Q8_HALF, &block->scale[1], &block->sums[1]);
        /* dwords of the packs by lane: 0, 2 of the four vectors of eight, then 1, 3 */
        __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, second),
                                                     _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((__m256i *)(void *)block->q, packed);
        block->scaled_sum =
            block->scale[0] * (float)block->sums[0] + block->scale[1] * (float)block->sums[1];
    }
    size_t used = n / Q8_BLOCK * sizeof *block;
    memset(block, 0, q8_row_bytes(n) - used);
}

void avx2_linear_quant(struct kernels *kernels) {
    kernels->activation[ACTIVATION_ROWS_Q8].prepare = q8_prepare;
    kernels->linear[WEIGHT_Q4_0] = kernel_Q4_0;
    kernels->linear[WEIGHT_Q4_1] = kernel_Q4_1;
    kernels->linear[WEIGHT_Q5_0] = kernel_Q5_0;
    kernels->linear[WEIGHT_Q5_1] = kernel_Q5_1;
    kernels->linear[WEIGHT_Q8_0] = kernel_Q8_0;
    kernels->linear[WEIGHT_Q4_K] = kernel_Q4_K;
    kernels->linear[WEIGHT_Q5_K] = kernel_Q5_K;
    kernels->linear[WEIGHT_Q6_K] = kernel_Q6_K;
}
