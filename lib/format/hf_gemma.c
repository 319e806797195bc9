/* Gemma. */
#include "format/hf_rows.h"

static const struct hf_key gemma3_keys[] = {
    {"hidden_act", HF_MUST_BE, "gelu_pytorch_tanh", NULL, false},
    {"hidden_activation", HF_MUST_BE, "gelu_pytorch_tanh", NULL, false},
    SIZES{"num_attention_heads", HF_INTEGER, "attention.head_count", "8", false},
    {"num_key_value_heads", HF_INTEGER, "attention.head_count_kv", "4", false},
    {"head_dim", HF_INTEGER, "attention.key_length", "256", false},
    {"query_pre_attn_scalar", HF_INVERSE_ROOT, "attention.scale", "256", false},
    {"max_position_embeddings", HF_INTEGER, "context_length", "131072", false},
    {"sliding_window", HF_INTEGER, "attention.sliding_window", "4096", false},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern", NULL, false},
    {"sliding_window_pattern", HF_INTEGER, "attention.sliding_window_pattern", NULL, false},
    {"_sliding_window_pattern", HF_INTEGER, "attention.sliding_window_pattern", NULL, false},
    {"final_logit_softcapping", HF_NUMBER, "final_logit_softcapping", NULL, false},
    {"attn_logit_softcapping", HF_MUST_BE, "", NULL, false},
    {"use_bidirectional_attention", HF_MUST_BE, "false", NULL, false},
    {"rope_local_base_freq", HF_NO_EFFECT, NULL, NULL, false},
    {"tie_word_embeddings", HF_FLAG, NULL, "true", false},
    {"attention_bias", HF_FLAG, NULL, "false", false},
    END};

static const struct hf_tensor gemma3_tensors[] = {
    MATRICES{"embed_tokens.weight", "token_embd.weight", NULL, false},
    {"norm.weight", "output_norm.weight", NULL, true},
    {"layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", NULL, false},
    {"layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", NULL, false},
    {"layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", NULL, false},
    QKV_BIASES("attention_bias"){"layers.%d.self_attn.o_proj.bias", "blk.%d.attn_output.bias",
                                 "attention_bias", false},
    {"layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", NULL, true},
    {"layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", NULL, true},
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", NULL, true},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight", NULL, true},
    {"layers.%d.pre_feedforward_layernorm.weight", "blk.%d.ffn_norm.weight", NULL, true},
    {"layers.%d.post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight", NULL, true},
    END};

const struct hf_family hf_gemma_families[] = {
    {"gemma3_text", "gemma3", gemma3_keys, gemma3_tensors, NULL, 1e6, 1e4, false, false},
    {"gemma3", "gemma3", gemma3_keys, gemma3_tensors, NULL, 1e6, 1e4, false, true},
    {.model_type = NULL},
};
