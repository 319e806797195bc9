/* The kernel of one quantized weight type. Defined by the file that includes this:
 *
 *   TYPE           Q4_1
 *   KIND           offset: struct offset_block, offset_step and, of a tile, offset_tile_step of
 *                  vector_quant_int16.h, _dot4.h or _matrix.h
 *   SUB_BLOCKS     blocks of 32 columns in a block of the type
 *   BLOCK_BYTES    packed bytes of a block, all lanes' rows together
 *   UNPACK(from, sub, to)   block of 32 columns `sub` of the packed block at `from`
 *
 * All are undefined again at the end. */
#define NAME_OF(a, b) a##_##b
#define NAME_TYPED(a, b) NAME_OF(a, b)
#define NAME(a) NAME_TYPED(a, TYPE)
#define WEIGHT NAME_TYPED(WEIGHT, TYPE)
#define BLOCK NAME_TYPED(KIND, block)
#define STEP NAME_TYPED(KIND, step)
#define TILE_STEP NAME_TYPED(KIND, tile_step)

PACKED(TYPE, &packing_rows[WEIGHT], SIMD_LANES)

/* Straight from the packed weights: few rows, bound by reading them. */
#define STREAM_ROWS 7
INLINE void NAME(stream)(int n_x, const uint8_t *group, size_t n_blocks, const uint8_t *x,
                         size_t x_stride, float *y, size_t y_stride) {
    simd_f sum[STREAM_ROWS][1][QUANT_TILE]; /* a tile has one row here: it may be wider than one */
    UNROLL
    for (int t = 0; t < n_x; t++) sum[t][0][0] = simd_zero();
    for (size_t b = 0; b < n_blocks; b += SUB_BLOCKS, group += BLOCK_BYTES) {
        for (size_t line = 0; line < BLOCK_BYTES; line += 64)
            simd_prefetch(group + PREFETCH_BYTES + line);
        UNROLL
        for (int sub = 0; sub < SUB_BLOCKS; sub++) {
            struct BLOCK w;
            const struct BLOCK *ws[1] = {&w};
            UNPACK(group, sub, &w);
            UNROLL
            for (int t = 0; t < n_x; t++) {
                const struct q8_block *xs[1] = {
                    (const struct q8_block *)(const void *)(x + (size_t)t * x_stride) + sub};
                STEP(1, 1, ws, xs, sum[t]);
            }
        }
        x += SUB_BLOCKS * sizeof(struct q8_block);
    }
    UNROLL
    for (int t = 0; t < n_x; t++) simd_store(y + (size_t)t * y_stride, sum[t][0][0]);
}

/* n blocks of the strips of n_groups groups against n_x rows; later blocks add to what y already
 * holds. */
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

static void NAME(strip_multiply)(size_t n_groups, struct BLOCK (*strip)[STRIP_BLOCKS], size_t n,
                                 bool first, const uint8_t *x, size_t x_stride, size_t n_x,
                                 float *y, size_t y_stride) {
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

static void NAME(strip_unpack)(const uint8_t *group, size_t n_blocks, struct BLOCK *strip) {
    for (size_t b = 0; b < n_blocks; b += SUB_BLOCKS, group += BLOCK_BYTES) {
        UNROLL
        for (int sub = 0; sub < SUB_BLOCKS; sub++) {
            UNPACK(group, sub, &strip[b + (size_t)sub]);
            tile_arrange(strip[b + (size_t)sub].w);
        }
    }
}

static void NAME(multiply)(const void *groups, size_t n_groups, size_t n_cols, const void *x,
                           size_t x_stride, size_t n_x, float *y, size_t y_stride) {
    size_t bytes = NAME(group_bytes)(n_cols), n_blocks = n_cols / Q8_BLOCK;
    if (n_x <= STREAM_ROWS) {
        for (size_t g = 0; g < n_groups; g++) {
            const uint8_t *group = (const uint8_t *)groups + g * bytes;
            switch (n_x) { /* constants: the sums are registers */
#define ROWS(n)                                                                      \
    case n:                                                                          \
        NAME(stream)(n, group, n_blocks, x, x_stride, y + g * SIMD_LANES, y_stride); \
        break
                ROWS(1);
                ROWS(2);
                ROWS(3);
                ROWS(4);
                ROWS(5);
                ROWS(6);
                ROWS(7);
#undef ROWS
            }
        }
        return;
    }
    struct BLOCK strip[QUANT_GROUPS][STRIP_BLOCKS];
    size_t n_strips = (n_blocks + STRIP_BLOCKS - 1) / STRIP_BLOCKS;
    size_t strip_blocks = (n_blocks / SUB_BLOCKS + n_strips - 1) / n_strips * SUB_BLOCKS;
    for (size_t i = 0; i < n_x; i += TOKEN_BLOCK) {
        size_t n_rows = n_x - i < TOKEN_BLOCK ? n_x - i : TOKEN_BLOCK;
        for (size_t b = 0; b < n_blocks; b += strip_blocks) {
            size_t n = n_blocks - b < strip_blocks ? n_blocks - b : strip_blocks;
            const uint8_t *columns =
                (const uint8_t *)x + i * x_stride + b * sizeof(struct q8_block);
            for (size_t g = 0; g < n_groups; g += QUANT_GROUPS) {
                size_t count = n_groups - g < QUANT_GROUPS ? n_groups - g : QUANT_GROUPS;
                for (size_t j = 0; j < count; j++) NAME(strip_unpack)
                ((const uint8_t *)groups + (g + j) * bytes + b / SUB_BLOCKS * BLOCK_BYTES, n,
                 strip[j]);
                NAME(strip_multiply)
                (count, strip, n, b == 0, columns, x_stride, n_rows,
                 y + i * y_stride + g * SIMD_LANES, y_stride);
            }
        }
    }
}

static const struct linear_kernel NAME(kernel) = {
    QUANT_ACTIVATION, SIMD_LANES, NAME(group_bytes), NAME(pack), NAME(unpack_row), NAME(multiply)};

#undef STREAM_ROWS
#undef NAME_OF
#undef NAME_TYPED
#undef NAME
#undef WEIGHT
#undef BLOCK
#undef STEP
#undef TILE_STEP
#undef TYPE
#undef KIND
#undef SUB_BLOCKS
#undef BLOCK_BYTES
#undef UNPACK
