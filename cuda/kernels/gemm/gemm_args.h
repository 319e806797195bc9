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
    uint32_t y_stride; /* floats */
};

/* One launch: weights of one type and one n_cols. The grid is the row tiles of all weights one
 * after the other (of weights[0] alone for GATE), times tiles of activation rows, times splits. */
struct gemm_args {
    struct gemm_weight weights[GEMM_MAX_WEIGHTS];
    uint32_t n_weights;
    uint32_t n_cols;      /* padded to LAYOUT_COLS */
    const void *x;        /* [n_x] prepared rows, x_stride bytes apart */
    const float *x_scale; /* [n_x] of ACTIVATION_F16 rows, else NULL */
    uint32_t x_stride;
    uint32_t n_x;
    /* Sums begin anew every split_cols columns (a multiple of GEMM_SPLIT_MULTIPLE of gemm_tiles.h, or
     * n_cols: never), and the parts are added in order. Part of the weight's bits: the same for every n_x. */
    uint32_t split_cols;
    uint32_t
        splits_apart; /* nonzero: a block does one split, the last one to finish adds them up */
    float *parts;     /* splits_apart: workspace, gemm_parts_bytes (cuda/select.h) */
    uint32_t
        *counters; /* splits_apart: one zero for each tile of the grid; zero again at the end */
    uint32_t combine;
    uint32_t activation; /* enum activation of arch/spec.h, of GATE */
    float softcap;       /* y = softcap * tanh(y / softcap) at the end; 0 none */
    uint32_t padding;
};

#endif
