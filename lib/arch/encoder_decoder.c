/* What encoder-decoders have in common: the names of llama.cpp's T5, enc.* and dec.*, and of what
 * other families have besides. */
#include <math.h>
#include <stdio.h>

#include "arch/family.h"

struct stem {
    char text[64];
};

static struct stem stem_of(const char *side, const char *name) {
    struct stem stem;
    snprintf(stem.text, sizeof stem.text, "%s.%s", side, name);
    return stem;
}

static status read_vocabulary(struct binder *binder, struct spec *spec) {
    struct source_spec *source = &spec->source;
    int64_t n = spec->n_embd;
    TRY(bind_matrix(binder, BIND_REQUIRED, "token_embd.weight", 0, 0, n, &spec->embedding.weight));
    spec->embedding.bias.id = source->embedding.bias.id = -1;
    spec->n_vocab = spec->embedding.weight.tensor->dims[1];
    TRY(bind_linear(binder, BIND_OPTIONAL, "output", 0, spec->n_vocab, n, &spec->head));
    if (!spec->head.weight.tensor) spec->head.weight = spec->embedding.weight;
    binder->of_source = true;
    TRY(bind_matrix(binder, BIND_OPTIONAL, "enc.token_embd.weight", 0, 0, n,
                    &source->embedding.weight));
    binder->of_source = false;
    if (!source->embedding.weight.tensor) source->embedding.weight = spec->embedding.weight;
    source->n_vocab = source->embedding.weight.tensor->dims[1];
    if (spec->n_vocab <= INT32_MAX && source->n_vocab <= INT32_MAX) return OK;
    return fail(FORMAT, "%s: a vocabulary has more than 2^31 tokens",
                checkpoint_name(binder->file));
}

/* The decoder's own streams, those of its cross attention, and the one of all layers of the
 * encoder, which are computed one after the other. */
static status take_memory(struct spec *spec, int n_relative_biases) {
    size_t n = (size_t)spec->n_layers, n_source = (size_t)spec->source.n_layers;
    TRY(MEMORY_TAKE_ARRAY(spec->memory, n, "layers", &spec->layers));
    TRY(MEMORY_TAKE_ARRAY(spec->memory, n_source, "layers", &spec->source.layers));
    TRY(MEMORY_TAKE_ARRAY(spec->memory, 2 * n + 1, "KV streams", &spec->kv_streams));
    spec->n_kv_streams = 2 * (int)n + 1;
    if (!n_relative_biases) return OK;
    return MEMORY_TAKE_ARRAY(spec->memory, (size_t)n_relative_biases, "biases by distance",
                             &spec->relative_biases);
}

status encoder_decoder_read_model(const struct keys *keys, struct binder *binder, bool has_biases,
                                  struct spec *spec) {
    struct source_spec *source = &spec->source;
    int64_t start = -1;
    TRY(keys_i64(keys, "block_count", 1, MAX_LAYERS, &source->n_layers));
    spec->n_layers = source->n_layers;
    TRY(keys_i64_or(keys, "decoder_block_count", 1, MAX_LAYERS, &spec->n_layers));
    TRY(keys_i64(keys, "embedding_length", 1, MAX_WIDTH, &spec->n_embd));
    TRY(keys_i64(keys, "context_length", 1, MAX_CONTEXT, &spec->context_length));
    source->context_length = spec->context_length;
    spec->embedding_scale = source->embedding_scale = 1.0f;
    spec->residual_scale = spec->logit_scale = 1.0f;
    TRY(decoder_check_switches(keys));
    TRY(read_vocabulary(binder, spec));
    TRY(keys_i64_or(keys, "decoder_start_token_id", 0, INT32_MAX, &start));
    /* A default of a larger vocabulary's says nothing of this one. */
    source->start_token = start < spec->n_vocab ? (int32_t)start : -1;
    return take_memory(spec, has_biases ? (int)(source->n_layers + spec->n_layers) : 0);
}

/* Head count and size; every layer of a side has the same. */
static status read_heads(const struct keys *keys, const struct spec *spec, bool decoder,
                         struct attention_spec *a) {
    const char *file = checkpoint_name(keys->file);
    TRY(keys_i64(keys, "attention.head_count", 1, MAX_HEADS, &a->n_heads));
    if (decoder) TRY(keys_i64_or(keys, "decoder.attention.head_count", 1, MAX_HEADS, &a->n_heads));
    int64_t n_kv_heads = a->n_heads, value_length = 0;
    TRY(keys_i64_or(keys, "attention.head_count_kv", 1, MAX_HEADS, &n_kv_heads));
    if (n_kv_heads != a->n_heads)
        return fail(UNSUPPORTED,
                    "%s: '%s.attention.head_count_kv' is %" PRId64 " with %" PRId64 " heads", file,
                    keys->prefix, n_kv_heads, a->n_heads);
    a->n_kv_heads = a->n_heads;
    a->head_dim = 0;
    TRY(keys_i64_or(keys, "attention.key_length", 1, MAX_HEAD_DIM, &a->head_dim));
    if (!a->head_dim) {
        if (spec->n_embd % a->n_heads || spec->n_embd / a->n_heads > MAX_HEAD_DIM)
            return fail(FORMAT,
                        "%s: '%s.embedding_length' is %" PRId64 ", no multiple of %" PRId64
                        " heads of at most %d",
                        file, keys->prefix, spec->n_embd, a->n_heads, MAX_HEAD_DIM);
        a->head_dim = spec->n_embd / a->n_heads;
    }
    value_length = a->head_dim;
    TRY(keys_i64_or(keys, "attention.value_length", 1, MAX_WIDTH, &value_length));
    if (value_length != a->head_dim)
        return fail(UNSUPPORTED,
                    "%s: '%s.attention.value_length' is %" PRId64 ", keys have %" PRId64, file,
                    keys->prefix, value_length, a->head_dim);
    a->scale = 1.0f / sqrtf((float)a->head_dim);
    return keys_f32_or(keys, "attention.scale", 1e-6f, 1e6f, &a->scale);
}

static void set_stream(struct spec *spec, struct attention_spec *a, int64_t stream,
                       enum kv_kind kind) {
    a->rope = -1;
    a->kv_stream = (int)stream;
    spec->kv_streams[stream] = (struct kv_stream_spec){
        .n_heads = a->n_kv_heads, .key_dim = a->head_dim, .value_dim = a->head_dim, .kind = kind};
}

/* stem: "dec.blk.%d.cross_attn" say. */
static status bind_attention(struct binder *binder, const struct spec *spec, const char *stem,
                             int64_t layer, struct attention_spec *a) {
    struct linear_spec *const linears[] = {&a->q, &a->k, &a->v, &a->out};
    static const char *const names[] = {"q", "k", "v", "o"};
    bool source = binder->of_source;
    int64_t inner = a->n_heads * a->head_dim, n = spec->n_embd;
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_%s", stem, names[i]);
        binder->of_source = source || (a->cross && (i == 1 || i == 2));
        TRY(bind_linear(binder, BIND_REQUIRED, name, layer, i == 3 ? n : inner, i == 3 ? inner : n,
                        linears[i]));
    }
    binder->of_source = source;
    return OK;
}

static status bind_ffn(const struct keys *keys, struct binder *binder, const struct spec *spec,
                       const char *side, int64_t layer, struct ffn_spec *ffn) {
    struct stem gate = stem_of(side, "blk.%d.ffn_gate");
    TRY(keys_i64(keys, "feed_forward_length", 1, MAX_WIDTH * 8, &ffn->n_ff));
    if (!binder->of_source)
        TRY(keys_i64_or(keys, "decoder.feed_forward_length", 1, MAX_WIDTH * 8, &ffn->n_ff));
    ffn->gated = bind_has(binder, gate.text, layer);
    ffn->gate.weight.id = ffn->gate.bias.id = -1;
    ffn->activation = ffn->gated ? ACTIVATION_GELU_TANH : ACTIVATION_RELU;
    TRY(decoder_read_activation(keys, "activation", &ffn->activation));
    if (ffn->gated)
        TRY(bind_linear(binder, BIND_REQUIRED, gate.text, layer, ffn->n_ff, spec->n_embd,
                        &ffn->gate));
    TRY(bind_linear(binder, BIND_REQUIRED, stem_of(side, "blk.%d.ffn_up").text, layer, ffn->n_ff,
                    spec->n_embd, &ffn->up));
    return bind_linear(binder, BIND_REQUIRED, stem_of(side, "blk.%d.ffn_down").text, layer,
                       spec->n_embd, ffn->n_ff, &ffn->down);
}

status encoder_decoder_read_alone(const struct keys *keys, struct binder *binder, struct spec *spec,
                                  int64_t i, struct layer_spec *layer) {
    struct attention_spec *a = &layer->attention;
    TRY(read_heads(keys, spec, false, a));
    a->bidirectional = true;
    set_stream(spec, a, i, KV_GROWING);
    TRY(bind_attention(binder, spec, "enc.blk.%d.attn", i, a));
    return bind_ffn(keys, binder, spec, "enc", i, &layer->ffn);
}

status encoder_decoder_read_layer(const struct keys *keys, struct binder *binder, struct spec *spec,
                                  const char *side, int64_t i, struct layer_spec *layer) {
    bool decoder = !binder->of_source;
    struct attention_spec *a = &layer->attention;
    TRY(read_heads(keys, spec, decoder, a));
    a->bidirectional = !decoder;
    set_stream(spec, a, decoder ? i : 2 * spec->n_layers, decoder ? KV_GROWING : KV_PASSING);
    TRY(bind_attention(binder, spec, stem_of(side, "blk.%d.attn").text, i, a));
    if (decoder) {
        TRY(read_heads(keys, spec, true, &layer->cross));
        layer->cross.cross = true;
        set_stream(spec, &layer->cross, spec->n_layers + i, KV_FIXED);
        TRY(bind_attention(binder, spec, stem_of(side, "blk.%d.cross_attn").text, i,
                           &layer->cross));
    }
    return bind_ffn(keys, binder, spec, side, i, &layer->ffn);
}
