/* Vectors of the compiler's own, so that the sums are vectorized at every level of optimization; a
 * lane computes what it would alone, so the bits are the same on every machine. */
#include "sampling/weight.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "sampling/rank.h"

#define N_LANES 4
typedef float floats __attribute__((vector_size(4 * N_LANES)));
typedef int32_t ints __attribute__((vector_size(4 * N_LANES)));
typedef uint32_t bits __attribute__((vector_size(4 * N_LANES))); /* of floats: these may overflow */

static inline floats all(float value) {
    return (floats){value, value, value, value};
}

static inline floats load(const float *from) {
    floats values;
    memcpy(&values, from, sizeof values);
    return values;
}

/* condition is all ones or all zeros in a lane, as comparisons give it */
static inline floats either(ints condition, floats then, floats otherwise) {
    return (floats)((condition & (ints)then) | (~condition & (ints)otherwise));
}

#define LEAST_EXPONENT -87.0f /* exp of it is still a normal number */

/* exp(x) for x <= 0 with a relative error under 2^-22: our own, so that a choice doesn't depend on
 * the C library. */
static inline floats exp_nonpositive(floats x) {
    ints counts = x > all(LEAST_EXPONENT); /* not NaN; whatever else comes out is not kept */
    const floats round = all(12582912.0f); /* 1.5 * 2^23: adding it rounds */
    floats rounded = x * 1.44269504f + round, n = rounded - round;
    floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f; /* n ln 2, in two parts */
    floats sum = all(1.0f / 5040);                          /* Taylor's, |r| <= ln 2 / 2 */
    sum = sum * r + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    /* n is what the last bits of `rounded` are above those of `round`. */
    floats power = (floats)(((bits)rounded - 0x4B400000u + 127) << 23);
    return either(counts, sum * power, all(0));
}

/* (logit - max) / temperature: 0 at the top (even where that is inf - inf), NaN or -inf far down */
static inline floats exponent(const struct weight_scale *scale, floats logits) {
    floats difference = (logits - scale->max) * scale->inverse_temperature;
    return either(logits == scale->max, all(0), difference);
}

static inline floats weigh(const struct weight_scale *scale, floats logits, float least) {
    floats weights = exp_nonpositive(exponent(scale, logits));
    return either(weights >= all(least), weights, all(0));
}

float weight_of(const struct weight_scale *scale, float logit) {
    return weigh(scale, all(logit), 0)[0];
}

void weight_all(const struct weight_scale *scale, const float *logits, size_t n, float least,
                float *weights) {
    size_t i = 0;
    for (; i + N_LANES <= n; i += N_LANES) {
        floats some = weigh(scale, load(logits + i), least);
        memcpy(weights + i, &some, sizeof some);
    }
    for (; i < n; i++) weights[i] = weigh(scale, all(logits[i]), least)[0];
}

static inline ints bins_of(floats exponents) {
    const floats last = all(WEIGHT_N_BINS - 1);
    floats depth = exponents * -(float)WEIGHT_BINS_PER_UNIT;
    return __builtin_convertvector(either(depth < last, depth, last), ints);
}

static inline floats weigh_and_bin(const struct weight_scale *scale, floats logits, ints *bins) {
    floats exponents = exponent(scale, logits);
    *bins = bins_of(exponents);
    return exp_nonpositive(exponents);
}

void weight_bins(const struct weight_scale *scale, const float *logits, size_t n, float *weights,
                 int32_t *bins) {
    size_t i = 0;
    ints of;
    for (; i + N_LANES <= n; i += N_LANES) {
        floats some = weigh_and_bin(scale, load(logits + i), &of);
        memcpy(weights + i, &some, sizeof some);
        memcpy(bins + i, &of, sizeof of);
    }
    for (; i < n; i++) {
        weights[i] = weigh_and_bin(scale, all(logits[i]), &of)[0];
        bins[i] = of[0];
    }
}

float weight_least_logit(const struct weight_scale *scale, int32_t bin) {
    uint32_t low = rank_order(-FLT_MAX), high = rank_order(scale->max); /* its bin is 0 */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bins_of(exponent(scale, all(rank_value(middle))))[0] <= bin)
            high = middle;
        else
            low = middle + 1;
    }
    return rank_value(high);
}

float weight_max(const float *logits, size_t n) {
    floats max[4] = {all(-INFINITY), all(-INFINITY), all(-INFINITY), all(-INFINITY)};
    size_t i = 0;
    for (; i + 4 * N_LANES <= n; i += 4 * N_LANES) {
        for (size_t j = 0; j < 4; j++) {
            floats some = load(logits + i + j * N_LANES);
            max[j] = either(some > max[j], some, max[j]);
        }
    }
    float greatest = -INFINITY;
    for (size_t j = 0; j < 4; j++)
        for (size_t lane = 0; lane < N_LANES; lane++)
            if (max[j][lane] > greatest) greatest = max[j][lane];
    for (; i < n; i++)
        if (logits[i] > greatest) greatest = logits[i];
    return greatest;
}

uint32_t weight_within(const float *logits, size_t n, float least, float beyond) {
    float padded[WEIGHT_BLOCK];
    if (n < WEIGHT_BLOCK) {
        for (size_t i = 0; i < WEIGHT_BLOCK; i++) padded[i] = i < n ? logits[i] : NAN;
        logits = padded;
    }
    const ints lane = {1, 2, 4, 8};
    ints bit = {0};
    for (int group = 0; group < WEIGHT_BLOCK / N_LANES; group++) {
        floats some = load(logits + group * N_LANES);
        ints in = (some >= all(least)) & ~(some >= all(beyond));
        bit |= in & (lane << (group * N_LANES));
    }
    return (uint32_t)(bit[0] | bit[1] | bit[2] | bit[3]);
}
