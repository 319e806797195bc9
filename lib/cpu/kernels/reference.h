/* The parts of the reference path: each fills its entries of the table. */
#ifndef CPU_KERNELS_REFERENCE_H
#define CPU_KERNELS_REFERENCE_H

#include "cpu/kernels.h"

void reference_linear(struct kernels *kernels);
void reference_elementwise(struct kernels *kernels);
void reference_attention(struct kernels *kernels);
void reference_kv(struct kernels *kernels);

/* To nearest even within -127 ... 127. NaN becomes 0 and infinity leaves an infinite scale:
 * defined, and not hidden from the result. */
static inline int8_t reference_int8(float value) {
    const float to_integer = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, even */
    if (!(value == value)) return 0;
    if (value > 127.0f) value = 127.0f;
    if (value < -127.0f) value = -127.0f;
    float shifted = value + to_integer;
    return (int8_t)(shifted - to_integer);
}

#endif
