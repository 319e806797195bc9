#include "sampling/weight.h"

#include <stdint.h>
#include <string.h>

#define LEAST_EXPONENT -87.0f /* exp of it is still a normal number */

/* exp(x) for x <= 0 with a relative error under 2^-22: our own, so that a choice doesn't depend on
 * the C library. No branch, so that a loop over it is vectorized; the bits are the same then. */
static inline float exp_nonpositive(float x) {
    float clamped = x > LEAST_EXPONENT ? x : LEAST_EXPONENT; /* NaN too */
    const float round = 12582912.0f;                         /* 1.5 * 2^23: adding it rounds */
    float n = (clamped * 1.44269504f + round) - round;
    float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f; /* n ln 2, in two parts */
    float sum = 1.0f / 5040;                                     /* Taylor's, |r| <= ln 2 / 2 */
    sum = sum * r + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    int32_t bits = ((int32_t)n + 127) * (1 << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return x > LEAST_EXPONENT ? sum * power : 0.0f;
}

float weight_of(const struct weight_scale *scale, float logit) {
    return exp_nonpositive(weight_exponent(scale, logit));
}

void weight_all(const struct weight_scale *scale, const float *logits, size_t n, float least,
                float *weights) {
    const struct weight_scale local = *scale; /* weights may not alias it */
    for (size_t i = 0; i < n; i++) {
        float weight = exp_nonpositive(weight_exponent(&local, logits[i]));
        weights[i] = weight >= least ? weight : 0.0f;
    }
}
