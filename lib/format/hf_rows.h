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

/* ---- keys of experts, by DeepSeek's names ---- */

#define ROUTED(n, n_used, width, scale)                                             \
    {"n_routed_experts", HF_INTEGER, "expert_count", n},                            \
        {"num_experts_per_tok", HF_INTEGER, "expert_used_count", n_used},           \
        {"moe_intermediate_size", HF_INTEGER, "expert_feed_forward_length", width}, \
        {"routed_scaling_factor", HF_NUMBER, "expert_weights_scale", scale},        \
        {"n_shared_experts", HF_NO_EFFECT}, /* the tensors have them */             \
        {"moe_layer_freq", HF_MUST_BE, "1"}, OF_TRAINING

/* What configs have beside that: of training, and code that transformers has itself. */
#define OF_TRAINING                                                                             \
    {"output_router_logits", HF_NO_EFFECT}, {"router_aux_loss_coef", HF_NO_EFFECT},             \
        {"aux_loss_alpha", HF_NO_EFFECT}, {"seq_aux", HF_NO_EFFECT}, {"ep_size", HF_NO_EFFECT}, \
        {"num_nextn_predict_layers", HF_NO_EFFECT}, {"auto_map", HF_NO_EFFECT},

/* Sigmoids, whose choice has a bias; groups are rated by the sum of their two best. */
#define SIGMOIDS(normed)                                            \
    {"", HF_INTEGER, "expert_gating_func", "2"},                    \
        {"norm_topk_prob", HF_BOOL, "expert_weights_norm", normed}, \
        {"topk_method", HF_MUST_BE, "noaux_tc"}, {"scoring_func", HF_MUST_BE, "sigmoid|noaux_tc"},

#define EXPERT_GROUPS(n, n_used)                      \
    {"n_group", HF_INTEGER, "expert_group_count", n}, \
        {"topk_group", HF_INTEGER, "expert_group_used_count", n_used},

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

#define CLASSIFIES "@ForSequenceClassification"

/* Of a reward model or classifier, or of one that gives logits. */
#define HEAD_WEIGHT                                                               \
    {"score.weight", "cls.output.weight", CLASSIFIES},                            \
        {"lm_head.weight", "output.weight", "!tie_word_embeddings&!" CLASSIFIES}, \
        {"lm_head.weight", NULL, "tie_word_embeddings"},                          \
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

/* ---- tensors of experts ---- */

/* A tensor of the layers that have experts, of those that have none. */
#define SPARSE(name, target) \
    { "layers.%d." name, "blk.%d." target, NULL, HF_AS_THEY_ARE, HF_SPARSE_LAYERS }
#define SPARSE_WHEN(name, target, when) \
    { "layers.%d." name, "blk.%d." target, when, HF_AS_THEY_ARE, HF_SPARSE_LAYERS }
#define DENSE(name, target, when) \
    { "layers.%d." name, "blk.%d." target, when, HF_AS_THEY_ARE, HF_DENSE_LAYERS }

#define EXPERT_WEIGHTS(gate, up, down)                                    \
    SPARSE("mlp.experts.%d." gate ".weight", "ffn_gate_exps.weight"),     \
        SPARSE("mlp.experts.%d." up ".weight", "ffn_up_exps.weight"),     \
        SPARSE("mlp.experts.%d." down ".weight", "ffn_down_exps.weight"), \
        SPARSE("mlp.gate.weight", "ffn_gate_inp.weight"),

#define DENSE_WEIGHTS                                       \
    DENSE("mlp.gate_proj.weight", "ffn_gate.weight", NULL), \
        DENSE("mlp.up_proj.weight", "ffn_up.weight", NULL), \
        DENSE("mlp.down_proj.weight", "ffn_down.weight", NULL),

#define SHARED_WEIGHTS(shared)                                          \
    SPARSE("mlp." shared ".gate_proj.weight", "ffn_gate_shexp.weight"), \
        SPARSE("mlp." shared ".up_proj.weight", "ffn_up_shexp.weight"), \
        SPARSE("mlp." shared ".down_proj.weight", "ffn_down_shexp.weight"),

/* Experts that sigmoids rate, and those that every row goes to; layers after the last predict the
 * token after the next. */
#define ROUTED_WEIGHTS                                                  \
    EXPERT_WEIGHTS("gate_proj", "up_proj", "down_proj")                 \
    DENSE_WEIGHTS SHARED_WEIGHTS("shared_experts")                      \
        SPARSE("mlp.gate.e_score_correction_bias", "exp_probs_b.bias"), \
        {"layers.%d.*", NULL, NULL, HF_AS_THEY_ARE, HF_LATER_LAYERS},

#define END \
    { .name = NULL }

#endif
