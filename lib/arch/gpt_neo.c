/* GPT-Neo (Black et al., EleutherAI, 2021): GPT-2 whose every other layer slides, with scores that
 * aren't scaled. */
#include "arch/family.h"

status gpt_neo_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    int64_t window;
    TRY(decoder_read_model(keys, binder, 0, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_i64(keys, "attention.sliding_window", 1, INT32_MAX, &window));
    TRY(decoder_bind_positions(binder, spec, 0));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        /* The last of two slides: the pattern's count is of those that don't. */
        TRY(decoder_read_window(keys, i, i % 2 ? 0 : 1, window, spec));
        layer->attention.rope = -1;
        layer->attention.scale = 1.0f;
        TRY(decoder_bind_plain_ffn(keys, binder, spec, i, ACTIVATION_GELU_TANH, &layer->ffn));
        TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                            &layer->attention_norm));
        TRY(bind_norm_layer(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
