/* BLOOM (arXiv:2211.05100): positions by ALiBi, which files don't say, and a norm of the
 * embeddings. */
#include "arch/family.h"

status bloom_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(decoder_read_model(keys, binder, 0, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(bind_norm_layer(binder, "token_embd_norm", 0, spec->n_embd, eps, &spec->embedding_norm));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        layer->attention.rope = -1;
        layer->attention.max_bias = 8.0f;
        TRY(decoder_bind_plain_ffn(keys, binder, spec, i, ACTIVATION_GELU_TANH, &layer->ffn));
        TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                            &layer->attention_norm));
        TRY(bind_norm_layer(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
