/* Norms, rope, activations and the small vector operations. A partial vector goes through the same
 * arithmetic as a whole one. */
#include <math.h>
#include <string.h>

#include "cpu/kernels/avx2.h"
#include "cpu/kernels/avx2_math.h"

/* The one row reduction: vector i of the row in accumulator i % 4, the row padded with zeros. */
#define ACCUMULATORS 4

static float sum_of_accumulators(const __m256 *sum) {
    return avx2_sum(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

static float sum_of_squares(const float *x, size_t n) {
    __m256 sum[ACCUMULATORS] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                                _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 8 * ACCUMULATORS <= n; i += 8 * ACCUMULATORS)
        for (size_t j = 0; j < ACCUMULATORS; j++) {
            __m256 v = _mm256_loadu_ps(x + i + 8 * j);
            sum[j] = _mm256_fmadd_ps(v, v, sum[j]);
        }
    for (size_t j = 0; i < n; i += 8, j++) {
        __m256 v = avx2_load(x + i, n - i);
        sum[j] = _mm256_fmadd_ps(v, v, sum[j]);
    }
    return sum_of_accumulators(sum);
}

static float sum_of(const float *x, size_t n) {
    __m256 sum[ACCUMULATORS] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                                _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 8 * ACCUMULATORS <= n; i += 8 * ACCUMULATORS)
        for (size_t j = 0; j < ACCUMULATORS; j++)
            sum[j] = _mm256_add_ps(_mm256_loadu_ps(x + i + 8 * j), sum[j]);
    for (size_t j = 0; i < n; i += 8, j++) sum[j] = _mm256_add_ps(avx2_load(x + i, n - i), sum[j]);
    return sum_of_accumulators(sum);
}

static float sum_of_deviations(const float *x, float mean, size_t n) {
    const __m256 center = _mm256_set1_ps(mean);
    __m256 sum[ACCUMULATORS] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                                _mm256_setzero_ps()};
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_sub_ps(avx2_load(x + i, n - i), center);
        if (n - i < 8) v = _mm256_and_ps(v, _mm256_castsi256_ps(avx2_lanes(n - i)));
        __m256 *to = &sum[i / 8 % ACCUMULATORS];
        *to = _mm256_fmadd_ps(v, v, *to);
    }
    return sum_of_accumulators(sum);
}

static void norm_rms(const float *x, const float *weight, float eps, size_t n, float *y) {
    const __m256 factor = _mm256_set1_ps(1.0f / sqrtf(sum_of_squares(x, n) / (float)n + eps));
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_mul_ps(avx2_load(x + i, n - i), factor);
        if (weight) v = _mm256_mul_ps(v, avx2_load(weight + i, n - i));
        avx2_store(y + i, v, n - i);
    }
}

static void norm_layer(const float *x, const float *weight, const float *bias, float eps, size_t n,
                       float *y) {
    float mean = sum_of(x, n) / (float)n;
    float variance = sum_of_deviations(x, mean, n) / (float)n;
    const __m256 factor = _mm256_set1_ps(1.0f / sqrtf(variance + eps));
    const __m256 center = _mm256_set1_ps(mean);
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_sub_ps(avx2_load(x + i, n - i), center), factor);
        if (weight) v = _mm256_mul_ps(v, avx2_load(weight + i, n - i));
        if (bias) v = _mm256_add_ps(v, avx2_load(bias + i, n - i));
        avx2_store(y + i, v, n - i);
    }
}

static void rope_halves(float *x, const float *table, size_t half) {
    float *low = x, *high = x + half;
    for (size_t i = 0; i < half; i += 8) {
        size_t n = half - i;
        /* cos, sin pairs → a vector of each; shuffle and permute undo each other's lane order */
        __m256 first = avx2_load(table + 2 * i, 2 * n);
        __m256 second = n > 4 ? avx2_load(table + 2 * i + 8, 2 * n - 8) : _mm256_setzero_ps();
        __m256 t0 = _mm256_permute2f128_ps(first, second, 0x20);
        __m256 t1 = _mm256_permute2f128_ps(first, second, 0x31);
        __m256 cosine = _mm256_shuffle_ps(t0, t1, 0x88), sine = _mm256_shuffle_ps(t0, t1, 0xdd);
        __m256 a = avx2_load(low + i, n), b = avx2_load(high + i, n);
        avx2_store(low + i, _mm256_fmsub_ps(a, cosine, _mm256_mul_ps(b, sine)), n);
        avx2_store(high + i, _mm256_fmadd_ps(a, sine, _mm256_mul_ps(b, cosine)), n);
    }
}

static void rope_adjacent(float *x, const float *table, size_t n_dims) {
    for (size_t i = 0; i < n_dims; i += 8) {
        __m256 pairs = avx2_load(x + i, n_dims - i), t = avx2_load(table + i, n_dims - i);
        __m256 cosine = _mm256_moveldup_ps(t), sine = _mm256_movehdup_ps(t);
        __m256 crossed = _mm256_mul_ps(_mm256_permute_ps(pairs, 0xb1), sine);
        avx2_store(x + i, _mm256_fmaddsub_ps(pairs, cosine, crossed), n_dims - i);
    }
}

static void rope(float *x, const float *table, size_t n_dims, enum rope_pairing pairing) {
    if (pairing == ROPE_HALVES)
        rope_halves(x, table, n_dims / 2);
    else
        rope_adjacent(x, table, n_dims / 2 * 2);
}

/* Round to nearest even; a NaN keeps its sign and upper bits and becomes quiet. */
static __m128i bfloat16_round(__m256 x) {
    const __m256i one = _mm256_set1_epi32(1), quiet = _mm256_set1_epi32(1 << 22);
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), one);
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    bits = _mm256_blendv_epi8(rounded, _mm256_or_si256(bits, quiet), is_nan);
    bits = _mm256_srli_epi32(bits, 16);
    __m256i packed = _mm256_packus_epi32(bits, bits);
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}

static void kv_store(enum kv_type type, const float *x, size_t n, void *to) {
    if (type == KV_F32) {
        memcpy(to, x, n * sizeof(float));
        return;
    }
    uint16_t *halves = to;
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = avx2_load(x + i, n - i);
        __m128i packed =
            type == KV_F16 ? _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT) : bfloat16_round(v);
        if (n - i >= 8)
            _mm_storeu_si128((__m128i *)(void *)(halves + i), packed);
        else
            memcpy(halves + i, &packed, (n - i) * sizeof *halves);
    }
}

static __m256 activate(enum activation activation, __m256 x) {
    const __m256 one = _mm256_set1_ps(1.0f);
    switch (activation) {
    case ACTIVATION_NONE:
        return x;
    case ACTIVATION_SILU: {
        __m256 e = avx2_exp(_mm256_xor_ps(x, _mm256_set1_ps(-0.0f)));
        return _mm256_div_ps(x, _mm256_add_ps(one, e));
    }
    case ACTIVATION_GELU_TANH: { /* x (1 + tanh u) / 2 = x / (1 + exp(-2 u)) */
        const __m256 linear = _mm256_set1_ps(-2.0f * 0.79788456f);
        const __m256 cubic = _mm256_set1_ps(-2.0f * 0.79788456f * 0.044715f);
        __m256 factor = _mm256_fmadd_ps(_mm256_mul_ps(x, x), cubic, linear);
        return _mm256_div_ps(x, _mm256_add_ps(one, avx2_exp(_mm256_mul_ps(x, factor))));
    }
    case ACTIVATION_GELU:
        return _mm256_mul_ps(x, avx2_normal_cdf(x));
    case ACTIVATION_RELU:
        return _mm256_max_ps(_mm256_setzero_ps(), x);
    }
    return x;
}

static inline __attribute__((always_inline)) void
gate_row(enum activation activation, const float *gate, const float *up, size_t n, float *y) {
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = activate(activation, avx2_load(gate + i, n - i));
        if (up) v = _mm256_mul_ps(v, avx2_load(up + i, n - i));
        avx2_store(y + i, v, n - i);
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
    case ACTIVATION_RELU:
        gate_row(ACTIVATION_RELU, gate_values, up, n, y);
        break;
    }
}

static void add(const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i += 8)
        avx2_store(y + i, _mm256_add_ps(avx2_load(y + i, n - i), avx2_load(x + i, n - i)), n - i);
}

static void scale_by(float factor, size_t n, float *y) {
    const __m256 f = _mm256_set1_ps(factor);
    for (size_t i = 0; i < n; i += 8)
        avx2_store(y + i, _mm256_mul_ps(avx2_load(y + i, n - i), f), n - i);
}

static void softcap(float cap, size_t n, float *y) {
    const __m256 c = _mm256_set1_ps(cap);
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = avx2_tanh(_mm256_div_ps(avx2_load(y + i, n - i), c));
        avx2_store(y + i, _mm256_mul_ps(c, v), n - i);
    }
}

/* rope_table stays the reference's: it is computed in double, once a row. */
void avx2_elementwise(struct kernels *kernels) {
    kernels->norm_rms = norm_rms;
    kernels->norm_layer = norm_layer;
    kernels->rope = rope;
    kernels->kv_store = kv_store;
    kernels->gate = gate;
    kernels->add = add;
    kernels->scale = scale_by;
    kernels->softcap = softcap;
}
