/* Gemma 1 (arXiv:2403.08295): embeddings scaled by the root of their size, a gated GELU; and
 * Gemma 2 (2408.00118), which caps logits, norms what blocks give too, and slides in every other
 * layer. VaultGemma (2510.15001) is Gemma 2 without norms of what blocks give. */
#include <math.h>

#include "arch/family.h"

status gemma_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_GELU_TANH, &layer->ffn));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    spec->embedding_scale = sqrtf((float)spec->n_embd);
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}

/* All of a layer of Gemma 2 but its norms. */
static status read_layer2(const struct keys *keys, struct binder *binder, struct spec *spec,
                          int64_t i, int64_t window) {
    struct layer_spec *layer = &spec->layers[i];
    struct attention_spec *attention = &layer->attention;
    int64_t n = spec->n_embd;
    TRY(decoder_read_attention(keys, binder, spec, i));
    /* The 27B model scales by n_embd / n_heads instead; files don't say so, its 46 layers do. */
    float stated = 0.0f;
    TRY(keys_f32_or(keys, "attention.scale", 1e-6f, 1e6f, &stated));
    if (spec->n_layers == 46 && n % attention->n_heads == 0 && stated == 0.0f)
        attention->scale = 1.0f / sqrtf((float)(n / attention->n_heads));
    attention->softcap = 50.0f;
    TRY(keys_f32_or(keys, "attn_logit_softcapping", 0.0f, 1e6f, &attention->softcap));
    TRY(decoder_read_window(keys, i, 2, window, spec));
    return decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_GELU_TANH, &layer->ffn);
}

static status read_model2(const struct keys *keys, struct binder *binder, struct spec *spec,
                          float *eps) {
    int64_t window = 4096;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, eps));
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &window));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(read_layer2(keys, binder, spec, i, window));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, *eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, *eps, &layer->ffn_norm));
    }
    spec->embedding_scale = sqrtf((float)spec->n_embd);
    spec->logit_softcap = 30.0f;
    TRY(keys_f32_or(keys, "final_logit_softcapping", 0.0f, 1e6f, &spec->logit_softcap));
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, *eps, &spec->output_norm);
}

status vaultgemma_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    return read_model2(keys, binder, spec, &eps);
}

status gemma2_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(read_model2(keys, binder, spec, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(bind_norm_rms(binder, "blk.%d.post_attention_norm", i, spec->n_embd, eps,
                          &layer->post_attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.post_ffw_norm", i, spec->n_embd, eps,
                          &layer->post_ffn_norm));
    }
    return OK;
}
