/* GPT-2 and what followed it: layer norms, FFNs without a gate. */
#include "format/hf_rows.h"

#define GPT_SIZES(context)                                                                        \
    {"n_embd", HF_INTEGER, "embedding_length"},                                                   \
        {"hidden_size", HF_INTEGER, "embedding_length", NULL, false},                             \
        {"n_layer", HF_INTEGER, "block_count"}, {"num_hidden_layers", HF_INTEGER, "block_count"}, \
        {"n_head", HF_INTEGER, "attention.head_count"},                                           \
        {"num_attention_heads", HF_INTEGER, "attention.head_count"},                              \
        {"n_positions", HF_INTEGER, "context_length"},                                            \
        {"max_position_embeddings", HF_INTEGER, "context_length", context},                       \
        {"vocab_size", HF_INTEGER, "vocab_size"}, {"n_inner", HF_INTEGER, "feed_forward_length"}, \
        {"", HF_WIDTHS, "feed_forward_length", "4"}, {"n_ctx", HF_NO_EFFECT},                     \
        {"layer_norm_epsilon", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},                \
        {"activation_function", HF_ACTIVATION, "activation"}, {"summary_type", HF_NO_EFFECT},     \
        {"summary_use_proj", HF_NO_EFFECT}, {"summary_activation", HF_NO_EFFECT},                 \
        {"summary_proj_to_labels", HF_NO_EFFECT}, {"summary_first_dropout", HF_NO_EFFECT},        \
        {"embd_pdrop", HF_NO_EFFECT}, {"resid_pdrop", HF_NO_EFFECT}, {"attn_pdrop", HF_NO_EFFECT},

#define SCALED                                     \
    {"scale_attn_weights", HF_FLAG, NULL, "true"}, \
        {"", HF_NUMBER, "attention.scale", "1", false, "!scale_attn_weights"},

/* form: of the matrices; qkv: of q, k and v */
#define GPT_TENSORS(form, qkv)                                                              \
    HEAD_WEIGHT{"wte.weight", "token_embd.weight"}, {"wpe.weight", "position_embd.weight"}, \
        {"ln_f.weight", "output_norm.weight"}, {"ln_f.bias", "output_norm.bias"},           \
        {"h.%d.attn.bias", NULL}, {"h.%d.attn.masked_bias", NULL},                          \
        {"h.%d.ln_1.weight", "blk.%d.attn_norm.weight"},                                    \
        {"h.%d.ln_1.bias", "blk.%d.attn_norm.bias"},                                        \
        {"h.%d.ln_2.weight", "blk.%d.ffn_norm.weight"},                                     \
        {"h.%d.ln_2.bias", "blk.%d.ffn_norm.bias"},                                         \
        {"h.%d.attn.c_attn.weight", "blk.%d.attn_qkv.weight", NULL, qkv},                   \
        {"h.%d.attn.c_attn.bias", "blk.%d.attn_qkv.bias", NULL, qkv},                       \
        {"h.%d.attn.c_proj.weight", "blk.%d.attn_output.weight", NULL, form},               \
        {"h.%d.attn.c_proj.bias", "blk.%d.attn_output.bias"},                               \
        {"h.%d.mlp.c_fc.weight", "blk.%d.ffn_up.weight", NULL, form},                       \
        {"h.%d.mlp.c_fc.bias", "blk.%d.ffn_up.bias"},                                       \
        {"h.%d.mlp.c_proj.weight", "blk.%d.ffn_down.weight", NULL, form},                   \
        {"h.%d.mlp.c_proj.bias", "blk.%d.ffn_down.bias"},

/* ---- gpt2, gpt_bigcode ---- */

static const struct hf_key gpt2_keys[] = {
    GPT_SIZES("1024") SCALED TIED("true"){"scale_attn_by_inverse_layer_idx", HF_BOOL,
                                          "attention.scale_by_layer", "false"},
    {"reorder_and_upcast_attn", HF_NO_EFFECT}, /* all is F32 */
    END};

static const struct hf_tensor gpt2_tensors[] = {GPT_TENSORS(HF_TRANSPOSED, HF_TRANSPOSED) END};

static const struct hf_key gpt_bigcode_keys[] = {
    GPT_SIZES("1024") SCALED TIED("true"){"multi_query", HF_FLAG, NULL, "true"},
    {"", HF_INTEGER, "attention.head_count_kv", "1", false, "multi_query"},
    {"attention_softmax_in_fp32", HF_NO_EFFECT},
    {"scale_attention_softmax_in_fp32", HF_NO_EFFECT},
    {"inference_runner", HF_NO_EFFECT},
    {"max_batch_size", HF_NO_EFFECT},
    {"pad_key_length", HF_NO_EFFECT},
    {"pre_allocate_kv_cache", HF_NO_EFFECT},
    {"validate_runner_input", HF_NO_EFFECT},
    {"num_key_value_heads", HF_NO_EFFECT},
    END};

static const struct hf_tensor gpt_bigcode_tensors[] = {GPT_TENSORS(HF_AS_THEY_ARE, HF_BY_GROUPS)
                                                           END};

/* ---- gpt_neo, gptj, gpt_neox ---- */

static const struct hf_key gpt_neo_keys[] = {
    {"hidden_size", HF_INTEGER, "embedding_length", "2048"},
    {"num_layers", HF_INTEGER, "block_count"},
    {"num_hidden_layers", HF_INTEGER, "block_count", "24"},
    {"num_heads", HF_INTEGER, "attention.head_count"},
    {"num_attention_heads", HF_INTEGER, "attention.head_count", "16"},
    CONTEXT("2048"){"vocab_size", HF_INTEGER, "vocab_size"},
    {"intermediate_size", HF_INTEGER, "feed_forward_length"},
    {"", HF_WIDTHS, "feed_forward_length", "4"},
    {"layer_norm_epsilon", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"activation_function", HF_ACTIVATION, "activation"},
    {"window_size", HF_INTEGER, "attention.sliding_window", "256"},
    {"attention_types", HF_LAYER_GROUPS, "attention.sliding_window_pattern"},
    {"attention_layers", HF_NO_EFFECT}, /* attention_types, written out */
    {"resid_dropout", HF_NO_EFFECT},
    {"embed_dropout", HF_NO_EFFECT},
    {"classifier_dropout", HF_NO_EFFECT},
    {"summary_type", HF_NO_EFFECT},
    {"summary_use_proj", HF_NO_EFFECT},
    {"summary_activation", HF_NO_EFFECT},
    {"summary_proj_to_labels", HF_NO_EFFECT},
    {"summary_first_dropout", HF_NO_EFFECT},
    {"gradient_checkpointing", HF_NO_EFFECT},
    TIED("true") END};

static const struct hf_tensor gpt_neo_tensors[] = {
    HEAD_WEIGHT{"wte.weight", "token_embd.weight"},
    {"wpe.weight", "position_embd.weight"},
    {"ln_f.weight", "output_norm.weight"},
    {"ln_f.bias", "output_norm.bias"},
    {"h.%d.attn.attention.bias", NULL},
    {"h.%d.attn.attention.masked_bias", NULL},
    {"h.%d.ln_1.weight", "blk.%d.attn_norm.weight"},
    {"h.%d.ln_1.bias", "blk.%d.attn_norm.bias"},
    {"h.%d.ln_2.weight", "blk.%d.ffn_norm.weight"},
    {"h.%d.ln_2.bias", "blk.%d.ffn_norm.bias"},
    {"h.%d.attn.attention.q_proj.weight", "blk.%d.attn_q.weight"},
    {"h.%d.attn.attention.k_proj.weight", "blk.%d.attn_k.weight"},
    {"h.%d.attn.attention.v_proj.weight", "blk.%d.attn_v.weight"},
    {"h.%d.attn.attention.out_proj.weight", "blk.%d.attn_output.weight"},
    {"h.%d.attn.attention.out_proj.bias", "blk.%d.attn_output.bias"},
    {"h.%d.mlp.c_fc.weight", "blk.%d.ffn_up.weight"},
    {"h.%d.mlp.c_fc.bias", "blk.%d.ffn_up.bias"},
    {"h.%d.mlp.c_proj.weight", "blk.%d.ffn_down.weight"},
    {"h.%d.mlp.c_proj.bias", "blk.%d.ffn_down.bias"},
    END};

static const struct hf_key gptj_keys[] = {
    GPT_SIZES("2048"){"rotary_dim", HF_INTEGER, "rope.dimension_count", "64"},
    {"rotary", HF_MUST_BE, "true"},
    {"scale_attn_weights", HF_MUST_BE, "true"},
    {"gradient_checkpointing", HF_NO_EFFECT},
    TIED("false") END};

static const struct hf_tensor gptj_tensors[] = {
    HEAD_WEIGHT{"lm_head.bias", "output.bias"},
    {"wte.weight", "token_embd.weight"},
    {"ln_f.weight", "output_norm.weight"},
    {"ln_f.bias", "output_norm.bias"},
    {"h.%d.attn.bias", NULL},
    {"h.%d.attn.masked_bias", NULL},
    {"h.%d.attn.embed_positions", NULL},
    {"h.%d.ln_1.weight", "blk.%d.attn_norm.weight"},
    {"h.%d.ln_1.bias", "blk.%d.attn_norm.bias"},
    {"h.%d.attn.q_proj.weight", "blk.%d.attn_q.weight"},
    {"h.%d.attn.k_proj.weight", "blk.%d.attn_k.weight"},
    {"h.%d.attn.v_proj.weight", "blk.%d.attn_v.weight"},
    {"h.%d.attn.out_proj.weight", "blk.%d.attn_output.weight"},
    {"h.%d.mlp.fc_in.weight", "blk.%d.ffn_up.weight"},
    {"h.%d.mlp.fc_in.bias", "blk.%d.ffn_up.bias"},
    {"h.%d.mlp.fc_out.weight", "blk.%d.ffn_down.weight"},
    {"h.%d.mlp.fc_out.bias", "blk.%d.ffn_down.bias"},
    END};

static const struct hf_key gpt_neox_keys[] = {
    WIDTHS{"num_attention_heads", HF_INTEGER, "attention.head_count", NULL, true},
    {"intermediate_size", HF_INTEGER, "feed_forward_length", "24576"},
    {"layer_norm_eps", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    CONTEXT("2048") ACT{"use_parallel_residual", HF_BOOL, "use_parallel_residual", "true"},
    {"rotary_pct", HF_NO_EFFECT},
    {"rotary_emb_base", HF_NO_EFFECT},
    {"classifier_dropout", HF_NO_EFFECT},
    ATTENTION_BIAS("true") TIED("false") END};

static const struct hf_tensor gpt_neox_tensors[] = {
    HEAD_WEIGHT{"embed_out.weight", "output.weight", "!tie_word_embeddings"},
    {"embed_out.weight", NULL, "tie_word_embeddings"},
    {"embed_in.weight", "token_embd.weight"},
    {"final_layer_norm.weight", "output_norm.weight"},
    {"final_layer_norm.bias", "output_norm.bias"},
    {"layers.%d.attention.bias", NULL},
    {"layers.%d.attention.masked_bias", NULL},
    {"layers.%d.attention.rotary_emb.inv_freq", NULL},
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"layers.%d.input_layernorm.bias", "blk.%d.attn_norm.bias"},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight"},
    {"layers.%d.post_attention_layernorm.bias", "blk.%d.ffn_norm.bias"},
    {"layers.%d.attention.query_key_value.weight", "blk.%d.attn_qkv.weight", NULL, HF_BY_GROUPS},
    {"layers.%d.attention.query_key_value.bias", "blk.%d.attn_qkv.bias", "attention_bias",
     HF_BY_GROUPS},
    {"layers.%d.attention.dense.weight", "blk.%d.attn_output.weight"},
    {"layers.%d.attention.dense.bias", "blk.%d.attn_output.bias", "attention_bias"},
    {"layers.%d.mlp.dense_h_to_4h.weight", "blk.%d.ffn_up.weight"},
    {"layers.%d.mlp.dense_h_to_4h.bias", "blk.%d.ffn_up.bias"},
    {"layers.%d.mlp.dense_4h_to_h.weight", "blk.%d.ffn_down.weight"},
    {"layers.%d.mlp.dense_4h_to_h.bias", "blk.%d.ffn_down.bias"},
    END};

/* ---- bloom, mpt ---- */

static const struct hf_key bloom_keys[] = {
    {"hidden_size", HF_INTEGER, "embedding_length"},
    {"n_embed", HF_INTEGER, "embedding_length", "64"},
    {"n_layer", HF_INTEGER, "block_count"},
    {"num_hidden_layers", HF_INTEGER, "block_count", "2"},
    {"n_head", HF_INTEGER, "attention.head_count"},
    {"num_attention_heads", HF_INTEGER, "attention.head_count", "8"},
    {"vocab_size", HF_INTEGER, "vocab_size"},
    {"seq_length", HF_INTEGER, "context_length", "2048"}, /* of the training: ALiBi has no limit */
    {"", HF_WIDTHS, "feed_forward_length", "4"},
    {"layer_norm_epsilon", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"apply_residual_connection_post_layernorm", HF_MUST_BE, "false"},
    {"slow_but_exact", HF_NO_EFFECT},
    {"attention_softmax_in_fp32", HF_NO_EFFECT},
    {"bias_dropout_fusion", HF_NO_EFFECT},
    {"masked_softmax_fusion", HF_NO_EFFECT},
    {"offset_alibi", HF_NO_EFFECT},
    {"skip_bias_add", HF_NO_EFFECT},
    {"skip_bias_add_qkv", HF_NO_EFFECT},
    {"unk_token_id", HF_NO_EFFECT},
    {"n_inner", HF_MUST_BE, ""},
    TIED("true") END};

static const struct hf_tensor bloom_tensors[] = {
    HEAD_WEIGHT{"word_embeddings.weight", "token_embd.weight"},
    {"word_embeddings_layernorm.weight", "token_embd_norm.weight"},
    {"word_embeddings_layernorm.bias", "token_embd_norm.bias"},
    {"ln_f.weight", "output_norm.weight"},
    {"ln_f.bias", "output_norm.bias"},
    {"h.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"h.%d.input_layernorm.bias", "blk.%d.attn_norm.bias"},
    {"h.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight"},
    {"h.%d.post_attention_layernorm.bias", "blk.%d.ffn_norm.bias"},
    {"h.%d.self_attention.query_key_value.weight", "blk.%d.attn_qkv.weight", NULL, HF_BY_GROUPS},
    {"h.%d.self_attention.query_key_value.bias", "blk.%d.attn_qkv.bias", NULL, HF_BY_GROUPS},
    {"h.%d.self_attention.dense.weight", "blk.%d.attn_output.weight"},
    {"h.%d.self_attention.dense.bias", "blk.%d.attn_output.bias"},
    {"h.%d.mlp.dense_h_to_4h.weight", "blk.%d.ffn_up.weight"},
    {"h.%d.mlp.dense_h_to_4h.bias", "blk.%d.ffn_up.bias"},
    {"h.%d.mlp.dense_4h_to_h.weight", "blk.%d.ffn_down.weight"},
    {"h.%d.mlp.dense_4h_to_h.bias", "blk.%d.ffn_down.bias"},
    END};

/* What transformers reads and then leaves out must be as it then is. */
static const struct hf_key mpt_keys[] = {
    {"d_model", HF_INTEGER, "embedding_length"},
    {"hidden_size", HF_INTEGER, "embedding_length", "2048"},
    {"n_layers", HF_INTEGER, "block_count"},
    {"num_hidden_layers", HF_INTEGER, "block_count", "24"},
    {"n_heads", HF_INTEGER, "attention.head_count"},
    {"num_attention_heads", HF_INTEGER, "attention.head_count", "16"},
    {"vocab_size", HF_INTEGER, "vocab_size"},
    {"max_seq_len", HF_INTEGER, "context_length", "2048"},
    {"", HF_WIDTHS, "feed_forward_length", "4"},
    {"expansion_ratio", HF_MUST_BE, "4"},
    {"layer_norm_epsilon", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"", HF_NUMBER, "attention.max_alibi_bias", "8"},
    {"attn_config", HF_NO_EFFECT}, /* but for its members */
    {"attn_config.alibi", HF_MUST_BE, "true"},
    {"attn_config.alibi_bias_max", HF_MUST_BE, "8|8.0"},
    {"attn_config.attn_type", HF_MUST_BE, "multihead_attention"},
    {"attn_config.clip_qkv", HF_NUMBER, "attention.clamp_kqv"},
    {"attn_config.softmax_scale", HF_NUMBER, "attention.scale"},
    {"attn_config.prefix_lm", HF_MUST_BE, "false"},
    {"attn_config.qk_ln", HF_MUST_BE, "false"},
    {"attn_config.attn_uses_sequence_id", HF_MUST_BE, "false"},
    {"attn_config.attn_impl", HF_NO_EFFECT},
    {"attn_config.attn_pdrop", HF_NO_EFFECT},
    {"logit_scale", HF_MUST_BE, ""},
    {"no_bias", HF_MUST_BE, "true"},
    {"norm_type", HF_MUST_BE, "low_precision_layernorm|layernorm"},
    {"learned_pos_emb", HF_NO_EFFECT}, /* without attn_config.alibi */
    {"embedding_fraction", HF_NO_EFFECT},
    {"emb_pdrop", HF_NO_EFFECT},
    {"resid_pdrop", HF_NO_EFFECT},
    {"init_config", HF_NO_EFFECT},
    {"init_device", HF_NO_EFFECT},
    {"tokenizer_name", HF_NO_EFFECT},
    {"verbose", HF_NO_EFFECT},
    TIED("true") END};

static const struct hf_tensor mpt_tensors[] = {
    HEAD_WEIGHT{"wte.weight", "token_embd.weight"},
    {"norm_f.weight", "output_norm.weight"},
    {"blocks.%d.norm_1.weight", "blk.%d.attn_norm.weight"},
    {"blocks.%d.norm_2.weight", "blk.%d.ffn_norm.weight"},
    {"blocks.%d.attn.Wqkv.weight", "blk.%d.attn_qkv.weight"},
    {"blocks.%d.attn.out_proj.weight", "blk.%d.attn_output.weight"},
    {"blocks.%d.ffn.up_proj.weight", "blk.%d.ffn_up.weight"},
    {"blocks.%d.ffn.down_proj.weight", "blk.%d.ffn_down.weight"},
    END};

/* ---- opt ---- */

static const struct hf_key opt_keys[] = {
    WIDTHS{"num_attention_heads", HF_INTEGER, "attention.head_count", NULL, true},
    {"ffn_dim", HF_INTEGER, "feed_forward_length", "3072"},
    CONTEXT("2048"){"activation_function", HF_ACTIVATION, "activation"},
    {"", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"do_layer_norm_before", HF_BOOL, "norm_before", "true"},
    {"_remove_final_layer_norm", HF_BOOL, "no_output_norm", "false"},
    {"layer_norm_elementwise_affine", HF_FLAG, NULL, "true"},
    {"enable_bias", HF_FLAG, NULL, "true"},
    {"word_embed_proj_dim", HF_INTEGER, "embedding_length_in"},
    {"dropout", HF_NO_EFFECT},
    {"layerdrop", HF_NO_EFFECT},
    {"init_std", HF_NO_EFFECT},
    {"output_projection", HF_NO_EFFECT},
    TIED("true") END};

static const struct hf_tensor opt_tensors[] = {
    HEAD_WEIGHT{"embed_tokens.weight", "token_embd.weight"},
    {"embed_positions.weight", "position_embd.weight"},
    {"project_in.weight", "token_embd_in.weight", "?"},
    {"project_out.weight", "output_in.weight", "?"},
    {"final_layer_norm.weight", "output_norm.weight",
     "do_layer_norm_before&!_remove_final_layer_norm&layer_norm_elementwise_affine"},
    {"final_layer_norm.bias", "output_norm.bias",
     "do_layer_norm_before&!_remove_final_layer_norm&layer_norm_elementwise_affine"},
    {"layers.%d.self_attn_layer_norm.weight", "blk.%d.attn_norm.weight",
     "layer_norm_elementwise_affine"},
    {"layers.%d.self_attn_layer_norm.bias", "blk.%d.attn_norm.bias",
     "layer_norm_elementwise_affine"},
    {"layers.%d.final_layer_norm.weight", "blk.%d.ffn_norm.weight",
     "layer_norm_elementwise_affine"},
    {"layers.%d.final_layer_norm.bias", "blk.%d.ffn_norm.bias", "layer_norm_elementwise_affine"},
    QKV_WEIGHTS QKV_BIASES("enable_bias"){"layers.%d.self_attn.out_proj.weight",
                                          "blk.%d.attn_output.weight"},
    {"layers.%d.self_attn.out_proj.bias", "blk.%d.attn_output.bias", "enable_bias"},
    {"layers.%d.fc1.weight", "blk.%d.ffn_up.weight"},
    {"layers.%d.fc1.bias", "blk.%d.ffn_up.bias", "enable_bias"},
    {"layers.%d.fc2.weight", "blk.%d.ffn_down.weight"},
    {"layers.%d.fc2.bias", "blk.%d.ffn_down.bias", "enable_bias"},
    END};

#define TRANSFORMER .prefixes = "transformer."

/* ---- openai-gpt ---- */

static const struct hf_key openai_gpt_keys[] = {
    GPT_SIZES("512"){"afn", HF_MUST_BE, "gelu"}, /* which is the one by tanh in this class */
    TIED("true") END};

static const struct hf_tensor openai_gpt_tensors[] = {
    HEAD_WEIGHT{"tokens_embed.weight", "token_embd.weight"},
    {"positions_embed.weight", "position_embd.weight"},
    {"h.%d.attn.bias", NULL},
    {"h.%d.ln_1.weight", "blk.%d.attn_norm.weight"},
    {"h.%d.ln_1.bias", "blk.%d.attn_norm.bias"},
    {"h.%d.ln_2.weight", "blk.%d.ffn_norm.weight"},
    {"h.%d.ln_2.bias", "blk.%d.ffn_norm.bias"},
    {"h.%d.attn.c_attn.weight", "blk.%d.attn_qkv.weight", NULL, HF_TRANSPOSED},
    {"h.%d.attn.c_attn.bias", "blk.%d.attn_qkv.bias"},
    {"h.%d.attn.c_proj.weight", "blk.%d.attn_output.weight", NULL, HF_TRANSPOSED},
    {"h.%d.attn.c_proj.bias", "blk.%d.attn_output.bias"},
    {"h.%d.mlp.c_fc.weight", "blk.%d.ffn_up.weight", NULL, HF_TRANSPOSED},
    {"h.%d.mlp.c_fc.bias", "blk.%d.ffn_up.bias"},
    {"h.%d.mlp.c_proj.weight", "blk.%d.ffn_down.weight", NULL, HF_TRANSPOSED},
    {"h.%d.mlp.c_proj.bias", "blk.%d.ffn_down.bias"},
    END};

/* ---- xglm, biogpt ---- */

static const struct hf_key xglm_keys[] = {
    {"d_model", HF_INTEGER, "embedding_length", "1024"},
    {"num_layers", HF_INTEGER, "block_count", "24"},
    {"attention_heads", HF_INTEGER, "attention.head_count", "16"},
    {"ffn_dim", HF_INTEGER, "feed_forward_length", "4096"},
    CONTEXT("2048"){"vocab_size", HF_INTEGER, "vocab_size"},
    {"activation_function", HF_ACTIVATION, "activation", "gelu"},
    {"scale_embedding", HF_ROOT, "embedding_scale", "true"},
    {"pad_token_id", HF_MUST_BE, "0|1"}, /* the row of positions that it takes is in no use */
    {"add_cross_attention", HF_MUST_BE, "false"},
    {"", HF_INTEGER, "position_offset", "2"},
    {"", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"dropout", HF_NO_EFFECT},
    {"activation_dropout", HF_NO_EFFECT},
    {"layerdrop", HF_NO_EFFECT},
    {"init_std", HF_NO_EFFECT},
    TIED("true") END};

/* From its third layer norm on OPT's. */
#define PRE_NORM_LAYERS                                                                       \
    HEAD_WEIGHT QKV_WEIGHTS QKV_BIASES(NULL){"embed_tokens.weight", "token_embd.weight"},     \
        {"layer_norm.weight", "output_norm.weight"}, {"layer_norm.bias", "output_norm.bias"}, \
        {"layers.%d.self_attn_layer_norm.weight", "blk.%d.attn_norm.weight"},                 \
        {"layers.%d.self_attn_layer_norm.bias", "blk.%d.attn_norm.bias"},                     \
        {"layers.%d.final_layer_norm.weight", "blk.%d.ffn_norm.weight"},                      \
        {"layers.%d.final_layer_norm.bias", "blk.%d.ffn_norm.bias"},                          \
        {"layers.%d.self_attn.out_proj.weight", "blk.%d.attn_output.weight"},                 \
        {"layers.%d.self_attn.out_proj.bias", "blk.%d.attn_output.bias"},                     \
        {"layers.%d.fc1.weight", "blk.%d.ffn_up.weight"},                                     \
        {"layers.%d.fc1.bias", "blk.%d.ffn_up.bias"},                                         \
        {"layers.%d.fc2.weight", "blk.%d.ffn_down.weight"},                                   \
        {"layers.%d.fc2.bias", "blk.%d.ffn_down.bias"},

static const struct hf_tensor xglm_tensors[] = {PRE_NORM_LAYERS{"embed_positions.weights", NULL},
                                                END};

static const struct hf_key biogpt_keys[] = {
    WIDTHS{"num_attention_heads", HF_INTEGER, "attention.head_count", NULL, true},
    {"intermediate_size", HF_INTEGER, "feed_forward_length", "4096"},
    CONTEXT("1024"){"hidden_act", HF_ACTIVATION, "activation", "gelu"},
    {"scale_embedding", HF_ROOT, "embedding_scale", "true"},
    {"layer_norm_eps", HF_NO_EFFECT}, /* the class doesn't read it */
    {"", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"hidden_dropout_prob", HF_NO_EFFECT},
    {"attention_probs_dropout_prob", HF_NO_EFFECT},
    {"activation_dropout", HF_NO_EFFECT},
    {"layerdrop", HF_NO_EFFECT},
    TIED("true") END};

static const struct hf_tensor biogpt_tensors[] = {
    PRE_NORM_LAYERS{"embed_positions.weight", "position_embd.weight"},
    {"output_projection.weight", NULL, "tie_word_embeddings"},
    {"output_projection.weight", "output.weight", "!tie_word_embeddings&!" CLASSIFIES},
    END};

/* ---- persimmon ---- */

static const struct hf_key persimmon_keys[] = {
    WIDTHS{"num_attention_heads", HF_INTEGER, "attention.head_count", NULL, true},
    {"intermediate_size", HF_INTEGER, "feed_forward_length", "16384"},
    {"layer_norm_eps", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    CONTEXT("16384"){"hidden_act", HF_ACTIVATION, "activation", "relu2"},
    {"", HF_BOOL, "use_parallel_residual", "false"},
    {"qk_layernorm", HF_FLAG, NULL, "true"},
    TIED("false") END};

static const struct hf_tensor persimmon_tensors[] = {
    HEAD_WEIGHT{"embed_tokens.weight", "token_embd.weight"},
    {"final_layernorm.weight", "output_norm.weight"},
    {"final_layernorm.bias", "output_norm.bias"},
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight"},
    {"layers.%d.input_layernorm.bias", "blk.%d.attn_norm.bias"},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight"},
    {"layers.%d.post_attention_layernorm.bias", "blk.%d.ffn_norm.bias"},
    {"layers.%d.self_attn.query_key_value.weight", "blk.%d.attn_qkv.weight", NULL, HF_BY_GROUPS},
    {"layers.%d.self_attn.query_key_value.bias", "blk.%d.attn_qkv.bias", NULL, HF_BY_GROUPS},
    {"layers.%d.self_attn.dense.weight", "blk.%d.attn_output.weight"},
    {"layers.%d.self_attn.dense.bias", "blk.%d.attn_output.bias"},
    {"layers.%d.self_attn.q_layernorm.weight", "blk.%d.attn_q_norm.weight", "qk_layernorm"},
    {"layers.%d.self_attn.q_layernorm.bias", "blk.%d.attn_q_norm.bias", "qk_layernorm"},
    {"layers.%d.self_attn.k_layernorm.weight", "blk.%d.attn_k_norm.weight", "qk_layernorm"},
    {"layers.%d.self_attn.k_layernorm.bias", "blk.%d.attn_k_norm.bias", "qk_layernorm"},
    {"layers.%d.mlp.dense_h_to_4h.weight", "blk.%d.ffn_up.weight"},
    {"layers.%d.mlp.dense_h_to_4h.bias", "blk.%d.ffn_up.bias"},
    {"layers.%d.mlp.dense_4h_to_h.weight", "blk.%d.ffn_down.weight"},
    {"layers.%d.mlp.dense_4h_to_h.bias", "blk.%d.ffn_down.bias"},
    END};

const struct hf_family hf_gpt_families[] = {
    {"gpt2", "gpt2", gpt2_keys, gpt2_tensors, TRANSFORMER},
    {"gpt_bigcode", "starcoder", gpt_bigcode_keys, gpt_bigcode_tensors, TRANSFORMER},
    {"gpt_neo", "gpt_neo", gpt_neo_keys, gpt_neo_tensors, TRANSFORMER},
    {"gptj", "gptj", gptj_keys, gptj_tensors, TRANSFORMER},
    {"gpt_neox", "gptneox", gpt_neox_keys, gpt_neox_tensors, NULL, 1e4, .partial = 0.25,
     .prefixes = "gpt_neox."},
    {"bloom", "bloom", bloom_keys, bloom_tensors, TRANSFORMER},
    {"mpt", "mpt", mpt_keys, mpt_tensors, TRANSFORMER},
    {"opt", "opt", opt_keys, opt_tensors, .prefixes = "model.|decoder."},
    {"openai-gpt", "openai-gpt", openai_gpt_keys, openai_gpt_tensors, TRANSFORMER},
    {"xglm", "opt", xglm_keys, xglm_tensors, .positions = HF_SINUSOID_ENDS},
    {"biogpt", "opt", biogpt_keys, biogpt_tensors, .prefixes = "biogpt."},
    {"persimmon", "gptneox", persimmon_keys, persimmon_tensors, NULL, 1e4, .partial = 0.5},
    {.model_type = NULL},
};
