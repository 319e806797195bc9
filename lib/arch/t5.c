/* T5 (arXiv:1910.10683), T5 1.1 and Flan, UMT5 (arXiv:2304.09151): RMS norms before every block, a
 * bias of scores by distance instead of positions, no scale of scores. T5 has one such bias for all
 * layers of a side, in its first layer's; UMT5 has one in each layer. The encoder of each is a
 * model of its own, too. */
#include <math.h>
#include <stdio.h>

#include "arch/encoder.h"

/* The layer's own bias, or that of the layer before. */
static status read_bias(const struct keys *keys, struct binder *binder, struct spec *spec,
                        const char *name, int64_t i, const struct layer_spec *before,
                        struct attention_spec *a) {
    struct relative_bias_spec *bias = &spec->relative_biases[spec->n_relative_biases];
    bias->n_heads = a->n_heads;
    bias->bidirectional = a->bidirectional;
    bias->max_distance = 128;
    TRY(keys_i64(keys, "attention.relative_buckets_count", 4, 1 << 10, &bias->n_buckets));
    TRY(keys_i64_or(keys, "attention.relative_max_distance", 1, 1 << 12, &bias->max_distance));
    if (bias->max_distance <= bias->n_buckets / (bias->bidirectional ? 4 : 2))
        return fail(UNSUPPORTED,
                    "%s: '%s.attention.relative_max_distance' is %" PRId64 " with %" PRId64
                    " buckets",
                    checkpoint_name(keys->file), keys->prefix, bias->max_distance, bias->n_buckets);
    TRY(bind_table(binder, before ? BIND_OPTIONAL : BIND_REQUIRED, name, i, bias->n_buckets,
                   bias->n_heads, &bias->table));
    if (!bias->table.tensor)
        a->relative_bias = before->attention.relative_bias;
    else
        a->relative_bias = ++spec->n_relative_biases;
    return OK;
}

static status read_side(const struct keys *keys, struct binder *binder, struct spec *spec,
                        float eps, bool decoder) {
    int64_t n_layers = decoder ? spec->n_layers : spec->source.n_layers, n = spec->n_embd;
    struct layer_spec *layers = decoder ? spec->layers : spec->source.layers;
    binder->of_source = !decoder;
    for (int64_t i = 0; i < n_layers; i++) {
        struct layer_spec *layer = &layers[i];
        TRY(encoder_decoder_read_layer(keys, binder, spec, decoder ? "dec" : "enc", i, layer));
        layer->attention.scale = layer->cross.scale = 1.0f;
        TRY(read_bias(keys, binder, spec,
                      decoder ? "dec.blk.%d.attn_rel_b.weight" : "enc.blk.%d.attn_rel_b.weight", i,
                      i ? &layers[i - 1] : NULL, &layer->attention));
        TRY(bind_norm_rms(binder, decoder ? "dec.blk.%d.attn_norm" : "enc.blk.%d.attn_norm", i, n,
                          eps, &layer->attention_norm));
        TRY(bind_norm_rms(binder, decoder ? "dec.blk.%d.ffn_norm" : "enc.blk.%d.ffn_norm", i, n,
                          eps, &layer->ffn_norm));
        if (!decoder) continue;
        TRY(bind_norm_rms(binder, "dec.blk.%d.cross_attn_norm", i, n, eps, &layer->cross_norm));
        bind_ignore(binder, "dec.blk.%d.cross_attn_rel_b.weight", i); /* of no effect */
    }
    return bind_norm_rms(binder, decoder ? "dec.output_norm" : "enc.output_norm", 0, n, eps,
                         decoder ? &spec->output_norm : &spec->source.output_norm);
}

status t5_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(encoder_decoder_read_model(keys, binder, true, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    TRY(read_side(keys, binder, spec, eps, false));
    TRY(read_side(keys, binder, spec, eps, true));
    /* A tied head is scaled: what comes out was trained against embeddings of that size. */
    if (spec->head.weight.tensor == spec->embedding.weight.tensor)
        spec->logit_scale = 1.0f / sqrtf((float)spec->n_embd);
    return keys_f32_or(keys, "logit_scale", 1e-9f, 1e9f, &spec->logit_scale);
}

status t5_encoder_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    float eps;
    TRY(encoder_read_model(keys, binder, 0, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &eps));
    TRY(MEMORY_TAKE_ARRAY(spec->memory, (size_t)spec->n_layers, "biases by distance",
                          &spec->relative_biases));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        struct layer_spec *layer = &spec->layers[i];
        TRY(encoder_decoder_read_alone(keys, binder, spec, i, layer));
        layer->attention.scale = 1.0f;
        TRY(read_bias(keys, binder, spec, "enc.blk.%d.attn_rel_b.weight", i,
                      i ? &spec->layers[i - 1] : NULL, &layer->attention));
        TRY(bind_norm_rms(binder, "enc.blk.%d.attn_norm", i, spec->n_embd, eps,
                          &layer->attention_norm));
        TRY(bind_norm_rms(binder, "enc.blk.%d.ffn_norm", i, spec->n_embd, eps, &layer->ffn_norm));
    }
    return bind_norm_rms(binder, "enc.output_norm", 0, spec->n_embd, eps, &spec->output_norm);
}
