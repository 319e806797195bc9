/* A tokenizer of a GGUF file, or of a folder of files that has no model beside them: a tiny one's
 * config.json and tensors are made up. */
#ifndef TESTS_TOKENIZER_FOLDER_H
#define TESTS_TOKENIZER_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tokenizer/tokenizer.h"

struct tokenizer_folder {
    struct memory memory;
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer;
    transformer_reader reader;
    char path[2048];
};

static const char tiny_config[] =
    "{\"model_type\":\"llama\",\"hidden_size\":2,\"num_hidden_layers\":1,\"intermediate_size\":2,"
    "\"num_attention_heads\":1,\"vocab_size\":1,\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":true,"
    "\"max_position_embeddings\":8}";

#define TINY_HEAD(name, shape, begin, end) \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"

static inline size_t tiny_tensors(char *out) {
    static const char head[] = "{" TINY_HEAD("model.embed_tokens.weight", "1,2", "0", "8") "," TINY_HEAD("model.norm.weight", "2", "8", "16") "," TINY_HEAD(
        "model.layers.0.input_layernorm.weight", "2", "16",
        "24") "," TINY_HEAD("model.layers.0.post_attention_layernorm.weight", "2", "24",
                            "32") "," TINY_HEAD("model.layers.0.self_attn.q_proj.weight", "2,2",
                                                "32",
                                                "48") "," TINY_HEAD("model.layers.0.self_attn.k_"
                                                                    "proj.weight",
                                                                    "2,2", "48",
                                                                    "64") "," TINY_HEAD("model."
                                                                                        "layers.0."
                                                                                        "self_attn."
                                                                                        "v_proj."
                                                                                        "weight",
                                                                                        "2,2", "64",
                                                                                        "80") "," TINY_HEAD("model.layers.0.self_attn.o_proj.weight",
                                                                                                            "2,2",
                                                                                                            "80",
                                                                                                            "96") "," TINY_HEAD("model.layers.0.mlp.gate_proj.weight",
                                                                                                                                "2,2",
                                                                                                                                "96",
                                                                                                                                "112") "," TINY_HEAD("model.layers.0.mlp.up_proj.weight",
                                                                                                                                                     "2,2",
                                                                                                                                                     "112",
                                                                                                                                                     "128") "," TINY_HEAD("model.layers.0.mlp.down_proj.weight",
                                                                                                                                                                          "2,2",
                                                                                                                                                                          "128",
                                                                                                                                                                          "144") "}";
    uint64_t n = sizeof head - 1;
    memcpy(out, &n, 8);
    memcpy(out + 8, head, n);
    memset(out + 8 + n, 0, 144);
    return (size_t)(8 + n + 144);
}

static inline FILE *folder_file(const char *name, char *made, size_t *n_made) {
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    *n_made = 0;
    if (strcmp(base, "config.json") == 0) {
        *n_made = sizeof tiny_config - 1;
        memcpy(made, tiny_config, *n_made);
        return NULL;
    }
    if (strcmp(base, "model.safetensors") == 0) {
        *n_made = tiny_tensors(made);
        return NULL;
    }
    return fopen(name, "rb");
}

static inline int64_t folder_size(void *user, const char *name) {
    char made[4096];
    size_t n;
    (void)user;
    FILE *file = folder_file(name, made, &n);
    if (n) return (int64_t)n;
    if (!file) return -1;
    fseek(file, 0, SEEK_END);
    int64_t size = ftell(file);
    fclose(file);
    return size;
}

static inline int64_t folder_read(void *user, const char *name, uint64_t offset, void *buffer,
                                  uint64_t n) {
    char made[4096];
    size_t n_made, got = (size_t)n;
    (void)user;
    FILE *file = folder_file(name, made, &n_made);
    if (n_made) {
        memcpy(buffer, made + offset, got);
        return (int64_t)got;
    }
    if (!file) return -1;
    fseek(file, (long)offset, SEEK_SET);
    got = fread(buffer, 1, got, file);
    fclose(file);
    return (int64_t)got;
}

static inline void tokenizer_folder_close(struct tokenizer_folder *opened) {
    tokenizer_close(opened->tokenizer);
    checkpoint_close(opened->checkpoint);
}

/* allocator NULL: the usual one */
static inline status tokenizer_folder_open_in(struct tokenizer_folder *opened, const char *path,
                                              const transformer_allocator *allocator) {
    struct stat info;
    *opened = (struct tokenizer_folder){.tokenizer = NULL};
    memory_init(&opened->memory, allocator);
    bool folder = !stat(path, &info) && S_ISDIR(info.st_mode);
    snprintf(opened->path, sizeof opened->path, folder ? "%s/" : "%s", path);
    struct checkpoint_options options = {.path = opened->path};
    opened->reader = (transformer_reader){.size = folder_size, .read = folder_read};
    if (folder) options.reader = &opened->reader;
    status result = checkpoint_open(&opened->memory, &options, &opened->checkpoint);
    if (result == OK)
        result = tokenizer_open(&opened->memory, opened->checkpoint, INT32_MAX, &opened->tokenizer);
    if (result == OK && !opened->tokenizer) result = fail(NOT_FOUND, "%s: no tokenizer", path);
    if (result != OK) tokenizer_folder_close(opened);
    return result;
}

static inline status tokenizer_folder_open(struct tokenizer_folder *opened, const char *path) {
    return tokenizer_folder_open_in(opened, path, NULL);
}

#endif
