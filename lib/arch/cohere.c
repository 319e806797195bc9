/* Command R (Cohere, 2024): attention and FFN side by side behind one layer norm without a bias,
 * logits scaled, in Command R+ norms of each head of q and k; and Command R7B, most of whose layers
 * slide, while those that don't have no positions. */
#include "arch/family.h"

static status read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                         int64_t i, float eps) {
    struct layer_spec *layer = &spec->layers[i];
    layer->residual = RESIDUAL_PARALLEL;
    TRY(decoder_read_attention(keys, binder, spec, i));
    TRY(decoder_bind_head_norms(binder, i, eps, &layer->attention));
    TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
    TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps, &layer->attention_norm));
    layer->ffn_norm = layer->attention_norm;
    return OK;
}

static status read_rest(const struct keys *keys, struct binder *binder, struct spec *spec,
                        float eps) {
    spec->logit_scale = 0.0625f;
    TRY(keys_f32_or(keys, "logit_scale", 1e-6f, 1e6f, &spec->logit_scale));
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_ADJACENT, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}

status command_r_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) TRY(read_layer(keys, binder, spec, i, eps));
    return read_rest(keys, binder, spec, eps);
}

status cohere2_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    int64_t window = 0;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_i64(keys, "attention.sliding_window", 1, INT32_MAX, &window));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        TRY(read_layer(keys, binder, spec, i, eps));
        TRY(decoder_read_window(keys, i, 4, window, spec));
        if (!spec->layers[i].attention.window) spec->layers[i].attention.rope = -1;
    }
    return read_rest(keys, binder, spec, eps);
}
