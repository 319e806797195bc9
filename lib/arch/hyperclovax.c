/* HyperCLOVA X SEED Think (NAVER, 2025): a llama with multipliers of embeddings, attention's
 * scores, residuals and logits, and norms of what attention and FFN give (arXiv:2502.02732). */
#include "arch/family.h"

status hyperclovax_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    int64_t n = spec->n_embd;
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i)); /* with attention.scale */
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, n, eps, &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, n, eps, &layer->ffn_norm));
        if (!bind_has(binder, "blk.%d.post_attention_norm", i)) continue;
        TRY(bind_norm_rms(binder, "blk.%d.post_attention_norm", i, n, eps,
                          &layer->post_attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.post_ffw_norm", i, n, eps, &layer->post_ffn_norm));
    }
    TRY(keys_f32_or(keys, "embedding_scale", 1e-6f, 1e6f, &spec->embedding_scale));
    TRY(keys_f32_or(keys, "residual_scale", 1e-6f, 1e6f, &spec->residual_scale));
    TRY(keys_f32_or(keys, "logit_scale", 1e-6f, 1e6f, &spec->logit_scale)); /* a factor */
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, n, eps, &spec->output_norm);
}
