/* A prepared activation row of the quantized weight types: int8 quants in blocks of 32 columns with
 * a scale for every eight of them. With one scale for 32 columns the rounding of the activations
 * cost SmolLM2-135M (Q4_1) 0.55% of perplexity, with one for 16 about 0.4%.
 *
 * In ACTIVATION_Q8_FLOAT the four scales are floats, absmax / 127. In ACTIVATION_Q8_INTEGER they
 * are small integers times the block's own scale, for kernels that multiply 16-bit sums anyway. The
 * bytes are the same on every path. */
#ifndef CPU_KERNELS_ACTIVATION_Q8_H
#define CPU_KERNELS_ACTIVATION_Q8_H

#include <stddef.h>
#include <stdint.h>

#define Q8_BLOCK 32
#define Q8_PART 8 /* columns of a scale */
#define Q8_PARTS (Q8_BLOCK / Q8_PART)
/* The largest multiple. 16-bit sums of a part are at most 4 * 63 * 127 = 32004, two of them in a
 * 32-bit lane, four parts: below 2^24, so exact as f32. */
#define Q8_MULTIPLES 64

struct q8_block {
    int8_t q[Q8_BLOCK]; /* -127 ... 127: the kernels' int16 sums rely on it */
    union {
        float scale[Q8_PARTS];         /* FLOAT */
        int16_t multiple[Q8_PARTS][2]; /* INTEGER: twice, for both halves of a 32-bit lane */
    };
    float block_scale; /* INTEGER: scale of part i = block_scale * multiple[i] */
    float scaled_sum;  /* sum of scale * quant over all columns, */
    float half_sum[2]; /* over columns 0 ... 15 and 16 ... 31 */
};
_Static_assert(sizeof(struct q8_block) == 64, "every member is read by a four-byte broadcast");

static inline size_t q8_row_bytes(size_t n) {
    return n / Q8_BLOCK * sizeof(struct q8_block);
}

#endif
