/* Logits to log probabilities: the log softmax of a row, by an exp and a log of our own. */
#ifndef SAMPLING_PROBABILITY_H
#define SAMPLING_PROBABILITY_H

#include "base/status.h"

/* Of logits [n_vocab]: values [n_tokens] of those tokens, and top [n_top], n_top <= n_vocab, the
 * likeliest first, of equal ones the lowest id. NaN counts as -inf; where no logit is above -inf
 * all are -inf; beside a logit of +inf all that are not are -inf. Allocates nothing. */
void probability_log(const float *logits, int64_t n_vocab, const int32_t *tokens, int64_t n_tokens,
                     float *values, transformer_token_probability *top, int64_t n_top);

#endif
