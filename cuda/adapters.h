/* LoRA adapters on a GPU: their matrices, f32 in one block of the device each, and the room that a
 * context has for steps with them. */
#ifndef CUDA_ADAPTERS_H
#define CUDA_ADAPTERS_H

#include "backend.h"
#include "cuda/kernels/adapter/adapter_args.h"

/* backend_adapter.resident */
struct cuda_adapter {
    void *block;                            /* on the device: the table, then what it points to */
    const struct adapter_matrices *weights; /* on the device, [spec.n_weights] */
    int64_t max_rank;                       /* padded */
};

/* The backend's adapter_create and adapter_destroy. */
status cuda_adapter_create(struct memory *memory, struct backend_model *model,
                           const struct spec *spec, struct backend_adapter *adapter);
void cuda_adapter_destroy(struct memory *memory, struct backend_model *model,
                          struct backend_adapter *adapter);

/* Of a context; all zero: no sequence has had an adapter yet. */
struct adapters {
    uint8_t *of_op;   /* host array [n_ops]: 1 if some adapter changes what the op multiplies by */
    uint8_t *room;    /* on the device, with all of these: */
    float *x;         /* [max_rows][width]: normed inputs, where a register doesn't have them */
    float *apart;     /* [max_rows][..]: outputs that wait for what an adapter adds to them */
    float *ax;        /* [rows or logit rows][ADAPTER_MAX_WEIGHTS][rank] */
    int64_t max_rank; /* padded */
};

struct launcher;
/* The backend's reserve_adapters. */
status cuda_reserve_adapters(struct backend_context *context,
                             const struct backend_adapter *adapter);
void adapters_give(struct backend_context *context);

/* Whether an op is launched in the form that adapters want: its products stored one by one, the
 * rest by adapter_expand. */
bool adapters_apply(const struct launcher *launcher, const struct op *op);
/* After the norm and before the products, with x as `normed`; and after them. */
status adapters_launch_shrink(struct launcher *launcher, const struct op *op);
status adapters_launch_expand(struct launcher *launcher, const struct op *op);
/* Where the norm of such an op is to leave the rows in f32; NULL: the op's input is what its
 * weights see, or the head's hidden states are. */
float *adapters_normed(const struct launcher *launcher, const struct op *op, uint32_t *stride);

#endif
