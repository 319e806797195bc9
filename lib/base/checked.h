/* Arithmetic on numbers that come from a file or a caller: true if the exact result doesn't fit. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#define add_overflows(a, b, result) __builtin_add_overflow(a, b, result)
#define sub_overflows(a, b, result) __builtin_sub_overflow(a, b, result)
#define mul_overflows(a, b, result) __builtin_mul_overflow(a, b, result)

#endif
