/* BERT and what came of it: hidden states, and scores where a class ends in
 * ForSequenceClassification. Heads that predict masked tokens are passed over. */
#include "format/hf_rows.h"

#define ENCODER_SIZES                                                                          \
    WIDTHS{"num_attention_heads", HF_INTEGER, "attention.head_count", NULL, true},             \
        {"intermediate_size", HF_INTEGER, "feed_forward_length", NULL, true},                  \
        {"is_decoder", HF_MUST_BE, "false"}, {"add_cross_attention", HF_MUST_BE, "false"},     \
        {"hidden_dropout_prob", HF_NO_EFFECT}, {"attention_probs_dropout_prob", HF_NO_EFFECT}, \
        {"classifier_dropout", HF_NO_EFFECT}, {"tie_word_embeddings", HF_NO_EFFECT},           \
        {"gradient_checkpointing", HF_NO_EFFECT}, {"type_vocab_size", HF_NO_EFFECT},           \
        {"output_past", HF_NO_EFFECT}, {"sentence_transformers", HF_NO_EFFECT},                \
        {"sbert_ce_default_activation_function", HF_NO_EFFECT},

#define LAYER_NORM_EPS {"layer_norm_eps", HF_NUMBER, "attention.layer_norm_epsilon", "1e-12"},
#define GELU {"hidden_act", HF_ACTIVATION, "activation", "gelu"},

/* What the first BERT files say of a pooler that nobody made. */
#define POOLER_NOTES                                                                          \
    {"directionality", HF_NO_EFFECT}, {"pooler_fc_size", HF_NO_EFFECT},                       \
        {"pooler_num_attention_heads", HF_NO_EFFECT}, {"pooler_num_fc_layers", HF_NO_EFFECT}, \
        {"pooler_type", HF_NO_EFFECT}, {"pooler_size_per_head", HF_NO_EFFECT},

/* Norms of the first files have gamma and beta. */
#define NORM_ROWS(name, target)                                            \
    {name ".weight", target ".weight"}, {name ".gamma", target ".weight"}, \
        {name ".bias", target ".bias"}, {name ".beta", target ".bias"},
#define LINEAR_ROWS(name, target) \
    {name ".weight", target ".weight"}, {name ".bias", target ".bias"},
#define LINEAR_ROWS_IF(name, target, when) \
    {name ".weight", target ".weight", when}, {name ".bias", target ".bias", when},
#define PASSED_OVER(name) {name ".weight", NULL}, {name ".bias", NULL},
#define PASSED_OVER_IF(name, when) {name ".weight", NULL, when}, {name ".bias", NULL, when},

#define BERT_FFN(norm)                                                  \
    NORM_ROWS("encoder.layer.%d." norm, "blk.%d.attn_output_norm")      \
    LINEAR_ROWS("encoder.layer.%d.intermediate.dense", "blk.%d.ffn_up") \
    LINEAR_ROWS("encoder.layer.%d.output.dense", "blk.%d.ffn_down")     \
    NORM_ROWS("encoder.layer.%d.output.LayerNorm", "blk.%d.layer_output_norm")

#define BERT_LAYERS(positions)                                                              \
    {"embeddings.word_embeddings.weight", "token_embd.weight"},                             \
        {"embeddings.position_embeddings.weight", "position_embd.weight", NULL, positions}, \
        {"embeddings.token_type_embeddings.weight", "token_types.weight"},                  \
        {"embeddings.position_ids", NULL}, {"embeddings.token_type_ids", NULL},             \
        NORM_ROWS("embeddings.LayerNorm", "token_embd_norm")                                \
            LINEAR_ROWS("encoder.layer.%d.attention.self.query", "blk.%d.attn_q")           \
                LINEAR_ROWS("encoder.layer.%d.attention.self.key", "blk.%d.attn_k")         \
                    LINEAR_ROWS("encoder.layer.%d.attention.self.value", "blk.%d.attn_v")   \
                        LINEAR_ROWS("encoder.layer.%d.attention.output.dense",              \
                                    "blk.%d.attn_output") BERT_FFN("attention.output.LayerNorm")

/* ---- bert ---- */

static const struct hf_key bert_keys[] = {
    ENCODER_SIZES LAYER_NORM_EPS GELU CONTEXT("512")
        POOLER_NOTES{"position_embedding_type", HF_MUST_BE, "absolute"},
    END};

static const struct hf_tensor bert_tensors[] = {
    BERT_LAYERS(HF_AS_THEY_ARE) LINEAR_ROWS_IF("pooler.dense", "cls", CLASSIFIES)
        PASSED_OVER_IF("pooler.dense", "!" CLASSIFIES)
            LINEAR_ROWS_IF("classifier", "cls.output", CLASSIFIES) PASSED_OVER("classifier")
                PASSED_OVER("cls.predictions.transform.dense")
                    PASSED_OVER("cls.predictions.transform.LayerNorm")
                        PASSED_OVER("cls.predictions.decoder")
                            PASSED_OVER("cls.seq_relationship"){"cls.predictions.bias", NULL},
    {"cls.predictions.transform.LayerNorm.gamma", NULL},
    {"cls.predictions.transform.LayerNorm.beta", NULL},
    END};

/* ---- roberta, xlm-roberta, camembert ---- */

static const struct hf_key roberta_keys[] = {ENCODER_SIZES LAYER_NORM_EPS GELU CONTEXT("512"){
                                                 "position_embedding_type", HF_MUST_BE, "absolute"},
                                             END};

#define ROBERTA_HEADS                                               \
    PASSED_OVER("pooler.dense")                                     \
    LINEAR_ROWS_IF("classifier.dense", "cls", CLASSIFIES)           \
    LINEAR_ROWS_IF("classifier.out_proj", "cls.output", CLASSIFIES) \
    PASSED_OVER("lm_head.dense")                                    \
    PASSED_OVER("lm_head.layer_norm") PASSED_OVER("lm_head.decoder"){"lm_head.bias", NULL},

static const struct hf_tensor roberta_tensors[] = {BERT_LAYERS(HF_POSITIONS) ROBERTA_HEADS END};

/* ---- mpnet ---- */

static const struct hf_key mpnet_keys[] = {
    ENCODER_SIZES LAYER_NORM_EPS GELU CONTEXT("512"){"relative_attention_num_buckets", HF_MUST_BE,
                                                     "32"},
    {"", HF_INTEGER, "attention.relative_buckets_count", "32"},
    {"pad_token_id", HF_MUST_BE, "1"}, /* positions begin after it */
    END};

static const struct hf_tensor mpnet_tensors[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight"},
    {"embeddings.position_embeddings.weight", "position_embd.weight", NULL, HF_POSITIONS},
    {"embeddings.position_ids", NULL},
    {"encoder.relative_attention_bias.weight", "attn_rel_b.weight"},
    NORM_ROWS("embeddings.LayerNorm", "token_embd_norm")
        LINEAR_ROWS("encoder.layer.%d.attention.attn.q", "blk.%d.attn_q")
            LINEAR_ROWS("encoder.layer.%d.attention.attn.k", "blk.%d.attn_k")
                LINEAR_ROWS("encoder.layer.%d.attention.attn.v", "blk.%d.attn_v")
                    LINEAR_ROWS("encoder.layer.%d.attention.attn.o", "blk.%d.attn_output")
                        BERT_FFN("attention.LayerNorm") ROBERTA_HEADS END};

/* ---- distilbert ---- */

static const struct hf_key distilbert_keys[] = {
    {"dim", HF_INTEGER, "embedding_length", "768"},
    {"n_layers", HF_INTEGER, "block_count", "6"},
    {"n_heads", HF_INTEGER, "attention.head_count", "12"},
    {"hidden_dim", HF_INTEGER, "feed_forward_length", "3072"},
    {"vocab_size", HF_INTEGER, "vocab_size"},
    {"activation", HF_ACTIVATION, "activation", "gelu"},
    {"", HF_NUMBER, "attention.layer_norm_epsilon", "1e-12"},
    {"", HF_ACTIVATION, "cls_activation", "relu"},
    {"sinusoidal_pos_embds", HF_NO_EFFECT}, /* they are in the file all the same */
    {"dropout", HF_NO_EFFECT},
    {"qa_dropout", HF_NO_EFFECT},
    {"seq_classif_dropout", HF_NO_EFFECT},
    {"tie_weights_", HF_NO_EFFECT},
    {"tie_word_embeddings", HF_NO_EFFECT},
    CONTEXT("512") END};

static const struct hf_tensor distilbert_tensors[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight"},
    {"embeddings.position_embeddings.weight", "position_embd.weight"},
    {"embeddings.position_ids", NULL},
    NORM_ROWS("embeddings.LayerNorm", "token_embd_norm")
        LINEAR_ROWS("transformer.layer.%d.attention.q_lin", "blk.%d.attn_q")
            LINEAR_ROWS("transformer.layer.%d.attention.k_lin", "blk.%d.attn_k")
                LINEAR_ROWS("transformer.layer.%d.attention.v_lin", "blk.%d.attn_v")
                    LINEAR_ROWS("transformer.layer.%d.attention.out_lin", "blk.%d.attn_output")
                        NORM_ROWS("transformer.layer.%d.sa_layer_norm", "blk.%d.attn_output_norm")
                            LINEAR_ROWS("transformer.layer.%d.ffn.lin1", "blk.%d.ffn_up")
                                LINEAR_ROWS("transformer.layer.%d.ffn.lin2", "blk.%d.ffn_down")
                                    NORM_ROWS("transformer.layer.%d.output_layer_norm",
                                              "blk.%d.layer_output_norm")
                                        LINEAR_ROWS_IF("pre_classifier", "cls", CLASSIFIES)
                                            LINEAR_ROWS_IF("classifier", "cls.output", CLASSIFIES)
                                                PASSED_OVER("vocab_transform")
                                                    PASSED_OVER("vocab_layer_norm")
                                                        PASSED_OVER("vocab_projector") END};

/* ---- modernbert ---- */

static const struct hf_key modernbert_keys[] = {
    ENCODER_SIZES CONTEXT("8192"){"norm_eps", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},
    {"hidden_activation", HF_ACTIVATION, "activation", "gelu"},
    {"classifier_activation", HF_ACTIVATION, "cls_activation", "gelu"},
    {"local_attention", HF_INTEGER, "attention.sliding_window", "128"},
    {"layer_types", HF_LAYERS, "attention.sliding_window_pattern"},
    {"global_attn_every_n_layers", HF_INTEGER, "attention.sliding_window_pattern"},
    {"global_rope_theta", HF_NUMBER, "rope.freq_base"},
    {"local_rope_theta", HF_NUMBER, "rope.freq_base_swa"},
    {"classifier_pooling", HF_MUST_BE, "cls|mean"}, /* hf_sentence.c */
    {"norm_bias", HF_FLAG, NULL, "false"},
    {"classifier_bias", HF_FLAG, NULL, "false"},
    {"decoder_bias", HF_NO_EFFECT},
    {"initializer_cutoff_factor", HF_NO_EFFECT},
    {"embedding_dropout", HF_NO_EFFECT},
    {"mlp_dropout", HF_NO_EFFECT},
    {"deterministic_flash_attn", HF_NO_EFFECT},
    {"sparse_prediction", HF_NO_EFFECT},
    {"sparse_pred_ignore_index", HF_NO_EFFECT},
    {"reference_compile", HF_NO_EFFECT},
    {"repad_logits_with_grad", HF_NO_EFFECT},
    {"cls_token_id", HF_NO_EFFECT},
    {"layer_norm_eps", HF_NO_EFFECT},          /* norm_eps counts */
    {"position_embedding_type", HF_NO_EFFECT}, /* rope, whatever it says */
    ATTENTION_BIAS("false") MLP_BIAS END};

#define ROW_WITH_BIAS(name, target, when) \
    {name ".weight", target ".weight"}, {name ".bias", target ".bias", when},

static const struct hf_tensor modernbert_tensors[] = {
    {"embeddings.tok_embeddings.weight", "token_embd.weight"},
    ROW_WITH_BIAS("embeddings.norm", "token_embd_norm", "norm_bias")
        ROW_WITH_BIAS("final_norm", "output_norm", "norm_bias"){"layers.%d.attn_norm.weight",
                                                                "blk.%d.attn_norm.weight", "?"},
    {"layers.%d.attn_norm.bias", "blk.%d.attn_norm.bias", "?"}, /* the first layer has none */
    ROW_WITH_BIAS("layers.%d.attn.Wqkv", "blk.%d.attn_qkv", "attention_bias")
        ROW_WITH_BIAS("layers.%d.attn.Wo", "blk.%d.attn_output", "attention_bias")
            ROW_WITH_BIAS("layers.%d.mlp_norm", "blk.%d.ffn_norm", "norm_bias")
                ROW_WITH_BIAS("layers.%d.mlp.Wi", "blk.%d.ffn_up", "mlp_bias")
                    ROW_WITH_BIAS("layers.%d.mlp.Wo", "blk.%d.ffn_down",
                                  "mlp_bias"){"head.dense.weight", "cls.weight", CLASSIFIES},
    {"head.dense.bias", "cls.bias", CLASSIFIES "&classifier_bias"},
    {"head.norm.weight", "cls.norm.weight", CLASSIFIES},
    {"head.norm.bias", "cls.norm.bias", CLASSIFIES "&norm_bias"},
    LINEAR_ROWS_IF("classifier", "cls.output", CLASSIFIES)
        PASSED_OVER_IF("head.dense", "!" CLASSIFIES) PASSED_OVER_IF("head.norm", "!" CLASSIFIES)
            PASSED_OVER_IF("classifier", "!" CLASSIFIES) PASSED_OVER("decoder") END};

/* ---- nomic_bert, by the names of transformers and of the model's own code ---- */

static const struct hf_key nomic_bert_keys[] = {
    {"hidden_size", HF_INTEGER, "embedding_length"},
    {"n_embd", HF_INTEGER, "embedding_length", "768"},
    {"num_hidden_layers", HF_INTEGER, "block_count"},
    {"n_layer", HF_INTEGER, "block_count", "12"},
    {"num_attention_heads", HF_INTEGER, "attention.head_count"},
    {"n_head", HF_INTEGER, "attention.head_count", "12"},
    {"intermediate_size", HF_INTEGER, "feed_forward_length"},
    {"n_inner", HF_INTEGER, "feed_forward_length", "3072"},
    {"max_position_embeddings", HF_INTEGER, "context_length"},
    {"n_positions", HF_INTEGER, "context_length", "2048"},
    {"layer_norm_eps", HF_NUMBER, "attention.layer_norm_epsilon"},
    {"layer_norm_epsilon", HF_NUMBER, "attention.layer_norm_epsilon", "1e-12"},
    {"vocab_size", HF_INTEGER, "vocab_size"},
    {"hidden_act", HF_ACTIVATION, "activation", "silu"},
    {"activation_function", HF_MUST_BE, "swiglu"},
    {"rotary_emb_fraction", HF_MUST_BE, "1|1.0"},
    {"rotary_emb_interleaved", HF_MUST_BE, "false"},
    {"rotary_scaling_factor", HF_MUST_BE, "1|1.0"},
    {"rotary_emb_scale_base", HF_MUST_BE, ""},
    {"rotary_emb_base", HF_NO_EFFECT}, /* hf_rope.c */
    {"rope_theta", HF_NO_EFFECT},
    {"rope_scaling", HF_NO_EFFECT},
    {"rope_parameters", HF_NO_EFFECT},
    {"scale_attn_weights", HF_MUST_BE, "true"},
    {"scale_attn_by_inverse_layer_idx", HF_MUST_BE, "false"},
    {"parallel_block_tied_norm", HF_MUST_BE, "false"},
    {"auto_map", HF_NO_EFFECT},
    {"attn_pdrop", HF_NO_EFFECT},
    {"embd_pdrop", HF_NO_EFFECT},
    {"resid_pdrop", HF_NO_EFFECT},
    {"dense_seq_output", HF_NO_EFFECT},
    {"fused_bias_fc", HF_NO_EFFECT},
    {"fused_dropout_add_ln", HF_NO_EFFECT},
    {"max_trained_positions", HF_NO_EFFECT},
    {"pad_vocab_size_multiple", HF_NO_EFFECT}, /* the embedding has the rows */
    {"reorder_and_upcast_attn", HF_NO_EFFECT},
    {"summary_type", HF_NO_EFFECT},
    {"summary_use_proj", HF_NO_EFFECT},
    {"summary_activation", HF_NO_EFFECT},
    {"summary_proj_to_labels", HF_NO_EFFECT},
    {"summary_first_dropout", HF_NO_EFFECT},
    {"use_flash_attn", HF_NO_EFFECT},
    {"use_xentropy", HF_NO_EFFECT},
    {"prenorm", HF_MUST_BE, "false"},
    {"parallel_block", HF_MUST_BE, "false"},
    {"use_rms_norm", HF_MUST_BE, "false"},
    {"causal", HF_MUST_BE, "false"},
    {"is_decoder", HF_MUST_BE, "false"},
    {"qkv_proj_bias", HF_MUST_BE, "false"},
    {"mlp_fc1_bias", HF_MUST_BE, "false"},
    {"mlp_fc2_bias", HF_MUST_BE, "false"},
    {"tie_word_embeddings", HF_NO_EFFECT},
    {"type_vocab_size", HF_NO_EFFECT},
    {"hidden_dropout_prob", HF_NO_EFFECT},
    {"attention_probs_dropout_prob", HF_NO_EFFECT},
    {"classifier_dropout", HF_NO_EFFECT},
    HEAD_DIM(NULL) END};

static const struct hf_tensor nomic_bert_tensors[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight"},
    {"embeddings.token_type_embeddings.weight", "token_types.weight", "?"},
    LINEAR_ROWS("emb_ln", "token_embd_norm") LINEAR_ROWS("embeddings.LayerNorm", "token_embd_norm"){
        "encoder.layers.%d.attn.Wqkv.weight", "blk.%d.attn_qkv.weight", "?"},
    {"layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", "?"},
    {"layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", "?"},
    {"layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", "?"},
    {"encoder.layers.%d.attn.out_proj.weight", "blk.%d.attn_output.weight"},
    {"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight"},
    {"encoder.layers.%d.mlp.fc11.weight", "blk.%d.ffn_up.weight"},
    {"layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight"},
    {"encoder.layers.%d.mlp.fc12.weight", "blk.%d.ffn_gate.weight"},
    {"layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight"},
    {"encoder.layers.%d.mlp.fc2.weight", "blk.%d.ffn_down.weight"},
    {"layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight"},
    LINEAR_ROWS("encoder.layers.%d.norm1", "blk.%d.attn_output_norm")
        LINEAR_ROWS("layers.%d.post_attention_layernorm", "blk.%d.attn_output_norm")
            LINEAR_ROWS("encoder.layers.%d.norm2", "blk.%d.layer_output_norm")
                LINEAR_ROWS("layers.%d.post_mlp_layernorm", "blk.%d.layer_output_norm")
                    LINEAR_ROWS_IF("pooler.dense", "cls", CLASSIFIES) PASSED_OVER_IF("pooler.dense",
                                                                                     "!" CLASSIFIES)
                        LINEAR_ROWS_IF("classifier", "cls.output", CLASSIFIES)
                            PASSED_OVER("cls.predictions.transform.dense")
                                PASSED_OVER("cls.predictions.transform.layer_norm")
                                    PASSED_OVER("cls.predictions.transform.LayerNorm") PASSED_OVER(
                                        "cls.predictions.decoder"){"cls.predictions.bias", NULL},
    END};

const struct hf_family hf_encoder_families[] = {{.model_type = "bert",
                                                 .architecture = "bert",
                                                 .keys = bert_keys,
                                                 .tensors = bert_tensors,
                                                 .prefixes = "bert."},
                                                {.model_type = "roberta",
                                                 .architecture = "bert",
                                                 .keys = roberta_keys,
                                                 .tensors = roberta_tensors,
                                                 .prefixes = "roberta."},
                                                {.model_type = "xlm-roberta",
                                                 .architecture = "bert",
                                                 .keys = roberta_keys,
                                                 .tensors = roberta_tensors,
                                                 .prefixes = "roberta."},
                                                {.model_type = "camembert",
                                                 .architecture = "bert",
                                                 .keys = roberta_keys,
                                                 .tensors = roberta_tensors,
                                                 .prefixes = "roberta."},
                                                {.model_type = "mpnet",
                                                 .architecture = "mpnet",
                                                 .keys = mpnet_keys,
                                                 .tensors = mpnet_tensors,
                                                 .prefixes = "mpnet."},
                                                {.model_type = "distilbert",
                                                 .architecture = "bert",
                                                 .keys = distilbert_keys,
                                                 .tensors = distilbert_tensors,
                                                 .prefixes = "distilbert."},
                                                {.model_type = "modernbert",
                                                 .architecture = "modern-bert",
                                                 .keys = modernbert_keys,
                                                 .tensors = modernbert_tensors,
                                                 .rope_theta = 160000.0,
                                                 .rope_theta_local = 10000.0},
                                                {.model_type = "nomic_bert",
                                                 .architecture = "nomic-bert",
                                                 .keys = nomic_bert_keys,
                                                 .tensors = nomic_bert_tensors,
                                                 .rope_theta = 1000.0,
                                                 .prefixes = "nomic_bert.|bert."},
                                                {.model_type = NULL}};
