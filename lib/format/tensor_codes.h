/* Weights that a Hugging Face folder keeps as codes with scales (and zeros, and an order of
 * columns), in tensors of their own: AWQ, GPTQ, compressed-tensors, FP8, MXFP4. Readers see one
 * tensor [n_rows][n_cols] of a weight type that holds every value exactly:
 *
 *   value = scale * (code - zero), one product rounded to f32 where the type is F32
 *
 * Q4_0, Q5_0 and Q8_0 have code - zero as it is and the scale as f16, MXFP4 has the same parts. */
#ifndef FORMAT_TENSOR_CODES_H
#define FORMAT_TENSOR_CODES_H

#include "format/part.h"

enum codes_layout {
    /* u32 [n_cols][n_rows / 8]: nibble i has row {0, 2, 4, 6, 1, 3, 5, 7}[i] of its eight; zeros
     * [groups][n_rows / 8] likewise, scales [groups][n_rows] */
    CODES_AWQ,
    /* u32 [n_cols / p][n_rows], p codes of consecutive columns from the lowest bits on; zeros
     * [groups][n_rows / p], scales [groups][n_rows] */
    CODES_GPTQ,
    /* u32 [n_rows][n_cols / p, rounded up]; zeros [n_rows / p, rounded up][groups], scales
     * [n_rows / group_rows][groups] */
    CODES_ROWS,
    CODES_INT8,  /* i8 [n_rows][n_cols], scales as above */
    CODES_E4M3,  /* the same of OCP FP8 E4M3 */
    CODES_MXFP4, /* u8 [n_rows][n_cols / 2], the lower column in the low nibble; scales u8
                    [n_rows][n_cols / 32] of e8m0 */
};

struct codes_place { /* one of the folder's tensors */
    int part;
    uint64_t offset, bytes; /* 0 bytes: there is none */
};

struct tensor_codes {
    enum codes_layout layout;
    int bits; /* 2, 4 or 8 */
    int64_t n_rows, n_cols, n_groups, group;
    int64_t group_rows;          /* rows that share a scale */
    enum weight_type scale_type; /* F32, F16 or BF16 */
    uint32_t zero_add;           /* to each word of zeros */
    int zero;                    /* where there are none: of all */
    const int32_t *groups;       /* [n_cols] the group of a column; NULL: column / group */
    enum weight_type natural;    /* what holds the values exactly */
    struct codes_place codes, scales, zeros;
};

/* Sets natural: reads zeros, and scales that aren't f16 already. */
status tensor_codes_choose(struct tensor_codes *codes, const struct part *parts);
/* Rows first ... first + n - 1, as blocks of the natural type. */
status tensor_codes_rows(const struct tensor_codes *codes, const struct part *parts,
                         struct memory *memory, int64_t first, int64_t n, void *to);
/* The same rows of CODES_E4M3 as they are: codes [n][n_cols], scales [n][n_groups]. */
status tensor_codes_e4m3(const struct tensor_codes *codes, const struct part *parts,
                         struct memory *memory, int64_t first, int64_t n, uint8_t *to,
                         float *scales);

#endif
