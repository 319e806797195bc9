/* GLM 4.5 (arXiv:2508.06471) and dots.llm1 (2506.05767): experts that sigmoids rate, chosen with a
 * bias, and shared ones beside them; the first layers have a dense FFN. GLM's heads are rotated in
 * part, and only its largest model norms q and k. */
#include "arch/family.h"

static status read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                         int64_t i, float eps, const char *ffn_norm) {
    struct layer_spec *layer = &spec->layers[i];
    layer->experts.routing = ROUTING_SIGMOID;
    TRY(experts_bind(keys, binder, spec, i, ACTIVATION_SILU, layer));
    TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps, &layer->attention_norm));
    return bind_norm_rms(binder, ffn_norm, i, spec->n_embd, eps, &layer->ffn_norm);
}

static status bind_qk_norms(struct binder *binder, int64_t i, float eps,
                            struct attention_spec *attention) {
    int64_t n = attention->head_dim;
    TRY(bind_norm_rms(binder, "blk.%d.attn_q_norm", i, n, eps, &attention->q_norm));
    return bind_norm_rms(binder, "blk.%d.attn_k_norm", i, n, eps, &attention->k_norm);
}

static status read_end(const struct keys *keys, struct binder *binder, struct spec *spec,
                       float eps) {
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}

status glm4moe_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(decoder_drop_later_layers(keys, binder, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct attention_spec *attention = &spec->layers[i].attention;
        TRY(decoder_read_attention(keys, binder, spec, i));
        if (bind_has(binder, "blk.%d.attn_q_norm", i))
            TRY(bind_qk_norms(binder, i, eps, attention));
        TRY(read_layer(keys, binder, spec, i, eps, "blk.%d.post_attention_norm"));
    }
    return read_end(keys, binder, spec, eps);
}

status dots1_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    int64_t window = 0;
    TRY(decoder_check_window(keys));
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &window));
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_read_window(keys, i, 0, window, spec));
        TRY(bind_qk_norms(binder, i, eps, &spec->layers[i].attention));
        TRY(read_layer(keys, binder, spec, i, eps, "blk.%d.ffn_norm"));
    }
    return read_end(keys, binder, spec, eps);
}
