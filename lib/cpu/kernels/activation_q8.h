/* A prepared activation row of the quantized weight types (ACTIVATION_ROWS_Q8), shared by every
 * path: its bytes are the same on all of them. */
#ifndef CPU_KERNELS_ACTIVATION_Q8_H
#define CPU_KERNELS_ACTIVATION_Q8_H

#include <stddef.h>
#include <stdint.h>

#define Q8_BLOCK 32
#define Q8_HALF 16

/* A scale for each half: with one for all 32 columns the rounding of the activations cost
 * SmolLM2-135M (Q4_1) 0.55% of perplexity, with two 0.26%, for few instructions more. */
struct q8_block {
    int8_t q[Q8_BLOCK]; /* -127 ... 127: the kernels' int16 sums rely on it */
    float scale[2];     /* absmax / 127 of q[0 ... 15] and of q[16 ... 31] */
    float scaled_sum;   /* scale[0] * sums[0] + scale[1] * sums[1] */
    int16_t sums[2];    /* of the halves */
};
_Static_assert(sizeof(struct q8_block) == 48, "every member is read by a four-byte broadcast");

static inline size_t q8_row_bytes(size_t n) {
    return (n / Q8_BLOCK * sizeof(struct q8_block) + 63) / 64 * 64;
}

#endif
