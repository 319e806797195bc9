/* A loaded model: counted, immutable once open. */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "backend.h"
#include "base/log.h"
#include "tokenizer/tokenizer.h"

struct transformer_model {
    struct memory memory;
    atomic_int owners; /* handles, contexts, samplers, streams */
    struct log log;
    _Atomic uint64_t n_adapters; /* that were opened */
    struct checkpoint *checkpoint;
    struct spec *spec;
    struct tokenizer *tokenizer; /* NULL: none */
    char *without_tokenizer;     /* why, if there is one that can't be done */
    const struct backend *backend;
    struct backend_choice choice;
    struct backend_model *weights;
    struct rope_factors *rope_factors;       /* [n_ropes] */
    _Atomic(struct vocabulary *) vocabulary; /* for grammars; NULL until there is one */
    /* for transformer_model_info */
    int32_t device_number;
    char *name, *weight_types;
    uint64_t weight_bytes, weight_bytes_per_token;
    int64_t n_parameters;
};

/* options are whole and checked for the rules of structs. */
status model_open(const transformer_model_options *options, transformer_model **opened);
/* Adds to the estimate what model_open would take, and hands out the spec's own model to plan a
 * context with (model_release it); it has no weights. */
status model_measure(const transformer_model_options *options,
                     transformer_memory_estimate *estimate, transformer_model **described);
/* Writes what model_open would load as a GGUF file. */
status model_convert(const transformer_model_options *options,
                     int32_t (*write)(void *user, const void *bytes, uint64_t n), void *write_user);
/* Whether it is one of the model's end-of-generation tokens. */
bool model_is_end(const transformer_model *model, int32_t token);
/* UNSUPPORTED: it gives none. */
status model_check_logits(const transformer_model *model);
void model_retain(transformer_model *model);
void model_release(transformer_model *model); /* NULL does nothing */

#endif
