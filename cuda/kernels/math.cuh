/* Elementary functions of our own, in sums, products and fma_f32 alone: the same bits on every
 * device, and in the emulator. The f32 ones are those of cpu/kernels/simd_math.h, sine and cosine
 * those of cpu/kernels/reference_math.h. */
#ifndef CUDA_KERNELS_MATH_CUH
#define CUDA_KERNELS_MATH_CUH

#include "cuda/kernels/kinds.h"
#include "cuda/kernels/ptx.cuh"

/* exp(r) of x = n ln 2 + r, |r| <= ln 2 / 2, for |n| < 2^22; a NaN stays one, n then being
 * anything. */
DEVICE float exp_reduced(float x, int32_t *n) {
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it leaves the nearest integer, even */
    float shifted = x * 0x1.715476p+0f + round, whole = shifted - round;
    *n = (int32_t)(bits_of(shifted) - 0x4B400000u);
    float r = fma_f32(-whole, 0x1.62e4p-1f, x);
    r = fma_f32(-whole, 0x1.7f7d1cp-20f, r);
    float p = 0x1.6a1a62p-10f;
    p = fma_f32(p, r, 0x1.123fc8p-7f);
    p = fma_f32(p, r, 0x1.555916p-5f);
    p = fma_f32(p, r, 0x1.55548ap-3f);
    p = fma_f32(p, r, 0x1.fffffcp-2f);
    return fma_f32(r * r, p, r) + 1.0f;
}

/* 2^n of a normal number. */
DEVICE float power_of_two(int32_t n) {
    return from_bits(((uint32_t)n + 127u) << 23);
}

/* Relative error below 1e-7, 0 at -inf, inf above 88.7; denormal results are rounded, not flushed.
 * NaN gives NaN. */
DEVICE float exp_f32(float x) {
    int32_t n;
    x = 89.0f < x ? 89.0f : x;
    x = -104.0f > x ? -104.0f : x;
    float p = exp_reduced(x, &n);
    /* 2^n in two factors: n reaches from -150 to 128, one exponent field doesn't. */
    int32_t half = n >> 1, rest = n - half;
    return p * power_of_two(half) * power_of_two(rest);
}

/* The same for x <= 0 where what is below exp(-87) may be 0, -inf too. NaN gives NaN. */
DEVICE float exp_weight(float x) {
    int32_t n;
    float p = exp_reduced(x, &n);
    float weight = p * power_of_two(n);
    return x < -87.0f ? 0.0f : weight;
}

DEVICE float tanh_f32(float x) {
    uint32_t sign = bits_of(x) & 0x80000000u;
    float a = from_bits(bits_of(x) ^ sign), square = a * a;
    float p = -0x1.736452p-8f;
    p = fma_f32(p, square, 0x1.519ca0p-6f);
    p = fma_f32(p, square, -0x1.b82800p-5f);
    p = fma_f32(p, square, 0x1.110692p-3f);
    p = fma_f32(p, square, -0x1.555530p-2f);
    float near = fma_f32(p * square, a, a);
    float far = 1.0f - 2.0f / (exp_f32(2.0f * a) + 1.0f);
    return from_bits(bits_of(a < 0.625f ? near : far) | sign);
}

/* The distribution function of the standard normal. Below 0 it is exp(-a² / 2) t Q(t) with a = |x|
 * and t = 1 / (1 + 0.3 a), Q fitted for relative error over 0 ... 14.5, where f32 reaches 0. */
DEVICE float normal_cdf(float x) {
    float magnitude = from_bits(bits_of(x) & 0x7FFFFFFFu);
    float a = 14.5f < magnitude ? 14.5f : magnitude;
    float t = 1.0f / fma_f32(a, 0.3f, 1.0f);
    float sum = -0x1.51e692p-6f;
    sum = fma_f32(sum, t, 0x1.cc8b48p-4f);
    sum = fma_f32(sum, t, -0x1.d363fcp-3f);
    sum = fma_f32(sum, t, 0x1.88c96ap-3f);
    sum = fma_f32(sum, t, -0x1.4556a6p-4f);
    sum = fma_f32(sum, t, 0x1.89de6ep-4f);
    sum = fma_f32(sum, t, 0x1.411498p-4f);
    sum = fma_f32(sum, t, 0x1.c3866ap-4f);
    sum = fma_f32(sum, t, 0x1.e9c41cp-4f);
    sum = fma_f32(sum, t, 0x1.ea3c98p-4f);
    /* The rounding error of a² would be multiplied by a² / 2 in the exponential. */
    float square = a * a, error = fma_f32(a, a, -square);
    float e = exp_f32(-0.5f * square);
    e = fma_f32(-(0.5f * error), e, e);
    float tail = e * t * sum;
    return x < 0.0f ? tail : 1.0f - tail;
}

/* |x| < 2^22 to the last bit of f32 once rounded; beyond 2^31 NaN. */
DEVICE void sine_cosine(double x, double *sine, double *cosine) {
    const double round = 6755399441055744.0; /* 1.5 * 2^52 */
    if (!(x > -0x1p31 && x < 0x1p31)) {
        *sine = *cosine = (double)from_bits(0x7FC00000u);
        return;
    }
    /* pi / 2 in three parts of which the first two are short enough for exact products */
    double n = x * 0.6366197723675814 + round - round;
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

/* kind: enum kind_of_activation; best a constant, or the same for the whole warp. */
DEVICE float activation_apply(uint32_t kind, float x) {
    switch (kind) {
    case KIND_ACTIVATION_SILU:
        return x / (1.0f + exp_f32(-x));
    case KIND_ACTIVATION_GELU_TANH: { /* x (1 + tanh u) / 2 = x / (1 + exp(-2 u)) */
        const float linear = -2.0f * 0.79788456f, cubic = -2.0f * 0.79788456f * 0.044715f;
        return x / (1.0f + exp_f32(x * fma_f32(x * x, cubic, linear)));
    }
    case KIND_ACTIVATION_GELU:
        return x * normal_cdf(x);
    case KIND_ACTIVATION_TANH:
        return tanh_f32(x);
    case KIND_ACTIVATION_RELU:
        return 0.0f > x ? 0.0f : x;
    case KIND_ACTIVATION_RELU_SQUARED:
        return 0.0f > x ? 0.0f : x * x;
    default:
        return x;
    }
}

/* act(gate) * up, or what takes both. */
DEVICE float gate_apply(uint32_t kind, float gate, float up) {
    if (kind != KIND_ACTIVATION_SWIGLU_CLAMPED) return activation_apply(kind, gate) * up;
    float g = gate > 7.0f ? 7.0f : gate;
    float u = up > 7.0f ? 7.0f : up < -7.0f ? -7.0f : up;
    return g / (1.0f + exp_f32(-1.702f * g)) * (u + 1.0f);
}

DEVICE float softcap_f32(float x, float cap) {
    return cap * tanh_f32(x / cap);
}

#endif
