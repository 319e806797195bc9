/* MiniMax M2 (2025): experts in every layer, which sigmoids rate; q and k are normed as wholes, the
 * first dims of a head are rotated. */
#include "arch/family.h"

status minimax_m2_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        struct attention_spec *a = &layer->attention;
        TRY(decoder_read_attention(keys, binder, spec, i));
        a->norms = NORM_OF_ALL_HEADS;
        TRY(bind_norm_rms(binder, "blk.%d.attn_q_norm", i, a->n_heads * a->head_dim, eps,
                          &a->q_norm));
        TRY(bind_norm_rms(binder, "blk.%d.attn_k_norm", i, a->n_kv_heads * a->head_dim, eps,
                          &a->k_norm));
        layer->experts.routing = ROUTING_SIGMOID;
        layer->experts.normalize = true;
        TRY(experts_bind(keys, binder, spec, i, ACTIVATION_SILU, layer));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
