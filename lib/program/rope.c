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

void rope_frequencies(const struct rope_spec *rope, const float *freq_factors, float *frequencies) {
    int64_t n = rope->n_dims / 2;
    double low = 0, high = 0;
    if (rope->scaling == ROPE_SCALING_YARN) {
        low = correction_dim(rope, (double)rope->beta_fast);
        high = correction_dim(rope, (double)rope->beta_slow);
        if (!rope->yarn_exact) {
            low = floor(low);
            high = ceil(high);
        }
        low = fmax(low, 0.0);
        high = fmin(high, (double)rope->n_dims - 1);
        if (low == high) high += 0.001;
    }
    for (int64_t i = 0; i < n; i++) {
        double frequency = pow((double)rope->theta, -2.0 * (double)i / (double)rope->n_dims);
        if (freq_factors) frequency /= (double)freq_factors[i];
        double slow = frequency / (double)rope->factor;
        if (rope->scaling == ROPE_SCALING_LINEAR) frequency = slow;
        if (rope->scaling == ROPE_SCALING_YARN) {
            double ramp = fmin(fmax(((double)i - low) / (high - low), 0.0), 1.0);
            frequency = slow * ramp + frequency * (1.0 - ramp);
        }
        frequencies[i] = (float)frequency;
    }
}
