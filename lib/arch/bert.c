/* BERT (arXiv:1810.04805) and its kin, all with norms after each sum and token types: RoBERTa
 * (arXiv:1907.11692), whose files leave out the rows of positions that it doesn't use; MPNet
 * (arXiv:2004.09297), with a bias by distance that all layers share; Nomic's BERT
 * (arXiv:2402.01613), with rope and gated FFNs. */
#include "arch/encoder.h"

/* A row for each position that the model knows; as many as the file has, if it says more. */
static status bind_positions(struct binder *binder, struct spec *spec) {
    TRY(bind_matrix(binder, BIND_REQUIRED, "position_embd.weight", 0, 0, spec->n_embd,
                    &spec->positions));
    int64_t rows = spec->positions.tensor->dims[1];
    if (rows < spec->context_length) spec->context_length = rows;
    return OK;
}

static status read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                         int64_t i, float eps, bool gated) {
    struct layer_spec *layer = &spec->layers[i];
    layer->residual = RESIDUAL_POST_NORM;
    TRY(encoder_read_attention(keys, binder, spec, i));
    if (gated)
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
    else
        TRY(decoder_bind_plain_ffn(keys, binder, spec, i, ACTIVATION_GELU, &layer->ffn));
    TRY(bind_norm_layer(binder, "blk.%d.attn_output_norm", i, spec->n_embd, eps,
                        &layer->post_attention_norm));
    return bind_norm_layer(binder, "blk.%d.layer_output_norm", i, spec->n_embd, eps,
                           &layer->post_ffn_norm);
}

static status read_all(const struct keys *keys, struct binder *binder, struct spec *spec,
                       bool rope) {
    float eps;
    TRY(encoder_read_model(keys, binder, rope ? 1 : 0, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    if (!rope) TRY(bind_positions(binder, spec));
    TRY(encoder_bind_token_types(keys, binder, spec));
    TRY(bind_norm_layer(binder, "token_embd_norm", 0, spec->n_embd, eps, &spec->embedding_norm));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        TRY(read_layer(keys, binder, spec, i, eps, rope));
        spec->layers[i].attention.rope = rope ? 0 : -1;
    }
    return OK;
}

status bert_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    return read_all(keys, binder, spec, false);
}

status nomic_bert_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    TRY(read_all(keys, binder, spec, true));
    return decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 1000.0f,
                             &spec->ropes[0]);
}

status mpnet_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    TRY(read_all(keys, binder, spec, false));
    TRY(MEMORY_TAKE_ARRAY(spec->memory, 1, "biases by distance", &spec->relative_biases));
    struct relative_bias_spec *bias = &spec->relative_biases[0];
    spec->n_relative_biases = 1;
    *bias = (struct relative_bias_spec){
        .n_heads = spec->layers[0].attention.n_heads, .max_distance = 128, .bidirectional = true};
    TRY(keys_i64(keys, "attention.relative_buckets_count", 4, 1 << 8, &bias->n_buckets));
    if (bias->n_buckets % 4)
        return fail(UNSUPPORTED, "%s: '%s.attention.relative_buckets_count' is %" PRId64,
                    checkpoint_name(keys->file), keys->prefix, bias->n_buckets);
    TRY(bind_table(binder, BIND_REQUIRED, "attn_rel_b.weight", 0, bias->n_buckets, bias->n_heads,
                   &bias->table));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        if (spec->layers[i].attention.n_heads != bias->n_heads)
            return fail(FORMAT, "%s: '%s.attention.head_count' differs between layers",
                        checkpoint_name(keys->file), keys->prefix);
        spec->layers[i].attention.relative_bias = 1;
    }
    return OK;
}
