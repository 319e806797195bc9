/* The forward pass as a flat list of fused ops, symbolic in the number of rows. A backend
 * interprets it. */
#ifndef PROGRAM_OP_H
#define PROGRAM_OP_H

#include "arch/spec.h"
#include "program/kv_layout.h"

/* A buffer of floats [rows][width], planned by lifetime: registers that are not alive together
 * share bytes. */
typedef int reg;
#define REG_NONE (-1)

struct reg_plan {
    int64_t
        width; /* floats of a row, a multiple of REG_ALIGNMENT; a kernel may write the padding */
    int64_t
        offset; /* floats of a row before it: the buffer begins at offset * (most rows of a step) */
    int first, last; /* ops that use it */
};
#define REG_ALIGNMENT 32
static inline int64_t reg_padded(int64_t n) {
    return (n + REG_ALIGNMENT - 1) / REG_ALIGNMENT * REG_ALIGNMENT;
}

enum op_kind {
    OP_EMBED,  /* out = scale * embedding[token] */
    OP_LINEAR, /* outputs of up to three weights from n(x), combined as `combine` says */
    OP_HEADS,  /* of every head h: out's floats h * out_head on = W[h] times in's h * in_head on */
    OP_NORM,   /* out = n(in), which may be one register */
    OP_GATE,   /* out = act(in) * some columns of another register */
    OP_ROPE_STORE, /* q, k: norm, rotate; k, v rounded into their pages. Latent attention: v is
                      none, the dims of q that are rotated come from the register after it */
    OP_ATTENTION,  /* out = softmax(scale q·k) v over the sequence's pages */
    OP_POOL,       /* out = the pooled vector of each sequence that the step pools */
    OP_ROUTE,   /* in: logits of the router. The experts and weights of each row's choices, and the
                    choices by expert: place p of an expert's first ... last */
    OP_EXPERTS, /* LINEAR, of the chosen experts' weights: out has a row for each place */
    OP_WEIGH,   /* out (+)= the sum of weight * in over a row's choices, in their order; then what
                    the shared expert gives */
    OP_HEAD /* of the rows asked for: hidden = n(x), logits = W hidden, if there is a weight; both
             * kept by the backend */
};

enum combine {
    COMBINE_STORE,    /* out[i] = W[i] n(x) + b[i] */
    COMBINE_ADD,      /* out[0] += W[0] n(x) + b[0] */
    COMBINE_ACTIVATE, /* out[0] = act(W[0] n(x) + b[0]) */
    COMBINE_GATE      /* out[0] = act(W[0] n(x) + b[0]) * (W[1] n(x) + b[1]) */
    /* of two alone, ACTIVATION_SWIGLU_CLAMPED is all of that: of both */
};

#define OP_MAX_WEIGHTS 3

struct op {
    enum op_kind kind;
    int layer;     /* -1: outside the layers */
    bool boundary; /* a step may stop before this op */
    bool pooled;   /* LINEAR, NORM: their rows are pooled vectors */
    reg in, out[OP_MAX_WEIGHTS];
    /* LINEAR, NORM and HEAD, where the family norms or scales what a block gives: their input is
     * (in + add_scale * add_norm(add)) * sum_scale, which also goes to `sum` unless that is
     * REG_NONE. */
    reg add, sum;
    float add_scale;
    const struct weight_ref *sum_scale; /* [1]; NULL none */
    const struct norm_spec *add_norm;   /* NULL none */
    const struct norm_spec *norm;       /* of the input; NULL none */
    union {
        struct {
            int n_weights;
            const struct linear_spec *weights[OP_MAX_WEIGHTS];
            enum combine combine;
            enum activation activation;
        } linear;
        const struct attention_spec
            *attention; /* ROPE_STORE: in q or none, out k, v, q before. ATTENTION: in q, out[0] */
        struct {
            const struct weight_ref *table, *positions, *token_types; /* each NULL: without it;
                positions alone: their rows are all that `out` gets */
            int64_t position_offset;
            float scale;
            bool turns; /* the tables of rope for the step's rows are made too */
        } embed;
        struct {
            const struct linear_spec *weight; /* [n_heads][rows][cols] */
            int64_t in_head, out_head;        /* floats from head to head */
        } heads;
        struct {
            int64_t width, n; /* NORM: a row is n parts of so many floats, each normed by itself */
        } parts;
        struct {
            reg by; /* [rows][...], of which the columns from `first` on are taken */
            int64_t first, width;
            enum activation activation;
        } gate;
        struct {
            bool add;   /* to what `out` has */
            reg shared; /* + sigmoid(shared_gate) * shared, each REG_NONE: none */
            reg shared_gate;
        } weigh;
        struct pooling_spec pooling; /* POOL */
    };
    const struct experts_spec *experts; /* ROUTE, EXPERTS, WEIGH */
    bool of_rows; /* EXPERTS: `in` has a row for each row of the step; else for each place */
};

/* Rows of places: a register of n_used * reg_padded(width) floats a row has n_used of them. */
static inline int64_t op_place_width(const struct op *op, int64_t reg_width) {
    return reg_width / op->experts->n_used;
}

struct program {
    const struct spec *spec;
    struct op *ops;
    int n_ops;
    int n_source_ops; /* the first of them: of the rows of sources, the others of tokens */
    struct reg_plan *regs;
    int n_regs;
    int64_t row_floats;            /* of all buffers together, per row */
    int64_t max_in;                /* widest input of a linear op */
    int64_t max_out;               /* widest output of one weight inside the layers */
    int64_t max_experts, max_used; /* of a layer; 0: no layer has experts */
    float *slopes;                 /* ALiBi: [n_heads] of every layer that has it; NULL: none has */
    int64_t n_slopes;
    int64_t n_hidden;  /* of a row that the head takes */
    int64_t n_logits;  /* n_vocab, or 0: the model gives none */
    reg pooled, score; /* [pooled vectors][n_embd], [..][n_labels] once all ops ran; or none */
    int64_t n_labels;
    bool whole;          /* a sequence is computed in one step: some query sees keys behind it, or
                            its rows are pooled from the first on */
    float **frequencies; /* [spec.n_ropes][n_dims / 2]; angle of position p: p * frequency */
    struct kv_layout kv;
    struct memory *memory;
};

/* The values of a rope's freq_factors and long_factors; NULL: there are none. */
struct rope_factors {
    const float *all, *of_long;
};

/* The spec must outlive the program; factors [n_ropes], NULL: none has any. max_tokens: of a
 * sequence; some ropes turn otherwise where it is large, at all positions of all sequences, so that
 * a row's bits don't depend on how far a sequence has come. UNSUPPORTED  the spec says something
 * that no op does. */
status program_build(struct memory *memory, const struct spec *spec,
                     const struct rope_factors *factors, int64_t max_tokens,
                     const struct kv_format *kv_format, const struct pooling_spec *pooling,
                     struct program **program);
void program_free(struct program *program); /* NULL does nothing */

bool program_is_whole(const struct spec *spec, const struct pooling_spec *pooling);

/* buffers.c: gives each register its offset, returns floats of a row in all. */
int64_t buffers_plan(struct reg_plan *regs, int n_regs);

/* relative.c: the row of bias.table for key - query. */
int64_t relative_bucket(const struct relative_bias_spec *bias, int64_t distance);

/* rope.c: frequencies [n_dims / 2] with the scaling applied. */
void rope_frequencies(const struct rope_spec *rope, const struct rope_factors *factors,
                      int64_t max_tokens, float *frequencies);

/* rope.c: what of max_tokens the spec's ropes turn by: where it is the same, the angles are. */
uint64_t rope_length(const struct spec *spec, int64_t max_tokens);

#endif
