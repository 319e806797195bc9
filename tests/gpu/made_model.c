#include "made_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT = 256, N_UNITS = 4096, ALIGNMENT = 32, HEAD_BYTES = 1 << 20 };
enum { VALUE_U32 = 4, VALUE_F32 = 6, VALUE_TEXT = 8 }; /* of GGUF metadata */

struct writer {
    const struct made_shape *shape;
    enum weight_type type;
    uint64_t random;
    uint8_t *units; /* [N_UNITS][bytes of UNIT elements]: what all matrices are put together from */
    size_t unit_bytes;
    uint8_t *head; /* [HEAD_BYTES] */
    size_t at;
    uint64_t n_tensors, n_keys, data_bytes;
    uint8_t *data; /* NULL: the first pass, which only describes */
};

static uint64_t random_of(struct writer *w) { /* splitmix64 */
    uint64_t x = w->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void *take(size_t bytes) {
    void *memory = malloc(bytes);
    if (memory) return memory;
    fprintf(stderr, "no memory for a model: %zu bytes\n", bytes);
    exit(1);
}

/* Uniform, of variance 1 / n_embd. */
static void make_units(struct writer *w) {
    const float limit = sqrtf(3.0f / (float)w->shape->n_embd);
    float values[UNIT];
    w->unit_bytes = weight_type_row_bytes(w->type, UNIT);
    w->units = take(N_UNITS * w->unit_bytes);
    for (size_t i = 0; i < N_UNITS; i++) {
        for (int k = 0; k < UNIT; k++)
            values[k] = limit * ((float)(random_of(w) >> 40) * 0x1p-23f - 1);
        weight_type_traits[w->type].quantize(values, w->units + i * w->unit_bytes, UNIT);
    }
}

/* ---- the head ---- */

static void put(struct writer *w, const void *from, size_t n) {
    if (w->at + n > HEAD_BYTES) abort();
    memcpy(w->head + w->at, from, n);
    w->at += n;
}
static void put_u32(struct writer *w, uint32_t value) {
    put(w, &value, sizeof value);
}
static void put_u64(struct writer *w, uint64_t value) {
    put(w, &value, sizeof value);
}
static void put_text(struct writer *w, const char *text) {
    put_u64(w, strlen(text));
    put(w, text, strlen(text));
}
static void key_u32(struct writer *w, const char *key, uint32_t value) {
    put_text(w, key);
    put_u32(w, VALUE_U32);
    put_u32(w, value);
    w->n_keys++;
}
static void key_f32(struct writer *w, const char *key, float value) {
    put_text(w, key);
    put_u32(w, VALUE_F32);
    put(w, &value, sizeof value);
    w->n_keys++;
}
static void key_text(struct writer *w, const char *key, const char *value) {
    put_text(w, key);
    put_u32(w, VALUE_TEXT);
    put_text(w, value);
    w->n_keys++;
}

static void put_keys(struct writer *w) {
    const struct made_shape *s = w->shape;
    key_text(w, "general.architecture", "llama");
    key_text(w, "general.name", s->name);
    key_u32(w, "llama.block_count", s->n_layers);
    key_u32(w, "llama.context_length", 131072);
    key_u32(w, "llama.embedding_length", s->n_embd);
    key_u32(w, "llama.feed_forward_length", s->n_ff);
    key_u32(w, "llama.attention.head_count", s->n_heads);
    key_u32(w, "llama.attention.head_count_kv", s->n_kv_heads);
    key_u32(w, "llama.rope.dimension_count", s->head_dim);
    key_u32(w, "llama.vocab_size", s->n_vocab);
    key_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    key_f32(w, "llama.rope.freq_base", 500000.0f);
}

/* ---- tensors: described in the first pass, filled in the second ---- */

static void tensor(struct writer *w, const char *name, uint32_t n_cols, uint32_t n_rows) {
    const enum weight_type type = n_rows ? w->type : WEIGHT_F32;
    const size_t n_bytes = weight_type_row_bytes(type, n_cols) * (n_rows ? n_rows : 1);
    if (!w->data) {
        put_text(w, name);
        put_u32(w, n_rows ? 2 : 1);
        put_u64(w, n_cols);
        if (n_rows) put_u64(w, n_rows);
        put_u32(w, weight_type_traits[type].gguf_type);
        put_u64(w, w->data_bytes);
        w->n_tensors++;
    } else if (n_rows) {
        for (size_t at = 0; at < n_bytes; at += w->unit_bytes)
            memcpy(w->data + w->data_bytes + at, w->units + random_of(w) % N_UNITS * w->unit_bytes,
                   w->unit_bytes);
    } else {
        const float one = 1;
        for (uint32_t i = 0; i < n_cols; i++)
            memcpy(w->data + w->data_bytes + i * sizeof one, &one, sizeof one);
    }
    w->data_bytes += (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void tensors(struct writer *w) {
    const struct made_shape *s = w->shape;
    const uint32_t q = s->n_heads * s->head_dim, kv = s->n_kv_heads * s->head_dim;
    const struct {
        const char *name;
        uint32_t n_cols, n_rows; /* n_rows 0: a vector */
    } of_layer[] = {
        {"attn_norm", s->n_embd, 0},      {"attn_q", s->n_embd, q},
        {"attn_k", s->n_embd, kv},        {"attn_v", s->n_embd, kv},
        {"attn_output", q, s->n_embd},    {"ffn_norm", s->n_embd, 0},
        {"ffn_gate", s->n_embd, s->n_ff}, {"ffn_up", s->n_embd, s->n_ff},
        {"ffn_down", s->n_ff, s->n_embd},
    };
    w->data_bytes = 0;
    tensor(w, "token_embd.weight", s->n_embd, s->n_vocab);
    for (uint32_t i = 0; i < s->n_layers; i++)
        for (size_t t = 0; t < sizeof of_layer / sizeof *of_layer; t++) {
            char name[80];
            snprintf(name, sizeof name, "blk.%u.%s.weight", i, of_layer[t].name);
            tensor(w, name, of_layer[t].n_cols, of_layer[t].n_rows);
        }
    tensor(w, "output_norm.weight", s->n_embd, 0);
    if (!s->tied) tensor(w, "output.weight", s->n_embd, s->n_vocab);
}

uint8_t *made_model(const struct made_shape *shape, enum weight_type type, uint64_t seed,
                    size_t *n_bytes) {
    struct writer w = {.shape = shape, .type = type, .random = seed, .head = take(HEAD_BYTES)};
    make_units(&w);
    put_u32(&w, 0x46554747); /* "GGUF" */
    put_u32(&w, 3);
    const size_t counts_at = w.at;
    put_u64(&w, 0);
    put_u64(&w, 0);
    put_keys(&w);
    tensors(&w);
    memcpy(w.head + counts_at, &w.n_tensors, sizeof w.n_tensors);
    memcpy(w.head + counts_at + 8, &w.n_keys, sizeof w.n_keys);
    const size_t head_bytes = (w.at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    *n_bytes = head_bytes + w.data_bytes;
    uint8_t *file = take(*n_bytes);
    memset(w.head + w.at, 0, head_bytes - w.at);
    memcpy(file, w.head, head_bytes);
    w.data = file + head_bytes;
    tensors(&w);
    free(w.head);
    free(w.units);
    return file;
}
