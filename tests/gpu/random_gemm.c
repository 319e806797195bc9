#include "random_gemm.h"

#include <stdlib.h>
#include <string.h>

#include "cuda/gemm_map.h"

struct cuda_properties random_gemm_properties(struct gpu *gpu) {
    static const unsigned which[] = {
        DRIVER_DEVICE_MULTIPROCESSOR_COUNT, DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
        DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, DRIVER_DEVICE_L2_CACHE_SIZE};
    int value[4] = {0};
    for (int i = 0; i < 4; i++) gpu->driver.device_get_attribute(&value[i], which[i], gpu->device);
    const char *wanted = getenv("TRANSFORMER_CUDA_WARPGROUPS");
    return (struct cuda_properties){.major = gpu->major,
                                    .minor = gpu->minor,
                                    .n_multiprocessors = value[0],
                                    .shared_per_block = (size_t)value[1],
                                    .shared_per_multiprocessor = (size_t)value[2],
                                    .l2_bytes = (size_t)value[3],
                                    .warpgroups = gpu->major == 9 && gpu->minor == 0 && wanted &&
                                                  !strcmp(wanted, "1")};
}

void random_gemm_arguments(struct gpu *gpu, const struct gemm_choice *choice,
                           const struct gemm_args *args, struct gemm_hopper_args *made) {
    *made = (struct gemm_hopper_args){.gemm = *args};
    if (!choice->warpgroups) return;
    if (gemm_map_make(&gpu->driver, args, choice->tile_rows, choice->launch.cluster > 1, made) !=
        DRIVER_SUCCESS)
        gpu_fail(gpu, "a tensor map of %u x %u", args->n_x, args->n_cols);
}

const char *random_type_name(uint32_t type) {
    return type == LAYOUT_FP8       ? "FP8"
           : type == LAYOUT_FP8_FP8 ? "FP8_FP8"
                                    : weight_type_traits[type].name;
}

/* A row tile of codes that are numbers, with a scale for each block. */
static void make_codes_tile(struct gpu *gpu, uint32_t n_cols, void *tile) {
    const size_t n_blocks = (n_cols + LAYOUT_BLOCK_COLS - 1) / LAYOUT_BLOCK_COLS;
    uint8_t *codes = malloc((size_t)LAYOUT_ROWS * n_cols);
    float *scales = malloc(LAYOUT_ROWS * n_blocks * sizeof *scales);
    if (!codes || !scales) exit(1);
    for (size_t i = 0; i < (size_t)LAYOUT_ROWS * n_cols; i++)
        codes[i] = (uint8_t)(gpu_random(gpu) & 0xBFu);
    for (size_t i = 0; i < LAYOUT_ROWS * n_blocks; i++)
        scales[i] = gpu_random_float(gpu, 0.5f, 1.0f);
    const struct layout_fp8 from = {codes, scales, n_cols, n_blocks, LAYOUT_BLOCK_COLS};
    weight_layout_pack_fp8(&from, LAYOUT_ROWS, n_cols, tile);
    free(codes);
    free(scales);
}

struct random_weight random_weight_make(struct gpu *gpu, enum weight_type type,
                                        const struct random_shape *shape, size_t pool_bytes) {
    const uint32_t n_matrices = shape->gate ? 2 : 1;
    const bool of_file = (uint32_t)type < WEIGHT_TYPES;
    const size_t row_bytes = of_file ? weight_type_row_bytes(type, shape->n_cols) : 1;
    const size_t tile_bytes = weight_layout_tile_bytes(type, shape->n_cols);
    const size_t n_tiles = (shape->n_rows + LAYOUT_ROWS - 1) / LAYOUT_ROWS;
    struct random_weight w = {.type = type, .n_rows = shape->n_rows, .n_cols = shape->n_cols};
    uint8_t *rows = malloc(LAYOUT_ROWS * row_bytes);
    float *values = malloc(shape->n_cols * sizeof *values);
    w.bytes = n_tiles * tile_bytes;
    uint8_t *matrix = malloc(w.bytes);
    if (!rows || !values || !matrix) exit(1);
    for (size_t r = 0; of_file && r < LAYOUT_ROWS; r++) {
        for (uint32_t i = 0; i < shape->n_cols; i++) values[i] = gpu_random_float(gpu, -1, 1);
        weight_type_traits[type].quantize(values, rows + r * row_bytes, shape->n_cols);
    }
    if (of_file)
        weight_layout_pack(type, rows, row_bytes, LAYOUT_ROWS, shape->n_cols, matrix);
    else
        make_codes_tile(gpu, shape->n_cols, matrix);
    for (size_t i = 1; i < n_tiles; i++) memcpy(matrix + i * tile_bytes, matrix, tile_bytes);
    w.n_copies = (uint32_t)(pool_bytes / (w.bytes * n_matrices));
    if (w.n_copies == 0) w.n_copies = 1;
    w.pool = gpu_alloc(gpu, w.n_copies * n_matrices * w.bytes);
    for (size_t i = 0; i < w.n_copies * n_matrices; i++)
        gpu_write(gpu, w.pool + i * w.bytes, matrix, w.bytes);
    if (type == WEIGHT_BF16) {
        w.rows = (uint16_t *)(void *)rows;
        rows = NULL;
    }
    free(rows);
    free(values);
    free(matrix);
    return w;
}

void random_weight_free(struct gpu *gpu, struct random_weight *weight) {
    gpu_free(gpu, weight->pool);
    free(weight->rows);
}

static const float *upload_ones(struct gpu *gpu, size_t n) {
    float *ones = malloc(n * sizeof *ones);
    if (!ones) exit(1);
    for (size_t i = 0; i < n; i++) ones[i] = 1.0f;
    const float *to = gpu_upload(gpu, ones, n * sizeof *ones);
    free(ones);
    return to;
}

void random_x_make(struct gpu *gpu, enum weight_type type, uint32_t n_x, uint32_t n_cols,
                   struct gemm_args *args) {
    const bool e4m3 = (uint32_t)type == LAYOUT_FP8_FP8;
    const size_t padded = weight_layout_padded_cols(n_cols);
    const size_t n = n_x * padded * (type == WEIGHT_F32 ? 2 : 1); /* halves, or two bytes of two */
    uint16_t *host = calloc(n, sizeof *host);
    if (!host) exit(1);
    for (size_t i = 0; i < n; i++) {
        const float value = gpu_random_float(gpu, -1, 1);
        host[i] = e4m3                 ? (uint16_t)(gpu_random(gpu) & 0xBFBFu)
                  : type == WEIGHT_F16 ? half_from_float(value)
                                       : bfloat16_from_float(value);
    }
    args->x = gpu_upload(gpu, host, n * sizeof *host);
    args->x_stride = (uint32_t)padded * (e4m3 ? 1 : type == WEIGHT_F32 ? 4 : 2);
    args->x_scale = upload_ones(gpu, n_x);
    if (e4m3) {
        args->x_block_stride = (n_x + 3) / 4 * 4;
        args->x_block_scale =
            upload_ones(gpu, args->x_block_stride * (padded / LAYOUT_BLOCK_COLS + 1));
    }
    free(host);
}

void random_x_free(struct gpu *gpu, const struct gemm_args *args) {
    gpu_free(gpu, (void *)(uintptr_t)args->x);
    gpu_free(gpu, (void *)(uintptr_t)args->x_scale);
    gpu_free(gpu, (void *)(uintptr_t)args->x_block_scale);
}
