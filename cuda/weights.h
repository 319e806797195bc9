/* Weights on a GPU, laid out for its kernels (cuda/weight_layout.h) once, at load. */
#ifndef CUDA_WEIGHTS_H
#define CUDA_WEIGHTS_H

#include "backend.h"
#include "cuda/device.h"

struct cuda_weight {
    enum weight_type type; /* of the file */
    uint32_t layout;       /* of matrices: whose kernels read it, of weight_type or layout_type */
    size_t n_experts;      /* matrices of that shape, 1 of a weight that isn't experts' */
    size_t n_rows, n_cols;
    size_t expert_bytes; /* from one of these matrices to the next */
    size_t padded_cols;  /* of a matrix: columns that its tiles have */
    void *tiles;         /* of matrices, on the device: ceil(n_rows / LAYOUT_ROWS) row tiles each */
    float *vector;       /* of a vector, on the device: f32 [n_cols] */
    float *host_vector;  /* the same in host memory */
};

struct backend_model {
    struct memory *memory;
    struct device *device;
    struct cuda_weight *weights; /* [n_weights], indexed by weight_ref.id */
    int n_weights;
    void *arena;         /* on the device: what the weights point into, vectors first */
    float *host_vectors; /* the arena's vectors */
};

/* The backend's model_bytes, model_create, model_destroy and model_vector. */
status cuda_weights_bytes(const struct spec *spec, const struct backend_choice *choice,
                          struct backend_bytes *bytes);
status cuda_weights_load(struct memory *memory, struct checkpoint *checkpoint,
                         const struct spec *spec, const struct backend_choice *choice,
                         transformer_progress_function progress, void *progress_user,
                         struct backend_model **model);
void cuda_weights_free(struct backend_model *model);
const float *cuda_weights_host_vector(const struct backend_model *model,
                                      const struct weight_ref *ref);

/* cuda_weight.layout of a matrix on such a device: of the tensor and the device alone. */
uint32_t cuda_weights_layout(const struct cuda_properties *properties, const struct tensor *tensor);
/* NULL: the model has none here. */
const struct cuda_weight *cuda_weights_matrix(const struct backend_model *model,
                                              const struct weight_ref *ref);
/* In device memory. */
const float *cuda_weights_vector(const struct backend_model *model, const struct weight_ref *ref);

#endif
