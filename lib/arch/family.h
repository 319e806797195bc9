/* What the files of the families share: the table of families and the parts that decoders have in
 * common. */
#ifndef ARCH_FAMILY_H
#define ARCH_FAMILY_H

#include "arch/bind.h"
#include "arch/keys.h"

struct family {
    const char *architecture; /* general.architecture */
    status (*read)(const struct keys *keys, struct binder *binder, struct spec *spec);
};

status llama_read(const struct keys *keys, struct binder *binder, struct spec *spec);
status qwen2_read(const struct keys *keys, struct binder *binder, struct spec *spec);
status gemma3_read(const struct keys *keys, struct binder *binder, struct spec *spec);

/* ---- decoder.c ---- */

/* block_count, embedding_length, context_length, vocab_size against the embedding's rows; binds the
 * embedding and the head (the embedding again where there is no output.weight); takes memory for
 * layers, ropes and one KV stream a layer. */
status decoder_read_model(const struct keys *keys, struct binder *binder, int n_ropes,
                          struct spec *spec);
/* head_count, head_count_kv, key_length, value_length of a layer: sets n_heads, n_kv_heads,
 * head_dim, scale, and the layer's KV stream. head_dim_default 0: n_embd / n_heads. */
status decoder_read_heads(const struct keys *keys, const struct spec *spec, int64_t layer,
                          int64_t head_dim_default, struct attention_spec *attention);
/* rope.* keys: n_dims, theta, scaling. */
status decoder_read_rope(const struct keys *keys, const struct spec *spec, int64_t head_dim,
                         enum rope_pairing pairing, float theta_default, struct rope_spec *rope);
/* attn_q, attn_k, attn_v, attn_output of a layer. */
status decoder_bind_attention(struct binder *binder, const struct spec *spec, int64_t layer,
                              struct attention_spec *attention);
/* feed_forward_length and ffn_gate, ffn_up, ffn_down of a layer. */
status decoder_bind_ffn(const struct keys *keys, struct binder *binder, const struct spec *spec,
                        int64_t layer, enum activation activation, struct ffn_spec *ffn);

#endif
