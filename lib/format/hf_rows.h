/* Rows that tables of several families have: the beginnings of their tables of keys and tensors. */
#ifndef FORMAT_HF_ROWS_H
#define FORMAT_HF_ROWS_H

#include "format/hf_families.h"

#define SIZES                                                                           \
    {"hidden_size", HF_INTEGER, "embedding_length", NULL, true},                        \
        {"num_hidden_layers", HF_INTEGER, "block_count", NULL, true},                   \
        {"intermediate_size", HF_INTEGER, "feed_forward_length", NULL, true},           \
        {"vocab_size", HF_INTEGER, "vocab_size", NULL, false},                          \
        {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-6", false}, \
        {"rope_theta", HF_NO_EFFECT, NULL, NULL, false},                                \
        {"rope_scaling", HF_NO_EFFECT, NULL, NULL, false},                              \
        {"rope_parameters", HF_NO_EFFECT, NULL, NULL, false},                           \
        {"original_max_position_embeddings", HF_NO_EFFECT, NULL, NULL, false},          \
        {"partial_rotary_factor", HF_MUST_BE, "1|1.0", NULL, false},

#define SILU {"hidden_act", HF_MUST_BE, "silu|swish", NULL, false},

#define PROJECTIONS                                                                 \
    {"embed_tokens.weight", "token_embd.weight", NULL, false},                      \
        {"norm.weight", "output_norm.weight", NULL, false},                         \
        {"layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", NULL, false}, \
        {"layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", NULL, false}, \
        {"layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", NULL, false}, MATRICES

#define MATRICES                                                                         \
    {"lm_head.weight", "output.weight", "!tie_word_embeddings", false},                  \
        {"lm_head.weight", NULL, "tie_word_embeddings", false},                          \
        {"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight", NULL, false}, \
        {"layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", NULL, false},       \
        {"layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight", NULL, false},           \
        {"layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", NULL, false},       \
        {"layers.%d.self_attn.rotary_emb.inv_freq", NULL, NULL, false},                  \
        {"rotary_emb.inv_freq", NULL, NULL, false},

#define PRE_NORMS                                                                 \
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", NULL, false}, \
        {"layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", NULL, false},

#define QKV_BIASES(when)                                                        \
    {"layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", when, false},     \
        {"layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", when, false}, \
        {"layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", when, false},

#define END \
    { .name = NULL }

#endif
