/* The kernel of one quantized weight type. Defined by the file that includes this:
 *
 *   TYPE           Q4_1
 *   KIND           offset: struct offset_block, offset_step, and the products of
 *                  vector_quant_products.h
 *   SUB_BLOCKS     blocks of 32 columns in a block of the type
 *   BLOCK_BYTES    packed bytes of a block, all lanes' rows together
 *   UNPACK(from, sub, to)   block of 32 columns `sub` of the packed block at `from`
 *
 *   STRAIGHT_ROWS  so many rows are multiplied without a strip of unpacked blocks: 1, or more
 *
 * All are undefined again at the end. */
#define NAME_OF(a, b) a##_##b
#define NAME_TYPED(a, b) NAME_OF(a, b)
#define NAME(a) NAME_TYPED(a, TYPE)
#define WEIGHT NAME_TYPED(WEIGHT, TYPE)
#define BLOCK NAME_TYPED(KIND, block)
#define STEP NAME_TYPED(KIND, step)
#define KIND_ROWS NAME_TYPED(KIND, rows)
#define KIND_TILES NAME_TYPED(KIND, tiles)

PACKED(TYPE, &packing_rows[WEIGHT], SIMD_LANES)

/* Straight from the packed weights, bound by reading them. */
INLINE void NAME(straight)(int n_x, const uint8_t *group, size_t n_blocks, const uint8_t *x,
                           size_t x_stride, float *y, size_t y_stride) {
    simd_f sum[ROW_SET][1][QUANT_TILE]; /* a tile has one row here: it may be wider than one */
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

/* Functions of their own: a compiler takes much longer for one that has them all. */
#define STRAIGHT(n)                                                                         \
    static void NAME(straight_##n)(const uint8_t *group, size_t n_blocks, const uint8_t *x, \
                                   size_t x_stride, float *y, size_t y_stride) {            \
        NAME(straight)(n, group, n_blocks, x, x_stride, y, y_stride);                       \
    }
STRAIGHT(1)
#if STRAIGHT_ROWS > 1
STRAIGHT(2)
STRAIGHT(3)
STRAIGHT(4)
STRAIGHT(5)
STRAIGHT(6)
STRAIGHT(7)
STRAIGHT(8)
#endif
#undef STRAIGHT

static multiply_rows *const NAME(straight_functions)[] = {
    NULL,
    NAME(straight_1),
#if STRAIGHT_ROWS > 1
    NAME(straight_2),
    NAME(straight_3),
    NAME(straight_4),
    NAME(straight_5),
    NAME(straight_6),
    NAME(straight_7),
    NAME(straight_8),
#endif
};

static void NAME(strip_unpack)(const uint8_t *group, size_t n_blocks, struct BLOCK *strip) {
    for (size_t b = 0; b < n_blocks; b += SUB_BLOCKS, group += BLOCK_BYTES) {
        for (size_t line = 0; line < BLOCK_BYTES; line += 64)
            simd_prefetch(group + PREFETCH_BYTES + line);
        UNROLL
        for (int sub = 0; sub < SUB_BLOCKS; sub++) UNPACK(group, sub, &strip[b + (size_t)sub]);
    }
}

/* Few rows: strips short enough for the next one's bytes to be on their way meanwhile. */
static void NAME(few_rows)(const uint8_t *group, size_t n_blocks, const uint8_t *x, size_t x_stride,
                           size_t n_x, float *y, size_t y_stride) {
    struct BLOCK strip[SHORT_STRIP_BLOCKS];
    for (size_t b = 0, n; b < n_blocks; b += n) {
        n = n_blocks - b < SHORT_STRIP_BLOCKS ? n_blocks - b : SHORT_STRIP_BLOCKS;
        NAME(strip_unpack)(group + b / SUB_BLOCKS * BLOCK_BYTES, n, strip);
        KIND_ROWS(strip, n, b == 0, x + b * sizeof(struct q8_block), x_stride, n_x, y, y_stride);
    }
}

/* Many rows: strips serve all rows of a block whose activations stay near. */
static void NAME(many_rows)(const uint8_t *groups, size_t n_groups, size_t n_blocks,
                            const uint8_t *x, size_t x_stride, size_t n_x, float *y,
                            size_t y_stride) {
    struct BLOCK strip[QUANT_GROUPS][STRIP_BLOCKS];
    size_t group_bytes = NAME(group_bytes)(n_blocks * Q8_BLOCK);
    size_t n_strips = (n_blocks + STRIP_BLOCKS - 1) / STRIP_BLOCKS;
    size_t strip_blocks = (n_blocks / SUB_BLOCKS + n_strips - 1) / n_strips * SUB_BLOCKS;
    for (size_t b = 0, n; b < n_blocks; b += n) {
        n = n_blocks - b < strip_blocks ? n_blocks - b : strip_blocks;
        const uint8_t *columns = x + b * sizeof(struct q8_block);
        const uint8_t *blocks = groups + b / SUB_BLOCKS * BLOCK_BYTES;
        for (size_t g = 0, count; g < n_groups; g += count) {
            count = n_groups - g < QUANT_GROUPS ? n_groups - g : QUANT_GROUPS;
            for (size_t j = 0; j < count; j++) NAME(strip_unpack)
            (blocks + (g + j) * group_bytes, n, strip[j]);
            KIND_TILES(count, strip, n, b == 0, columns, x_stride, n_x, y + g * SIMD_LANES,
                       y_stride);
        }
    }
}

static void NAME(group_rows)(const uint8_t *group, size_t n_blocks, const uint8_t *x,
                             size_t x_stride, size_t n_x, float *y, size_t y_stride) {
    if (n_x > STRAIGHT_ROWS) {
        NAME(few_rows)(group, n_blocks, x, x_stride, n_x, y, y_stride);
        return;
    }
    for (size_t n_sets = (n_x + ROW_SET - 1) / ROW_SET; n_sets; n_sets--) {
        size_t rows = n_x / n_sets;
        NAME(straight_functions)[rows](group, n_blocks, x, x_stride, y, y_stride);
        n_x -= rows;
        x += rows * x_stride;
        y += rows * y_stride;
    }
}

static void NAME(multiply)(const void *groups, size_t n_groups, size_t n_cols, const void *x,
                           size_t x_stride, size_t n_x, float *y, size_t y_stride) {
    size_t bytes = NAME(group_bytes)(n_cols), n_blocks = n_cols / Q8_BLOCK;
    if (n_x <= FEW_ROWS) {
        for (size_t g = 0; g < n_groups; g++) NAME(group_rows)
        ((const uint8_t *)groups + g * bytes, n_blocks, x, x_stride, n_x, y + g * SIMD_LANES,
         y_stride);
        return;
    }
    for (size_t i = 0; i < n_x; i += TOKEN_BLOCK) NAME(many_rows)
    (groups, n_groups, n_blocks, (const uint8_t *)x + i * x_stride, x_stride,
     n_x - i < TOKEN_BLOCK ? n_x - i : TOKEN_BLOCK, y + i * y_stride, y_stride);
}

static const struct linear_kernel NAME(kernel) = {
    QUANT_ACTIVATION, SIMD_LANES, NAME(group_bytes), NAME(pack), NAME(unpack_row), NAME(multiply)};

#undef NAME_OF
#undef NAME_TYPED
#undef NAME
#undef WEIGHT
#undef BLOCK
#undef STEP
#undef KIND_ROWS
#undef KIND_TILES
#undef TYPE
#undef KIND
#undef SUB_BLOCKS
#undef BLOCK_BYTES
#undef UNPACK
#undef STRAIGHT_ROWS
