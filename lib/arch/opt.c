/* OPT (arXiv:2205.01068): learned positions that begin at row 2, an FFN of ReLU; the 350M model
 * norms behind attention and FFN, and its embeddings are narrower than its layers. XGLM
 * (2112.10668) and BioGPT (2210.10341) scale the embeddings. GPT-1 (Radford et al., 2018) norms
 * behind attention and FFN too; its positions begin at row 0. */
#include "arch/family.h"

/* Some models' norms have no weights. */
static status bind_norm(struct binder *binder, const char *stem, int64_t layer, float eps,
                        struct norm_spec *norm) {
    *norm = (struct norm_spec){.kind = NORM_LAYER, .eps = eps, .weight.id = -1, .bias.id = -1};
    if (!bind_has(binder, stem, layer)) return OK;
    return bind_norm_layer(binder, stem, layer, binder->spec->n_embd, eps, norm);
}

static status read_model(const struct keys *keys, struct binder *binder, int64_t first_position,
                         enum activation activation, bool before, struct spec *spec) {
    float eps;
    bool unnormed = false;
    TRY(decoder_read_model(keys, binder, 0, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_bool_or(keys, "norm_before", &before));
    TRY(keys_bool_or(keys, "no_output_norm", &unnormed));
    TRY(keys_f32_or(keys, "embedding_scale", 1e-6f, 1e6f, &spec->embedding_scale));
    TRY(decoder_bind_positions(binder, spec, first_position));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        layer->attention.rope = -1;
        layer->residual = before ? RESIDUAL_SEQUENTIAL : RESIDUAL_POST_NORM;
        TRY(decoder_bind_plain_ffn(keys, binder, spec, i, activation, &layer->ffn));
        TRY(bind_norm(binder, "blk.%d.attn_norm", i, eps,
                      before ? &layer->attention_norm : &layer->post_attention_norm));
        TRY(bind_norm(binder, "blk.%d.ffn_norm", i, eps,
                      before ? &layer->ffn_norm : &layer->post_ffn_norm));
    }
    return before && !unnormed ? bind_norm(binder, "output_norm", 0, eps, &spec->output_norm) : OK;
}

status opt_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    return read_model(keys, binder, 2, ACTIVATION_RELU, true, spec);
}

status openai_gpt_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    return read_model(keys, binder, 0, ACTIVATION_GELU_TANH, false, spec);
}
