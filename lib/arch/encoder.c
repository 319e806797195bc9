#include "arch/encoder.h"

status encoder_read_model(const struct keys *keys, struct binder *binder, int n_ropes,
                          struct spec *spec) {
    bool causal = false;
    TRY(decoder_read_model(keys, binder, n_ropes, spec));
    if (bind_has(binder, "output", 0))
        return fail(UNSUPPORTED, "%s: tensor 'output.weight' of architecture '%s'",
                    checkpoint_name(keys->file), keys->prefix);
    spec->head = (struct linear_spec){.weight.id = -1, .bias.id = -1};
    TRY(keys_bool_or(keys, "attention.causal", &causal));
    if (!causal) return OK;
    return fail(UNSUPPORTED, "%s: '%s.attention.causal' is true", checkpoint_name(keys->file),
                keys->prefix);
}

status encoder_bind_token_types(const struct keys *keys, struct binder *binder, struct spec *spec) {
    TRY(bind_matrix(binder, BIND_OPTIONAL, "token_types.weight", 0, 0, spec->n_embd,
                    &spec->token_types));
    if (!spec->token_types.tensor || spec->token_types.tensor->dims[1] <= ENCODER_MAX_TOKEN_TYPES)
        return OK;
    return fail(UNSUPPORTED, "%s: 'token_types.weight' has %" PRId64 " rows, more than %d",
                checkpoint_name(keys->file), spec->token_types.tensor->dims[1],
                ENCODER_MAX_TOKEN_TYPES);
}

status encoder_read_attention(const struct keys *keys, struct binder *binder, struct spec *spec,
                              int64_t layer) {
    TRY(decoder_read_attention(keys, binder, spec, layer));
    spec->layers[layer].attention.bidirectional = true;
    return OK;
}
