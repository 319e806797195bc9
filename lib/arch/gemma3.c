/* Gemma 3 (arXiv:2503.19786), text: norms around attention and FFN, norms of q and k,
 * sliding-window layers with a rope base of their own, every sixth layer global. */
#include <math.h>

#include "arch/family.h"

enum { ROPE_GLOBAL, ROPE_LOCAL, N_ROPES };

static status read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                         int64_t i, float eps, int64_t window) {
    struct layer_spec *layer = &spec->layers[i];
    struct attention_spec *attention = &layer->attention;
    int64_t n = spec->n_embd;
    TRY(decoder_read_heads(keys, spec, i, 256, attention));
    if (attention->head_dim != spec->layers[0].attention.head_dim)
        return fail(UNSUPPORTED, "%s: '%s.attention.key_length' differs between layers",
                    checkpoint_name(keys->file), keys->prefix);
    /* The 27B model scales by n_embd / n_heads instead; files don't say so, its 62 layers do. */
    float stated = 0.0f;
    TRY(keys_f32_or(keys, "attention.scale", 1e-6f, 1e6f, &stated));
    if (spec->n_layers == 62 && n % attention->n_heads == 0 && stated == 0.0f)
        attention->scale = 1.0f / sqrtf((float)(n / attention->n_heads));
    TRY(decoder_read_window(keys, i, 6, window, spec));
    attention->rope = attention->window ? ROPE_LOCAL : ROPE_GLOBAL;
    TRY(keys_f32_or(keys, "attn_logit_softcapping", 0.0f, 1e6f, &attention->softcap));

    TRY(decoder_bind_attention(binder, spec, i, attention));
    TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_GELU_TANH, &layer->ffn));
    int64_t head_dim = attention->head_dim;
    TRY(bind_norm_rms(binder, "blk.%d.attn_q_norm", i, head_dim, eps, &attention->q_norm));
    TRY(bind_norm_rms(binder, "blk.%d.attn_k_norm", i, head_dim, eps, &attention->k_norm));
    TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, n, eps, &layer->attention_norm));
    TRY(bind_norm_rms(binder, "blk.%d.post_attention_norm", i, n, eps,
                      &layer->post_attention_norm));
    TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, n, eps, &layer->ffn_norm));
    return bind_norm_rms(binder, "blk.%d.post_ffw_norm", i, n, eps, &layer->post_ffn_norm);
}

status gemma3_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps, local_theta = 10000.0f;
    int64_t window = 0;
    TRY(decoder_read_model(keys, binder, N_ROPES, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &window)); /* 0: none slides */
    for (int64_t i = 0; i < spec->n_layers; i++) {
        TRY(read_layer(keys, binder, spec, i, eps, window));
    }
    struct rope_spec *global = &spec->ropes[ROPE_GLOBAL], *local = &spec->ropes[ROPE_LOCAL];
    int64_t head_dim = spec->layers[0].attention.head_dim;
    TRY(decoder_read_rope(keys, spec, head_dim, ROPE_HALVES, 1000000.0f, global));
    TRY(keys_f32_or(keys, "rope.freq_base_swa", 1.0f, 1e12f, &local_theta));
    *local = (struct rope_spec){.n_dims = global->n_dims,
                                .theta = local_theta,
                                .pairing = ROPE_HALVES,
                                .factor = 1.0f,
                                .attention_factor = 1.0f,
                                .freq_factors.id = -1,
                                .long_factors.id = -1};
    spec->embedding_scale = sqrtf((float)spec->n_embd);
    TRY(keys_f32_or(keys, "final_logit_softcapping", 0.0f, 1e6f, &spec->logit_softcap));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
