/* gpt-oss (arXiv:2508.10925): experts in every layer with a clamped SwiGLU and biases, attention
 * with sinks whose windows alternate, yarn of untruncated bounds. */
#include "arch/family.h"

static status read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                         int64_t i, float eps, int64_t window) {
    struct layer_spec *layer = &spec->layers[i];
    struct attention_spec *attention = &layer->attention;
    TRY(decoder_read_attention(keys, binder, spec, i));
    TRY(decoder_read_window(keys, i, 2, window, spec));
    TRY(bind_vector(binder, BIND_REQUIRED, "blk.%d.attn_sinks.weight", i, attention->n_heads,
                    &attention->sinks));
    layer->experts.normalize = true; /* the softmax is of the chosen */
    TRY(experts_bind(keys, binder, spec, i, ACTIVATION_SWIGLU_CLAMPED, layer));
    TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps, &layer->attention_norm));
    return bind_norm_rms(binder, "blk.%d.post_attention_norm", i, spec->n_embd, eps,
                         &layer->ffn_norm);
}

status gpt_oss_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    int64_t window = 0;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &window));
    for (int64_t i = 0; i < spec->n_layers; i++)
        TRY(read_layer(keys, binder, spec, i, eps, window));
    struct rope_spec *rope = &spec->ropes[0];
    rope->exact_range = true;
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 150000.0f,
                          rope));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
