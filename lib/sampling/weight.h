/* Logits to probabilities up to a common factor: softmax weights relative to the likeliest token.
 */
#ifndef SAMPLING_WEIGHT_H
#define SAMPLING_WEIGHT_H

#include <stddef.h>

/* weight = exp((logit - max) / temperature); below exp(-87) it is 0, of NaN and -inf too. */
struct weight_scale {
    float max; /* the greatest logit, not -inf; if it is +inf only its equals weigh anything */
    float inverse_temperature;
};

/* (logit - max) / temperature, 0 at the top, -inf or NaN far down. */
static inline float weight_exponent(const struct weight_scale *scale, float logit) {
    return logit == scale->max ? 0.0f : (logit - scale->max) * scale->inverse_temperature;
}

float weight_of(const struct weight_scale *scale, float logit);
/* weights [n] of logits [n]; those under `least` (0 to 1) become 0. */
void weight_all(const struct weight_scale *scale, const float *logits, size_t n, float least,
                float *weights);

#endif
