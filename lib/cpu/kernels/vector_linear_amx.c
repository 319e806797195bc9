/* Linear layers of the quantized types and of bf16 by AMX: weights and activations as bf16, f32
 * sums. An instruction multiplies up to 16 activation rows by 16 rows of the weight over 32 columns
 * (tile_dot_bf16 tells in which order it adds), and k goes on from one to the next in order, for
 * one activation row as for many.
 *
 * A tile of activations is read where the prepared rows lie; a tile of weights has pairs of columns
 * side by side, as bf16 is packed and as lanes that are rows unpack to. */
#include <string.h>

#include "cpu/kernels/simd.h"
#include "cpu/kernels/tile_amx.h"
#include "cpu/kernels/vector.h"
#include "cpu/kernels/vector_amx_unpack.h"
#include "cpu/kernels/vector_packed.h"

#define GROUP SIMD_LANES
#define TILE_COLUMNS 32
/* Columns of weights unpacked at a time: of two groups 32 KiB, in L1. A multiple of every block. */
#define STRIP_TILES 16
/* Activation rows whose strip stays in L2 while the groups pass: 256 KiB. */
#define TOKEN_BLOCK 256

/* Up to so many activation rows, reading the weights is what takes the time. */
#define FEW_ROWS X_ROWS
#define PREFETCH_BYTES 2560

/* The tiles: sums of two tiles of activations by two of weights, and these. */
#define SUM_00 0
#define SUM_01 1
#define SUM_10 2
#define SUM_11 3
#define X_0 4
#define X_1 5
#define W_0 6
#define W_1 7
#define X_ROWS (2 * TILE_ROWS)

/* Shapes for n activation rows at a time, 1 ... X_ROWS. `now` is the number that is configured. */
static void configure(size_t n, size_t *now) {
    if (n == *now) return;
    *now = n;
    uint8_t first = (uint8_t)(n < TILE_ROWS ? n : TILE_ROWS), second = (uint8_t)(n - first);
    _Alignas(64) struct tile_config config = {
        .palette = 1, .rows = {first, first, second, second, first, second, TILE_ROWS, TILE_ROWS}};
    for (int i = 0; i < 8; i++) config.row_bytes[i] = config.rows[i] ? TILE_ROW_BYTES : 0;
    tile_configure(&config);
}

/* Up to two tiles of activation rows by up to two groups over n tiles of columns. */
struct product {
    const uint8_t *x; /* row i at x + i * x_stride */
    size_t x_stride;
    const uint8_t *w[2]; /* [n] tiles each */
    size_t n;
    bool first; /* columns: later ones add to what y already holds */
    float *y;   /* row i at y + i * y_stride */
    size_t y_stride;
};

INLINE void begin_sums(int n_x, int n_w, const struct product *p) {
    float *y = p->y, *y1 = n_x == 2 ? y + TILE_ROWS * p->y_stride : y;
    size_t stride = p->y_stride * sizeof *y;
    if (p->first) {
        tile_zero(SUM_00);
        if (n_w == 2) tile_zero(SUM_01);
        if (n_x == 2) tile_zero(SUM_10);
        if (n_x == 2 && n_w == 2) tile_zero(SUM_11);
        return;
    }
    tile_load(SUM_00, y, stride);
    if (n_w == 2) tile_load(SUM_01, y + GROUP, stride);
    if (n_x == 2) tile_load(SUM_10, y1, stride);
    if (n_x == 2 && n_w == 2) tile_load(SUM_11, y1 + GROUP, stride);
}

INLINE void add_products(int n_x, int n_w, const struct product *p) {
    const uint8_t *x = p->x, *x1 = n_x == 2 ? x + TILE_ROWS * p->x_stride : x;
    const uint8_t *w = p->w[0], *w1 = p->w[1];
    for (const uint8_t *end = w + p->n * TILE_BYTES; w < end; w += TILE_BYTES) {
        tile_load(X_0, x, p->x_stride);
        tile_load(W_0, w, TILE_ROW_BYTES);
        tile_dot_bf16(SUM_00, X_0, W_0);
        if (n_w == 2) {
            tile_load(W_1, w1, TILE_ROW_BYTES);
            tile_dot_bf16(SUM_01, X_0, W_1);
            w1 += TILE_BYTES;
        }
        if (n_x == 2) {
            tile_load(X_1, x1, p->x_stride);
            tile_dot_bf16(SUM_10, X_1, W_0);
            if (n_w == 2) tile_dot_bf16(SUM_11, X_1, W_1);
            x1 += TILE_ROW_BYTES;
        }
        x += TILE_ROW_BYTES;
    }
}

INLINE void store_sums(int n_x, int n_w, const struct product *p) {
    float *y = p->y, *y1 = n_x == 2 ? y + TILE_ROWS * p->y_stride : y;
    size_t stride = p->y_stride * sizeof *y;
    tile_store(SUM_00, y, stride);
    if (n_w == 2) tile_store(SUM_01, y + GROUP, stride);
    if (n_x == 2) tile_store(SUM_10, y1, stride);
    if (n_x == 2 && n_w == 2) tile_store(SUM_11, y1 + GROUP, stride);
}

INLINE void product_of(int n_x, int n_w, const struct product *p) {
    begin_sums(n_x, n_w, p);
    add_products(n_x, n_w, p);
    store_sums(n_x, n_w, p);
}

/* Of n_x rows and n_w groups, p's the first. */
static void strip_multiply(size_t n_x, size_t n_w, struct product p, size_t *configured) {
    while (n_x > 0) {
        size_t n = n_x < X_ROWS ? n_x : X_ROWS;
        configure(n, configured);
        if (n > TILE_ROWS && n_w == 2)
            product_of(2, 2, &p);
        else if (n > TILE_ROWS)
            product_of(2, 1, &p);
        else if (n_w == 2)
            product_of(1, 2, &p);
        else
            product_of(1, 1, &p);
        n_x -= n;
        p.x += n * p.x_stride;
        p.y += n * p.y_stride;
    }
}

static size_t tiles_in(size_t n_cols) {
    return (n_cols + TILE_COLUMNS - 1) / TILE_COLUMNS;
}

struct groups {
    const uint8_t *from;
    size_t n, bytes, n_cols;
    /* n tiles of a group from tile `first` on: where they lie, or unpacked to scratch. */
    const uint8_t *(*tiles)(const uint8_t *group, size_t n_cols, size_t first, size_t n,
                            uint8_t *scratch);
};

/* Tiles t ... of columns of groups g and g + 1 against n_x rows. */
static void strip(const struct groups *groups, size_t g, size_t t, const uint8_t *x,
                  size_t x_stride, size_t n_x, float *y, size_t y_stride, size_t *configured) {
    _Alignas(64) uint8_t scratch[2][STRIP_TILES * TILE_BYTES];
    size_t left = tiles_in(groups->n_cols) - t, n_w = groups->n - g < 2 ? 1 : 2;
    struct product p = {.x = x + t * TILE_ROW_BYTES,
                        .x_stride = x_stride,
                        .n = left < STRIP_TILES ? left : STRIP_TILES,
                        .first = t == 0,
                        .y = y + g * GROUP,
                        .y_stride = y_stride};
    for (size_t j = 0; j < n_w; j++)
        p.w[j] = groups->tiles(groups->from + (g + j) * groups->bytes, groups->n_cols, t, p.n,
                               scratch[j]);
    strip_multiply(n_x, n_w, p, configured);
}

/* Few rows are bound by reading weights, and read them as they lie; many take the groups of one
 * strip after the other, whose activations stay in L2. Each sum is over k in order in both. */
static void multiply(const struct groups *groups, const uint8_t *x, size_t x_stride, size_t n_x,
                     float *y, size_t y_stride) {
    size_t n_tiles = tiles_in(groups->n_cols), configured = 0;
    for (size_t g = 0; g < groups->n && n_x <= FEW_ROWS; g += 2)
        for (size_t t = 0; t < n_tiles; t += STRIP_TILES)
            strip(groups, g, t, x, x_stride, n_x, y, y_stride, &configured);
    for (size_t i = 0; i < n_x && n_x > FEW_ROWS; i += TOKEN_BLOCK) {
        size_t n_rows = n_x - i < TOKEN_BLOCK ? n_x - i : TOKEN_BLOCK;
        for (size_t t = 0; t < n_tiles; t += STRIP_TILES)
            for (size_t g = 0; g < groups->n; g += 2)
                strip(groups, g, t, x + i * x_stride, x_stride, n_rows, y + i * y_stride, y_stride,
                      &configured);
    }
    tile_release();
}

#define LINEAR(T, PACKING)                                                                    \
    PACKED(T, PACKING, GROUP)                                                                 \
    static void multiply_##T(const void *from, size_t n_groups, size_t n_cols, const void *x, \
                             size_t x_stride, size_t n_x, float *y, size_t y_stride) {        \
        struct groups groups = {from, n_groups, group_bytes_##T(n_cols), n_cols, tiles_##T};  \
        multiply(&groups, x, x_stride, n_x, y, y_stride);                                     \
    }                                                                                         \
    static const struct linear_kernel kernel_##T = {                                          \
        ACTIVATION_BF16, GROUP, group_bytes_##T, pack_##T, unpack_row_##T, multiply_##T};

/* SUB_BLOCKS: blocks of 32 columns in a block of the type. */
#define QUANT(T, KIND, SUB_BLOCKS, UNPACK)                                                       \
    static const uint8_t *tiles_##T(const uint8_t *group, size_t n_cols, size_t first, size_t n, \
                                    uint8_t *scratch) {                                          \
        size_t block_bytes = packing_rows[WEIGHT_##T].block_bytes * GROUP;                       \
        (void)n_cols;                                                                            \
        group += first / SUB_BLOCKS * block_bytes;                                               \
        for (size_t b = 0; b < n; b += SUB_BLOCKS, group += block_bytes) {                       \
            for (size_t line = 0; line < block_bytes; line += 64)                                \
                simd_prefetch(group + PREFETCH_BYTES + line);                                    \
            UNROLL                                                                               \
            for (int sub = 0; sub < SUB_BLOCKS; sub++) {                                         \
                struct KIND##_block block;                                                       \
                UNPACK(group, sub, &block);                                                      \
                KIND##_tile(&block, scratch + (b + (size_t)sub) * TILE_BYTES);                   \
            }                                                                                    \
        }                                                                                        \
        return scratch;                                                                          \
    }                                                                                            \
    LINEAR(T, &packing_rows[WEIGHT_##T])

QUANT(Q4_0, offset, 1, unpack_q4_0)
QUANT(Q4_1, offset, 1, unpack_q4_1)
QUANT(Q5_0, offset, 1, unpack_q5_0)
QUANT(Q5_1, offset, 1, unpack_q5_1)
QUANT(Q8_0, s8, 1, unpack_q8_0)
QUANT(Q2_K, halves, 8, unpack_q2_k)
QUANT(Q3_K, halves, 8, unpack_q3_k)
QUANT(Q4_K, offset, 8, unpack_q4_k)
QUANT(Q5_K, offset, 8, unpack_q5_k)
QUANT(Q6_K, halves, 8, unpack_q6_k)
QUANT(IQ4_NL, s8, 1, unpack_iq4_nl)
QUANT(MXFP4, offset, 1, unpack_mxfp4)
QUANT(NVFP4, halves, 2, unpack_nvfp4)
QUANT(IQ4_XS, s8, 8, unpack_iq4_xs)
QUANT(IQ3_XXS, s8, 8, unpack_iq3_xxs)
QUANT(IQ3_S, offset, 8, unpack_iq3_s)
QUANT(TQ1_0, offset, 8, unpack_ternary)
QUANT(TQ2_0, offset, 8, unpack_ternary)
QUANT(IQ1_S, offset, 8, unpack_iq1_s)
QUANT(IQ1_M, halves, 8, unpack_iq1_m)
QUANT(IQ2_XXS, s8, 8, unpack_iq2_xxs)
QUANT(IQ2_XS, s8_halves, 8, unpack_iq2_halves)
QUANT(IQ2_S, s8_halves, 8, unpack_iq2_halves)

/* Packed as tiles already, but for a last one that is cut. */
static const uint8_t *tiles_BF16(const uint8_t *group, size_t n_cols, size_t first, size_t n,
                                 uint8_t *scratch) {
    const uint8_t *from = group + first * TILE_BYTES;
    if ((first + n) * TILE_COLUMNS <= n_cols) return from;
    size_t bytes = (n_cols + 1) / 2 * TILE_ROW_BYTES - first * TILE_BYTES;
    memcpy(scratch, from, bytes);
    memset(scratch + bytes, 0, n * TILE_BYTES - bytes);
    return scratch;
}
LINEAR(BF16, &packing_bf16_pairs)

void vector_linear_amx(struct kernels *kernels) {
    kernels->linear[WEIGHT_BF16] = kernel_BF16;
    kernels->linear[WEIGHT_Q4_0] = kernel_Q4_0;
    kernels->linear[WEIGHT_Q4_1] = kernel_Q4_1;
    kernels->linear[WEIGHT_Q5_0] = kernel_Q5_0;
    kernels->linear[WEIGHT_Q5_1] = kernel_Q5_1;
    kernels->linear[WEIGHT_Q8_0] = kernel_Q8_0;
    kernels->linear[WEIGHT_Q2_K] = kernel_Q2_K;
    kernels->linear[WEIGHT_Q3_K] = kernel_Q3_K;
    kernels->linear[WEIGHT_Q4_K] = kernel_Q4_K;
    kernels->linear[WEIGHT_Q5_K] = kernel_Q5_K;
    kernels->linear[WEIGHT_Q6_K] = kernel_Q6_K;
    kernels->linear[WEIGHT_IQ4_NL] = kernel_IQ4_NL;
    kernels->linear[WEIGHT_MXFP4] = kernel_MXFP4;
    kernels->linear[WEIGHT_NVFP4] = kernel_NVFP4;
    kernels->linear[WEIGHT_IQ4_XS] = kernel_IQ4_XS;
    kernels->linear[WEIGHT_IQ3_XXS] = kernel_IQ3_XXS;
    kernels->linear[WEIGHT_IQ3_S] = kernel_IQ3_S;
    kernels->linear[WEIGHT_TQ1_0] = kernel_TQ1_0;
    kernels->linear[WEIGHT_TQ2_0] = kernel_TQ2_0;
    kernels->linear[WEIGHT_IQ1_S] = kernel_IQ1_S;
    kernels->linear[WEIGHT_IQ1_M] = kernel_IQ1_M;
    kernels->linear[WEIGHT_IQ2_XXS] = kernel_IQ2_XXS;
    kernels->linear[WEIGHT_IQ2_XS] = kernel_IQ2_XS;
    kernels->linear[WEIGHT_IQ2_S] = kernel_IQ2_S;
}
