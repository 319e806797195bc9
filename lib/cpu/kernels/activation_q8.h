/* A prepared activation row of the quantized weight types (ACTIVATION_ROWS_Q8), shared by every
 * path: its bytes are the same on all of them. */
#ifndef CPU_KERNELS_ACTIVATION_Q8_H
#define CPU_KERNELS_ACTIVATION_Q8_H

#include <stddef.h>
#include <stdint.h>

#define Q8_BLOCK 32

struct q8_block {
    int8_t q[Q8_BLOCK]; /* -127 ... 127: the kernels' int16 sums rely on it */
    float scale;        /* absmax / 127 */
    float scaled_sum;   /* scale * (sums[0] + sums[1]) */
    int16_t sums[2];    /* of q[0 ... 15] and of q[16 ... 31] */
};
_Static_assert(sizeof(struct q8_block) == 44, "every member is read by a four-byte broadcast");

static inline size_t q8_row_bytes(size_t n) {
    return (n / Q8_BLOCK * sizeof(struct q8_block) + 63) / 64 * 64;
}

#endif
