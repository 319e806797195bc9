/* Llama and what has its shape. */
#include "format/hf_rows.h"

/* ---- llama, mistral ---- */

static const struct hf_key llama_keys[] = {
    SIZES HEADS(NULL) HEAD_DIM(NULL) CONTEXT("2048") ACT TIED("false") ATTENTION_BIAS("false")
        MLP_BIAS{"rope_interleaved", HF_MUST_BE, "false"},
    {"layer_types", HF_FULL_LAYERS},
    END};

/* What has llama's code in transformers under a name of its own. */
static const struct hf_key internlm3_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-5"},
    SIZES HEADS("2") HEAD_DIM("128") CONTEXT("32768") ACT TIED("false") ATTENTION_BIAS("false")
        MLP_BIAS{"qkv_bias", HF_MUST_BE, "false"},
    {"bias", HF_MUST_BE, "false"},
    {"auto_map", HF_NO_EFFECT},
    END};

static const struct hf_key iquestcoder_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-5"},
    SIZES HEADS("8") HEAD_DIM("128") CONTEXT("131072") ACT TIED("false") ATTENTION_BIAS("false")
        MLP_BIAS{"clip_qkv", HF_MUST_BE, ""},
    {"use_sliding_window", HF_MUST_BE, "false"},
    {"sliding_window", HF_NO_EFFECT},
    {"max_window_layers", HF_NO_EFFECT},
    {"auto_map", HF_NO_EFFECT},
    END};

static const struct hf_tensor llama_tensors[] = {PROJECTIONS PRE_NORMS QKV_BIASES(
    "attention_bias") OUT_BIAS("attention_bias") FFN_BIASES("mlp_bias") END};

static const struct hf_key mistral_keys[] = {
    SIZES HEADS("8") HEAD_DIM(NULL) CONTEXT("131072")
        ACT TIED("false"){"sliding_window", HF_INTEGER, "attention.sliding_window", "4096"},
    {"attention_bias", HF_MUST_BE, "false"},
    {"mlp_bias", HF_MUST_BE, "false"},
    {"layer_types", HF_FULL_LAYERS},
    END};

static const struct hf_tensor mistral_tensors[] = {PROJECTIONS PRE_NORMS END};

static const struct hf_key ministral_keys[] = {
    SIZES HEADS("8") HEAD_DIM(NULL) CONTEXT("131072")
        ACT TIED("false"){"sliding_window", HF_INTEGER, "attention.sliding_window", "4096"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern"},
    END};

/* ---- cwm, helium ---- */

static const struct hf_key cwm_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-5"},
    SIZES HEADS("8") HEAD_DIM("128") CONTEXT("131072") ACT TIED("false")
        MLP_BIAS{"sliding_window", HF_INTEGER, "attention.sliding_window", "8192"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern", NULL, true},
    {"attention_bias", HF_MUST_BE, "false"},
    END};

static const struct hf_tensor cwm_tensors[] = {PROJECTIONS PRE_NORMS FFN_BIASES("mlp_bias") END};

static const struct hf_key helium_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-8"},
    SIZES HEADS("20") HEAD_DIM("128") CONTEXT("4096") ACT TIED("false") ATTENTION_BIAS("false")
        MLP_BIAS END};

static const struct hf_tensor helium_tensors[] = {PROJECTIONS PRE_NORMS QKV_BIASES("attention_bias")
                                                      FFN_BIASES("mlp_bias") END};

/* ---- qwen2, qwen3 ---- */

#define LATE_WINDOWS                                                                           \
    {"use_sliding_window", HF_FLAG, NULL, "false"},                                            \
        {"sliding_window", HF_INTEGER, "attention.sliding_window",                             \
         "4096",           false,      "use_sliding_window"},                                  \
        {"layer_types", HF_LAYERS, "attention.sliding_window_pattern",                         \
         NULL,          false,     "use_sliding_window"},                                      \
        {"max_window_layers", HF_LATE_LAYERS, "attention.sliding_window_pattern", "28", false, \
         "use_sliding_window"},                                                                \
        {"layer_types", HF_FULL_LAYERS, NULL, NULL, false, "!use_sliding_window"},

static const struct hf_key qwen2_keys[] = {
    SIZES HEADS("32") HEAD_DIM(NULL) CONTEXT("32768") ACT TIED("false")
        LATE_WINDOWS{"use_mrope", HF_MUST_BE, "false"},
    {"attention_bias", HF_NO_EFFECT}, /* q, k and v have them always */
    END};

static const struct hf_tensor qwen2_tensors[] = {PROJECTIONS PRE_NORMS QKV_BIASES(NULL) END};

static const struct hf_key qwen3_keys[] = {SIZES HEADS("32") HEAD_DIM("128") CONTEXT(
    "32768") ACT TIED("false") ATTENTION_BIAS("false") LATE_WINDOWS END};

static const struct hf_tensor qwen3_tensors[] = {
    PROJECTIONS PRE_NORMS QK_NORMS QKV_BIASES("attention_bias") OUT_BIAS("attention_bias") END};

/* ---- olmo, olmo2, olmo3 ---- */

static const struct hf_key olmo_keys[] = {
    SIZES HEADS(NULL) CONTEXT("2048") ACT TIED("false")
        ATTENTION_BIAS("false"){"", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"clip_qkv", HF_NUMBER, "attention.clamp_kqv"},
    END};

static const struct hf_tensor olmo_tensors[] = {{"embed_tokens.weight", "token_embd.weight"},
                                                QKV_WEIGHTS MATRICES QKV_BIASES("attention_bias")
                                                    OUT_BIAS("attention_bias") END};

static const struct hf_key olmo2_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-5"},
    SIZES HEADS(NULL) CONTEXT("2048") ACT TIED("false") ATTENTION_BIAS("false") END};

static const struct hf_key olmo3_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-5"},
    SIZES HEADS(NULL) CONTEXT("2048") ACT TIED("false")
        ATTENTION_BIAS("false"){"sliding_window", HF_INTEGER, "attention.sliding_window", "4096"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern"},
    END};

static const struct hf_tensor olmo2_tensors[] = {
    PROJECTIONS QK_NORMS QKV_BIASES("attention_bias") OUT_BIAS("attention_bias"){
        "layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight"},
    {"layers.%d.post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight"},
    END};

/* ---- granite, hyperclovax ---- */

#define MULTIPLIERS                                           \
    {"embedding_multiplier", HF_NUMBER, "embedding_scale"},   \
        {"residual_multiplier", HF_NUMBER, "residual_scale"}, \
        {"logits_scaling", HF_NUMBER, "logit_scale"},

static const struct hf_key granite_keys[] = {
    SIZES HEADS(NULL) CONTEXT("2048") ACT TIED("false") ATTENTION_BIAS("false")
        MLP_BIAS MULTIPLIERS{"attention_multiplier", HF_NUMBER, "attention.scale", "1.0"},
    END};

static const struct hf_key hyperclovax_keys[] = {
    SIZES HEADS(NULL) HEAD_DIM(NULL) CONTEXT("2048") ACT TIED("false") ATTENTION_BIAS("false")
        MLP_BIAS MULTIPLIERS{"attention_multiplier", HF_NUMBER, "attention.scale"},
    {"use_post_norm", HF_FLAG, NULL, "true"},
    END};

static const struct hf_tensor hyperclovax_tensors[] = {
    PROJECTIONS PRE_NORMS QKV_BIASES("attention_bias") OUT_BIAS("attention_bias")
        FFN_BIASES("mlp_bias"){"layers.%d.post_norm1.weight", "blk.%d.post_attention_norm.weight",
                               "use_post_norm"},
    {"layers.%d.post_norm2.weight", "blk.%d.post_ffw_norm.weight", "use_post_norm"},
    END};

/* ---- smollm3, ernie4_5, seed_oss ---- */

static const struct hf_key smollm3_keys[] = {
    SIZES HEADS("4") HEAD_DIM(NULL) CONTEXT("32768") ACT TIED("true") ATTENTION_BIAS("false")
        MLP_BIAS{"no_rope_layers", HF_INTEGERS, "rope.layers"},
    {"no_rope_layer_interval", HF_INTEGER, "rope.layer_interval", "4"},
    {"use_sliding_window", HF_FLAG, NULL, "false"},
    {"sliding_window", HF_INTEGER, "attention.sliding_window", NULL, false, "use_sliding_window"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern", NULL, false,
     "use_sliding_window"},
    {"layer_types", HF_FULL_LAYERS, NULL, NULL, false, "!use_sliding_window"},
    END};

static const struct hf_key ernie4_5_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-5"},
    SIZES HEADS("2") HEAD_DIM("128") CONTEXT("131072")
        ACT TIED("true"){"use_bias", HF_FLAG, NULL, "false"},
    END};

static const struct hf_tensor ernie4_5_tensors[] = {
    PROJECTIONS PRE_NORMS QKV_BIASES("use_bias") OUT_BIAS("use_bias") FFN_BIASES("use_bias") END};

static const struct hf_key seed_oss_keys[] = {
    SIZES HEADS("8") HEAD_DIM("128") CONTEXT("524288") ACT TIED("false") ATTENTION_BIAS("true")
        MLP_BIAS{"attention_out_bias", HF_FLAG, NULL, "false"},
    {"residual_dropout", HF_NO_EFFECT},
    END};

static const struct hf_tensor seed_oss_tensors[] = {
    PROJECTIONS QKV_BIASES("attention_bias") OUT_BIAS("attention_out_bias")
        FFN_BIASES("mlp_bias"){"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight"},
    END};

const struct hf_family hf_llama_families[] = {
    {"llama", "llama", llama_keys, llama_tensors, "halves", 1e4},
    {"internlm3", "llama", internlm3_keys, llama_tensors, "halves", 1e4},
    {"iquestcoder", "llama", iquestcoder_keys, llama_tensors, "halves", 1e4},
    {"mistral", "llama", mistral_keys, mistral_tensors, "halves", 1e4},
    {"ministral", "llama", ministral_keys, mistral_tensors, "halves", 1e4},
    {"cwm", "llama", cwm_keys, cwm_tensors, "halves", 1e6, .rope_required = true},
    {"helium", "llama", helium_keys, helium_tensors, NULL, 1e5},
    {"qwen2", "qwen2", qwen2_keys, qwen2_tensors, NULL, 1e4},
    {"qwen3", "qwen3", qwen3_keys, qwen3_tensors, NULL, 1e4},
    {"olmo", "olmo", olmo_keys, olmo_tensors, "halves", 1e4},
    {"olmo2", "olmo2", olmo2_keys, olmo2_tensors, NULL, 1e4},
    {"olmo3", "olmo2", olmo3_keys, olmo2_tensors, NULL, 5e5, 5e5},
    {"granite", "granite", granite_keys, llama_tensors, "halves", 1e4},
    {"hyperclovax", "hyperclovax", hyperclovax_keys, hyperclovax_tensors, NULL, 1e4},
    {"smollm3", "smollm3", smollm3_keys, llama_tensors, "halves", 2e6},
    {"ernie4_5", "ernie4_5", ernie4_5_keys, ernie4_5_tensors, NULL, 5e5},
    {"seed_oss", "seed_oss", seed_oss_keys, seed_oss_tensors, NULL, 1e4},
    {.model_type = NULL},
};
