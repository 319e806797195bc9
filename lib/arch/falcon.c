/* Falcon (arXiv:2311.16867): attention and FFN side by side, behind one norm in the 7B model and
 * behind one each in the 40B and 180B models, whose attention norm is attn_norm_2; the RW models
 * have them one after the other, and ALiBi. */
#include "arch/family.h"

status falcon_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    bool parallel = true;
    float max_bias = 0.0f;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_bool_or(keys, "use_parallel_residual", &parallel));
    TRY(keys_f32_or(keys, "attention.max_alibi_bias", 0.0f, 1e3f, &max_bias));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        layer->residual = parallel ? RESIDUAL_PARALLEL : RESIDUAL_SEQUENTIAL;
        TRY(decoder_read_attention(keys, binder, spec, i));
        layer->attention.max_bias = max_bias;
        layer->attention.bias_rounded = max_bias > 0.0f;
        if (max_bias > 0.0f) layer->attention.rope = -1;
        TRY(decoder_bind_plain_ffn(keys, binder, spec, i, ACTIVATION_GELU, &layer->ffn));
        TRY(bind_norm_layer(binder, parallel ? "blk.%d.attn_norm" : "blk.%d.ffn_norm", i,
                            spec->n_embd, eps, &layer->ffn_norm));
        TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                            &layer->attention_norm));
        if (bind_has(binder, "blk.%d.attn_norm_2", i))
            TRY(bind_norm_layer(binder, "blk.%d.attn_norm_2", i, spec->n_embd, eps,
                                &layer->attention_norm));
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
