/* Safetensors: https://huggingface.co/docs/safetensors; the head is 8 bytes of its length and a
 * JSON object, the rest is the tensors' data without a gap. */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H

#include "base/arena.h"
#include "format/gguf.h"

#define SAFETENSORS_MAX_HEADER 100000000 /* bytes of JSON, as the format says */

struct safetensors_dtype {
    const char *name;
    int bits;
    bool readable;         /* as `type`, or where `form` says so converted to it */
    enum weight_type type; /* as which readers see it */
    enum tensor_form form;
};

/* Parses and validates the head of one part: adds its tensors, named as the file names them, with
 * absolute offsets; dtypes [tensors->count] grows with them. Names are in the arena: nothing of the
 * part's head is needed afterwards, it is given back. */
struct safetensors_tables {
    struct tensor_table tensors;
    const struct safetensors_dtype **dtypes; /* [tensors.capacity] */
    size_t n_dtypes;
};
status safetensors_read_head(struct part *part, int part_index, struct arena *arena,
                             struct safetensors_tables *tables);

#endif
