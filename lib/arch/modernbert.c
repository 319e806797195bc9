/* ModernBERT (arXiv:2412.13663): norms before attention and FFN, but none before the first
 * attention, which is that of the embeddings; gated FFNs; layers that see a window to either side,
 * with a rope base of their own, between some that see all. */
#include "arch/encoder.h"

enum { ROPE_GLOBAL, ROPE_LOCAL, N_ROPES };

/* The file's window is that of both sides together, the query itself not counted. */
static status read_window(const struct keys *keys, int64_t *window) {
    int64_t both = 0;
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &both));
    *window = both ? both / 2 + 1 : 0;
    return OK;
}

/* One layer in `pattern`, the first of them, sees all; or an array tells for each. */
static status layer_slides(const struct keys *keys, int64_t layer, bool *slides) {
    static const char *const suffix = "attention.sliding_window_pattern";
    int64_t value = 3;
    TRY(keys_i64_of_layer(keys, suffix, layer, 0, INT32_MAX, &value));
    if (keys_is_array(keys, suffix))
        *slides = value != 0;
    else
        *slides = value == 0 || layer % value != 0;
    return OK;
}

static status read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                         int64_t i, float eps, int64_t window) {
    struct layer_spec *layer = &spec->layers[i];
    bool slides = false;
    TRY(encoder_read_attention(keys, binder, spec, i));
    if (window) TRY(layer_slides(keys, i, &slides));
    layer->attention.window = slides ? window : 0;
    layer->attention.rope = slides ? ROPE_LOCAL : ROPE_GLOBAL;
    TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_GELU, &layer->ffn));
    if (i > 0 || bind_has(binder, "blk.%d.attn_norm", i))
        TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                            &layer->attention_norm));
    return bind_norm_layer(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm);
}

status modernbert_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps, local_theta = 10000.0f;
    int64_t window;
    TRY(encoder_read_model(keys, binder, N_ROPES, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(read_window(keys, &window));
    TRY(bind_norm_layer(binder, "token_embd_norm", 0, spec->n_embd, eps, &spec->embedding_norm));
    for (int64_t i = 0; i < spec->n_layers; i++)
        TRY(read_layer(keys, binder, spec, i, eps, window));
    struct rope_spec *global = &spec->ropes[ROPE_GLOBAL], *local = &spec->ropes[ROPE_LOCAL];
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 160000.0f,
                          global));
    TRY(keys_f32_or(keys, "rope.freq_base_swa", 1.0f, 1e12f, &local_theta));
    *local = (struct rope_spec){.n_dims = global->n_dims,
                                .theta = local_theta,
                                .pairing = ROPE_HALVES,
                                .factor = 1.0f,
                                .attention_factor = 1.0f,
                                .freq_factors.id = -1,
                                .long_factors.id = -1};
    spec->score.activation = ACTIVATION_GELU;
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
