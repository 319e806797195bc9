/* The order of likelihood, as one integer a token, and selection in it. */
#ifndef SAMPLING_RANK_H
#define SAMPLING_RANK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Floats that aren't NaN as integers in the same order; -0 is 0. */
static inline uint32_t rank_order(float value) {
    float canonical = value + 0.0f;
    uint32_t bits;
    memcpy(&bits, &canonical, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static inline float rank_value(uint32_t order) {
    uint32_t bits = order & 0x80000000u ? order & 0x7FFFFFFFu : ~order;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The likelier token has the greater rank: the higher logit, the lower id among equals. No two
 * tokens of a vocabulary have the same. The logit isn't NaN. */
static inline uint64_t rank_of(float logit, int32_t token) {
    return (uint64_t)rank_order(logit) << 32 | (0xFFFFFFFFu - (uint32_t)token);
}

static inline float rank_logit(uint64_t rank) {
    return rank_value((uint32_t)(rank >> 32));
}

static inline int32_t rank_token(uint64_t rank) {
    return (int32_t)(0xFFFFFFFFu - (uint32_t)rank);
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
