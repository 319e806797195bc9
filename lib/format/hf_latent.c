/* Families with latent attention. */
#include "format/hf_rows.h"

/* The number of a query's dims is the sum of those without rope and those with it. */
#define LATENT(kv_rank, q_rank, plain, rotated)                            \
    {"kv_lora_rank", HF_INTEGER, "attention.kv_lora_rank", kv_rank},       \
        {"q_lora_rank", HF_INTEGER, "attention.q_lora_rank", q_rank},      \
        {"qk_nope_head_dim", HF_INTEGER, "attention.key_length", plain},   \
        {"qk_rope_head_dim", HF_INTEGER, "rope.dimension_count", rotated}, \
        {"qk_rope_head_dim", HF_ADD, "attention.key_length", rotated},     \
        {"qk_head_dim", HF_NO_EFFECT}, {"head_dim", HF_NO_EFFECT},

#define V_HEAD_DIM(fallback) {"v_head_dim", HF_INTEGER, "attention.value_length", fallback},

#define INTERLEAVE                              \
    {"rope_interleave", HF_FLAG, NULL, "true"}, \
        {"", HF_TEXT, "rope.pairing", "halves", false, "!rope_interleave"},

#define LATENT_WEIGHTS                                                                     \
    {"embed_tokens.weight", "token_embd.weight"}, {"norm.weight", "output_norm.weight"},   \
        HEAD_WEIGHT PRE_NORMS{"layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", \
                              "!q_lora_rank"},                                             \
        {"layers.%d.self_attn.q_a_proj.weight", "blk.%d.attn_q_a.weight", "q_lora_rank"},  \
        {"layers.%d.self_attn.q_a_proj.bias", "blk.%d.attn_q_a.bias",                      \
         "q_lora_rank&attention_bias"},                                                    \
        {"layers.%d.self_attn.q_a_layernorm.weight", "blk.%d.attn_q_a_norm.weight",        \
         "q_lora_rank"},                                                                   \
        {"layers.%d.self_attn.q_b_proj.weight", "blk.%d.attn_q_b.weight", "q_lora_rank"},  \
        {"layers.%d.self_attn.kv_a_proj_with_mqa.weight", "blk.%d.attn_kv_a_mqa.weight"},  \
        {"layers.%d.self_attn.kv_a_proj_with_mqa.bias", "blk.%d.attn_kv_a_mqa.bias",       \
         "attention_bias"},                                                                \
        {"layers.%d.self_attn.kv_a_layernorm.weight", "blk.%d.attn_kv_a_norm.weight"},     \
        {"layers.%d.self_attn.kv_b_proj.weight", "blk.%d.attn_kv_b.weight"},               \
        {"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight"},                \
        OUT_BIAS("attention_bias")

#define SIGMOID_WEIGHTS LATENT_WEIGHTS ROUTED_WEIGHTS

/* ---- deepseek_v2 ---- */

static const struct hf_key deepseek_v2_keys[] = {
    SIZES HEADS(NULL) CONTEXT("2048") ACT TIED("false") ATTENTION_BIAS("false")
        MLP_BIAS LATENT("512", "1536", "128", "64") V_HEAD_DIM("128")
            ROUTED("64", NULL, "1407", "1.0"){"first_k_dense_replace", HF_SPARSE_FIRST, NULL, "0"},
    {"", HF_INTEGER, "expert_gating_func", "1"},
    {"topk_method", HF_MUST_BE, "greedy|group_limited_greedy"},
    {"n_group", HF_INTEGER, "expert_group_count", NULL, false, "topk_method=group_limited_greedy"},
    {"topk_group", HF_INTEGER, "expert_group_used_count", NULL, false,
     "topk_method=group_limited_greedy"},
    {"scoring_func", HF_MUST_BE, "softmax"},
    {"norm_topk_prob", HF_NO_EFFECT}, /* transformers' class has it and doesn't read it */
    END};

static const struct hf_tensor deepseek_v2_tensors[] = {
    LATENT_WEIGHTS EXPERT_WEIGHTS("gate_proj", "up_proj", "down_proj")
        DENSE_WEIGHTS SHARED_WEIGHTS("shared_experts")
            DENSE("mlp.gate_proj.bias", "ffn_gate.bias", "mlp_bias"),
    DENSE("mlp.up_proj.bias", "ffn_up.bias", "mlp_bias"),
    DENSE("mlp.down_proj.bias", "ffn_down.bias", "mlp_bias"),
    SPARSE_WHEN("mlp.shared_experts.gate_proj.bias", "ffn_gate_shexp.bias", "mlp_bias"),
    SPARSE_WHEN("mlp.shared_experts.up_proj.bias", "ffn_up_shexp.bias", "mlp_bias"),
    SPARSE_WHEN("mlp.shared_experts.down_proj.bias", "ffn_down_shexp.bias", "mlp_bias"),
    END};

/* ---- deepseek_v3, glm4_moe_lite, youtu ---- */

static const struct hf_key deepseek_v3_keys[] = {
    SIZES HEADS(NULL) CONTEXT("4096") ACT TIED("false") ATTENTION_BIAS("false")
        LATENT("512", "1536", "128", "64") V_HEAD_DIM("128") ROUTED("256", "8", "2048", "2.5")
            SIGMOIDS("true") EXPERT_GROUPS("8", "4")
                INTERLEAVE{"first_k_dense_replace", HF_SPARSE_FIRST, NULL, "3"},
    END};

static const struct hf_tensor deepseek_v3_tensors[] = {SIGMOID_WEIGHTS END};

static const struct hf_key glm4_moe_lite_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-5"},
    SIZES HEADS(NULL) CONTEXT("202752") ACT TIED("false") ATTENTION_BIAS("false")
        LATENT("512", "768", "192", "64") V_HEAD_DIM("256") ROUTED("64", "4", "1536", "1.8")
            SIGMOIDS("true") EXPERT_GROUPS("1", "1") INTERLEAVE{"mlp_layer_types", HF_MLP_TYPES},
    {"first_k_dense_replace", HF_MUST_BE, "1"},
    END};

static const struct hf_key youtu_keys[] = {
    SIZES HEADS(NULL) CONTEXT("131072") ACT TIED("true") ATTENTION_BIAS("false")
        LATENT("512", "1536", "128", "64") V_HEAD_DIM("128")
            INTERLEAVE OF_TRAINING{"embedding_initializer_range", HF_NO_EFFECT},
    END};

static const struct hf_tensor dense_tensors[] = {
    LATENT_WEIGHTS{"layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight"},
    {"layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight"},
    {"layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight"},
    FFN_BIASES("mlp_bias") END};

/* ---- minicpm3 ---- */

static const struct hf_key minicpm3_keys[] = {
    {"rms_norm_eps", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-5"},
    SIZES HEADS(NULL) CONTEXT("32768") ACT TIED("true") ATTENTION_BIAS("false")
        MLP_BIAS LATENT("256", "768", "64", "32") V_HEAD_DIM(NULL)
            OF_TRAINING{"scale_emb", HF_NUMBER, "embedding_scale", "12"},
    {"scale_depth", HF_PER_ROOT_DEPTH, "residual_scale", "1.4"},
    {"dim_model_base", HF_WIDTH_RATIO, "logit_scale", "256"},
    END};

const struct hf_family hf_latent_families[] = {
    {"deepseek_v2", "deepseek2", deepseek_v2_keys, deepseek_v2_tensors, NULL, 1e4,
     .scales_scores = true},
    {"deepseek_v3", "deepseek2", deepseek_v3_keys, deepseek_v3_tensors, NULL, 1e4,
     .scales_scores = true},
    {"kimi_k2", "deepseek2", deepseek_v3_keys, deepseek_v3_tensors, NULL, 1e4,
     .scales_scores = true},
    {"glm4_moe_lite", "deepseek2", glm4_moe_lite_keys, deepseek_v3_tensors, NULL, 1e4,
     .scales_scores = true},
    {"youtu", "deepseek2", youtu_keys, dense_tensors, NULL, 1e4, .scales_scores = true},
    {"minicpm3", "minicpm3", minicpm3_keys, dense_tensors, NULL, 1e4, .scales_scores = true},
    {.model_type = NULL},
};
