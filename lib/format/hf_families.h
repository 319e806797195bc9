/* What a model_type of Hugging Face means in the names that lib/arch reads: data, one entry each.
 */
#ifndef FORMAT_HF_FAMILIES_H
#define FORMAT_HF_FAMILIES_H

#include <stdbool.h>
#include <stddef.h>

enum hf_use {
    HF_INTEGER, /* of at least 1: becomes the metadata key `target`, unless one before it did */
    HF_COUNT,   /* likewise, and none if it is 0 */
    HF_NUMBER,  /* likewise, as F32 */
    HF_INVERSE_ROOT,     /* likewise, 1 / sqrt of it */
    HF_WIDTHS,           /* likewise, an integer, times embedding_length */
    HF_ADD,              /* an integer that is added to what `target` is so far */
    HF_TEXT,             /* `fallback` as text, whatever the config says */
    HF_PER_ROOT_DEPTH,   /* a number over the root of the number of layers; null: 1 */
    HF_WIDTH_RATIO,      /* embedding_length over it; null: 1 */
    HF_BOOL,             /* likewise, as true or false; it decides about tensors too */
    HF_ACTIVATION,       /* likewise, a name of transformers' activations as one of lib/arch */
    HF_GATED_ACTIVATION, /* likewise, "gated-NAME" too; T5's gated-gelu is by tanh */
    HF_TOKEN,            /* likewise, an integer of at least 0; a list is passed over */
    HF_ROOT,             /* likewise: true is the root of embedding_length, false is 1 */
    HF_ROOT_INVERSE,     /* likewise: true is 1 / that */
    HF_FLAG,             /* decides about tensors and keys: `when` */
    HF_MUST_BE,          /* one of the words in `target`, "silu|swish"; null passes too */
    HF_FULL_LAYERS,      /* layer_types: all of them full_attention */
    HF_LAYERS,         /* layer_types: full_attention or sliding_attention, an array in `target` */
    HF_PATTERN,        /* an integer for `target`, which counts where layer_types isn't there */
    HF_LAYERS_TO_FULL, /* the same, without the key: all slide but every sixth; the last one never
                          does, whatever the key says */
    HF_LAYER_SIZES, /* sizes that differ between layers, of this key and others: hf_layer_sizes.c */
    HF_LATE_LAYERS, /* the number of layers before those that slide, likewise */
    HF_LAYER_GROUPS, /* [[["global", "local"], 12], …]: 12 times these two, likewise */
    HF_INTEGERS,     /* an integer for each layer, an array in `target` */
    HF_SPARSE_STEP,  /* only every n-th layer has experts: hf_tensor.layers; and the key `target` */
    HF_SPARSE_FIRST, /* only layers from this one on; likewise */
    HF_SPARSE_LAST,  /* only layers up to this one, -1: the last */
    HF_DENSE_LIST,   /* an array of layers that have none */
    HF_MLP_TYPES,    /* an array of "dense" and "sparse" */
    HF_NO_EFFECT     /* on the forward pass; or it is read elsewhere (rope) */
};

/* `when` names flags, "a&!b": those that must be true (or a number), and with "!" before them
 * false; "a=word": what a member must say; "@NAME": one of `architectures` has NAME in it; NULL:
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
    HF_POSITIONS,  /* rows before that of the first token, after pad_token_id's, are left out */
    HF_BY_GROUPS   /* rows by KV head: its queries, its key, its value; wanted: all queries, all
                      keys, all values */
};

enum hf_layers {
    HF_EVERY_LAYER,
    HF_SPARSE_LAYERS,
    HF_DENSE_LAYERS,
    HF_LATER_LAYERS /* after the last, as many as num_nextn_predict_layers says */
};

struct hf_tensor {
    /* A %d for the layer; a second one for the expert: the matrices of all become one tensor.
     * "name*": whatever begins so. Without prefix; NULL: the table's end. */
    const char *name;
    const char *target; /* NULL: passed over; "a|b": the first half of the rows (of each expert),
                           and the second */
    const char *when;   /* then it is required, or another row with this target; "?": it never is;
                           "-NAME": where there is no tensor NAME */
    enum hf_values values;
    enum hf_layers layers; /* that have it */
    const char *count; /* after "architecture.": the key with the number of the second %d's values;
                          NULL: expert_count */
};

/* A table of positions that the class computes: context_length + position_offset rows. */
enum hf_positions { HF_POSITIONS_NONE, HF_SINUSOID, HF_SINUSOID_ENDS };

struct hf_family {
    const char *model_type, *architecture;
    const struct hf_key *keys;
    const struct hf_tensor *tensors;
    const char *pairing;     /* "halves": transformers rotates (i, i + n/2), the family's GGUF files
                                adjacent pairs: rows of q and k are put in their order; else NULL */
    double rope_theta;       /* the class's default; 0: no rope */
    double rope_theta_local; /* of sliding layers; 0: the family has one rope */
    bool nested;             /* the config is in text_config, and there are tensors of images */
    double partial;          /* default of partial_rotary_factor; 0: must be 1 */
    const char *prefixes;    /* of tensors' names, one after the other; NULL: "model." */
    enum hf_positions positions;
    bool scales_scores;   /* by yarn's mscale_all_dim: rope.scaling.yarn_log_multiplier */
    bool rope_required;   /* the class's default is a scaling: the config has to say which */
    const char *of_class; /* of configs alone whose `architectures` has it in a name; NULL: all */
    bool rope_alpha;      /* "dynamic" with `alpha` is a larger base, whatever the length */
};

/* The families of a file hf_SUBJECT.c; the last has no model_type. */
extern const struct hf_family hf_llama_families[], hf_gemma_families[], hf_gpt_families[],
    hf_decoder_families[], hf_encoder_decoder_families[], hf_encoder_families[],
    hf_expert_families[], hf_latent_families[];

/* NULL: none of this model_type; classes: what `architectures` says. */
const struct hf_family *hf_families_find(const char *model_type, size_t length, const char *classes,
                                         size_t classes_length);
/* Those that are read as this architecture, at most `most`; returns how many. */
size_t hf_families_of(const char *architecture, size_t length, const struct hf_family **families,
                      size_t most);
/* Of every config class: no effect on the forward pass. */
bool hf_families_no_effect(const char *key, size_t length);

#endif
