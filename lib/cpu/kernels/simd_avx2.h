/* simd.h for AVX2, FMA and F16C: eight lanes. With -mavxvnni it has simd_dot4. */
#ifndef CPU_KERNELS_SIMD_AVX2_H
#define CPU_KERNELS_SIMD_AVX2_H

#include <immintrin.h>

#define SIMD_LANES 8
#define SIMD_REGISTERS 16

typedef __m256 simd_f;
typedef __m256i simd_i;
typedef __m256 simd_m;

/* ---- f32 ---- */
INLINE simd_f simd_zero(void) {
    return _mm256_setzero_ps();
}
INLINE simd_f simd_set1(float x) {
    return _mm256_set1_ps(x);
}
INLINE simd_f simd_broadcast(const float *x) {
    return _mm256_broadcast_ss(x);
}
INLINE float simd_first(simd_f x) {
    return _mm256_cvtss_f32(x);
}
INLINE simd_f simd_load(const float *x) {
    return _mm256_loadu_ps(x);
}
INLINE void simd_store(float *y, simd_f x) {
    _mm256_storeu_ps(y, x);
}
INLINE simd_f simd_add(simd_f a, simd_f b) {
    return _mm256_add_ps(a, b);
}
INLINE simd_f simd_sub(simd_f a, simd_f b) {
    return _mm256_sub_ps(a, b);
}
INLINE simd_f simd_mul(simd_f a, simd_f b) {
    return _mm256_mul_ps(a, b);
}
INLINE simd_f simd_div(simd_f a, simd_f b) {
    return _mm256_div_ps(a, b);
}
/* a * b + c, -(a * b) + c, a * b - c, rounded once */
INLINE simd_f simd_fma(simd_f a, simd_f b, simd_f c) {
    return _mm256_fmadd_ps(a, b, c);
}
INLINE simd_f simd_fnma(simd_f a, simd_f b, simd_f c) {
    return _mm256_fnmadd_ps(a, b, c);
}
INLINE simd_f simd_fms(simd_f a, simd_f b, simd_f c) {
    return _mm256_fmsub_ps(a, b, c);
}
/* b where one is a NaN. */
INLINE simd_f simd_min(simd_f a, simd_f b) {
    return _mm256_min_ps(a, b);
}
INLINE simd_f simd_max(simd_f a, simd_f b) {
    return _mm256_max_ps(a, b);
}
INLINE simd_f simd_and(simd_f a, simd_f b) {
    return _mm256_and_ps(a, b);
}
INLINE simd_f simd_andnot(simd_f a, simd_f b) { /* ~a & b */
    return _mm256_andnot_ps(a, b);
}
INLINE simd_f simd_or(simd_f a, simd_f b) {
    return _mm256_or_ps(a, b);
}
INLINE simd_f simd_xor(simd_f a, simd_f b) {
    return _mm256_xor_ps(a, b);
}
INLINE simd_f simd_round(simd_f x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* ---- choices ---- */
INLINE simd_m simd_less(simd_f a, simd_f b) {
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
INLINE simd_m simd_unordered(simd_f x) {
    return _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
}
/* Lanes from begin on and before end. */
INLINE simd_m simd_between(int begin, int end) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_castsi256_ps(
        _mm256_and_si256(_mm256_cmpgt_epi32(index, _mm256_set1_epi32(begin - 1)),
                         _mm256_cmpgt_epi32(_mm256_set1_epi32(end), index)));
}
INLINE simd_f simd_select(simd_m choice, simd_f yes, simd_f no) {
    return _mm256_blendv_ps(no, yes, choice);
}
/* x, or +0 */
INLINE simd_f simd_keep(simd_m choice, simd_f x) {
    return _mm256_and_ps(choice, x);
}

/* The n floats at x, zeros after them. */
INLINE simd_f simd_load_n(const float *x, size_t n) {
    if (n >= SIMD_LANES) return _mm256_loadu_ps(x);
    return _mm256_maskload_ps(x, _mm256_castps_si256(simd_between(0, (int)n)));
}
INLINE void simd_store_n(float *y, simd_f x, size_t n) {
    if (n >= SIMD_LANES)
        _mm256_storeu_ps(y, x);
    else
        _mm256_maskstore_ps(y, _mm256_castps_si256(simd_between(0, (int)n)), x);
}

/* ---- across lanes ---- */
INLINE float simd_sum(simd_f x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
INLINE float simd_largest(simd_f x) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
/* Lane i % 4: the largest of x[i]. */
INLINE simd_f simd_largest_of_four(const simd_f *x) {
    __m256 a = _mm256_max_ps(_mm256_unpacklo_ps(x[0], x[1]), _mm256_unpackhi_ps(x[0], x[1]));
    __m256 b = _mm256_max_ps(_mm256_unpacklo_ps(x[2], x[3]), _mm256_unpackhi_ps(x[2], x[3]));
    /* a: 0 1 0 1 of the vectors in each half, b: 2 3 2 3 */
    __m256 m = _mm256_max_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xee));
    return _mm256_max_ps(m, _mm256_permute2f128_ps(m, m, 1));
}
/* Lane i % 4: the sum of x[i]. */
INLINE simd_f simd_sum_of_four(const simd_f *x) {
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
    return _mm256_add_ps(s, _mm256_permute2f128_ps(s, s, 1));
}
/* n <= lanes pairs: the first of each, the second of each. */
INLINE void simd_load_pairs(const float *x, size_t n, simd_f *first, simd_f *second) {
    __m256 low = simd_load_n(x, 2 * n);
    __m256 high = n > 4 ? simd_load_n(x + 8, 2 * n - 8) : _mm256_setzero_ps();
    __m256 t0 = _mm256_permute2f128_ps(low, high, 0x20);
    __m256 t1 = _mm256_permute2f128_ps(low, high, 0x31);
    *first = _mm256_shuffle_ps(t0, t1, 0x88);
    *second = _mm256_shuffle_ps(t0, t1, 0xdd);
}
INLINE simd_f simd_even_twice(simd_f x) {
    return _mm256_moveldup_ps(x);
}
INLINE simd_f simd_odd_twice(simd_f x) {
    return _mm256_movehdup_ps(x);
}
INLINE simd_f simd_swap_pairs(simd_f x) {
    return _mm256_permute_ps(x, 0xb1);
}
/* a * b - c in even lanes, + c in odd ones */
INLINE simd_f simd_fma_alternate(simd_f a, simd_f b, simd_f c) {
    return _mm256_fmaddsub_ps(a, b, c);
}

/* ---- integers ---- */
INLINE simd_i simd_bits(simd_f x) {
    return _mm256_castps_si256(x);
}
INLINE simd_f simd_from_bits(simd_i x) {
    return _mm256_castsi256_ps(x);
}
INLINE simd_i simd_zero_bits(void) {
    return _mm256_setzero_si256();
}
INLINE simd_i simd_set1_i32(int32_t x) {
    return _mm256_set1_epi32(x);
}
INLINE simd_i simd_set1_i8(int8_t x) {
    return _mm256_set1_epi8(x);
}
INLINE simd_i simd_load_bytes(const uint8_t *from) {
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}
/* Byte i: levels[index[i]], indices below 16. */
INLINE simd_i simd_lookup(const int8_t *levels, simd_i index) {
    __m128i table = _mm_loadu_si128((const __m128i *)(const void *)levels);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), index);
}
INLINE simd_i simd_and_bits(simd_i a, simd_i b) {
    return _mm256_and_si256(a, b);
}
INLINE simd_i simd_or_bits(simd_i a, simd_i b) {
    return _mm256_or_si256(a, b);
}
INLINE simd_i simd_xor_bits(simd_i a, simd_i b) {
    return _mm256_xor_si256(a, b);
}
INLINE simd_i simd_add_i32(simd_i a, simd_i b) {
    return _mm256_add_epi32(a, b);
}
INLINE simd_i simd_sub_i32(simd_i a, simd_i b) {
    return _mm256_sub_epi32(a, b);
}
INLINE simd_i simd_add_i16(simd_i a, simd_i b) {
    return _mm256_add_epi16(a, b);
}
INLINE simd_i simd_slli_i32(simd_i x, int by) {
    return _mm256_slli_epi32(x, by);
}
INLINE simd_i simd_srli_i32(simd_i x, int by) {
    return _mm256_srli_epi32(x, by);
}
INLINE simd_i simd_srai_i32(simd_i x, int by) {
    return _mm256_srai_epi32(x, by);
}
INLINE simd_i simd_slli_i16(simd_i x, int by) {
    return _mm256_slli_epi16(x, by);
}
INLINE simd_i simd_srli_i16(simd_i x, int by) {
    return _mm256_srli_epi16(x, by);
}
INLINE simd_f simd_from_i32(simd_i x) {
    return _mm256_cvtepi32_ps(x);
}
INLINE simd_i simd_to_i32(simd_f x) { /* to nearest even */
    return _mm256_cvtps_epi32(x);
}
/* A lane's sum of a's and b's four signed bytes' products, added to sum: as instructions have it,
 * a unsigned with SIMD_DOT4_UNSIGNED. */
#if defined(__AVXVNNI__)
#define SIMD_DOT4
#define SIMD_DOT4_UNSIGNED
INLINE simd_i simd_dot4(simd_i sum, simd_i a, simd_i b) {
    return _mm256_dpbusd_avx_epi32(sum, a, b);
}
#endif
/* Unsigned bytes of a times signed of b, pairs added to 16 bits, saturating. */
INLINE simd_i simd_maddubs(simd_i a, simd_i b) {
    return _mm256_maddubs_epi16(a, b);
}
/* 16-bit products, pairs added to 32 bits. */
INLINE simd_i simd_madd(simd_i a, simd_i b) {
    return _mm256_madd_epi16(a, b);
}
INLINE simd_i simd_abs_i8(simd_i x) {
    return _mm256_abs_epi8(x);
}
INLINE simd_i simd_sign_i8(simd_i x, simd_i sign) { /* x times -1, 0 or 1 */
    return _mm256_sign_epi8(x, sign);
}

/* ---- a lane each from narrower elements ---- */
INLINE simd_i simd_load_u8(const uint8_t *from) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from));
}
INLINE simd_i simd_load_i8(const uint8_t *from) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from));
}
INLINE simd_f simd_load_f16(const uint8_t *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)from));
}
INLINE simd_f simd_load_bf16(const uint8_t *from) {
    __m128i bits = _mm_loadu_si128((const __m128i *)(const void *)from);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
INLINE void simd_store_f16(uint8_t *to, simd_f x) {
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
/* The low 16 bits of the lanes, which have no others. */
INLINE void simd_store_u16(uint8_t *to, simd_i x) {
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(x, x), 0x08);
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(packed));
}
/* Lanes of -128 ... 127 as bytes. */
INLINE void simd_store_i8(int8_t *to, simd_i x) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64((__m128i *)(void *)to, _mm_packs_epi16(words, words));
}

INLINE void simd_prefetch(const void *from) {
    _mm_prefetch(from, _MM_HINT_T0);
}

/* The value as it is now, in a register: compilers otherwise turn the chains of integer additions
 * of all rows into trees, whose many leaves spill. */
INLINE void simd_pin(simd_i *x) {
    __asm__("" : "+x"(*x));
}

#endif
