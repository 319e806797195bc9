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

const struct hf_family hf_gemma_families[] = {
    {"gemma", "gemma", gemma_keys, gemma_tensors, NULL, 1e4},
    {"gemma2", "gemma2", gemma2_keys, gemma2_tensors, NULL, 1e4},
    {"gemma3_text", "gemma3", gemma3_keys, gemma3_tensors, NULL, 1e6, 1e4},
    {"gemma3", "gemma3", gemma3_keys, gemma3_tensors, NULL, 1e6, 1e4, true},
    {.model_type = NULL},
};
