/* Blocks of 256 weights that are d * scale * factor * levels[code], scale being an integer of 16 or
 * 32 columns: IQ1 to IQ4_XS and the ternary types. The kernels' packing takes a block apart by this
 * too. */
#ifndef QUANT_CODEBOOK_H
#define QUANT_CODEBOOK_H

#include "quant/weight_type.h"

#define CODEBOOK_COLUMNS 256

struct codebook_format {
    const int8_t *levels; /* [16] */
    float factor;         /* a power of two */
    uint8_t bits;         /* of a code */
    uint8_t scale_columns;
};

struct codebook_block {
    uint16_t d; /* a half */
    int8_t scales[16];
    uint8_t codes[CODEBOOK_COLUMNS];
};

/* NULL: not such a type. */
const struct codebook_format *codebook_format_of(enum weight_type type);
void codebook_read(enum weight_type type, const uint8_t *block, struct codebook_block *to);
void codebook_values(enum weight_type type, const struct codebook_block *block, float *to);

#endif
