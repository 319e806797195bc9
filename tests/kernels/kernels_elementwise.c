#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels_test.h"

#define MAX_N 300
static const size_t lengths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 255, MAX_N};
#define N_LENGTHS (sizeof lengths / sizeof *lengths)

static double activation_exact(enum activation activation, double x) {
    switch (activation) {
    case ACTIVATION_NONE:
        return x;
    case ACTIVATION_SILU:
        return x / (1.0 + exp(-x));
    case ACTIVATION_GELU_TANH: /* (1 + tanh u) / 2 without its cancellation */
        return x / (1.0 + exp(-2.0 * sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case ACTIVATION_GELU:
        return 0.5 * x * erfc(-x / sqrt(2.0));
    case ACTIVATION_RELU:
        return x > 0.0 ? x : 0.0;
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_RELU_SQUARED:
        return x > 0.0 ? x * x : 0.0;
    case ACTIVATION_SWIGLU_CLAMPED:
        break; /* of two */
    }
    return x;
}

/* Relative error; a result near the end of f32's normal numbers, where exp(-x) overflows before
 * x / (1 + exp(-x)) underflows, counts as 1e-30. */
static double relative_error(double value, double right) {
    return fabs(value - right) / fmax(fabs(right), 1e-30);
}

static void test_gate(const struct path *path) {
    const struct kernels *k = &path->kernels;
    static const char *names[] = {"none", "silu", "gelu tanh",   "gelu",
                                  "relu", "tanh", "relu squared"};
    for (int a = ACTIVATION_NONE; a <= ACTIVATION_RELU_SQUARED; a++) {
        enum activation activation = (enum activation)a;
        double worst = 0.0, at = 0.0;
        enum { N = 60000 };
        float *x = guarded_new(N * sizeof *x), *y = guarded_new(N * sizeof *y);
        for (int i = 0; i < N; i++)
            x[i] = ((float)i - N / 2) * (24.0f / N) + 1e-5f * random_normal();
        for (int i = 0; i < 200; i++) x[i] = ldexpf(random_normal(), (int)random_below(40) - 35);
        k->gate(activation, x, NULL, N, y);
        for (int i = 0; i < N; i++) {
            double error = relative_error((double)y[i], activation_exact(activation, (double)x[i]));
            if (error > worst) worst = error, at = (double)x[i];
        }
        /* the exponent's own rounding grows with it: 2 u is up to 120 for GELU's tanh */
        double limit = activation == ACTIVATION_GELU_TANH ? 2e-5 : 1e-6;
        check(worst <= limit, "%s: %s, relative error %g at %g", k->name, names[a], worst, at);
        for (size_t l = 0; l < N_LENGTHS; l++) {
            size_t n = lengths[l], from = random_below(N - n);
            float up[MAX_N];
            random_fill(up, n, 1.0f);
            size_t bytes = n * sizeof(float);
            float *all = guarded_new(bytes), *in_gate = guarded_new(bytes),
                  *in_up = guarded_new(bytes);
            k->gate(activation, x + from, up, n, all);
            memcpy(in_gate, x + from, bytes);
            k->gate(activation, in_gate, up, n, in_gate);
            memcpy(in_up, up, bytes);
            k->gate(activation, x + from, in_up, n, in_up);
            bool same = memcmp(all, in_gate, bytes) == 0 && memcmp(all, in_up, bytes) == 0;
            for (size_t i = 0; i < n; i++) {
                float one, product = y[from + i] * up[i];
                k->gate(activation, x + from + i, up + i, 1, &one);
                same &= memcmp(&one, &all[i], sizeof one) == 0 &&
                        memcmp(&product, &one, sizeof one) == 0;
            }
            check(same, "%s: %s of %zu, other bits in place, alone or without up", k->name,
                  names[a], n);
            guarded_free(all, bytes, "gate");
            guarded_free(in_gate, bytes, "gate");
            guarded_free(in_up, bytes, "gate");
        }
        float special[8] = {INFINITY, 1e30f, -1e30f, 0.0f, -0.0f, NAN, 1e-40f, -200.0f}, out[8];
        k->gate(activation, special, NULL, 8, out);
        float most = activation == ACTIVATION_TANH ? 1.0f : INFINITY;
        float least = activation == ACTIVATION_TANH ? -1.0f : 0.0f;
        float of_large = activation == ACTIVATION_RELU_SQUARED ? INFINITY : 1e30f;
        check(out[0] == most && out[1] == fminf(most, of_large) && isnan(out[5]) &&
                  out[3] == 0.0f &&
                  (activation == ACTIVATION_NONE || (out[2] == least && out[7] == least)),
              "%s: %s of inf, 1e30, -1e30, 0, NaN, -200: %g %g %g %g %g %g", k->name, names[a],
              (double)out[0], (double)out[1], (double)out[2], (double)out[3], (double)out[5],
              (double)out[7]);
        guarded_free(x, N * sizeof *x, "gate");
        guarded_free(y, N * sizeof *y, "gate");
    }
}

static void test_swiglu_clamped(const struct path *path) {
    const struct kernels *k = &path->kernels;
    enum { N = 5003 };
    float *x = guarded_new(N * sizeof *x), *up = guarded_new(N * sizeof *up);
    float *y = guarded_new(N * sizeof *y);
    double worst = 0.0;
    bool same = true;
    random_fill(x, N, 6.0f);
    random_fill(up, N, 6.0f);
    up[1] = 0.5f;
    x[1] = INFINITY, x[2] = -INFINITY, up[3] = INFINITY, x[N - 1] = NAN, up[N - 2] = NAN;
    k->gate(ACTIVATION_SWIGLU_CLAMPED, x, up, N, y);
    for (int i = 0; i < N; i++) {
        double g = fmin((double)x[i], 7.0), u = fmax(fmin((double)up[i], 7.0), -7.0), one;
        float alone;
        k->gate(ACTIVATION_SWIGLU_CLAMPED, x + i, up + i, 1, &alone);
        same &= memcmp(&alone, &y[i], sizeof alone) == 0;
        if (isinf(x[i]) || i >= N - 2) continue;
        one = g / (1.0 + exp(-1.702 * g));
        worst = fmax(worst, fabs((double)y[i] - one * (u + 1.0)) /
                                fmax(fabs(one) * (fabs(u) + 1.0), 1e-6));
    }
    /* the exponent's own rounding grows with it, up to 50 */
    check(worst <= 5e-6 && same && isnan(y[N - 1]) && isnan(y[N - 2]) && y[1] > 0.0f,
          "%s: clamped SwiGLU, error %g, same bits alone: %d", k->name, worst, same);
    guarded_free(x, N * sizeof *x, "gate");
    guarded_free(up, N * sizeof *up, "gate");
    guarded_free(y, N * sizeof *y, "gate");
}

static void test_route_scores(const struct path *path) {
    const struct kernels *k = &path->kernels;
    for (size_t l = 0; l < N_LENGTHS; l++)
        for (int r = ROUTING_SOFTMAX; r <= ROUTING_SIGMOID; r++) {
            enum routing routing = (enum routing)r;
            size_t n = lengths[l], bytes = n * sizeof(float);
            float *logits = guarded_new(bytes), *scores = guarded_new(bytes);
            random_fill(logits, n, 4.0f);
            double sum = 0.0, worst = 0.0;
            for (size_t i = 0; i < n; i++) sum += exp((double)logits[i]);
            k->route_scores(routing, logits, n, scores);
            for (size_t i = 0; i < n; i++) {
                double right = routing == ROUTING_SIGMOID ? 1.0 / (1.0 + exp(-(double)logits[i]))
                                                          : exp((double)logits[i]) / sum;
                worst = fmax(worst, fabs((double)scores[i] - right) / right);
            }
            check(worst <= 2e-6, "%s: scores %d of %zu experts, error %g", k->name, r, n, worst);
            logits[n / 2] = INFINITY;
            k->route_scores(routing, logits, n, scores);
            check(scores[n / 2] == 1.0f, "%s: score %d of an infinite logit is %g", k->name, r,
                  (double)scores[n / 2]);
            guarded_free(logits, bytes, "route_scores");
            guarded_free(scores, bytes, "route_scores");
        }
}

static void test_softcap(const struct path *path) {
    const struct kernels *k = &path->kernels;
    enum { N = 20000 };
    float *x = guarded_new(N * sizeof *x), *y = guarded_new(N * sizeof *y);
    const float cap = 30.0f;
    for (int i = 0; i < N; i++) x[i] = ((float)i - N / 2) * 0.05f + 1e-3f * random_normal();
    for (int i = 0; i < 2000; i++) x[i] = ldexpf(random_normal(), (int)random_below(60) - 50);
    memcpy(y, x, N * sizeof *x);
    k->softcap(cap, N, y);
    double worst = 0.0;
    bool same = true;
    for (int i = 0; i < N; i++) {
        float one = x[i];
        k->softcap(cap, 1, &one);
        same &= memcmp(&one, &y[i], sizeof one) == 0;
        worst = fmax(worst, relative_error((double)y[i], 30.0 * tanh((double)(x[i] / cap))));
    }
    check(worst <= 5e-7 && same, "%s: softcap, relative error %g, same bits alone: %d", k->name,
          worst, same);
    guarded_free(x, N * sizeof *x, "softcap");
    guarded_free(y, N * sizeof *y, "softcap");
}

static void test_norm(const struct path *path) {
    const struct kernels *k = &path->kernels;
    for (int round = 0; round < 60; round++) {
        size_t n = round < (int)N_LENGTHS ? lengths[round] : 1 + random_below(3000);
        size_t bytes = n * sizeof(float);
        float *x = guarded_new(bytes), *weight = guarded_new(bytes), *bias = guarded_new(bytes);
        float *y = guarded_new(bytes);
        random_fill(x, n, powf(10.0f, (float)random_below(7) - 3.0f));
        random_fill(weight, n, 1.0f);
        random_fill(bias, n, 1.0f);
        float eps = 1e-5f;
        double mean = 0.0, square = 0.0, variance = 0.0;
        for (size_t i = 0; i < n; i++)
            mean += (double)x[i] / (double)n, square += (double)x[i] * (double)x[i] / (double)n;
        for (size_t i = 0; i < n; i++)
            variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
        for (int variant = 0; variant < 4; variant++) {
            const float *w = variant & 1 ? weight : NULL, *b = variant & 2 ? bias : NULL;
            double worst = 0.0, rms = sqrt(square + (double)eps),
                   deviation = sqrt(variance + (double)eps);
            k->norm_rms(x, w, eps, n, y);
            for (size_t i = 0; i < n; i++)
                worst =
                    fmax(worst, fabs((double)y[i] - (double)x[i] / rms * (w ? (double)w[i] : 1.0)));
            k->norm_layer(x, w, b, eps, n, y);
            for (size_t i = 0; i < n; i++) {
                double right = ((double)x[i] - mean) / deviation * (w ? (double)w[i] : 1.0) +
                               (b ? (double)b[i] : 0.0);
                /* one element is its own mean: what is left is rounding over sqrt(eps) */
                worst = fmax(worst, fabs((double)y[i] - right) / (n == 1 ? 1e3 : 1.0));
            }
            check(worst <= 1e-5, "%s: norm of %zu, variant %d: error %g", k->name, n, variant,
                  worst);
            float *in_place = guarded_new(bytes);
            memcpy(in_place, x, bytes);
            k->norm_layer(in_place, w, b, eps, n, in_place);
            check(memcmp(in_place, y, bytes) == 0, "%s: layer norm in place", k->name);
            k->norm_rms(x, w, eps, n, y);
            memcpy(in_place, x, bytes);
            k->norm_rms(in_place, w, eps, n, in_place);
            check(memcmp(in_place, y, bytes) == 0, "%s: rms norm in place", k->name);
            guarded_free(in_place, bytes, "norm");
        }
        guarded_free(x, bytes, "norm");
        guarded_free(weight, bytes, "norm");
        guarded_free(bias, bytes, "norm");
        guarded_free(y, bytes, "norm");
    }
}

static void test_rope_table(const struct path *path) {
    const struct kernels *k = &path->kernels;
    double worst = 0.0, where = 0.0;
    for (int round = 0; round < 4000; round++) {
        enum { N = 37 };
        float frequencies[N];
        size_t bytes = 2 * N * sizeof(float);
        float *table = guarded_new(bytes);
        int64_t position = (int64_t)random_below(round % 2 ? 1 << 22 : 4096);
        for (int i = 0; i < N; i++) frequencies[i] = powf(10000.0f, -(float)i / N);
        k->rope_table(position, frequencies, N, 1.0f, table);
        for (int i = 0; i < N; i++) {
            double angle = (double)((float)position * frequencies[i]);
            double error = fmax(relative_error((double)table[2 * i], cos(angle)),
                                relative_error((double)table[2 * i + 1], sin(angle)));
            if (error > worst) worst = error, where = angle;
        }
        guarded_free(table, bytes, "rope_table");
    }
    check(worst <= 6.1e-8, "%s: rope_table, relative error %g at %g", k->name, worst, where);
    float hostile[4] = {INFINITY, NAN, 1e30f, -1e38f}, table[8];
    k->rope_table(INT64_C(1) << 40, hostile, 4, 1.0f, table);
    check(isnan(table[0]) && isnan(table[3]), "%s: rope_table of inf and NaN", k->name);
}

static void test_rope(const struct path *path) {
    const struct kernels *k = &path->kernels;
    for (size_t half = 1; half <= 70; half++)
        for (int p = ROPE_ADJACENT; p <= ROPE_HALVES; p++) {
            enum rope_pairing pairing = (enum rope_pairing)p;
            size_t bytes = 2 * half * sizeof(float);
            float *x = guarded_new(bytes), *table = guarded_new(bytes), before[140];
            random_fill(x, 2 * half, 1.0f);
            random_fill(table, 2 * half, 1.0f);
            memcpy(before, x, bytes);
            k->rope(x, table, 2 * half, pairing);
            double worst = 0.0;
            for (size_t i = 0; i < half; i++) {
                size_t a = pairing == ROPE_HALVES ? i : 2 * i,
                       b = pairing == ROPE_HALVES ? i + half : 2 * i + 1;
                double c = (double)table[2 * i], s = (double)table[2 * i + 1];
                double x0 = (double)before[a], x1 = (double)before[b];
                worst = fmax(worst, fabs((double)x[a] - (x0 * c - x1 * s)));
                worst = fmax(worst, fabs((double)x[b] - (x0 * s + x1 * c)));
            }
            check(worst <= 3e-6, "%s: rope of %zu, pairing %d: error %g", k->name, 2 * half, p,
                  worst);
            guarded_free(x, bytes, "rope");
            guarded_free(table, bytes, "rope");
        }
}

/* One position's bytes in a page: as the reference's, nothing else touched; for the float types the
 * reference's are the conversions of quant/weight_type.h. */
static void test_kv_place(const struct kernels *k, enum kv_type type, const float *x, size_t n,
                          bool key) {
    static const size_t element[] = {4, 2, 2, 1};
    size_t scales = type == KV_Q8_0 ? (n + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS * 2 : 0;
    size_t bytes = KV_PAGE * (n * element[type] + scales), position = random_below(KV_PAGE);
    uint8_t *got = guarded_new(bytes), *right = guarded_new(bytes);
    struct kernels reference;
    kernels_init(&reference, 0);
    memset(got, 0x5a, bytes);
    memset(right, 0x5a, bytes);
    if (key) {
        k->kv_store_key(type, x, n, position, got);
        reference.kv_store_key(type, x, n, position, right);
    } else {
        k->kv_store(type, x, n, position, got);
        reference.kv_store(type, x, n, position, right);
    }
    bool same = true;
    for (size_t i = 0; i < KV_PAGE * n && type != KV_Q8_0; i++) {
        bool ours = key ? i % KV_PAGE == position : i / n == position;
        float value = key ? x[i / KV_PAGE] : x[i % n];
        const uint8_t *at = got + i * element[type];
        uint16_t bits;
        memcpy(&bits, at, 2);
        if (!ours)
            same &= at[0] == 0x5a && at[1] == 0x5a;
        else if (type == KV_F32)
            same &= memcmp(at, &value, 4) == 0;
        else if (isnan(value))
            same &= isnan(type == KV_F16 ? half_to_float(bits) : bfloat16_to_float(bits));
        else
            same &= bits == (type == KV_F16 ? half_from_float(value) : bfloat16_from_float(value));
    }
    if (type == KV_Q8_0) same = memcmp(got, right, bytes) == 0;
    check(same, "%s: a %s of type %d, %zu values", k->name, key ? "key" : "value", (int)type, n);
    guarded_free(got, bytes, "kv_store");
    guarded_free(right, bytes, "kv_store");
}

/* What comes back of int8 is within half a step, the scale being f16. */
static void test_kv_q8(const struct kernels *k) {
    float x[40];
    uint8_t head[KV_PAGE * (40 + 4)];
    random_fill(x, 40, 3.0f);
    k->kv_store(KV_Q8_0, x, 40, 7, head);
    for (size_t i = 0; i < 40; i++) {
        uint16_t bits;
        memcpy(&bits, head + KV_PAGE * 40 + (7 * 2 + i / 32) * 2, 2);
        float scale = half_to_float(bits), q = (float)(int8_t)head[7 * 40 + i];
        check(fabsf(scale * q - x[i]) <= scale * 0.53f, "%s: int8 of %g is %g * %g", k->name,
              (double)x[i], (double)q, (double)scale);
    }
}

static void test_kv_store(const struct path *path) {
    const struct kernels *k = &path->kernels;
    test_kv_q8(k);
    for (int round = 0; round < 300; round++) {
        size_t n = 1 + random_below(MAX_N);
        float *x = guarded_new(n * sizeof(float));
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)random_bits();
            memcpy(&x[i], &bits, sizeof bits);
            if (round % 2) x[i] = random_normal() * powf(2.0f, (float)random_below(50) - 30.0f);
        }
        for (int type = 0; type < KV_TYPES; type++) {
            test_kv_place(k, (enum kv_type)type, x, n, false);
            test_kv_place(k, (enum kv_type)type, x, n, true);
        }
        guarded_free(x, n * sizeof(float), "kv_store");
    }
}

static void test_add_scale(const struct path *path) {
    const struct kernels *k = &path->kernels;
    for (size_t l = 0; l < N_LENGTHS; l++) {
        size_t n = lengths[l], bytes = n * sizeof(float);
        float *x = guarded_new(bytes), *y = guarded_new(bytes), *z = guarded_new(bytes);
        random_fill(x, n, 1.0f);
        random_fill(y, n, 1.0f);
        memcpy(z, y, bytes);
        k->add(x, n, z);
        bool right = true;
        for (size_t i = 0; i < n; i++) right &= z[i] == y[i] + x[i];
        memcpy(z, y, bytes);
        k->scale(1.7f, n, z);
        for (size_t i = 0; i < n; i++) right &= z[i] == y[i] * 1.7f;
        memcpy(z, y, bytes);
        k->add_scaled(0.3f, x, n, z);
        for (size_t i = 0; i < n; i++) {
            float one = y[i];
            k->add_scaled(0.3f, x + i, 1, &one);
            right &= memcmp(&one, &z[i], sizeof one) == 0 &&
                     fabsf(one - (y[i] + 0.3f * x[i])) <= 1e-6f * (fabsf(y[i]) + fabsf(x[i]));
        }
        check(right, "%s: add and scale of %zu", k->name, n);
        guarded_free(x, bytes, "add");
        guarded_free(y, bytes, "add");
        guarded_free(z, bytes, "add");
    }
}

void test_elementwise(const struct path *path) {
    test_gate(path);
    test_swiglu_clamped(path);
    test_route_scores(path);
    test_softcap(path);
    test_norm(path);
    test_rope_table(path);
    test_rope(path);
    test_kv_store(path);
    test_add_scale(path);
}
