/* Arguments of the kernels between the products: embedding, norms with the preparation of
 * activations, gates, position tables, sampling. */
#ifndef CUDA_KERNELS_ELEMENTWISE_ARGS_H
#define CUDA_KERNELS_ELEMENTWISE_ARGS_H

#include "cuda/kernels/attention/attention_args.h"

/* How a GEMM wants its activation rows; by the weight's type alone. Rows are padded with zeros to
 * n_padded columns. */
enum cuda_activation {
    CUDA_ACTIVATION_BF16,  /* [n_padded] bf16: bf16 weights and every quantized type */
    CUDA_ACTIVATION_F16,   /* [n_padded] f16 of x / scale, scale a power of two for the row so that
                              |x / scale| < 2^15; f16 weights */
    CUDA_ACTIVATION_SPLIT, /* [n_padded] bf16, then [n_padded] bf16 of what the first left: f32
                              weights */
    CUDA_ACTIVATIONS
};

/* out[row] = scale * W[token[row]], of a weight in GEMM layout, any type. One block for a row. */
struct embed_args {
    struct step_rows rows;
    const void *tiles;
    float *out; /* [n_rows][out_stride] */
    uint32_t n_rows, n_cols, n_padded, out_stride;
    uint32_t type; /* enum weight_type */
    float scale;
};

/* table[row][n][2] = scale * cos, scale * sin of (float)position * frequency[i] (the product
 * rounded to f32). */
struct rope_table_args {
    struct step_rows rows;
    const float *frequencies; /* [n] */
    float *table;
    uint32_t n_rows, n;
    float scale;
    uint32_t padding;
};

struct norm_weights {
    const float *weight, *bias; /* NULL: none */
    uint32_t kind;              /* enum norm_kind of arch/spec.h; NORM_NONE: x as it is */
    float eps;
};

/* x = in[row] (+ add_norm(add[row]), which then goes to sum too); y = norm(x); y goes to `normed`
 * and, prepared, to to[...]; any of these may be NULL. One block for a row of the output; its input
 * is row index[i], or i if index is NULL. */
struct norm_args {
    const int32_t *index; /* [n_rows] rows of `in` and `add` */
    const float *in, *add;
    float *sum;    /* may be `in` */
    float *normed; /* [n_rows][normed_stride] */
    struct norm_weights add_norm, norm;
    void *to[CUDA_ACTIVATIONS]; /* [n_rows][to_stride[...] bytes] */
    uint32_t to_stride[CUDA_ACTIVATIONS];
    uint32_t in_stride, add_stride, sum_stride, normed_stride;
    uint32_t n_rows, n_cols, n_padded;
    float *scale; /* [n_rows] of ACTIVATION_F16 */
};

/* out = act(gate) * up (up NULL: act(gate)), where the GEMM could not do it itself. */
struct gate_args {
    const float *gate, *up;
    float *out;
    uint32_t gate_stride, up_stride, out_stride;
    uint32_t n_rows, n_cols;
    uint32_t activation; /* enum activation of arch/spec.h */
};

/* One logits row to a token; the same filters in the same order as lib/sampling. One block for a
 * row. */
struct sample_row {
    uint64_t seed, stream, position; /* of the random number */
    float temperature;               /* 0: greedy */
    int32_t top_k;                   /* 0: none */
    float top_p, min_p;              /* 0: none */
    int32_t logits_row;
    int32_t padding;
};
struct sample_args {
    const float *logits;             /* [..][logits_stride] */
    const struct sample_row *sample; /* [n_rows] */
    int32_t *token;                  /* [n_rows] */
    uint32_t n_rows, n_vocab, logits_stride, padding;
};

#endif
