/* GEMM kernels: every type and tile against sums in f64 of the very operands, and memcmp across
 * everything that must not change a bit: rows in the call, tiles, splits apart or not.
 * test_gemm_hopper.c is the same of the kernels for warpgroups. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/gemm_map.h"
#include "cuda/kernels/gemm/gemm_hopper_tiles.h"
#include "cuda/kernels/gemm/gemm_tiles.h"
#include "cuda/kernels/kinds.h"
#include "gpu_test.h"

#ifndef TEST_HOPPER
#define TEST_HOPPER 0
#endif

enum { POISON = 0xff };

/* ---- what a family of kernels is ---- */

struct kernel_tile {
    uint32_t rows, threads, shared_bytes, part_bytes; /* shared_bytes 0: there is no such kernel */
    bool whole;                                       /* of weights without splits alone */
};

enum { N_TILES = TEST_HOPPER ? GEMM_HOPPER_NS : GEMM_TILE_NS };

static uint32_t tile_n(uint32_t index) {
    return TEST_HOPPER ? gemm_hopper_n(index) : gemm_tile_n(index);
}

static struct kernel_tile tile_of(uint32_t type, uint32_t gate, uint32_t n) {
    if (TEST_HOPPER) {
        const struct gemm_hopper_tile tile = gemm_hopper_tile_of(type, gate, n);
        return (struct kernel_tile){GEMM_HOPPER_ROWS, GEMM_HOPPER_THREADS, tile.shared_bytes,
                                    gemm_hopper_part_bytes(gate, n), tile.whole};
    }
    const struct gemm_tile tile = gemm_tile_of(type, gate, n);
    return (struct kernel_tile){tile.rows, tile.threads, tile.shared_bytes,
                                tile.shared_bytes ? gemm_tile_part_bytes(gate, n) : 0, false};
}

/* Whether blocks share rows of x in clusters of two. */
enum pairing { PAIRED_OR_NOT, ALONE, PAIRED };

static bool may_pair(uint32_t n, bool e4m3, uint32_t splits_apart) {
    return TEST_HOPPER && n >= (e4m3 ? 64 : 16) && !splits_apart;
}

/* The kernel on all tiles of the grid that gemm_args describe. */
static void launch_kernel(struct gpu *gpu, const char *name, const struct kernel_tile *tile,
                          uint32_t n, uint32_t n_tiles, enum pairing pairing,
                          const struct gemm_args *args) {
    if (!TEST_HOPPER) {
        gpu_run(gpu, name, n_tiles, tile->threads, tile->shared_bytes, args, sizeof *args);
        return;
    }
    struct gemm_hopper_args hopper;
    const bool pair =
        pairing == PAIRED_OR_NOT
            ? may_pair(n, args->x_block_scale, args->splits_apart) && gpu_random(gpu) % 2
            : pairing == PAIRED;
    if (gemm_map_make(&gpu->driver, args, n, pair, &hopper) != DRIVER_SUCCESS)
        gpu_fail(gpu, "a tensor map of %u x %u", args->n_x, args->n_cols);
    uint32_t grid = 1 + gpu_random(gpu) % n_tiles; /* blocks take tiles in turn */
    if (pair) grid *= 2;
    const char *wrong = gpu_launch_clusters(gpu, name, pair ? 2 : 1, grid, tile->threads,
                                            tile->shared_bytes, &hopper, sizeof hopper);
    if (wrong) gpu_fail(gpu, "%s", wrong);
}

/* A weight on the device, and its values as the product has them. */
struct weight {
    uint32_t type;
    uint32_t n_rows, n_cols, padded;
    float *values; /* [n_rows][n_cols] */
    void *tiles;
    float *bias, *bias_values;
};

struct inputs {
    uint32_t n_x, stride; /* bytes */
    float *values;        /* [n_x][padded] as the product has them */
    void *x;
    float *scale;       /* of F16 */
    float *block_scale; /* of FP8_FP8 [n_blocks][block_stride] */
    uint32_t block_stride;
    bool emulated;
};

static float bf16(float value) {
    return bfloat16_to_float(bfloat16_from_float(value));
}

/* What the product makes of a weight: the sum of two bf16 for F32. */
static float weight_operand(uint32_t type, float value) {
    if (type == WEIGHT_F16 || type == LAYOUT_FP8_FP8) return value;
    if (type == WEIGHT_F32) return bf16(value) + bf16(value - bf16(value));
    return bf16(value);
}

static const char *type_name(uint32_t type) {
    static const char *const others[] = {"FP8", "INT4_32", "INT4_64", "FP8_FP8"};
    return type < WEIGHT_TYPES ? weight_type_traits[type].name : others[type - WEIGHT_TYPES];
}

/* A random code that is a number. */
static uint8_t e4m3_code(struct gpu *gpu) {
    const uint8_t code = (uint8_t)gpu_random(gpu);
    return (code & 127) == 127 ? (uint8_t)(code - 1) : code;
}

static float e4m3(uint8_t code) {
    int exponent = code >> 3 & 15, fraction = code & 7;
    float value =
        exponent ? ldexpf((float)(8 + fraction), exponent - 10) : ldexpf((float)fraction, -9);
    return code & 128 ? -value : value;
}

/* A row tile of a format that GGUF doesn't have, random; values [n_rows][n_cols] are what it holds.
 */
static void make_other_tile(struct gpu *gpu, uint32_t type, uint32_t n_rows, uint32_t n_cols,
                            void *tile, float *values) {
    bool fp8 = type == LAYOUT_FP8 || type == LAYOUT_FP8_FP8;
    size_t scale_cols = type == LAYOUT_INT4_32 ? 32 : 64u << gpu_random(gpu) % 2;
    if (type == LAYOUT_FP8_FP8) scale_cols *= 2;
    size_t stride = (n_cols + scale_cols - 1) / scale_cols;
    uint8_t *codes = malloc(n_rows * n_cols), *zeros = malloc(n_rows * stride);
    float *scales = malloc(n_rows * stride * sizeof *scales);
    uint16_t *halves = malloc(n_rows * stride * sizeof *halves);
    for (size_t i = 0; i < n_rows * n_cols; i++)
        codes[i] = type == LAYOUT_FP8_FP8 ? e4m3_code(gpu) : (uint8_t)gpu_random(gpu);
    for (size_t i = 0; i < n_rows * stride; i++) {
        scales[i] = gpu_random_float(gpu, -0.01f, 0.01f);
        halves[i] = half_from_float(scales[i]);
        zeros[i] = (uint8_t)(gpu_random(gpu) % 17);
    }
    for (uint32_t r = 0; r < n_rows; r++)
        for (uint32_t c = 0; c < n_cols; c++) {
            size_t at = r * stride + c / scale_cols;
            float *value = &values[(size_t)r * n_cols + c];
            if (fp8) {
                *value = e4m3(codes[r * n_cols + c]) * scales[at];
            } else {
                int code = codes[r * (n_cols / 2) + c / 2] >> c % 2 * 4 & 15;
                *value = (float)(code - zeros[at]) * half_to_float(halves[at]);
            }
        }
    if (fp8) {
        const struct layout_fp8 from = {codes, scales, n_cols, stride, scale_cols};
        weight_layout_pack_fp8(&from, n_rows, n_cols, tile);
    } else {
        const struct layout_int4 from = {codes, halves, zeros, n_cols / 2, stride, scale_cols};
        weight_layout_pack_int4(type, &from, n_rows, n_cols, tile);
    }
    free(codes);
    free(zeros);
    free(scales);
    free(halves);
}

static void make_tile(struct gpu *gpu, enum weight_type type, uint32_t n_rows, uint32_t n_cols,
                      void *tile, float *values) {
    size_t row_bytes = weight_type_row_bytes(type, n_cols);
    uint8_t *rows = malloc(n_rows * row_bytes);
    for (uint32_t r = 0; r < n_rows; r++) {
        float size = gpu_random_float(gpu, 0.1f, 2.0f), *row = values + (size_t)r * n_cols;
        for (uint32_t i = 0; i < n_cols; i++) row[i] = gpu_random_float(gpu, -size, size);
        weight_type_traits[type].quantize(row, rows + r * row_bytes, n_cols);
        weight_type_traits[type].dequantize(rows + r * row_bytes, row, n_cols);
    }
    weight_layout_pack(type, rows, row_bytes, n_rows, n_cols, tile);
    free(rows);
}

static struct weight make_weight(struct gpu *gpu, uint32_t type, uint32_t n_rows, uint32_t n_cols) {
    struct weight w = {.type = type, .n_rows = n_rows, .n_cols = n_cols};
    size_t tile_bytes = weight_layout_tile_bytes(type, n_cols);
    size_t n_tiles = (n_rows + LAYOUT_ROWS - 1) / LAYOUT_ROWS;
    uint8_t *tiles = malloc(n_tiles * tile_bytes);
    w.padded = (uint32_t)weight_layout_padded_cols(n_cols);
    w.values = malloc((size_t)n_rows * n_cols * sizeof *w.values);
    for (uint32_t first = 0; first < n_rows; first += LAYOUT_ROWS) {
        uint32_t here = n_rows - first < LAYOUT_ROWS ? n_rows - first : LAYOUT_ROWS;
        void *tile = tiles + first / LAYOUT_ROWS * tile_bytes;
        float *values = w.values + (size_t)first * n_cols;
        if (type < WEIGHT_TYPES)
            make_tile(gpu, (enum weight_type)type, here, n_cols, tile, values);
        else
            make_other_tile(gpu, type, here, n_cols, tile, values);
    }
    for (size_t i = 0; i < (size_t)n_rows * n_cols; i++)
        w.values[i] = weight_operand(type, w.values[i]);
    w.tiles = gpu_upload(gpu, tiles, n_tiles * tile_bytes);
    w.bias_values = malloc(n_rows * sizeof(float));
    for (uint32_t r = 0; r < n_rows; r++) w.bias_values[r] = gpu_random_float(gpu, -1.0f, 1.0f);
    w.bias = gpu_upload(gpu, w.bias_values, n_rows * sizeof(float));
    free(tiles);
    return w;
}

static void free_weight(struct gpu *gpu, struct weight *w) {
    gpu_free(gpu, w->tiles);
    gpu_free(gpu, w->bias);
    free(w->values);
    free(w->bias_values);
}

/* Of FP8_FP8: codes, those of 16 columns in the order of CUDA_ACTIVATION_E4M3, and scales. What
 * lies behind the last row of scales is poison. */
static struct inputs make_codes(struct gpu *gpu, uint32_t n_x, uint32_t n_cols) {
    uint32_t padded = (uint32_t)weight_layout_padded_cols(n_cols);
    uint32_t n_blocks = (padded + LAYOUT_BLOCK_COLS - 1) / LAYOUT_BLOCK_COLS;
    struct inputs in = {.n_x = n_x,
                        .stride = padded + 16 * (gpu_random(gpu) % 3),
                        .block_stride = (n_x + 3) / 4 * 4 + 4 * (gpu_random(gpu) % 3),
                        .emulated = gpu->emulated};
    uint8_t *codes = calloc(n_x, in.stride);
    float *scales = malloc((size_t)n_blocks * in.block_stride * sizeof *scales);
    memset(scales, POISON, (size_t)n_blocks * in.block_stride * sizeof *scales);
    in.values = calloc((size_t)n_x * padded, sizeof *in.values);
    for (uint32_t i = 0; i < n_x; i++) {
        for (uint32_t block = 0; block < n_blocks; block++)
            scales[block * in.block_stride + i] = gpu_random_float(gpu, 0.001f, 0.01f);
        for (uint32_t k = 0; k < n_cols; k++) {
            const uint32_t b = k / 8 % 2, t = k % 8 / 2, h = k % 2;
            const uint8_t code = e4m3_code(gpu);
            codes[(size_t)i * in.stride + k / 16 * 16 + 4 * t + 2 * b + h] = code;
            in.values[(size_t)i * padded + k] =
                e4m3(code) * scales[k / LAYOUT_BLOCK_COLS * in.block_stride + i];
        }
    }
    in.x = gpu_upload(gpu, codes, (size_t)n_x * in.stride);
    in.block_scale = gpu_upload(gpu, scales, (size_t)n_blocks * in.block_stride * sizeof *scales);
    free(codes);
    free(scales);
    return in;
}

static struct inputs make_inputs(struct gpu *gpu, uint32_t type, uint32_t n_x, uint32_t n_cols) {
    if (type == LAYOUT_FP8_FP8) return make_codes(gpu, n_x, n_cols);
    uint32_t padded = (uint32_t)weight_layout_padded_cols(n_cols);
    uint32_t planes = type == WEIGHT_F32 ? 2 : 1;
    struct inputs in = {.n_x = n_x, .stride = padded * 2 * planes + 16 * (gpu_random(gpu) % 3)};
    uint8_t *bytes = calloc(n_x, in.stride);
    float *scale = malloc(n_x * sizeof *scale);
    in.values = calloc((size_t)n_x * padded, sizeof *in.values);
    for (uint32_t i = 0; i < n_x; i++) {
        uint16_t *row = (uint16_t *)(void *)(bytes + (size_t)i * in.stride);
        scale[i] = ldexpf(1.0f, (int)(gpu_random(gpu) % 9) - 4);
        for (uint32_t k = 0; k < n_cols; k++) {
            float value = gpu_random_float(gpu, -2.0f, 2.0f);
            float *to = &in.values[(size_t)i * padded + k];
            if (type == WEIGHT_F16) {
                row[k] = half_from_float(value);
                *to = half_to_float(row[k]) * scale[i];
            } else {
                row[k] = bfloat16_from_float(value);
                *to = bf16(value);
                if (planes == 2) {
                    row[padded + k] = bfloat16_from_float(value - *to);
                    *to += bfloat16_to_float(row[padded + k]);
                }
            }
        }
    }
    in.x = gpu_upload(gpu, bytes, (size_t)n_x * in.stride);
    if (type == WEIGHT_F16) in.scale = gpu_upload(gpu, scale, n_x * sizeof *scale);
    free(bytes);
    free(scale);
    return in;
}

static void free_inputs(struct gpu *gpu, struct inputs *in) {
    gpu_free(gpu, in->x);
    gpu_free(gpu, in->scale);
    gpu_free(gpu, in->block_scale);
    free(in->values);
}

/* How a product is launched. */
struct launch {
    uint32_t n;
    uint32_t split_cols, splits_apart;
    uint32_t first_x, n_x; /* of the inputs */
    enum gemm_combine combine;
    uint32_t activation;
    float softcap;
    bool bias;
    enum pairing pairing;
};

/* Three columns of poison right of the rows, one row below. */
static uint32_t y_stride(const struct weight *w) {
    return w->n_rows + 3;
}
static size_t y_floats(const struct weight *w, const struct launch *launch) {
    return (size_t)(launch->n_x + 1) * y_stride(w);
}

static void kernel_name(uint32_t type, const struct launch *launch, char name[64]) {
    int length = snprintf(name, 64, "gemm_%s%s_n%u%s", TEST_HOPPER ? "hopper_" : "",
                          type_name(type), launch->n, launch->combine == GEMM_GATE ? "_gate" : "");
    for (int i = 0; i < length; i++)
        if (name[i] >= 'A' && name[i] <= 'Z') name[i] = (char)(name[i] - 'A' + 'a');
}

/* y[i] of weight i: [n_x + 1][y_stride] floats, what was there before being `before` (ADD) or
 * poison. Of GATE y[0] alone. */
static void run(struct gpu *gpu, const struct weight *w, uint32_t n_weights,
                const struct inputs *in, const struct launch *launch, const float *before,
                float **y) {
    char name[64];
    uint32_t gate = launch->combine == GEMM_GATE;
    const struct kernel_tile tile = tile_of(w->type, gate, launch->n);
    struct gemm_args args = {.n_weights = n_weights,
                             .n_cols = w->padded,
                             .x = (const uint8_t *)in->x + (size_t)launch->first_x * in->stride,
                             .x_scale = in->scale ? in->scale + launch->first_x : NULL,
                             .x_block_scale =
                                 in->block_scale ? in->block_scale + launch->first_x : NULL,
                             .x_block_stride = in->block_stride,
                             .x_stride = in->stride,
                             .n_x = launch->n_x,
                             .split_cols = launch->split_cols,
                             .splits_apart = launch->splits_apart,
                             .combine = launch->combine,
                             .activation = launch->activation,
                             .softcap = launch->softcap};
    uint32_t row_blocks = 0, n_y = gate ? 1 : n_weights;
    for (uint32_t i = 0; i < n_weights; i++) {
        size_t bytes = y_floats(&w[i], launch) * sizeof(float);
        args.weights[i] = (struct gemm_weight){.tiles = w[i].tiles,
                                               .bias = launch->bias ? w[i].bias : NULL,
                                               .n_rows = w[i].n_rows,
                                               .y_stride = y_stride(&w[i])};
        if (i >= n_y) continue;
        if (before) {
            args.weights[i].y = gpu_upload(gpu, before, bytes);
        } else {
            float *poison = malloc(bytes);
            memset(poison, POISON, bytes);
            args.weights[i].y = gpu_upload(gpu, poison, bytes);
            free(poison);
        }
        row_blocks += (w[i].n_rows + tile.rows - 1) / tile.rows;
    }
    uint32_t tiles = row_blocks * ((launch->n_x + launch->n - 1) / launch->n), splits = 1;
    if (launch->splits_apart) {
        splits = (w->padded + launch->split_cols - 1) / launch->split_cols;
        uint32_t *zeros = calloc(tiles, sizeof *zeros);
        args.counters = gpu_upload(gpu, zeros, tiles * sizeof *zeros);
        args.parts = gpu_alloc(gpu, (size_t)tiles * splits * tile.part_bytes);
        free(zeros);
    }
    kernel_name(w->type, launch, name);
    launch_kernel(gpu, name, &tile, launch->n, tiles * splits, launch->pairing, &args);
    for (uint32_t i = 0; i < n_y; i++) {
        gpu_download(gpu, y[i], args.weights[i].y, y_floats(&w[i], launch) * sizeof(float));
        gpu_free(gpu, args.weights[i].y);
    }
    if (launch->splits_apart) {
        uint32_t *counters = malloc(tiles * sizeof *counters);
        gpu_download(gpu, counters, args.counters, tiles * sizeof *counters);
        for (uint32_t i = 0; i < tiles; i++)
            if (counters[i] != 0) gpu_fail(gpu, "%s: counter %u is %u", name, i, counters[i]);
        free(counters);
    }
    gpu_free(gpu, args.counters);
    gpu_free(gpu, args.parts);
}

static double activation(uint32_t kind, double x) {
    switch (kind) {
    case KIND_ACTIVATION_SILU:
        return x / (1.0 + exp(-x));
    case KIND_ACTIVATION_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case KIND_ACTIVATION_GELU:
        return 0.5 * x * erfc(-x / sqrt(2.0));
    case KIND_ACTIVATION_RELU:
        return x > 0.0 ? x : 0.0;
    case KIND_ACTIVATION_TANH:
        return tanh(x);
    case KIND_ACTIVATION_RELU_SQUARED:
        return x > 0.0 ? x * x : 0.0;
    default:
        return x;
    }
}

/* The sum and the bound of its error: of each addition 2^-23 of the sum of magnitudes (tensor cores
 * may cut instead of rounding), and of F32 the products left out. */
static double exact_sum(const struct weight *w, const struct inputs *in, uint32_t x, uint32_t row,
                        double *bound) {
    double sum = 0.0, magnitude = 0.0;
    for (uint32_t k = 0; k < w->n_cols; k++) {
        double product = (double)w->values[(size_t)row * w->n_cols + k] *
                         (double)in->values[(size_t)x * w->padded + k];
        sum += product;
        magnitude += fabs(product);
    }
    *bound = magnitude * (w->n_cols / 16 + 4) * 0x1p-23 +
             (w->type == WEIGHT_F32 ? magnitude * 0x1p-16 : 0.0) + 1e-6;
    /* Sums of e4m3 products have 13 bits and more behind the greatest of them, and are made anew
     * every 128 columns. */
    if (w->type == LAYOUT_FP8_FP8) *bound += magnitude * (in->emulated ? 0x1p-20 : 0x1p-11);
    return sum;
}

static void check_y(struct gpu *gpu, const struct weight *w, const struct inputs *in,
                    const struct launch *launch, const float *before, const float *y) {
    char name[64];
    kernel_name(w->type, launch, name);
    float poison;
    memset(&poison, POISON, sizeof poison);
    for (uint32_t x = 0; x <= launch->n_x; x++)
        for (uint32_t row = 0; row < y_stride(w); row++) {
            size_t at = (size_t)x * y_stride(w) + row;
            if (x == launch->n_x || row >= w->n_rows) {
                if (memcmp(&y[at], before ? &before[at] : &poison, sizeof poison) != 0)
                    gpu_fail(gpu, "%s wrote outside, at x %u row %u", name, x, row);
                continue;
            }
            double bound, sum = exact_sum(&w[0], in, launch->first_x + x, row, &bound);
            if (launch->bias) sum += (double)w[0].bias_values[row];
            if (launch->combine == GEMM_GATE) {
                double up_bound, up = exact_sum(&w[1], in, launch->first_x + x, row, &up_bound);
                if (launch->bias) up += (double)w[1].bias_values[row];
                double gate = activation(launch->activation, sum);
                if (launch->activation == KIND_ACTIVATION_SWIGLU_CLAMPED) {
                    double cut = fmin(sum, 7.0);
                    gate = cut / (1.0 + exp(-1.702 * cut));
                    up = fmax(fmin(up, 7.0), -7.0) + 1.0;
                }
                bound = 1.2 * bound * fabs(up) + fabs(gate) * up_bound + bound * up_bound +
                        fabs(gate * up) * 1e-6 + 1e-6;
                sum = gate * up;
            }
            if (launch->combine == GEMM_ADD) sum += (double)before[at];
            if (launch->softcap != 0.0f)
                sum = (double)launch->softcap * tanh(sum / (double)launch->softcap);
            bound += fabs(sum) * 1e-6;
            if (!(fabs((double)y[at] - sum) <= bound))
                gpu_fail(gpu, "%s rows %u cols %u x %u: y[%u][%u] is %g, not %g +- %g", name,
                         w->n_rows, w->n_cols, launch->n_x, x, row, (double)y[at], sum, bound);
        }
}

static float *take_y(const struct weight *w, const struct launch *launch) {
    return malloc(y_floats(w, launch) * sizeof(float));
}

static void check_same(struct gpu *gpu, const char *what, uint32_t type, const float *a,
                       const float *b, size_t n) {
    if (memcmp(a, b, n * sizeof *a) != 0) gpu_fail(gpu, "%s: other bits %s", type_name(type), what);
}

/* One shape through every tile, alone and together, split and apart. */
static void check_bits(struct gpu *gpu, uint32_t type, uint32_t n_rows, uint32_t n_cols,
                       uint32_t n_x) {
    struct weight w = make_weight(gpu, type, n_rows, n_cols);
    struct inputs in = make_inputs(gpu, type, n_x, n_cols);
    uint32_t splits[] = {w.padded, GEMM_SPLIT_MULTIPLE};
    for (uint32_t s = 0; s < (n_cols > GEMM_SPLIT_MULTIPLE ? 2 : 1); s++) {
        struct launch launch = {.n = 8, .split_cols = splits[s], .n_x = n_x};
        float *y = take_y(&w, &launch), *other = take_y(&w, &launch);
        run(gpu, &w, 1, &in, &launch, NULL, &y);
        check_y(gpu, &w, &in, &launch, NULL, y);
        for (uint32_t i = 0; i < N_TILES; i++)
            for (uint32_t how = 0; how < 3; how++) {
                static const char *const hows[] = {"in another tile", "apart", "in a pair"};
                launch.n = tile_n(i);
                launch.splits_apart = how == 1;
                launch.pairing = how == 2 ? PAIRED : ALONE;
                if (how == 2 && !may_pair(launch.n, in.block_scale, 0)) continue;
                const struct kernel_tile tile = tile_of(type, 0, launch.n);
                if (tile.shared_bytes == 0 || (tile.whole && launch.split_cols < w.padded))
                    continue;
                run(gpu, &w, 1, &in, &launch, NULL, &other);
                check_same(gpu, hows[how], type, y, other, (size_t)n_x * y_stride(&w));
            }
        /* One row alone, and a chunk that begins elsewhere. */
        struct launch chunk = {.n = 8, .split_cols = splits[s], .n_x = 1};
        for (uint32_t round = 0; round < 3; round++) {
            chunk.first_x = gpu_random(gpu) % n_x;
            if (in.block_scale) chunk.first_x -= chunk.first_x % 4; /* scales' addresses */
            chunk.n_x = round == 0 ? 1 : 1 + gpu_random(gpu) % (n_x - chunk.first_x);
            run(gpu, &w, 1, &in, &chunk, NULL, &other);
            for (uint32_t x = 0; x < chunk.n_x; x++)
                check_same(gpu, "in a chunk", type, y + (size_t)(chunk.first_x + x) * y_stride(&w),
                           other + (size_t)x * y_stride(&w), w.n_rows);
        }
        free(y);
        free(other);
    }
    free_inputs(gpu, &in);
    free_weight(gpu, &w);
}

/* Bias, sums onto what is there, softcap; several weights in a launch. */
static void check_epilogues(struct gpu *gpu, uint32_t type, uint32_t n_cols, uint32_t n) {
    uint32_t n_x = 1 + gpu_random(gpu) % (n < 64 ? 2 * n : n);
    struct weight w[3];
    struct inputs in = make_inputs(gpu, type, n_x, n_cols);
    for (int i = 0; i < 3; i++) w[i] = make_weight(gpu, type, 1 + gpu_random(gpu) % 100, n_cols);
    struct launch launch = {.n = n, .split_cols = w->padded, .n_x = n_x, .bias = true};
    float *y[3];
    for (int i = 0; i < 3; i++) y[i] = take_y(&w[i], &launch);
    run(gpu, w, 3, &in, &launch, NULL, y);
    for (int i = 0; i < 3; i++) check_y(gpu, &w[i], &in, &launch, NULL, y[i]);

    float *before = take_y(w, &launch);
    for (size_t i = 0; i < y_floats(w, &launch); i++) before[i] = gpu_random_float(gpu, -9, 9);
    launch.combine = GEMM_ADD;
    run(gpu, w, 1, &in, &launch, before, y);
    check_y(gpu, w, &in, &launch, before, y[0]);
    launch.combine = GEMM_STORE;
    launch.softcap = 3.0f;
    run(gpu, w, 1, &in, &launch, NULL, y);
    check_y(gpu, w, &in, &launch, NULL, y[0]);
    for (int i = 0; i < 3; i++) {
        free(y[i]);
        free_weight(gpu, &w[i]);
    }
    free(before);
    free_inputs(gpu, &in);
}

static void check_gate(struct gpu *gpu, uint32_t type, uint32_t n_cols, uint32_t n) {
    const struct kernel_tile tile = tile_of(type, 1, n);
    if (tile.shared_bytes == 0) return;
    uint32_t n_x = 1 + gpu_random(gpu) % (n < 64 ? 2 * n : n), rows = 1 + gpu_random(gpu) % 150;
    struct weight w[2] = {make_weight(gpu, type, rows, n_cols),
                          make_weight(gpu, type, rows, n_cols)};
    struct inputs in = make_inputs(gpu, type, n_x, n_cols);
    struct launch launch = {.n = n,
                            .split_cols = tile.whole ? w->padded : GEMM_SPLIT_MULTIPLE,
                            .n_x = n_x,
                            .bias = gpu_random(gpu) % 2,
                            .combine = GEMM_GATE,
                            .activation = gpu_random(gpu) % (KIND_ACTIVATION_SWIGLU_CLAMPED + 1)};
    float *y = take_y(w, &launch), *apart = take_y(w, &launch);
    run(gpu, w, 2, &in, &launch, NULL, &y);
    check_y(gpu, w, &in, &launch, NULL, y);
    launch.splits_apart = 1;
    run(gpu, w, 2, &in, &launch, NULL, &apart);
    check_same(gpu, "of a gate apart", type, y, apart, y_floats(w, &launch));
    free(y);
    free(apart);
    free_inputs(gpu, &in);
    free_weight(gpu, &w[0]);
    free_weight(gpu, &w[1]);
}

/* One-hot rows of x bring out single weights: the host's values rounded to bf16, bit for bit,
 * random bytes with every kind of finite scale. */
static void check_values(struct gpu *gpu, enum weight_type type) {
    enum { N_COLS = 512, N_ROWS = LAYOUT_ROWS };
    struct weight w = make_weight(gpu, type, N_ROWS, N_COLS);
    struct inputs in = make_inputs(gpu, type, N_COLS, N_COLS);
    size_t row_bytes = weight_type_row_bytes(type, N_COLS);
    uint8_t *rows = malloc(N_ROWS * row_bytes);
    void *tile = malloc(weight_layout_tile_bytes(type, N_COLS));
    for (uint32_t r = 0; r < N_ROWS; r++) {
        float *values = w.values + (size_t)r * N_COLS;
        for (bool finite = false; !finite;) {
            for (size_t i = 0; i < row_bytes; i++)
                rows[r * row_bytes + i] = (uint8_t)(gpu_random(gpu) >> 24);
            weight_type_traits[type].dequantize(rows + r * row_bytes, values, N_COLS);
            finite = true;
            for (uint32_t i = 0; i < N_COLS; i++) {
                if (type == WEIGHT_F32 && !(fabsf(values[i]) < 3e38f)) { /* as good as any */
                    values[i] = 1.0f / 3.0f;
                    memcpy(rows + r * row_bytes + 4 * i, &values[i], 4);
                }
                if (type == WEIGHT_BF16 && !isfinite(values[i])) {
                    values[i] = 1.0f;
                    memcpy(rows + r * row_bytes + 2 * i, "\x80\x3f", 2);
                }
                if (type == WEIGHT_F16 && !isfinite(values[i])) {
                    values[i] = 1.0f;
                    memcpy(rows + r * row_bytes + 2 * i, "\x00\x3c", 2);
                }
                if (!isfinite(weight_operand(type, values[i]))) finite = false;
            }
        }
    }
    weight_layout_pack(type, rows, row_bytes, N_ROWS, N_COLS, tile);
    gpu_write(gpu, w.tiles, tile, weight_layout_tile_bytes(type, N_COLS));
    uint8_t *x = calloc(N_COLS, in.stride);
    uint16_t one = type == WEIGHT_F16 ? half_from_float(1.0f) : bfloat16_from_float(1.0f);
    for (size_t i = 0; i < N_COLS; i++) memcpy(x + i * in.stride + 2 * i, &one, sizeof one);
    gpu_write(gpu, in.x, x, (size_t)N_COLS * in.stride);
    float ones[N_COLS];
    for (uint32_t i = 0; i < N_COLS; i++) ones[i] = 1.0f;
    if (in.scale) gpu_write(gpu, in.scale, ones, sizeof ones);
    struct launch launch = {.n = 64, .split_cols = N_COLS, .n_x = N_COLS};
    float *y = take_y(&w, &launch);
    run(gpu, &w, 1, &in, &launch, NULL, &y);
    for (uint32_t r = 0; r < N_ROWS; r++)
        for (uint32_t i = 0; i < N_COLS; i++) {
            float value = w.values[(size_t)r * N_COLS + i];
            float got = y[(size_t)i * y_stride(&w) + r];
            if (got != weight_operand(type, value))
                gpu_fail(gpu, "%s: weight [%u][%u] is %a, not %a", type_name(type), r, i,
                         (double)got, (double)weight_operand(type, value));
        }
    free(rows);
    free(tile);
    free(x);
    free(y);
    free_inputs(gpu, &in);
    free_weight(gpu, &w);
}

static uint32_t some_cols(struct gpu *gpu, uint32_t type, uint32_t most) {
    uint32_t block = type == LAYOUT_FP8 || type == LAYOUT_FP8_FP8 ? 1
                     : type >= WEIGHT_TYPES                       ? 32
                                                                  : weight_type_traits[type].block;
    return block * (1 + gpu_random(gpu) % (most / block));
}

/* Choices of experts sorted on the device, checked against a plain sort. */
static void sort_choices(struct gpu *gpu, const int32_t *expert, uint32_t n_choices,
                         uint32_t n_experts, uint32_t n_used, uint32_t group_rows,
                         struct gemm_group **groups, uint32_t **n_groups) {
    uint32_t most = gemm_groups_most(n_choices, n_experts, group_rows), found, at = 0, group = 0;
    size_t bytes = n_choices * sizeof *expert;
    struct gemm_groups_args args = {.expert = gpu_upload(gpu, expert, bytes),
                                    .place = gpu_alloc(gpu, bytes),
                                    .row = gpu_alloc(gpu, bytes),
                                    .groups = gpu_alloc(gpu, most * sizeof **groups),
                                    .n_groups = gpu_alloc(gpu, sizeof found),
                                    .n_choices = n_choices,
                                    .n_experts = n_experts,
                                    .n_used = n_used,
                                    .group_rows = group_rows};
    gpu_run(gpu, "gemm_groups", 1, GEMM_GROUPS_THREADS, GEMM_GROUPS_SHARED(n_experts), &args,
            sizeof args);
    int32_t *place = malloc(bytes), *row = malloc(bytes);
    struct gemm_group *list = malloc(most * sizeof *list);
    gpu_download(gpu, &found, args.n_groups, sizeof found);
    gpu_download(gpu, place, args.place, bytes);
    gpu_download(gpu, row, args.row, bytes);
    gpu_download(gpu, list, args.groups, (found < most ? found : most) * sizeof *list);
    for (uint32_t e = 0; e < n_experts; e++) {
        uint32_t first = at;
        for (uint32_t i = 0; i < n_choices; i++) {
            if (expert[i] != (int32_t)e) continue;
            if (place[i] != (int32_t)at || row[at] != (int32_t)(i / n_used))
                gpu_fail(gpu, "choice %u of expert %u is at %d, not %u", i, e, place[i], at);
            at++;
        }
        for (uint32_t x = first; x < at; x += group_rows, group++) {
            uint32_t n = at - x < group_rows ? at - x : group_rows;
            if (group >= found || list[group].expert != e || list[group].first_x != x ||
                list[group].n_x != n)
                gpu_fail(gpu, "group %u of %u isn't expert %u's rows from %u on", group, found, e,
                         x);
        }
    }
    if (group != found || found > most)
        gpu_fail(gpu, "%u groups, not %u of at most %u", found, group, most);
    *groups = args.groups;
    *n_groups = args.n_groups;
    free(place);
    free(row);
    free(list);
    gpu_free(gpu, (void *)(uintptr_t)args.expert);
    gpu_free(gpu, args.place);
    gpu_free(gpu, args.row);
}

/* Routing of many tokens to many experts, some of them crowded. */
static void check_sort(struct gpu *gpu) {
    static const uint32_t shapes[][3] = {{1, 1, 1}, {7, 128, 3}, {1000, 5, 2}, {2000, 1024, 8}};
    for (uint32_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        uint32_t n_choices = shapes[s][0] * shapes[s][2], n_experts = shapes[s][1];
        int32_t *expert = malloc(n_choices * sizeof *expert);
        struct gemm_group *groups;
        uint32_t *n_groups;
        for (uint32_t i = 0; i < n_choices; i++)
            expert[i] = (int32_t)(gpu_random(gpu) % n_experts * (gpu_random(gpu) % 4 != 0));
        sort_choices(gpu, expert, n_choices, n_experts, shapes[s][2], tile_n(s), &groups,
                     &n_groups);
        gpu_free(gpu, groups);
        gpu_free(gpu, n_groups);
        free(expert);
    }
}

enum { N_EXPERTS = 6 };

/* Rows in places of experts: all experts in one launch against each expert alone. */
struct expert_case {
    struct weight expert[N_EXPERTS][2];
    struct inputs in;
    struct launch launch;
    int32_t *chosen; /* [n_x] */
    uint32_t n_rows, n_weights;
};

static void run_experts(struct gpu *gpu, struct expert_case *c, float *y) {
    const struct weight *w = c->expert[0];
    uint32_t gate = c->n_weights - 1, n = c->launch.n;
    const struct kernel_tile tile = tile_of(w->type, gate, n);
    size_t tiles_bytes =
        (c->n_rows + LAYOUT_ROWS - 1) / LAYOUT_ROWS * weight_layout_tile_bytes(w->type, w->n_cols);
    struct gemm_group *groups;
    uint32_t *n_groups;
    sort_choices(gpu, c->chosen, c->launch.n_x, N_EXPERTS, 1, n, &groups, &n_groups);
    struct gemm_args args = {.n_weights = c->n_weights,
                             .n_cols = w->padded,
                             .x = c->in.x,
                             .x_scale = c->in.scale,
                             .x_block_scale = c->in.block_scale,
                             .x_block_stride = c->in.block_stride,
                             .x_stride = c->in.stride,
                             .n_x = c->launch.n_x,
                             .split_cols = c->launch.split_cols,
                             .splits_apart = c->launch.splits_apart,
                             .combine = c->launch.combine,
                             .activation = c->launch.activation,
                             .max_groups = gemm_groups_most(c->launch.n_x, N_EXPERTS, n),
                             .groups = groups,
                             .n_groups = n_groups};
    uint8_t *tiles = malloc(tiles_bytes * N_EXPERTS);
    float *bias = malloc(c->n_rows * sizeof *bias * N_EXPERTS);
    for (uint32_t i = 0; i < c->n_weights; i++) {
        for (uint32_t e = 0; e < N_EXPERTS; e++) {
            gpu_download(gpu, tiles + e * tiles_bytes, c->expert[e][i].tiles, tiles_bytes);
            memcpy(bias + e * c->n_rows, c->expert[e][i].bias_values, c->n_rows * sizeof *bias);
        }
        args.weights[i] = (struct gemm_weight){
            .tiles = gpu_upload(gpu, tiles, tiles_bytes * N_EXPERTS),
            .bias = gpu_upload(gpu, bias, c->n_rows * sizeof *bias * N_EXPERTS),
            .n_rows = c->n_rows,
            .y_stride = y_stride(w),
            .expert_bytes = tiles_bytes};
    }
    float *out = gpu_alloc(gpu, y_floats(w, &c->launch) * sizeof *y);
    gpu_poison(gpu, out, y_floats(w, &c->launch) * sizeof *y);
    args.weights[0].y = out;
    uint32_t n_tiles = (c->n_rows + tile.rows - 1) / tile.rows * args.max_groups;
    uint32_t splits = args.splits_apart ? (w->padded + args.split_cols - 1) / args.split_cols : 1;
    uint32_t *zeros = calloc(n_tiles, sizeof *zeros);
    args.counters = gpu_upload(gpu, zeros, n_tiles * sizeof *zeros);
    args.parts = gpu_alloc(gpu, (size_t)n_tiles * splits * tile.part_bytes);
    char name[64];
    kernel_name(w->type, &c->launch, name);
    launch_kernel(gpu, name, &tile, n, n_tiles * splits, PAIRED_OR_NOT, &args);
    for (uint32_t x = 0; x < c->launch.n_x; x++)
        gpu_download(gpu, y + (size_t)x * y_stride(w), out + (size_t)x * y_stride(w),
                     c->n_rows * sizeof *y);
    for (uint32_t i = 0; i < c->n_weights; i++) {
        gpu_free(gpu, (void *)(uintptr_t)args.weights[i].tiles);
        gpu_free(gpu, (void *)(uintptr_t)args.weights[i].bias);
    }
    gpu_free(gpu, out);
    gpu_free(gpu, args.counters);
    gpu_free(gpu, args.parts);
    gpu_free(gpu, groups);
    gpu_free(gpu, n_groups);
    free(tiles);
    free(bias);
    free(zeros);
}

static void check_experts(struct gpu *gpu, uint32_t type, uint32_t n, uint32_t gate) {
    const struct kernel_tile tile = tile_of(type, gate, n);
    if (tile.shared_bytes == 0) return;
    uint32_t n_cols = some_cols(gpu, type, 512);
    struct expert_case c = {.n_rows = 1 + gpu_random(gpu) % 90, .n_weights = 1 + gate};
    uint32_t whole = (uint32_t)weight_layout_padded_cols(n_cols);
    c.launch = (struct launch){.n = n,
                               .split_cols = tile.whole ? whole : GEMM_SPLIT_MULTIPLE,
                               .splits_apart = gpu_random(gpu) % 2,
                               .n_x = 1 + gpu_random(gpu) % (n < 64 ? 4 * n : n),
                               .bias = true,
                               .combine = gate ? GEMM_GATE : GEMM_STORE,
                               .activation = 1};
    c.in = make_inputs(gpu, type, c.launch.n_x, n_cols);
    c.chosen = malloc(c.launch.n_x * sizeof *c.chosen);
    for (uint32_t i = 0; i < c.launch.n_x; i++)
        c.chosen[i] = (int32_t)(gpu_random(gpu) % N_EXPERTS);
    for (uint32_t e = 0; e < N_EXPERTS; e++)
        for (uint32_t i = 0; i < c.n_weights; i++)
            c.expert[e][i] = make_weight(gpu, type, c.n_rows, n_cols);
    float *y = take_y(c.expert[0], &c.launch), *alone = take_y(c.expert[0], &c.launch);
    run_experts(gpu, &c, y);
    uint32_t x = 0, stride = y_stride(c.expert[0]);
    c.launch.splits_apart = 0;
    for (int32_t e = 0; e < N_EXPERTS; e++) {
        run(gpu, c.expert[e], c.n_weights, &c.in, &c.launch, NULL, &alone);
        for (uint32_t i = 0; i < c.launch.n_x; i++) /* an expert's places follow each other */
            if (c.chosen[i] == e) {
                check_same(gpu, "with experts", type, y + (size_t)x * stride,
                           alone + (size_t)x * stride, c.n_rows);
                x++;
            }
        for (uint32_t i = 0; i < c.n_weights; i++) free_weight(gpu, &c.expert[e][i]);
    }
    free_inputs(gpu, &c.in);
    free(c.chosen);
    free(y);
    free(alone);
}

enum { N_HEADS = 3 };

/* A matrix for every head: all in one launch, each head's outputs beside the other's in a row, have
 * the bits of each alone; what lies between them is left as it is. */
static void check_heads(struct gpu *gpu, uint32_t type, uint32_t n) {
    const struct kernel_tile tile = tile_of(type, 0, n);
    if (tile.shared_bytes == 0) return;
    uint32_t n_cols = some_cols(gpu, type, 256), n_rows = 1 + gpu_random(gpu) % 40;
    uint32_t n_x = 1 + gpu_random(gpu) % (2 * n);
    if (type == LAYOUT_FP8_FP8) n_x = (n_x + 3) / 4 * 4; /* heads' scales' addresses */
    struct launch launch = {.n = n,
                            .split_cols = (uint32_t)weight_layout_padded_cols(n_cols),
                            .n_x = n_x,
                            .combine = GEMM_STORE};
    struct inputs in = make_inputs(gpu, type, N_HEADS * n_x, n_cols);
    struct weight head[N_HEADS];
    for (int h = 0; h < N_HEADS; h++) head[h] = make_weight(gpu, type, n_rows, n_cols);
    size_t bytes =
        (n_rows + LAYOUT_ROWS - 1) / LAYOUT_ROWS * weight_layout_tile_bytes(type, head[0].n_cols);
    uint8_t *tiles = malloc(bytes * N_HEADS);
    for (int h = 0; h < N_HEADS; h++)
        gpu_download(gpu, tiles + (size_t)h * bytes, head[h].tiles, bytes);
    uint32_t y_head = n_rows + 2, stride = N_HEADS * y_head, of_head = (n_x + n - 1) / n;
    size_t y_bytes = (size_t)n_x * stride * sizeof(float);
    float *y = malloc(y_bytes), *alone = take_y(head, &launch), poison;
    struct gemm_args args = {.n_weights = 1,
                             .n_cols = head[0].padded,
                             .x = in.x,
                             .x_scale = in.scale,
                             .x_block_scale = in.block_scale,
                             .x_block_stride = in.block_stride,
                             .x_stride = in.stride,
                             .n_x = n_x,
                             .split_cols = launch.split_cols,
                             .combine = GEMM_STORE,
                             .n_heads = N_HEADS,
                             .y_head = y_head};
    memset(&poison, POISON, sizeof poison);
    memset(y, POISON, y_bytes);
    args.weights[0] = (struct gemm_weight){.tiles = gpu_upload(gpu, tiles, bytes * N_HEADS),
                                           .y = gpu_upload(gpu, y, y_bytes),
                                           .n_rows = n_rows,
                                           .y_stride = stride,
                                           .expert_bytes = bytes};
    char name[64];
    kernel_name(type, &launch, name);
    uint32_t n_tiles = (n_rows + tile.rows - 1) / tile.rows * of_head * N_HEADS;
    launch_kernel(gpu, name, &tile, n, n_tiles, PAIRED_OR_NOT, &args);
    gpu_download(gpu, y, args.weights[0].y, y_bytes);
    for (uint32_t h = 0; h < N_HEADS; h++) {
        launch.first_x = h * n_x;
        run(gpu, &head[h], 1, &in, &launch, NULL, &alone);
        for (uint32_t x = 0; x < n_x; x++) {
            const float *got = y + (size_t)x * stride + h * y_head;
            check_same(gpu, "of a head", type, got, alone + (size_t)x * y_stride(head), n_rows);
            check_same(gpu, "behind a head", type, got + n_rows, (float[]){poison, poison}, 2);
        }
    }
    gpu_free(gpu, (void *)(uintptr_t)args.weights[0].tiles);
    gpu_free(gpu, args.weights[0].y);
    for (int h = 0; h < N_HEADS; h++) free_weight(gpu, &head[h]);
    free_inputs(gpu, &in);
    free(tiles);
    free(y);
    free(alone);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    const char *only = argc > 2 ? argv[2] : NULL; /* a type's name, after the seed */
    if (TEST_HOPPER && gpu.major != 9) {
        printf("skipped: compute capability %d.%d\n", gpu.major, gpu.minor);
        gpu_close(&gpu);
        return GPU_SKIP;
    }
    check_sort(&gpu);
    for (int t = 0; t < LAYOUT_TYPES; t++) {
        uint32_t type = (uint32_t)t;
        if (weight_layout_type(type) != type) continue;                    /* has no kernels */
        if (type == (TEST_HOPPER ? WEIGHT_F32 : LAYOUT_FP8_FP8)) continue; /* likewise */
        if (only && strcmp(only, type_name(type)) != 0) continue;
        if (type < WEIGHT_TYPES) check_values(&gpu, (enum weight_type)type);
        check_bits(&gpu, type, 1 + gpu_random(&gpu) % 200, some_cols(&gpu, type, 320),
                   1 + gpu_random(&gpu) % 20);
        check_bits(&gpu, type, 1 + gpu_random(&gpu) % 40, some_cols(&gpu, type, 1024),
                   1 + gpu_random(&gpu) % 140);
        for (uint32_t i = 0; i < N_TILES; i++) {
            if (tile_of(type, 0, tile_n(i)).shared_bytes)
                check_epilogues(&gpu, type, some_cols(&gpu, type, 512), tile_n(i));
            check_gate(&gpu, type, some_cols(&gpu, type, 512), tile_n(i));
            check_experts(&gpu, type, tile_n(i), i % 2);
            check_heads(&gpu, type, tile_n(i));
        }
    }
    return gpu_close(&gpu);
}
