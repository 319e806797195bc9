#include "arch/family.h"

/* As files number them. */
enum { TYPE_NONE, TYPE_MEAN, TYPE_FIRST, TYPE_LAST, TYPE_RANK };

static bool sees_behind(const struct spec *spec) {
    return spec->layers[0].attention.bidirectional;
}

static status read_kind(const struct keys *keys, struct spec *spec) {
    int64_t type = spec->score.n_labels ? TYPE_RANK : TYPE_NONE;
    TRY(keys_i64_or(keys, "pooling_type", TYPE_NONE, TYPE_RANK, &type));
    TRY(keys_bool_or(keys, "pooling_normalize", &spec->pooling.normalize));
    static const enum pooling_kind kinds[] = {POOLING_NONE, POOLING_MEAN, POOLING_FIRST,
                                              POOLING_LAST};
    /* A decoder's last token is the only one to have seen all, an encoder's first is made for it.
     */
    if (type == TYPE_RANK)
        spec->pooling.kind = sees_behind(spec) ? POOLING_FIRST : POOLING_LAST;
    else
        spec->pooling.kind = kinds[type];
    if (!spec->score.n_labels)
        return type != TYPE_RANK ? OK
                                 : fail(UNSUPPORTED,
                                        "%s: '%s.pooling_type' is that of a model with a score "
                                        "head, which the file lacks",
                                        checkpoint_name(keys->file), keys->prefix);
    if (type == TYPE_NONE) spec->pooling.kind = sees_behind(spec) ? POOLING_FIRST : POOLING_LAST;
    if (!spec->pooling.normalize) return OK;
    return fail(UNSUPPORTED, "%s: '%s.pooling_normalize' with a score head",
                checkpoint_name(keys->file), keys->prefix);
}

/* cls: a layer before the last one, cls.output, which always is there: of a file with cls alone it
 * isn't known whether that was a layer with an activation or the last. */
static status read_score(const struct keys *keys, struct binder *binder, struct spec *spec) {
    struct score_spec *score = &spec->score;
    score->dense = score->out = (struct linear_spec){.weight.id = -1, .bias.id = -1};
    if (bind_has(binder, "cls", 0) && !bind_has(binder, "cls.output", 0))
        return fail(UNSUPPORTED, "%s: tensor 'cls.weight' without 'cls.output.weight'",
                    checkpoint_name(keys->file));
    TRY(bind_matrix(binder, BIND_OPTIONAL, "cls.output.weight", 0, 0, spec->n_embd,
                    &score->out.weight));
    if (!score->out.weight.tensor) return OK;
    score->n_labels = score->out.weight.tensor->dims[1];
    TRY(bind_vector(binder, BIND_OPTIONAL, "cls.output.bias", 0, score->n_labels,
                    &score->out.bias));
    TRY(bind_linear(binder, BIND_OPTIONAL, "cls", 0, spec->n_embd, spec->n_embd, &score->dense));
    if (score->activation == ACTIVATION_NONE) score->activation = ACTIVATION_TANH;
    TRY(decoder_read_activation(keys, "cls_activation", &score->activation));
    if (bind_has(binder, "cls.norm", 0)) {
        float eps;
        TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &eps));
        TRY(bind_norm_layer(binder, "cls.norm", 0, spec->n_embd, eps, &score->norm));
    }
    if (!spec->head.weight.tensor) return OK;
    /* Where nothing but the embedding could have been a head there is none. */
    if (spec->head.weight.tensor != spec->embedding.weight.tensor)
        return fail(UNSUPPORTED, "%s: has both 'output.weight' and 'cls.output.weight'",
                    checkpoint_name(keys->file));
    spec->head = (struct linear_spec){.weight.id = -1, .bias.id = -1};
    return OK;
}

status pooling_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    TRY(read_score(keys, binder, spec));
    return read_kind(keys, spec);
}
