/* Families with experts. */
#include "format/hf_rows.h"

/* What belongs to training, or to the shapes of tensors. */
#define TRAINING                                                                    \
    {"output_router_logits", HF_NO_EFFECT}, {"router_aux_loss_coef", HF_NO_EFFECT}, \
        {"router_jitter_noise", HF_NO_EFFECT},

#define EXPERTS(n, n_used)                              \
    {"num_local_experts", HF_INTEGER, "expert_count"},  \
        {"num_experts", HF_INTEGER, "expert_count", n}, \
        {"num_experts_per_tok", HF_INTEGER, "expert_used_count", n_used}, TRAINING

#define EPS(fallback) {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", fallback},

#define ATTENTION_WEIGHTS                                                                \
    {"embed_tokens.weight", "token_embd.weight"}, {"norm.weight", "output_norm.weight"}, \
        QKV_WEIGHTS HEAD_WEIGHT{"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight"},

/* ---- mixtral ---- */

static const struct hf_key mixtral_keys[] = {
    EPS("1e-5") SIZES HEADS("8") HEAD_DIM(NULL) CONTEXT("131072") ACT TIED("false")
        EXPERTS("8", "2"){"sliding_window", HF_INTEGER, "attention.sliding_window"},
    END};

static const struct hf_tensor mixtral_tensors[] = {
    ATTENTION_WEIGHTS PRE_NORMS
        /* w1 is the gate */
        SPARSE("block_sparse_moe.experts.%d.w1.weight", "ffn_gate_exps.weight"),
    SPARSE("block_sparse_moe.experts.%d.w3.weight", "ffn_up_exps.weight"),
    SPARSE("block_sparse_moe.experts.%d.w2.weight", "ffn_down_exps.weight"),
    SPARSE("block_sparse_moe.gate.weight", "ffn_gate_inp.weight"), END};

/* ---- minimax_m2 ---- */

static const struct hf_key minimax_m2_keys[] = {
    SIZES HEADS("8") HEAD_DIM("128") CONTEXT("196608") ACT TIED("false")
        EXPERTS("256", "8"){"rotary_dim", HF_INTEGER, "rope.dimension_count"},
    {"", HF_INTEGER, "expert_gating_func", "2"},
    {"", HF_BOOL, "expert_weights_norm", "true"},
    {"scoring_func", HF_MUST_BE, "sigmoid"},
    {"qk_norm_type", HF_MUST_BE, "per_layer"},
    {"use_qk_norm", HF_MUST_BE, "true"},
    {"use_routing_bias", HF_MUST_BE, "true"},
    {"shared_intermediate_size", HF_MUST_BE, "0"},
    {"sliding_window", HF_NO_EFFECT}, /* the class doesn't read it */
    {"auto_map", HF_NO_EFFECT},
    {"use_mtp", HF_NO_EFFECT}, /* predicts the token after the next, for speed */
    {"num_mtp_modules", HF_NO_EFFECT},
    {"mtp_transformer_layers", HF_NO_EFFECT},
    END};

static const struct hf_tensor minimax_m2_tensors[] = {
    ATTENTION_WEIGHTS PRE_NORMS QK_NORMS SPARSE("block_sparse_moe.experts.%d.w1.weight",
                                                "ffn_gate_exps.weight"),
    SPARSE("block_sparse_moe.experts.%d.w3.weight", "ffn_up_exps.weight"),
    SPARSE("block_sparse_moe.experts.%d.w2.weight", "ffn_down_exps.weight"),
    SPARSE("block_sparse_moe.gate.weight", "ffn_gate_inp.weight"),
    SPARSE("block_sparse_moe.e_score_correction_bias", "exp_probs_b.bias"),
    END};

/* ---- glm4_moe, dots1 ---- */

static const struct hf_key glm4_moe_keys[] = {
    EPS("1e-5") SIZES HEADS("8") HEAD_DIM(NULL) CONTEXT("131072") ACT TIED("false")
        ATTENTION_BIAS("false") ROUTED("128", "8", "1408", "1.0") SIGMOIDS("true")
            EXPERT_GROUPS("1", "1"){"first_k_dense_replace", HF_SPARSE_FIRST, NULL, "1"},
    {"use_qk_norm", HF_FLAG, NULL, "false"},
    {"num_mtp_layers", HF_NO_EFFECT},
    END};

static const struct hf_tensor glm4_moe_tensors[] = {
    ATTENTION_WEIGHTS QKV_BIASES("attention_bias")
        ROUTED_WEIGHTS{"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight"},
    {"layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", "use_qk_norm"},
    {"layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", "use_qk_norm"},
    END};

static const struct hf_key solar_open_keys[] = {
    EPS("1e-5") WIDTHS HEADS("8") HEAD_DIM("128") CONTEXT("131072") ACT TIED("false")
        ATTENTION_BIAS("false") ROUTED("128", "8", "1280", "1.0") SIGMOIDS("true")
            EXPERT_GROUPS("1", "1"){"first_k_dense_replace", HF_MUST_BE, "0"},
    {"use_qk_norm", HF_MUST_BE, "false"},
    END};

static const struct hf_tensor solar_open_tensors[] = {
    ATTENTION_WEIGHTS QKV_BIASES("attention_bias")
        ROUTED_WEIGHTS{"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight"},
    END};

static const struct hf_key dots1_keys[] = {
    SIZES HEADS("32") HEAD_DIM(NULL) CONTEXT("2048") ACT TIED("false") ATTENTION_BIAS("false")
        ROUTED(NULL, NULL, "1408", "1.0") SIGMOIDS("false")
            EXPERT_GROUPS("1", "1"){"first_k_dense_replace", HF_SPARSE_FIRST, NULL, "0"},
    {"sliding_window", HF_INTEGER, "attention.sliding_window", "4096"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern"},
    {"max_window_layers", HF_LATE_LAYERS, "attention.sliding_window_pattern", "62"},
    END};

static const struct hf_tensor dots1_tensors[] = {ATTENTION_WEIGHTS PRE_NORMS QK_NORMS QKV_BIASES(
    "attention_bias") OUT_BIAS("attention_bias") ROUTED_WEIGHTS END};

/* ---- qwen2_moe, qwen3_moe ---- */

#define QWEN_LAYERS                                                                             \
    {"norm_topk_prob", HF_BOOL, "expert_weights_norm", "false"},                                \
        {"decoder_sparse_step", HF_SPARSE_STEP, NULL, "1"}, {"mlp_only_layers", HF_DENSE_LIST}, \
        {"max_window_layers", HF_NO_EFFECT}, {"use_sliding_window", HF_FLAG, NULL, "false"},    \
        {"sliding_window", HF_INTEGER, "attention.sliding_window",                              \
         "4096",           false,      "use_sliding_window"},

static const struct hf_key qwen2_moe_keys[] = {
    SIZES HEADS("16") HEAD_DIM(NULL) CONTEXT("32768") ACT TIED("false") QWEN_LAYERS EXPERTS(
        "60", "4"){"moe_intermediate_size", HF_INTEGER, "expert_feed_forward_length", "1408"},
    {"shared_expert_intermediate_size", HF_COUNT, "expert_shared_feed_forward_length", "5632"},
    {"qkv_bias", HF_FLAG, NULL, "true"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern", NULL, false,
     "use_sliding_window"},
    {"layer_types", HF_FULL_LAYERS, NULL, NULL, false, "!use_sliding_window"},
    END};

static const struct hf_tensor qwen2_moe_tensors[] = {
    ATTENTION_WEIGHTS PRE_NORMS QKV_BIASES("qkv_bias")
        EXPERT_WEIGHTS("gate_proj", "up_proj", "down_proj")
            DENSE_WEIGHTS SHARED_WEIGHTS("shared_expert")
                SPARSE("mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight"),
    END};

static const struct hf_key qwen3_moe_keys[] = {
    SIZES HEADS("4") HEAD_DIM(NULL) CONTEXT("32768") ACT TIED("false") ATTENTION_BIAS("false")
        QWEN_LAYERS EXPERTS("128", "8"){"moe_intermediate_size", HF_INTEGER,
                                        "expert_feed_forward_length", "768"},
    {"", HF_LATE_LAYERS, "attention.sliding_window_pattern", "0", false, "use_sliding_window"},
    END};

static const struct hf_tensor qwen3_moe_tensors[] = {
    ATTENTION_WEIGHTS PRE_NORMS QK_NORMS QKV_BIASES("attention_bias") OUT_BIAS("attention_bias")
        EXPERT_WEIGHTS("gate_proj", "up_proj", "down_proj") DENSE_WEIGHTS END};

/* ---- ernie4_5_moe ---- */

static const struct hf_key ernie4_5_moe_keys[] = {
    EPS("1e-5") SIZES HEADS("4") HEAD_DIM(NULL) CONTEXT("131072") ACT TIED("true")
        TRAINING{"use_bias", HF_FLAG, NULL, "false"},
    {"moe_num_experts", HF_INTEGER, "expert_count", "64"},
    {"moe_k", HF_INTEGER, "expert_used_count", "6"},
    {"moe_intermediate_size", HF_INTEGER, "expert_feed_forward_length", "1536"},
    {"moe_num_shared_experts", HF_NO_EFFECT}, /* the tensors have them */
    {"moe_layer_interval", HF_SPARSE_STEP, "interleave_moe_layer_step", "1"},
    {"moe_layer_start_index", HF_SPARSE_FIRST, "leading_dense_block_count", "1"},
    {"moe_layer_end_index", HF_SPARSE_LAST, NULL, "-1"},
    {"moe_norm_min", HF_MUST_BE, "1e-12"},
    {"moe_capacity", HF_NO_EFFECT},
    {"moe_use_aux_free", HF_NO_EFFECT},
    END};

#define OPTIONAL(name, target) \
    { "layers.%d." name, "blk.%d." target, "?", HF_AS_THEY_ARE, HF_SPARSE_LAYERS }

static const struct hf_tensor ernie4_5_moe_tensors[] = {
    ATTENTION_WEIGHTS PRE_NORMS QKV_BIASES("use_bias") OUT_BIAS("use_bias")
        EXPERT_WEIGHTS("gate_proj", "up_proj", "down_proj")
            DENSE_WEIGHTS DENSE("mlp.gate_proj.bias", "ffn_gate.bias", "use_bias"),
    DENSE("mlp.up_proj.bias", "ffn_up.bias", "use_bias"),
    DENSE("mlp.down_proj.bias", "ffn_down.bias", "use_bias"),
    SPARSE("mlp.moe_statics.e_score_correction_bias", "exp_probs_b.bias"),
    SPARSE("mlp.gate.moe_statics.e_score_correction_bias", "exp_probs_b.bias"),
    OPTIONAL("mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight"),
    OPTIONAL("mlp.shared_experts.up_proj.weight", "ffn_up_shexp.weight"),
    OPTIONAL("mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight"),
    OPTIONAL("mlp.shared_experts.gate_proj.bias", "ffn_gate_shexp.bias"),
    OPTIONAL("mlp.shared_experts.up_proj.bias", "ffn_up_shexp.bias"),
    OPTIONAL("mlp.shared_experts.down_proj.bias", "ffn_down_shexp.bias"),
    {"lm_head.bias", "output.bias", "use_bias"},
    {"mtp_*", NULL}, /* predicts the token after the next, for speed */
    END};

/* ---- gpt_oss ---- */

static const struct hf_key gpt_oss_keys[] = {
    EPS("1e-5") SIZES HEADS("8") HEAD_DIM("64") CONTEXT("131072") TIED("false")
        ATTENTION_BIAS("true") EXPERTS("128", "4"){"hidden_act", HF_MUST_BE, "silu|swish"},
    {"intermediate_size", HF_INTEGER, "expert_feed_forward_length"},
    {"swiglu_alpha", HF_MUST_BE, "1.702"},
    {"swiglu_limit", HF_MUST_BE, "7.0|7"},
    {"sliding_window", HF_INTEGER, "attention.sliding_window", "128"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern"},
    {"initial_context_length", HF_NO_EFFECT},
    {"experts_per_token", HF_NO_EFFECT},
    END};

static const struct hf_tensor gpt_oss_tensors[] = {
    ATTENTION_WEIGHTS QKV_BIASES("attention_bias")
        OUT_BIAS("attention_bias"){"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight"},
    {"layers.%d.self_attn.sinks", "blk.%d.attn_sinks.weight"},
    {"layers.%d.mlp.router.weight", "blk.%d.ffn_gate_inp.weight"},
    {"layers.%d.mlp.router.bias", "blk.%d.ffn_gate_inp.bias"},
    {"layers.%d.mlp.experts.gate_up_proj", "blk.%d.ffn_gate_exps.weight|blk.%d.ffn_up_exps.weight",
     NULL, HF_IN_TURNS},
    {"layers.%d.mlp.experts.gate_up_proj_bias", "blk.%d.ffn_gate_exps.bias|blk.%d.ffn_up_exps.bias",
     NULL, HF_IN_TURNS},
    {"layers.%d.mlp.experts.down_proj", "blk.%d.ffn_down_exps.weight", NULL, HF_TRANSPOSED},
    {"layers.%d.mlp.experts.down_proj_bias", "blk.%d.ffn_down_exps.bias"},
    END};

/* ---- olmoe ---- */

static const struct hf_key olmoe_keys[] = {
    EPS("1e-5") SIZES HEADS(NULL) HEAD_DIM(NULL) CONTEXT("4096") ACT TIED("false")
        ATTENTION_BIAS("false") EXPERTS("64", "8"){"clip_qkv", HF_MUST_BE, ""},
    {"norm_topk_prob", HF_BOOL, "expert_weights_norm", "false"},
    END};

static const struct hf_tensor olmoe_tensors[] = {
    ATTENTION_WEIGHTS PRE_NORMS QK_NORMS QKV_BIASES("attention_bias") OUT_BIAS("attention_bias")
        EXPERT_WEIGHTS("gate_proj", "up_proj", "down_proj") END};

/* ---- flex_olmo ---- */

static const struct hf_key flex_olmo_keys[] = {
    SIZES HEADS(NULL) CONTEXT("4096") ACT TIED("false") ATTENTION_BIAS("false")
        EXPERTS("7", "5"){"norm_topk_prob", HF_BOOL, "expert_weights_norm", "false"},
    END};

static const struct hf_tensor flex_olmo_tensors[] = {
    ATTENTION_WEIGHTS QK_NORMS QKV_BIASES("attention_bias") OUT_BIAS("attention_bias")
        EXPERT_WEIGHTS("gate_proj", "up_proj", "down_proj"){
            "layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight"},
    {"layers.%d.post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight"},
    END};

/* ---- granitemoe, granitemoeshared ---- */

static const struct hf_key granitemoe_keys[] = {
    SIZES HEADS(NULL) CONTEXT("2048") ACT TIED("false") ATTENTION_BIAS("false")
        EXPERTS("8", "2"){"attention_multiplier", HF_NUMBER, "attention.scale", "1.0"},
    {"embedding_multiplier", HF_NUMBER, "embedding_scale"},
    {"residual_multiplier", HF_NUMBER, "residual_scale"},
    {"logits_scaling", HF_NUMBER, "logit_scale"},
    {"shared_intermediate_size", HF_COUNT, "expert_shared_feed_forward_length"},
    END};

static const struct hf_tensor granitemoe_tensors[] = {
    ATTENTION_WEIGHTS PRE_NORMS QKV_BIASES("attention_bias") OUT_BIAS("attention_bias")
        SPARSE("block_sparse_moe.router.layer.weight", "ffn_gate_inp.weight"),
    SPARSE("block_sparse_moe.input_linear.weight",
           "ffn_gate_exps.weight|blk.%d.ffn_up_exps.weight"),
    SPARSE("block_sparse_moe.output_linear.weight", "ffn_down_exps.weight"),
    OPTIONAL("shared_mlp.input_linear.weight", "ffn_gate_shexp.weight|blk.%d.ffn_up_shexp.weight"),
    OPTIONAL("shared_mlp.output_linear.weight", "ffn_down_shexp.weight"),
    END};

const struct hf_family hf_expert_families[] = {
    {"mixtral", "llama", mixtral_keys, mixtral_tensors, "halves", 1e6},
    {"minimax_m2", "minimax-m2", minimax_m2_keys, minimax_m2_tensors, NULL, 5e6, .partial = 1.0},
    {"glm4_moe", "glm4moe", glm4_moe_keys, glm4_moe_tensors, NULL, 1e4, .partial = 0.5},
    {"solar_open", "glm4moe", solar_open_keys, solar_open_tensors, NULL, 1e6},
    {"dots1", "dots1", dots1_keys, dots1_tensors, NULL, 1e4},
    {"qwen2_moe", "qwen2moe", qwen2_moe_keys, qwen2_moe_tensors, NULL, 1e4},
    {"qwen3_moe", "qwen3moe", qwen3_moe_keys, qwen3_moe_tensors, NULL, 1e4},
    {"ernie4_5_moe", "ernie4_5-moe", ernie4_5_moe_keys, ernie4_5_moe_tensors, NULL, 5e5},
    {"gpt_oss", "gpt-oss", gpt_oss_keys, gpt_oss_tensors, NULL, 1.5e5, .rope_required = true},
    {"olmoe", "olmoe", olmoe_keys, olmoe_tensors, NULL, 1e4},
    {"flex_olmo", "flex-olmo", flex_olmo_keys, flex_olmo_tensors, NULL, 5e5},
    {"granitemoe", "granitemoe", granitemoe_keys, granitemoe_tensors, "halves", 1e4},
    {"granitemoeshared", "granitemoe", granitemoe_keys, granitemoe_tensors, "halves", 1e4},
    {.model_type = NULL},
};
