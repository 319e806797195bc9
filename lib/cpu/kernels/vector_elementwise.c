/* Norms, rope, activations and the small vector operations. A partial vector goes through the same
 * arithmetic as a whole one. */
#include <math.h>
#include <string.h>

#include "cpu/kernels/simd_math.h"
#include "cpu/kernels/vector.h"

/* The one row reduction: vector i of the row in accumulator i % 4, the row padded with zeros. */
#define ACCUMULATORS 4

static float sum_of_accumulators(const simd_f *sum) {
    return simd_sum(simd_add(simd_add(sum[0], sum[1]), simd_add(sum[2], sum[3])));
}

static float sum_of_squares(const float *x, size_t n) {
    simd_f sum[ACCUMULATORS] = {simd_zero(), simd_zero(), simd_zero(), simd_zero()};
    size_t i = 0;
    for (; i + SIMD_LANES * ACCUMULATORS <= n; i += SIMD_LANES * ACCUMULATORS)
        for (size_t j = 0; j < ACCUMULATORS; j++) {
            simd_f v = simd_load(x + i + SIMD_LANES * j);
            sum[j] = simd_fma(v, v, sum[j]);
        }
    for (size_t j = 0; i < n; i += SIMD_LANES, j++) {
        simd_f v = simd_load_n(x + i, n - i);
        sum[j] = simd_fma(v, v, sum[j]);
    }
    return sum_of_accumulators(sum);
}

static float sum_of(const float *x, size_t n) {
    simd_f sum[ACCUMULATORS] = {simd_zero(), simd_zero(), simd_zero(), simd_zero()};
    size_t i = 0;
    for (; i + SIMD_LANES * ACCUMULATORS <= n; i += SIMD_LANES * ACCUMULATORS)
        for (size_t j = 0; j < ACCUMULATORS; j++)
            sum[j] = simd_add(simd_load(x + i + SIMD_LANES * j), sum[j]);
    for (size_t j = 0; i < n; i += SIMD_LANES, j++)
        sum[j] = simd_add(simd_load_n(x + i, n - i), sum[j]);
    return sum_of_accumulators(sum);
}

static float sum_of_deviations(const float *x, float mean, size_t n) {
    const simd_f center = simd_set1(mean);
    simd_f sum[ACCUMULATORS] = {simd_zero(), simd_zero(), simd_zero(), simd_zero()};
    for (size_t i = 0; i < n; i += SIMD_LANES) {
        simd_f v = simd_sub(simd_load_n(x + i, n - i), center);
        if (n - i < SIMD_LANES) v = simd_keep(simd_between(0, (int)(n - i)), v);
        simd_f *to = &sum[i / SIMD_LANES % ACCUMULATORS];
        *to = simd_fma(v, v, *to);
    }
    return sum_of_accumulators(sum);
}

static void norm_rms(const float *x, const float *weight, float eps, size_t n, float *y) {
    const simd_f factor = simd_set1(1.0f / sqrtf(sum_of_squares(x, n) / (float)n + eps));
    for (size_t i = 0; i < n; i += SIMD_LANES) {
        simd_f v = simd_mul(simd_load_n(x + i, n - i), factor);
        if (weight) v = simd_mul(v, simd_load_n(weight + i, n - i));
        simd_store_n(y + i, v, n - i);
    }
}

static void norm_layer(const float *x, const float *weight, const float *bias, float eps, size_t n,
                       float *y) {
    float mean = sum_of(x, n) / (float)n;
    float variance = sum_of_deviations(x, mean, n) / (float)n;
    const simd_f factor = simd_set1(1.0f / sqrtf(variance + eps));
    const simd_f center = simd_set1(mean);
    for (size_t i = 0; i < n; i += SIMD_LANES) {
        simd_f v = simd_mul(simd_sub(simd_load_n(x + i, n - i), center), factor);
        if (weight) v = simd_mul(v, simd_load_n(weight + i, n - i));
        if (bias) v = simd_add(v, simd_load_n(bias + i, n - i));
        simd_store_n(y + i, v, n - i);
    }
}

static void rope_halves(float *x, const float *table, size_t half) {
    float *low = x, *high = x + half;
    for (size_t i = 0; i < half; i += SIMD_LANES) {
        size_t n = half - i;
        simd_f cosine, sine;
        simd_load_pairs(table + 2 * i, n < SIMD_LANES ? n : SIMD_LANES, &cosine, &sine);
        simd_f a = simd_load_n(low + i, n), b = simd_load_n(high + i, n);
        simd_store_n(low + i, simd_fms(a, cosine, simd_mul(b, sine)), n);
        simd_store_n(high + i, simd_fma(a, sine, simd_mul(b, cosine)), n);
    }
}

static void rope_adjacent(float *x, const float *table, size_t n_dims) {
    for (size_t i = 0; i < n_dims; i += SIMD_LANES) {
        simd_f pairs = simd_load_n(x + i, n_dims - i), t = simd_load_n(table + i, n_dims - i);
        simd_f cosine = simd_even_twice(t), sine = simd_odd_twice(t);
        simd_f crossed = simd_mul(simd_swap_pairs(pairs), sine);
        simd_store_n(x + i, simd_fma_alternate(pairs, cosine, crossed), n_dims - i);
    }
}

static void rope(float *x, const float *table, size_t n_dims, enum rope_pairing pairing) {
    if (pairing == ROPE_HALVES)
        rope_halves(x, table, n_dims / 2);
    else
        rope_adjacent(x, table, n_dims / 2 * 2);
}

static simd_f activate(enum activation activation, simd_f x) {
    const simd_f one = simd_set1(1.0f);
    switch (activation) {
    case ACTIVATION_NONE:
        return x;
    case ACTIVATION_SILU: {
        simd_f e = simd_exp(simd_xor(x, simd_set1(-0.0f)));
        return simd_div(x, simd_add(one, e));
    }
    case ACTIVATION_GELU_TANH: { /* x (1 + tanh u) / 2 = x / (1 + exp(-2 u)) */
        const simd_f linear = simd_set1(-2.0f * 0.79788456f);
        const simd_f cubic = simd_set1(-2.0f * 0.79788456f * 0.044715f);
        simd_f factor = simd_fma(simd_mul(x, x), cubic, linear);
        return simd_div(x, simd_add(one, simd_exp(simd_mul(x, factor))));
    }
    case ACTIVATION_GELU:
        return simd_mul(x, simd_normal_cdf(x));
    case ACTIVATION_TANH:
        return simd_tanh(x);
    case ACTIVATION_RELU:
        return simd_max(simd_zero(), x);
    case ACTIVATION_RELU_SQUARED:
        x = simd_max(simd_zero(), x);
        return simd_mul(x, x);
    case ACTIVATION_SWIGLU_CLAMPED:
        break; /* below */
    }
    return x;
}

static simd_f swiglu_clamped(simd_f x, simd_f up) {
    const simd_f most = simd_set1(7.0f), one = simd_set1(1.0f);
    simd_f g = simd_min(most, x); /* a NaN stays */
    simd_f e = simd_exp(simd_mul(g, simd_set1(-1.702f)));
    up = simd_min(most, simd_max(simd_set1(-7.0f), up));
    return simd_mul(simd_div(g, simd_add(one, e)), simd_add(up, one));
}

INLINE void gate_row(enum activation activation, const float *gate, const float *up, size_t n,
                     float *y) {
    for (size_t i = 0; i < n; i += SIMD_LANES) {
        simd_f v = simd_load_n(gate + i, n - i);
        if (activation == ACTIVATION_SWIGLU_CLAMPED) {
            simd_store_n(y + i, swiglu_clamped(v, simd_load_n(up + i, n - i)), n - i);
            continue;
        }
        v = activate(activation, v);
        if (up) v = simd_mul(v, simd_load_n(up + i, n - i));
        simd_store_n(y + i, v, n - i);
    }
}

static void gate(enum activation activation, const float *gate_values, const float *up, size_t n,
                 float *y) {
    switch (activation) {
    case ACTIVATION_NONE:
        gate_row(ACTIVATION_NONE, gate_values, up, n, y);
        break;
    case ACTIVATION_SILU:
        gate_row(ACTIVATION_SILU, gate_values, up, n, y);
        break;
    case ACTIVATION_GELU_TANH:
        gate_row(ACTIVATION_GELU_TANH, gate_values, up, n, y);
        break;
    case ACTIVATION_GELU:
        gate_row(ACTIVATION_GELU, gate_values, up, n, y);
        break;
    case ACTIVATION_TANH:
        gate_row(ACTIVATION_TANH, gate_values, up, n, y);
        break;
    case ACTIVATION_RELU:
        gate_row(ACTIVATION_RELU, gate_values, up, n, y);
        break;
    case ACTIVATION_RELU_SQUARED:
        gate_row(ACTIVATION_RELU_SQUARED, gate_values, up, n, y);
        break;
    case ACTIVATION_SWIGLU_CLAMPED:
        gate_row(ACTIVATION_SWIGLU_CLAMPED, gate_values, up, n, y);
        break;
    }
}

static void add(const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i += SIMD_LANES)
        simd_store_n(y + i, simd_add(simd_load_n(y + i, n - i), simd_load_n(x + i, n - i)), n - i);
}

static void add_scaled(float factor, const float *x, size_t n, float *y) {
    const simd_f f = simd_set1(factor);
    for (size_t i = 0; i < n; i += SIMD_LANES)
        simd_store_n(y + i, simd_fma(f, simd_load_n(x + i, n - i), simd_load_n(y + i, n - i)),
                     n - i);
}

static void sigmoids(const float *x, size_t n, float *y) {
    const simd_f one = simd_set1(1.0f), sign = simd_set1(-0.0f);
    for (size_t i = 0; i < n; i += SIMD_LANES) {
        simd_f e = simd_exp(simd_xor(simd_load_n(x + i, n - i), sign));
        simd_store_n(y + i, simd_div(one, simd_add(one, e)), n - i);
    }
}

static void route_scores(enum routing routing, const float *logits, size_t n, float *scores) {
    if (routing == ROUTING_SIGMOID) {
        sigmoids(logits, n, scores);
        return;
    }
    float maximum = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (logits[i] > maximum) maximum = logits[i];
    for (size_t i = 0; i < n; i++) /* infinities: the greatest has all */
        scores[i] = logits[i] == maximum ? 0.0f : logits[i] - maximum;
    for (size_t i = 0; i < n; i += SIMD_LANES)
        simd_store_n(scores + i, simd_exp(simd_load_n(scores + i, n - i)), n - i);
    const simd_f total = simd_set1(sum_of(scores, n));
    for (size_t i = 0; i < n; i += SIMD_LANES)
        simd_store_n(scores + i, simd_div(simd_load_n(scores + i, n - i), total), n - i);
}

static void scale_by(float factor, size_t n, float *y) {
    const simd_f f = simd_set1(factor);
    for (size_t i = 0; i < n; i += SIMD_LANES)
        simd_store_n(y + i, simd_mul(simd_load_n(y + i, n - i), f), n - i);
}

static void softcap(float cap, size_t n, float *y) {
    const simd_f c = simd_set1(cap);
    for (size_t i = 0; i < n; i += SIMD_LANES) {
        simd_f v = simd_tanh(simd_div(simd_load_n(y + i, n - i), c));
        simd_store_n(y + i, simd_mul(c, v), n - i);
    }
}

/* rope_table stays the reference's: it is computed in double, once a row. */
void vector_elementwise(struct kernels *kernels) {
    kernels->norm_rms = norm_rms;
    kernels->norm_layer = norm_layer;
    kernels->rope = rope;
    kernels->gate = gate;
    kernels->add = add;
    kernels->add_scaled = add_scaled;
    kernels->route_scores = route_scores;
    kernels->scale = scale_by;
    kernels->softcap = softcap;
}
