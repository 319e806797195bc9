/* Products of unpacked blocks of one kind, whatever type they were unpacked from. Defined by the
 * file that includes this, and undefined again at the end:
 *
 *   KIND   offset: struct offset_block, offset_step and, of a tile, offset_tile_step of
 *          vector_quant_int16.h, _dot4.h or _matrix.h
 *
 * Defined here are offset_rows and offset_tiles. Both add to what y holds, unless the blocks are
 * the first of their rows. */
#define NAME_OF(a, b) a##_##b
#define NAME_KIND(a, b) NAME_OF(a, b)
#define NAME(a) NAME_KIND(KIND, a)
#define BLOCK NAME(block)
#define STEP NAME(step)
#define TILE_STEP NAME(tile_step)

INLINE void NAME(row_set)(int n_x, const struct BLOCK *strip, size_t n, bool first,
                          const uint8_t *x, size_t x_stride, float *y, size_t y_stride) {
    simd_f sum[ROW_SET][1][QUANT_TILE]; /* a tile has one row here: it may be wider than one */
    UNROLL
    for (int t = 0; t < n_x; t++)
        sum[t][0][0] = first ? simd_zero() : simd_load(y + (size_t)t * y_stride);
    for (const struct BLOCK *end = strip + n; strip < end; strip++, x += sizeof(struct q8_block)) {
        const struct BLOCK *w[1] = {strip};
        UNROLL
        for (int t = 0; t < n_x; t++) {
            const struct q8_block *block[1] = {
                (const struct q8_block *)(const void *)(x + (size_t)t * x_stride)};
            STEP(1, 1, w, block, sum[t]);
        }
    }
    UNROLL
    for (int t = 0; t < n_x; t++) simd_store(y + (size_t)t * y_stride, sum[t][0][0]);
}

/* n blocks of one group against n_x rows, in sets of nearly one size. */
static void NAME(rows)(const struct BLOCK *strip, size_t n, bool first, const uint8_t *x,
                       size_t x_stride, size_t n_x, float *y, size_t y_stride) {
    for (size_t n_sets = (n_x + ROW_SET - 1) / ROW_SET, rows; n_sets; n_sets--, n_x -= rows) {
        rows = n_x / n_sets;
        switch (rows) { /* constants: sums are registers, where there are enough */
#define ROWS(n_rows)                                                      \
    case n_rows:                                                          \
        NAME(row_set)(n_rows, strip, n, first, x, x_stride, y, y_stride); \
        break
            ROWS(1);
            ROWS(2);
            ROWS(3);
            ROWS(4);
            ROWS(5);
            ROWS(6);
            ROWS(7);
            ROWS(8);
#undef ROWS
        }
        x += rows * x_stride;
        y += rows * y_stride;
    }
}

INLINE void NAME(tile)(int n_groups, int n_x, struct BLOCK (*strip)[STRIP_BLOCKS], size_t n,
                       bool first, const uint8_t *x, size_t x_stride, float *y, size_t y_stride) {
    simd_f sum[QUANT_GROUPS][QUANT_TILE];
    const struct q8_block *xs[QUANT_TILE];
    const struct BLOCK *ws[QUANT_GROUPS] = {strip[0], strip[QUANT_GROUPS - 1]};
    _Static_assert(QUANT_GROUPS == 2, "ws has them all");
    UNROLL
    for (int t = 0; t < n_x; t++) {
        xs[t] = (const struct q8_block *)(const void *)(x + (size_t)t * x_stride);
        UNROLL
        for (int g = 0; g < n_groups; g++)
            sum[g][t] = first ? simd_zero() : simd_load(y + (size_t)t * y_stride + g * SIMD_LANES);
    }
    for (const struct BLOCK *end = strip[0] + n; ws[0] < end; ws[0]++, ws[1]++) {
        TILE_STEP(n_groups, n_x, ws, xs, sum);
        UNROLL
        for (int t = 0; t < n_x; t++) xs[t]++;
    }
    UNROLL
    for (int t = 0; t < n_x; t++) UNROLL
    for (int g = 0; g < n_groups; g++)
        simd_store(y + (size_t)t * y_stride + g * SIMD_LANES, sum[g][t]);
}

/* n blocks of the strips of n_groups groups, which it arranges for tiles, against n_x rows. */
static void NAME(tiles)(size_t n_groups, struct BLOCK (*strip)[STRIP_BLOCKS], size_t n, bool first,
                        const uint8_t *x, size_t x_stride, size_t n_x, float *y, size_t y_stride) {
    for (size_t g = 0; g < n_groups; g++)
        for (size_t b = 0; b < n; b++) tile_arrange(strip[g][b].w);
    size_t i = 0;
    for (; i + QUANT_TILE <= n_x && n_groups == QUANT_GROUPS; i += QUANT_TILE) NAME(tile)
    (QUANT_GROUPS, QUANT_TILE, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride,
     y_stride);
    for (; i < n_x && n_groups == QUANT_GROUPS; i++) NAME(tile)
    (QUANT_GROUPS, 1, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride, y_stride);
    for (; i + 2 <= n_x; i += 2)
        NAME(tile)(1, 2, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride, y_stride);
    if (i < n_x)
        NAME(tile)(1, 1, strip, n, first, x + i * x_stride, x_stride, y + i * y_stride, y_stride);
}

#undef NAME_OF
#undef NAME_KIND
#undef NAME
#undef BLOCK
#undef STEP
#undef TILE_STEP
#undef KIND
