/* Models of random weights, made in memory as GGUF: shapes of real models whose files need not be
 * there. What they say means nothing; how long they take and what they occupy does. */
#ifndef GPU_MADE_MODEL_H
#define GPU_MADE_MODEL_H

#include <stdbool.h>

#include "quant/weight_type.h"

struct made_shape {
    const char *name;
    uint32_t n_vocab, n_embd, n_layers, n_heads, n_kv_heads, head_dim, n_ff;
    bool tied; /* the head is the embedding */
};

/* The file's bytes, to be freed; ends the program if there is no memory. Rows of matrices are
 * multiples of 256 elements. */
uint8_t *made_model(const struct made_shape *shape, enum weight_type type, uint64_t seed,
                    size_t *n_bytes);

#endif
