/* Arithmetic on numbers that come from a file or a caller. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdint.h>

/* True if the exact result doesn't fit. */
#define add_overflows(a, b, result) __builtin_add_overflow(a, b, result)
#define sub_overflows(a, b, result) __builtin_sub_overflow(a, b, result)
#define mul_overflows(a, b, result) __builtin_mul_overflow(a, b, result)

/* UINT64_MAX where the exact result doesn't fit: sizes that are only told, not taken. */
static inline uint64_t add_saturating(uint64_t a, uint64_t b) {
    uint64_t sum;
    return add_overflows(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t mul_saturating(uint64_t a, uint64_t b) {
    uint64_t product;
    return mul_overflows(a, b, &product) ? UINT64_MAX : product;
}

#endif
