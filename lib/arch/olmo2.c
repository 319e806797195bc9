/* OLMo 2 (arXiv:2501.00656): what attention and FFN give is normed, what they take is not; q and k
 * are normed as wholes. OLMo 3: all layers but every fourth slide, and their rope is not scaled.
 * FlexOlmo (2507.07024): experts in every layer. */
#include "arch/family.h"

enum { ROPE_WHOLE, ROPE_SLIDING, N_ROPES };

/* Of layers that slide: the same base unless the file has another one, and no scaling. */
static status read_sliding_rope(const struct keys *keys, struct spec *spec) {
    struct rope_spec *rope = &spec->ropes[ROPE_SLIDING];
    const struct rope_spec *whole = &spec->ropes[ROPE_WHOLE];
    *rope = (struct rope_spec){.n_dims = whole->n_dims,
                               .theta = whole->theta,
                               .pairing = whole->pairing,
                               .factor = 1.0f,
                               .attention_factor = 1.0f,
                               .freq_factors.id = -1,
                               .long_factors.id = -1};
    return keys_f32_or(keys, "rope.freq_base_swa", 1.0f, 1e12f, &rope->theta);
}

status olmo2_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    int64_t window = 0;
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &window));
    TRY(decoder_read_model(keys, binder, window ? N_ROPES : 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    int64_t n = spec->n_embd;
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        struct attention_spec *a = &layer->attention;
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_read_window(keys, i, 4, window, spec));
        a->rope = a->window ? ROPE_SLIDING : ROPE_WHOLE;
        TRY(experts_bind(keys, binder, spec, i, ACTIVATION_SILU, layer));
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
                          &spec->ropes[ROPE_WHOLE]));
    if (window) TRY(read_sliding_rope(keys, spec));
    return bind_norm_rms(binder, "output_norm", 0, n, eps, &spec->output_norm);
}
