/* Rows that tables of several families have: the beginnings of their tables of keys and tensors.
 * Rows leave out the members at their ends that are 0. */
#ifndef FORMAT_HF_ROWS_H
#define FORMAT_HF_ROWS_H

#include "format/hf_families.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* ---- keys ---- */

#define WIDTHS                                                                  \
    {"hidden_size", HF_INTEGER, "embedding_length", NULL, true},                \
        {"num_hidden_layers", HF_INTEGER, "block_count", NULL, true},           \
        {"vocab_size", HF_INTEGER, "vocab_size"}, {"rope_theta", HF_NO_EFFECT}, \
        {"rope_scaling", HF_NO_EFFECT}, {"rope_parameters", HF_NO_EFFECT},      \
        {"original_max_position_embeddings", HF_NO_EFFECT},                     \
        {"partial_rotary_factor", HF_NO_EFFECT},

#define SIZES                                                                   \
    WIDTHS{"intermediate_size", HF_INTEGER, "feed_forward_length", NULL, true}, \
        {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-6"},

/* n_kv: the class's default, NULL: as many as there are heads */
#define HEADS(n_kv)                                                          \
    {"num_attention_heads", HF_INTEGER, "attention.head_count", NULL, true}, \
        {"num_key_value_heads", HF_INTEGER, "attention.head_count_kv", n_kv},

#define HEAD_DIM(fallback) {"head_dim", HF_INTEGER, "attention.key_length", fallback},
#define CONTEXT(fallback) {"max_position_embeddings", HF_INTEGER, "context_length", fallback},
#define ACT {"hidden_act", HF_ACTIVATION, "activation"},
#define TIED(fallback) {"tie_word_embeddings", HF_FLAG, NULL, fallback},
#define ATTENTION_BIAS(fallback) {"attention_bias", HF_FLAG, NULL, fallback},
#define MLP_BIAS {"mlp_bias", HF_FLAG, NULL, "false"},

/* What GPT-2 and its kin call dropout. */
#define DROPOUTS \
    {"resid_pdrop", HF_NO_EFFECT}, {"embd_pdrop", HF_NO_EFFECT}, {"attn_pdrop", HF_NO_EFFECT},

/* ---- tensors ---- */

#define PROJECTIONS                                                                      \
    {"embed_tokens.weight", "token_embd.weight"}, {"norm.weight", "output_norm.weight"}, \
        QKV_WEIGHTS MATRICES

#define QKV_WEIGHTS                                                    \
    {"layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight"},     \
        {"layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight"}, \
        {"layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight"},

#define MATRICES                                                                   \
    HEAD_WEIGHT{"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight"}, \
        {"layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight"},              \
        {"layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight"},                  \
        {"layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight"},

#define HEAD_WEIGHT                                              \
    {"lm_head.weight", "output.weight", "!tie_word_embeddings"}, \
        {"lm_head.weight", NULL, "tie_word_embeddings"},         \
        {"layers.%d.self_attn.rotary_emb.inv_freq", NULL}, {"rotary_emb.inv_freq", NULL},

#define PRE_NORMS                                                    \
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"}, \
        {"layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight"},

#define QKV_BIASES(when)                                                 \
    {"layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", when},     \
        {"layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", when}, \
        {"layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", when},

#define OUT_BIAS(when) {"layers.%d.self_attn.o_proj.bias", "blk.%d.attn_output.bias", when},

#define FFN_BIASES(when)                                            \
    {"layers.%d.mlp.gate_proj.bias", "blk.%d.ffn_gate.bias", when}, \
        {"layers.%d.mlp.up_proj.bias", "blk.%d.ffn_up.bias", when}, \
        {"layers.%d.mlp.down_proj.bias", "blk.%d.ffn_down.bias", when},

#define QK_NORMS                                                        \
    {"layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight"}, \
        {"layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight"},

#define END \
    { .name = NULL }

#endif
