/* OLMo 2 (arXiv:2501.00656): what attention and FFN give is normed, what they take is not; q and k
 * are normed as wholes. */
#include "arch/family.h"

status olmo2_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    int64_t n = spec->n_embd;
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        struct attention_spec *a = &layer->attention;
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
        a->norms = NORM_OF_ALL_HEADS;
        TRY(bind_norm_rms(binder, "blk.%d.attn_q_norm", i, a->n_heads * a->head_dim, eps,
                          &a->q_norm));
        TRY(bind_norm_rms(binder, "blk.%d.attn_k_norm", i, a->n_kv_heads * a->head_dim, eps,
                          &a->k_norm));
        TRY(bind_norm_rms(binder, "blk.%d.post_attention_norm", i, n, eps,
                          &layer->post_attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.post_ffw_norm", i, n, eps, &layer->post_ffn_norm));
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, n, eps, &spec->output_norm);
}
