/* Random weights and activations in the form that GEMM kernels take, for programs that time or
 * repeat launches and don't look at values. */
#ifndef GPU_RANDOM_GEMM_H
#define GPU_RANDOM_GEMM_H

#include "cuda/kernels/gemm/gemm_hopper_args.h"
#include "cuda/select.h"
#include "gpu_test.h"

struct random_shape {
    const char *what;
    uint32_t n_rows, n_cols;
    bool gate; /* two matrices */
};

/* 16 random rows again and again, in as many copies as a pool has room for. */
struct random_weight {
    enum weight_type type;
    uint32_t n_rows, n_cols;
    size_t bytes; /* of one matrix */
    uint32_t n_copies;
    uint8_t *pool;
    uint16_t *rows; /* host: [16][n_cols], of BF16; else NULL */
};

struct random_weight random_weight_make(struct gpu *gpu, enum weight_type type,
                                        const struct random_shape *shape, size_t pool_bytes);
void random_weight_free(struct gpu *gpu, struct random_weight *weight);
/* Of enum layout_type too. */
const char *random_type_name(uint32_t type);
/* Rows of x as arguments; random_x_free gives them back. */
void random_x_make(struct gpu *gpu, enum weight_type type, uint32_t n_x, uint32_t n_cols,
                   struct gemm_args *args);
void random_x_free(struct gpu *gpu, const struct gemm_args *args);
/* warpgroups as TRANSFORMER_CUDA_WARPGROUPS says. */
struct cuda_properties random_gemm_properties(struct gpu *gpu);
/* What the chosen kernel takes: all of it, or its member gemm. */
void random_gemm_arguments(struct gpu *gpu, const struct gemm_choice *choice,
                           const struct gemm_args *args, struct gemm_hopper_args *made);

#endif
