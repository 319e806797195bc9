#include "format/tensor_codes.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/parallel.h"

enum { BAND = 64, SPAN = 256, BLOCK = 32 }; /* rows and columns at a time */

/* ---- bytes of the file ---- */

/* Line i, of those that are looked at, begins at bytes + i * stride. */
struct plane {
    const uint8_t *bytes;
    size_t stride;
    void *taken; /* NULL: they are the file's own */
};

/* Bytes [from, from + n) of n_lines lines `stride` apart. */
static status plane_open(struct plane *plane, const struct part *parts,
                         const struct codes_place *place, struct memory *memory, uint64_t first,
                         size_t n_lines, size_t stride, size_t from, size_t n) {
    const struct file *file = &parts[place->part].file;
    uint64_t at = place->offset + first * stride + from;
    *plane = (struct plane){.stride = stride};
    if (file->bytes) {
        plane->bytes = file->bytes + at;
        return OK;
    }
    TRY(memory_take_array(memory, n_lines, n, "reading weights", &plane->taken));
    plane->bytes = plane->taken;
    plane->stride = n;
    if (n == stride) return file_read(file, at, n_lines * n, plane->taken);
    for (size_t i = 0; i < n_lines; i++)
        TRY(file_read(file, at + i * stride, n, (uint8_t *)plane->taken + i * n));
    return OK;
}

/* ---- codes ---- */

/* What some rows need, from row `first` on; words of codes or zeros that hold several rows from
 * word_first on. */
struct view {
    const struct tensor_codes *codes;
    struct plane q, scales, zeros;
    int64_t first, word_first, scale_first;
    uint8_t *to;
    size_t row_bytes;
};

static inline uint32_t load_u32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

/* The bits of code i of a word. */
static inline unsigned shift_of(const struct tensor_codes *codes, int64_t i) {
    static const uint8_t awq[8] = {0, 16, 4, 20, 8, 24, 12, 28};
    return codes->layout == CODES_AWQ ? awq[i] : (unsigned)(i * codes->bits);
}

static int64_t group_of(const struct tensor_codes *codes, int64_t column) {
    return codes->groups ? codes->groups[column] : column / codes->group;
}

static bool is_transposed(const struct tensor_codes *codes) {
    return codes->layout == CODES_AWQ || codes->layout == CODES_GPTQ;
}

static float scale_of(const struct view *view, int64_t row, int64_t group) {
    const struct tensor_codes *codes = view->codes;
    const struct weight_type_traits *traits = &weight_type_traits[codes->scale_type];
    int64_t line = row / codes->group_rows - view->scale_first, at = group;
    if (is_transposed(codes)) {
        line = group;
        at = row - view->first;
    }
    float scale;
    traits->dequantize(view->scales.bytes + (size_t)line * view->scales.stride +
                           (size_t)at * traits->block_bytes,
                       &scale, 1);
    return scale;
}

static int zero_of(const struct view *view, int64_t row, int64_t group) {
    const struct tensor_codes *codes = view->codes;
    if (!codes->zeros.bytes) return codes->zero;
    int64_t per_word = 32 / codes->bits, word = row / per_word - view->word_first;
    int64_t line = is_transposed(codes) ? group : word, at = is_transposed(codes) ? word : group;
    uint32_t zeros =
        load_u32(view->zeros.bytes + (size_t)line * view->zeros.stride + (size_t)at * 4);
    zeros += codes->zero_add;
    return (int)(zeros >> shift_of(codes, row % per_word) & ((1u << codes->bits) - 1));
}

/* Codes less their zeros of columns k ... k + n - 1, all of group `group`. */
static void read_codes(const struct view *view, int64_t row, int64_t k, int n, int zero,
                       int16_t *q) {
    const struct tensor_codes *codes = view->codes;
    const struct plane *plane = &view->q;
    const int64_t per_word = 32 / codes->bits;
    const uint32_t mask = (1u << codes->bits) - 1;
    if (codes->layout == CODES_INT8) {
        const uint8_t *line = plane->bytes + (size_t)(row - view->first) * plane->stride + k;
        for (int i = 0; i < n; i++) q[i] = (int8_t)line[i];
    } else if (codes->layout == CODES_AWQ) {
        const uint8_t *at = plane->bytes + (size_t)k * plane->stride +
                            (size_t)(row / per_word - view->word_first) * 4;
        unsigned shift = shift_of(codes, row % per_word);
        for (int i = 0; i < n; i++, at += plane->stride)
            q[i] = (int16_t)((int)(load_u32(at) >> shift & mask) - zero);
    } else {
        bool rows = codes->layout == CODES_ROWS;
        size_t own = (size_t)(row - view->first);
        const uint8_t *line = plane->bytes + (rows ? own * plane->stride : own * 4);
        size_t step = rows ? 4 : plane->stride;
        for (int i = 0; i < n; i++) {
            uint32_t word = load_u32(line + (size_t)((k + i) / per_word) * step);
            q[i] = (int16_t)((int)(word >> (k + i) % per_word * codes->bits & mask) - zero);
        }
    }
}

/* As many columns from k on as have one group, up to the next multiple of BLOCK. */
static int run_length(const struct tensor_codes *codes, int64_t k) {
    int64_t most = BLOCK - k % BLOCK, group = group_of(codes, k);
    int n = 1;
    if (most > codes->n_cols - k) most = codes->n_cols - k;
    while (n < most && group_of(codes, k + n) == group) n++;
    return n;
}

/* ---- values ---- */

/* OCP FP8, E4M3: no infinities, NaN is all ones. */
static float e4m3(uint8_t code) {
    int exponent = code >> 3 & 15, mantissa = code & 7;
    float magnitude =
        exponent == 0 ? (float)mantissa * 0x1p-9f : ldexpf((float)(8 + mantissa), exponent - 10);
    if ((code & 127) == 127) magnitude = NAN;
    return code & 128 ? -magnitude : magnitude;
}

/* A block of the natural MXFP4 type: element i in the low nibble of byte i, i + 16 in the high one.
 */
static void mxfp4_block(const struct view *view, int64_t row, int64_t block, uint8_t *to) {
    size_t own = (size_t)(row - view->first);
    const uint8_t *from = view->q.bytes + own * view->q.stride + (size_t)block * 16;
    to[0] = view->scales.bytes[own * view->scales.stride + (size_t)block];
    for (size_t i = 0; i < 16; i++) {
        unsigned low = from[i / 2] >> i % 2 * 4 & 15, high = from[8 + i / 2] >> i % 2 * 4 & 15;
        to[1 + i] = (uint8_t)(low | high << 4);
    }
}

/* Columns k ... k + n - 1, n at most SPAN, k a multiple of BLOCK. */
static void read_values(const struct view *view, int64_t row, int64_t k, int64_t n, float *values) {
    const struct tensor_codes *codes = view->codes;
    for (int64_t i = 0; i < n;) {
        int run = run_length(codes, k + i);
        int64_t group = group_of(codes, k + i);
        float scale = scale_of(view, row, group);
        if (codes->layout == CODES_E4M3) {
            const uint8_t *line =
                view->q.bytes + (size_t)(row - view->first) * view->q.stride + (size_t)(k + i);
            for (int j = 0; j < run; j++) values[i + j] = scale * e4m3(line[j]);
        } else {
            int16_t q[BLOCK];
            read_codes(view, row, k + i, run, zero_of(view, row, group), q);
            for (int j = 0; j < run; j++) values[i + j] = scale * (float)q[j];
        }
        i += run;
    }
}

/* ---- blocks ---- */

/* Q4_0, Q5_0 or Q8_0 of the 32 columns from k on. */
static void write_block(const struct view *view, int64_t row, int64_t k, uint8_t *to) {
    const struct tensor_codes *codes = view->codes;
    int64_t group = group_of(codes, k);
    int16_t q[BLOCK];
    uint16_t scale = half_from_float(scale_of(view, row, group));
    memcpy(to, &scale, 2);
    read_codes(view, row, k, BLOCK, zero_of(view, row, group), q);
    if (codes->natural == WEIGHT_Q8_0) {
        for (size_t i = 0; i < BLOCK; i++) to[2 + i] = (uint8_t)(int8_t)q[i];
        return;
    }
    int half = codes->natural == WEIGHT_Q4_0 ? 8 : 16;
    uint8_t *nibbles = to + (half == 8 ? 2 : 6);
    for (size_t i = 0; i < 16; i++)
        nibbles[i] = (uint8_t)(((q[i] + half) & 15) | ((q[i + 16] + half) & 15) << 4);
    if (half == 8) return;
    memset(to + 2, 0, 4);
    for (size_t i = 0; i < BLOCK; i++)
        to[2 + i / 8] |= (uint8_t)(((q[i] + half) >> 4 & 1) << i % 8);
}

static void block_rows(void *argument, size_t begin, size_t end) {
    const struct view *view = argument;
    const struct tensor_codes *codes = view->codes;
    size_t block_bytes = weight_type_traits[codes->natural].block_bytes;
    for (size_t band = begin; band < end; band += BAND) { /* whose lines stay in the cache */
        size_t last = end - band < BAND ? end : band + BAND;
        for (int64_t k = 0; k < codes->n_cols; k += BLOCK)
            for (size_t row = band; row < last; row++) {
                uint8_t *to = view->to + row * view->row_bytes + (size_t)(k / BLOCK) * block_bytes;
                if (codes->layout == CODES_MXFP4)
                    mxfp4_block(view, view->first + (int64_t)row, k / BLOCK, to);
                else
                    write_block(view, view->first + (int64_t)row, k, to);
            }
    }
}

static void float_rows(void *argument, size_t begin, size_t end) {
    const struct view *view = argument;
    const struct tensor_codes *codes = view->codes;
    const struct weight_type_traits *traits = &weight_type_traits[codes->natural];
    for (size_t band = begin; band < end; band += BAND) {
        size_t last = end - band < BAND ? end : band + BAND;
        for (int64_t k = 0; k < codes->n_cols; k += SPAN) {
            int64_t n = codes->n_cols - k < SPAN ? codes->n_cols - k : SPAN;
            for (size_t row = band; row < last; row++) {
                float values[SPAN];
                read_values(view, view->first + (int64_t)row, k, n, values);
                traits->quantize(values,
                                 view->to + row * view->row_bytes + (size_t)k * traits->block_bytes,
                                 (size_t)n);
            }
        }
    }
}

/* ---- the three planes of some rows ---- */

static status open_transposed(struct view *view, const struct part *parts, struct memory *memory,
                              int64_t n) {
    const struct tensor_codes *codes = view->codes;
    int64_t first = view->first, per_word = 32 / codes->bits;
    size_t words = (size_t)((first + n - 1) / per_word - view->word_first + 1);
    size_t word_stride = (size_t)(codes->n_rows / per_word) * 4;
    size_t scale = weight_type_traits[codes->scale_type].block_bytes;
    if (codes->layout == CODES_AWQ)
        TRY(plane_open(&view->q, parts, &codes->codes, memory, 0, (size_t)codes->n_cols,
                       word_stride, (size_t)view->word_first * 4, words * 4));
    else
        TRY(plane_open(&view->q, parts, &codes->codes, memory, 0,
                       (size_t)(codes->n_cols / per_word), (size_t)codes->n_rows * 4,
                       (size_t)first * 4, (size_t)n * 4));
    TRY(plane_open(&view->scales, parts, &codes->scales, memory, 0, (size_t)codes->n_groups,
                   (size_t)codes->n_rows * scale, (size_t)first * scale, (size_t)n * scale));
    if (!codes->zeros.bytes) return OK;
    return plane_open(&view->zeros, parts, &codes->zeros, memory, 0, (size_t)codes->n_groups,
                      word_stride, (size_t)view->word_first * 4, words * 4);
}

static status open_rows(struct view *view, const struct part *parts, struct memory *memory,
                        int64_t n) {
    const struct tensor_codes *codes = view->codes;
    int64_t first = view->first, per_word = 32 / codes->bits, n_cols = codes->n_cols;
    size_t line = (size_t)n_cols, scale = weight_type_traits[codes->scale_type].block_bytes;
    if (codes->layout == CODES_ROWS) line = (size_t)((n_cols + per_word - 1) / per_word) * 4;
    if (codes->layout == CODES_MXFP4) {
        line = (size_t)n_cols / 2;
        scale = 1;
    }
    TRY(plane_open(&view->q, parts, &codes->codes, memory, (uint64_t)first, (size_t)n, line, 0,
                   line));
    size_t scale_line = (size_t)codes->n_groups * scale;
    size_t scale_lines = (size_t)((first + n - 1) / codes->group_rows - view->scale_first + 1);
    TRY(plane_open(&view->scales, parts, &codes->scales, memory, (uint64_t)view->scale_first,
                   scale_lines, scale_line, 0, scale_line));
    if (!codes->zeros.bytes) return OK;
    size_t zero_lines = (size_t)((first + n - 1) / per_word - view->word_first + 1);
    return plane_open(&view->zeros, parts, &codes->zeros, memory, (uint64_t)view->word_first,
                      zero_lines, (size_t)codes->n_groups * 4, 0, (size_t)codes->n_groups * 4);
}

status tensor_codes_rows(const struct tensor_codes *codes, const struct part *parts,
                         struct memory *memory, int64_t first, int64_t n, void *to) {
    struct view view = {.codes = codes,
                        .first = first,
                        .word_first = first / (32 / codes->bits),
                        .scale_first = first / codes->group_rows,
                        .to = to,
                        .row_bytes = weight_type_row_bytes(codes->natural, (size_t)codes->n_cols)};
    status result = is_transposed(codes) ? open_transposed(&view, parts, memory, n)
                                         : open_rows(&view, parts, memory, n);
    bool floats = weight_type_traits[codes->natural].block == 1;
    parallel_task task = floats ? float_rows : block_rows;
    if (result == OK) parallel_run((size_t)n, BAND, task, &view);
    memory_give(memory, view.q.taken);
    memory_give(memory, view.scales.taken);
    memory_give(memory, view.zeros.taken);
    return result;
}

status tensor_codes_e4m3(const struct tensor_codes *codes, const struct part *parts,
                         struct memory *memory, int64_t first, int64_t n, uint8_t *to,
                         float *scales) {
    struct view view = {.codes = codes, .first = first, .scale_first = first / codes->group_rows};
    const size_t n_cols = (size_t)codes->n_cols;
    status result = open_rows(&view, parts, memory, n);
    for (int64_t row = 0; result == OK && row < n; row++) {
        memcpy(to + (size_t)row * n_cols, view.q.bytes + (size_t)row * view.q.stride, n_cols);
        for (int64_t group = 0; group < codes->n_groups; group++)
            *scales++ = scale_of(&view, first + row, group);
    }
    memory_give(memory, view.q.taken);
    memory_give(memory, view.scales.taken);
    return result;
}

/* ---- what holds the values ---- */

enum { PIECE = 4096 };

/* Least and greatest of the zeros; fields of words that pad rows count too. */
static status zero_range(const struct tensor_codes *codes, const struct part *parts, int *low,
                         int *high) {
    uint8_t piece[PIECE];
    *low = *high = codes->zero;
    for (uint64_t done = 0; done < codes->zeros.bytes;) {
        uint64_t left = codes->zeros.bytes - done;
        size_t n = left < PIECE ? (size_t)left : PIECE;
        TRY(file_read(&parts[codes->zeros.part].file, codes->zeros.offset + done, n, piece));
        for (size_t i = 0; i < n; i += 4) {
            uint32_t word = load_u32(piece + i) + codes->zero_add;
            for (int bit = 0; bit < 32; bit += codes->bits) {
                int zero = (int)(word >> bit & ((1u << codes->bits) - 1));
                if (zero < *low || (done == 0 && i == 0 && bit == 0)) *low = zero;
                if (zero > *high || (done == 0 && i == 0 && bit == 0)) *high = zero;
            }
        }
        done += n;
    }
    return OK;
}

static bool is_half(float scale) {
    return half_to_float(half_from_float(scale)) == scale;
}

/* Times which an e4m3 is a bf16. */
static bool is_power_of_two(float scale) {
    int exponent;
    return frexpf(scale, &exponent) == 0.5f && exponent > -100 && exponent < 100;
}

static status all_scales(const struct tensor_codes *codes, const struct part *parts,
                         bool (*is)(float), bool *all) {
    uint8_t piece[PIECE];
    float values[PIECE / 2];
    const struct weight_type_traits *traits = &weight_type_traits[codes->scale_type];
    *all = true;
    for (uint64_t done = 0; *all && done < codes->scales.bytes;) {
        uint64_t left = codes->scales.bytes - done;
        size_t n = left < PIECE ? (size_t)left : PIECE;
        TRY(file_read(&parts[codes->scales.part].file, codes->scales.offset + done, n, piece));
        traits->dequantize(piece, values, n / traits->block_bytes);
        for (size_t i = 0; i < n / traits->block_bytes; i++)
            if (!is(values[i])) *all = false;
        done += n;
    }
    return OK;
}

status tensor_codes_choose(struct tensor_codes *codes, const struct part *parts) {
    int low, high, most = (1 << codes->bits) - 1;
    bool all;
    codes->natural = codes->layout == CODES_MXFP4 ? WEIGHT_MXFP4 : WEIGHT_F32;
    if (codes->layout == CODES_MXFP4) return OK;
    if (codes->layout == CODES_E4M3) {
        TRY(all_scales(codes, parts, is_power_of_two, &all));
        if (all) codes->natural = WEIGHT_BF16;
        return OK;
    }
    if (codes->groups || codes->n_cols % BLOCK != 0) return OK;
    if (codes->group % BLOCK != 0 && codes->n_groups > 1) return OK;
    if (codes->scale_type != WEIGHT_F16) {
        TRY(all_scales(codes, parts, is_half, &all));
        if (!all) return OK;
    }
    if (codes->layout == CODES_INT8) {
        codes->natural = WEIGHT_Q8_0;
        return OK;
    }
    TRY(zero_range(codes, parts, &low, &high));
    if (high <= 8 && most - low <= 7)
        codes->natural = WEIGHT_Q4_0;
    else if (high <= 16 && most - low <= 15)
        codes->natural = WEIGHT_Q5_0;
    else if (high <= 128 && most - low <= 127)
        codes->natural = WEIGHT_Q8_0;
    return OK;
}
