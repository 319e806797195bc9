#include "cuda/weight_layout.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "quant/block_types.h"

#define STEPS (LAYOUT_COLS / 16)
#define UNITS_OF_HEADER (LAYOUT_HEADER_COLS / LAYOUT_COLS)

/* A row's part of a unit, of types that have codes. */
struct row_piece {
    uint8_t codes[LAYOUT_COLS];
    uint16_t d[2], m[2]; /* BLOCK_SCALE ...: of the two blocks; UNIT_SCALE: d is an f32 */
    uint8_t sub[4];
};

/* ---- file blocks to codes, eight at a time ---- */

#define EACH_BYTE(x) ((x)*0x0101010101010101u)

static inline uint64_t load_u64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void store_u64(uint8_t *to, uint64_t value) {
    memcpy(to, &value, sizeof value);
}

/* Of n bytes the low nibbles, then the high ones. */
static inline void nibbles_of(const uint8_t *bytes, size_t n, uint8_t *codes) {
    for (size_t i = 0; i < n; i += 8) {
        uint64_t eight = load_u64(bytes + i);
        store_u64(codes + i, eight & EACH_BYTE(15u));
        store_u64(codes + i + n, eight >> 4 & EACH_BYTE(15u));
    }
}

/* The bits of `mask` of n bytes shifted right become bits `to` ... of as many codes, whose other
 * bits stay. */
static inline void add_bits(const uint8_t *bytes, size_t n, size_t shift, uint64_t mask, size_t to,
                            uint8_t *codes) {
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bits = load_u64(bytes + i) >> shift & EACH_BYTE(mask);
        store_u64(codes + i, load_u64(codes + i) | bits << to);
    }
}

/* Adds bit k of a little-endian word to code k. */
static void add_fifth_bits(const uint8_t *high, uint8_t *codes) {
    for (size_t i = 0; i < 4; i++) {
        /* Bit k of byte k alone, then added up to the byte's top, without a carry out of it. */
        uint64_t own = EACH_BYTE((uint64_t)high[i]) & 0x8040201008040201u;
        uint64_t top = own + 0x00406070787C7E7Fu;
        store_u64(codes + 8 * i, load_u64(codes + 8 * i) | (top >> 7 & EACH_BYTE(1u)) << 4);
    }
}

static inline void flip_signs(const uint8_t *from, size_t n, uint8_t *codes) {
    for (size_t i = 0; i < n; i += 8) store_u64(codes + i, load_u64(from + i) ^ EACH_BYTE(0x80u));
}

/* Codes of one block of 32 at `block`. */
static void block_codes(enum weight_type type, const uint8_t *block, uint8_t *codes) {
    switch (type) {
    case WEIGHT_Q4_0:
        nibbles_of(block + 2, 16, codes);
        break;
    case WEIGHT_Q4_1:
        nibbles_of(block + 4, 16, codes);
        break;
    case WEIGHT_Q5_0:
        nibbles_of(block + 6, 16, codes);
        add_fifth_bits(block + 2, codes);
        break;
    case WEIGHT_Q5_1:
        nibbles_of(block + 8, 16, codes);
        add_fifth_bits(block + 4, codes);
        break;
    default: /* Q8_0 */
        flip_signs(block + 2, 32, codes);
    }
}

/* The scales of Q4_K and Q5_K, groups 2 v and 2 v + 1: two scales, two minima (block_types.h). */
static void k_scales(const uint8_t *packed, size_t v, uint8_t *sub) {
    for (size_t j = 0; j < 2; j++) {
        size_t i = 2 * v + j;
        if (i < 4) {
            sub[j] = packed[i] & 63;
            sub[2 + j] = packed[4 + i] & 63;
        } else {
            sub[j] = (uint8_t)((packed[4 + i] & 15) | (packed[i - 4] >> 6) << 4);
            sub[2 + j] = (uint8_t)(packed[4 + i] >> 4 | (packed[i] >> 6) << 4);
        }
    }
}

/* Quarter v (64 columns) of a super-block. */
static void k_piece(enum weight_type type, const uint8_t *block, size_t v,
                    struct row_piece *piece) {
    uint8_t *codes = piece->codes;
    memset(codes, 0, sizeof piece->codes);
    switch (type) {
    case WEIGHT_Q2_K:
        for (size_t j = 0; j < 2; j++)
            add_bits(block + 16 + v / 2 * 32, 32, v % 2 * 4 + j * 2, 3, 0, codes + 32 * j);
        memcpy(piece->sub, block + 4 * v, 4);
        break;
    case WEIGHT_Q3_K:
        for (size_t j = 0; j < 2; j++) {
            add_bits(block + 32 + v / 2 * 32, 32, v % 2 * 4 + j * 2, 3, 0, codes + 32 * j);
            add_bits(block, 32, v * 2 + j, 1, 2, codes + 32 * j);
        }
        for (size_t j = 0; j < 4; j++)
            piece->sub[j] = (uint8_t)((block[96 + (4 * v + j) % 8] >> v / 2 * 4 & 15) |
                                      (block[104 + j] >> v * 2 & 3) << 4);
        break;
    case WEIGHT_Q4_K:
        nibbles_of(block + 16 + 32 * v, 32, codes);
        k_scales(block + 4, v, piece->sub);
        break;
    case WEIGHT_Q5_K:
        nibbles_of(block + 48 + 32 * v, 32, codes);
        for (size_t j = 0; j < 2; j++) add_bits(block + 16, 32, v * 2 + j, 1, 4, codes + 32 * j);
        k_scales(block + 4, v, piece->sub);
        break;
    case WEIGHT_Q6_K:
        add_bits(block + v / 2 * 64, 64, v % 2 * 4, 15, 0, codes);
        for (size_t j = 0; j < 2; j++)
            add_bits(block + 128 + v / 2 * 32, 32, v % 2 * 4 + j * 2, 3, 4, codes + 32 * j);
        for (size_t j = 0; j < 4; j++) piece->sub[j] = block[192 + 4 * v + j] ^ 0x80;
        break;
    default: /* Q8_K */
        flip_signs(block + 4 + 64 * v, 64, codes);
    }
}

/* Of unit `unit` of the row at `row`; columns from n_cols on are zero weights. */
static void read_piece(enum weight_type type, const uint8_t *row, size_t unit, size_t n_cols,
                       struct row_piece *piece) {
    const struct weight_type_traits *traits = &weight_type_traits[type];
    size_t first = unit * LAYOUT_COLS;
    if (traits->block == LAYOUT_HEADER_COLS) {
        k_piece(type, row + first / LAYOUT_HEADER_COLS * traits->block_bytes,
                unit % UNITS_OF_HEADER, piece);
        return;
    }
    memset(piece, 0, sizeof *piece);
    for (size_t b = 0; b < 2 && first + 32 * b < n_cols; b++) {
        const uint8_t *block = row + (first / 32 + b) * traits->block_bytes;
        block_codes(type, block, piece->codes + 32 * b);
        piece->d[b] = load_u16(block);
        if (weight_layout_format(type).scales == LAYOUT_BLOCK_SCALE_MIN)
            piece->m[b] = load_u16(block + 2);
    }
}

/* ---- codes to planes ---- */

/* The four bytes of x apart: into bytes 0, 2, 4 and 6. */
static inline uint64_t apart(uint64_t x) {
    x = (x | x << 16) & 0x0000FFFF0000FFFFu;
    return (x | x << 8) & 0x00FF00FF00FF00FFu;
}

/* Bytes of `a` and `b` in turn: four words, a[2 t] b[2 t] a[2 t + 1] b[2 t + 1], which is word t of
 * every plane if byte 2 t + h of `a` has the lower eight bits of half h; stored `stride` apart. */
static inline void store_interleaved(uint64_t a, uint64_t b, uint8_t *to, size_t stride) {
    uint64_t low = apart(a & 0xFFFFFFFFu) | apart(b & 0xFFFFFFFFu) << 8;
    uint64_t high = apart(a >> 32) | apart(b >> 32) << 8;
    uint32_t words[4] = {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high,
                         (uint32_t)(high >> 32)};
    for (size_t t = 0; t < 4; t++) memcpy(to + t * stride, &words[t], sizeof *words);
}

/* Bits first ... first + 1 of eight codes. */
static uint64_t two_bits(uint64_t codes, unsigned first) {
    return codes >> first & 0x0303030303030303u;
}

/* Rows g and g + 8 of a unit, eight columns to a word: r[s][i] is register i of step s. */
struct row_pair {
    uint64_t r[STEPS][4];
};

static struct row_pair load_pair(const struct row_piece *above, const struct row_piece *below) {
    struct row_pair pair;
    for (size_t s = 0; s < STEPS; s++)
        for (size_t i = 0; i < 4; i++)
            pair.r[s][i] = load_u64((i % 2 ? below : above)->codes + 16 * s + i / 2 * 8);
    return pair;
}

static void store_8_bits(const struct row_pair *pair, size_t g, uint8_t *plane) {
    for (size_t s = 0; s < STEPS; s++)
        for (size_t half = 0; half < 2; half++) {
            store_interleaved(pair->r[s][2 * half], pair->r[s][2 * half + 1],
                              plane + s / 2 * 512 + g * 64 + s % 2 * 8 + half * 4, 16);
        }
}

static void store_4_bits(const struct row_pair *pair, size_t g, uint8_t *plane) {
    const uint64_t nibbles = 0x0F0F0F0F0F0F0F0Fu;
    for (size_t s = 0; s < STEPS; s++) {
        const uint64_t *r = pair->r[s];
        store_interleaved((r[0] & nibbles) | (r[1] & nibbles) << 4,
                          (r[2] & nibbles) | (r[3] & nibbles) << 4, plane + g * 64 + s * 4, 16);
    }
}

static void store_2_bits(const struct row_pair *pair, unsigned first, size_t g, uint8_t *plane) {
    for (size_t s = 0; s < STEPS; s += 2) {
        uint64_t half[2]; /* registers 0 and 1, registers 2 and 3 */
        for (size_t j = 0; j < 2; j++) {
            const uint64_t *r = pair->r[s] + 2 * j, *next = pair->r[s + 1] + 2 * j;
            half[j] = two_bits(r[0], first) | two_bits(next[0], first) << 2 |
                      two_bits(r[1], first) << 4 | two_bits(next[1], first) << 6;
        }
        store_interleaved(half[0], half[1], plane + g * 32 + s / 2 * 4, 8);
    }
}

static void store_1_bit(const struct row_pair *pair, unsigned first, size_t g, uint8_t *plane) {
    const uint64_t ones = 0x0101010101010101u;
    uint64_t half[2] = {0, 0};
    for (size_t s = 0; s < STEPS; s++)
        for (size_t j = 0; j < 2; j++)
            half[j] |= (pair->r[s][2 * j] >> first & ones) << s |
                       (pair->r[s][2 * j + 1] >> first & ones) << (4 + s);
    store_interleaved(half[0], half[1], plane + g * 16, 4);
}

static void store_scales(enum layout_scales kind, const struct row_piece *above,
                         const struct row_piece *below, size_t g, uint8_t *to) {
    if (kind == LAYOUT_BLOCK_SCALE || kind == LAYOUT_BLOCK_SCALE_MIN ||
        kind == LAYOUT_BLOCK_SCALE_ZERO || kind == LAYOUT_UNIT_SCALE ||
        kind == LAYOUT_UNIT_SCALE_ZERO) {
        bool wide = kind == LAYOUT_BLOCK_SCALE_MIN || kind == LAYOUT_BLOCK_SCALE_ZERO;
        uint8_t *at = to + g * (wide ? 16 : 8);
        memcpy(at, above->d, 4);
        memcpy(at + 4, below->d, 4);
        if (!wide) return;
        memcpy(at + 8, above->m, 4);
        memcpy(at + 12, below->m, 4);
    } else if (kind != LAYOUT_NO_SCALE) {
        memcpy(to + g * 8, above->sub, 4);
        memcpy(to + g * 8 + 4, below->sub, 4);
    }
}

/* Rows g and g + 8 of a unit. */
static void store_pieces(const struct weight_format *format, const struct row_piece pieces[2],
                         size_t g, uint8_t *to) {
    uint8_t *high = to + weight_layout_low_bytes(*format);
    struct row_pair pair = load_pair(&pieces[0], &pieces[1]);
    if (format->low_bits == 8)
        store_8_bits(&pair, g, to);
    else if (format->low_bits == 4)
        store_4_bits(&pair, g, to);
    else
        store_2_bits(&pair, 0, g, to);
    if (format->high_bits == 2)
        store_2_bits(&pair, format->low_bits, g, high);
    else if (format->high_bits == 1)
        store_1_bit(&pair, format->low_bits, g, high);
    store_scales(format->scales, &pieces[0], &pieces[1], g,
                 high + weight_layout_high_bytes(*format));
}

static void pack_codes(enum weight_type type, const uint8_t *const rows[LAYOUT_ROWS], size_t unit,
                       size_t n_cols, uint8_t *to) {
    const struct weight_format format = weight_layout_format(type);
    for (size_t g = 0; g < 8; g++) {
        struct row_piece pieces[2];
        for (size_t half = 0; half < 2; half++) {
            const uint8_t *row = rows[g + 8 * half];
            if (row)
                read_piece(type, row, unit, n_cols, &pieces[half]);
            else
                memset(&pieces[half], 0, sizeof *pieces); /* zero scales */
        }
        store_pieces(&format, pieces, g, to);
    }
}

/* Where a super-block has its factors: d, and dmin after it where the header has room. */
static size_t factors_at(enum weight_type type) {
    switch (type) {
    case WEIGHT_Q2_K:
        return 80;
    case WEIGHT_Q3_K:
        return 108;
    case WEIGHT_Q6_K:
        return 208;
    default:
        return 0;
    }
}

static void pack_header(enum weight_type type, const uint8_t *const rows[LAYOUT_ROWS], size_t run,
                        uint8_t *to) {
    size_t bytes = weight_layout_format(type).header_bytes / LAYOUT_ROWS;
    size_t offset = run * weight_type_traits[type].block_bytes + factors_at(type);
    for (size_t r = 0; r < LAYOUT_ROWS; r++) {
        uint8_t *at = to + r % 8 * (2 * bytes) + r / 8 * bytes;
        if (rows[r])
            memcpy(at, rows[r] + offset, bytes);
        else
            memset(at, 0, bytes);
    }
}

/* Elements of 2 or 4 bytes as the file has them: two, next to each other in a row, are copied at
 * once. Called with a constant. */
static inline __attribute__((always_inline)) void pack_pairs(size_t bytes,
                                                             const uint8_t *const rows[LAYOUT_ROWS],
                                                             size_t unit, size_t n_cols,
                                                             uint8_t *to) {
    size_t first = unit * LAYOUT_COLS;
    size_t present = n_cols - first < LAYOUT_COLS ? n_cols - first : LAYOUT_COLS;
    for (size_t r = 0; r < LAYOUT_ROWS; r++) {
        uint8_t piece[LAYOUT_COLS * 4] = {0};
        const uint8_t *from = piece;
        if (rows[r] && present == LAYOUT_COLS)
            from = rows[r] + first * bytes;
        else if (rows[r])
            memcpy(piece, rows[r] + first * bytes, present * bytes);
        uint8_t *lane = to + r % 8 * 64 + r / 8 * 2 * bytes;
        for (size_t eight = 0; eight < LAYOUT_COLS / 8; eight++)
            for (size_t t = 0; t < 4; t++, from += 2 * bytes) {
                size_t at = bytes == 2 ? eight / 2 * 512 + eight % 2 * 8 : eight * 512;
                memcpy(lane + at + t * 16, from, 2 * bytes);
            }
    }
}

static void pack_elements(size_t bytes, const uint8_t *const rows[LAYOUT_ROWS], size_t unit,
                          size_t n_cols, uint8_t *to) {
    if (bytes == 2)
        pack_pairs(2, rows, unit, n_cols, to);
    else
        pack_pairs(4, rows, unit, n_cols, to);
}

/* Values rounded to bf16, LAYOUT_HEADER_COLS columns at a time: a whole number of blocks of every
 * type. */
static void pack_rounded(enum weight_type type, const uint8_t *const rows[LAYOUT_ROWS],
                         size_t n_cols, uint8_t *tile) {
    const struct weight_format format = weight_layout_format(type);
    uint16_t halves[LAYOUT_ROWS][LAYOUT_HEADER_COLS];
    for (size_t first = 0; first < n_cols; first += LAYOUT_HEADER_COLS) {
        size_t n = n_cols - first < LAYOUT_HEADER_COLS ? n_cols - first : LAYOUT_HEADER_COLS;
        const uint8_t *rounded[LAYOUT_ROWS];
        for (size_t r = 0; r < LAYOUT_ROWS; r++) {
            float values[LAYOUT_HEADER_COLS];
            rounded[r] = rows[r] ? (const uint8_t *)halves[r] : NULL;
            if (!rows[r]) continue;
            weight_type_traits[type].dequantize(rows[r] + weight_type_row_bytes(type, first),
                                                values, n);
            for (size_t i = 0; i < n; i++) halves[r][i] = bfloat16_from_float(values[i]);
        }
        for (size_t unit = 0; unit * LAYOUT_COLS < n; unit++)
            pack_pairs(2, rounded, unit, n,
                       tile + weight_layout_unit_offset(format, first / LAYOUT_COLS + unit));
    }
}

/* ---- the whole tile ---- */

size_t weight_layout_tile_bytes(uint32_t type, size_t n_cols) {
    const struct weight_format format = weight_layout_format(type);
    size_t n_units = weight_layout_padded_cols(n_cols) / LAYOUT_COLS;
    size_t n_headers = (n_units + UNITS_OF_HEADER - 1) / UNITS_OF_HEADER;
    return n_units * weight_layout_unit_bytes(format) + n_headers * format.header_bytes;
}

void weight_layout_pack(enum weight_type type, const void *rows, size_t row_bytes, size_t n_rows,
                        size_t n_cols, void *tile) {
    const struct weight_format format = weight_layout_format(type);
    const uint8_t *row[LAYOUT_ROWS];
    assert(n_rows >= 1 && n_rows <= LAYOUT_ROWS);
    assert(n_cols % weight_type_traits[type].block == 0);
    for (size_t r = 0; r < LAYOUT_ROWS; r++)
        row[r] = r < n_rows ? (const uint8_t *)rows + r * row_bytes : NULL;
    if (weight_layout_type(type) != type) {
        pack_rounded(type, row, n_cols, tile);
        return;
    }
    for (size_t unit = 0; unit * LAYOUT_COLS < n_cols; unit++) {
        uint8_t *to = (uint8_t *)tile + weight_layout_unit_offset(format, unit);
        if (format.low_bits >= 16)
            pack_elements(format.low_bits / 8, row, unit, n_cols, to);
        else
            pack_codes(type, row, unit, n_cols, to);
        if (format.header_bytes && unit % UNITS_OF_HEADER == 0)
            pack_header(type, row, unit / UNITS_OF_HEADER, to - format.header_bytes);
    }
}

static void fp8_piece(const struct layout_fp8 *from, size_t row, size_t unit, size_t n_cols,
                      struct row_piece *piece) {
    size_t first = unit * LAYOUT_COLS;
    size_t n = n_cols - first < LAYOUT_COLS ? n_cols - first : LAYOUT_COLS;
    memset(piece, 0, sizeof *piece);
    memcpy(piece->codes, from->codes + row * from->code_stride + first, n);
    memcpy(piece->d, from->scales + row * from->scale_stride + first / from->scale_cols, 4);
}

void weight_layout_pack_fp8(const struct layout_fp8 *from, size_t n_rows, size_t n_cols,
                            void *tile) {
    const struct weight_format format = weight_layout_format(LAYOUT_FP8);
    for (size_t unit = 0; unit * LAYOUT_COLS < n_cols; unit++)
        for (size_t g = 0; g < 8; g++) {
            struct row_piece pieces[2];
            memset(pieces, 0, sizeof pieces);
            for (size_t half = 0; half < 2; half++)
                if (g + 8 * half < n_rows)
                    fp8_piece(from, g + 8 * half, unit, n_cols, &pieces[half]);
            store_pieces(&format, pieces, g,
                         (uint8_t *)tile + weight_layout_unit_offset(format, unit));
        }
}

static void int4_piece(const struct layout_int4 *from, size_t row, size_t unit, size_t n_cols,
                       struct row_piece *piece) {
    memset(piece, 0, sizeof *piece);
    bool by_unit = from->scale_cols >= LAYOUT_COLS;
    for (size_t b = 0; b < 2 && unit * LAYOUT_COLS + b * 32 < n_cols; b++) {
        size_t col = unit * LAYOUT_COLS + b * 32;
        const uint8_t *bytes = from->codes + row * from->code_stride + col / 2;
        for (size_t i = 0; i < 32; i++) piece->codes[32 * b + i] = bytes[i / 2] >> i % 2 * 4 & 15;
        size_t at = row * from->scale_stride + col / from->scale_cols;
        uint16_t zero = (uint16_t)(0x8000u | (uint32_t)from->zeros[at] << (row < 8 ? 0 : 4));
        if (by_unit) {
            piece->d[0] = from->scales[at];
            piece->d[1] = zero;
        } else {
            piece->d[b] = from->scales[at];
            piece->m[b] = zero;
        }
    }
}

void weight_layout_pack_int4(uint32_t type, const struct layout_int4 *from, size_t n_rows,
                             size_t n_cols, void *tile) {
    const struct weight_format format = weight_layout_format(type);
    assert(n_cols % 32 == 0);
    for (size_t unit = 0; unit * LAYOUT_COLS < n_cols; unit++)
        for (size_t g = 0; g < 8; g++) {
            struct row_piece pieces[2];
            memset(pieces, 0, sizeof pieces);
            for (size_t half = 0; half < 2; half++)
                if (g + 8 * half < n_rows)
                    int4_piece(from, g + 8 * half, unit, n_cols, &pieces[half]);
            store_pieces(&format, pieces, g,
                         (uint8_t *)tile + weight_layout_unit_offset(format, unit));
        }
}

/* ---- back, value by value, by the description in the header file ---- */

/* Where a value is. */
struct place {
    size_t g, lower, lane; /* row g + 8 lower */
    size_t s, i, h;
};

static struct place place_of(size_t row, size_t col) {
    struct place p = {.g = row % 8, .lower = row / 8, .s = col / 16, .h = col % 2};
    p.lane = p.g * 4 + col % 8 / 2;
    p.i = col % 16 / 8 * 2 + p.lower;
    return p;
}

static uint32_t word_at(const uint8_t *from) {
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

static uint32_t bits_at(const uint8_t *plane, uint32_t bits, const struct place *p) {
    uint32_t word;
    switch (bits) {
    case 8:
        return plane[p->s / 2 * 512 + p->lane * 16 + p->s % 2 * 8 + p->i / 2 * 4 + p->h * 2 +
                     p->i % 2];
    case 4:
        return word_at(plane + p->lane * 16 + p->s * 4) >> (4 * p->i + 16 * p->h) & 15;
    case 2:
        word = word_at(plane + p->lane * 8 + p->s / 2 * 4);
        return word >> (p->s % 2 * 2 + 4 * p->i + 16 * p->h) & 3;
    case 1:
        return word_at(plane + p->lane * 4) >> (p->s + 4 * p->i + 16 * p->h) & 1;
    default:
        return 0;
    }
}

static float element_at(enum weight_type type, const uint8_t *unit, const struct place *p) {
    float value;
    if (type == WEIGHT_F32) {
        memcpy(&value, unit + (2 * p->s + p->i / 2) * 512 + p->lane * 16 + p->i % 2 * 8 + p->h * 4,
               sizeof value);
        return value;
    }
    uint16_t half = load_u16(unit + p->s * 512 + p->lane * 16 + p->i * 4 + p->h * 2);
    return type == WEIGHT_F16 ? half_to_float(half) : bfloat16_to_float(half);
}

/* The same operations in the same order as the type's dequantize. */
static float scaled(enum weight_type type, const uint8_t *header, const uint8_t *scales,
                    const struct place *p, float q) {
    const struct weight_format format = weight_layout_format(type);
    const uint8_t *sub = scales + p->g * 8 + p->lower * 4;
    const uint8_t *factors =
        header + p->g * (format.header_bytes / 8) + p->lower * (format.header_bytes / 16);
    size_t block = p->s / 2;
    float d, m;
    switch (format.scales) {
    case LAYOUT_BLOCK_SCALE:
        return load_half(scales + p->g * 8 + p->lower * 4 + block * 2) * q;
    case LAYOUT_BLOCK_SCALE_MIN:
        d = load_half(scales + p->g * 16 + p->lower * 4 + block * 2);
        return d * q + load_half(scales + p->g * 16 + 8 + p->lower * 4 + block * 2);
    case LAYOUT_SUB_SCALE_16:
        if (type == WEIGHT_Q2_K) {
            d = load_half(factors) * (float)(sub[p->s] & 15);
            m = load_half(factors + 2) * (float)(sub[p->s] >> 4);
            return d * q - m;
        }
        return load_half(factors) * ((float)sub[p->s] - (float)format.sub_offset) * q;
    case LAYOUT_SUB_SCALE_MIN_32:
        d = load_half(factors) * (float)sub[block];
        m = load_half(factors + 2) * (float)sub[2 + block];
        return d * q - m;
    default: /* Q8_K */
        memcpy(&d, factors, sizeof d);
        return d * q;
    }
}

void weight_layout_unpack_row(enum weight_type type, const void *tile, size_t row, size_t n_cols,
                              float *to) {
    const struct weight_format format = weight_layout_format(type);
    for (size_t col = 0; col < n_cols; col++) {
        size_t unit = col / LAYOUT_COLS;
        const uint8_t *at = (const uint8_t *)tile + weight_layout_unit_offset(format, unit);
        const uint8_t *header = (const uint8_t *)tile + weight_layout_header_offset(format, unit);
        const uint8_t *high = at + weight_layout_low_bytes(format);
        struct place p = place_of(row, col % LAYOUT_COLS);
        if (format.low_bits >= 16) {
            to[col] = element_at(type, at, &p);
            continue;
        }
        uint32_t code = bits_at(at, format.low_bits, &p) | bits_at(high, format.high_bits, &p)
                                                               << format.low_bits;
        to[col] = scaled(type, header, high + weight_layout_high_bytes(format), &p,
                         (float)((int)code - (int)format.code_offset));
    }
}
