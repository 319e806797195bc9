/* Which kernel runs, with what grid: pure functions of the device, the weight and the number of
 * rows, apart from the kernels so that they are tested without a GPU. */
#ifndef CUDA_SELECT_H
#define CUDA_SELECT_H

#include <stdbool.h>

#include "cuda/kernels/gemm/gemm_args.h"
#include "quant/weight_type.h"

/* More rows than this never have their splits apart. */
#define SELECT_APART_MAX_ROWS 128

struct cuda_properties { /* of a device */
    int major, minor;    /* compute capability */
    int n_multiprocessors;
    size_t shared_per_block; /* bytes a block may ask for */
    size_t shared_per_multiprocessor;
    size_t l2_bytes;
    bool warpgroups;      /* the kernels that use wgmma run there, and are to be used */
    bool cooperative;     /* blocks of a launch can be there all at once */
    bool fp8_weights;     /* weights of e4m3 keep their codes */
    bool fp8_activations; /* where there is such a kernel, they are multiplied with e4m3 */
};

struct launch_shape {
    const char *kernel;
    uint32_t grid, threads;
    uint32_t shared_bytes;
    uint32_t cluster; /* blocks that run side by side and reach each other's memory; 0: none do */
};

struct gemm_problem {
    enum weight_type type;
    enum gemm_combine combine;
    uint32_t n_weights;
    uint32_t n_rows[GEMM_MAX_WEIGHTS];
    uint32_t n_cols;
    uint32_t n_x;       /* with experts: choices in all */
    uint32_t n_experts; /* 0: one weight for all rows; else each has such weights */
    uint32_t n_heads;   /* 0: none; else each has such a weight, and n_x rows */
};

struct gemm_choice {
    struct launch_shape launch;
    uint32_t split_cols, splits_apart; /* of gemm_args */
    uint64_t parts_bytes;              /* of gemm_args.parts */
    uint32_t n_counters;
    uint32_t tile_rows;  /* of x in a block: gemm_groups_args.group_rows */
    uint32_t max_groups; /* of gemm_args, with experts */
    bool warpgroups;     /* the arguments are gemm_hopper_args */
};

/* How a weight type (or enum layout_type) wants its activations: enum cuda_activation. */
int select_activation(enum weight_type type);
/* Columns after which sums begin anew: of the device and the weight's shape, never of n_x. A
 * multiple of LAYOUT_COLS. */
uint32_t select_split_cols(const struct cuda_properties *device, enum weight_type type,
                           uint32_t n_rows, uint32_t n_cols);
/* Weights of one launch have one split_cols. launch.kernel is NULL where none has the shared memory
 * that it needs. Splits are apart up to SELECT_APART_MAX_ROWS rows of x only. */
struct gemm_choice select_gemm(const struct cuda_properties *device,
                               const struct gemm_problem *problem);

/* The same for the persistent kernel: n_x is at most a tile's rows. launch.grid is the number of
 * tasks, and launch.kernel the name of what a task is a block of. */
struct gemm_choice select_gemm_resident(const struct cuda_properties *device,
                                        const struct gemm_problem *problem);

struct attention_problem {
    uint32_t kv_type; /* enum cuda_kv_type */
    uint32_t key_dim, value_dim, n_heads, n_kv_heads;
    bool values_in_keys; /* a prefix of them */
};
struct attention_choice {
    struct launch_shape launch; /* any number of items: blocks take them in turn */
    struct launch_shape merge;
    uint32_t stages;        /* of attention_args */
    uint32_t rows_per_item; /* consecutive rows of a sequence in an item, at most */
    uint32_t tile_queries;  /* of a KV head that a block computes at once */
    bool warpgroups;        /* the arguments are attention_hopper_args */
};
/* launch.kernel is NULL where no kernel has such heads. */
struct attention_choice select_attention(const struct cuda_properties *device,
                                         const struct attention_problem *problem);

#endif
