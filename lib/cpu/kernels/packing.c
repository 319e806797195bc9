#include "cpu/kernels/packing.h"

#include <assert.h>
#include <string.h>

#include "quant/codebook.h"

/* Q5_0 and Q5_1 keep the fifth bits of a block in one little-endian word, bit k of element k.
 * Widened, bit j of byte i is element 4j + i: a shift of the whole word puts the four bits of step
 * j where its bytes want them. */
static uint32_t spread_fifth_bits(uint32_t bits) {
    uint32_t spread = 0;
    for (unsigned j = 0; j < 8; j++) /* bit i of a nibble to bit 0 of byte i: i + 7i = 8i */
        spread |= ((bits >> 4 * j & 15u) * 0x00204081u & 0x01010101u) << j;
    return spread;
}

static uint32_t gather_fifth_bits(uint32_t spread) {
    uint32_t bits = 0;
    for (unsigned k = 0; k < 32; k++) bits |= (spread >> (k % 4 * 8 + k / 4) & 1u) << k;
    return bits;
}

static void convert_word(uint32_t (*convert)(uint32_t), uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    word = convert(word);
    memcpy(at, &word, sizeof word);
}

static void q5_0_widen(const uint8_t *block, uint8_t *wide) {
    memcpy(wide, block, 22);
    convert_word(spread_fifth_bits, wide + 2);
}

static void q5_0_narrow(const uint8_t *wide, uint8_t *block) {
    memcpy(block, wide, 22);
    convert_word(gather_fifth_bits, block + 2);
}

static void q5_1_widen(const uint8_t *block, uint8_t *wide) {
    memcpy(wide, block, 24);
    convert_word(spread_fifth_bits, wide + 4);
}

static void q5_1_narrow(const uint8_t *wide, uint8_t *block) {
    memcpy(block, wide, 24);
    convert_word(gather_fifth_bits, block + 4);
}

/* Q3_K: sixteen scales of six bits in twelve bytes, low four bits of scale i in byte i % 8, nibble
 * i / 8, high two in byte 8 + i % 4, bits 2 (i / 4). Widened: d, scales, third bits, two bits. */
static void q3_k_widen(const uint8_t *block, uint8_t *wide) {
    const uint8_t *packed = block + 96;
    memcpy(wide, block + 108, 2);
    for (unsigned i = 0; i < 16; i++)
        wide[2 + i] = (uint8_t)((packed[i % 8] >> i / 8 * 4 & 15) |
                                (packed[8 + i % 4] >> i / 4 * 2 & 3) << 4);
    memcpy(wide + 18, block, 96);
}

static void q3_k_narrow(const uint8_t *wide, uint8_t *block) {
    uint8_t *packed = block + 96;
    memcpy(block + 108, wide, 2);
    memset(packed, 0, 12);
    for (unsigned i = 0; i < 16; i++) {
        packed[i % 8] = (uint8_t)(packed[i % 8] | (wide[2 + i] & 15) << i / 8 * 4);
        packed[8 + i % 4] = (uint8_t)(packed[8 + i % 4] | wide[2 + i] >> 4 << i / 4 * 2);
    }
    memcpy(block, wide + 18, 96);
}

/* Q4_K, Q5_K: eight scales and eight minima of six bits in twelve bytes. The first four of each are
 * the low six bits of bytes 0-3 and 4-7; the others have their low four bits in bytes 8-11 (scale
 * low nibble, minimum high nibble) and their high two on top of bytes 0-3 and 4-7. */
static void k_scales_widen(const uint8_t *packed, uint8_t *wide) {
    for (int i = 0; i < 4; i++) {
        wide[i] = packed[i] & 63;
        wide[8 + i] = packed[4 + i] & 63;
        wide[4 + i] = (uint8_t)((packed[8 + i] & 15) | (packed[i] >> 6) << 4);
        wide[12 + i] = (uint8_t)(packed[8 + i] >> 4 | (packed[4 + i] >> 6) << 4);
    }
}

static void k_scales_narrow(const uint8_t *wide, uint8_t *packed) {
    for (int i = 0; i < 4; i++) {
        packed[i] = (uint8_t)(wide[i] | (wide[4 + i] >> 4) << 6);
        packed[4 + i] = (uint8_t)(wide[8 + i] | (wide[12 + i] >> 4) << 6);
        packed[8 + i] = (uint8_t)((wide[4 + i] & 15) | (wide[12 + i] & 15) << 4);
    }
}

static void k_widen(const uint8_t *block, uint8_t *wide, size_t quant_bytes) {
    memcpy(wide, block, 4);
    k_scales_widen(block + 4, wide + 4);
    memcpy(wide + 20, block + 16, quant_bytes);
}

static void k_narrow(const uint8_t *wide, uint8_t *block, size_t quant_bytes) {
    memcpy(block, wide, 4);
    k_scales_narrow(wide + 4, block + 4);
    memcpy(block + 16, wide + 20, quant_bytes);
}

static void q4_k_widen(const uint8_t *block, uint8_t *wide) {
    k_widen(block, wide, 128);
}
static void q4_k_narrow(const uint8_t *wide, uint8_t *block) {
    k_narrow(wide, block, 128);
}
static void q5_k_widen(const uint8_t *block, uint8_t *wide) {
    k_widen(block, wide, 160);
}
static void q5_k_narrow(const uint8_t *wide, uint8_t *block) {
    k_narrow(wide, block, 160);
}

/* ---- levels of a table: quant/codebook.h ---- */

/* Widened: d, a scale of 16 or 32 columns each (none of ternary types), third bits, two bits as
 * Q3_K's; or d, scales, nibbles as IQ4_XS's. */
static void codebook_widen(enum weight_type type, const uint8_t *block, uint8_t *wide) {
    const struct codebook_format *format = codebook_format_of(type);
    struct codebook_block from;
    codebook_read(type, block, &from);
    memcpy(wide, &from.d, 2);
    uint8_t *to = wide + 2;
    if (format->bits > 2) {
        memcpy(to, from.scales, CODEBOOK_COLUMNS / format->scale_columns);
        to += CODEBOOK_COLUMNS / format->scale_columns;
    }
    if (format->bits == 4) {
        for (size_t i = 0; i < 128; i++) {
            const uint8_t *codes = from.codes + i / 16 * 32 + i % 16;
            to[i] = (uint8_t)(codes[0] | codes[16] << 4);
        }
        return;
    }
    for (size_t i = 0; i < 32 && format->bits == 3; i++) {
        unsigned third = 0;
        for (size_t sub = 0; sub < 8; sub++)
            third |= (unsigned)from.codes[32 * sub + i] >> 2 << sub;
        *to++ = (uint8_t)third;
    }
    for (size_t i = 0; i < 64; i++) {
        const uint8_t *codes = from.codes + i / 32 * 128 + i % 32;
        to[i] = (uint8_t)((codes[0] & 3) | (codes[32] & 3) << 2 | (codes[64] & 3) << 4 |
                          (codes[96] & 3) << 6);
    }
}

static void codebook_wide_values(enum weight_type type, const uint8_t *wide, float *to) {
    const struct codebook_format *format = codebook_format_of(type);
    struct codebook_block block;
    size_t n_scales = CODEBOOK_COLUMNS / format->scale_columns;
    memcpy(&block.d, wide, 2);
    wide += 2;
    memset(block.scales, 1, sizeof block.scales);
    if (format->bits > 2) {
        memcpy(block.scales, wide, n_scales);
        wide += n_scales;
    }
    const uint8_t *third = wide;
    if (format->bits == 3) wide += 32;
    for (size_t i = 0; i < CODEBOOK_COLUMNS; i++) {
        size_t sub = i / 32;
        if (format->bits == 4) {
            block.codes[i] = wide[16 * sub + i % 16] >> i % 32 / 16 * 4 & 15;
        } else {
            block.codes[i] = wide[sub / 4 * 32 + i % 32] >> sub % 4 * 2 & 3;
            if (format->bits == 3)
                block.codes[i] = (uint8_t)(block.codes[i] | (third[i % 32] >> sub & 1) << 2);
        }
    }
    codebook_values(type, &block, to);
}

#define CODEBOOK(name, TYPE)                                        \
    static void name##_widen(const uint8_t *block, uint8_t *wide) { \
        codebook_widen(WEIGHT_##TYPE, block, wide);                 \
    }                                                               \
    static void name##_values(const uint8_t *wide, float *to) {     \
        codebook_wide_values(WEIGHT_##TYPE, wide, to);              \
    }
CODEBOOK(iq4_xs, IQ4_XS)
CODEBOOK(tq1_0, TQ1_0)
CODEBOOK(iq1_s, IQ1_S)
CODEBOOK(iq1_m, IQ1_M)
CODEBOOK(iq2_xxs, IQ2_XXS)
CODEBOOK(iq2_xs, IQ2_XS)
CODEBOOK(iq2_s, IQ2_S)
CODEBOOK(iq3_xxs, IQ3_XXS)
CODEBOOK(iq3_s, IQ3_S)

/* The one e4m3 scale that is no number counts as zero. */
static void nvfp4_widen(const uint8_t *block, uint8_t *wide) {
    memcpy(wide, block, 36);
    for (int i = 0; i < 4; i++)
        if (wide[i] == 127) wide[i] = 0;
}

static void nvfp4_narrow(const uint8_t *wide, uint8_t *block) {
    memcpy(block, wide, 36);
}

const struct packing packing_rows[WEIGHT_TYPES] = {
    [WEIGHT_F32] = {WEIGHT_F32, 1, 4, {{0, 4, 1}}, NULL, NULL, NULL},
    [WEIGHT_F16] = {WEIGHT_F16, 1, 2, {{0, 2, 1}}, NULL, NULL, NULL},
    [WEIGHT_BF16] = {WEIGHT_BF16, 1, 2, {{0, 2, 1}}, NULL, NULL, NULL},
    /* d, quants */
    [WEIGHT_Q4_0] = {WEIGHT_Q4_0, 32, 18, {{0, 2, 1}, {2, 4, 4}}, NULL, NULL, NULL},
    [WEIGHT_Q8_0] = {WEIGHT_Q8_0, 32, 34, {{0, 2, 1}, {2, 4, 8}}, NULL, NULL, NULL},
    /* d, m, quants */
    [WEIGHT_Q4_1] = {WEIGHT_Q4_1, 32, 20, {{0, 2, 2}, {4, 4, 4}}, NULL, NULL, NULL},
    /* d (and m), fifth bits, low four bits */
    [WEIGHT_Q5_0] =
        {WEIGHT_Q5_0, 32, 22, {{0, 2, 1}, {2, 4, 1}, {6, 4, 4}}, q5_0_widen, q5_0_narrow, NULL},
    [WEIGHT_Q5_1] =
        {WEIGHT_Q5_1, 32, 24, {{0, 2, 2}, {4, 4, 1}, {8, 4, 4}}, q5_1_widen, q5_1_narrow, NULL},
    /* d and dmin, scales with minima, two bits */
    [WEIGHT_Q2_K] = {WEIGHT_Q2_K, 256, 84, {{80, 2, 2}, {0, 1, 16}, {16, 4, 16}}, NULL, NULL, NULL},
    /* d, scales, third bits, two bits */
    [WEIGHT_Q3_K] = {WEIGHT_Q3_K,
                     256,
                     114,
                     {{0, 2, 1}, {2, 1, 16}, {18, 4, 24}},
                     q3_k_widen,
                     q3_k_narrow,
                     NULL},
    /* d and dmin, scales and minima, (fifth bits,) low four bits */
    [WEIGHT_Q4_K] = {WEIGHT_Q4_K,
                     256,
                     148,
                     {{0, 2, 2}, {4, 1, 16}, {20, 4, 32}},
                     q4_k_widen,
                     q4_k_narrow,
                     NULL},
    [WEIGHT_Q5_K] = {WEIGHT_Q5_K,
                     256,
                     180,
                     {{0, 2, 2}, {4, 1, 16}, {20, 4, 40}},
                     q5_k_widen,
                     q5_k_narrow,
                     NULL},
    /* d, scales, low four bits, high two bits */
    [WEIGHT_Q6_K] = {WEIGHT_Q6_K,
                     256,
                     210,
                     {{208, 2, 1}, {192, 1, 16}, {0, 4, 32}, {128, 4, 16}},
                     NULL,
                     NULL,
                     NULL},
    /* d, or a byte of scale, nibbles */
    [WEIGHT_IQ4_NL] = {WEIGHT_IQ4_NL, 32, 18, {{0, 2, 1}, {2, 4, 4}}, NULL, NULL, NULL},
    [WEIGHT_MXFP4] = {WEIGHT_MXFP4, 32, 17, {{0, 1, 1}, {1, 4, 4}}, NULL, NULL, NULL},
    [WEIGHT_NVFP4] =
        {WEIGHT_NVFP4, 64, 36, {{0, 1, 4}, {4, 4, 8}}, nvfp4_widen, nvfp4_narrow, NULL},
    /* d, scales, nibbles */
    [WEIGHT_IQ4_XS] = {WEIGHT_IQ4_XS,
                       256,
                       138,
                       {{0, 2, 1}, {2, 1, 8}, {10, 4, 32}},
                       iq4_xs_widen,
                       NULL,
                       iq4_xs_values},
    [WEIGHT_IQ3_XXS] = {WEIGHT_IQ3_XXS,
                        256,
                        138,
                        {{0, 2, 1}, {2, 1, 8}, {10, 4, 32}},
                        iq3_xxs_widen,
                        NULL,
                        iq3_xxs_values},
    [WEIGHT_IQ3_S] = {WEIGHT_IQ3_S,
                      256,
                      138,
                      {{0, 2, 1}, {2, 1, 8}, {10, 4, 32}},
                      iq3_s_widen,
                      NULL,
                      iq3_s_values},
    /* d, two bits */
    [WEIGHT_TQ1_0] =
        {WEIGHT_TQ1_0, 256, 66, {{0, 2, 1}, {2, 4, 16}}, tq1_0_widen, NULL, tq1_0_values},
    [WEIGHT_TQ2_0] = {WEIGHT_TQ2_0, 256, 66, {{64, 2, 1}, {0, 4, 16}}, NULL, NULL, NULL},
    /* d, scales, third bits, two bits */
    [WEIGHT_IQ1_S] = {WEIGHT_IQ1_S,
                      256,
                      106,
                      {{0, 2, 1}, {2, 1, 8}, {10, 4, 24}},
                      iq1_s_widen,
                      NULL,
                      iq1_s_values},
    [WEIGHT_IQ2_XXS] = {WEIGHT_IQ2_XXS,
                        256,
                        106,
                        {{0, 2, 1}, {2, 1, 8}, {10, 4, 24}},
                        iq2_xxs_widen,
                        NULL,
                        iq2_xxs_values},
    [WEIGHT_IQ1_M] = {WEIGHT_IQ1_M,
                      256,
                      114,
                      {{0, 2, 1}, {2, 1, 16}, {18, 4, 24}},
                      iq1_m_widen,
                      NULL,
                      iq1_m_values},
    [WEIGHT_IQ2_XS] = {WEIGHT_IQ2_XS,
                       256,
                       114,
                       {{0, 2, 1}, {2, 1, 16}, {18, 4, 24}},
                       iq2_xs_widen,
                       NULL,
                       iq2_xs_values},
    [WEIGHT_IQ2_S] = {WEIGHT_IQ2_S,
                      256,
                      114,
                      {{0, 2, 1}, {2, 1, 16}, {18, 4, 24}},
                      iq2_s_widen,
                      NULL,
                      iq2_s_values},
};

const struct packing packing_bf16_pairs = {WEIGHT_BF16, 2, 4, {{0, 4, 1}}, NULL, NULL, NULL};

/* Bytes of a packed block's columns in the file. */
static size_t file_bytes(const struct packing *packing) {
    return weight_type_row_bytes(packing->type, packing->columns);
}

size_t packing_group_bytes(const struct packing *packing, size_t group_rows, size_t n_cols) {
    size_t n_blocks = (n_cols + packing->columns - 1) / packing->columns;
    return (n_blocks * packing->block_bytes * group_rows + 63) / 64 * 64;
}

/* A field of n blocks of a row, block_bytes apart, to its places in as many blocks of the group. */
struct field_copy {
    const uint8_t *from;
    uint8_t *to;
    size_t from_step, to_step; /* bytes from block to block */
    size_t stride;             /* bytes from unit to unit in a block of the group */
    size_t n_blocks;
};

static inline __attribute__((always_inline)) void scatter_units(const struct field_copy *copy,
                                                                size_t unit, size_t count) {
    const uint8_t *from = copy->from;
    uint8_t *to = copy->to;
    for (size_t b = 0; b < copy->n_blocks; b++, from += copy->from_step, to += copy->to_step)
        for (size_t u = 0; u < count; u++) memcpy(to + u * copy->stride, from + u * unit, unit);
}

/* The counts that are many get loops of a constant length. */
static void scatter(const struct field_copy *copy, size_t unit, size_t count) {
    if (unit == 4 && count == 1)
        scatter_units(copy, 4, 1);
    else if (unit == 4 && count == 4)
        scatter_units(copy, 4, 4);
    else if (unit == 4 && count == 8)
        scatter_units(copy, 4, 8);
    else if (unit == 4)
        scatter_units(copy, 4, count);
    else if (unit == 2 && count == 1)
        scatter_units(copy, 2, 1);
    else if (unit == 2)
        scatter_units(copy, 2, count);
    else
        scatter_units(copy, 1, count);
}

static void gather(const uint8_t *from, uint8_t *to, size_t stride, size_t unit, size_t count) {
    for (size_t u = 0; u < count; u++) memcpy(to + u * unit, from + u * stride, unit);
}

/* Blocks of a row at a time: what is widened of it, and their part of the group, which stays in L1.
 */
#define PACK_BYTES 2048
#define PACK_GROUP_BYTES 16384

/* Blocks first ... first + n - 1 of one row, at `block`, to lane `row` of the group. */
static void pack_blocks(const struct packing *packing, size_t group_rows, const uint8_t *block,
                        size_t n, size_t row, uint8_t *group) {
    size_t step = file_bytes(packing);
    uint8_t wide[PACK_BYTES + PACKING_BLOCK_BYTES];
    if (packing->widen) {
        for (size_t b = 0; b < n; b++)
            packing->widen(block + b * step, wide + b * packing->block_bytes);
        block = wide;
        step = packing->block_bytes;
    }
    for (const struct packing_field *f = packing->fields; f->count; f++) {
        struct field_copy copy = {.from = block + f->offset,
                                  .to = group + row * f->unit,
                                  .from_step = step,
                                  .to_step = packing->block_bytes * group_rows,
                                  .stride = f->unit * group_rows,
                                  .n_blocks = n};
        scatter(&copy, f->unit, f->count);
        group += (size_t)f->unit * f->count * group_rows;
    }
}

/* The columns after the last whole block. */
static void pack_rest(const struct packing *packing, size_t group_rows, const uint8_t *from,
                      size_t n_cols, size_t row, uint8_t *group) {
    uint8_t block[PACKING_BLOCK_BYTES] = {0};
    memcpy(block, from, weight_type_row_bytes(packing->type, n_cols));
    pack_blocks(packing, group_rows, block, 1, row, group);
}

void packing_pack(const struct packing *packing, size_t group_rows, const void *rows,
                  size_t row_bytes, size_t n_rows, size_t n_cols, void *group) {
    size_t n_blocks = n_cols / packing->columns, rest = n_cols % packing->columns;
    size_t step = file_bytes(packing), group_step = packing->block_bytes * group_rows;
    size_t bytes = packing_group_bytes(packing, group_rows, n_cols);
    assert(n_rows >= 1 && n_rows <= group_rows);
    assert(n_cols % weight_type_traits[packing->type].block == 0);
    /* Zero bits are zero weights in every type. */
    size_t used = n_rows < group_rows ? 0 : n_blocks * group_step;
    memset((uint8_t *)group + used, 0, bytes - used);
    size_t at_once = PACK_GROUP_BYTES / group_step;
    if (at_once > PACK_BYTES / packing->block_bytes) at_once = PACK_BYTES / packing->block_bytes;
    if (at_once == 0) at_once = 1;
    for (size_t first = 0; first < n_blocks; first += at_once) {
        size_t n = n_blocks - first < at_once ? n_blocks - first : at_once;
        for (size_t r = 0; r < n_rows; r++)
            pack_blocks(packing, group_rows, (const uint8_t *)rows + r * row_bytes + first * step,
                        n, r, (uint8_t *)group + first * group_step);
    }
    for (size_t r = 0; r < n_rows && rest > 0; r++)
        pack_rest(packing, group_rows, (const uint8_t *)rows + r * row_bytes + n_blocks * step,
                  rest, r, (uint8_t *)group + n_blocks * group_step);
}

/* Lane `row` of a packed block, straight again. */
static void gather_block(const struct packing *packing, size_t group_rows, const uint8_t *from,
                         size_t row, uint8_t *block) {
    for (const struct packing_field *f = packing->fields; f->count; f++) {
        gather(from + row * f->unit, block + f->offset, f->unit * group_rows, f->unit, f->count);
        from += (size_t)f->unit * f->count * group_rows;
    }
}

/* The row's file blocks again, a few at a time, and the type's own dequantize: its bits by
 * construction. */
void packing_unpack_row(const struct packing *packing, size_t group_rows, const void *group,
                        size_t row, size_t n_cols, float *to) {
    size_t columns = packing->columns, step = file_bytes(packing);
    size_t n_blocks = (n_cols + columns - 1) / columns;
    size_t group_step = packing->block_bytes * group_rows;
    uint8_t wide[PACKING_BLOCK_BYTES], blocks[1024];
    for (size_t b = 0; packing->values && b < n_blocks; b++) {
        gather_block(packing, group_rows, (const uint8_t *)group + b * group_step, row, wide);
        packing->values(wide, to + b * columns);
    }
    if (packing->values) return;
    size_t batch = sizeof blocks / step;
    for (size_t first = 0; first < n_blocks; first += batch) {
        size_t n = n_blocks - first < batch ? n_blocks - first : batch;
        for (size_t i = 0; i < n; i++) {
            uint8_t *block = blocks + i * step;
            gather_block(packing, group_rows, (const uint8_t *)group + (first + i) * group_step,
                         row, packing->narrow ? wide : block);
            if (packing->narrow) packing->narrow(wide, block);
        }
        size_t left = n_cols - first * columns, n_values = n * columns < left ? n * columns : left;
        weight_type_traits[packing->type].dequantize(blocks, to + first * columns, n_values);
    }
}
