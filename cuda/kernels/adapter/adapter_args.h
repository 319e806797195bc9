/* LoRA (arXiv:2106.09685) beside products, in f32: y += scale * B (A x), each row by the adapter of
 * its sequence. A x by adapter_shrink, while the product is still to come; the rest, and what the
 * product left to be done after it, by adapter_expand.
 *
 * Bits: a sum of A x is that of ADAPTER_SHRINK_THREADS threads, each with every so many quads of
 * columns in ascending order, then of a warp's lanes as a butterfly, then of the warps in order;
 * one of B (A x) goes rank by rank. Neither depends on what other rows there are. */
#ifndef CUDA_KERNELS_ADAPTER_ARGS_H
#define CUDA_KERNELS_ADAPTER_ARGS_H

#include <stdint.h>

#define ADAPTER_MAX_WEIGHTS 3

enum {
    ADAPTER_ITEM_ROWS = 8, /* that share what is read of A and B */
    ADAPTER_RANKS = 4,     /* of A that a block does at once: ranks are padded to multiples */
    ADAPTER_SHRINK_THREADS = 256,
    ADAPTER_EXPAND_THREADS = 64, /* four columns each */
    /* Of adapter_shrink: the sums of each warp. */
    ADAPTER_SHRINK_SHARED = ADAPTER_SHRINK_THREADS / 32 * ADAPTER_ITEM_ROWS * ADAPTER_RANKS * 4
};

/* What an adapter has for one weight of the model. */
struct adapter_matrices {
    const float *a;  /* [rank][n_cols padded to 4], with zeros */
    const float *bt; /* [rank][n_rows padded to 4], B transposed, with zeros */
    uint32_t rank;   /* padded to ADAPTER_RANKS with rows of zeros; 0: nothing */
    float scale;
};

/* Rows of a step whose sequences have one adapter at one scale. */
struct adapter_item {
    const struct adapter_matrices *weights; /* [weights of the model]; NULL: no adapter */
    float scale;                            /* times the adapter's own */
    uint32_t n_rows;
    int32_t row[ADAPTER_ITEM_ROWS];
};

/* ax[row][i] = A of weight[i] times x[row]. Any grid. */
struct adapter_shrink_args {
    const struct adapter_item *items; /* [*n_items] */
    const uint32_t *n_items;
    const float *x; /* [..][x_stride] */
    float *ax;      /* [..][ADAPTER_MAX_WEIGHTS][ax_stride] */
    uint32_t weight[ADAPTER_MAX_WEIGHTS];
    uint32_t n_weights, n_cols, x_stride;
    uint32_t ax_stride; /* no adapter of the items has a higher rank; a multiple of ADAPTER_RANKS */
    uint32_t padding;
};

enum adapter_combine {
    ADAPTER_STORE,    /* that is all */
    ADAPTER_ADD,      /* out += y[0] */
    ADAPTER_ACTIVATE, /* y[0] = act(y[0]) */
    ADAPTER_GATE      /* out = act(y[0]) * y[1], or what takes both */
};

struct adapter_output {
    float *y; /* [..][stride] */
    uint32_t n_cols, stride;
    uint32_t weight, padding;
};

/* y[i][row] += scale * B (A x) of weight[i], in the rows that have one; then what `combine` says,
 * in all rows of the items. Any grid. */
struct adapter_expand_args {
    const struct adapter_item *items; /* [*n_items] */
    const uint32_t *n_items;
    const float *ax;
    struct adapter_output y[ADAPTER_MAX_WEIGHTS];
    float *out; /* [..][y[0].stride], of ADD and GATE; may be y[0] of GATE */
    uint32_t n_weights, ax_stride;
    uint32_t combine;    /* enum adapter_combine; GATE: the two have one shape and stride */
    uint32_t activation; /* enum kind_of_activation */
};

#endif
