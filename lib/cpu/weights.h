/* Weights laid out for the chosen kernels, once, at load. */
#ifndef CPU_WEIGHTS_H
#define CPU_WEIGHTS_H

#include "backend.h"
#include "cpu/kernels.h"

struct packed_weight {
    const struct linear_kernel *kernel; /* NULL: a vector */
    size_t n_experts; /* matrices of that shape, 1 of a weight that isn't experts' */
    size_t n_rows, n_cols, n_groups, group_bytes;
    uint8_t *groups; /* [n_experts][n_groups][group_bytes], 64-byte aligned */
    float *vector;   /* [n_cols] */
};

struct backend_model {
    struct memory *memory;
    struct kernels kernels;
    struct packed_weight *weights; /* [n_weights], indexed by weight_ref.id */
    int n_weights;
    void *arena; /* what the weights point into */
};

status weights_bytes(const struct spec *spec, const struct backend_choice *choice,
                     struct backend_bytes *bytes);
status weights_load(struct memory *memory, struct checkpoint *checkpoint, const struct spec *spec,
                    const struct backend_choice *choice, transformer_progress_function progress,
                    void *progress_user, struct backend_model **model);
void weights_free(struct backend_model *model); /* NULL does nothing */

/* Groups of an expert. */
static inline uint8_t *weights_groups(const struct packed_weight *weight, size_t expert) {
    return weight->groups + expert * weight->n_groups * weight->group_bytes;
}

/* NULL: the model has none here. */
const struct packed_weight *weights_matrix(const struct backend_model *model,
                                           const struct weight_ref *ref);
const float *weights_vector(const struct backend_model *model, const struct weight_ref *ref);

#endif
