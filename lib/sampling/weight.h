/* Logits to probabilities up to a common factor: softmax weights relative to the likeliest token.
 */
#ifndef SAMPLING_WEIGHT_H
#define SAMPLING_WEIGHT_H

#include <stddef.h>
#include <stdint.h>

/* weight = exp((logit - max) / temperature); below exp(-87) it is 0, of NaN and -inf too. */
struct weight_scale {
    float max; /* the greatest logit, not -inf; if it is +inf only its equals weigh anything */
    float inverse_temperature;
};

float weight_of(const struct weight_scale *scale, float logit);
/* weights [n] of logits [n]; those under `least` (0 to 1) become 0. */
void weight_all(const struct weight_scale *scale, const float *logits, size_t n, float least,
                float *weights);

#define WEIGHT_BINS_PER_UNIT 32 /* of the exponent */
#define WEIGHT_N_BINS 1024      /* down to exp(-32); the last takes all the rest */

/* weights [n] and bins [n] of logits [n]: bin 0 is the likeliest; a lower logit never has a lower
 * bin. */
void weight_bins(const struct weight_scale *scale, const float *logits, size_t n, float *weights,
                 int32_t *bins);
/* The least logit above -inf whose bin is at most `bin`. */
float weight_least_logit(const struct weight_scale *scale, int32_t bin);

/* The greatest of logits [n], NaN left out; -inf if there is none. */
float weight_max(const float *logits, size_t n);
#define WEIGHT_BLOCK 16
/* Which of logits [n], n <= WEIGHT_BLOCK, are at least `least` and not at least `beyond`, which may
 * be NaN: bit i is the i-th. */
uint32_t weight_within(const float *logits, size_t n, float least, float beyond);

#endif
