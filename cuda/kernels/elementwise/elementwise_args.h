/* Arguments of the kernels between the products: embedding, norms with the preparation of
 * activations, gates, position tables, pooling, routing to experts, sampling. The name of a kernel
 * is that of its struct without _args, but for norm_prepare.
 *
 * Pointers to floats are at multiples of 16 bytes and so are their rows: strides of floats are
 * multiples of 4, those of bytes of 16. */
#ifndef CUDA_KERNELS_ELEMENTWISE_ARGS_H
#define CUDA_KERNELS_ELEMENTWISE_ARGS_H

#include "cuda/kernels/attention/attention_args.h"
#include "cuda/kernels/kinds.h"

/* Threads of a block. "Any grid" below: blocks take what there is in turn. */
enum {
    EMBED_THREADS = 256,
    ROPE_TABLE_THREADS = 64,
    NORM_THREADS = 512,
    GATE_THREADS = 256,
    SOFTCAP_THREADS = 256,
    POOL_THREADS = 256,
    ROUTE_THREADS = 32,
    EXPERT_GROUP_THREADS = 1024,
    EXPERT_COMBINE_THREADS = 256,
    ADJUST_LOGITS_THREADS = 256,
    SAMPLE_THREADS = 1024
};
/* Bytes of shared memory of a launch; the others need none. */
enum {
    NORM_SHARED = 512,
    POOL_SHARED = 512,
    ROUTE_SHARED = 12 * 1024 + 512,
    EXPERT_GROUP_SHARED = 512 + 4 * 1024,
    SAMPLE_SHARED = 58464
};

/* How a GEMM wants its activation rows; by the weight's type alone. Rows are padded with zeros to
 * n_padded columns. */
enum cuda_activation {
    CUDA_ACTIVATION_BF16,  /* [n_padded] bf16: bf16 weights and every quantized type */
    CUDA_ACTIVATION_F16,   /* [n_padded] f16 of x / scale, scale a power of two for the row so that
                              |x / scale| < 2^15; f16 weights */
    CUDA_ACTIVATION_SPLIT, /* [n_padded] bf16, then [n_padded] bf16 of what the first left: f32
                              weights */
    CUDA_ACTIVATION_E4M3,  /* [n_padded] e4m3 of x / scale, a scale for each LAYOUT_BLOCK_COLS
                              columns, with which the greatest |x| of them is 448; of each 16
                              columns number 8 b + 2 t + h at 4 t + 2 b + h, h and b 0 or 1 */
    CUDA_ACTIVATIONS
};

/* out[row] = scale * W[token[row]] (+ P[position[row]]) (+ T[token_type[row]]), of a weight in GEMM
 * layout, any type. One block for a row. A row of no sequence becomes zeros. */
struct embed_args {
    struct step_rows rows;
    const void *tiles;
    float *out; /* [n_rows][out_stride] */
    uint32_t n_rows, n_cols, n_padded, out_stride;
    uint32_t type; /* enum weight_type */
    float scale;
    /* Row position[row] + position_offset of a weight of the same columns is added; NULL: none. */
    const void *position_tiles;
    uint32_t position_type, position_offset;
    const uint8_t *token_type;    /* [n_rows] */
    const void *token_type_tiles; /* NULL: none */
    uint32_t token_type_type, padding;
};

/* table[row][n][2] = scale * cos, scale * sin of (float)position * frequency[i] (the product
 * rounded to f32), |product| < 2^22. One block for a row. A row of no sequence is at position 0. */
struct rope_table_args {
    struct step_rows rows;
    const float *frequencies; /* [n] */
    float *table;
    uint32_t n_rows, n;
    float scale;
    uint32_t padding;
};

struct norm_weights {
    const float *weight, *bias; /* [n_cols], NULL: none */
    uint32_t kind;              /* enum kind_of_norm; NORM_NONE: x as it is */
    float eps;
};

/* x = in[row] (+ add_scale * add_norm(add[row]), which then goes to sum too); y = norm(x); y goes
 * to `normed` and, prepared, to to[...]; any of these may be NULL. One block for a row of the
 * output; its input is row index[i], or i if index is NULL. */
struct norm_args {
    const int32_t *index;  /* [n_rows] rows of `in` and `add` */
    const float *in, *add; /* [..][in_stride], [..][add_stride]; add NULL: none */
    float *sum;            /* [n_rows][sum_stride]; may be `in` where index is NULL */
    float *normed;         /* [n_rows][normed_stride] */
    struct norm_weights add_norm, norm;
    void *to[CUDA_ACTIVATIONS]; /* [n_rows][to_stride[...] bytes] */
    uint32_t to_stride[CUDA_ACTIVATIONS];
    uint32_t in_stride, add_stride, sum_stride, normed_stride;
    uint32_t n_rows, n_cols, n_padded;
    float *scale;       /* [n_rows] of ACTIVATION_F16 */
    float *block_scale; /* of ACTIVATION_E4M3: row i, block b at [b * block_stride + i] */
    uint32_t block_stride;
    const float *sum_scale; /* [1], of the sum with `add`; NULL: none */
    float add_scale;        /* what is added is multiplied by it; 0: as it is */
    /* Heads: row i of the output is of row i % head_rows of `in`, from i / head_rows * in_head on.
     * 0: none. Without `add`. */
    uint32_t head_rows, in_head;
    uint32_t parts; /* more than 1: a row of all has so many parts of n_cols, each as a row of its
                       own; n_cols is a multiple of 4. Without index, sum and `to` */
};

/* out = act(gate) * up (up NULL: act(gate)), where the GEMM could not do it itself; out may be gate
 * or up. Any grid. */
struct gate_args {
    const float *gate, *up;
    float *out;
    uint32_t gate_stride, up_stride, out_stride;
    uint32_t n_rows, n_cols;
    uint32_t activation; /* enum kind_of_activation */
};

/* x = cap * tanh(scale * x / cap), in place; cap 0: x = scale * x; scale 0: 1. Any grid. */
struct softcap_args {
    float *x; /* [n_rows][stride] */
    uint32_t n_rows, n_cols, stride;
    float cap, scale;
    uint32_t padding;
};

/* ---- a sequence's hidden rows to one vector ---- */

enum kind_of_pooling {
    KIND_POOLING_FIRST, /* CLS */
    KIND_POOLING_LAST,
    KIND_POOLING_MEAN /* the sum in the order of the rows, over their number */
};
/* One sequence, some of whose rows this step has. FIRST: those of the step that has its first row;
 * LAST: its last one. */
struct pool_sequence {
    int32_t first_row, n_rows; /* consecutive rows of `in`, one at least */
    int32_t begins;            /* MEAN: 0 adds to what an earlier step left in sum */
    int32_t n_total; /* rows of the sequence, all of which have been seen: `out` is written; 0:
                        there will be more */
};
/* One block for a sequence. The sum goes from row to row, so it doesn't depend on the steps. */
struct pool_args {
    const float *in; /* [..][in_stride] */
    const struct pool_sequence *sequences;
    float *sum; /* [n_sequences][out_stride], MEAN only; may be `out` */
    float *out; /* [n_sequences][out_stride] */
    uint32_t n_sequences, n_cols, in_stride, out_stride;
    uint32_t kind;      /* enum kind_of_pooling */
    uint32_t normalize; /* nonzero: out / |out|, zeros as they are */
};

/* ---- experts ---- */

enum kind_of_routing { KIND_ROUTING_SOFTMAX, KIND_ROUTING_SIGMOID };
#define ROUTE_MAX_EXPERTS 1024
#define ROUTE_MAX_GROUPS 64

/* The n_used experts of the greatest score (+ bias), the lower index first among equals, in that
 * order. weight = factor * score, over the sum of the scores of those used if `renormalize`. A NaN
 * score counts as -inf in the choice. With n_groups > 1 only the n_groups_used best of the groups
 * of n_experts / n_groups consecutive experts are looked at: a group counts the sum of its
 * group_top (1 or 2) best. One block for a row. */
struct route_args {
    const float *logits; /* [n_rows][logits_stride] */
    const float *bias;   /* [n_experts], of the choice alone; NULL none */
    const float *scales; /* [n_experts], of the weights in the end; NULL none */
    int32_t *expert;     /* [n_rows][n_used] */
    float *weight;       /* [n_rows][n_used] */
    uint32_t n_rows, n_experts, n_used, logits_stride;
    uint32_t kind; /* enum kind_of_routing */
    uint32_t renormalize;
    uint32_t n_groups, n_groups_used, group_top; /* n_groups 0 or 1: none */
    float factor;
    float logit_scale; /* 0: none */
    uint32_t padding;
};

/* The choices of all rows by expert, those of one expert in the order of the rows: its products are
 * then of consecutive rows. Choice i of row r is slot r * n_used + i. One block. */
struct expert_group_args {
    const int32_t *expert; /* [n_rows][n_used], each 0 ... n_experts - 1 */
    int32_t *first;        /* [n_experts + 1]: expert e has places first[e] ... first[e + 1] - 1 */
    int32_t *row;          /* [n_rows * n_used]: the row of each place */
    int32_t *place;        /* [n_rows][n_used]: of each slot, as expert_combine wants it */
    uint32_t n_rows, n_used, n_experts, padding;
};

/* out[row] = (out[row] +) sum of weight[row][i] * y[place], i ascending: router order; then
 * + shared[row], or sigmoid(shared_gate[row]) * shared[row]. Any grid. */
struct expert_combine_args {
    const float *y;           /* [..][y_stride] */
    const float *weight;      /* [n_rows][n_used] */
    const int32_t *place;     /* [n_rows][n_used] row of y; NULL: row * n_used + i */
    float *out;               /* [n_rows][out_stride] */
    const float *shared;      /* [n_rows][shared_stride]; NULL none */
    const float *shared_gate; /* one float in [n_rows][shared_gate_stride]; NULL none */
    uint32_t n_rows, n_used, n_cols, y_stride, out_stride;
    uint32_t add; /* nonzero: to what is there */
    uint32_t shared_stride, shared_gate_stride;
};

/* ---- sampling ---- */

/* Bias and penalties as lib/sampling/adjust.c has them, from a row of logits into a row for
 * `sample`. One block for a row. */
struct adjust_logits_row {
    /* Biases sorted by token, those of one token in their order. */
    const int32_t *bias_token; /* [n_bias] */
    const float *bias;
    /* Tokens of the sequence's window, each once, with their number in it. */
    const int32_t *history_token; /* [n_history] */
    const uint32_t *history_count;
    int32_t n_bias, n_history;
    float repetition_penalty, presence_penalty, frequency_penalty;
    int32_t logits_row, out_row; /* logits_row -1: nothing is done */
    int32_t padding;
};
struct adjust_logits_args {
    const float *logits;                  /* [..][logits_stride] */
    const struct adjust_logits_row *rows; /* [n_rows] */
    float *out;                           /* [..][out_stride], not `logits` */
    uint32_t n_rows, n_vocab, logits_stride, out_stride;
};

#define SAMPLE_MAX_VOCAB 524288

/* One logits row to a token; the same filters in the same order as lib/sampling. One block for a
 * row. */
struct sample_row {
    uint64_t seed, stream, position; /* of the random number */
    float temperature;               /* 0: greedy */
    int32_t top_k;                   /* 0: none */
    float top_p, min_p;              /* 0: none */
    int32_t logits_row; /* -1: nothing is chosen, as in a captured launch's spare rows */
    int32_t padding;
};
struct sample_args {
    const float *logits;             /* [..][logits_stride] */
    const struct sample_row *sample; /* [n_rows] */
    int32_t *token;                  /* [n_rows] */
    uint32_t n_rows, n_vocab, logits_stride, padding;
};

#endif
