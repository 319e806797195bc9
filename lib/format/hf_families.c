#include "format/hf_families.h"

#include <string.h>

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

/* ---- gemma3 ---- */

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

static const struct hf_family families[] = {
    {"llama", "llama", llama_keys, llama_tensors, "halves", 1e4, 0, true, false},
    {"mistral", "llama", mistral_keys, mistral_tensors, "halves", 1e4, 0, true, false},
    {"qwen2", "qwen2", qwen2_keys, qwen2_tensors, NULL, 1e4, 0, true, false},
    {"gemma3_text", "gemma3", gemma3_keys, gemma3_tensors, NULL, 1e6, 1e4, false, false},
    {"gemma3", "gemma3", gemma3_keys, gemma3_tensors, NULL, 1e6, 1e4, false, true},
};

const struct hf_family *hf_families_find(const char *model_type, size_t length) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strlen(families[i].model_type) == length &&
            memcmp(families[i].model_type, model_type, length) == 0)
            return &families[i];
    return NULL;
}

/* What PretrainedConfig itself has, generation's defaults that older releases wrote there, dropout
 * and initialization, and notes of the programs that write configs. */
bool hf_families_no_effect(const char *key, size_t length) {
    static const char *const names[] = {"_attn_implementation",
                                        "_attn_implementation_autoset",
                                        "_commit_hash",
                                        "_flash_attn_2_enabled",
                                        "_name_or_path",
                                        "add_cross_attention",
                                        "architectures",
                                        "attention_dropout",
                                        "attn_implementation",
                                        "bad_words_ids",
                                        "begin_suppress_tokens",
                                        "bos_token_id",
                                        "cache_implementation",
                                        "chunk_size_feed_forward",
                                        "cross_attention_hidden_size",
                                        "decoder_start_token_id",
                                        "diversity_penalty",
                                        "do_sample",
                                        "dtype",
                                        "early_stopping",
                                        "encoder_no_repeat_ngram_size",
                                        "eos_token_id",
                                        "exponential_decay_length_penalty",
                                        "finetuning_task",
                                        "forced_bos_token_id",
                                        "forced_eos_token_id",
                                        "hidden_dropout",
                                        "id2label",
                                        "initializer_range",
                                        "is_decoder",
                                        "is_encoder_decoder",
                                        "is_llama_config",
                                        "label2id",
                                        "length_penalty",
                                        "max_length",
                                        "max_sequence_length",
                                        "min_length",
                                        "model_max_length",
                                        "model_type",
                                        "no_repeat_ngram_size",
                                        "num_beam_groups",
                                        "num_beams",
                                        "num_return_sequences",
                                        "output_attentions",
                                        "output_hidden_states",
                                        "output_scores",
                                        "pad_token_id",
                                        "prefix",
                                        "pretraining_tp",
                                        "problem_type",
                                        "remove_invalid_values",
                                        "repetition_penalty",
                                        "return_dict",
                                        "return_dict_in_generate",
                                        "sep_token_id",
                                        "suppress_tokens",
                                        "task_specific_params",
                                        "temperature",
                                        "tf_legacy_loss",
                                        "tie_encoder_decoder",
                                        "tokenizer_class",
                                        "top_k",
                                        "top_p",
                                        "torch_dtype",
                                        "torchscript",
                                        "transformers.js_config",
                                        "transformers_version",
                                        "typical_p",
                                        "unsloth_fixed",
                                        "unsloth_version",
                                        "use_bfloat16",
                                        "use_cache"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && memcmp(names[i], key, length) == 0) return true;
    return false;
}
