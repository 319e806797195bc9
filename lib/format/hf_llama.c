/* Llama and what has its shape. */
#include "format/hf_rows.h"

/* ---- llama, mistral ---- */

static const struct hf_key llama_keys[] = {
    SIZES SILU{"num_attention_heads", HF_INTEGER, "attention.head_count", NULL, true},
    {"num_key_value_heads", HF_INTEGER, "attention.head_count_kv", NULL, false},
    {"head_dim", HF_INTEGER, "attention.key_length", NULL, false},
    {"max_position_embeddings", HF_INTEGER, "context_length", "2048", false},
    {"tie_word_embeddings", HF_FLAG, NULL, "false", false},
    {"attention_bias", HF_FLAG, NULL, "false", false},
    {"mlp_bias", HF_FLAG, NULL, "false", false},
    {"rope_interleaved", HF_MUST_BE, "false", NULL, false},
    {"layer_types", HF_FULL_LAYERS, NULL, NULL, false},
    END};

static const struct hf_tensor llama_tensors[] = {
    PROJECTIONS PRE_NORMS QKV_BIASES("attention_bias"){
        "layers.%d.self_attn.o_proj.bias", "blk.%d.attn_output.bias", "attention_bias", false},
    {"layers.%d.mlp.gate_proj.bias", "blk.%d.ffn_gate.bias", "mlp_bias", false},
    {"layers.%d.mlp.up_proj.bias", "blk.%d.ffn_up.bias", "mlp_bias", false},
    {"layers.%d.mlp.down_proj.bias", "blk.%d.ffn_down.bias", "mlp_bias", false},
    END};

static const struct hf_key mistral_keys[] = {
    SIZES SILU{"num_attention_heads", HF_INTEGER, "attention.head_count", NULL, true},
    {"num_key_value_heads", HF_INTEGER, "attention.head_count_kv", "8", false},
    {"head_dim", HF_INTEGER, "attention.key_length", NULL, false},
    {"max_position_embeddings", HF_INTEGER, "context_length", "131072", false},
    {"sliding_window", HF_INTEGER, "attention.sliding_window", "4096", false},
    {"tie_word_embeddings", HF_FLAG, NULL, "false", false},
    {"attention_bias", HF_MUST_BE, "false", NULL, false},
    {"mlp_bias", HF_MUST_BE, "false", NULL, false},
    {"layer_types", HF_FULL_LAYERS, NULL, NULL, false},
    END};

static const struct hf_tensor mistral_tensors[] = {PROJECTIONS PRE_NORMS END};

/* ---- qwen2 ---- */

static const struct hf_key qwen2_keys[] = {
    SIZES SILU{"num_attention_heads", HF_INTEGER, "attention.head_count", NULL, true},
    {"num_key_value_heads", HF_INTEGER, "attention.head_count_kv", "32", false},
    {"head_dim", HF_INTEGER, "attention.key_length", NULL, false},
    {"max_position_embeddings", HF_INTEGER, "context_length", "32768", false},
    {"tie_word_embeddings", HF_FLAG, NULL, "false", false},
    {"use_sliding_window", HF_MUST_BE, "false", NULL, false},
    {"sliding_window", HF_NO_EFFECT, NULL, NULL, false}, /* without use_sliding_window */
    {"max_window_layers", HF_NO_EFFECT, NULL, NULL, false},
    {"use_mrope", HF_MUST_BE, "false", NULL, false},
    {"attention_bias", HF_NO_EFFECT, NULL, NULL, false}, /* q, k and v have them always */
    {"layer_types", HF_FULL_LAYERS, NULL, NULL, false},
    END};

static const struct hf_tensor qwen2_tensors[] = {PROJECTIONS PRE_NORMS QKV_BIASES(NULL) END};

const struct hf_family hf_llama_families[] = {
    {"llama", "llama", llama_keys, llama_tensors, "halves", 1e4, 0, true, false},
    {"mistral", "llama", mistral_keys, mistral_tensors, "halves", 1e4, 0, true, false},
    {"qwen2", "qwen2", qwen2_keys, qwen2_tensors, NULL, 1e4, 0, true, false},
    {.model_type = NULL},
};
