/* GPT-NeoX (arXiv:2204.06745) and Pythia (2304.01373): partial rotation, attention and FFN side by
 * side where the file says so. Persimmon (Adept, 2023) norms the heads of q and k. */
#include "arch/family.h"

status gptneox_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    bool parallel = true;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_bool_or(keys, "use_parallel_residual", &parallel));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        layer->residual = parallel ? RESIDUAL_PARALLEL : RESIDUAL_SEQUENTIAL;
        TRY(decoder_read_attention(keys, binder, spec, i));
        TRY(decoder_bind_head_norms(binder, i, eps, &layer->attention));
        TRY(decoder_bind_plain_ffn(keys, binder, spec, i, ACTIVATION_GELU, &layer->ffn));
        TRY(bind_norm_layer(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                            &layer->attention_norm));
        TRY(bind_norm_layer(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_layer(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
