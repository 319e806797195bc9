/* simd.h for AVX-512 (F, BW, DQ, VL): sixteen lanes. With -mavx512vnni it has simd_dot4. */
#ifndef CPU_KERNELS_SIMD_AVX512_H
#define CPU_KERNELS_SIMD_AVX512_H

#include <immintrin.h>

#define SIMD_LANES 16
#define SIMD_REGISTERS 32

typedef __m512 simd_f;
typedef __m512i simd_i;
typedef __mmask16 simd_m;

/* ---- f32 ---- */
INLINE simd_f simd_zero(void) {
    return _mm512_setzero_ps();
}
INLINE simd_f simd_set1(float x) {
    return _mm512_set1_ps(x);
}
INLINE simd_f simd_broadcast(const float *x) {
    return _mm512_set1_ps(*x);
}
INLINE float simd_first(simd_f x) {
    return _mm512_cvtss_f32(x);
}
INLINE simd_f simd_load(const float *x) {
    return _mm512_loadu_ps(x);
}
INLINE void simd_store(float *y, simd_f x) {
    _mm512_storeu_ps(y, x);
}
INLINE simd_f simd_add(simd_f a, simd_f b) {
    return _mm512_add_ps(a, b);
}
INLINE simd_f simd_sub(simd_f a, simd_f b) {
    return _mm512_sub_ps(a, b);
}
INLINE simd_f simd_mul(simd_f a, simd_f b) {
    return _mm512_mul_ps(a, b);
}
INLINE simd_f simd_div(simd_f a, simd_f b) {
    return _mm512_div_ps(a, b);
}
INLINE simd_f simd_fma(simd_f a, simd_f b, simd_f c) {
    return _mm512_fmadd_ps(a, b, c);
}
INLINE simd_f simd_fnma(simd_f a, simd_f b, simd_f c) {
    return _mm512_fnmadd_ps(a, b, c);
}
INLINE simd_f simd_fms(simd_f a, simd_f b, simd_f c) {
    return _mm512_fmsub_ps(a, b, c);
}
INLINE simd_f simd_min(simd_f a, simd_f b) {
    return _mm512_min_ps(a, b);
}
INLINE simd_f simd_max(simd_f a, simd_f b) {
    return _mm512_max_ps(a, b);
}
INLINE simd_f simd_and(simd_f a, simd_f b) {
    return _mm512_and_ps(a, b);
}
INLINE simd_f simd_andnot(simd_f a, simd_f b) {
    return _mm512_andnot_ps(a, b);
}
INLINE simd_f simd_or(simd_f a, simd_f b) {
    return _mm512_or_ps(a, b);
}
INLINE simd_f simd_xor(simd_f a, simd_f b) {
    return _mm512_xor_ps(a, b);
}
INLINE simd_f simd_round(simd_f x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* ---- choices ---- */
INLINE simd_m simd_less(simd_f a, simd_f b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
INLINE simd_m simd_unordered(simd_f x) {
    return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
}
INLINE simd_m simd_between(int begin, int end) {
    const __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _kand_mask16(_mm512_cmpge_epi32_mask(index, _mm512_set1_epi32(begin)),
                        _mm512_cmplt_epi32_mask(index, _mm512_set1_epi32(end)));
}
INLINE simd_f simd_select(simd_m choice, simd_f yes, simd_f no) {
    return _mm512_mask_blend_ps(choice, no, yes);
}
INLINE simd_f simd_keep(simd_m choice, simd_f x) {
    return _mm512_maskz_mov_ps(choice, x);
}
INLINE simd_f simd_load_n(const float *x, size_t n) {
    if (n >= SIMD_LANES) return _mm512_loadu_ps(x);
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), x);
}
INLINE void simd_store_n(float *y, simd_f x, size_t n) {
    if (n >= SIMD_LANES)
        _mm512_storeu_ps(y, x);
    else
        _mm512_mask_storeu_ps(y, (__mmask16)((1u << n) - 1), x);
}

/* ---- across lanes ---- */
INLINE float simd_sum(simd_f x) {
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
INLINE float simd_largest(simd_f x) {
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
INLINE void simd_load_pairs(const float *x, size_t n, simd_f *first, simd_f *second) {
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    __m512 low = simd_load_n(x, 2 * n);
    __m512 high = n > 8 ? simd_load_n(x + 16, 2 * n - 16) : _mm512_setzero_ps();
    *first = _mm512_permutex2var_ps(low, even, high);
    *second = _mm512_permutex2var_ps(low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high);
}
INLINE simd_f simd_even_twice(simd_f x) {
    return _mm512_moveldup_ps(x);
}
INLINE simd_f simd_odd_twice(simd_f x) {
    return _mm512_movehdup_ps(x);
}
INLINE simd_f simd_swap_pairs(simd_f x) {
    return _mm512_permute_ps(x, 0xb1);
}
INLINE simd_f simd_fma_alternate(simd_f a, simd_f b, simd_f c) {
    return _mm512_fmaddsub_ps(a, b, c);
}
/* Lanes hold two bf16: sum + the odd ones' product + the even ones', f32, denormals as zero. */
#if defined(__AVX512BF16__)
#define SIMD_BF16_PAIRS
INLINE simd_f simd_dot2_bf16(simd_f sum, simd_f a, simd_f b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
/* Lanes of two bf16, low in the low half; denormals as zero. */
INLINE simd_i simd_pack_bf16(simd_f low, simd_f high) {
    const __m512i alternate =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(alternate, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}
#endif

/* ---- integers ---- */
INLINE simd_i simd_bits(simd_f x) {
    return _mm512_castps_si512(x);
}
INLINE simd_f simd_from_bits(simd_i x) {
    return _mm512_castsi512_ps(x);
}
INLINE simd_i simd_zero_bits(void) {
    return _mm512_setzero_si512();
}
INLINE simd_i simd_set1_i32(int32_t x) {
    return _mm512_set1_epi32(x);
}
INLINE simd_i simd_set1_i8(int8_t x) {
    return _mm512_set1_epi8(x);
}
INLINE simd_i simd_load_bytes(const uint8_t *from) {
    return _mm512_loadu_si512(from);
}
/* Byte i: levels[index[i]], indices below 16. */
INLINE simd_i simd_lookup(const int8_t *levels, simd_i index) {
    __m128i table = _mm_loadu_si128((const __m128i *)(const void *)levels);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), index);
}
INLINE simd_i simd_and_bits(simd_i a, simd_i b) {
    return _mm512_and_si512(a, b);
}
INLINE simd_i simd_or_bits(simd_i a, simd_i b) {
    return _mm512_or_si512(a, b);
}
INLINE simd_i simd_xor_bits(simd_i a, simd_i b) {
    return _mm512_xor_si512(a, b);
}
INLINE simd_i simd_add_i32(simd_i a, simd_i b) {
    return _mm512_add_epi32(a, b);
}
INLINE simd_i simd_sub_i32(simd_i a, simd_i b) {
    return _mm512_sub_epi32(a, b);
}
INLINE simd_i simd_add_i16(simd_i a, simd_i b) {
    return _mm512_add_epi16(a, b);
}
INLINE simd_i simd_slli_i32(simd_i x, int by) {
    return _mm512_slli_epi32(x, (unsigned)by);
}
INLINE simd_i simd_srli_i32(simd_i x, int by) {
    return _mm512_srli_epi32(x, (unsigned)by);
}
INLINE simd_i simd_srai_i32(simd_i x, int by) {
    return _mm512_srai_epi32(x, (unsigned)by);
}
INLINE simd_i simd_slli_i16(simd_i x, int by) {
    return (__m512i)((__v32hu)x << by); /* compilers differ in the type of the count */
}
INLINE simd_i simd_srli_i16(simd_i x, int by) {
    return (__m512i)((__v32hu)x >> by);
}
INLINE simd_f simd_from_i32(simd_i x) {
    return _mm512_cvtepi32_ps(x);
}
INLINE simd_i simd_to_i32(simd_f x) {
    return _mm512_cvtps_epi32(x);
}
#if defined(__AVX512VNNI__)
#define SIMD_DOT4
#define SIMD_DOT4_UNSIGNED
INLINE simd_i simd_dot4(simd_i sum, simd_i a, simd_i b) {
    return _mm512_dpbusd_epi32(sum, a, b);
}
#endif
INLINE simd_i simd_maddubs(simd_i a, simd_i b) {
    return _mm512_maddubs_epi16(a, b);
}
INLINE simd_i simd_madd(simd_i a, simd_i b) {
    return _mm512_madd_epi16(a, b);
}
INLINE simd_i simd_abs_i8(simd_i x) {
    return _mm512_abs_epi8(x);
}
/* A zero of sign is a zero of the other factor, so it needs no zero here. */
INLINE simd_i simd_sign_i8(simd_i x, simd_i sign) {
    return _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(sign), _mm512_setzero_si512(), x);
}

/* ---- a lane each from narrower elements ---- */
INLINE simd_i simd_load_u8(const uint8_t *from) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
}
INLINE simd_i simd_load_i8(const uint8_t *from) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
}
INLINE simd_f simd_load_f16(const uint8_t *from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)from));
}
INLINE simd_f simd_load_bf16(const uint8_t *from) {
    __m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)from);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
INLINE void simd_store_f16(uint8_t *to, simd_f x) {
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
INLINE void simd_store_u16(uint8_t *to, simd_i x) {
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtepi32_epi16(x));
}
INLINE void simd_store_i8(int8_t *to, simd_i x) {
    _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(x));
}

INLINE void simd_prefetch(const void *from) {
    _mm_prefetch(from, _MM_HINT_T0);
}

INLINE void simd_pin(simd_i *x) {
    __asm__("" : "+v"(*x));
}

#endif
