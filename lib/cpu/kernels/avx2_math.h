/* Eight f32 at a time: horizontal sums in one fixed order, partial vectors, and elementary
 * functions of our own. A lane's result doesn't depend on the other lanes. */
#ifndef CPU_KERNELS_AVX2_MATH_H
#define CPU_KERNELS_AVX2_MATH_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))
/* Before a loop of constant length over vectors that must stay in registers. Builds with sanitizers
 * leave the loops alone: their checks, once for every unrolled step, take minutes to compile. */
#if defined(__clang__)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer) || \
    __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define UNROLL
#else
#define UNROLL _Pragma("unroll")
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* The first n lanes, n <= 8. */
static inline __m256i avx2_lanes(size_t n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), index);
}

/* The n floats at x, zeros after them. */
static inline __m256 avx2_load(const float *x, size_t n) {
    return n >= 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, avx2_lanes(n));
}

static inline void avx2_store(float *y, __m256 value, size_t n) {
    if (n >= 8)
        _mm256_storeu_ps(y, value);
    else
        _mm256_maskstore_ps(y, avx2_lanes(n), value);
}

static inline float avx2_sum(__m256 x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline float avx2_max(__m256 x) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

static inline __m256 avx2_abs(__m256 x) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

/* Relative error below 1e-7, 0 at -inf, inf above 88.7; denormal results are rounded, not flushed.
 * min and max return their second operand where one is NaN, so a NaN passes through. */
static inline __m256 avx2_exp(__m256 x) {
    x = _mm256_max_ps(_mm256_set1_ps(-104.0f), _mm256_min_ps(_mm256_set1_ps(89.0f), x));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
    __m256 p = _mm256_set1_ps(0x1.6a1a62p-10f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.123fc8p-7f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555916p-5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.55548ap-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.fffffcp-2f));
    p = _mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r);
    p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));
    /* 2^n in two factors: n reaches from -150 to 128, one exponent field doesn't. */
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    __m256i rest = _mm256_sub_epi32(whole, half), bias = _mm256_set1_epi32(127);
    __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i b = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}

static inline float avx2_exp_scalar(float x) {
    return _mm256_cvtss_f32(avx2_exp(_mm256_set1_ps(x)));
}

static inline __m256 avx2_tanh(__m256 x) {
    const __m256 one = _mm256_set1_ps(1.0f), two = _mm256_set1_ps(2.0f);
    __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f)), a = avx2_abs(x);
    __m256 square = _mm256_mul_ps(a, a);
    __m256 p = _mm256_set1_ps(-0x1.736452p-8f);
    p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(0x1.519ca0p-6f));
    p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-0x1.b82800p-5f));
    p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(0x1.110692p-3f));
    p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-0x1.555530p-2f));
    __m256 near = _mm256_fmadd_ps(_mm256_mul_ps(p, square), a, a);
    __m256 e = avx2_exp(_mm256_mul_ps(two, a));
    __m256 far = _mm256_sub_ps(one, _mm256_div_ps(two, _mm256_add_ps(e, one)));
    __m256 use_near = _mm256_cmp_ps(a, _mm256_set1_ps(0.625f), _CMP_LT_OQ);
    return _mm256_or_ps(_mm256_blendv_ps(far, near, use_near), sign);
}

/* The distribution function of the standard normal. Below 0 it is exp(-a² / 2) t Q(t) with a = |x|
 * and t = 1 / (1 + 0.3 a), Q fitted for relative error over 0 ... 14.5, where f32 reaches 0. */
static inline __m256 avx2_normal_cdf(__m256 x) {
    static const float q[] = {-0x1.51e692p-6f, 0x1.cc8b48p-4f, -0x1.d363fcp-3f, 0x1.88c96ap-3f,
                              -0x1.4556a6p-4f, 0x1.89de6ep-4f, 0x1.411498p-4f,  0x1.c3866ap-4f,
                              0x1.e9c41cp-4f,  0x1.ea3c98p-4f};
    const __m256 one = _mm256_set1_ps(1.0f), half = _mm256_set1_ps(0.5f);
    __m256 a = _mm256_min_ps(_mm256_set1_ps(14.5f), avx2_abs(x));
    __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(a, _mm256_set1_ps(0.3f), one));
    __m256 sum = _mm256_set1_ps(q[0]);
    for (int i = 1; i < 10; i++) sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(q[i]));
    /* The rounding error of a² would be multiplied by a² / 2 in the exponential. */
    __m256 square = _mm256_mul_ps(a, a), error = _mm256_fmsub_ps(a, a, square);
    __m256 e = avx2_exp(_mm256_mul_ps(_mm256_set1_ps(-0.5f), square));
    e = _mm256_fnmadd_ps(_mm256_mul_ps(half, error), e, e);
    __m256 tail = _mm256_mul_ps(_mm256_mul_ps(e, t), sum);
    __m256 negative = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ);
    return _mm256_blendv_ps(_mm256_sub_ps(one, tail), tail, negative);
}

#endif
