/* GLM-4 (arXiv:2406.12793): half of each head rotated, gate and up in one tensor; the 0414 models
 * also norm what attention and FFN give. */
#include "arch/family.h"

static status read_glm(const struct keys *keys, struct binder *binder, struct spec *spec,
                       bool post_norms) {
    float eps;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    int64_t n = spec->n_embd;
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, n, eps, &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, n, eps, &layer->ffn_norm));
        if (!post_norms) continue;
        TRY(bind_norm_rms(binder, "blk.%d.post_attention_norm", i, n, eps,
                          &layer->post_attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.post_ffw_norm", i, n, eps, &layer->post_ffn_norm));
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_ADJACENT, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, n, eps, &spec->output_norm);
}

status chatglm_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    return read_glm(keys, binder, spec, false);
}

status glm4_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    return read_glm(keys, binder, spec, true);
}
