/* DeepSeek-V2 (arXiv:2405.04434), V3 and R1 (2412.19437), Kimi K2, GLM 4.7 Flash: latent attention;
 * the first layers have a dense FFN, the others experts. */
#include "arch/family.h"

enum { GATING_SIGMOID = 2 }; /* of expert_gating_func */

static status read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                         int64_t i, int64_t gating, float eps) {
    struct layer_spec *layer = &spec->layers[i];
    TRY(latent_read_heads(keys, spec, i, &layer->attention));
    TRY(decoder_check_same_head_dim(keys, spec, i));
    TRY(latent_bind_attention(binder, spec, i, &layer->attention));
    TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, spec->n_embd, eps, &layer->attention_norm));
    TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    /* V2 rates a group by its best expert, V3, which has sigmoids, by its two best. */
    layer->experts.routing = gating == GATING_SIGMOID ? ROUTING_SIGMOID : ROUTING_SOFTMAX;
    layer->experts.group_top = gating == GATING_SIGMOID ? 2 : 1;
    return experts_bind(keys, binder, spec, i, ACTIVATION_SILU, layer);
}

status deepseek2_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    int64_t gating = 0;
    struct text pairing = {"adjacent", 8};
    TRY(decoder_read_model(keys, binder, 1, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    /* V2's files don't say; those who have sigmoids have a bias of the choice. */
    if (bind_has_layer(binder, ".exp_probs_b.bias")) gating = GATING_SIGMOID;
    TRY(keys_i64_or(keys, "expert_gating_func", 0, INT32_MAX, &gating));
    TRY(decoder_drop_later_layers(keys, binder, spec));
    TRY(keys_must_be(keys, "attention.temperature_scale", 0));
    TRY(keys_must_be(keys, "attention.temperature_length", 0));
    TRY(keys_text_or(keys, "rope.pairing", &pairing));
    bool halves = keys_text_is(pairing, "halves");
    if (!halves && !keys_text_is(pairing, "adjacent"))
        return fail(UNSUPPORTED, "%s: '%s.rope.pairing' is '%.*s'", checkpoint_name(keys->file),
                    keys->prefix, (int)pairing.length, pairing.data);
    for (int64_t i = 0; i < spec->n_layers; i++)
        TRY(read_layer(keys, binder, spec, i, gating, eps));
    TRY(latent_read_rope(keys, spec, halves ? ROPE_HALVES : ROPE_ADJACENT, &spec->ropes[0]));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
