/* MPT (MosaicML, 2023): positions by ALiBi, layer norms without biases; some models cut q, k and v
 * to a range. Norms of q and k and learned positions are refused for their tensors. */
#include "arch/family.h"

status mpt_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps, max_bias = 0.0f, clamp = 0.0f;
    TRY(decoder_read_model(keys, binder, 0, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_f32(keys, "attention.max_alibi_bias", 1e-6f, 1e3f, &max_bias));
    TRY(keys_f32_or(keys, "attention.clamp_kqv", 0.0f, 1e6f, &clamp));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        layer->attention.rope = -1;
        layer->attention.max_bias = max_bias;
        layer->attention.clamp = clamp;
        TRY(decoder_bind_plain_ffn(keys, binder, spec, i, ACTIVATION_GELU, &layer->ffn));
        TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                            &layer->attention_norm));
        TRY(bind_norm_layer(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
