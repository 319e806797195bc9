/* Phi-1, 1.5 and 2 (arXiv:2306.11644, 2309.05463): attention and FFN side by side behind one norm,
 * partial rotation, a head with a bias. */
#include "arch/family.h"

status phi2_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        layer->residual = RESIDUAL_PARALLEL;
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_bind_head_norms(binder, i, eps, &layer->attention));
        TRY(decoder_bind_plain_ffn(keys, binder, spec, i, ACTIVATION_GELU_TANH, &layer->ffn));
        TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                            &layer->attention_norm));
        layer->ffn_norm = layer->attention_norm;
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
