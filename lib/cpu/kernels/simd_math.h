/* Elementary functions of our own. A lane's result doesn't depend on the other lanes. */
#ifndef CPU_KERNELS_SIMD_MATH_H
#define CPU_KERNELS_SIMD_MATH_H

#include "cpu/kernels/simd.h"

/* exp(r) of x = n ln 2 + r, |r| <= ln 2 / 2. */
INLINE simd_f simd_exp_reduced(simd_f x, simd_i *n) {
    simd_f whole = simd_round(simd_mul(x, simd_set1(0x1.715476p+0f)));
    simd_f r = simd_fnma(whole, simd_set1(0x1.62e4p-1f), x);
    r = simd_fnma(whole, simd_set1(0x1.7f7d1cp-20f), r);
    simd_f p = simd_set1(0x1.6a1a62p-10f);
    p = simd_fma(p, r, simd_set1(0x1.123fc8p-7f));
    p = simd_fma(p, r, simd_set1(0x1.555916p-5f));
    p = simd_fma(p, r, simd_set1(0x1.55548ap-3f));
    p = simd_fma(p, r, simd_set1(0x1.fffffcp-2f));
    p = simd_fma(simd_mul(r, r), p, r);
    *n = simd_to_i32(whole);
    return simd_add(p, simd_set1(1.0f));
}

/* Relative error below 1e-7, 0 at -inf, inf above 88.7; denormal results are rounded, not flushed.
 * min and max return their second operand where one is NaN, so a NaN passes through. */
INLINE simd_f simd_exp(simd_f x) {
    simd_i n;
    x = simd_max(simd_set1(-104.0f), simd_min(simd_set1(89.0f), x));
    simd_f p = simd_exp_reduced(x, &n);
    /* 2^n in two factors: n reaches from -150 to 128, one exponent field doesn't. */
    simd_i half = simd_srai_i32(n, 1), rest = simd_sub_i32(n, half), bias = simd_set1_i32(127);
    simd_i a = simd_slli_i32(simd_add_i32(half, bias), 23);
    simd_i b = simd_slli_i32(simd_add_i32(rest, bias), 23);
    return simd_mul(simd_mul(p, simd_from_bits(a)), simd_from_bits(b));
}

/* The same for x <= 0 where nothing below 1e-37 is told from 1e-37: the exponent is moved as an
 * integer. */
INLINE simd_f simd_exp_weight(simd_f x) {
    simd_i n;
    simd_f p = simd_exp_reduced(simd_max(simd_set1(-85.0f), x), &n);
    return simd_from_bits(simd_add_i32(simd_bits(p), simd_slli_i32(n, 23)));
}

INLINE simd_f simd_tanh(simd_f x) {
    const simd_f one = simd_set1(1.0f), two = simd_set1(2.0f);
    simd_f sign = simd_and(x, simd_set1(-0.0f)), a = simd_abs(x);
    simd_f square = simd_mul(a, a);
    simd_f p = simd_set1(-0x1.736452p-8f);
    p = simd_fma(p, square, simd_set1(0x1.519ca0p-6f));
    p = simd_fma(p, square, simd_set1(-0x1.b82800p-5f));
    p = simd_fma(p, square, simd_set1(0x1.110692p-3f));
    p = simd_fma(p, square, simd_set1(-0x1.555530p-2f));
    simd_f near = simd_fma(simd_mul(p, square), a, a);
    simd_f e = simd_exp(simd_mul(two, a));
    simd_f far = simd_sub(one, simd_div(two, simd_add(e, one)));
    simd_m use_near = simd_less(a, simd_set1(0.625f));
    return simd_or(simd_select(use_near, near, far), sign);
}

/* The distribution function of the standard normal. Below 0 it is exp(-a² / 2) t Q(t) with a = |x|
 * and t = 1 / (1 + 0.3 a), Q fitted for relative error over 0 ... 14.5, where f32 reaches 0. */
INLINE simd_f simd_normal_cdf(simd_f x) {
    static const float q[] = {-0x1.51e692p-6f, 0x1.cc8b48p-4f, -0x1.d363fcp-3f, 0x1.88c96ap-3f,
                              -0x1.4556a6p-4f, 0x1.89de6ep-4f, 0x1.411498p-4f,  0x1.c3866ap-4f,
                              0x1.e9c41cp-4f,  0x1.ea3c98p-4f};
    const simd_f one = simd_set1(1.0f), half = simd_set1(0.5f);
    simd_f a = simd_min(simd_set1(14.5f), simd_abs(x));
    simd_f t = simd_div(one, simd_fma(a, simd_set1(0.3f), one));
    simd_f sum = simd_set1(q[0]);
    for (int i = 1; i < 10; i++) sum = simd_fma(sum, t, simd_set1(q[i]));
    /* The rounding error of a² would be multiplied by a² / 2 in the exponential. */
    simd_f square = simd_mul(a, a), error = simd_fms(a, a, square);
    simd_f e = simd_exp(simd_mul(simd_set1(-0.5f), square));
    e = simd_fnma(simd_mul(half, error), e, e);
    simd_f tail = simd_mul(simd_mul(e, t), sum);
    simd_m negative = simd_less(x, simd_zero());
    return simd_select(negative, tail, simd_sub(one, tail));
}

#endif
