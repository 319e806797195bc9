/* Linear layers in plain C: every weight type is dequantized to f32 and multiplied with f32
 * activations, k in order. A group is eight rows as the file has them. */
#include <string.h>

#include "cpu/kernels/activation_bf16.h"
#include "cpu/kernels/activation_q8.h"
#include "cpu/kernels/reference.h"

#define GROUP 8
/* Half a group's rows side by side. Written as a vector because compilers otherwise vectorize along
 * k, with more shuffles than multiplications; the arithmetic is the scalar one. */
typedef float half_group __attribute__((vector_size(GROUP / 2 * sizeof(float))));
#define CHUNK 256 /* columns dequantized at a time: a whole number of blocks of every type */

static size_t f32_row_bytes(size_t n) {
    return (n * sizeof(float) + 63) / 64 * 64;
}

static void f32_prepare(const float *x, size_t n, void *row) {
    memcpy(row, x, n * sizeof(float));
    memset((float *)row + n, 0, f32_row_bytes(n) - n * sizeof(float));
}

static void bf16_prepare(const float *x, size_t n, void *row) {
    uint16_t *to = row;
    for (size_t i = 0; i < n; i++) to[i] = bfloat16_from_float(x[i]);
    memset(to + n, 0, bf16_row_bytes(n) - n * sizeof *to);
}

static float q8_absmax(const float *x) {
    float absmax = 0.0f;
    for (int i = 0; i < Q8_PART; i++) {
        float magnitude = x[i] < 0.0f ? -x[i] : x[i];
        if (magnitude > absmax) absmax = magnitude;
    }
    return absmax;
}

/* The quants of part `part` and what its sum adds. */
static void q8_part(const float *x, int part, float inverse, float scale, struct q8_block *block) {
    int sum = 0;
    for (int i = 0; i < Q8_PART; i++) {
        int8_t q = reference_int8(x[i] * inverse);
        block->q[part * Q8_PART + i] = q;
        sum += q;
    }
    float scaled = scale * (float)sum;
    if (part % 2 == 0)
        block->half_sum[part / 2] = scaled;
    else
        block->half_sum[part / 2] += scaled;
}

static void q8_float_prepare(const float *x, size_t n, void *row) {
    struct q8_block *block = row;
    for (size_t b = 0; b < n / Q8_BLOCK; b++, x += Q8_BLOCK, block++) {
        for (int part = 0; part < Q8_PARTS; part++) {
            float absmax = q8_absmax(x + part * Q8_PART);
            float inverse = absmax > 0.0f ? 127.0f / absmax : 0.0f;
            block->scale[part] = absmax / 127.0f;
            q8_part(x + part * Q8_PART, part, inverse, block->scale[part], block);
        }
        block->block_scale = 0.0f;
        block->scaled_sum = block->half_sum[0] + block->half_sum[1];
    }
}

/* Rounded up, so that quants stay within 127; an absmax of infinity over itself is a NaN: 64. */
static int q8_multiple(float absmax, float largest) {
    float ratio = absmax / largest * (float)Q8_MULTIPLES;
    for (int m = 1; m < Q8_MULTIPLES; m++)
        if (ratio <= (float)m) return m;
    return Q8_MULTIPLES;
}

static void q8_integer_prepare(const float *x, size_t n, void *row) {
    struct q8_block *block = row;
    for (size_t b = 0; b < n / Q8_BLOCK; b++, x += Q8_BLOCK, block++) {
        float absmax[Q8_PARTS], largest = 0.0f;
        for (int part = 0; part < Q8_PARTS; part++) {
            absmax[part] = q8_absmax(x + part * Q8_PART);
            if (absmax[part] > largest) largest = absmax[part];
        }
        block->block_scale = largest / (float)(127 * Q8_MULTIPLES);
        for (int part = 0; part < Q8_PARTS; part++) {
            int m = largest > 0.0f ? q8_multiple(absmax[part], largest) : 1;
            float scale = block->block_scale * (float)m;
            float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
            block->multiple[part][0] = block->multiple[part][1] = (int16_t)m;
            q8_part(x + part * Q8_PART, part, inverse, scale, block);
        }
        block->scaled_sum = block->half_sum[0] + block->half_sum[1];
    }
}

static size_t group_bytes(enum weight_type type, size_t n_cols) {
    return (GROUP * weight_type_row_bytes(type, n_cols) + 63) / 64 * 64;
}

static void pack(enum weight_type type, const void *rows, size_t row_bytes, size_t n_rows,
                 size_t n_cols, void *group) {
    size_t bytes = weight_type_row_bytes(type, n_cols);
    for (size_t r = 0; r < n_rows; r++)
        memcpy((uint8_t *)group + r * bytes, (const uint8_t *)rows + r * row_bytes, bytes);
    memset((uint8_t *)group + n_rows * bytes, 0, group_bytes(type, n_cols) - n_rows * bytes);
}

static void unpack_row(enum weight_type type, const void *group, size_t row, size_t n_cols,
                       float *to) {
    const uint8_t *bytes = (const uint8_t *)group + row * weight_type_row_bytes(type, n_cols);
    weight_type_traits[type].dequantize(bytes, to, n_cols);
}

/* weights [n][GROUP] of columns first ... first + n - 1 */
static void dequantize_chunk(enum weight_type type, const uint8_t *group, size_t n_cols,
                             size_t first, size_t n, float *weights) {
    size_t row_bytes = weight_type_row_bytes(type, n_cols);
    size_t offset = weight_type_row_bytes(type, first);
    float rows[GROUP][CHUNK];
    for (size_t r = 0; r < GROUP; r++)
        weight_type_traits[type].dequantize(group + r * row_bytes + offset, rows[r], n);
    for (size_t k = 0; k < n; k++)
        for (size_t r = 0; r < GROUP; r++) weights[k * GROUP + r] = rows[r][k];
}

static void multiply(enum weight_type type, const void *groups, size_t n_groups, size_t n_cols,
                     const void *x, size_t x_stride, size_t n_x, float *y, size_t y_stride) {
    for (size_t g = 0; g < n_groups; g++) {
        const uint8_t *group = (const uint8_t *)groups + g * group_bytes(type, n_cols);
        for (size_t first = 0; first < n_cols; first += CHUNK) {
            size_t n = n_cols - first < CHUNK ? n_cols - first : CHUNK;
            half_group weights[CHUNK][2];
            dequantize_chunk(type, group, n_cols, first, n, (float *)weights);
            for (size_t i = 0; i < n_x; i++) {
                const float *xi = (const float *)((const uint8_t *)x + i * x_stride) + first;
                float *yi = y + i * y_stride + g * GROUP;
                half_group sum[2] = {{0}, {0}};
                if (first > 0) memcpy(sum, yi, sizeof sum);
                for (size_t k = 0; k < n; k++) {
                    sum[0] += weights[k][0] * xi[k];
                    sum[1] += weights[k][1] * xi[k];
                }
                memcpy(yi, sum, sizeof sum);
            }
        }
    }
}

#define LINEAR(T)                                                                               \
    static size_t group_bytes_##T(size_t n_cols) {                                              \
        return group_bytes(WEIGHT_##T, n_cols);                                                 \
    }                                                                                           \
    static void pack_##T(const void *rows, size_t row_bytes, size_t n_rows, size_t n_cols,      \
                         void *group) {                                                         \
        pack(WEIGHT_##T, rows, row_bytes, n_rows, n_cols, group);                               \
    }                                                                                           \
    static void unpack_row_##T(const void *group, size_t row, size_t n_cols, float *to) {       \
        unpack_row(WEIGHT_##T, group, row, n_cols, to);                                         \
    }                                                                                           \
    static void multiply_##T(const void *groups, size_t n_groups, size_t n_cols, const void *x, \
                             size_t x_stride, size_t n_x, float *y, size_t y_stride) {          \
        multiply(WEIGHT_##T, groups, n_groups, n_cols, x, x_stride, n_x, y, y_stride);          \
    }
#define ENTRY(T) \
    [WEIGHT_##T] = {ACTIVATION_F32, GROUP, group_bytes_##T, pack_##T, unpack_row_##T, multiply_##T}

LINEAR(F32)
LINEAR(F16)
LINEAR(BF16)
LINEAR(Q4_0)
LINEAR(Q4_1)
LINEAR(Q5_0)
LINEAR(Q5_1)
LINEAR(Q8_0)
LINEAR(Q2_K)
LINEAR(Q3_K)
LINEAR(Q4_K)
LINEAR(Q5_K)
LINEAR(Q6_K)
LINEAR(Q8_K)
LINEAR(IQ4_NL)
LINEAR(IQ4_XS)
LINEAR(MXFP4)
LINEAR(NVFP4)
LINEAR(TQ1_0)
LINEAR(TQ2_0)
LINEAR(IQ1_S)
LINEAR(IQ1_M)
LINEAR(IQ2_XXS)
LINEAR(IQ2_XS)
LINEAR(IQ2_S)
LINEAR(IQ3_XXS)
LINEAR(IQ3_S)

static const struct linear_kernel linear_kernels[WEIGHT_TYPES] = {
    ENTRY(F32),   ENTRY(F16),     ENTRY(BF16),   ENTRY(Q4_0),   ENTRY(Q4_1),    ENTRY(Q5_0),
    ENTRY(Q5_1),  ENTRY(Q8_0),    ENTRY(Q2_K),   ENTRY(Q3_K),   ENTRY(Q4_K),    ENTRY(Q5_K),
    ENTRY(Q6_K),  ENTRY(Q8_K),    ENTRY(IQ4_NL), ENTRY(IQ4_XS), ENTRY(MXFP4),   ENTRY(NVFP4),
    ENTRY(TQ1_0), ENTRY(TQ2_0),   ENTRY(IQ1_S),  ENTRY(IQ1_M),  ENTRY(IQ2_XXS), ENTRY(IQ2_XS),
    ENTRY(IQ2_S), ENTRY(IQ3_XXS), ENTRY(IQ3_S),
};

void reference_linear(struct kernels *kernels) {
    kernels->activation[ACTIVATION_F32] = (struct activation_kernel){f32_row_bytes, f32_prepare};
    kernels->activation[ACTIVATION_BF16] = (struct activation_kernel){bf16_row_bytes, bf16_prepare};
    kernels->activation[ACTIVATION_Q8_INTEGER] =
        (struct activation_kernel){q8_row_bytes, q8_integer_prepare};
    kernels->activation[ACTIVATION_Q8_FLOAT] =
        (struct activation_kernel){q8_row_bytes, q8_float_prepare};
    memcpy(kernels->linear, linear_kernels, sizeof linear_kernels);
}
