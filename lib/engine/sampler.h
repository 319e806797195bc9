/* A sampler handle: counted, since sequences may hold it. */
#ifndef ENGINE_SAMPLER_H
#define ENGINE_SAMPLER_H

#include "engine/model.h"
#include "sampling/sampling.h"

struct transformer_sampler {
    transformer_model *model;
    struct sampling_chain *chain;
    atomic_int owners;
    atomic_flag busy;
};

status sampler_create(transformer_model *model, const transformer_sampler_options *options,
                      transformer_sampler **created);
status sampler_clone(const transformer_sampler *original, transformer_sampler **created);
void sampler_retain(transformer_sampler *sampler);
void sampler_release(transformer_sampler *sampler); /* NULL does nothing */

/* BUSY if another call is using it. */
status sampler_enter(transformer_sampler *sampler);
void sampler_leave(transformer_sampler *sampler);

#endif
