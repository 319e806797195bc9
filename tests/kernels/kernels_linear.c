#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels/activation_q8.h"
#include "kernels_test.h"

static const size_t x_counts[] = {1, 2, 3, 4, 5, 7, 8, 13, 16, 33, 64, 250, 290};
#define MAX_X 290

/* One weight, its activations and what the answer is, computed in double. */
struct problem {
    enum weight_type type;
    size_t n_rows, n_cols, n_x;
    size_t row_bytes;
    uint8_t *file;  /* [n_rows][row_bytes] */
    float *weights; /* [n_rows][n_cols] */
    float *x;       /* [n_x][n_cols] */
    double *y;      /* [n_x][n_rows] of the f32 activations */
    double *size;   /* [n_x][n_rows] sum of |w x| */
};

static void *take(size_t size) {
    void *block = malloc(size ? size : 1);
    if (!block) exit(2);
    return block;
}

static void problem_init(struct problem *p, enum weight_type type, enum weight_pattern pattern,
                         size_t n_rows, size_t n_cols, size_t n_x) {
    *p = (struct problem){.type = type, .n_rows = n_rows, .n_cols = n_cols, .n_x = n_x};
    p->row_bytes = weight_type_row_bytes(type, n_cols);
    p->file = take(n_rows * p->row_bytes);
    p->weights = take(n_rows * n_cols * sizeof(float));
    p->x = take(n_x * n_cols * sizeof(float));
    p->y = take(n_x * n_rows * sizeof(double));
    p->size = take(n_x * n_rows * sizeof(double));
    weights_fill(type, pattern, n_rows * n_cols, p->file);
    weight_type_traits[type].dequantize(p->file, p->weights, n_rows * n_cols);
    random_fill(p->x, n_x * n_cols, 1.0f);
    /* All ±127 in Q8: the integer sums at their limit. */
    if (pattern == PATTERN_EXTREME)
        for (size_t i = 0; i < n_x * n_cols; i++)
            p->x[i] = i / n_cols % 3 == 0   ? 1.5f
                      : i / n_cols % 3 == 1 ? -1.5f
                                            : copysignf(2.0f, p->x[i]);
}

static void problem_free(struct problem *p) {
    free(p->file);
    free(p->weights);
    free(p->x);
    free(p->y);
    free(p->size);
}

/* What is right for these weights [n_rows][n_cols] and activations [n_x][n_cols], the values that
 * the kernel sees. */
static void problem_solve(struct problem *p, const float *weights, const float *x) {
    for (size_t i = 0; i < p->n_x; i++)
        for (size_t r = 0; r < p->n_rows; r++) {
            double sum = 0.0, size = 0.0;
            for (size_t k = 0; k < p->n_cols; k++) {
                double product = (double)weights[r * p->n_cols + k] * (double)x[i * p->n_cols + k];
                sum += product;
                size += fabs(product);
            }
            p->y[i * p->n_rows + r] = sum;
            p->size[i * p->n_rows + r] = size;
        }
}

static bool format_is_q8(enum activation_format format) {
    return format == ACTIVATION_Q8_INTEGER || format == ACTIVATION_Q8_FLOAT;
}

static float q8_scale(enum activation_format format, const struct q8_block *block, size_t part) {
    if (format == ACTIVATION_Q8_FLOAT) return block->scale[part];
    return block->block_scale * (float)block->multiple[part][0];
}

static void q8_values(enum activation_format format, const uint8_t *rows, size_t row_bytes,
                      size_t n_x, size_t n_cols, float *x) {
    for (size_t i = 0; i < n_x; i++)
        for (size_t k = 0; k < n_cols; k++) {
            const struct q8_block *block =
                (const struct q8_block *)(const void *)(rows + i * row_bytes) + k / Q8_BLOCK;
            x[i * n_cols + k] =
                (float)block->q[k % Q8_BLOCK] * q8_scale(format, block, k % Q8_BLOCK / Q8_PART);
        }
}

static float *bf16_values(const float *x, size_t n) {
    float *values = take(n * sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = bfloat16_to_float(bfloat16_from_float(x[i]));
    return values;
}

/* Of the sum of |w x|. f32 sums in k order round once a product, n roundings of 2^-24 at most; int8
 * ones three times a block of 32, with offset terms that are several times the weights. */
#define F32_TOLERANCE(n) (6e-8 * (double)(n) + 1e-7)
#define Q8_ROUNDING 4e-6
#define BF16_TOLERANCE 0.006 /* of bf16 activations, against f32 ones */
#define Q8_TOLERANCE 0.02    /* of int8 activations, against f32 ones */

static void compare(const struct path *path, const struct problem *p, const float *y,
                    size_t y_stride, size_t n_x, double tolerance, const char *what) {
    double worst = 0.0;
    for (size_t i = 0; i < n_x; i++) {
        double largest = 0.0;
        for (size_t r = 0; r < p->n_rows; r++) largest = fmax(largest, p->size[i * p->n_rows + r]);
        for (size_t r = 0; r < p->n_rows; r++) {
            double error = fabs((double)y[i * y_stride + r] - p->y[i * p->n_rows + r]);
            double relative = error / (largest + 1e-30);
            if (!(relative <= worst)) worst = relative;
        }
    }
    check(worst <= tolerance, "%s %s %s: %zu x %zu, %zu rows of x: error %g of the sum of |w x|",
          path->kernels.name, weight_type_traits[p->type].name, what, p->n_rows, p->n_cols, n_x,
          worst);
}

/* The answer y for prepared rows x: on what the kernel sees, where it may err by its own roundings
 * alone, and on what they were made of. */
static void compare_values(const struct path *path, struct problem *p, const uint8_t *x,
                           size_t x_stride, const float *y, size_t y_stride) {
    enum activation_format format = path->kernels.linear[p->type].format;
    double tolerance = F32_TOLERANCE(p->n_cols);
    if (format_is_q8(format)) {
        float *values = take(p->n_x * p->n_cols * sizeof(float));
        q8_values(format, x, x_stride, p->n_x, p->n_cols, values);
        problem_solve(p, p->weights, values);
        compare(path, p, y, y_stride, p->n_x, Q8_ROUNDING, "on its activations");
        tolerance = Q8_TOLERANCE;
        free(values);
    } else if (format == ACTIVATION_BF16) {
        float *values = bf16_values(p->x, p->n_x * p->n_cols);
        float *weights = bf16_values(p->weights, p->n_rows * p->n_cols);
        problem_solve(p, weights, values);
        compare(path, p, y, y_stride, p->n_x, F32_TOLERANCE(p->n_cols), "on bf16");
        tolerance = BF16_TOLERANCE;
        free(values);
        free(weights);
    }
    problem_solve(p, p->weights, p->x);
    compare(path, p, y, y_stride, p->n_x, tolerance, "on f32 activations");
}

/* What a kernel forgets to write of its scratch is NaN. */
static __attribute__((noinline)) void poison_stack(void) {
    volatile uint8_t stack[80000];
    for (size_t i = 0; i < sizeof stack; i++) stack[i] = 0xff;
}

/* multiply, and what it must leave behind. */
static void multiply(const struct path *path, enum weight_type type, const void *groups,
                     size_t n_groups, size_t n_cols, const uint8_t *x, size_t x_stride, size_t n_x,
                     float *y, size_t y_stride) {
    poison_stack();
    path->kernels.linear[type].multiply(groups, n_groups, n_cols, x, x_stride, n_x, y, y_stride);
    check(!path->tiles_left || !path->tiles_left(), "%s %s: tiles stay configured",
          path->kernels.name, weight_type_traits[type].name);
}

static void multiply_all(const struct path *path, struct problem *p, const uint8_t *groups,
                         size_t n_groups, const uint8_t *x, size_t x_stride, bool finite) {
    const struct linear_kernel *kernel = &path->kernels.linear[p->type];
    const char *name = weight_type_traits[p->type].name;
    size_t width = n_groups * kernel->group, y_stride = width + 3;
    size_t y_bytes = p->n_x * y_stride * sizeof(float);
    float *all = guarded_new(y_bytes), *y = guarded_new(y_bytes);
    for (size_t i = 0; i < p->n_x; i++)
        multiply(path, p->type, groups, n_groups, p->n_cols, x + i * x_stride, x_stride, 1,
                 all + i * y_stride, y_stride);
    for (size_t c = 0; c < sizeof x_counts / sizeof *x_counts; c++) {
        size_t n_x = x_counts[c];
        if (n_x > p->n_x) break;
        size_t at = random_below(p->n_x - n_x + 1);
        memset(y, 0x5a, y_bytes);
        multiply(path, p->type, groups, n_groups, p->n_cols, x + at * x_stride, x_stride, n_x, y,
                 y_stride);
        bool same = true, untouched = true;
        for (size_t i = 0; i < n_x; i++) {
            same &= memcmp(y + i * y_stride, all + (at + i) * y_stride, width * sizeof(float)) == 0;
            for (size_t j = width; j < y_stride; j++)
                untouched &= ((uint8_t *)(y + i * y_stride + j))[0] == 0x5a;
        }
        check(same, "%s %s: %zu x %zu: other bits for %zu rows than for 1", path->kernels.name,
              name, p->n_rows, p->n_cols, n_x);
        check(untouched, "%s %s: wrote between the rows of y", path->kernels.name, name);
    }
    if (path->twin) {
        memset(y, 0x5a, y_bytes);
        path->twin->kernels.linear[p->type].multiply(groups, n_groups, p->n_cols, x, x_stride,
                                                     p->n_x, y, y_stride);
        bool same = true;
        for (size_t i = 0; i < p->n_x; i++)
            same &= memcmp(y + i * y_stride, all + i * y_stride, width * sizeof(float)) == 0;
        check(same, "%s %s: %zu x %zu, %zu rows of x: other bits than %s", path->kernels.name, name,
              p->n_rows, p->n_cols, p->n_x, path->twin->kernels.name);
    }
    /* a thread's range of groups */
    size_t first = random_below(n_groups), n = 1 + random_below(n_groups - first);
    memset(y, 0x5a, y_bytes);
    multiply(path, p->type, groups + first * kernel->group_bytes(p->n_cols), n, p->n_cols, x,
             x_stride, p->n_x, y, y_stride);
    for (size_t i = 0; i < p->n_x; i++)
        check(memcmp(y + i * y_stride, all + i * y_stride + first * kernel->group,
                     n * kernel->group * sizeof(float)) == 0,
              "%s %s: other bits for a range of groups", path->kernels.name, name);
    if (finite) {
        compare_values(path, p, x, x_stride, all, y_stride);
        for (size_t i = 0; i < p->n_x; i++)
            for (size_t r = p->n_rows; r < width; r++)
                check(all[i * y_stride + r] == 0.0f, "%s %s: an absent row isn't zero",
                      path->kernels.name, name);
    }
    guarded_free(all, y_bytes, name);
    guarded_free(y, y_bytes, name);
}

/* The twin's groups are these. */
static void check_packing(const struct path *path, const struct problem *p, const uint8_t *groups,
                          size_t n_groups) {
    const struct linear_kernel *kernel = &path->kernels.linear[p->type];
    const struct linear_kernel *twin = &path->twin->kernels.linear[p->type];
    const char *name = weight_type_traits[p->type].name;
    size_t bytes = kernel->group_bytes(p->n_cols);
    bool same = twin->format == kernel->format && twin->group == kernel->group &&
                twin->group_bytes(p->n_cols) == bytes;
    uint8_t *group = guarded_new(bytes);
    for (size_t g = 0; same && g < n_groups; g++) {
        size_t first = g * kernel->group, left = p->n_rows - first;
        twin->pack(p->file + first * p->row_bytes, p->row_bytes,
                   left < kernel->group ? left : kernel->group, p->n_cols, group);
        same = memcmp(group, groups + g * bytes, bytes) == 0;
    }
    check(same, "%s %s: %zu x %zu: other groups than %s", path->kernels.name, name, p->n_rows,
          p->n_cols, path->twin->kernels.name);
    guarded_free(group, bytes, name);
}

/* Packed bytes to those of the file: a code book's types are packed as the codes of its levels. */
static double memory_bound(enum weight_type type) {
    switch (type) {
    case WEIGHT_TQ1_0:
        return 1.23;
    case WEIGHT_IQ3_S:
        return 1.26;
    case WEIGHT_IQ2_S:
    case WEIGHT_IQ3_XXS:
        return 1.41;
    case WEIGHT_IQ2_XS:
        return 1.55;
    case WEIGHT_IQ2_XXS:
        return 1.61;
    case WEIGHT_IQ1_M:
        return 2.04;
    case WEIGHT_IQ1_S:
        return 2.12;
    default:
        return 1.05;
    }
}

static void test_shape(const struct path *path, enum weight_type type, enum weight_pattern pattern,
                       size_t n_rows, size_t n_cols, size_t n_x) {
    const struct linear_kernel *kernel = &path->kernels.linear[type];
    const struct activation_kernel *activation = &path->kernels.activation[kernel->format];
    const char *name = weight_type_traits[type].name;
    struct problem p;
    problem_init(&p, type, pattern, n_rows, n_cols, n_x);

    size_t n_groups = (n_rows + kernel->group - 1) / kernel->group;
    size_t bytes = kernel->group_bytes(n_cols);
    check(bytes % 64 == 0 && kernel->group <= KERNEL_MAX_GROUP &&
              KERNEL_MAX_GROUP % kernel->group == 0,
          "%s %s: group of %zu, %zu bytes", path->kernels.name, name, kernel->group, bytes);
    check((double)bytes <= memory_bound(type) * (double)(kernel->group * p.row_bytes) + 64,
          "%s %s: a group of %zu bytes for rows of %zu", path->kernels.name, name, bytes,
          p.row_bytes);
    uint8_t *groups = guarded_new(n_groups * bytes);
    /* any alignment of the file's bytes */
    uint8_t *shifted = take(n_rows * p.row_bytes + 1);
    memcpy(shifted + 1, p.file, n_rows * p.row_bytes);
    for (size_t g = 0; g < n_groups; g++) {
        size_t n =
            n_rows - g * kernel->group < kernel->group ? n_rows - g * kernel->group : kernel->group;
        kernel->pack(shifted + 1 + g * kernel->group * p.row_bytes, p.row_bytes, n, n_cols,
                     groups + g * bytes);
    }
    free(shifted);
    if (path->twin) check_packing(path, &p, groups, n_groups);

    float *row = guarded_new(n_cols * sizeof(float));
    for (size_t r = 0; r < n_rows; r++) {
        kernel->unpack_row(groups + r / kernel->group * bytes, r % kernel->group, n_cols, row);
        check(memcmp(row, p.weights + r * n_cols, n_cols * sizeof(float)) == 0,
              "%s %s: row %zu of %zu x %zu unpacks to other bits", path->kernels.name, name, r,
              n_rows, n_cols);
    }
    guarded_free(row, n_cols * sizeof(float), name);

    size_t x_bytes = activation->row_bytes(n_cols);
    uint8_t *x = guarded_new(n_x * x_bytes);
    for (size_t i = 0; i < n_x; i++) activation->prepare(p.x + i * n_cols, n_cols, x + i * x_bytes);
    multiply_all(path, &p, groups, n_groups, x, x_bytes, pattern != PATTERN_HOSTILE);
    guarded_free(x, n_x * x_bytes, "prepared activations");
    guarded_free(groups, n_groups * bytes, name);
    problem_free(&p);
}

/* Prepared rows are the same bytes on every path. */
static void test_activation(const struct path *path) {
    struct kernels reference;
    kernels_init(&reference, 0);
    float special[] = {0.0f,     -0.0f,     1e-45f, -3e-39f, 1e38f,  -3e38f,
                       INFINITY, -INFINITY, NAN,    1.0f,    127.0f, 0.5f};
    for (int format = 0; format < ACTIVATION_FORMATS; format++)
        for (int round = 0; round < 60; round++) {
            size_t n = format_is_q8((enum activation_format)format) ? 32 * (1 + random_below(9))
                                                                    : 1 + random_below(70);
            float *x = take(n * sizeof(float));
            random_fill(x, n, powf(10.0f, (float)random_below(30) - 15.0f));
            if (round >= 30)
                for (size_t i = 0; i < n; i += 1 + random_below(20))
                    x[i] = special[random_below(sizeof special / sizeof *special)];
            size_t bytes = path->kernels.activation[format].row_bytes(n);
            uint8_t *row = guarded_new(bytes), *right = guarded_new(bytes);
            path->kernels.activation[format].prepare(x, n, row);
            reference.activation[format].prepare(x, n, right);
            check(bytes == reference.activation[format].row_bytes(n) && bytes % 64 == 0 &&
                      memcmp(row, right, bytes) == 0,
                  "%s: activations of format %d, n %zu differ from the reference's",
                  path->kernels.name, format, n);
            for (size_t k = 0; format_is_q8((enum activation_format)format) && k < n; k++) {
                const struct q8_block *block = (const struct q8_block *)(const void *)row + k / 32;
                float scale =
                    q8_scale((enum activation_format)format, block, k % Q8_BLOCK / Q8_PART);
                check(block->q[k % 32] >= -127, "%s: a quant of -128", path->kernels.name);
                if (round < 30)
                    check(fabsf((float)block->q[k % 32] * scale - x[k]) <= scale * 0.5001f,
                          "%s: Q8 of %g is %d * %g", path->kernels.name, (double)x[k],
                          block->q[k % 32], (double)scale);
            }
            guarded_free(row, bytes, "activation");
            guarded_free(right, bytes, "activation");
            free(x);
        }
}

void test_linear(const struct path *path) {
    test_activation(path);
    for (int type = 0; type < WEIGHT_TYPES; type++) {
        size_t block = weight_type_traits[type].block;
        for (int pattern = PATTERN_NORMAL; pattern <= PATTERN_HOSTILE; pattern++) {
            for (size_t n_rows = 1; n_rows <= 33; n_rows += 1 + random_below(5))
                test_shape(path, (enum weight_type)type, (enum weight_pattern)pattern, n_rows,
                           block == 1 ? 1 + random_below(40) : block * (1 + random_below(3)),
                           1 + random_below(9));
            size_t odd = block == 1 ? 777 : block == 32 ? 1056 : block == 64 ? 1088 : 1280;
            test_shape(path, (enum weight_type)type, (enum weight_pattern)pattern, 17, odd, 64);
        }
        test_shape(path, (enum weight_type)type, PATTERN_NORMAL, 24, block == 1 ? 259 : 256, MAX_X);
    }
}
