/* The state of a CUDA context, and the program as launches. */
#ifndef CUDA_LAUNCHER_H
#define CUDA_LAUNCHER_H

#include "cuda/adapters.h"
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/gemm/gemm_args.h"
#include "cuda/persistent.h"
#include "cuda/step_data.h"
#include "cuda/weights.h"

/* Steps in which every row is a sequence's next token replay a captured graph, of the least number
 * of rows that is enough: powers of two up to this. */
enum { GRAPH_MAX_ROWS = 64, MAX_GRAPHS = 7 };
/* Layers whose launches may be ahead of the device, in steps that are launched one by one: what a
 * cancel waits for. */
enum { LAYERS_AHEAD = 2 };

struct step_graph {
    int64_t n_rows; /* and logit rows */
    driver_graph_exec exec;
};

/* Where the rows of a step go, on the device: choice i of a row is slot row * n_used + i. */
struct routes {
    int32_t *expert, *place; /* [max_rows][max_used], by slot */
    float *weight;           /* likewise */
    int32_t *row;            /* [max_rows * max_used], by place */
    struct gemm_group *groups;
    uint32_t *n_groups;
};

struct backend_context {
    struct memory *memory;
    const struct backend_model *model;
    struct device *device;
    const struct program *program;
    struct backend_limits limits;
    enum cuda_kv_type kv_type;
    driver_stream stream;
    driver_event events[LAYERS_AHEAD];
    bool recorded[LAYERS_AHEAD];

    /* On the device. What points into the arena: */
    uint8_t *arena;
    uint8_t *block;                      /* step_data */
    float *buffers;                      /* [max_rows * row_floats], registers by offset */
    float *slopes;                       /* [n_slopes] of ALiBi */
    float **frequencies;                 /* host array [n_ropes] of [n_dims / 2] */
    float **rope_tables;                 /* host array [n_ropes] of [max_rows][n_dims] */
    uint8_t *prepared[CUDA_ACTIVATIONS]; /* input rows of an op's products */
    float *prepared_scale;               /* [rows] */
    float *prepared_block_scale;         /* [blocks of columns][block_stride] */
    uint32_t block_stride;
    float *apart;         /* the other outputs of a gate whose weights are of two types; or NULL */
    struct routes routes; /* of the layer at hand */
    float *gemm_parts;
    uint32_t *gemm_counters;
    float *attention_parts;
    struct persistent_memory persistent; /* of persistent.programs */
    uint32_t *failures;                  /* [FAILURE_WORDS] of persistent_args; `sampled` follows */
    int32_t *sampled;                    /* [max_logit_rows] */
    float *hidden, *logits;              /* [max_logit_rows][...] */
    size_t hidden_stride, logits_stride; /* floats */
    uint8_t **pools;                     /* host array [n_groups], each a block of its own */

    /* On the host. */
    struct step_data data;
    struct attention_choice *attention; /* [data.n_attentions] */
    int *attention_of;                  /* [n_ops] index in these of those with attention */
    uint8_t *host_block;                /* pinned [data.bytes] */
    struct step_range *ranges;
    struct step_adapter *step_adapters; /* [max_sequences] */
    float *host_hidden, *host_logits;   /* pinned, as on the device */
    float *host_pooled, *host_score;    /* pinned [max_sequences][width of the register] */
    uint32_t *host_failures;            /* pinned [FAILURE_WORDS]; host_sampled follows */
    int32_t *host_sampled;              /* [max_logit_rows] */
    uint8_t *fetched;                   /* [max_logit_rows] bit 0: logits, bit 1: hidden */
    struct step_graph graphs[MAX_GRAPHS];
    int n_graphs;
    struct adapters adapters;
    driver_graph_exec adapted_graphs[MAX_GRAPHS]; /* for steps with adapters, of graphs' rows */
    struct persistent_program programs[PERSISTENT_PROGRAMS]; /* instead of the graphs up to there */
    int n_programs;
};

/* A step's launches while they are put on the stream. */
struct launcher {
    struct backend_context *context;
    int64_t n_rows, n_logit_rows, n_pooled;
    bool source;     /* the rows are those of sources */
    bool adapts;     /* some of them have adapters */
    bool apart;      /* no launch begins while the one before it runs */
    bool follows;    /* a kernel is ahead on the stream: the next may begin while it ends */
    bool only_loads; /* no launch, the kernel is made ready for one */
    struct persistent_recorder *recorder; /* no launch, an instruction; NULL: launches */
    uint32_t group_rows; /* of the groups that the layer's choices are in; 0: in none yet */
};

/* Puts op after op on the stream, until the step's cancel is set before one with `boundary`: then
 * *stopped. */
status launcher_run(struct backend_context *context, const struct step *step, bool *stopped);
/* The same as a graph; adapts: for steps that have adapters. */
status launcher_capture(struct backend_context *context, int64_t n_rows, bool adapts,
                        driver_graph_exec *exec);

/* The same as instructions: launcher_launch hands each launch over. */
status launcher_record(struct backend_context *context, int64_t n_rows,
                       struct persistent_recorder *recorder);

/* linear.c: norm, products and what follows them, of LINEAR and HEAD. */
status linear_launch(struct launcher *launcher, const struct op *op);
/* Memory that the launches of linear ops share. */
struct linear_needs {
    uint64_t parts_bytes;
    uint32_t n_counters;
    bool used[CUDA_ACTIVATIONS];
    uint64_t apart; /* floats of context.apart for each row of a step */
};
/* Raises what is needed to what an op of n_rows rows needs; `resident`: in the persistent kernel.
 */
void linear_measure(const struct cuda_properties *device, const struct op *op, int64_t n_rows,
                    bool resident, struct linear_needs *needs);

/* heads.c: OP_HEADS. */
status heads_launch(struct launcher *launcher, const struct op *op);
/* As linear_measure, for any number of rows. */
void heads_measure(const struct cuda_properties *device, const struct op *op,
                   struct linear_needs *needs);

/* experts.c */
status experts_launch_route(struct launcher *launcher, const struct op *op);
/* The choices of the layer's rows as groups of at most group_rows of an expert. */
status experts_launch_groups(struct launcher *launcher, const struct op *op, uint32_t group_rows);
status experts_launch_weigh(struct launcher *launcher, const struct op *op);

/* linear.c: where rows are prepared in a form for the products, n_padded columns being set, and
 * where products find them, n_cols being set. */
void launcher_prepare(const struct backend_context *context, int form, struct norm_args *args);
void launcher_prepared(const struct backend_context *context, int form, struct gemm_args *args);
/* linear.c: which kernel, or task of the persistent kernel, multiplies. */
struct gemm_choice launcher_choose_gemm(const struct launcher *launcher,
                                        const struct gemm_problem *problem);
/* A product by the kernel that was chosen. */
status launcher_gemm(struct launcher *launcher, const struct gemm_choice *choice,
                     const struct gemm_args *args);

/* norm NULL: none. */
struct norm_weights launcher_norm(const struct backend_model *model, const struct norm_spec *norm);
/* Of a LINEAR's or NORM's rows in this step. */
int64_t launcher_rows_of(const struct launcher *launcher, const struct op *op);
status launcher_launch(struct launcher *launcher, const struct launch_shape *shape,
                       const void *args);
float *launcher_reg(const struct backend_context *context, reg index);
struct step_rows launcher_rows(const struct backend_context *context);

/* context.c: the backend's context_... */
status cuda_context_bytes(const struct program *program, const struct backend_choice *choice,
                          const struct backend_limits *limits, struct backend_bytes *bytes);
status cuda_context_create(struct memory *memory, const struct backend_model *model,
                           const struct program *program, const struct backend_limits *limits,
                           struct backend_context **context);
void cuda_context_destroy(struct backend_context *context);
/* run.c: the backend's run, copy_page, logits and hidden */
status cuda_run(struct backend_context *context, const struct step *step);
status cuda_copy_page(struct backend_context *context, int group, int32_t from, int32_t to);
status cuda_read_page(struct backend_context *context, int group, int32_t page, int64_t n,
                      void *room, void *to);
status cuda_write_page(struct backend_context *context, int group, int32_t page, int64_t n,
                       const void *from, void *room);
status cuda_logits(struct backend_context *context, int64_t row, const float **view);
status cuda_hidden(struct backend_context *context, int64_t row, const float **view);
status cuda_pooled(struct backend_context *context, int64_t i, const float **view);
status cuda_score(struct backend_context *context, int64_t i, const float **view);

#endif
