/* SmolLM3 (Hugging Face, 2025): a llama whose every fourth layer has no positions
 * (arXiv:2501.18795). */
#include "arch/family.h"

status smollm3_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    int64_t interval = 4, window = 0;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_i64_or(keys, "rope.layer_interval", 1, INT32_MAX, &interval));
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &window));
    TRY(decoder_check_window(keys));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_read_window(keys, i, 0, window, spec));
        int64_t has_rope = (i + 1) % interval != 0;
        TRY(keys_i64_of_layer(keys, "rope.layers", i, 0, INT32_MAX, &has_rope));
        if (!has_rope) layer->attention.rope = -1;
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_ADJACENT, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
