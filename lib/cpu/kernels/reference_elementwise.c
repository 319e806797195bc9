/* Norms, rope, activations and the small vector operations in plain C. Elementary functions are
 * computed in double and rounded once. */
#include <math.h>
#include <string.h>

#include "cpu/kernels/reference.h"
#include "cpu/kernels/reference_math.h"

#define LANES 8

/* The sum of x[i]², element i in lane i % 8, lanes added pairwise. */
static float sum_of_squares(const float *x, float mean, size_t n) {
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lane[j] += (x[i + j] - mean) * (x[i + j] - mean);
    for (size_t j = 0; i + j < n; j++) lane[j] += (x[i + j] - mean) * (x[i + j] - mean);
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
           ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static float sum(const float *x, size_t n) {
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lane[j] += x[i + j];
    for (size_t j = 0; i + j < n; j++) lane[j] += x[i + j];
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
           ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static void norm_rms(const float *x, const float *weight, float eps, size_t n, float *y) {
    float factor = 1.0f / sqrtf(sum_of_squares(x, 0.0f, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * factor * (weight ? weight[i] : 1.0f);
}

static void norm_layer(const float *x, const float *weight, const float *bias, float eps, size_t n,
                       float *y) {
    float mean = sum(x, n) / (float)n;
    float factor = 1.0f / sqrtf(sum_of_squares(x, mean, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * factor * (weight ? weight[i] : 1.0f) + (bias ? bias[i] : 0.0f);
}

static void rope(float *x, const float *table, size_t n_dims, enum rope_pairing pairing) {
    size_t half = n_dims / 2;
    for (size_t i = 0; i < half; i++) {
        float *a = pairing == ROPE_HALVES ? x + i : x + 2 * i;
        float *b = pairing == ROPE_HALVES ? a + half : a + 1;
        float cosine = table[2 * i], sine = table[2 * i + 1], a0 = *a, b0 = *b;
        *a = a0 * cosine - b0 * sine;
        *b = a0 * sine + b0 * cosine;
    }
}

static void rope_table(int64_t position, const float *frequencies, size_t n, float scale,
                       float *table) {
    for (size_t i = 0; i < n; i++) {
        double sine, cosine;
        float angle = (float)position * frequencies[i];
        reference_sin_cos((double)angle, &sine, &cosine);
        table[2 * i] = scale * (float)cosine;
        table[2 * i + 1] = scale * (float)sine;
    }
}

static float activate(enum activation activation, float x) {
    double d = (double)x;
    switch (activation) {
    case ACTIVATION_NONE:
        return x;
    case ACTIVATION_SILU:
        return (float)(d / (1.0 + reference_exp(-d)));
    case ACTIVATION_GELU_TANH: /* x (1 + tanh u) / 2 = x / (1 + exp(-2 u)) */
        return (float)(d / (1.0 +
                            reference_exp(-2.0 * 0.7978845608028654 * (d + 0.044715 * d * d * d))));
    case ACTIVATION_GELU:
        return (float)(d * reference_normal_cdf(d));
    case ACTIVATION_TANH:
        return (float)reference_tanh((double)x);
    case ACTIVATION_RELU:
        return x < 0.0f ? 0.0f : x;
    case ACTIVATION_RELU_SQUARED:
        return x < 0.0f ? 0.0f : x * x;
    case ACTIVATION_SWIGLU_CLAMPED:
        break; /* below */
    }
    return x;
}

static float swiglu_clamped(float x, float up) {
    double g = x > 7.0f ? 7.0 : (double)x;
    up = up > 7.0f ? 7.0f : up < -7.0f ? -7.0f : up;
    return (float)(g / (1.0 + reference_exp(-1.702 * g))) * (up + 1.0f);
}

static void gate(enum activation activation, const float *gate_row, const float *up, size_t n,
                 float *y) {
    for (size_t i = 0; i < n; i++) {
        if (activation == ACTIVATION_SWIGLU_CLAMPED) {
            y[i] = swiglu_clamped(gate_row[i], up[i]);
            continue;
        }
        float activated = activate(activation, gate_row[i]);
        y[i] = up ? activated * up[i] : activated;
    }
}

static void add(const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void add_scaled(float factor, const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = factor * x[i] + y[i];
}

static void route_scores(enum routing routing, const float *logits, size_t n, float *scores) {
    float maximum = -INFINITY, total = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (logits[i] > maximum) maximum = logits[i];
    for (size_t i = 0; i < n; i++) {
        if (routing == ROUTING_SIGMOID) {
            scores[i] = (float)(1.0 / (1.0 + reference_exp(-(double)logits[i])));
            continue;
        }
        float below = logits[i] == maximum ? 0.0f : logits[i] - maximum;
        scores[i] = (float)reference_exp((double)below);
        total += scores[i];
    }
    if (routing == ROUTING_SOFTMAX)
        for (size_t i = 0; i < n; i++) scores[i] /= total;
}

static void scale_by(float factor, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] *= factor;
}

static void softcap(float cap, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = cap * (float)reference_tanh((double)(y[i] / cap));
}

void reference_elementwise(struct kernels *kernels) {
    kernels->norm_rms = norm_rms;
    kernels->norm_layer = norm_layer;
    kernels->rope = rope;
    kernels->rope_table = rope_table;
    kernels->gate = gate;
    kernels->add = add;
    kernels->add_scaled = add_scaled;
    kernels->route_scores = route_scores;
    kernels->scale = scale_by;
    kernels->softcap = softcap;
}
