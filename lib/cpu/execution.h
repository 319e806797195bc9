/* The state of a CPU context, and the ops that its threads run together. */
#ifndef CPU_EXECUTION_H
#define CPU_EXECUTION_H

#include "cpu/team.h"
#include "cpu/weights.h"

/* Up to this many rows, every thread prepares the activations for itself: that costs less than a
 * barrier. */
enum { PRIVATE_ROWS = 4 };
/* Rows that a linear op takes at a time, and floats of a thread's scratch for outputs that are
 * combined. */
enum { LINEAR_TILE_ROWS = 512, LINEAR_SCRATCH_FLOATS = 1 << 15 };
/* Up to this many units of attention, their splits are shared out; parts of splits that are kept.
 */
enum { MAX_SHARED_UNITS = 16, SHARED_PARTS = 64 };
/* Queries that an attention kernel call takes at a time, if one KV head has no more. */
enum { ATTENTION_TILE_QUERIES = 64 };

/* Where the rows of a step go. Choice i of a row is its slot row * n_used + i; the choices of an
 * expert have places side by side, in the order of the slots. */
struct routes {
    int32_t *expert; /* [max_rows][n_used], by slot */
    float *weight;   /* [max_rows][n_used], by slot */
    int32_t *place;  /* [max_rows][n_used], by slot */
    int32_t *slot;   /* [max_rows * n_used], by place */
    int32_t *first;  /* [n_experts + 1]: expert e has places first[e] ... first[e + 1] - 1 */
};

struct thread_scratch {
    uint8_t *prepared[ACTIVATION_FORMATS]; /* [PRIVATE_ROWS][prepared_bytes] */
    float *row, *sum;                      /* [max_in] */
    float *outputs;                        /* [LINEAR_SCRATCH_FLOATS] */
    void *attention;
    float *part, *total; /* [queries of a unit][ATTENTION_PART_FLOATS(value_dim)], the widest */
};

struct backend_context {
    struct memory *memory;
    const struct backend_model *model;
    const struct program *program;
    struct backend_limits limits;
    enum kv_type kv_type;
    struct team *team;
    int n_threads;

    uint8_t **pools;        /* [n_groups] */
    float *buffers;         /* [max_rows * row_floats], registers by offset */
    float **rope_tables;    /* [n_ropes][max_rows][n_dims] */
    int64_t *position;      /* [max_rows] */
    int32_t *sequence;      /* [max_rows] index in the step */
    float *hidden, *logits; /* [max_logit_rows][...] */
    size_t hidden_stride, logits_stride;
    float **relative; /* [n_relative_biases][n_heads][relative_stride]: attention_task.relative */
    uint8_t *prepared[ACTIVATION_FORMATS]; /* [max_rows][prepared_bytes], or as many places of an
                                              experts' op */
    size_t prepared_bytes[ACTIVATION_FORMATS];
    /* [SHARED_PARTS][shared_part_floats], a part of as many queries as a KV head has heads */
    float *shared_parts;
    size_t shared_part_floats;
    struct routes routes; /* of the layer at hand */
    /* [max_rows][OP_MAX_WEIGHTS][adapter_rank]: A x of the linear op at hand; NULL: no adapters */
    float *adapted;
    int64_t adapter_rank;
    bool step_adapts;               /* a sequence of the step has an adapter */
    struct thread_scratch *threads; /* [n_threads] */

    const struct step *step; /* while a step runs */
    atomic_int stop[2];      /* written for one boundary while the other may still be read */
    bool stopped;
};

/* What one thread needs to know while it walks the program. */
struct worker {
    struct backend_context *context;
    const struct kernels *kernels;
    struct thread_scratch *scratch;
    int thread, n_threads;
};

/* Part of 0 … n-1 that a thread takes. */
struct range {
    int64_t begin, end;
};
struct range execution_share(const struct worker *worker, int64_t n);
float *execution_reg(const struct backend_context *context, reg index);

/* The body of a step, run by every thread. */
void execution_run(void *context, int thread, int n_threads);

/* linear.c */
struct linear_call {
    const struct op *op;
    const float *in; /* [n_rows][in_stride] */
    size_t in_stride;
    int64_t n_rows;
    float *out[OP_MAX_WEIGHTS];
    size_t out_stride[OP_MAX_WEIGHTS];
    const struct norm_spec *norm;
    /* NULL, or [n_rows][add_stride] whose norm is added to the input; the sum goes to `sum` too. */
    const float *add;
    size_t add_stride;
    float *sum;          /* [n_rows][in_stride] */
    bool adapts;         /* the rows are those of the step, or as `rows` says: adapters apply */
    const int32_t *rows; /* [n_rows] in the step; NULL: all, in order */
};
void linear_run(const struct worker *worker, const struct linear_call *call);
/* Input rows as the op's weights want them. */
struct prepared_rows {
    uint8_t *rows[ACTIVATION_FORMATS];
    size_t stride[ACTIVATION_FORMATS]; /* bytes */
};
/* n(x) [n] of one row into row `index`; norm NULL: x itself. */
void linear_prepare(const struct worker *worker, const struct op *op, const struct norm_spec *norm,
                    const float *x, size_t n, const struct prepared_rows *to, int64_t index);
struct linear_tile {    /* of an op's outputs */
    struct range units; /* of KERNEL_MAX_GROUP rows of the weight */
    int64_t first_row, n_rows;
    size_t expert; /* whose weights these are; 0 where there is but one */
};
int64_t linear_units(const struct packed_weight *weight);
/* Outputs of a tile of at most LINEAR_TILE_ROWS rows, of weight `index` alone where the op doesn't
 * combine. */
void linear_run_tile(const struct worker *worker, const struct linear_call *call,
                     const struct prepared_rows *prepared, int index,
                     const struct linear_tile *tile);
/* y = n(x), one row. */
void linear_norm(const struct worker *worker, const struct norm_spec *norm, const float *x,
                 size_t n, float *y);

/* to = (x + add_scale * add_norm(add)) * sum_scale of an op, one row. */
void linear_add_normed(const struct worker *worker, const struct op *op, const float *x,
                       const float *add, size_t n, float *to);

/* pool.c */
void pool_run(const struct worker *worker, const struct op *op);

/* heads.c: OP_HEADS */
void heads_run(const struct worker *worker, const struct op *op);

/* experts.c */
/* Experts and weights [n_used] of a row by its scores [n_experts] and, NULL: none, the bias of the
 * choice; candidates [n_experts] is scratch. A NaN counts as the least in the choice. */
void experts_choose(const struct experts_spec *experts, const float *scores, const float *bias,
                    float *candidates, int32_t *expert, float *weight);
void experts_route(const struct worker *worker, const struct op *op);
void experts_run(const struct worker *worker, const struct op *op);
void experts_weigh(const struct worker *worker, const struct op *op);

/* adapters.c */
/* A x for each row that has an adapter, before the rows are prepared; false: no row has one for any
 * of the op's weights, and adapters_add isn't called. */
bool adapters_begin(const struct worker *worker, const struct linear_call *call);
/* y += scale * B (A x) of a tile's outputs, `width` of them, of weight `index`. */
void adapters_add(const struct worker *worker, const struct linear_call *call, int index,
                  const struct linear_tile *tile, size_t width, float *y, size_t y_stride);

/* attend.c */
/* Floats of a head's row of biases by distance. */
size_t attend_relative_stride(const struct relative_bias_spec *bias);
/* to [n_heads][stride] from a table [n_buckets][n_heads]. */
void attend_relative_fill(const struct relative_bias_spec *bias, const float *table, float *to);
void attend_store(const struct worker *worker, const struct op *op);
void attend_run(const struct worker *worker, const struct op *op);

#endif
