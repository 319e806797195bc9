/* Llama 1–3 (arXiv:2302.13971, 2307.09288, 2407.21783), Mistral (2310.06825), SmolLM2, and Qwen 2
 * (2407.10671), which differs in how rope pairs its dimensions. With experts Mixtral (2401.04088),
 * ERNIE 4.5 and Qwen 2 MoE. */
#include "arch/family.h"

static status read_pre_norm_decoder(const struct keys *keys, struct binder *binder,
                                    struct spec *spec, enum rope_pairing pairing, bool normalize) {
    float eps;
    int64_t window = 0;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &window));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        struct attention_spec *attention = &layer->attention;
        TRY(decoder_read_heads(keys, spec, i, 0, attention));
        TRY(decoder_check_same_head_dim(keys, spec, i));
        TRY(decoder_read_window(keys, i, 0, window, spec));
        TRY(decoder_bind_attention(binder, spec, i, attention));
        layer->experts.normalize = normalize;
        TRY(experts_bind(keys, binder, spec, i, ACTIVATION_SILU, layer));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
        bind_ignore(binder, "blk.%d.attn_rot_embd", i); /* files of 2023 kept these frequencies */
        bind_ignore(binder, "blk.%d.attn.rot_embd", i);
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, pairing, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}

status llama_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    return read_pre_norm_decoder(keys, binder, spec, ROPE_ADJACENT, true);
}

status qwen2_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    TRY(decoder_check_window(keys));
    return read_pre_norm_decoder(keys, binder, spec, ROPE_HALVES, true);
}

status qwen2moe_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    TRY(decoder_check_window(keys));
    return read_pre_norm_decoder(keys, binder, spec, ROPE_HALVES, false);
}
