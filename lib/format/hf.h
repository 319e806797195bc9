/* Hugging Face folders: config.json, and model.safetensors or model.safetensors.index.json with the
 * parts it names, as the metadata and tensors that GGUF files of the same families have. */
#ifndef FORMAT_HF_H
#define FORMAT_HF_H

#include "format/hf_config.h"
#include "format/hf_families.h"
#include "format/hf_quantized.h"
#include "format/safetensors.h"

enum { HF_MOST_LAYERS = 1024 };

struct hf {
    struct memory *memory;
    const struct checkpoint_options *options; /* the opener's, must outlive this */
    const char *path;                         /* for messages */
    size_t folder_length; /* of path, what comes before a file's name: "", or it ends in '/' */
    bool add_slash;       /* before a file's name */
    struct arena arena;   /* what metadata and tensors' names are in */
    struct hf_config config;
    const struct hf_family *family;
    int64_t n_layers, head_dim;
    int64_t n_decoder_layers;   /* of the rows "decoder..."; n_layers where the config has no two */
    bool dense[HF_MOST_LAYERS]; /* layers without experts, of a family that has them */
    bool slides[HF_MOST_LAYERS]; /* layers with a window, of a family some of whose layers have */
    struct hf_gathered *gathered;
    struct hf_half *halves;
    bool interleaves; /* rows of q and k: the GGUF family rotates adjacent pairs */
    struct hf_quantized quantized;
    struct part *parts; /* the last n_vectors are no files */
    int n_parts;
    struct metadata_table metadata;
    struct safetensors_tables tables;
    /* Vectors that the config holds, as tensors that readers find; values are the arena's. */
    struct hf_vector {
        const char *name;
        const float *values; /* [n] */
        int64_t n;
    } vectors[2];
    int n_vectors;
};

/* Whether this is the path of such a folder: a directory, or config.json or a .safetensors file in
 * it; where a reader has the files, what ends in '/', or one of those names. */
bool hf_is_path(const struct checkpoint_options *options);
/* Opens and validates all of it. On failure too hf_close must be called, after what the members
 * point to was taken over or not. */
status hf_open(struct hf *hf, struct memory *memory, const struct checkpoint_options *options);
/* Gives back parts, tables and all. */
void hf_close(struct hf *hf);
/* As checkpoint_read_file. */
status hf_read_file(const struct hf *hf, const char *name, uint64_t most, struct memory *memory,
                    void **bytes, size_t *size);

/* Whole, where the folder has the file; else NULL. */
status hf_read_optional(struct hf *hf, const char *name, uint64_t most, const char **path,
                        void **bytes, size_t *size);

/* hf_sentence.c: how hidden states become one vector, as sentence-transformers' modules.json and
 * what it names, or the config of a classifier, say. */
status hf_sentence_make(struct hf *hf);
/* Whether the folder has the file. What goes wrong otherwise than by its absence is an error. */
status hf_has_file(struct hf *hf, const char *name, bool *has);
/* hf_read_file of a file that may be missing. */
status hf_find_file(const struct hf *hf, const char *name, uint64_t most, bool *found, void **bytes,
                    size_t *size);

/* hf_metadata.c: the config as metadata, UNSUPPORTED by name what changes the arithmetic and has
 * no place there. Sets family, n_layers and the factors of rope. */
status hf_metadata_make(struct hf *hf);
/* hf_layer_sizes.c: heads of layers with a window and of those without, FFNs of layers that share
 * keys with an earlier one. */
status hf_layer_sizes_make(struct hf *hf);
/* hf_rope.c: the same for rope, of heads of head_dim dimensions. */
status hf_rope_make(struct hf *hf, int64_t head_dim);
/* One key "ARCHITECTURE.suffix" with one number, F32 or I64, or text. */
status hf_metadata_integers(struct hf *hf, const char *suffix, const int64_t *values, int64_t n);
/* What became of such a key so far, fallback: nothing. */
int64_t hf_metadata_i64(const struct hf *hf, const char *suffix, int64_t fallback);
status hf_metadata_f32(struct hf *hf, const char *suffix, float value);
status hf_metadata_integer(struct hf *hf, const char *suffix, int64_t value);
status hf_metadata_bool(struct hf *hf, const char *suffix, bool value);
status hf_metadata_text(struct hf *hf, const char *suffix, const char *value);

/* hf_quantized.c: reads quantization_config; UNSUPPORTED by name what isn't known. */
status hf_quantized_config(struct hf *hf, const struct json_value *object);
/* Makes one tensor of codes of the tensors that a quantized weight is kept in, under the name that
 * the weight has where it isn't quantized. */
status hf_quantized_gather(struct hf *hf);
/* One key as it is: numbers, an array [count] of `size` bytes, text. */
status hf_metadata_put_i64(struct hf *hf, const char *key, int64_t value);
status hf_metadata_put_f32(struct hf *hf, const char *key, float value);
status hf_metadata_put_bool(struct hf *hf, const char *key, bool value);
status hf_metadata_string(struct hf *hf, const char *key, struct text value);
status hf_metadata_array(struct hf *hf, const char *key, enum metadata_kind element, uint64_t count,
                         const void *values, size_t size);
/* hf_tokenizer.c: the vocabulary of files other than tokenizer.json as metadata, where there is no
 * tokenizer.json. */
status hf_tokenizer_make(struct hf *hf);
/* hf_chat.c: chat templates as metadata. */
status hf_chat_make(struct hf *hf);
/* hf_generation.c: tokens that end a generation, and how its makers sample, as metadata. */
status hf_generation_make(struct hf *hf);

/* A member of the config, or its default in the family's table, is true. */
bool hf_flag(const struct hf *hf, const char *name);
/* Whether hf_key.when or hf_tensor.when holds. */
bool hf_applies(const struct hf *hf, const char *when);

/* hf_tensors.c: gives the tensors the names that lib/arch binds, and takes out those that mean
 * nothing; UNSUPPORTED  one is not known, FORMAT  one is missing. */
status hf_tensors_rename(struct hf *hf);

/* hf_gather.c: the matrices of experts, or vectors of heads, each a tensor of the files, as slices
 * of one tensor. Puts one of them where it belongs, under `name` with the layer in it; `count` is
 * the key that says how many there are. */
status hf_gather_add(struct hf *hf, const struct tensor *tensor, struct text name, int64_t expert,
                     const char *count);
/* Adds these tensors, and second halves, to the table. FORMAT  a matrix is missing or unlike the
 * others. */
status hf_gather_finish(struct hf *hf);
/* A tensor [n_slices][rows][cols], or vectors [n_slices][n], as slices that lie one after the
 * other. */
status hf_gather_split(struct hf *hf, struct tensor *tensor);
/* Leaves a tensor the first half of its rows, or of those of each expert; the second half becomes a
 * tensor of that name. */
status hf_gather_halve(struct hf *hf, struct tensor *tensor, struct text name);
/* What a tensor is once its slices have their shape. */
void hf_gather_join(struct tensor *tensor);
/* The name of a tensor of that family ("model.layers.0.self_attn.q_proj.weight") to readers, and
 * whether its rows are HF_BY_GROUPS; false: it has none, or one that isn't the tensor as it is. */
bool hf_tensors_target(const struct hf_family *family, const char *name, int64_t n_layers,
                       char *target, size_t size, bool *by_groups);
/* Puts the rows of a tensor of HF_BY_GROUPS in their order: queries, keys, values. FORMAT: their
 * number is none of so many heads and groups of them. */
status hf_tensors_group(const struct hf *hf, struct tensor *tensor, int64_t n_heads,
                        int64_t n_groups);
/* Whether the family with this config has a tensor of this name. */
bool hf_tensors_has(const struct hf *hf, struct text name);
/* A tensor that is not of a type is F32 to its readers. */
status hf_tensors_convert(struct tensor *tensor);

/* The adapter of a model: a folder with adapter_config.json and adapter_model.safetensors, as the
 * metadata and tensors that GGUF adapters have; "adapter.lora.rank_power" p is ours: the scale is
 * alpha / rank^p. As hf_open. */
struct hf_base {                    /* of the model */
    const struct hf_family *family; /* NULL: it is no folder, any of the architecture */
    struct text architecture;
    int64_t n_layers, head_dim;
    int64_t n_heads, n_kv_heads; /* 0: they differ between layers */
    bool interleaves;            /* rows of q and k, if the family is one that does */
};
bool hf_is_adapter_path(const struct checkpoint_options *options);
status hf_open_adapter(struct hf *hf, struct memory *memory,
                       const struct checkpoint_options *options, const struct hf_base *base);
/* hf_adapter.c: its two parts. */
status hf_adapter_metadata(struct hf *hf);
status hf_adapter_rename(struct hf *hf, const struct hf_base *base);
/* hf_metadata.c: one entry under a whole key. */
status hf_metadata_whole_text(struct hf *hf, const char *key, const char *value);
status hf_metadata_whole_f32(struct hf *hf, const char *key, float value);

#endif
