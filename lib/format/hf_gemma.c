/* Gemma. */
#include "format/hf_rows.h"

/* ---- gemma ---- */

static const struct hf_key gemma_keys[] = {
    {"hidden_act", HF_MUST_BE, "gelu|gelu_pytorch_tanh"}, /* gelu is an old name of the other */
    {"hidden_activation", HF_MUST_BE, "gelu_pytorch_tanh"},
    SIZES HEADS("16") HEAD_DIM("256") CONTEXT("8192") TIED("true")
        ATTENTION_BIAS("false"){"use_bidirectional_attention", HF_MUST_BE, "false"},
    END};

#define GEMMA_TENSORS                                                           \
    MATRICES QKV_WEIGHTS QKV_BIASES("attention_bias")                           \
        OUT_BIAS("attention_bias"){"embed_tokens.weight", "token_embd.weight"}, \
        {"norm.weight", "output_norm.weight", NULL, HF_ADD_ONE},                \
        {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", NULL, HF_ADD_ONE},

static const struct hf_tensor gemma_tensors[] = {
    GEMMA_TENSORS{"layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", NULL,
                  HF_ADD_ONE},
    END};

/* ---- gemma2, gemma3 ---- */

static const struct hf_key gemma2_keys[] = {
    {"hidden_act", HF_NO_EFFECT},
    {"hidden_activation", HF_ACTIVATION, "activation"},
    SIZES HEADS("4") HEAD_DIM("256") CONTEXT("8192") TIED("true")
        ATTENTION_BIAS("false"){"query_pre_attn_scalar", HF_INVERSE_ROOT, "attention.scale", "256"},
    {"sliding_window", HF_INTEGER, "attention.sliding_window", "4096"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern"},
    {"final_logit_softcapping", HF_NUMBER, "final_logit_softcapping", "30.0"},
    {"", HF_NUMBER, "final_logit_softcapping", "0"}, /* where it is null */
    {"attn_logit_softcapping", HF_NUMBER, "attn_logit_softcapping", "50.0"},
    {"", HF_NUMBER, "attn_logit_softcapping", "0"},
    {"cache_implementation", HF_NO_EFFECT},
    {"use_bidirectional_attention", HF_MUST_BE, "false"},
    END};

#define POST_NORMS                                                                           \
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight", NULL, \
     HF_ADD_ONE},                                                                            \
        {"layers.%d.pre_feedforward_layernorm.weight", "blk.%d.ffn_norm.weight", NULL,       \
         HF_ADD_ONE},                                                                        \
        {"layers.%d.post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight", NULL, \
         HF_ADD_ONE},

static const struct hf_tensor gemma2_tensors[] = {GEMMA_TENSORS POST_NORMS END};

static const struct hf_tensor vaultgemma_tensors[] = {
    GEMMA_TENSORS{"layers.%d.pre_feedforward_layernorm.weight", "blk.%d.ffn_norm.weight", NULL,
                  HF_ADD_ONE},
    END};

static const struct hf_key gemma3_keys[] = {
    {"hidden_act", HF_NO_EFFECT},
    {"hidden_activation", HF_ACTIVATION, "activation"},
    SIZES{"num_attention_heads", HF_INTEGER, "attention.head_count", "8"},
    {"num_key_value_heads", HF_INTEGER, "attention.head_count_kv", "4"},
    HEAD_DIM("256") CONTEXT("131072") TIED("true")
        ATTENTION_BIAS("false"){"query_pre_attn_scalar", HF_INVERSE_ROOT, "attention.scale", "256"},
    {"sliding_window", HF_INTEGER, "attention.sliding_window", "4096"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern"},
    {"sliding_window_pattern", HF_INTEGER, "attention.sliding_window_pattern"},
    {"_sliding_window_pattern", HF_INTEGER, "attention.sliding_window_pattern"},
    {"final_logit_softcapping", HF_NUMBER, "final_logit_softcapping"},
    {"attn_logit_softcapping", HF_MUST_BE, ""},
    {"use_bidirectional_attention", HF_MUST_BE, "false"},
    {"rope_local_base_freq", HF_NO_EFFECT},
    END};

static const struct hf_tensor gemma3_tensors[] = {
    GEMMA_TENSORS POST_NORMS{"layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", NULL,
                             HF_ADD_ONE},
    {"layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", NULL, HF_ADD_ONE},
    END};

/* ---- gemma4 ---- */

/* Sizes are read where per_layer_config is, which transformers since 5.20 writes for the keys that
 * begin with global_ and num_global_. */
#define GEMMA4_SIZES(context, window)                                                              \
    WIDTHS{"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-6"},                 \
        {"hidden_activation", HF_ACTIVATION, "activation", "gelu_pytorch_tanh"},                   \
        {"num_attention_heads", HF_INTEGER, "attention.head_count", "8"},                          \
        CONTEXT(context) TIED("true") ATTENTION_BIAS("false"){"sliding_window", HF_INTEGER,        \
                                                              "attention.sliding_window", window}, \
        {"layer_types", HF_LAYERS_TO_FULL, "attention.sliding_window_pattern"},                    \
        {"per_layer_config", HF_LAYER_SIZES}, {"global_head_dim", HF_NO_EFFECT},                   \
        {"num_global_key_value_heads", HF_NO_EFFECT}, {"head_dim", HF_NO_EFFECT},                  \
        {"num_key_value_heads", HF_NO_EFFECT}, {"intermediate_size", HF_NO_EFFECT},                \
        {"num_kv_shared_layers", HF_NO_EFFECT}, {"attention_k_eq_v", HF_FLAG, NULL, "false"},      \
        {"use_double_wide_mlp", HF_FLAG, NULL, "false"},                                           \
        {"final_logit_softcapping", HF_NUMBER, "final_logit_softcapping"},                         \
        {"use_bidirectional_attention", HF_MUST_BE, "vision"},

static const struct hf_key gemma4_keys[] = {
    GEMMA4_SIZES("131072", "512"){"hidden_size_per_layer_input", HF_COUNT,
                                  "embedding_length_per_layer_input", "256"},
    {"vocab_size_per_layer_input", HF_NO_EFFECT}, /* the tensor has it */
    {"enable_moe_block", HF_FLAG, NULL, "false"},
    {"num_experts", HF_INTEGER, "expert_count", NULL, false, "enable_moe_block"},
    {"top_k_experts", HF_INTEGER, "expert_used_count", NULL, false, "enable_moe_block"},
    {"moe_intermediate_size", HF_INTEGER, "expert_feed_forward_length", NULL, false,
     "enable_moe_block"},
    END};

static const struct hf_key gemma4_unified_keys[] = {GEMMA4_SIZES("262144", "1024") END};

/* Layers differ in what they have: what one must have, its reader says. */
#define GEMMA4_TENSORS                                                                           \
    MATRICES{"embed_tokens.weight", "token_embd.weight"}, {"norm.weight", "output_norm.weight"}, \
        {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},                         \
        {"layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight"},      \
        {"layers.%d.pre_feedforward_layernorm.weight", "blk.%d.ffn_norm.weight"},                \
        {"layers.%d.post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight"},          \
        {"layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight"},                           \
        {"layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight"},                      \
        {"layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", "?"},                 \
        {"layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", "?"},                      \
        {"layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", "?"},                      \
        {"layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", "attention_bias"},             \
        {"layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", "?"},                          \
        {"layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", "?"},                          \
        OUT_BIAS("attention_bias"){"layers.%d.layer_scalar", "blk.%d.layer_output_scale.weight"},

static const struct hf_tensor gemma4_tensors[] = {
    GEMMA4_TENSORS{"embed_tokens_per_layer.weight", "per_layer_token_embd.weight", "?"},
    {"per_layer_model_projection.weight", "per_layer_model_proj.weight", "?"},
    {"per_layer_projection_norm.weight", "per_layer_proj_norm.weight", "?"},
    {"layers.%d.per_layer_input_gate.weight", "blk.%d.inp_gate.weight", "?"},
    {"layers.%d.per_layer_projection.weight", "blk.%d.proj.weight", "?"},
    {"layers.%d.post_per_layer_input_norm.weight", "blk.%d.post_norm.weight", "?"},
    {"layers.%d.router.proj.weight", "blk.%d.ffn_gate_inp.weight", "enable_moe_block"},
    {"layers.%d.router.scale", "blk.%d.ffn_gate_inp.scale", "enable_moe_block"},
    {"layers.%d.router.per_expert_scale", "blk.%d.ffn_down_exps.scale", "enable_moe_block"},
    {"layers.%d.experts.gate_up_proj", "blk.%d.ffn_gate_up_exps.weight", "enable_moe_block"},
    {"layers.%d.experts.down_proj", "blk.%d.ffn_down_exps.weight", "enable_moe_block"},
    {"layers.%d.pre_feedforward_layernorm_2.weight", "blk.%d.pre_ffw_norm_2.weight",
     "enable_moe_block"},
    {"layers.%d.post_feedforward_layernorm_1.weight", "blk.%d.post_ffw_norm_1.weight",
     "enable_moe_block"},
    {"layers.%d.post_feedforward_layernorm_2.weight", "blk.%d.post_ffw_norm_2.weight",
     "enable_moe_block"},
    END};

static const struct hf_tensor gemma4_unified_tensors[] = {GEMMA4_TENSORS END};

#define GEMMA4(model_type, name, nested)                                           \
    {                                                                              \
        model_type, "gemma4", name##_keys, name##_tensors, NULL, 1e6, 1e4, nested, \
            .rope_required = true                                                  \
    }

const struct hf_family hf_gemma_families[] = {
    GEMMA4("gemma4_text", gemma4, false),
    GEMMA4("gemma4", gemma4, true),
    GEMMA4("gemma4_unified_text", gemma4_unified, false),
    GEMMA4("gemma4_unified", gemma4_unified, true),
    {"gemma", "gemma", gemma_keys, gemma_tensors, NULL, 1e4},
    {"gemma2", "gemma2", gemma2_keys, gemma2_tensors, NULL, 1e4},
    {"vaultgemma", "vaultgemma", gemma2_keys, vaultgemma_tensors, NULL, 1e4},
    {"gemma3_text", "gemma3", gemma3_keys, gemma3_tensors, NULL, 1e6, 1e4},
    {"gemma3", "gemma3", gemma3_keys, gemma3_tensors, NULL, 1e6, 1e4, true},
    {.model_type = NULL},
};
