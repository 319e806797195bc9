/* Elementary functions of our own, in double and in plain arithmetic: the C library's differ from
 * machine to machine. Results are meant to be rounded to f32. Any argument is defined, NaN gives
 * NaN. */
#ifndef CPU_KERNELS_REFERENCE_MATH_H
#define CPU_KERNELS_REFERENCE_MATH_H

#include <stdint.h>
#include <string.h>

/* 1.5 * 2^52: adding it leaves the nearest integer (ties to even) in the low bits. */
#define REFERENCE_ROUND 6755399441055744.0

/* Beyond +-700, far out of f32's range either way, the argument is cut. */
static inline double reference_exp(double x) {
    if (x != x) return x;
    x = x > 700.0 ? 700.0 : x < -700.0 ? -700.0 : x;
    double n = x * 1.4426950408889634 + REFERENCE_ROUND - REFERENCE_ROUND;
    double r = x - n * 0x1.62e42fe8p-1 - n * 0x1.e8e7bcd5e4f1ep-31;
    static const double inverse_factorial[] = {1.0 / 479001600,
                                               1.0 / 39916800,
                                               1.0 / 3628800,
                                               1.0 / 362880,
                                               1.0 / 40320,
                                               1.0 / 5040,
                                               1.0 / 720,
                                               1.0 / 120,
                                               1.0 / 24,
                                               1.0 / 6,
                                               1.0 / 2,
                                               1.0,
                                               1.0};
    double sum = 0.0;
    for (int i = 0; i < 13; i++) sum = sum * r + inverse_factorial[i];
    uint64_t bits = (uint64_t)(1023 + (int64_t)n) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

static inline double reference_tanh(double x) {
    double a = x < 0.0 ? -x : x;
    if (a < 1e-4) return x - x * x * x / 3.0;
    double t = 1.0 - 2.0 / (reference_exp(2.0 * a) + 1.0);
    return x < 0.0 ? -t : t;
}

/* The distribution function of the standard normal, (1 + erf(x / sqrt 2)) / 2, to full relative
 * precision on both sides (Abramowitz and Stegun 26.2.11 near 0, the continued fraction 26.2.14
 * beyond). */
static inline double reference_normal_cdf(double x) {
    double a = x < 0.0 ? -x : x;
    if (a > 20.0) return x < 0.0 ? 0.0 : 1.0;
    double density = 0.3989422804014327 * reference_exp(-0.5 * a * a);
    if (a < 3.0) {
        double term = a, sum = a;
        for (int n = 3; n < 80; n += 2) {
            term *= a * a / n;
            sum += term;
        }
        return x < 0.0 ? 0.5 - density * sum : 0.5 + density * sum;
    }
    double fraction = a;
    for (int n = 60; n > 0; n--) fraction = a + n / fraction;
    double tail = density / fraction;
    return x < 0.0 ? tail : 1.0 - tail;
}

/* |x| < 2^22 to the last bit of f32; beyond 2^31 NaN. */
static inline void reference_sin_cos(double x, double *sine, double *cosine) {
    if (!(x > -0x1p31 && x < 0x1p31)) {
        *sine = *cosine = x - x == 0.0 ? (x - x) / (x - x) : x - x;
        return;
    }
    /* pi / 2 in three parts of which the first two are short enough for exact products */
    double n = x * 0.6366197723675814 + REFERENCE_ROUND - REFERENCE_ROUND;
    double r = x - n * 0x1.921fb54p+0;
    r = r - n * 0x1.10b46118p-30;
    r = r - n * 0x1.313198a2e037p-61;
    double s = r * r;
    double sin_r =
        r + r * s *
                (-1.0 / 6 +
                 s * (1.0 / 120 +
                      s * (-1.0 / 5040 +
                           s * (1.0 / 362880 + s * (-1.0 / 39916800 + s * (1.0 / 6227020800))))));
    double cos_r =
        1.0 +
        s * (-0.5 +
             s * (1.0 / 24 +
                  s * (-1.0 / 720 +
                       s * (1.0 / 40320 + s * (-1.0 / 3628800 +
                                               s * (1.0 / 479001600 - s * (1.0 / 87178291200)))))));
    int quadrant = (int)((int64_t)n & 3);
    double first = quadrant & 1 ? cos_r : sin_r, second = quadrant & 1 ? sin_r : cos_r;
    *sine = quadrant & 2 ? -first : first;
    *cosine = (quadrant + 1) & 2 ? -second : second;
}

#endif
