/* Encoder-decoders: T5 and UMT5; BART, mBART, Marian and M2M-100. */
#include "format/hf_rows.h"

/* Of what generates, for who asks the model's metadata. */
#define GENERATION(start, end, last)                                       \
    {"decoder_start_token_id", HF_TOKEN, "decoder_start_token_id", start}, \
        {"eos_token_id", HF_TOKEN, "eos_token_id", end},                   \
        {"forced_bos_token_id", HF_TOKEN, "forced_bos_token_id"},          \
        {"forced_eos_token_id", HF_TOKEN, "forced_eos_token_id", last},

#define BOTH_SIDES \
    {"is_encoder_decoder", HF_MUST_BE, "true"}, {"is_decoder", HF_MUST_BE, "false"}, TRAINING

#define TRAINING                                                          \
    {"dropout_rate", HF_NO_EFFECT}, {"classifier_dropout", HF_NO_EFFECT}, \
        {"classif_dropout", HF_NO_EFFECT}, {"classifier_dropout_rate", HF_NO_EFFECT},

/* ---- T5 ---- */

#define T5_KEYS(activation)                                                                        \
    {"d_model", HF_INTEGER, "embedding_length", "512"},                                            \
        {"d_kv", HF_INTEGER, "attention.key_length", "64"},                                        \
        {"num_decoder_layers", HF_INTEGER, "decoder_block_count"},                                 \
        {"relative_attention_num_buckets", HF_INTEGER, "attention.relative_buckets_count", "32"},  \
        {"relative_attention_max_distance", HF_INTEGER, "attention.relative_max_distance", "128"}, \
        {"layer_norm_epsilon", HF_NUMBER, "attention.layer_norm_rms_epsilon", "1e-6"},             \
        {"feed_forward_proj", HF_GATED_ACTIVATION, "activation", activation},                      \
        {"dense_act_fn", HF_NO_EFFECT}, {"is_gated_act", HF_NO_EFFECT}, /* of the one above */     \
        {"n_positions", HF_NO_EFFECT}, {"initializer_factor", HF_NO_EFFECT},                       \
        {"", HF_INTEGER, "context_length", "32768"}, /* distances have no end */                   \
        TRAINING GENERATION(NULL, "1", NULL){"pad_token_id", HF_TOKEN, "decoder_start_token_id",   \
                                             "0"},                                                 \
        {"vocab_size", HF_NO_EFFECT}, /* what the tensors have */                                  \
        {"output_past", HF_NO_EFFECT}, {"tokenizer_class", HF_NO_EFFECT},

#define T5_SIZES                                             \
    {"num_layers", HF_INTEGER, "block_count", "6"},          \
        {"d_ff", HF_INTEGER, "feed_forward_length", "2048"}, \
        {"num_heads", HF_INTEGER, "attention.head_count", "8"},

#define UMT5_SIZES                                           \
    {"num_layers", HF_INTEGER, "block_count", "8"},          \
        {"d_ff", HF_INTEGER, "feed_forward_length", "1024"}, \
        {"num_heads", HF_INTEGER, "attention.head_count", "6"},

static const struct hf_key t5_keys[] = {
    T5_SIZES BOTH_SIDES T5_KEYS("relu"){"scale_decoder_outputs", HF_ROOT_INVERSE, "logit_scale"},
    {"tie_word_embeddings", HF_ROOT_INVERSE, "logit_scale", "true"},
    END};

static const struct hf_key umt5_keys[] = {
    UMT5_SIZES BOTH_SIDES T5_KEYS("gated-gelu"){"tie_word_embeddings", HF_ROOT_INVERSE,
                                                "logit_scale", "true"},
    {"scalable_attention", HF_MUST_BE, "true"}, /* a note of the converter */
    END};

/* Of an encoder alone. */
#define NO_DECODER                                                                   \
    {"is_encoder_decoder", HF_NO_EFFECT}, {"scale_decoder_outputs", HF_NO_EFFECT}, { \
        "tie_word_embeddings", HF_NO_EFFECT                                          \
    }

static const struct hf_key t5_encoder_keys[] = {T5_SIZES T5_KEYS("relu") NO_DECODER, END};

static const struct hf_key umt5_encoder_keys[] = {
    UMT5_SIZES T5_KEYS("gated-gelu") NO_DECODER, {"scalable_attention", HF_MUST_BE, "true"}, END};

#define T5_ATTENTION(side, short, index, of, to)                                               \
    {side ".block.%d.layer." index "." of ".q.weight", short ".blk.%d." to "_q.weight"},       \
        {side ".block.%d.layer." index "." of ".k.weight", short ".blk.%d." to "_k.weight"},   \
        {side ".block.%d.layer." index "." of ".v.weight", short ".blk.%d." to "_v.weight"},   \
        {side ".block.%d.layer." index "." of ".o.weight", short ".blk.%d." to "_o.weight"}, { \
        side ".block.%d.layer." index ".layer_norm.weight", short ".blk.%d." to "_norm.weight" \
    }

#define T5_SIDE(side, short, ffn)                                                                  \
    T5_ATTENTION(side, short, "0", "SelfAttention", "attn"),                                       \
        {side ".block.%d.layer.0.SelfAttention.relative_attention_bias.weight",                    \
         short ".blk.%d.attn_rel_b.weight", "?"},                                                  \
        {side ".block.%d.layer." ffn ".DenseReluDense.wi.weight", short ".blk.%d.ffn_up.weight",   \
         "?"},                                                                                     \
        {side ".block.%d.layer." ffn ".DenseReluDense.wi_0.weight",                                \
         short ".blk.%d.ffn_gate.weight", "?"},                                                    \
        {side ".block.%d.layer." ffn ".DenseReluDense.wi_1.weight", short ".blk.%d.ffn_up.weight", \
         "?"},                                                                                     \
        {side ".block.%d.layer." ffn ".DenseReluDense.wo.weight",                                  \
         short ".blk.%d.ffn_down.weight"},                                                         \
        {side ".block.%d.layer." ffn ".layer_norm.weight", short ".blk.%d.ffn_norm.weight"}, {     \
        side ".final_layer_norm.weight", short ".output_norm.weight"                               \
    }

static const struct hf_tensor t5_encoder_tensors[] = {
    {"shared.weight", "token_embd.weight", "?"},
    {"encoder.embed_tokens.weight", "token_embd.weight", "-shared.weight"},
    {"encoder.embed_tokens.weight", NULL},
    T5_SIDE("encoder", "enc", "1"),
    END};

static const struct hf_tensor t5_tensors[] = {
    {"shared.weight", "token_embd.weight", "?"},
    {"decoder.embed_tokens.weight", "token_embd.weight", "-shared.weight"},
    {"decoder.embed_tokens.weight", NULL},
    {"encoder.embed_tokens.weight", NULL},
    {"lm_head.weight", "output.weight", "?"},
    T5_SIDE("encoder", "enc", "1"),
    T5_SIDE("decoder", "dec", "2"),
    T5_ATTENTION("decoder", "dec", "1", "EncDecAttention", "cross_attn"),
    {"decoder.block.%d.layer.1.EncDecAttention.relative_attention_bias.weight", NULL}, /* unused */
    END};

/* ---- BART and its kin ---- */

#define BART_KEYS(activation, scaled, tied)                                                   \
    {"d_model", HF_INTEGER, "embedding_length", "1024"},                                      \
        {"encoder_layers", HF_INTEGER, "block_count", "12"},                                  \
        {"decoder_layers", HF_INTEGER, "decoder_block_count", "12"},                          \
        {"encoder_attention_heads", HF_INTEGER, "attention.head_count", "16"},                \
        {"decoder_attention_heads", HF_INTEGER, "decoder.attention.head_count", "16"},        \
        {"encoder_ffn_dim", HF_INTEGER, "feed_forward_length", "4096"},                       \
        {"decoder_ffn_dim", HF_INTEGER, "decoder.feed_forward_length", "4096"},               \
        {"max_position_embeddings", HF_INTEGER, "context_length", "1024"},                    \
        {"", HF_NUMBER, "attention.layer_norm_epsilon", "1e-5"},                              \
        {"activation_function", HF_ACTIVATION, "activation", activation},                     \
        {"scale_embedding", HF_ROOT, "embedding_scale", scaled},                              \
        {"tie_word_embeddings", HF_FLAG, NULL, tied}, {"vocab_size", HF_NO_EFFECT},           \
        {"num_hidden_layers", HF_NO_EFFECT}, {"encoder_layerdrop", HF_NO_EFFECT},             \
        {"decoder_layerdrop", HF_NO_EFFECT}, {"activation_dropout", HF_NO_EFFECT},            \
        {"dropout", HF_NO_EFFECT}, {"init_std", HF_NO_EFFECT}, /* before 4.0: */              \
        {"add_bias_logits", HF_NO_EFFECT}, {"add_final_layer_norm", HF_NO_EFFECT},            \
        {"normalize_before", HF_NO_EFFECT}, {"normalize_embedding", HF_NO_EFFECT},            \
        {"static_position_embeddings", HF_NO_EFFECT}, {"extra_pos_embeddings", HF_NO_EFFECT}, \
        {"do_blenderbot_90_layernorm", HF_NO_EFFECT},                                         \
        {"force_bos_token_to_be_generated", HF_NO_EFFECT},                                    \
        {"gradient_checkpointing", HF_NO_EFFECT}, {"save_step", HF_NO_EFFECT},                \
        {"output_past", HF_NO_EFFECT}, {"tokenizer_class", HF_NO_EFFECT}, BOTH_SIDES

#define OFFSET {"", HF_INTEGER, "position_offset", "2"},

static const struct hf_key bart_keys[] = {BART_KEYS("gelu", "false", "true")
                                              OFFSET GENERATION("2", "2", "2") END};
static const struct hf_key mbart_keys[] = {BART_KEYS("gelu", "false", "true")
                                               OFFSET GENERATION(NULL, "2", "2") END};
static const struct hf_key m2m_100_keys[] = {BART_KEYS("relu", "true", "true")
                                                 OFFSET GENERATION("2", "2", NULL) END};
static const struct hf_key marian_keys[] = {
    BART_KEYS("gelu", "false", "true")
        GENERATION("58100", "0", "0"){"share_encoder_decoder_embeddings", HF_FLAG, NULL, "true"},
    {"decoder_vocab_size", HF_NO_EFFECT},
    END};

#define WITH_BIAS(from, to)           \
    {from ".weight", to ".weight"}, { \
        from ".bias", to ".bias"      \
    }

#define BART_ATTENTION(side, short, of, to)                                   \
    WITH_BIAS(side ".layers.%d." of ".q_proj", short ".blk.%d." to "_q"),     \
        WITH_BIAS(side ".layers.%d." of ".k_proj", short ".blk.%d." to "_k"), \
        WITH_BIAS(side ".layers.%d." of ".v_proj", short ".blk.%d." to "_v"), \
        WITH_BIAS(side ".layers.%d." of ".out_proj", short ".blk.%d." to "_o")

#define BART_SIDE(side, short)                                        \
    BART_ATTENTION(side, short, "self_attn", "attn"),                 \
        WITH_BIAS(side ".layers.%d.fc1", short ".blk.%d.ffn_up"),     \
        WITH_BIAS(side ".layers.%d.fc2", short ".blk.%d.ffn_down"), { \
        side ".version", NULL                                         \
    }

/* Of norms after each block. */
#define POST_NORMS                                                                          \
    WITH_BIAS("encoder.layers.%d.self_attn_layer_norm", "enc.blk.%d.attn_output_norm"),     \
        WITH_BIAS("encoder.layers.%d.final_layer_norm", "enc.blk.%d.layer_output_norm"),    \
        WITH_BIAS("decoder.layers.%d.self_attn_layer_norm", "dec.blk.%d.attn_output_norm"), \
        WITH_BIAS("decoder.layers.%d.encoder_attn_layer_norm",                              \
                  "dec.blk.%d.cross_attn_output_norm"),                                     \
        WITH_BIAS("decoder.layers.%d.final_layer_norm", "dec.blk.%d.layer_output_norm")

#define PRE_NORMS_OF_BOTH                                                                     \
    WITH_BIAS("encoder.layers.%d.self_attn_layer_norm", "enc.blk.%d.attn_norm"),              \
        WITH_BIAS("encoder.layers.%d.final_layer_norm", "enc.blk.%d.ffn_norm"),               \
        WITH_BIAS("decoder.layers.%d.self_attn_layer_norm", "dec.blk.%d.attn_norm"),          \
        WITH_BIAS("decoder.layers.%d.encoder_attn_layer_norm", "dec.blk.%d.cross_attn_norm"), \
        WITH_BIAS("decoder.layers.%d.final_layer_norm", "dec.blk.%d.ffn_norm"),               \
        WITH_BIAS("encoder.layer_norm", "enc.output_norm"),                                   \
        WITH_BIAS("decoder.layer_norm", "dec.output_norm")

#define EMBEDDING_NORMS                                              \
    WITH_BIAS("encoder.layernorm_embedding", "enc.token_embd_norm"), \
        WITH_BIAS("decoder.layernorm_embedding", "dec.token_embd_norm")

#define LEARNED_POSITIONS                                             \
    {"encoder.embed_positions.weight", "enc.position_embd.weight"}, { \
        "decoder.embed_positions.weight", "dec.position_embd.weight"  \
    }

/* Tables that were saved though they are computed. */
#define COMPUTED_POSITIONS                                                              \
    {"encoder.embed_positions.weight", NULL}, {"decoder.embed_positions.weight", NULL}, \
        {"encoder.embed_positions.weights", NULL}, {                                    \
        "decoder.embed_positions.weights", NULL                                         \
    }

/* One embedding for all, or one for each side and a head. */
#define EMBEDDINGS(tied, untied)                                                               \
    {"shared.weight", "token_embd.weight", tied}, {"encoder.embed_tokens.weight", NULL, tied}, \
        {"decoder.embed_tokens.weight", NULL, tied}, {"shared.weight", NULL, untied},          \
        {"encoder.embed_tokens.weight", "enc.token_embd.weight", untied}, {                    \
        "decoder.embed_tokens.weight", "token_embd.weight", untied                             \
    }

#define HEAD                                                           \
    {"lm_head.weight", NULL, "tie_word_embeddings"},                   \
        {"lm_head.weight", "output.weight", "!tie_word_embeddings"}, { \
        "final_logits_bias", "output.bias", "?"                        \
    }

static const struct hf_tensor bart_tensors[] = {
    EMBEDDINGS("tie_word_embeddings", "!tie_word_embeddings"),
    HEAD,
    LEARNED_POSITIONS,
    EMBEDDING_NORMS,
    BART_SIDE("encoder", "enc"),
    BART_SIDE("decoder", "dec"),
    BART_ATTENTION("decoder", "dec", "encoder_attn", "cross_attn"),
    POST_NORMS,
    END};

static const struct hf_tensor mbart_tensors[] = {
    EMBEDDINGS("tie_word_embeddings", "!tie_word_embeddings"),
    HEAD,
    LEARNED_POSITIONS,
    EMBEDDING_NORMS,
    BART_SIDE("encoder", "enc"),
    BART_SIDE("decoder", "dec"),
    BART_ATTENTION("decoder", "dec", "encoder_attn", "cross_attn"),
    PRE_NORMS_OF_BOTH,
    END};

static const struct hf_tensor m2m_100_tensors[] = {
    EMBEDDINGS("tie_word_embeddings", "!tie_word_embeddings"),
    HEAD,
    COMPUTED_POSITIONS,
    BART_SIDE("encoder", "enc"),
    BART_SIDE("decoder", "dec"),
    BART_ATTENTION("decoder", "dec", "encoder_attn", "cross_attn"),
    PRE_NORMS_OF_BOTH,
    END};

static const struct hf_tensor marian_tensors[] = {
    EMBEDDINGS("tie_word_embeddings&share_encoder_decoder_embeddings", "!tie_word_embeddings"),
    {"shared.weight", NULL, "!share_encoder_decoder_embeddings"},
    {"encoder.embed_tokens.weight", "enc.token_embd.weight", "!share_encoder_decoder_embeddings"},
    {"decoder.embed_tokens.weight", "token_embd.weight", "!share_encoder_decoder_embeddings"},
    HEAD,
    COMPUTED_POSITIONS,
    BART_SIDE("encoder", "enc"),
    BART_SIDE("decoder", "dec"),
    BART_ATTENTION("decoder", "dec", "encoder_attn", "cross_attn"),
    POST_NORMS,
    END};

const struct hf_family hf_encoder_decoder_families[] = {
    {"t5", "t5encoder", t5_encoder_keys, t5_encoder_tensors, .of_class = "EncoderModel"},
    {"umt5", "t5encoder", umt5_encoder_keys, t5_encoder_tensors, .of_class = "EncoderModel"},
    {"t5", "t5", t5_keys, t5_tensors},
    {"umt5", "t5", umt5_keys, t5_tensors},
    {"bart", "bart", bart_keys, bart_tensors},
    {"mbart", "mbart", mbart_keys, mbart_tensors},
    {.model_type = "m2m_100",
     .architecture = "m2m_100",
     .keys = m2m_100_keys,
     .tensors = m2m_100_tensors,
     .positions = HF_SINUSOID_ENDS},
    {.model_type = "marian",
     .architecture = "marian",
     .keys = marian_keys,
     .tensors = marian_tensors,
     .positions = HF_SINUSOID},
    {.model_type = NULL},
};
