/* Experts of a layer under GGUF's names, whatever the family. */
#include "arch/family.h"

/* expert_gating_func, as llama.cpp numbers them; of the chosen logits' softmax see
 * experts_spec. */
enum { GATING_NONE, GATING_SOFTMAX, GATING_SIGMOID, GATING_SOFTMAX_CHOSEN };

static status read_routing(const struct keys *keys, struct experts_spec *experts) {
    int64_t gating = GATING_NONE;
    experts->scale = 1.0f;
    TRY(keys_i64(keys, "expert_count", 1, EXPERTS_MAX, &experts->n_experts));
    TRY(keys_i64(keys, "expert_used_count", 1, experts->n_experts, &experts->n_used));
    TRY(keys_i64_or(keys, "expert_gating_func", GATING_NONE, GATING_SOFTMAX_CHOSEN, &gating));
    TRY(keys_bool_or(keys, "expert_weights_norm", &experts->normalize));
    TRY(keys_f32_or(keys, "expert_weights_scale", 0.0f, 1e6f, &experts->scale));
    if (experts->scale == 0.0f) experts->scale = 1.0f; /* converters' word for none */
    if (gating == GATING_SIGMOID) experts->routing = ROUTING_SIGMOID;
    if (gating == GATING_SOFTMAX) experts->routing = ROUTING_SOFTMAX;
    if (gating == GATING_SOFTMAX_CHOSEN) {
        experts->routing = ROUTING_SOFTMAX;
        experts->normalize = true;
    }
    experts->n_groups = experts->n_groups_used = 1;
    TRY(keys_i64_or(keys, "expert_group_count", 1, EXPERTS_MAX_GROUPS, &experts->n_groups));
    experts->n_groups_used = experts->n_groups;
    TRY(keys_i64_or(keys, "expert_group_used_count", 1, experts->n_groups,
                    &experts->n_groups_used));
    if (experts->group_top == 0) experts->group_top = 2;
    int64_t reachable = experts->n_experts / experts->n_groups * experts->n_groups_used;
    if (experts->n_experts % experts->n_groups || experts->n_used > reachable)
        return fail(FORMAT,
                    "%s: '%s.expert_group_count' is %" PRId64 ", which does not fit %" PRId64
                    " experts of which %" PRId64 " are used",
                    checkpoint_name(keys->file), keys->prefix, experts->n_groups,
                    experts->n_experts, experts->n_used);
    TRY(keys_must_be(keys, "expert_group_scale", 1));
    TRY(keys_must_be(keys, "experts_per_group", 0));
    return keys_must_be(keys, "expert_latent_length", 0);
}

/* The tensors tell which layers have experts; keys that say so too, where files have them, must not
 * contradict. */
static status check_place(const struct keys *keys, int64_t layer, bool sparse) {
    int64_t first = 0, step = 1;
    TRY(keys_i64_or(keys, "leading_dense_block_count", 0, INT32_MAX, &first));
    TRY(keys_i64_or(keys, "interleave_moe_layer_step", 1, INT32_MAX, &step));
    if (!sparse || (layer >= first && (layer + 1) % step == 0)) return OK;
    return fail(FORMAT,
                "%s: '%s.leading_dense_block_count' is %" PRId64
                " and interleave_moe_layer_step %" PRId64 ", but layer %" PRId64 " has experts",
                checkpoint_name(keys->file), keys->prefix, first, step, layer);
}

static status bind_chosen(struct binder *binder, const struct spec *spec, int64_t layer,
                          struct experts_spec *experts) {
    struct ffn_spec *ffn = &experts->ffn;
    int64_t n = spec->n_embd, n_experts = experts->n_experts;
    if (bind_has(binder, "blk.%d.ffn_gate_up_exps", layer)) {
        TRY(bind_experts_parts(binder, "blk.%d.ffn_gate_up_exps", layer, n_experts, 2,
                               (int64_t[]){ffn->n_ff, ffn->n_ff}, n,
                               (struct linear_spec *[]){&ffn->gate, &ffn->up}));
    } else {
        TRY(bind_experts(binder, BIND_REQUIRED, "blk.%d.ffn_gate_exps", layer, n_experts, ffn->n_ff,
                         n, &ffn->gate));
        TRY(bind_experts(binder, BIND_REQUIRED, "blk.%d.ffn_up_exps", layer, n_experts, ffn->n_ff,
                         n, &ffn->up));
    }
    return bind_experts(binder, BIND_REQUIRED, "blk.%d.ffn_down_exps", layer, n_experts, n,
                        ffn->n_ff, &ffn->down);
}

/* Keys that tell the width of the shared expert are wrong in some converters' files: its down
 * projection has it. */
static status bind_shared(struct binder *binder, const struct spec *spec, int64_t layer,
                          struct layer_spec *to) {
    struct ffn_spec *ffn = &to->ffn;
    int64_t n = spec->n_embd;
    ffn->n_ff = bind_cols(binder, "blk.%d.ffn_down_shexp", layer);
    to->experts.shared_gate.weight.id = to->experts.shared_gate.bias.id = -1;
    if (!ffn->n_ff) return OK;
    ffn->activation = to->experts.ffn.activation;
    ffn->gated = true;
    if (bind_has(binder, "blk.%d.ffn_gate_shexp", layer)) {
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.ffn_gate_shexp", layer, ffn->n_ff, n,
                        &ffn->gate));
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.ffn_up_shexp", layer, ffn->n_ff, n,
                        &ffn->up));
    } else {
        TRY(bind_linear_parts(binder, "blk.%d.ffn_up_shexp", layer, 2,
                              (int64_t[]){ffn->n_ff, ffn->n_ff}, n,
                              (struct linear_spec *[]){&ffn->gate, &ffn->up}));
    }
    TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.ffn_down_shexp", layer, n, ffn->n_ff,
                    &ffn->down));
    return bind_linear(binder, BIND_OPTIONAL, "blk.%d.ffn_gate_inp_shexp", layer, 1, n,
                       &to->experts.shared_gate);
}

status experts_bind_chosen(const struct keys *keys, struct binder *binder, const struct spec *spec,
                           int64_t layer, enum activation activation,
                           struct experts_spec *experts) {
    TRY(read_routing(keys, experts));
    experts->ffn.activation = activation;
    TRY(decoder_read_activation(keys, "activation", &experts->ffn.activation));
    experts->ffn.gated = true;
    TRY(decoder_read_ffn_length(keys, layer, "expert_feed_forward_length", &experts->ffn.n_ff));
    TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.ffn_gate_inp", layer, experts->n_experts,
                    spec->n_embd, &experts->router));
    TRY(bind_vector(binder, BIND_OPTIONAL, "blk.%d.exp_probs_b.bias", layer, experts->n_experts,
                    &experts->selection_bias));
    return bind_chosen(binder, spec, layer, experts);
}

status experts_bind(const struct keys *keys, struct binder *binder, const struct spec *spec,
                    int64_t layer, enum activation activation, struct layer_spec *to) {
    struct experts_spec *experts = &to->experts;
    bool sparse = bind_has(binder, "blk.%d.ffn_gate_inp", layer);
    TRY(check_place(keys, layer, sparse));
    if (!sparse) {
        experts->n_experts = 0;
        return decoder_bind_ffn(keys, binder, spec, layer, activation, &to->ffn);
    }
    TRY(experts_bind_chosen(keys, binder, spec, layer, activation, experts));
    return bind_shared(binder, spec, layer, to);
}
