/* GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019): learned
 * positions, layer norms, an FFN without a gate. */
#include "arch/family.h"

status gpt2_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    bool by_layer = false;
    TRY(decoder_read_model(keys, binder, 0, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(decoder_bind_positions(binder, spec, 0));
    TRY(keys_bool_or(keys, "attention.scale_by_layer", &by_layer));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        layer->attention.rope = -1;
        if (by_layer) layer->attention.scale /= (float)(i + 1);
        TRY(decoder_bind_plain_ffn(keys, binder, spec, i, ACTIVATION_GELU_TANH, &layer->ffn));
        TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                            &layer->attention_norm));
        TRY(bind_norm_layer(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
