/* Weight types: block layouts as GGUF stores them (ggml's block formats), and the reference
 * conversion to and from f32. */
#ifndef QUANT_WEIGHT_TYPE_H
#define QUANT_WEIGHT_TYPE_H

#include <stddef.h>
#include <stdint.h>

enum weight_type {
    WEIGHT_F32,
    WEIGHT_F16,
    WEIGHT_BF16,
    WEIGHT_Q4_0,
    WEIGHT_Q4_1,
    WEIGHT_Q5_0,
    WEIGHT_Q5_1,
    WEIGHT_Q8_0,
    WEIGHT_Q2_K,
    WEIGHT_Q3_K,
    WEIGHT_Q4_K,
    WEIGHT_Q5_K,
    WEIGHT_Q6_K,
    WEIGHT_Q8_K,
    WEIGHT_IQ4_NL,
    WEIGHT_IQ4_XS,
    WEIGHT_MXFP4,
    WEIGHT_NVFP4,
    WEIGHT_TQ1_0,
    WEIGHT_TQ2_0,
    WEIGHT_IQ1_S,
    WEIGHT_IQ1_M,
    WEIGHT_IQ2_XXS,
    WEIGHT_IQ2_XS,
    WEIGHT_IQ2_S,
    WEIGHT_IQ3_XXS,
    WEIGHT_IQ3_S,
    WEIGHT_TYPES /* how many */
};

struct weight_type_traits {
    const char *name;     /* "Q4_K" */
    uint32_t gguf_type;   /* its number in a GGUF file */
    uint32_t block;       /* elements in a block, along a row */
    uint32_t block_bytes; /* bytes of a block */
    /* n elements, a multiple of block. from may have any alignment. */
    void (*dequantize)(const void *from, float *to, size_t n);
    /* Round to nearest as the format's own reference quantizer does or better; for tests and
     * converters. NULL: such weights are read only. */
    void (*quantize)(const float *from, void *to, size_t n);
};

extern const struct weight_type_traits weight_type_traits[WEIGHT_TYPES];

/* Name of any GGUF type number, known here or not ("IQ2_XXS"); NULL for a number that GGUF doesn't
 * define. */
const char *weight_type_gguf_name(uint32_t gguf_type);
/* -1: not a type of this library. */
int weight_type_from_gguf(uint32_t gguf_type);
/* Bytes of a row of n elements; n is a multiple of the block. */
size_t weight_type_row_bytes(enum weight_type type, size_t n);

/* IEEE binary16 and bfloat16, round to nearest even, NaN kept a NaN. */
float half_to_float(uint16_t half);
uint16_t half_from_float(float value);
float bfloat16_to_float(uint16_t value);
uint16_t bfloat16_from_float(float value);

#endif
