/* StableLM 2 (arXiv:2402.17834): a llama with layer norms and partial rotation; the 12B model has
 * attention and FFN side by side behind one norm, and norms of each head of q and k. */
#include "arch/family.h"

status stablelm_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    bool parallel = false;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_bool_or(keys, "use_parallel_residual", &parallel));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_bind_head_norms(binder, i, eps, &layer->attention));
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
        TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                            &layer->attention_norm));
        if (parallel) {
            layer->residual = RESIDUAL_PARALLEL;
            layer->ffn_norm = layer->attention_norm;
        } else {
            TRY(bind_norm_layer(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
        }
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
