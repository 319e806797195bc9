/* SmolLM3 (Hugging Face, 2025): a llama whose every fourth layer has no positions
 * (arXiv:2501.18795). */
#include "arch/family.h"

status smollm3_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        if ((i + 1) % 4 == 0) layer->attention.rope = -1;
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    struct rope_spec *rope = &spec->ropes[0];
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_ADJACENT, 10000.0f,
                          rope));
    TRY(bind_vector(binder, BIND_OPTIONAL, "rope_freqs.weight", 0, rope->n_dims / 2,
                    &rope->freq_factors));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
