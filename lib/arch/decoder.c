#include <math.h>

#include "arch/family.h"

static status read_vocabulary(const struct keys *keys, struct binder *binder, struct spec *spec) {
    int64_t width = spec->n_embd;
    spec->embedding_in = spec->head_in = (struct linear_spec){.weight.id = -1, .bias.id = -1};
    TRY(keys_i64_or(keys, "embedding_length_in", 1, MAX_WIDTH, &width));
    if (width != spec->n_embd) {
        TRY(bind_linear(binder, BIND_REQUIRED, "token_embd_in", 0, spec->n_embd, width,
                        &spec->embedding_in));
        TRY(bind_linear(binder, BIND_REQUIRED, "output_in", 0, width, spec->n_embd,
                        &spec->head_in));
    }
    TRY(bind_matrix(binder, BIND_REQUIRED, "token_embd.weight", 0, 0, width,
                    &spec->embedding.weight));
    spec->embedding.bias.id = -1;
    spec->n_vocab = spec->embedding.weight.tensor->dims[1];
    int64_t stated = spec->n_vocab;
    TRY(keys_i64_or(keys, "vocab_size", 1, INT32_MAX, &stated));
    if (stated != spec->n_vocab || spec->n_vocab > INT32_MAX)
        return fail(FORMAT,
                    "%s: '%s.vocab_size' is %" PRId64 ", 'token_embd.weight' has %" PRId64 " rows",
                    checkpoint_name(keys->file), keys->prefix, stated, spec->n_vocab);
    TRY(bind_linear(binder, BIND_OPTIONAL, "output", 0, spec->n_vocab, width, &spec->head));
    if (!spec->head.weight.tensor) spec->head.weight = spec->embedding.weight;
    return OK;
}

status decoder_read_model(const struct keys *keys, struct binder *binder, int n_ropes,
                          struct spec *spec) {
    TRY(keys_i64(keys, "block_count", 1, MAX_LAYERS, &spec->n_layers));
    TRY(keys_i64(keys, "embedding_length", 1, MAX_WIDTH, &spec->n_embd));
    TRY(keys_i64(keys, "context_length", 1, MAX_CONTEXT, &spec->context_length));
    spec->embedding_scale = spec->residual_scale = spec->logit_scale = 1.0f;
    TRY(read_vocabulary(keys, binder, spec));

    size_t n = (size_t)spec->n_layers;
    TRY(MEMORY_TAKE_ARRAY(spec->memory, n, "layers", &spec->layers));
    TRY(MEMORY_TAKE_ARRAY(spec->memory, n, "KV streams", &spec->kv_streams));
    TRY(MEMORY_TAKE_ARRAY(spec->memory, (size_t)n_ropes, "rope tables", &spec->ropes));
    spec->n_kv_streams = (int)spec->n_layers;
    spec->n_ropes = n_ropes;
    for (int i = 0; i < n_ropes; i++)
        spec->ropes[i].freq_factors.id = spec->ropes[i].long_factors.id = -1;
    return decoder_check_switches(keys);
}

status decoder_drop_later_layers(const struct keys *keys, struct binder *binder,
                                 struct spec *spec) {
    int64_t n_more = 0;
    TRY(keys_i64_or(keys, "nextn_predict_layers", 0, spec->n_layers - 1, &n_more));
    for (int64_t i = 0; i < n_more; i++) bind_ignore_layer(binder, --spec->n_layers);
    spec->n_kv_streams = (int)spec->n_layers;
    return OK;
}

status decoder_check_switches(const struct keys *keys) {
    /* Of kindred models under the same architecture name. */
    static const struct {
        const char *suffix;
        float neutral;
        unsigned unless;
    } must_be[] = {{"expert_count", 0, READS_EXPERTS},
                   {"logit_scale", 1, READS_LOGIT_SCALE},
                   {"residual_scale", 1, READS_RESIDUAL_SCALE},
                   {"embedding_scale", 1, READS_EMBEDDING_SCALE},
                   {"attention.causal", 1, READS_CAUSAL},
                   {"attention.clamp_kqv", 0, READS_CLAMP},
                   {"attention.max_alibi_bias", 0, READS_ALIBI},
                   {"attention.sliding_window", 0, READS_WINDOW},
                   {"attn_logit_softcapping", 0, READS_SOFTCAPS},
                   {"final_logit_softcapping", 0, READS_SOFTCAPS},
                   {"rope.scaling.yarn_log_multiplier", 0, READS_YARN_LOG}};
    for (size_t i = 0; i < sizeof must_be / sizeof *must_be; i++)
        if (!(keys->switches & must_be[i].unless))
            TRY(keys_must_be(keys, must_be[i].suffix, must_be[i].neutral));
    return OK;
}

status decoder_bind_positions(struct binder *binder, struct spec *spec, int64_t offset) {
    TRY(bind_matrix(binder, BIND_REQUIRED, "position_embd.weight", 0, 0, spec->n_embd,
                    &spec->positions));
    spec->position_offset = offset;
    int64_t rows = spec->positions.tensor->dims[1];
    if (rows >= spec->context_length + offset) return OK;
    return fail(
        FORMAT,
        "%s: 'position_embd.weight' has %" PRId64 " rows, a context of %" PRId64 " needs %" PRId64,
        checkpoint_name(binder->file), rows, spec->context_length, spec->context_length + offset);
}

status decoder_read_heads(const struct keys *keys, const struct spec *spec, int64_t layer,
                          int64_t head_dim_default, struct attention_spec *attention) {
    const char *file = checkpoint_name(keys->file);
    struct attention_spec *a = attention;
    a->n_heads = 0;
    TRY(keys_i64_of_layer(keys, "attention.head_count", layer, 1, MAX_HEADS, &a->n_heads));
    if (!a->n_heads)
        return fail(FORMAT, "%s: '%s.attention.head_count' is missing", file, keys->prefix);
    a->n_kv_heads = a->n_heads;
    TRY(keys_i64_of_layer(keys, "attention.head_count_kv", layer, 1, MAX_HEADS, &a->n_kv_heads));
    if (a->n_heads % a->n_kv_heads)
        return fail(FORMAT,
                    "%s: '%s.attention.head_count' is %" PRId64
                    ", not a multiple of head_count_kv %" PRId64,
                    file, keys->prefix, a->n_heads, a->n_kv_heads);

    a->head_dim = head_dim_default ? head_dim_default : spec->n_embd / a->n_heads;
    int64_t key_length = 0;
    TRY(keys_i64_or(keys, "attention.key_length", 1, MAX_WIDTH, &key_length));
    if (key_length)
        a->head_dim = key_length;
    else if (!head_dim_default && spec->n_embd % a->n_heads)
        return fail(FORMAT,
                    "%s: '%s.embedding_length' is %" PRId64
                    ", not a multiple of attention.head_count %" PRId64,
                    file, keys->prefix, spec->n_embd, a->n_heads);
    int64_t value_length = a->head_dim;
    TRY(keys_i64_or(keys, "attention.value_length", 1, MAX_WIDTH, &value_length));
    if (a->head_dim < 1 || a->head_dim > MAX_HEAD_DIM || value_length > MAX_HEAD_DIM)
        return fail(FORMAT,
                    "%s: '%s.attention.key_length', value_length: a head has %" PRId64
                    " and %" PRId64 " dims, must be 1 to %d",
                    file, keys->prefix, a->head_dim, value_length, MAX_HEAD_DIM);
    a->value_dim = value_length;

    a->scale = 1.0f / sqrtf((float)a->head_dim);
    TRY(keys_f32_or(keys, "attention.scale", 1e-6f, 1e6f, &a->scale));
    a->rope = 0;
    a->kv_stream = (int)layer;
    spec->kv_streams[layer] = (struct kv_stream_spec){
        .n_heads = a->n_kv_heads, .key_dim = a->head_dim, .value_dim = value_length};
    return OK;
}

status decoder_read_sliding_heads(const struct keys *keys, const struct spec *spec, int64_t layer,
                                  struct attention_spec *attention) {
    struct attention_spec *a = attention;
    struct kv_stream_spec *stream = &spec->kv_streams[layer];
    TRY(keys_i64_or(keys, "attention.key_length_swa", 1, MAX_HEAD_DIM, &a->head_dim));
    TRY(keys_i64_or(keys, "attention.value_length_swa", 1, MAX_HEAD_DIM, &a->value_dim));
    stream->key_dim = a->head_dim;
    stream->value_dim = a->value_dim;
    return OK;
}

status decoder_read_window(const struct keys *keys, int64_t layer, int64_t pattern, int64_t window,
                           struct spec *spec) {
    static const char *const suffix = "attention.sliding_window_pattern";
    TRY(keys_i64_of_layer(keys, suffix, layer, 0, INT32_MAX, &pattern));
    bool slides =
        keys_is_array(keys, suffix) ? pattern != 0 : pattern == 0 || (layer + 1) % pattern != 0;
    spec->layers[layer].attention.window = spec->kv_streams[layer].window = slides ? window : 0;
    return OK;
}

status decoder_check_window(const struct keys *keys) {
    if (keys_is_array(keys, "attention.sliding_window_pattern")) return OK;
    return keys_must_be(keys, "attention.sliding_window", 0);
}

status decoder_check_same_head_dim(const struct keys *keys, const struct spec *spec,
                                   int64_t layer) {
    const struct attention_spec *a = &spec->layers[layer].attention,
                                *first = &spec->layers[0].attention;
    if (a->head_dim == first->head_dim && a->value_dim == first->value_dim) return OK;
    return fail(UNSUPPORTED, "%s: '%s.attention.head_count' gives layers different head sizes",
                checkpoint_name(keys->file), keys->prefix);
}

static status read_scaling(const struct keys *keys, const struct spec *spec,
                           struct rope_spec *rope) {
    struct text type = {"", 0};
    rope->scaling = ROPE_SCALING_NONE;
    rope->factor = 1.0f;
    rope->attention_factor = 1.0f;
    TRY(keys_text_or(keys, "rope.scaling.type", &type));
    TRY(keys_f32_or(keys, "rope.scale_linear", 1e-3f, 1e6f, &rope->factor)); /* before 2024 */
    TRY(keys_f32_or(keys, "rope.scaling.factor", 1e-3f, 1e6f, &rope->factor));
    if (type.length == 0 || keys_text_is(type, "linear")) {
        if (rope->factor != 1.0f) rope->scaling = ROPE_SCALING_LINEAR;
        return OK;
    }
    if (keys_text_is(type, "none")) {
        rope->factor = 1.0f;
        return OK;
    }
    int64_t original = spec->context_length;
    float attention = 1.0f;
    TRY(keys_i64_or(keys, "rope.scaling.original_context_length", 1, MAX_CONTEXT, &original));
    TRY(keys_f32_or(keys, "rope.scaling.attn_factor", 1e-3f, 1e3f, &attention));
    rope->original_context = (float)original;
    if (keys_text_is(type, "longrope")) { /* the rest is in decoder_bind_rope_factors */
        rope->factor = 1.0f;
        return OK;
    }
    if (keys_text_is(type, "dynamic")) {
        rope->scaling = ROPE_SCALING_DYNAMIC;
        return OK;
    }
    if (!keys_text_is(type, "yarn"))
        return fail(UNSUPPORTED, "%s: '%s.rope.scaling.type' is '%.*s'",
                    checkpoint_name(keys->file), keys->prefix, (int)type.length, type.data);

    bool truncate = !rope->exact_range; /* as the family has it */
    rope->scaling = ROPE_SCALING_YARN;
    rope->beta_fast = 32.0f;
    rope->beta_slow = 1.0f;
    TRY(keys_f32_or(keys, "rope.scaling.yarn_attn_factor", 1e-3f, 1e3f, &attention));
    TRY(keys_f32_or(keys, "rope.scaling.yarn_beta_fast", 1e-3f, 1e6f, &rope->beta_fast));
    TRY(keys_f32_or(keys, "rope.scaling.yarn_beta_slow", 1e-3f, 1e6f, &rope->beta_slow));
    TRY(keys_bool_or(keys, "rope.scaling.yarn_truncate", &truncate)); /* not one of llama.cpp's */
    TRY(keys_must_be(keys, "rope.scaling.yarn_ext_factor", 1));
    rope->exact_range = !truncate;
    rope->attention_factor = attention;
    if (rope->factor > 1.0f) /* arXiv:2309.00071, equation 22 */
        rope->attention_factor *= 0.1f * logf(rope->factor) + 1.0f;
    return OK;
}

/* The family's own, unless the file says otherwise: converters to GGUF permute the rows of some
 * families, Hugging Face's own files come with a key that says that theirs are not. */
static status read_pairing(const struct keys *keys, enum rope_pairing *pairing) {
    struct text text = {"", 0};
    TRY(keys_text_or(keys, "rope.pairing", &text));
    if (text.length == 0) return OK;
    *pairing = keys_text_is(text, "halves") ? ROPE_HALVES : ROPE_ADJACENT;
    if (*pairing == ROPE_HALVES || keys_text_is(text, "adjacent")) return OK;
    return fail(UNSUPPORTED, "%s: '%s.rope.pairing' is '%.*s'", checkpoint_name(keys->file),
                keys->prefix, (int)text.length, text.data);
}

status decoder_read_rope(const struct keys *keys, const struct spec *spec, int64_t head_dim,
                         enum rope_pairing pairing, float theta_default, struct rope_spec *rope) {
    rope->n_dims = head_dim;
    rope->theta = theta_default;
    rope->pairing = pairing;
    TRY(read_pairing(keys, &rope->pairing));
    TRY(keys_i64_or(keys, "rope.dimension_count", 2, head_dim, &rope->n_dims));
    if (rope->n_dims % 2)
        return fail(FORMAT, "%s: '%s.rope.dimension_count' is %" PRId64 ", must be even",
                    checkpoint_name(keys->file), keys->prefix, rope->n_dims);
    TRY(keys_f32_or(keys, "rope.freq_base", 1.0f, 1e12f, &rope->theta));
    return read_scaling(keys, spec, rope);
}

status decoder_bind_rope_factors(const struct keys *keys, struct binder *binder,
                                 struct rope_spec *rope) {
    int64_t n = rope->n_dims / 2;
    TRY(bind_vector(binder, BIND_OPTIONAL, "rope_freqs.weight", 0, n, &rope->freq_factors));
    if (!bind_has(binder, "rope_factors_long", 0)) return OK;
    if (rope->freq_factors.tensor || rope->scaling != ROPE_SCALING_NONE)
        return fail(UNSUPPORTED, "%s: tensor 'rope_factors_long.weight' beside another scaling",
                    checkpoint_name(keys->file));
    int64_t original = (int64_t)rope->original_context;
    TRY(keys_i64_or(keys, "rope.scaling.original_context_length", 1, MAX_CONTEXT, &original));
    if (original < 1)
        return fail(FORMAT, "%s: '%s.rope.scaling.original_context_length' is missing",
                    checkpoint_name(keys->file), keys->prefix);
    rope->scaling = ROPE_SCALING_LONGROPE;
    rope->original_context = (float)original;
    TRY(keys_f32_or(keys, "rope.scaling.attn_factor", 1e-3f, 1e3f, &rope->attention_factor));
    TRY(bind_vector(binder, BIND_REQUIRED, "rope_factors_long.weight", 0, n, &rope->long_factors));
    return bind_vector(binder, BIND_REQUIRED, "rope_factors_short.weight", 0, n,
                       &rope->freq_factors);
}

status decoder_bind_attention(struct binder *binder, const struct spec *spec, int64_t layer,
                              struct attention_spec *attention) {
    struct attention_spec *a = attention;
    int64_t q = a->n_heads * a->head_dim, k = a->n_kv_heads * a->head_dim, n = spec->n_embd;
    int64_t value_dim = attention_value_dim(a), v = a->n_kv_heads * value_dim;
    if (bind_has(binder, "blk.%d.attn_qkv", layer)) {
        TRY(bind_linear_parts(binder, "blk.%d.attn_qkv", layer, 3, (int64_t[]){q, k, v}, n,
                              (struct linear_spec *[]){&a->q, &a->k, &a->v}));
    } else {
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_q", layer, q, n, &a->q));
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_k", layer, k, n, &a->k));
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_v", layer, v, n, &a->v));
    }
    return bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_output", layer, n,
                       a->n_heads * value_dim, &a->out);
}

status decoder_bind_head_norms(struct binder *binder, int64_t layer, float eps,
                               struct attention_spec *attention) {
    struct attention_spec *a = attention;
    bool q_each, k_each;
    if (!bind_has(binder, "blk.%d.attn_q_norm", layer)) return OK;
    TRY(bind_norm_of_heads(binder, "blk.%d.attn_q_norm", layer, a->n_heads, a->head_dim, eps,
                           &a->q_norm, &q_each));
    TRY(bind_norm_of_heads(binder, "blk.%d.attn_k_norm", layer, a->n_kv_heads, a->head_dim, eps,
                           &a->k_norm, &k_each));
    bool k_one = a->n_kv_heads == 1; /* its weights are those of each too */
    if (q_each != k_each && !(q_each && k_one))
        return fail(UNSUPPORTED,
                    "%s: 'blk.%" PRId64 ".attn_q_norm.weight' and attn_k_norm.weight: one of them "
                    "is of each head, the other for all",
                    checkpoint_name(binder->file), layer);
    if (q_each) a->norms = NORM_OF_EACH;
    return OK;
}

status decoder_read_attention(const struct keys *keys, struct binder *binder, struct spec *spec,
                              int64_t layer) {
    struct attention_spec *attention = &spec->layers[layer].attention;
    TRY(decoder_read_heads(keys, spec, layer, 0, attention));
    TRY(decoder_check_same_head_dim(keys, spec, layer));
    return decoder_bind_attention(binder, spec, layer, attention);
}

status decoder_read_ffn_length(const struct keys *keys, int64_t layer, const char *suffix,
                               int64_t *n_ff) {
    *n_ff = 0;
    TRY(keys_i64_of_layer(keys, suffix, layer, 1, MAX_WIDTH * 8, n_ff));
    if (!*n_ff) TRY(keys_i64_of_layer(keys, "feed_forward_length", layer, 1, MAX_WIDTH * 8, n_ff));
    if (*n_ff) return OK;
    return fail(FORMAT, "%s: '%s.feed_forward_length' is missing", checkpoint_name(keys->file),
                keys->prefix);
}

/* The family's own, unless the file says otherwise. */
status decoder_read_activation(const struct keys *keys, const char *suffix,
                               enum activation *activation) {
    static const char *const names[] = {
        [ACTIVATION_SILU] = "silu", [ACTIVATION_GELU_TANH] = "gelu_tanh",
        [ACTIVATION_GELU] = "gelu", [ACTIVATION_RELU] = "relu",
        [ACTIVATION_TANH] = "tanh", [ACTIVATION_RELU_SQUARED] = "relu_squared"};
    struct text text = {"", 0};
    TRY(keys_text_or(keys, suffix, &text));
    if (text.length == 0) return OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!names[i] || !keys_text_is(text, names[i])) continue;
        *activation = (enum activation)i;
        return OK;
    }
    return fail(UNSUPPORTED, "%s: '%s.%s' is '%.*s'", checkpoint_name(keys->file), keys->prefix,
                suffix, text.length < 100 ? (int)text.length : 100, text.data);
}

status decoder_bind_plain_ffn(const struct keys *keys, struct binder *binder,
                              const struct spec *spec, int64_t layer, enum activation activation,
                              struct ffn_spec *ffn) {
    int64_t n = spec->n_embd;
    TRY(decoder_read_ffn_length(keys, layer, "feed_forward_length", &ffn->n_ff));
    ffn->activation = activation;
    TRY(decoder_read_activation(keys, "activation", &ffn->activation));
    ffn->gate.weight.id = ffn->gate.bias.id = -1;
    TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.ffn_up", layer, ffn->n_ff, n, &ffn->up));
    return bind_linear(binder, BIND_REQUIRED, "blk.%d.ffn_down", layer, n, ffn->n_ff, &ffn->down);
}

status decoder_bind_ffn(const struct keys *keys, struct binder *binder, const struct spec *spec,
                        int64_t layer, enum activation activation, struct ffn_spec *ffn) {
    int64_t n = spec->n_embd;
    TRY(decoder_read_ffn_length(keys, layer, "feed_forward_length", &ffn->n_ff));
    ffn->activation = activation;
    TRY(decoder_read_activation(keys, "activation", &ffn->activation));
    ffn->gated = true;
    if (!bind_has(binder, "blk.%d.ffn_gate", layer)) {
        TRY(bind_linear_parts(binder, "blk.%d.ffn_up", layer, 2, (int64_t[]){ffn->n_ff, ffn->n_ff},
                              n, (struct linear_spec *[]){&ffn->gate, &ffn->up}));
    } else {
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.ffn_gate", layer, ffn->n_ff, n, &ffn->gate));
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.ffn_up", layer, ffn->n_ff, n, &ffn->up));
    }
    return bind_linear(binder, BIND_REQUIRED, "blk.%d.ffn_down", layer, n, ffn->n_ff, &ffn->down);
}
