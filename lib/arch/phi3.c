/* Phi-3 and Phi-4 (arXiv:2404.14219): a llama whose q, k and v lie in one tensor, gate and up in
 * another. Files whose rope has long and short factors are refused for these tensors. */
#include "arch/family.h"

status phi3_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    int64_t window = 0;
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &window));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(decoder_read_attention(keys, binder, spec, i));
        layer->attention.window = spec->kv_streams[i].window = window;
        TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_SILU, &layer->ffn));
        TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    TRY(decoder_read_rope(keys, spec, spec->layers[0].attention.head_dim, ROPE_HALVES, 10000.0f,
                          &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
