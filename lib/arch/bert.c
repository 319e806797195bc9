/* BERT (arXiv:1810.04805) and RoBERTa (arXiv:1907.11692), whose files leave out the rows of
 * positions that it doesn't use: learned positions, token types, norms after each sum. */
#include "arch/encoder.h"

static status read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                         int64_t i, float eps) {
    struct layer_spec *layer = &spec->layers[i];
    layer->residual = RESIDUAL_POST_NORM;
    TRY(encoder_read_attention(keys, binder, spec, i));
    layer->attention.rope = -1;
    TRY(decoder_bind_plain_ffn(keys, binder, spec, i, ACTIVATION_GELU, &layer->ffn));
    TRY(bind_norm_layer(binder, "blk.%d.attn_output_norm", i, spec->n_embd, eps,
                        &layer->post_attention_norm));
    return bind_norm_layer(binder, "blk.%d.layer_output_norm", i, spec->n_embd, eps,
                           &layer->post_ffn_norm);
}

status bert_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(encoder_read_model(keys, binder, 0, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(decoder_bind_positions(binder, spec, 0));
    TRY(encoder_bind_token_types(keys, binder, spec));
    TRY(bind_norm_layer(binder, "token_embd_norm", 0, spec->n_embd, eps, &spec->embedding_norm));
    for (int64_t i = 0; i < spec->n_layers; i++) TRY(read_layer(keys, binder, spec, i, eps));
    return OK;
}
