/* The encoder-decoder of "Attention Is All You Need" (arXiv:1706.03762) and its successors: Marian
 * (arXiv:1804.00344) and BART (arXiv:1910.13461) norm after each block, M2M-100 (arXiv:2010.11125),
 * NLLB (arXiv:2207.04672) and mBART (arXiv:2001.08210) before it, and once more at the end. Which
 * of these a file has, its norms' names say. */
#include <math.h>

#include "arch/family.h"

struct names {
    const char *embedding_norm, *output_norm, *positions;
    const char *pre_attention, *post_attention, *pre_cross, *post_cross, *pre_ffn, *post_ffn;
};

static const struct names encoder_names = {
    .embedding_norm = "enc.token_embd_norm",
    .output_norm = "enc.output_norm",
    .positions = "enc.position_embd",
    .pre_attention = "enc.blk.%d.attn_norm",
    .post_attention = "enc.blk.%d.attn_output_norm",
    .pre_ffn = "enc.blk.%d.ffn_norm",
    .post_ffn = "enc.blk.%d.layer_output_norm",
};

static const struct names decoder_names = {
    .embedding_norm = "dec.token_embd_norm",
    .output_norm = "dec.output_norm",
    .positions = "dec.position_embd",
    .pre_attention = "dec.blk.%d.attn_norm",
    .post_attention = "dec.blk.%d.attn_output_norm",
    .pre_cross = "dec.blk.%d.cross_attn_norm",
    .post_cross = "dec.blk.%d.cross_attn_output_norm",
    .pre_ffn = "dec.blk.%d.ffn_norm",
    .post_ffn = "dec.blk.%d.layer_output_norm",
};

struct side {
    struct binder *binder;
    struct spec *spec;
    const struct names *names;
    float eps;
};

static status bind_norm(const struct side *side, const char *name, int64_t layer,
                        struct norm_spec *norm) {
    return bind_norm_layer(side->binder, name, layer, side->spec->n_embd, side->eps, norm);
}

static status bind_norm_if_there(const struct side *side, const char *name,
                                 struct norm_spec *norm) {
    return bind_has(side->binder, name, 0) ? bind_norm(side, name, 0, norm) : OK;
}

static status bind_norms(const struct side *side, int64_t i, bool decoder,
                         struct layer_spec *layer) {
    const struct names *names = side->names;
    if (bind_has(side->binder, names->post_attention, i)) {
        layer->residual = RESIDUAL_POST_NORM;
        TRY(bind_norm(side, names->post_attention, i, &layer->post_attention_norm));
        if (decoder) TRY(bind_norm(side, names->post_cross, i, &layer->post_cross_norm));
        return bind_norm(side, names->post_ffn, i, &layer->post_ffn_norm);
    }
    TRY(bind_norm(side, names->pre_attention, i, &layer->attention_norm));
    if (decoder) TRY(bind_norm(side, names->pre_cross, i, &layer->cross_norm));
    return bind_norm(side, names->pre_ffn, i, &layer->ffn_norm);
}

/* A table of the side's own, or one of both. */
static status bind_positions(const struct side *side, int64_t offset,
                             struct weight_ref *positions) {
    const struct spec *spec = side->spec;
    const char *stem = bind_has(side->binder, side->names->positions, 0) ? side->names->positions
                                                                         : "position_embd";
    struct linear_spec table;
    TRY(bind_linear(side->binder, BIND_REQUIRED, stem, 0, 0, spec->n_embd, &table));
    *positions = table.weight;
    int64_t rows = positions->tensor->dims[1];
    if (rows >= spec->context_length + offset) return OK;
    return fail(FORMAT,
                "%s: '%s.weight' has %" PRId64 " rows, a context of %" PRId64 " needs %" PRId64,
                checkpoint_name(side->binder->file), stem, rows, spec->context_length,
                spec->context_length + offset);
}

status bart_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    struct source_spec *source = &spec->source;
    struct side encoder = {binder, spec, &encoder_names, 1e-5f};
    TRY(encoder_decoder_read_model(keys, binder, false, spec));
    TRY(keys_f32(keys, "attention.layer_norm_epsilon", 1e-30f, 1.0f, &encoder.eps));
    struct text activation = {"", 0};
    TRY(keys_text_or(keys, "activation", &activation));
    if (activation.length == 0)
        return fail(FORMAT, "%s: '%s.activation' is missing", checkpoint_name(keys->file),
                    keys->prefix);
    TRY(keys_f32_or(keys, "embedding_scale", 1e-6f, 1e6f, &spec->embedding_scale));
    source->embedding_scale = spec->embedding_scale;
    TRY(keys_i64_or(keys, "position_offset", 0, 1 << 10, &spec->position_offset));
    source->position_offset = spec->position_offset;
    struct side decoder = encoder;
    decoder.names = &decoder_names;

    TRY(bind_positions(&decoder, spec->position_offset, &spec->positions));
    TRY(bind_norm_if_there(&decoder, decoder_names.embedding_norm, &spec->embedding_norm));
    TRY(bind_norm_if_there(&decoder, decoder_names.output_norm, &spec->output_norm));
    for (int64_t i = 0; i < spec->n_layers; i++) {
        TRY(encoder_decoder_read_layer(keys, binder, spec, "dec", i, &spec->layers[i]));
        TRY(bind_norms(&decoder, i, true, &spec->layers[i]));
    }
    binder->of_source = true;
    TRY(bind_positions(&encoder, source->position_offset, &source->positions));
    TRY(bind_norm_if_there(&encoder, encoder_names.embedding_norm, &source->embedding_norm));
    TRY(bind_norm_if_there(&encoder, encoder_names.output_norm, &source->output_norm));
    for (int64_t i = 0; i < source->n_layers; i++) {
        TRY(encoder_decoder_read_layer(keys, binder, spec, "enc", i, &source->layers[i]));
        TRY(bind_norms(&encoder, i, false, &source->layers[i]));
    }
    return OK;
}
