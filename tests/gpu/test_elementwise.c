/* Embedding, rope tables, norms with the preparation of activations, gates, softcap: against the
 * CPU's reference kernels, and a row alone against the row among others, bit for bit. */
#include "elementwise_test.h"

#include "cpu/kernels/reference.h"
#include "cuda/weight_layout.h"

_Static_assert((int)KIND_NORM_RMS == (int)NORM_RMS && (int)KIND_NORM_LAYER == (int)NORM_LAYER,
               "kinds.h");
_Static_assert((int)KIND_ACTIVATION_SILU == (int)ACTIVATION_SILU &&
                   (int)KIND_ACTIVATION_GELU_TANH == (int)ACTIVATION_GELU_TANH &&
                   (int)KIND_ACTIVATION_GELU == (int)ACTIVATION_GELU &&
                   (int)KIND_ACTIVATION_RELU == (int)ACTIVATION_RELU &&
                   (int)KIND_ACTIVATION_TANH == (int)ACTIVATION_TANH &&
                   (int)KIND_ACTIVATION_RELU_SQUARED == (int)ACTIVATION_RELU_SQUARED &&
                   (int)KIND_ACTIVATION_SWIGLU_CLAMPED == (int)ACTIVATION_SWIGLU_CLAMPED,
               "kinds.h");

static struct kernels reference;

/* ---- embedding ---- */

#define VOCAB 37

static void test_embed_type(struct gpu *gpu, enum weight_type type, size_t n_cols) {
    const struct weight_type_traits *traits = &weight_type_traits[type];
    enum { N = 6 };
    static const int32_t token[N] = {0, VOCAB - 1, 17, 15, 16, -12345};
    static const int32_t sequence[N] = {0, 0, 1, 2, 2, -1};
    static const int64_t position[N] = {0};
    const float scale = gpu_random_float(gpu, 0.5f, 40.0f);
    size_t row_bytes = weight_type_row_bytes(type, n_cols);
    size_t tile_bytes = weight_layout_tile_bytes(type, n_cols), n_tiles = (VOCAB + 15) / 16;
    uint8_t *file = malloc(VOCAB * row_bytes), *tiles = malloc(n_tiles * tile_bytes);
    float *expected = malloc(n_cols * sizeof *expected);
    /* Random bits are every kind of scale: infinite, NaN, subnormal. */
    for (size_t i = 0; i < VOCAB * row_bytes; i++) file[i] = (uint8_t)gpu_random(gpu);
    for (size_t tile = 0; tile < n_tiles; tile++) {
        size_t n = VOCAB - tile * 16 < 16 ? VOCAB - tile * 16 : 16;
        weight_layout_pack(type, file + tile * 16 * row_bytes, row_bytes, n, n_cols,
                           tiles + tile * tile_bytes);
    }
    void *on_device = gpu_upload(gpu, tiles, n_tiles * tile_bytes);
    struct step_memory step = step_upload(gpu, N, token, position, sequence);
    struct rows out = rows_make(gpu, N, n_cols);
    struct embed_args args = {.rows = step.rows,
                              .tiles = on_device,
                              .out = out.device,
                              .n_rows = N,
                              .n_cols = (uint32_t)n_cols,
                              .n_padded = (uint32_t)weight_layout_padded_cols(n_cols),
                              .out_stride = (uint32_t)out.stride,
                              .type = weight_layout_type((uint32_t)type),
                              .scale = scale};
    if (gpu_run(gpu, "embed", N, EMBED_THREADS, 0, &args, sizeof args)) {
        rows_read(gpu, &out, "embed");
        for (size_t row = 0; row < N; row++) {
            memset(expected, 0, n_cols * sizeof *expected);
            if (sequence[row] >= 0) {
                traits->dequantize(file + (size_t)token[row] * row_bytes, expected, n_cols);
                for (size_t i = 0; i < n_cols && weight_layout_type(type) != (uint32_t)type; i++)
                    expected[i] = bfloat16_to_float(bfloat16_from_float(expected[i]));
                reference.scale(scale, n_cols, expected);
            }
            expect_same(gpu, traits->name, row, rows_at(&out, row), expected, n_cols);
        }
    }
    rows_free(gpu, &out);
    step_free(gpu, &step);
    gpu_free(gpu, on_device);
    free(file);
    free(tiles);
    free(expected);
}

static void test_embed(struct gpu *gpu) {
    for (int type = 0; type < WEIGHT_TYPES; type++) {
        size_t block = weight_type_traits[type].block;
        size_t odd = block == 1 ? 77 : block == 32 ? 96 : 768;
        test_embed_type(gpu, (enum weight_type)type, odd);
        test_embed_type(gpu, (enum weight_type)type, 1280);
    }
}

/* ---- rope tables ---- */

static void test_rope_table(struct gpu *gpu, size_t n) {
    enum { N = 7 };
    static const int64_t position[N] = {0, 1, 2, 63, 131071, 3999999, -1};
    static const int32_t sequence[N] = {0, 0, 1, 2, 2, 3, -1}, token[N] = {0};
    struct rows frequencies = rows_random(gpu, 1, n, 1.0f);
    struct step_memory step = step_upload(gpu, N, token, position, sequence);
    float *table = gpu_alloc(gpu, N * n * 2 * sizeof *table),
          *got = malloc(N * n * 2 * sizeof *got);
    float *expected = malloc(n * 2 * sizeof *expected);
    struct rope_table_args args = {.rows = step.rows,
                                   .frequencies = frequencies.device,
                                   .table = table,
                                   .n_rows = N,
                                   .n = (uint32_t)n,
                                   .scale = gpu_random_float(gpu, 0.5f, 1.5f)};
    if (gpu_run(gpu, "rope_table", N, ROPE_TABLE_THREADS, 0, &args, sizeof args)) {
        gpu_download(gpu, got, table, N * n * 2 * sizeof *got);
        for (size_t row = 0; row < N; row++) {
            reference.rope_table(sequence[row] < 0 ? 0 : position[row], frequencies.host, n,
                                 args.scale, expected);
            expect_same(gpu, "rope table", row, got + row * 2 * n, expected, 2 * n);
        }
    }
    gpu_free(gpu, table);
    rows_free(gpu, &frequencies);
    step_free(gpu, &step);
    free(got);
    free(expected);
}

/* ---- norms ---- */

struct norm_case {
    size_t n_rows, n_cols, n_in; /* n_in > n_rows: an index chooses */
    int kind, add_kind;          /* add_kind -1: nothing is added */
    bool weighted, in_place, special;
};

struct norm_memory {
    struct rows in, add, weights, sum, normed;
    int32_t *index, *index_device;
    uint8_t *to[CUDA_ACTIVATIONS], *to_device[CUDA_ACTIVATIONS];
    size_t to_stride[CUDA_ACTIVATIONS];
    float *scale, *scale_device;
    float *block_scale, *block_scale_device; /* [n_blocks][block_stride] */
    size_t n_padded, n_blocks, block_stride;
};

static void norm_memory_make(struct gpu *gpu, const struct norm_case *c, struct norm_memory *m) {
    static const float special[] = {INFINITY, -INFINITY, NAN,    3e38f, -3e38f, 1e-45f,
                                    -2e-39f,  65504.0f,  1e-30f, -0.0f, 0.0f,   1.0f};
    memset(m, 0, sizeof *m);
    m->in = rows_random(gpu, c->n_in, c->n_cols, 3.0f);
    m->add = rows_random(gpu, c->n_in, c->n_cols, 2.0f);
    m->weights = rows_random(gpu, 4, c->n_cols, 1.5f);
    for (size_t row = 0; c->special && row < c->n_in; row++)
        for (size_t i = 0; i < c->n_cols; i++) {
            /* Row 0 has no infinite value and no NaN, row 1 is all zeros, row 2 is tiny. */
            float *x = rows_at(&m->in, row) + i;
            if (row == 0) *x *= 1e30f;
            if (row == 1) *x = -0.0f;
            if (row == 2) *x *= 1e-41f;
            if (row > 2) *x = special[(i * 7 + row) % (sizeof special / sizeof *special)];
        }
    rows_write(gpu, &m->in);
    m->index = malloc(c->n_rows * sizeof *m->index);
    for (size_t i = 0; i < c->n_rows; i++)
        m->index[i] = (int32_t)(c->n_in > c->n_rows ? gpu_random(gpu) % c->n_in : i);
    m->index_device = gpu_upload(gpu, m->index, c->n_rows * sizeof *m->index);
    m->n_padded = weight_layout_padded_cols(c->n_cols);
    for (int kind = 0; kind < CUDA_ACTIVATIONS; kind++) {
        m->to_stride[kind] = m->n_padded * (kind == CUDA_ACTIVATION_SPLIT ? 4 : 2) + 16;
        m->to[kind] = malloc(c->n_rows * m->to_stride[kind]);
        m->to_device[kind] = gpu_alloc(gpu, c->n_rows * m->to_stride[kind]);
    }
    m->scale = malloc(c->n_rows * sizeof *m->scale);
    m->scale_device = gpu_alloc(gpu, c->n_rows * sizeof *m->scale);
    m->n_blocks = (m->n_padded + LAYOUT_BLOCK_COLS - 1) / LAYOUT_BLOCK_COLS;
    m->block_stride = (c->n_rows + 3) / 4 * 4;
    m->block_scale = malloc(m->n_blocks * m->block_stride * sizeof *m->block_scale);
    m->block_scale_device = gpu_alloc(gpu, m->n_blocks * m->block_stride * sizeof *m->block_scale);
    m->sum = rows_make(gpu, c->n_rows, c->n_cols);
    m->normed = rows_make(gpu, c->n_rows, c->n_cols);
}

static void norm_memory_free(struct gpu *gpu, struct norm_memory *m) {
    rows_free(gpu, &m->in);
    rows_free(gpu, &m->add);
    rows_free(gpu, &m->weights);
    rows_free(gpu, &m->sum);
    rows_free(gpu, &m->normed);
    gpu_free(gpu, m->index_device);
    gpu_free(gpu, m->scale_device);
    gpu_free(gpu, m->block_scale_device);
    free(m->block_scale);
    for (int kind = 0; kind < CUDA_ACTIVATIONS; kind++) {
        gpu_free(gpu, m->to_device[kind]);
        free(m->to[kind]);
    }
    free(m->index);
    free(m->scale);
}

static struct norm_args norm_arguments(const struct norm_case *c, const struct norm_memory *m) {
    const float *weights[4];
    for (size_t i = 0; i < 4; i++)
        weights[i] = c->weighted ? m->weights.device + i * m->weights.stride : NULL;
    struct norm_args args = {
        .index = c->n_in > c->n_rows ? m->index_device : NULL,
        .in = m->in.device,
        .add = c->add_kind < 0 ? NULL : m->add.device,
        .sum = c->in_place ? m->in.device : m->sum.device,
        .normed = m->normed.device,
        .add_norm = {weights[0], c->add_kind == KIND_NORM_LAYER ? weights[1] : NULL,
                     (uint32_t)(c->add_kind < 0 ? 0 : c->add_kind), 1e-5f},
        .norm = {weights[2], c->kind == KIND_NORM_LAYER ? weights[3] : NULL, (uint32_t)c->kind,
                 1e-6f},
        .in_stride = (uint32_t)m->in.stride,
        .add_stride = (uint32_t)m->add.stride,
        .sum_stride = (uint32_t)(c->in_place ? m->in.stride : m->sum.stride),
        .normed_stride = (uint32_t)m->normed.stride,
        .n_rows = (uint32_t)c->n_rows,
        .n_cols = (uint32_t)c->n_cols,
        .n_padded = (uint32_t)m->n_padded,
        .scale = m->scale_device,
        .block_scale = m->block_scale_device,
        .block_stride = (uint32_t)m->block_stride,
    };
    for (int kind = 0; kind < CUDA_ACTIVATIONS; kind++) {
        args.to[kind] = m->to_device[kind];
        args.to_stride[kind] = (uint32_t)m->to_stride[kind];
    }
    return args;
}

static void apply_reference(int kind, const float *weight, const float *bias, float eps, size_t n,
                            const float *x, float *y) {
    if (kind == KIND_NORM_RMS)
        reference.norm_rms(x, weight, eps, n, y);
    else if (kind == KIND_NORM_LAYER)
        reference.norm_layer(x, weight, bias, eps, n, y);
    else
        memcpy(y, x, n * sizeof *y);
}

/* The sum before the norm and the norm itself. */
static void check_norm(struct gpu *gpu, const struct norm_case *c, const struct norm_memory *m) {
    float *x = malloc(2 * c->n_cols * sizeof *x), *y = x + c->n_cols;
    const float *w[4];
    for (size_t i = 0; i < 4; i++) w[i] = c->weighted ? rows_at(&m->weights, i) : NULL;
    for (size_t row = 0; row < c->n_rows; row++) {
        const float *in = rows_at(&m->in, (size_t)m->index[row]);
        memcpy(x, in, c->n_cols * sizeof *x);
        if (c->add_kind >= 0) {
            apply_reference(c->add_kind, w[0], w[1], 1e-5f, c->n_cols,
                            rows_at(&m->add, (size_t)m->index[row]), y);
            for (size_t i = 0; i < c->n_cols; i++) x[i] += y[i];
            expect_near(gpu, "sum", row, rows_at(&m->sum, row), x, c->n_cols, 2e-6f, 4e-6f);
        }
        apply_reference(c->kind, w[2], w[3], 1e-6f, c->n_cols, x, y);
        if (c->kind == KIND_NORM_NONE && c->add_kind < 0)
            expect_same(gpu, "no norm", row, rows_at(&m->normed, row), y, c->n_cols);
        else if (!c->special)
            expect_near(gpu, "norm", row, rows_at(&m->normed, row), y, c->n_cols, 1e-5f, 1e-5f);
    }
    free(x);
}

static uint16_t half_at(const uint8_t *from, size_t i) {
    uint16_t half;
    memcpy(&half, from + 2 * i, sizeof half);
    return half;
}

/* Bits, but for the payload of a NaN. */
static bool same_bf16(uint16_t got, float expected) {
    return got == bfloat16_from_float(expected) ||
           (isnan(expected) && isnan(bfloat16_to_float(got)));
}

static void check_f16(struct gpu *gpu, const struct norm_case *c, const struct norm_memory *m,
                      size_t row) {
    const float *y = rows_at(&m->normed, row);
    float scale = m->scale[row], greatest = 0.0f;
    int exponent;
    if (frexpf(scale, &exponent) != 0.5f)
        gpu_fail(gpu, "scale %a is no power of two", (double)scale);
    for (size_t i = 0; i < m->n_padded; i++) {
        uint16_t got =
            half_at(m->to[CUDA_ACTIVATION_F16] + row * m->to_stride[CUDA_ACTIVATION_F16], i);
        float expected = i < c->n_cols ? y[i] / scale : 0.0f;
        if (!(isnan(expected) ? isnan(half_to_float(got)) : got == half_from_float(expected))) {
            gpu_fail(gpu, "f16 [%zu][%zu] is %x for %a", row, i, got, (double)expected);
            return;
        }
        if (isfinite(expected) && fabsf(expected) > greatest) greatest = fabsf(expected);
    }
    if (greatest >= 32768.0f) gpu_fail(gpu, "f16 row %zu reaches %g", row, (double)greatest);
    if (!c->special && greatest < 16384.0f && greatest > 0.0f)
        gpu_fail(gpu, "f16 row %zu only reaches %g", row, (double)greatest);
}

static float e4m3_value(uint8_t code) {
    const int exponent = code >> 3 & 15, fraction = code & 7;
    const float value =
        exponent ? ldexpf((float)(8 + fraction), exponent - 10) : ldexpf((float)fraction, -9);
    if ((code & 127) == 127) return NAN;
    return code & 128 ? -value : value;
}

/* Each code is a nearest one to value / scale, and a block's greatest one is 448; a block that has
 * an infinite value or a NaN gives no numbers. */
static void check_e4m3(struct gpu *gpu, const struct norm_case *c, const struct norm_memory *m,
                       size_t row) {
    const float *y = rows_at(&m->normed, row);
    const uint8_t *codes = m->to[CUDA_ACTIVATION_E4M3] + row * m->to_stride[CUDA_ACTIVATION_E4M3];
    for (size_t first = 0; first < m->n_padded; first += LAYOUT_BLOCK_COLS) {
        const float scale = m->block_scale[first / LAYOUT_BLOCK_COLS * m->block_stride + row];
        float greatest = 0.0f;
        bool finite = true;
        for (size_t i = first; i < first + LAYOUT_BLOCK_COLS && i < c->n_cols; i++) {
            finite = finite && isfinite(y[i]);
            greatest = fmaxf(greatest, fabsf(y[i]));
        }
        if (!finite ? isfinite(scale)
                    : !(fabsf(scale - fmaxf(greatest, 0x1p-100f) / 448.0f) <= 1e-6f * scale))
            gpu_fail(gpu, "e4m3 [%zu][%zu]: scale %g for %g", row, first, (double)scale,
                     (double)greatest);
        for (size_t i = first; finite && i < first + LAYOUT_BLOCK_COLS && i < m->n_padded; i++) {
            const float value = i < c->n_cols ? y[i] / scale : 0.0f;
            const uint8_t code = codes[i / 16 * 16 + i % 8 / 2 * 4 + i / 8 % 2 * 2 + i % 2];
            /* Half of the distance to the next code, which is 2^-9 at least. */
            const float half =
                fmaxf(ldexpf(1.0f, ilogbf(fmaxf(fabsf(value), 1e-3f)) - 4), 0x1p-10f);
            if (fabsf(e4m3_value(code) - value) <= half * 1.0001f) continue;
            gpu_fail(gpu, "e4m3 [%zu][%zu] is %x for %a", row, i, code, (double)value);
            return;
        }
    }
}

/* The prepared rows follow from the normed ones exactly. */
static void check_prepared(struct gpu *gpu, const struct norm_case *c,
                           const struct norm_memory *m) {
    for (size_t row = 0; row < c->n_rows; row++) {
        const float *y = rows_at(&m->normed, row);
        const uint8_t *bf16 =
            m->to[CUDA_ACTIVATION_BF16] + row * m->to_stride[CUDA_ACTIVATION_BF16];
        const uint8_t *split =
            m->to[CUDA_ACTIVATION_SPLIT] + row * m->to_stride[CUDA_ACTIVATION_SPLIT];
        for (size_t i = 0; i < m->n_padded; i++) {
            float value = i < c->n_cols ? y[i] : 0.0f;
            float rest = value - bfloat16_to_float(bfloat16_from_float(value));
            if (isinf(bfloat16_to_float(bfloat16_from_float(value)))) rest = 0.0f;
            if (same_bf16(half_at(bf16, i), value) && same_bf16(half_at(split, i), value) &&
                same_bf16(half_at(split, m->n_padded + i), rest))
                continue;
            gpu_fail(gpu, "prepared [%zu][%zu]: %x, %x + %x of %a", row, i, half_at(bf16, i),
                     half_at(split, i), half_at(split, m->n_padded + i), (double)value);
            break;
        }
        check_f16(gpu, c, m, row);
        check_e4m3(gpu, c, m, row);
    }
}

static bool run_norm(struct gpu *gpu, const struct norm_case *c, struct norm_memory *m,
                     const struct norm_args *args) {
    if (!gpu_run(gpu, "norm_prepare", args->n_rows, NORM_THREADS, NORM_SHARED, args, sizeof *args))
        return false;
    rows_read(gpu, &m->normed, "normed");
    for (int kind = 0; kind < CUDA_ACTIVATIONS; kind++)
        gpu_download(gpu, m->to[kind], m->to_device[kind], c->n_rows * m->to_stride[kind]);
    gpu_download(gpu, m->scale, m->scale_device, c->n_rows * sizeof *m->scale);
    gpu_download(gpu, m->block_scale, m->block_scale_device,
                 m->n_blocks * m->block_stride * sizeof *m->block_scale);
    if (c->add_kind < 0) return true;
    gpu_download(gpu, m->sum.host, args->sum, rows_bytes(&m->sum));
    return true;
}

static void test_norm_case(struct gpu *gpu, struct norm_case c) {
    struct norm_memory m;
    norm_memory_make(gpu, &c, &m);
    struct norm_args args = norm_arguments(&c, &m);
    if (run_norm(gpu, &c, &m, &args)) {
        check_norm(gpu, &c, &m);
        check_prepared(gpu, &c, &m);
    }
    /* The last row alone: the same bits, and without `sum` too. */
    size_t last = c.n_rows - 1, from = (size_t)m.index[last];
    size_t bytes = c.n_cols * sizeof(float);
    float *before = malloc(bytes);
    uint8_t *prepared = malloc(2 * m.n_padded);
    memcpy(before, rows_at(&m.normed, last), bytes);
    memcpy(prepared, m.to[CUDA_ACTIVATION_BF16] + last * m.to_stride[CUDA_ACTIVATION_BF16],
           2 * m.n_padded);
    rows_write(gpu, &m.in); /* the sum may have gone there */
    gpu_poison(gpu, m.normed.device, rows_bytes(&m.normed));
    args.index = NULL;
    args.in += from * args.in_stride;
    if (args.add) args.add += from * args.add_stride;
    args.sum = NULL;
    args.n_rows = 1;
    args.to[CUDA_ACTIVATION_F16] = args.to[CUDA_ACTIVATION_SPLIT] = NULL;
    if (gpu_run(gpu, "norm_prepare", 1, NORM_THREADS, NORM_SHARED, &args, sizeof args)) {
        gpu_download(gpu, m.normed.host, m.normed.device, bytes);
        gpu_download(gpu, m.to[CUDA_ACTIVATION_BF16], m.to_device[CUDA_ACTIVATION_BF16],
                     2 * m.n_padded);
        if (memcmp(before, m.normed.host, bytes) != 0 ||
            memcmp(prepared, m.to[CUDA_ACTIVATION_BF16], 2 * m.n_padded) != 0)
            gpu_fail(gpu, "a row of %zu columns is another one alone", c.n_cols);
    }
    free(before);
    free(prepared);
    norm_memory_free(gpu, &m);
}

static void test_norms(struct gpu *gpu) {
    static const size_t widths[] = {1, 3, 64, 130, 257, 2048, 4101};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int kind = KIND_NORM_NONE; kind <= KIND_NORM_LAYER; kind++) {
            size_t n = widths[i];
            test_norm_case(gpu, (struct norm_case){3, n, 3, kind, -1, i % 2 == 0, false, false});
            test_norm_case(gpu, (struct norm_case){2, n, 5, kind, kind, true, false, false});
            test_norm_case(
                gpu, (struct norm_case){3, n, 3, kind, (kind + 1) % 3, i % 2 == 1, true, false});
        }
    test_norm_case(gpu, (struct norm_case){5, 100, 5, KIND_NORM_NONE, -1, false, false, true});
    test_norm_case(gpu, (struct norm_case){5, 100, 5, KIND_NORM_RMS, -1, true, false, true});
    test_norm_case(gpu, (struct norm_case){5, 100, 5, KIND_NORM_LAYER, -1, true, false, true});
}

/* ---- gates, softcap ---- */

static void test_gate(struct gpu *gpu, size_t n_rows, size_t n_cols, int activation, bool gated,
                      unsigned grid) {
    static const float special[] = {NAN, INFINITY, 0.0f, -0.0f, 88.0f, -88.0f, -104.0f, 1e-42f};
    struct rows in = rows_random(gpu, n_rows, n_cols, 12.0f);
    struct rows up = rows_random(gpu, n_rows, n_cols, 3.0f);
    struct rows out = rows_make(gpu, n_rows, n_cols);
    for (size_t i = 0; i < 8 && i < n_cols; i++) rows_at(&in, n_rows - 1)[i] = special[i];
    rows_write(gpu, &in);
    struct gate_args args = {.gate = in.device,
                             .up = gated ? up.device : NULL,
                             .out = out.device,
                             .gate_stride = (uint32_t)in.stride,
                             .up_stride = (uint32_t)up.stride,
                             .out_stride = (uint32_t)out.stride,
                             .n_rows = (uint32_t)n_rows,
                             .n_cols = (uint32_t)n_cols,
                             .activation = (uint32_t)activation};
    float *expected = malloc(n_cols * sizeof *expected);
    if (gpu_run(gpu, "gate", grid, GATE_THREADS, 0, &args, sizeof args)) {
        rows_read(gpu, &out, "gate");
        for (size_t row = 0; row < n_rows; row++) {
            reference.gate((enum activation)activation, rows_at(&in, row),
                           gated ? rows_at(&up, row) : NULL, n_cols, expected);
            /* These exponents are rounded before they are one, and may be 60. */
            bool rounded = activation == KIND_ACTIVATION_GELU_TANH ||
                           activation == KIND_ACTIVATION_SWIGLU_CLAMPED;
            float relative = rounded ? 2e-5f : 1e-6f;
            expect_near(gpu, "gate", row, rows_at(&out, row), expected, n_cols, relative, 1e-37f);
        }
    }
    /* In place, and by one block. */
    args.out = in.device;
    args.out_stride = args.gate_stride;
    if (gpu_run(gpu, "gate", 1, GATE_THREADS, 0, &args, sizeof args)) {
        rows_read(gpu, &in, "gate in place");
        for (size_t row = 0; row < n_rows; row++)
            expect_same(gpu, "gate in place", row, rows_at(&in, row), rows_at(&out, row), n_cols);
    }
    rows_free(gpu, &in);
    rows_free(gpu, &up);
    rows_free(gpu, &out);
    free(expected);
}

/* Every exponent: random bits, but for what is infinite or no number. Below -88.7, where 1 / silu
 * is beyond f32, what comes may be 0. */
static void test_gate_range(struct gpu *gpu, int activation) {
    struct rows x = rows_make(gpu, 2, 4096);
    float *expected = malloc(x.n_cols * sizeof *expected);
    for (size_t i = 0; i < 2 * x.n_cols; i++) {
        uint32_t bits = gpu_random(gpu);
        if ((bits & 0x7F800000u) == 0x7F800000u) bits ^= 0x00800000u;
        memcpy(rows_at(&x, i / x.n_cols) + i % x.n_cols, &bits, sizeof bits);
    }
    rows_write(gpu, &x);
    struct rows out = rows_make(gpu, 2, x.n_cols);
    struct gate_args args = {.gate = x.device,
                             .out = out.device,
                             .gate_stride = (uint32_t)x.stride,
                             .out_stride = (uint32_t)out.stride,
                             .n_rows = 2,
                             .n_cols = (uint32_t)x.n_cols,
                             .activation = (uint32_t)activation};
    if (gpu_run(gpu, "gate", 3, GATE_THREADS, 0, &args, sizeof args)) {
        rows_read(gpu, &out, "gate");
        for (size_t row = 0; row < 2; row++) {
            reference.gate((enum activation)activation, rows_at(&x, row), NULL, x.n_cols, expected);
            expect_near(gpu, "gate of any number", row, rows_at(&out, row), expected, x.n_cols,
                        2e-5f, 4e-37f);
        }
    }
    rows_free(gpu, &x);
    rows_free(gpu, &out);
    free(expected);
}

static void test_softcap(struct gpu *gpu, size_t n_rows, size_t n_cols) {
    struct rows x = rows_random(gpu, n_rows, n_cols, 100.0f);
    float *expected = malloc(rows_bytes(&x));
    rows_at(&x, 0)[0] = NAN;
    rows_at(&x, n_rows - 1)[n_cols - 1] = -INFINITY;
    rows_write(gpu, &x);
    memcpy(expected, x.host, rows_bytes(&x));
    struct softcap_args args = {.x = x.device,
                                .n_rows = (uint32_t)n_rows,
                                .n_cols = (uint32_t)n_cols,
                                .stride = (uint32_t)x.stride,
                                .cap = 30.0f};
    if (gpu_run(gpu, "softcap", 2, SOFTCAP_THREADS, 0, &args, sizeof args)) {
        rows_read(gpu, &x, "softcap");
        for (size_t row = 0; row < n_rows; row++) {
            reference.softcap(30.0f, n_cols, expected + row * x.stride);
            expect_near(gpu, "softcap", row, rows_at(&x, row), expected + row * x.stride, n_cols,
                        3e-7f, 0.0f);
        }
    }
    rows_free(gpu, &x);
    free(expected);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    reference_elementwise(&reference);
    test_embed(&gpu);
    test_rope_table(&gpu, 1);
    test_rope_table(&gpu, 64);
    test_rope_table(&gpu, 80);
    test_norms(&gpu);
    test_gate(&gpu, 3, 1001, KIND_ACTIVATION_SWIGLU_CLAMPED, true, 4);
    test_gate(&gpu, 3, 1001, KIND_ACTIVATION_RELU_SQUARED, true, 4);
    for (int activation = 0; activation <= KIND_ACTIVATION_RELU; activation++) {
        test_gate(&gpu, 3, 1001, activation, true, 4);
        test_gate(&gpu, 1, 8, activation, false, 1);
        test_gate(&gpu, 5, 3, activation, true, 3);
        test_gate_range(&gpu, activation);
    }
    test_softcap(&gpu, 3, 703);
    return gpu_close(&gpu);
}
