/* Granite 3 (IBM, 2024): a llama with multipliers of embeddings, attention's scores, residuals and
 * logits. */
#include "arch/family.h"

status granite_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps, logit_divisor = 1.0f;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i)); /* with attention.scale */
        layer->experts.normalize = true;
        TRY(experts_bind(keys, binder, spec, i, ACTIVATION_SILU, layer));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    TRY(keys_f32_or(keys, "embedding_scale", 1e-6f, 1e6f, &spec->embedding_scale));
    TRY(keys_f32_or(keys, "residual_scale", 1e-6f, 1e6f, &spec->residual_scale));
    TRY(keys_f32_or(keys, "logit_scale", 1e-6f, 1e6f, &logit_divisor));
    spec->logit_scale = 1.0f / logit_divisor;
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_ADJACENT, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
