/* The formats whose weights are levels of a table. A block of 256 is read into codes and integer
 * scales, for all of them alike; every product of a half, a scale and a level is exact in f32, so
 * it doesn't matter in which order the factors are taken. */
#include "quant/codebook.h"

#include <assert.h>

#include "quant/block_types.h"
#include "quant/codebook_tables.h"

static uint32_t load_u32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

/* Eight signs of seven bits: the eighth makes the number of negative ones even. */
static unsigned even_signs(uint32_t seven) {
    uint32_t parity = seven ^ seven >> 4;
    parity ^= parity >> 2;
    return seven | ((parity ^ parity >> 1) & 1u) << 7;
}

/* ---- IQ2: eight levels of a row, two bits each, and their signs ---- */

static void row_of_eight(unsigned row, unsigned signs, uint8_t *codes) {
    for (unsigned i = 0; i < 8; i++)
        codes[i] = (uint8_t)((row >> 2 * i & 3u) | (signs >> i & 1u) << 2);
}

/* d | 8 x (4 indices | 4 x 7 bits of signs, 4 of scale) */
static void read_iq2_xxs(const uint8_t *block, struct codebook_block *to) {
    for (size_t group = 0; group < 8; group++) {
        const uint8_t *from = block + 2 + 8 * group;
        uint32_t signs = load_u32(from + 4);
        to->scales[group] = (int8_t)(2 * (signs >> 28) + 1);
        for (size_t i = 0; i < 4; i++)
            row_of_eight(codebook_grid_iq2_xxs[from[i]], even_signs(signs >> 7 * i & 127u),
                         to->codes + 32 * group + 8 * i);
    }
}

/* Sixteen odd scales of four bits. */
static void odd_scales(const uint8_t *nibbles, struct codebook_block *to) {
    for (size_t i = 0; i < 16; i++)
        to->scales[i] = (int8_t)(2 * (nibbles[i / 2] >> i % 2 * 4 & 15) + 1);
}

/* d | 32 x (9 bits of index, 7 of signs) | 16 scales */
static void read_iq2_xs(const uint8_t *block, struct codebook_block *to) {
    odd_scales(block + 66, to);
    for (size_t i = 0; i < 32; i++) {
        unsigned word = load_u16(block + 2 + 2 * i);
        row_of_eight(codebook_grid_iq2_xs[word & 511], even_signs(word >> 9), to->codes + 8 * i);
    }
}

/* d | 32 low bytes of indices | 32 x 8 signs | 32 x 2 high bits of indices | 16 scales */
static void read_iq2_s(const uint8_t *block, struct codebook_block *to) {
    odd_scales(block + 74, to);
    for (size_t i = 0; i < 32; i++) {
        unsigned high = block[66 + i / 4] >> i % 4 * 2 & 3;
        row_of_eight(codebook_grid_iq2_s[block[2 + i] | high << 8], block[34 + i],
                     to->codes + 8 * i);
    }
}

/* ---- IQ3: four levels of a row, three bits each ---- */

static void row_of_four(unsigned row, unsigned signs, uint8_t *codes) {
    for (unsigned i = 0; i < 4; i++)
        codes[i] = (uint8_t)((row >> 3 * i & 7u) | (signs >> i & 1u) << 3);
}

/* d | 64 indices | 8 x (4 x 7 bits of signs, 4 of scale) */
static void read_iq3_xxs(const uint8_t *block, struct codebook_block *to) {
    for (size_t group = 0; group < 8; group++) {
        uint32_t word = load_u32(block + 66 + 4 * group);
        to->scales[group] = (int8_t)(2 * (word >> 28) + 1);
        for (size_t i = 0; i < 8; i++)
            row_of_four(codebook_grid_iq3_xxs[block[2 + 8 * group + i]],
                        even_signs(word >> i / 2 * 7 & 127u) >> i % 2 * 4,
                        to->codes + 32 * group + 4 * i);
    }
}

/* d | 64 low bytes of indices | 64 ninth bits | 32 x 8 signs | 8 scales */
static void read_iq3_s(const uint8_t *block, struct codebook_block *to) {
    for (size_t group = 0; group < 8; group++)
        to->scales[group] = (int8_t)(2 * (block[106 + group / 2] >> group % 2 * 4 & 15) + 1);
    for (size_t i = 0; i < 64; i++) {
        unsigned ninth = block[66 + i / 8] >> i % 8 & 1;
        row_of_four(codebook_grid_iq3_s[block[2 + i] | ninth << 8],
                    (unsigned)block[74 + i / 2] >> i % 2 * 4, to->codes + 4 * i);
    }
}

/* ---- IQ1: eight of -1, 0, 1, all moved by an eighth up or down ---- */

/* d | 32 low bytes of indices | 8 x (4 x 3 high bits, 3 of scale, 1: down) */
static void read_iq1_s(const uint8_t *block, struct codebook_block *to) {
    for (size_t group = 0; group < 8; group++) {
        unsigned word = load_u16(block + 34 + 2 * group);
        to->scales[group] = (int8_t)(2 * (word >> 12 & 7) + 1);
        for (size_t i = 0; i < 4; i++) {
            unsigned index = block[2 + 4 * group + i] | (word >> 3 * i & 7) << 8;
            row_of_eight(codebook_grid_iq1_s[index], word >> 15 ? 255 : 0,
                         to->codes + 32 * group + 8 * i);
        }
    }
}

/* 32 low bytes of indices | 32 x (3 high bits, 1: down) | 4 x (4 x 3 bits of scale, 4 bits of d) */
static void read_iq1_m(const uint8_t *block, struct codebook_block *to) {
    unsigned d = 0;
    for (size_t i = 0; i < 16; i++) {
        unsigned word = load_u16(block + 48 + i / 4 * 2);
        to->scales[i] = (int8_t)(2 * (word >> i % 4 * 3 & 7) + 1);
        if (i % 4 == 0) d |= word >> 12 << i;
    }
    to->d = (uint16_t)d;
    for (size_t i = 0; i < 32; i++) {
        unsigned four = (unsigned)block[32 + i / 2] >> i % 2 * 4 & 15u;
        row_of_eight(codebook_grid_iq1_s[block[i] | (four & 7) << 8], four & 8 ? 255 : 0,
                     to->codes + 8 * i);
    }
}

/* ---- IQ4_XS: sixteen levels ---- */

/* d | 8 x 2 high bits of scales | 8 x 4 low bits | 8 x 16 bytes, element i low, i + 16 high */
static void read_iq4_xs(const uint8_t *block, struct codebook_block *to) {
    for (size_t group = 0; group < 8; group++) {
        int low = block[4 + group / 2] >> group % 2 * 4 & 15;
        int high = load_u16(block + 2) >> 2 * group & 3;
        to->scales[group] = (int8_t)((low | high << 4) - 32);
        for (size_t i = 0; i < 16; i++) {
            uint8_t both = block[8 + 16 * group + i];
            to->codes[32 * group + i] = both & 15;
            to->codes[32 * group + 16 + i] = both >> 4;
        }
    }
}

/* ---- ternary: -1, 0, 1 ---- */

static const int8_t ternary[16] = {-1, 0, 1, 2};

/* 64 bytes of two bits, 32 serve 128 elements | d */
static void read_tq2_0(const uint8_t *block, struct codebook_block *to) {
    memset(to->scales, 1, sizeof to->scales);
    for (size_t i = 0; i < CODEBOOK_COLUMNS; i++)
        to->codes[i] = block[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

/* n bytes of `digits` digits to base three, byte i having elements i, i + n, i + 2 n … A byte is
 * the fraction of 256, rounded up, that its digits are of 3^5: a product with three leaves the next
 * digit above it. */
static uint8_t *read_digits(const uint8_t *bytes, size_t n, size_t digits, uint8_t *codes) {
    for (size_t i = 0; i < n; i++) {
        unsigned fraction = bytes[i];
        for (size_t digit = 0; digit < digits; digit++) {
            codes[digit * n + i] = (uint8_t)(fraction * 3 >> 8);
            fraction = fraction * 3 & 255;
        }
    }
    return codes + n * digits;
}

/* 32 bytes of five digits | 16 bytes of five | 4 bytes of four | d */
static void read_tq1_0(const uint8_t *block, struct codebook_block *to) {
    memset(to->scales, 1, sizeof to->scales);
    uint8_t *codes = read_digits(block, 32, 5, to->codes);
    codes = read_digits(block + 32, 16, 5, codes);
    read_digits(block + 48, 4, 4, codes);
}

/* ---- all of them ---- */

static const struct codebook_type {
    struct codebook_format format;
    size_t d; /* offset of the half; IQ1_M has it in pieces */
    void (*read)(const uint8_t *block, struct codebook_block *to);
} types[WEIGHT_TYPES] = {
    [WEIGHT_IQ4_XS] = {{codebook_levels_iq4, 1.0f, 4, 32}, 0, read_iq4_xs},
    [WEIGHT_TQ1_0] = {{ternary, 1.0f, 2, 32}, 52, read_tq1_0},
    [WEIGHT_TQ2_0] = {{ternary, 1.0f, 2, 32}, 64, read_tq2_0},
    [WEIGHT_IQ1_S] = {{codebook_levels_iq1, 0.125f, 3, 32}, 0, read_iq1_s},
    [WEIGHT_IQ1_M] = {{codebook_levels_iq1, 0.125f, 3, 16}, 0, read_iq1_m},
    [WEIGHT_IQ2_XXS] = {{codebook_levels_iq2, 0.125f, 3, 32}, 0, read_iq2_xxs},
    [WEIGHT_IQ2_XS] = {{codebook_levels_iq2, 0.125f, 3, 16}, 0, read_iq2_xs},
    [WEIGHT_IQ2_S] = {{codebook_levels_iq2, 0.125f, 3, 16}, 0, read_iq2_s},
    [WEIGHT_IQ3_XXS] = {{codebook_levels_iq3_xxs, 0.25f, 4, 32}, 0, read_iq3_xxs},
    [WEIGHT_IQ3_S] = {{codebook_levels_iq3_s, 1.0f, 4, 32}, 0, read_iq3_s},
};

const struct codebook_format *codebook_format_of(enum weight_type type) {
    return types[type].read ? &types[type].format : NULL;
}

void codebook_read(enum weight_type type, const uint8_t *block, struct codebook_block *to) {
    assert(types[type].read);
    to->d = load_u16(block + types[type].d);
    types[type].read(block, to);
}

void codebook_values(enum weight_type type, const struct codebook_block *block, float *to) {
    const struct codebook_format *format = &types[type].format;
    float d = half_to_float(block->d);
    for (size_t first = 0; first < CODEBOOK_COLUMNS; first += format->scale_columns) {
        float scale = d * (float)block->scales[first / format->scale_columns] * format->factor;
        for (size_t i = first; i < first + format->scale_columns; i++)
            to[i] = scale * (float)format->levels[block->codes[i]];
    }
}

static void dequantize(enum weight_type type, const void *from, float *to, size_t n) {
    const uint8_t *at = from;
    for (size_t b = 0; b < n / CODEBOOK_COLUMNS; b++, to += CODEBOOK_COLUMNS) {
        struct codebook_block block;
        codebook_read(type, at, &block);
        codebook_values(type, &block, to);
        at += weight_type_traits[type].block_bytes;
    }
}

#define DEQUANTIZE(name, TYPE)                                               \
    void codebook_dequantize_##name(const void *from, float *to, size_t n) { \
        dequantize(WEIGHT_##TYPE, from, to, n);                              \
    }
DEQUANTIZE(iq4_xs, IQ4_XS)
DEQUANTIZE(tq1_0, TQ1_0)
DEQUANTIZE(tq2_0, TQ2_0)
DEQUANTIZE(iq1_s, IQ1_S)
DEQUANTIZE(iq1_m, IQ1_M)
DEQUANTIZE(iq2_xxs, IQ2_XXS)
DEQUANTIZE(iq2_xs, IQ2_XS)
DEQUANTIZE(iq2_s, IQ2_S)
DEQUANTIZE(iq3_xxs, IQ3_XXS)
DEQUANTIZE(iq3_s, IQ3_S)
