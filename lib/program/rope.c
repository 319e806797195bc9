/* Rotation frequencies of rotary position embedding (arXiv:2104.09864) and its scalings. */
#include <math.h>

#include "program/op.h"

static const double two_pi = 6.283185307179586476925;

/* The dimension at which the context of training makes `rotations` turns (arXiv:2309.00071,
 * section 3.2). */
static double correction_dim(const struct rope_spec *rope, double rotations) {
    return (double)rope->n_dims * log((double)rope->original_context / (rotations * two_pi)) /
           (2.0 * log((double)rope->theta));
}

/* The base that stretches the context to max_tokens ("dynamic NTK", /u/emozilla, 2023). */
static double stretched_base(const struct rope_spec *rope, int64_t max_tokens) {
    double factor = (double)rope->factor, dims = (double)rope->n_dims;
    double lengths = fmax((double)max_tokens / (double)rope->original_context, 1.0);
    return (double)rope->theta * pow(factor * lengths - (factor - 1.0), dims / (dims - 2.0));
}

void rope_frequencies(const struct rope_spec *rope, const struct rope_factors *factors,
                      int64_t max_tokens, float *frequencies) {
    int64_t n = rope->n_dims / 2;
    double low = 0, high = 0, base = (double)rope->theta;
    const float *divisors = factors ? factors->all : NULL;
    if (rope->scaling == ROPE_SCALING_YARN) {
        low = correction_dim(rope, (double)rope->beta_fast);
        high = correction_dim(rope, (double)rope->beta_slow);
        if (!rope->exact_range) {
            low = floor(low);
            high = ceil(high);
        }
        low = fmax(low, 0.0);
        high = fmin(high, (double)rope->n_dims - 1);
        if (low == high) high += 0.001;
    }
    if (rope->scaling == ROPE_SCALING_DYNAMIC) base = stretched_base(rope, max_tokens);
    if (rope->scaling == ROPE_SCALING_LONGROPE && factors &&
        (double)max_tokens > (double)rope->original_context)
        divisors = factors->of_long;
    for (int64_t i = 0; i < n; i++) {
        double frequency = pow(base, -2.0 * (double)i / (double)rope->n_dims);
        if (divisors) frequency /= (double)divisors[i];
        double slow = frequency / (double)rope->factor;
        if (rope->scaling == ROPE_SCALING_LINEAR) frequency = slow;
        if (rope->scaling == ROPE_SCALING_YARN) {
            double ramp = fmin(fmax(((double)i - low) / (high - low), 0.0), 1.0);
            frequency = slow * ramp + frequency * (1.0 - ramp);
        }
        frequencies[i] = (float)frequency;
    }
}

uint64_t rope_length(const struct spec *spec, int64_t max_tokens) {
    uint64_t length = 0; /* grows with whatever more turns otherwise */
    for (int i = 0; i < spec->n_ropes; i++) {
        const struct rope_spec *rope = &spec->ropes[i];
        if ((double)max_tokens <= (double)rope->original_context) continue;
        if (rope->scaling == ROPE_SCALING_LONGROPE) length += 1;
        if (rope->scaling == ROPE_SCALING_DYNAMIC) length += (uint64_t)max_tokens;
    }
    return length;
}
