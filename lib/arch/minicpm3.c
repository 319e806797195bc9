/* MiniCPM3 (openbmb, 2024): latent attention, with multipliers of embeddings, residuals and what
 * the head reads. Files of llama.cpp's converter leave them to the reader: those of the 4B model.
 */
#include <math.h>

#include "arch/family.h"

status minicpm3_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps, logit_divisor;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    spec->embedding_scale = 12.0f;
    spec->residual_scale = 1.4f / sqrtf((float)spec->n_layers);
    logit_divisor = (float)spec->n_embd / 256.0f;
    TRY(keys_f32_or(keys, "embedding_scale", 1e-6f, 1e6f, &spec->embedding_scale));
    TRY(keys_f32_or(keys, "residual_scale", 1e-6f, 1e6f, &spec->residual_scale));
    TRY(keys_f32_or(keys, "logit_scale", 1e-6f, 1e6f, &logit_divisor));
    spec->logit_scale = 1.0f / logit_divisor;
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(latent_read_heads(keys, spec, i, &layer->attention));
        TRY(decoder_check_same_head_dim(keys, spec, i));
        TRY(latent_bind_attention(binder, spec, i, eps, &layer->attention));
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    TRY(latent_read_rope(keys, spec, ROPE_HALVES, &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
