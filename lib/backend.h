/* What a backend must provide. It sees base, quant, program and this; never the engine. */
#ifndef BACKEND_H
#define BACKEND_H

#include <stdatomic.h>

#include "format/checkpoint_codes.h"
#include "program/op.h"

/* Of the order in which numbers are added; it changes when the same tokens would give other bits.
 */
enum { NUMBERS_LAW = 1 };

struct backend_model;
struct backend_context;

/* What the host chose when it opened the model. */
struct backend_choice {
    int device; /* among the backend's own */
    bool cpu_amx;
};

struct backend_limits {
    int64_t max_rows;       /* of a step */
    int64_t max_sequences;  /* of a step */
    int64_t max_logit_rows; /* of a step */
    int64_t max_sequence_tokens;
    int64_t max_source_tokens;            /* 0: the model takes no source */
    const int64_t *n_pages;               /* [program.kv.n_groups] */
    uint32_t kv_type;                     /* TRANSFORMER_KV_F32 … */
    int n_threads;                        /* 0: as many as there are processors */
    const transformer_executor *executor; /* or NULL */
};

/* y += scale * B (A x), LoRA of arXiv:2106.09685, beside y = W x. rank 0: nothing. */
struct adapter_weight {
    const float *a, *b; /* [rank][cols], [rows][rank] */
    int64_t rank;
    float scale;
};

struct backend_adapter {
    struct adapter_weight *weights; /* [spec.n_weights] */
    int64_t max_rank;
    void *resident; /* what the backend has made of them; NULL: nothing */
};

struct step_sequence {
    int64_t position;          /* of its first row in this step */
    int64_t first_row, n_rows; /* consecutive rows of the step */
    int64_t n_source;          /* positions of its source, which cross attention sees */
    const int32_t *const
        *pages; /* [n_groups][position / KV_PAGE_TOKENS]; -1 where a window has passed */
    const struct backend_adapter *adapter; /* NULL: none */
    float adapter_scale;                   /* times the adapter's own */
};

/* A token to be chosen from a kept row's logits as lib/sampling does it, without bias and
 * penalties. */
struct step_sample {
    int64_t logit_row;
    uint64_t seed, stream, position; /* of the random number */
    float temperature;               /* 0: the highest logit */
    int32_t top_k;                   /* 0: all */
    float top_p, min_p;              /* 0: all */
    int32_t token;                   /* chosen */
};

struct step {
    int64_t n_rows, n_sequences, n_logit_rows, n_samples, n_pooled;
    bool source; /* the rows are those of sources, whole: the program's first ops run, no logits */
    const int32_t *tokens;      /* [n_rows] */
    const uint8_t *token_types; /* [n_rows]; NULL: all 0 */
    const struct step_sequence *sequences;
    const int32_t
        *logit_rows; /* [n_logit_rows] rows whose logits and hidden states are kept, ascending */
    const int32_t *pooled; /* [n_pooled] sequences of the step whose last row it has, ascending;
                              none where the program pools nothing */
    struct step_sample *samples; /* [n_samples], at most one of a kept row, in their order */
    atomic_int *cancel;          /* nonzero: stop before the next op with `boundary` */
};

/* Bytes that something will take. UINT64_MAX: more than 64 bits can count. */
struct backend_bytes {
    uint64_t host;   /* from the allocator */
    uint64_t device; /* of a device that is not the CPU */
    uint64_t kv;     /* those of either that are keys and values */
};

struct backend_device { /* transformer_device_details; strings static, or the thread's */
    const char *kind, *name, *path;
    uint64_t memory_bytes, n_processors;
};

/* `device` is a number among the backend's own, 0 ... n_devices - 1. */
struct backend {
    const char *name;

    /* Devices that can be used now; why there are no others goes to `why` [size], one line, empty
     * where there is nothing to say. */
    int (*n_devices)(char *why, size_t size);
    /* NOT_FOUND: no such device. */
    status (*device_info)(int device, struct backend_device *info);
    /* Lines "key: value\n" of what was built in and what of it runs here; returns their length. */
    size_t (*describe)(char *text, size_t size);

    /* What model_create will take. */
    status (*model_bytes)(const struct spec *spec, const struct backend_choice *choice,
                          struct backend_bytes *bytes);
    /* Lays every weight of the spec out for itself, dropping the file's pages behind it. progress
     * may be NULL; CANCELLED if it says so. */
    status (*model_create)(struct memory *memory, struct checkpoint *checkpoint,
                           const struct spec *spec, const struct backend_choice *choice,
                           transformer_progress_function progress, void *progress_user,
                           struct backend_model **model);
    void (*model_destroy)(struct backend_model *model); /* NULL does nothing */
    /* A vector of the spec as f32 in host memory, for what is computed at build time. */
    const float *(*model_vector)(const struct backend_model *model, const struct weight_ref *ref);

    /* How keys and values of a TRANSFORMER_KV_... lie in a page. UNSUPPORTED. */
    status (*kv_format)(uint32_t kv_type, struct kv_format *format);
    /* What context_create will take, of a model opened with that choice. */
    status (*context_bytes)(const struct program *program, const struct backend_choice *choice,
                            const struct backend_limits *limits, struct backend_bytes *bytes);
    /* model and program must outlive the context. */
    status (*context_create)(struct memory *memory, const struct backend_model *model,
                             const struct program *program, const struct backend_limits *limits,
                             struct backend_context **context);
    void (*context_destroy)(struct backend_context *context); /* NULL does nothing */
    int (*n_threads)(const struct backend_context *context);

    /* Lays an adapter's weights out for itself, of a model of any thread: `a` and `b` of them are
     * not read after it. Both NULL: they are read where they are, by every context. */
    status (*adapter_create)(struct memory *memory, struct backend_model *model,
                             const struct spec *spec, struct backend_adapter *adapter);
    void (*adapter_destroy)(struct memory *memory, struct backend_model *model,
                            struct backend_adapter *adapter);
    /* Room for steps with this adapter, and whatever others there was room for. */
    status (*reserve_adapters)(struct backend_context *context,
                               const struct backend_adapter *adapter);
    /* Keys and values of one page to another, before any later step. */
    status (*copy_page)(struct backend_context *context, int group, int32_t from, int32_t to);
    /* The first n positions of a page to and from the form of program/kv_form.h, which is the same
     * on every backend; n 1 ... KV_PAGE_TOKENS. Written, the page's other positions are 0. room
     * [page_bytes of the group], for what is on its way to a device and back. */
    status (*read_page)(struct backend_context *context, int group, int32_t page, int64_t n,
                        void *room, void *to);
    status (*write_page)(struct backend_context *context, int group, int32_t page, int64_t n,
                         const void *from, void *room);
    /* The largest vocabulary from which run chooses tokens itself; 0: a step has no samples. */
    int64_t max_sampled_vocab;
    /* Runs the program. CANCELLED: pages may hold keys of some layers, results are gone. Allocates
     * nothing. */
    status (*run)(struct backend_context *context, const struct step *step);
    /* Views in host memory of what the last run kept, row i being logit_rows[i]: [n_vocab] and
     * [n_embd]; valid until the next run. A device may fail on the way. */
    status (*logits)(struct backend_context *context, int64_t row, const float **view);
    status (*hidden)(struct backend_context *context, int64_t row, const float **view);
    /* Likewise of pooled[i]: [n_embd], and the score [n_labels], where the program has these. */
    status (*pooled)(struct backend_context *context, int64_t i, const float **view);
    status (*score)(struct backend_context *context, int64_t i, const float **view);
};

/* The CPU. UNSUPPORTED: TRANSFORMER_CPU or the choice names a path that can't run here. */
extern const struct backend cpu_backend;
/* GPUs, by the CUDA driver; built with -Dcuda=auto or enabled. DEVICE: the device failed or is
 * lost. */
extern const struct backend cuda_backend;

#endif
