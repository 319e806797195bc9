/* The order of likelihood, as one integer a token, and selection in it. */
#ifndef SAMPLING_RANK_H
#define SAMPLING_RANK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The likelier token has the greater rank: the higher logit, the lower id among equals (-0 is 0).
 * No two tokens of a vocabulary have the same. The logit isn't NaN. */
static inline uint64_t rank_of(float logit, int32_t token) {
    float canonical = logit + 0.0f;
    uint32_t bits;
    memcpy(&bits, &canonical, sizeof bits);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (0xFFFFFFFFu - (uint32_t)token);
}

static inline float rank_logit(uint64_t rank) {
    uint32_t bits = (uint32_t)(rank >> 32);
    bits = bits & 0x80000000u ? bits & 0x7FFFFFFFu : ~bits;
    float logit;
    memcpy(&logit, &bits, sizeof logit);
    return logit;
}

/* The k-th greatest of ranks [n], 1 <= k <= n; the k greatest are then the first k, in any order.
 * O(n). */
uint64_t rank_select(uint64_t *ranks, size_t n, size_t k);

/* What ranks [n] weigh together, >= 0. */
typedef double rank_weight(const void *argument, const uint64_t *ranks, size_t n);

/* Of ranks [n], n > 0, reordered: the greatest one such that it and all greater ones together weigh
 * at least `least`; the smallest of all if even they don't. O(n). */
uint64_t rank_select_weight(uint64_t *ranks, size_t n, double least, rank_weight *weight,
                            const void *argument);

#endif
