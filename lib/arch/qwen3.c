/* Qwen 3 (arXiv:2505.09388), dense or with experts: like Qwen 2, with norms of the heads of q and
 * k.
 */
#include "arch/family.h"

status qwen3_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    int64_t window = 0;
    TRY(decoder_check_window(keys));
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &window));
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        struct attention_spec *attention = &layer->attention;
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_read_window(keys, i, 0, window, spec));
        int64_t head_dim = attention->head_dim;
        layer->experts.normalize = true;
        TRY(experts_bind(keys, binder, spec, i, ACTIVATION_SILU, layer));
        TRY(bind_norm_rms(binder, "blk.%d.attn_q_norm", i, head_dim, eps, &attention->q_norm));
        TRY(bind_norm_rms(binder, "blk.%d.attn_k_norm", i, head_dim, eps, &attention->k_norm));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
