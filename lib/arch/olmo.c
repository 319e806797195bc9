/* OLMo (arXiv:2402.00838): layer norms without weights, q, k and v cut to a range in some
 * models. */
#include "arch/family.h"

status olmo_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    struct norm_spec norm = {.kind = NORM_LAYER, .weight.id = -1, .bias.id = -1};
    float clamp = 0.0f;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &norm.eps));
    TRY(keys_f32_or(keys, "attention.clamp_kqv", 0.0f, 1e6f, &clamp));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        layer->attention.clamp = clamp;
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
        layer->attention_norm = layer->ffn_norm = norm;
    }
    spec->output_norm = norm;
    return decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_ADJACENT,
                             10000.0f, &spec->ropes[0]);
}
