/* What the files of the families share: the table of families and the parts that decoders have in
 * common. */
#ifndef ARCH_FAMILY_H
#define ARCH_FAMILY_H

#include "arch/bind.h"
#include "arch/keys.h"

/* Keys that change the arithmetic; a family's own reader reads these, for others they are refused.
 */
enum family_switch {
    READS_LOGIT_SCALE = 1 << 0,
    READS_RESIDUAL_SCALE = 1 << 1,
    READS_EMBEDDING_SCALE = 1 << 2,
    READS_CLAMP = 1 << 3,
    READS_ALIBI = 1 << 4,
    READS_WINDOW = 1 << 5,
    READS_SOFTCAPS = 1 << 6,
    READS_CAUSAL = 1 << 7,
    READS_EXPERTS = 1 << 12,
    READS_YARN_LOG = 1 << 16,
};

/* Bounds that no model of this decade comes near, so that products of two of them fit 63 bits. */
enum { MAX_LAYERS = 1024, MAX_WIDTH = 1 << 20, MAX_HEADS = 1 << 12, MAX_HEAD_DIM = 1 << 13 };
#define MAX_CONTEXT (INT64_C(1) << 30)

struct family {
    const char *architecture; /* general.architecture */
    status (*read)(const struct keys *keys, struct binder *binder, struct spec *spec);
    unsigned switches;
};

#define FAMILY(architecture, reader, switches) \
    status reader(const struct keys *keys, struct binder *binder, struct spec *spec);
#include "arch/families.h"
#undef FAMILY

/* ---- decoder.c ---- */

/* block_count, embedding_length, context_length, vocab_size against the embedding's rows; binds the
 * embedding and the head (the embedding again where there is no output.weight); takes memory for
 * layers, ropes and one KV stream a layer. */
status decoder_read_model(const struct keys *keys, struct binder *binder, int n_ropes,
                          struct spec *spec);
/* nextn_predict_layers: the last layers predict more tokens at once, and are none of the model's;
 * before any layer is read. */
status decoder_drop_later_layers(const struct keys *keys, struct binder *binder, struct spec *spec);
/* UNSUPPORTED, by name: a key of enum family_switch that the family doesn't read. */
status decoder_check_switches(const struct keys *keys);
/* Learned positions, position_embd: row p + offset is of position p, p < context_length. */
status decoder_bind_positions(struct binder *binder, struct spec *spec, int64_t offset);
/* head_count, head_count_kv, key_length, value_length of a layer: sets n_heads, n_kv_heads,
 * head_dim, scale, and the layer's KV stream. head_dim_default 0: n_embd / n_heads. */
status decoder_read_heads(const struct keys *keys, const struct spec *spec, int64_t layer,
                          int64_t head_dim_default, struct attention_spec *attention);
/* The same with other sizes of heads: key_length_swa, value_length_swa where they are there. */
status decoder_read_sliding_heads(const struct keys *keys, const struct spec *spec, int64_t layer,
                                  struct attention_spec *attention);
/* attention.sliding_window_pattern: one layer in so many doesn't slide, 0: all slide, or an array
 * tells for each whether it slides; `pattern` where the file doesn't say. Sets the layer's window,
 * and its KV stream's, to `window` or 0. */
status decoder_read_window(const struct keys *keys, int64_t layer, int64_t pattern, int64_t window,
                           struct spec *spec);
/* UNSUPPORTED: a window without a pattern, of a family some of whose layers slide. */
status decoder_check_window(const struct keys *keys);
/* UNSUPPORTED: the head size of a layer, which decoder_read_heads has read, is not the first's. */
status decoder_check_same_head_dim(const struct keys *keys, const struct spec *spec, int64_t layer);
/* rope.* keys: n_dims, pairing, theta, scaling. */
status decoder_read_rope(const struct keys *keys, const struct spec *spec, int64_t head_dim,
                         enum rope_pairing pairing, float theta_default, struct rope_spec *rope);
/* rope_freqs, or rope_factors_long and rope_factors_short, where the file has them; of the first
 * rope, after the family's reader (spec.c). */
status decoder_bind_rope_factors(const struct keys *keys, struct binder *binder,
                                 struct rope_spec *rope);
/* The two of these and decoder_bind_attention, of a layer whose heads are those of the first. */
status decoder_read_attention(const struct keys *keys, struct binder *binder, struct spec *spec,
                              int64_t layer);
/* attn_q, attn_k, attn_v (or attn_qkv, which has them one after the other), attn_output of a layer.
 */
status decoder_bind_attention(struct binder *binder, const struct spec *spec, int64_t layer,
                              struct attention_spec *attention);
/* attn_q_norm and attn_k_norm where the file has them: layer norms of each head, with weights for
 * all or for each. */
status decoder_bind_head_norms(struct binder *binder, int64_t layer, float eps,
                               struct attention_spec *attention);
/* A width of a layer's FFN: `suffix`, or feed_forward_length where it isn't there. */
status decoder_read_ffn_length(const struct keys *keys, int64_t layer, const char *suffix,
                               int64_t *n_ff);
/* feed_forward_length and ffn_gate, ffn_up (or ffn_up that has both one after the other), ffn_down
 * of a layer. */
status decoder_bind_ffn(const struct keys *keys, struct binder *binder, const struct spec *spec,
                        int64_t layer, enum activation activation, struct ffn_spec *ffn);
/* An activation by the name that this key has; without the key it stays what it is. */
status decoder_read_activation(const struct keys *keys, const char *suffix,
                               enum activation *activation);
/* The same without a gate. */
status decoder_bind_plain_ffn(const struct keys *keys, struct binder *binder,
                              const struct spec *spec, int64_t layer, enum activation activation,
                              struct ffn_spec *ffn);

/* ---- pooling.c ---- */

/* pooling_type, and the score head `cls`, of any family; after the family's reader. */
status pooling_read(const struct keys *keys, struct binder *binder, struct spec *spec);

/* ---- encoder_decoder.c ---- */

/* Sizes of both sides, embeddings and head, the token that the decoder begins with; takes memory
 * for layers and KV streams, and for a bias by distance in every layer where has_biases. */
status encoder_decoder_read_model(const struct keys *keys, struct binder *binder, bool has_biases,
                                  struct spec *spec);
/* Attention and FFN of layer i of a side, "enc" (binder.of_source is set then) or "dec", which has
 * cross attention too; norms are left to the family. */
status encoder_decoder_read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                                  const char *side, int64_t i, struct layer_spec *layer);

/* The same of layer i of an encoder that has no decoder: one of spec.layers. */
status encoder_decoder_read_alone(const struct keys *keys, struct binder *binder, struct spec *spec,
                                  int64_t i, struct layer_spec *layer);

/* ---- latent.c ---- */

/* Latent attention: kv_lora_rank, rope.dimension_count, key_length and value_length (those with
 * _mla, where the others are of the latent vectors) set heads, scale and the layer's KV stream. */
status latent_read_heads(const struct keys *keys, const struct spec *spec, int64_t layer,
                         struct attention_spec *attention);
/* attn_q or attn_q_a, attn_q_a_norm and attn_q_b; attn_kv_a_mqa, attn_kv_a_norm; attn_k_b and
 * attn_v_b or attn_kv_b, which has both; attn_output of a layer. */
status latent_bind_attention(struct binder *binder, const struct spec *spec, int64_t layer,
                             struct attention_spec *attention);
/* The rope of layers whose heads have been read. yarn_log_multiplier makes the scaling's factor one
 * of the scores, of all layers. */
status latent_read_rope(const struct keys *keys, struct spec *spec, enum rope_pairing pairing,
                        struct rope_spec *rope);

/* ---- experts.c ---- */

/* What a layer's FFN is, by its tensors: with ffn_gate_inp experts (expert_... keys; ffn_gate_exps,
 * ffn_up_exps or both in ffn_gate_up_exps, ffn_down_exps; the shared expert ffn_..._shexp; all
 * gated), else decoder_bind_ffn. The family has set what files needn't say: experts.routing,
 * normalize, group_top (0: 2). */
status experts_bind(const struct keys *keys, struct binder *binder, const struct spec *spec,
                    int64_t layer, enum activation activation, struct layer_spec *to);
/* Of that the router and the experts that it chooses, without a shared one. */
status experts_bind_chosen(const struct keys *keys, struct binder *binder, const struct spec *spec,
                           int64_t layer, enum activation activation, struct experts_spec *experts);

#endif
