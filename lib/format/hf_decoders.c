/* Decoders of the years after Llama that aren't quite it. */
#include "format/hf_rows.h"

#define NORM_BIASES(when)                                              \
    {"layers.%d.input_layernorm.bias", "blk.%d.attn_norm.bias", when}, \
        {"layers.%d.post_attention_layernorm.bias", "blk.%d.ffn_norm.bias", when},

/* ---- phi, phi3 ---- */

static const struct hf_key phi_keys[] = {
    WIDTHS HEADS(NULL) CONTEXT("2048")
        ACT DROPOUTS TIED("false"){"intermediate_size", HF_INTEGER, "feed_forward_length"},
    {"", HF_WIDTHS, "feed_forward_length", "4"},
    {"layer_norm_eps", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"qk_layernorm", HF_FLAG, NULL, "false"},
    END};

static const struct hf_tensor phi_tensors[] = {
    HEAD_WEIGHT QKV_WEIGHTS QKV_BIASES(NULL){"lm_head.bias", "output.bias"},
    {"embed_tokens.weight", "token_embd.weight"},
    {"final_layernorm.weight", "output_norm.weight"},
    {"final_layernorm.bias", "output_norm.bias"},
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"layers.%d.input_layernorm.bias", "blk.%d.attn_norm.bias"},
    {"layers.%d.self_attn.dense.weight", "blk.%d.attn_output.weight"},
    {"layers.%d.self_attn.dense.bias", "blk.%d.attn_output.bias"},
    {"layers.%d.mlp.fc1.weight", "blk.%d.ffn_up.weight"},
    {"layers.%d.mlp.fc1.bias", "blk.%d.ffn_up.bias"},
    {"layers.%d.mlp.fc2.weight", "blk.%d.ffn_down.weight"},
    {"layers.%d.mlp.fc2.bias", "blk.%d.ffn_down.bias"},
    {"layers.%d.self_attn.q_layernorm.weight", "blk.%d.attn_q_norm.weight", "qk_layernorm"},
    {"layers.%d.self_attn.q_layernorm.bias", "blk.%d.attn_q_norm.bias", "qk_layernorm"},
    {"layers.%d.self_attn.k_layernorm.weight", "blk.%d.attn_k_norm.weight", "qk_layernorm"},
    {"layers.%d.self_attn.k_layernorm.bias", "blk.%d.attn_k_norm.bias", "qk_layernorm"},
    END};

static const struct hf_key phi3_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-5"},
    SIZES HEADS(NULL) CONTEXT("4096")
        ACT DROPOUTS TIED("false"){"original_max_position_embeddings", HF_INTEGER,
                                   "rope.scaling.original_context_length", "4096"},
    {"sliding_window", HF_INTEGER, "attention.sliding_window"},
    {"attention_bias", HF_MUST_BE, "false"},
    {"layer_types", HF_NO_EFFECT}, /* all slide where one does */
    END};

#define FUSED_FFN                                                  \
    {"layers.%d.mlp.gate_up_proj.weight", "blk.%d.ffn_up.weight"}, \
        {"layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight"},

static const struct hf_tensor phi3_tensors[] = {
    HEAD_WEIGHT PRE_NORMS FUSED_FFN{"embed_tokens.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"layers.%d.self_attn.qkv_proj.weight", "blk.%d.attn_qkv.weight"},
    {"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight"},
    END};

/* ---- starcoder2, stablelm ---- */

static const struct hf_key starcoder2_keys[] = {
    WIDTHS HEADS("2") CONTEXT("4096")
        ACT TIED("true"){"intermediate_size", HF_INTEGER, "feed_forward_length", "12288"},
    {"norm_epsilon", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"sliding_window", HF_INTEGER, "attention.sliding_window"},
    {"use_bias", HF_FLAG, NULL, "true"},
    {"mlp_type", HF_MUST_BE, "default"},
    {"norm_type", HF_MUST_BE, "layer_norm"},
    {"embedding_dropout", HF_NO_EFFECT},
    {"residual_dropout", HF_NO_EFFECT},
    {"layer_types", HF_NO_EFFECT}, /* all slide where one does */
    END};

static const struct hf_tensor starcoder2_tensors[] = {
    HEAD_WEIGHT QKV_WEIGHTS QKV_BIASES("use_bias") OUT_BIAS("use_bias")
        PRE_NORMS NORM_BIASES(NULL){"embed_tokens.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"norm.bias", "output_norm.bias"},
    {"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight"},
    {"layers.%d.mlp.c_fc.weight", "blk.%d.ffn_up.weight"},
    {"layers.%d.mlp.c_fc.bias", "blk.%d.ffn_up.bias", "use_bias"},
    {"layers.%d.mlp.c_proj.weight", "blk.%d.ffn_down.weight"},
    {"layers.%d.mlp.c_proj.bias", "blk.%d.ffn_down.bias", "use_bias"},
    END};

static const struct hf_key stablelm_keys[] = {
    WIDTHS HEADS("32") CONTEXT("4096")
        ACT TIED("false"){"intermediate_size", HF_INTEGER, "feed_forward_length", "6912"},
    {"layer_norm_eps", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"use_parallel_residual", HF_BOOL, "use_parallel_residual", "false"},
    {"use_qkv_bias", HF_FLAG, NULL, "false"},
    {"qk_layernorm", HF_FLAG, NULL, "false"},
    {"rope_pct", HF_MUST_BE, ""},
    END};

static const struct hf_tensor stablelm_tensors[] = {
    PROJECTIONS QKV_BIASES("use_qkv_bias"){"norm.bias", "output_norm.bias"},
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"layers.%d.input_layernorm.bias", "blk.%d.attn_norm.bias"},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight",
     "!use_parallel_residual"},
    {"layers.%d.post_attention_layernorm.bias", "blk.%d.ffn_norm.bias", "!use_parallel_residual"},
    {"layers.%d.self_attn.q_layernorm.norms.%d.weight", "blk.%d.attn_q_norm.weight", "qk_layernorm",
     .count = "attention.head_count"},
    {"layers.%d.self_attn.k_layernorm.norms.%d.weight", "blk.%d.attn_k_norm.weight", "qk_layernorm",
     .count = "attention.head_count_kv"},
    END};

/* ---- falcon ---- */

static const struct hf_key falcon_keys[] = {
    {"hidden_size", HF_INTEGER, "embedding_length"},
    {"n_embed", HF_INTEGER, "embedding_length"},
    {"num_hidden_layers", HF_INTEGER, "block_count"},
    {"n_layer", HF_INTEGER, "block_count", "32"},
    WIDTHS{"num_attention_heads", HF_INTEGER, "attention.head_count"},
    {"n_head", HF_INTEGER, "attention.head_count", "71"},
    CONTEXT("2048"){"new_decoder_architecture", HF_FLAG, NULL, "false"},
    {"multi_query", HF_FLAG, NULL, "true"},
    {"parallel_attn", HF_BOOL, "use_parallel_residual", "true"},
    {"alibi", HF_FLAG, NULL, "false"},
    {"bias", HF_FLAG, NULL, "false"},
    {"num_kv_heads", HF_INTEGER, "attention.head_count_kv", NULL, false,
     "new_decoder_architecture"},
    {"", HF_INTEGER, "attention.head_count_kv", "1", false,
     "!new_decoder_architecture&multi_query"},
    {"n_head_kv", HF_NO_EFFECT},
    {"num_ln_in_parallel_attn", HF_MUST_BE, "1|2", NULL, false, "new_decoder_architecture"},
    {"parallel_attn", HF_MUST_BE, "true", NULL, false, "new_decoder_architecture"},
    {"num_ln_in_parallel_attn", HF_MUST_BE, "1", NULL, false, "!new_decoder_architecture"},
    {"ffn_hidden_size", HF_INTEGER, "feed_forward_length"},
    {"", HF_WIDTHS, "feed_forward_length", "4"},
    {"activation", HF_ACTIVATION, "activation"},
    {"layer_norm_epsilon", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"", HF_NUMBER, "attention.max_alibi_bias", "8", false, "alibi"},
    {"apply_residual_connection_post_layernorm", HF_MUST_BE, "false"},
    TIED("true") END};

static const struct hf_tensor falcon_tensors[] = {
    HEAD_WEIGHT{"word_embeddings.weight", "token_embd.weight"},
    {"ln_f.weight", "output_norm.weight"},
    {"ln_f.bias", "output_norm.bias"},
    {"h.%d.ln_mlp.weight", "blk.%d.attn_norm.weight"},
    {"h.%d.ln_mlp.bias", "blk.%d.attn_norm.bias"},
    {"h.%d.ln_attn.weight", "blk.%d.attn_norm_2.weight", "?"},
    {"h.%d.ln_attn.bias", "blk.%d.attn_norm_2.bias", "?"},
    {"h.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"h.%d.input_layernorm.bias", "blk.%d.attn_norm.bias"},
    {"h.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "!parallel_attn"},
    {"h.%d.post_attention_layernorm.bias", "blk.%d.ffn_norm.bias", "!parallel_attn"},
    {"h.%d.self_attention.rotary_emb.inv_freq", NULL},
    {"h.%d.self_attention.query_key_value.weight", "blk.%d.attn_qkv.weight", NULL, HF_BY_GROUPS},
    {"h.%d.self_attention.query_key_value.bias", "blk.%d.attn_qkv.bias", "bias", HF_BY_GROUPS},
    {"h.%d.self_attention.dense.weight", "blk.%d.attn_output.weight"},
    {"h.%d.self_attention.dense.bias", "blk.%d.attn_output.bias", "bias"},
    {"h.%d.mlp.dense_h_to_4h.weight", "blk.%d.ffn_up.weight"},
    {"h.%d.mlp.dense_h_to_4h.bias", "blk.%d.ffn_up.bias", "bias"},
    {"h.%d.mlp.dense_4h_to_h.weight", "blk.%d.ffn_down.weight"},
    {"h.%d.mlp.dense_4h_to_h.bias", "blk.%d.ffn_down.bias", "bias"},
    END};

/* ---- cohere, cohere2 ---- */

#define COHERE_SIZES                                                                              \
    WIDTHS HEADS(NULL) CONTEXT("8192") ACT TIED("true")                                           \
        ATTENTION_BIAS("false"){"intermediate_size", HF_INTEGER, "feed_forward_length", "22528"}, \
        {"layer_norm_eps", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},                    \
        {"logit_scale", HF_NUMBER, "logit_scale", "0.0625"},

static const struct hf_key cohere_keys[] = {
    COHERE_SIZES{"use_qk_norm", HF_FLAG, NULL, "false"}, {"layer_types", HF_FULL_LAYERS}, END};

static const struct hf_key cohere2_keys[] = {
    COHERE_SIZES{"sliding_window", HF_INTEGER, "attention.sliding_window", "4096"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern"},
    {"sliding_window_pattern", HF_INTEGER, "attention.sliding_window_pattern", "4"},
    {"_sliding_window_pattern", HF_NO_EFFECT},
    {"head_dim", HF_NO_EFFECT}, /* hidden_size / num_attention_heads */
    {"order_of_interleaved_layers", HF_MUST_BE, "local_attn_first"},
    {"position_embedding_type", HF_MUST_BE, "rope_gptj"},
    {"rotary_pct", HF_MUST_BE, "1|1.0"},
    {"use_embedding_sharing", HF_NO_EFFECT},
    {"use_gated_activation", HF_MUST_BE, "true"},
    {"use_parallel_block", HF_MUST_BE, "true"},
    {"use_parallel_embedding", HF_NO_EFFECT},
    END};

static const struct hf_tensor cohere_tensors[] = {
    PROJECTIONS QKV_BIASES("attention_bias")
        OUT_BIAS("attention_bias"){"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", "use_qk_norm"},
    {"layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", "use_qk_norm"},
    END};

/* ---- glm, glm4 ---- */

static const struct hf_key glm_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1.5625e-7"},
    SIZES HEADS("2") HEAD_DIM("128") CONTEXT("131072") ACT TIED("false") ATTENTION_BIAS("true")
        END};

#define GLM_TENSORS                                                      \
    HEAD_WEIGHT QKV_WEIGHTS QKV_BIASES("attention_bias")                 \
        PRE_NORMS FUSED_FFN{"embed_tokens.weight", "token_embd.weight"}, \
        {"norm.weight", "output_norm.weight"},                           \
        {"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight"},

static const struct hf_tensor glm_tensors[] = {GLM_TENSORS END};

static const struct hf_tensor glm4_tensors[] = {
    GLM_TENSORS{"layers.%d.post_self_attn_layernorm.weight", "blk.%d.post_attention_norm.weight"},
    {"layers.%d.post_mlp_layernorm.weight", "blk.%d.post_ffw_norm.weight"},
    END};

/* ---- nemotron, arcee ---- */

#define EPS(fallback) {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", fallback},

static const struct hf_key nemotron_keys[] = {
    WIDTHS HEADS(NULL) HEAD_DIM(NULL) CONTEXT("4096") ACT TIED("false") ATTENTION_BIAS("false")
        MLP_BIAS{"intermediate_size", HF_INTEGER, "feed_forward_length", "24576"},
    {"norm_eps", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    END};

#define PLAIN_FFN                                                           \
    QKV_BIASES("attention_bias")                                            \
    OUT_BIAS("attention_bias")                                              \
    QKV_WEIGHTS HEAD_WEIGHT{"embed_tokens.weight", "token_embd.weight"},    \
        {"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight"}, \
        {"layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight"},           \
        {"layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight"},       \
        {"layers.%d.mlp.up_proj.bias", "blk.%d.ffn_up.bias", "mlp_bias"},   \
        {"layers.%d.mlp.down_proj.bias", "blk.%d.ffn_down.bias", "mlp_bias"},

static const struct hf_tensor nemotron_tensors[] = {
    PLAIN_FFN NORM_BIASES(NULL){"norm.weight", "output_norm.weight", NULL, HF_ADD_ONE},
    {"norm.bias", "output_norm.bias"},
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", NULL, HF_ADD_ONE},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", NULL, HF_ADD_ONE},
    END};

static const struct hf_key arcee_keys[] = {EPS("1e-5") SIZES HEADS(NULL) HEAD_DIM(NULL) CONTEXT(
    "4096") ACT TIED("false") ATTENTION_BIAS("false") MLP_BIAS END};

static const struct hf_tensor arcee_tensors[] = {
    PLAIN_FFN PRE_NORMS{"norm.weight", "output_norm.weight"}, END};

/* ---- exaone4, hunyuan ---- */

static const struct hf_key exaone4_keys[] = {
    EPS("1e-5") SIZES HEADS("32") HEAD_DIM(NULL) CONTEXT("2048")
        ACT TIED("false"){"sliding_window", HF_INTEGER, "attention.sliding_window", "4096"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern"},
    {"sliding_window_pattern", HF_PATTERN, "attention.sliding_window_pattern", "4"},
    END};

static const struct hf_tensor exaone4_tensors[] = {
    PROJECTIONS QK_NORMS{"layers.%d.post_attention_layernorm.weight",
                         "blk.%d.post_attention_norm.weight"},
    {"layers.%d.post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight"},
    END};

static const struct hf_key hunyuan_keys[] = {
    EPS("1e-5") SIZES HEADS(NULL) HEAD_DIM(NULL) CONTEXT("2048") ACT TIED("false")
        ATTENTION_BIAS("false"){"mlp_bias", HF_MUST_BE, "false"},
    {"use_qk_norm", HF_MUST_BE, "true"},
    {"use_cla", HF_MUST_BE, "false"},
    {"norm_type", HF_MUST_BE, "rms"},
    {"num_experts", HF_MUST_BE, "1"},
    {"eod_token_id", HF_NO_EFFECT},
    END};

static const struct hf_tensor hunyuan_tensors[] = {
    PROJECTIONS PRE_NORMS QKV_BIASES("attention_bias") OUT_BIAS("attention_bias"){
        "layers.%d.self_attn.query_layernorm.weight", "blk.%d.attn_q_norm.weight"},
    {"layers.%d.self_attn.key_layernorm.weight", "blk.%d.attn_k_norm.weight"},
    END};

const struct hf_family hf_decoder_families[] = {
    {"nemotron", "nemotron", nemotron_keys, nemotron_tensors, NULL, 1e4, .partial = 0.5},
    {"arcee", "arcee", arcee_keys, arcee_tensors, "halves", 1e4},
    {"exaone4", "exaone4", exaone4_keys, exaone4_tensors, NULL, 1e4},
    {"hunyuan_v1_dense", "hunyuan-dense", hunyuan_keys, hunyuan_tensors, NULL, 1e4,
     .rope_alpha = true},
    {"phi", "phi2", phi_keys, phi_tensors, NULL, 1e4, .partial = 0.5},
    {"phi3", "phi3", phi3_keys, phi3_tensors, NULL, 1e4, .partial = 1.0},
    {"starcoder2", "starcoder2", starcoder2_keys, starcoder2_tensors, NULL, 1e4},
    {"stablelm", "stablelm", stablelm_keys, stablelm_tensors, NULL, 1e4, .partial = 0.25},
    {"falcon", "falcon", falcon_keys, falcon_tensors, NULL, 1e4, .prefixes = "transformer."},
    {"cohere", "command-r", cohere_keys, cohere_tensors, NULL, 5e5},
    {"cohere2", "cohere2", cohere2_keys, cohere_tensors, NULL, 1e4},
    {"glm", "chatglm", glm_keys, glm_tensors, NULL, 1e4, .partial = 0.5},
    {"glm4", "glm4", glm_keys, glm4_tensors, NULL, 1e4, .partial = 0.5},
    {.model_type = NULL},
};
