/* Arguments of the GEMM kernels: y[token][weight row] from packed weights (cuda/weight_layout.h)
 * and prepared activations (cuda/kernels/elementwise/elementwise_args.h). */
#ifndef CUDA_KERNELS_GEMM_ARGS_H
#define CUDA_KERNELS_GEMM_ARGS_H

#include <stdint.h>

#define GEMM_MAX_WEIGHTS 3

enum gemm_combine {
    GEMM_STORE, /* y = W x + b */
    GEMM_ADD,   /* y += W x + b */
    GEMM_GATE   /* y of weights[0] = act(W0 x + b0) * (W1 x + b1); the weights have one shape */
};

struct gemm_weight {
    const void *tiles; /* weight_layout.h; n_rows padded to its row tile with zero weights */
    const float *bias; /* [n_rows], NULL none */
    float *y;          /* [n_x][y_stride] */
    uint32_t n_rows;
    uint32_t y_stride;     /* floats */
    uint64_t expert_bytes; /* with groups: from one expert's tiles to the next one's; its bias
                              follows after n_rows floats */
};

/* Rows of x of one expert, at most the kernel's N. Written on the device by gemm_groups. */
struct gemm_group {
    uint32_t expert;
    uint32_t first_x, n_x;
    uint32_t padding;
};

/* One launch: weights of one type and one n_cols. The grid is the row tiles of all weights one
 * after the other (of weights[0] alone for GATE), times tiles of activation rows, times splits. */
struct gemm_args {
    struct gemm_weight weights[GEMM_MAX_WEIGHTS];
    uint32_t n_weights;
    uint32_t n_cols;      /* padded to LAYOUT_COLS */
    const void *x;        /* [n_x] prepared rows, x_stride bytes apart: multiples of 16 */
    const float *x_scale; /* [n_x] of ACTIVATION_F16 rows, else NULL */
    uint32_t x_stride;
    uint32_t n_x;
    /* Sums begin anew every split_cols columns (a multiple of GEMM_SPLIT_MULTIPLE of gemm_tiles.h,
     * or n_cols: never), and the parts are added in order. Part of the weight's bits: the same for
     * every n_x. */
    uint32_t split_cols;
    uint32_t
        splits_apart; /* nonzero: a block does one split, the last one to finish adds them up */
    float *parts;     /* splits_apart: workspace, gemm_parts_bytes (cuda/select.h) */
    uint32_t
        *counters; /* splits_apart: one zero for each tile of the grid; zero again at the end */
    uint32_t combine;
    uint32_t activation; /* enum activation of arch/spec.h, of GATE */
    float softcap;       /* y = softcap * tanh(y / softcap) at the end; 0 none */
    /* Experts: x is sorted by expert, and a tile of the grid's max_groups tiles of x is a group, or
     * nothing from *n_groups on. NULL: one weight for all rows. */
    uint32_t max_groups;
    const struct gemm_group *groups;
    const uint32_t *n_groups;
    /* Heads: expert h of the weights is head h's, rows h * n_x ... of x are its own, and its rows
     * of y are those of all heads, y_head floats further on for each. 0: none. */
    uint32_t n_heads, y_head;
    /* Of ACTIVATION_E4M3: the scale of row i in its block b at [b * x_block_stride + i];
     * x_block_stride is a multiple of 4. Else NULL. */
    const float *x_block_scale;
    uint32_t x_block_stride;
};

#define GEMM_GROUPS_THREADS 512
#define GEMM_GROUPS_MAX_EXPERTS 1024
/* Shared memory of a gemm_groups launch. */
#define GEMM_GROUPS_SHARED(n_experts) ((n_experts) * (GEMM_GROUPS_THREADS / 32 + 2) * 4u + 16u)

/* Choices of experts sorted by expert, those of one expert staying in order: choice i goes to place
 * place[i]. One block. */
struct gemm_groups_args {
    const int32_t *expert; /* [n_choices], in 0 ... n_experts - 1 */
    int32_t *place;        /* [n_choices] */
    int32_t *row;          /* [n_choices] of each place: choice / n_used, the row of x it was of */
    struct gemm_group *groups; /* [gemm_groups_most] */
    uint32_t *n_groups;
    uint32_t n_choices, n_experts, n_used;
    uint32_t group_rows; /* at most in a group: the kernel's N */
};

/* Groups there can be: gemm_args.max_groups. */
static inline uint32_t gemm_groups_most(uint32_t n_choices, uint32_t n_experts,
                                        uint32_t group_rows) {
    uint32_t used = n_experts < n_choices ? n_experts : n_choices;
    return used + n_choices / group_rows;
}

#endif
