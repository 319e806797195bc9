/* A LoRA adapter handle (arXiv:2106.09685): counted, since sequences hold it. */
#ifndef ENGINE_ADAPTER_H
#define ENGINE_ADAPTER_H

#include "engine/model.h"

struct transformer_adapter {
    transformer_model *model;
    struct memory memory; /* the model's allocator */
    atomic_int owners;
    uint64_t number; /* from 1 on, no other adapter's of the model: addresses come again */
    struct backend_adapter backend; /* weights [spec.n_weights] */
    float *values;                  /* all A and B; NULL: the backend has its own */
    struct checksum identity;       /* of these, and where and how they are used */
};

status adapter_open(transformer_model *model, const transformer_adapter_options *options,
                    transformer_adapter **opened);
void adapter_retain(transformer_adapter *adapter);
void adapter_release(transformer_adapter *adapter); /* NULL does nothing */
/* Whether every weight that it adapts is one of a linear op of the program: UNSUPPORTED, naming one
 * that isn't. */
status adapter_check(const transformer_adapter *adapter, const struct program *program);

#endif
