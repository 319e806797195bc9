/* A prepared activation row rounded to bf16, zeros after its end. */
#ifndef CPU_KERNELS_ACTIVATION_BF16_H
#define CPU_KERNELS_ACTIVATION_BF16_H

#include <stddef.h>
#include <stdint.h>

static inline size_t bf16_row_bytes(size_t n) {
    return (n * sizeof(uint16_t) + 63) / 64 * 64;
}

#endif
