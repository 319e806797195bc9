/* How weights lie on the device: fragments of mma.sync's A operand, so that a lane's pieces are
 * consecutive and loads are 16 bytes wide. One layout for prefill and decode.
 *
 * A weight [n_rows][n_cols] is cut into row tiles of LAYOUT_ROWS rows; a row tile is a run of units
 * of LAYOUT_COLS columns, columns ascending, absent rows and columns being zero weights. A type
 * with a header has one before the units of every LAYOUT_HEADER_COLS columns.
 *
 * A unit is four steps of 16 columns. Of lane l = 4g + t, step s has eight values (register i, half
 * h), i in 0 ... 3, h in 0 ... 1: row g + 8 (i % 2), column 16 s + 2 t + 8 (i / 2) + h, which is
 * the order of the A fragment of m16n8k16. A unit's parts, one after the other:
 *
 * - low plane, of 32-bit values [s][i / 2][lane]: 4 words, those of (i % 2, h);
 *   of 16 bits [s][lane]: 8 halves, those of (i, h);
 *   of 8 bits [s / 2][lane]: 16 bytes, those of (s % 2, i / 2, h, i % 2);
 *   of 4 bits [lane][s]: a word, (i, h) from bit 4 i + 16 h on;
 *   of 2 bits [lane][s / 2]: a word, (s % 2, i, h) from bit 2 (s % 2) + 4 i + 16 h on;
 *
 * - high plane: the bits above the low ones. 2 bits as above; 1 bit [lane]: a word, (s, i, h) at
 * bit s + 4 i + 16 h;
 *
 * - scales, [g] of rows g and g + 8. BLOCK_SCALE: f16 d [row][2] of the unit's two blocks of 32
 *   columns, 8 bytes; BLOCK_SCALE_MIN: the same, then f16 m [row][2], 16 bytes; BLOCK_SCALE_ZERO:
 * the same with zeros, as below; UNIT_SCALE: f32 [row]; UNIT_SCALE_ZERO: f16 [row][scale, zero], a
 * zero z being -z as an f16 subnormal in rows 0 ... 7, -16 z in rows 8 ... 15; SUB_SCALE_16: a byte
 * for each 16 columns [row][4] (Q2_K: scale in the low nibble, minimum in the high one);
 *   SUB_SCALE_MIN_32 [row][4]: two scales, two minima, of 32 columns each.
 *
 * The header is [g]: f16 d [row], f16 d and dmin [row][2], or f32 d [row]. A code is unsigned; the
 * value is code - code_offset, a sub-scale is its byte - sub_offset.
 *
 * The types after Q8_K have no planes of their own: their values, rounded to bf16, lie as BF16. */
#ifndef CUDA_WEIGHT_LAYOUT_H
#define CUDA_WEIGHT_LAYOUT_H

#include "quant/weight_type.h"

enum { LAYOUT_ROWS = 16, LAYOUT_COLS = 64, LAYOUT_HEADER_COLS = 256 };
/* Columns of a row of activations that share a scale, where these are e4m3 (CUDA_ACTIVATION_E4M3 of
 * elementwise_args.h). */
enum { LAYOUT_BLOCK_COLS = 128 };

enum layout_scales {
    LAYOUT_NO_SCALE,
    LAYOUT_BLOCK_SCALE,
    LAYOUT_BLOCK_SCALE_MIN,
    LAYOUT_BLOCK_SCALE_ZERO,
    LAYOUT_SUB_SCALE_16,
    LAYOUT_SUB_SCALE_MIN_32,
    LAYOUT_UNIT_SCALE,
    LAYOUT_UNIT_SCALE_ZERO
};

/* Formats that GGUF doesn't have, numbered after enum weight_type; wherever a weight_type is asked
 * for as a number, these may stand too. */
enum layout_type {
    LAYOUT_FP8 = WEIGHT_TYPES, /* e4m3 times an f32 of a row or of a block of columns; the two codes
                                  of NaN count as +-480 */
    LAYOUT_INT4_32,            /* (code - zero) times an f16 of 32 columns */
    LAYOUT_INT4_64,            /* the same of 64 columns, 128, 192 ... */
    LAYOUT_FP8_FP8, /* packed as FP8, the scale being the same in LAYOUT_BLOCK_COLS columns, and
                       multiplied as it is with activations that are e4m3 too; a NaN is one */
    LAYOUT_TYPES
};

struct weight_format {
    uint32_t low_bits, high_bits; /* of a value in its planes */
    uint32_t code_offset, sub_offset;
    enum layout_scales scales;
    uint32_t header_bytes; /* 0: none */
};

/* C++ takes these as constants of its templates. */
#ifdef __cplusplus
#define LAYOUT_CONSTANT constexpr
#define LAYOUT_TABLE const
#else
#define LAYOUT_CONSTANT static inline
#define LAYOUT_TABLE static const
#endif

LAYOUT_CONSTANT struct weight_format weight_layout_format(uint32_t type) {
    LAYOUT_TABLE struct weight_format formats[LAYOUT_TYPES] = {
        {32, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* F32 */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* F16 */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* BF16 */
        {4, 0, 8, 0, LAYOUT_BLOCK_SCALE, 0},       /* Q4_0 */
        {4, 0, 0, 0, LAYOUT_BLOCK_SCALE_MIN, 0},   /* Q4_1 */
        {4, 1, 16, 0, LAYOUT_BLOCK_SCALE, 0},      /* Q5_0 */
        {4, 1, 0, 0, LAYOUT_BLOCK_SCALE_MIN, 0},   /* Q5_1 */
        {8, 0, 128, 0, LAYOUT_BLOCK_SCALE, 0},     /* Q8_0 */
        {2, 0, 0, 0, LAYOUT_SUB_SCALE_16, 64},     /* Q2_K */
        {2, 1, 4, 32, LAYOUT_SUB_SCALE_16, 32},    /* Q3_K */
        {4, 0, 0, 0, LAYOUT_SUB_SCALE_MIN_32, 64}, /* Q4_K */
        {4, 1, 0, 0, LAYOUT_SUB_SCALE_MIN_32, 64}, /* Q5_K */
        {4, 2, 32, 128, LAYOUT_SUB_SCALE_16, 32},  /* Q6_K */
        {8, 0, 128, 0, LAYOUT_NO_SCALE, 64},       /* Q8_K */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* IQ4_NL */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* IQ4_XS */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* MXFP4 */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* NVFP4 */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* TQ1_0 */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* TQ2_0 */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* IQ1_S */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* IQ1_M */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* IQ2_XXS */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* IQ2_XS */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* IQ2_S */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* IQ3_XXS */
        {16, 0, 0, 0, LAYOUT_NO_SCALE, 0},         /* IQ3_S */
        {8, 0, 0, 0, LAYOUT_UNIT_SCALE, 0},        /* FP8 */
        {4, 0, 0, 0, LAYOUT_BLOCK_SCALE_ZERO, 0},  /* INT4_32 */
        {4, 0, 0, 0, LAYOUT_UNIT_SCALE_ZERO, 0},   /* INT4_64 */
        {8, 0, 0, 0, LAYOUT_UNIT_SCALE, 0},        /* FP8_FP8 */
    };
    return formats[type];
}

/* The type whose kernels read a weight of the file's type. */
LAYOUT_CONSTANT uint32_t weight_layout_type(uint32_t type) {
    return type > WEIGHT_Q8_K && type < WEIGHT_TYPES ? (uint32_t)WEIGHT_BF16 : type;
}

LAYOUT_CONSTANT uint32_t weight_layout_low_bytes(struct weight_format format) {
    return LAYOUT_ROWS * LAYOUT_COLS / 8 * format.low_bits;
}
LAYOUT_CONSTANT uint32_t weight_layout_high_bytes(struct weight_format format) {
    return LAYOUT_ROWS * LAYOUT_COLS / 8 * format.high_bits;
}
/* Of a unit. */
LAYOUT_CONSTANT uint32_t weight_layout_scale_bytes(struct weight_format format) {
    if (format.scales == LAYOUT_NO_SCALE) return 0;
    return format.scales == LAYOUT_BLOCK_SCALE_MIN || format.scales == LAYOUT_BLOCK_SCALE_ZERO ? 128
                                                                                               : 64;
}
LAYOUT_CONSTANT uint32_t weight_layout_unit_bytes(struct weight_format format) {
    return weight_layout_low_bytes(format) + weight_layout_high_bytes(format) +
           weight_layout_scale_bytes(format);
}
/* Where unit `unit` of a row tile begins; its header, if it is the first that has it, lies before.
 */
LAYOUT_CONSTANT size_t weight_layout_unit_offset(struct weight_format format, size_t unit) {
    return unit * weight_layout_unit_bytes(format) +
           (unit / (LAYOUT_HEADER_COLS / LAYOUT_COLS) + 1) * format.header_bytes;
}
/* Where the header of unit `unit` begins. */
LAYOUT_CONSTANT size_t weight_layout_header_offset(struct weight_format format, size_t unit) {
    size_t run = unit / (LAYOUT_HEADER_COLS / LAYOUT_COLS);
    return run * (LAYOUT_HEADER_COLS / LAYOUT_COLS * weight_layout_unit_bytes(format) +
                  format.header_bytes);
}

static inline size_t weight_layout_padded_cols(size_t n_cols) {
    return (n_cols + LAYOUT_COLS - 1) / LAYOUT_COLS * LAYOUT_COLS;
}

#ifdef __cplusplus
extern "C" {
#endif
/* Bytes of a row tile, a multiple of 16. */
size_t weight_layout_tile_bytes(uint32_t type, size_t n_cols);
/* n_rows (1 ... LAYOUT_ROWS) rows of file bytes, row_bytes apart, any alignment → one row tile. */
void weight_layout_pack(enum weight_type type, const void *rows, size_t row_bytes, size_t n_rows,
                        size_t n_cols, void *tile);
/* One row of a tile as f32: what weight_type_traits.dequantize gives, exactly where the type has a
 * layout of its own, else rounded to bf16. For tests. */
void weight_layout_unpack_row(enum weight_type type, const void *tile, size_t row, size_t n_cols,
                              float *to);

/* The same of LAYOUT_FP8: codes [n_rows][code_stride], the scale of row r and column c at
 * scales[r * scale_stride + c / scale_cols]; scale_cols is a multiple of LAYOUT_COLS. */
struct layout_fp8 {
    const uint8_t *codes;
    const float *scales;
    size_t code_stride, scale_stride, scale_cols;
};
void weight_layout_pack_fp8(const struct layout_fp8 *from, size_t n_rows, size_t n_cols,
                            void *tile);
/* The same of LAYOUT_INT4_32 and _64: two codes in a byte, the lower column in the low nibble;
 * scale and zero (0 ... 16) of row r and column c at [r * scale_stride + c / scale_cols],
 * scale_cols being 32 of _32, else a multiple of 64. */
struct layout_int4 {
    const uint8_t *codes;
    const uint16_t *scales; /* f16 */
    const uint8_t *zeros;
    size_t code_stride, scale_stride, scale_cols;
};
void weight_layout_pack_int4(uint32_t type, const struct layout_int4 *from, size_t n_rows,
                             size_t n_cols, void *tile);
#ifdef __cplusplus
}
#endif

#endif
