/* What a model_type of Hugging Face means in the names that lib/arch reads: data, one entry each.
 */
#ifndef FORMAT_HF_FAMILIES_H
#define FORMAT_HF_FAMILIES_H

#include <stdbool.h>
#include <stddef.h>

enum hf_use {
    HF_INTEGER, /* of at least 1: becomes the metadata key `target`, unless one before it did */
    HF_NUMBER,  /* likewise, as F32 */
    HF_INVERSE_ROOT, /* likewise, 1 / sqrt of it */
    HF_WIDTHS,       /* likewise, an integer, times embedding_length */
    HF_BOOL,         /* likewise, as true or false; it decides about tensors too */
    HF_ACTIVATION,   /* likewise, a name of transformers' activations as one of lib/arch */
    HF_FLAG,         /* decides about tensors and keys: `when` */
    HF_MUST_BE,      /* one of the words in `target`, "silu|swish"; null passes too */
    HF_FULL_LAYERS,  /* layer_types: all of them full_attention */
    HF_LAYERS,       /* layer_types: full_attention or sliding_attention, an array in `target` */
    HF_LATE_LAYERS,  /* the number of layers before those that slide, likewise */
    HF_LAYER_GROUPS, /* [[["global", "local"], 12], …]: 12 times these two, likewise */
    HF_INTEGERS,     /* an integer for each layer, an array in `target` */
    HF_SPARSE_STEP,  /* only every n-th layer has experts: hf_tensor.layers */
    HF_SPARSE_FIRST, /* only layers from this one on */
    HF_SPARSE_LAST,  /* only layers up to this one, -1: the last */
    HF_DENSE_LIST,   /* an array of layers that have none */
    HF_NO_EFFECT     /* on the forward pass; or it is read elsewhere (rope) */
};

/* `when` names flags, "a&!b": those that must be true, and with "!" before them false; NULL:
 * always. */
struct hf_key {
    const char *name; /* "": only the fallback counts; NULL: the table's end */
    enum hf_use use;
    const char *target;   /* after "architecture." */
    const char *fallback; /* JSON of the class's default; NULL: none, the reader has one */
    bool required;
    const char *when; /* else it is passed over */
};

/* How a tensor's values become those that the reader wants. */
enum hf_values {
    HF_AS_THEY_ARE,
    HF_ADD_ONE,    /* the file has a norm's weights less 1 */
    HF_TRANSPOSED, /* the file has [inputs][outputs], of each expert if there are three dims */
    HF_IN_TURNS,   /* the same, and rows of two weights in turns; wanted: all of the first, then all
                      of the second. Of vectors [n_experts][rows] the latter alone */
    HF_BY_GROUPS   /* rows by KV head: its queries, its key, its value; wanted: all queries, all
                      keys, all values */
};

enum hf_layers { HF_EVERY_LAYER, HF_SPARSE_LAYERS, HF_DENSE_LAYERS };

struct hf_tensor {
    /* A %d for the layer; a second one for the expert: the matrices of all become one tensor.
     * "name*": whatever begins so. Without prefix; NULL: the table's end. */
    const char *name;
    const char *target; /* NULL: passed over */
    const char *when;   /* then it is required, or another row with this target; "?": it never is */
    enum hf_values values;
    enum hf_layers layers; /* that have it */
};

struct hf_family {
    const char *model_type, *architecture;
    const struct hf_key *keys;
    const struct hf_tensor *tensors;
    const char *pairing;     /* rope.pairing, where it isn't the reader's own; NULL: it is */
    double rope_theta;       /* the class's default; 0: no rope */
    double rope_theta_local; /* of sliding layers; 0: the family has one rope */
    bool nested;             /* the config is in text_config, and there are tensors of images */
    double partial;          /* default of partial_rotary_factor; 0: must be 1 */
    const char *prefixes;    /* of tensors' names, one after the other; NULL: "model." */
};

/* The families of a file hf_SUBJECT.c; the last has no model_type. */
extern const struct hf_family hf_llama_families[], hf_gemma_families[], hf_gpt_families[],
    hf_decoder_families[], hf_expert_families[];

/* NULL: none of this model_type. */
const struct hf_family *hf_families_find(const char *model_type, size_t length);
/* Of every config class: no effect on the forward pass. */
bool hf_families_no_effect(const char *key, size_t length);

#endif
