/* Multi-head latent attention (arXiv:2405.04434), read in absorbed form. */
#include <math.h>

#include "arch/family.h"

enum { MAX_HEADS = 1 << 12, MAX_HEAD_DIM = 1 << 13 };

/* A head's size as the model's own projections have it. Where matrices for every head are in the
 * file, key_length and value_length are those of what is cached. */
static status read_length(const struct keys *keys, const char *of_model, const char *suffix,
                          int64_t fallback, int64_t *length) {
    *length = 0;
    TRY(keys_i64_or(keys, of_model, 1, MAX_HEAD_DIM, length));
    if (*length) return OK;
    *length = fallback;
    TRY(keys_i64_or(keys, suffix, 1, MAX_HEAD_DIM, length));
    if (*length >= 1 && *length <= MAX_HEAD_DIM) return OK;
    return fail(FORMAT, "%s: '%s.%s': a head has %" PRId64 " dims, must be 1 to %d",
                checkpoint_name(keys->file), keys->prefix, suffix, *length, MAX_HEAD_DIM);
}

status latent_read_heads(const struct keys *keys, const struct spec *spec, int64_t layer,
                         struct attention_spec *attention) {
    struct attention_spec *a = attention;
    struct latent_spec *l = &a->latent;
    int64_t n_rotated;
    TRY(keys_i64_of_layer(keys, "attention.head_count", layer, 1, MAX_HEADS, &a->n_heads));
    if (!a->n_heads)
        return fail(FORMAT, "%s: '%s.attention.head_count' is missing", checkpoint_name(keys->file),
                    keys->prefix);
    a->n_kv_heads = a->n_heads;
    TRY(keys_i64_of_layer(keys, "attention.head_count_kv", layer, 1, MAX_HEADS, &a->n_kv_heads));
    if (a->n_kv_heads != 1 && a->n_kv_heads != a->n_heads)
        return fail(UNSUPPORTED,
                    "%s: '%s.attention.head_count_kv' is %" PRId64 " for %" PRId64 " heads",
                    checkpoint_name(keys->file), keys->prefix, a->n_kv_heads, a->n_heads);
    TRY(keys_i64(keys, "attention.kv_lora_rank", 1, MAX_HEAD_DIM, &l->rank));
    TRY(keys_i64(keys, "rope.dimension_count", 2, MAX_HEAD_DIM, &n_rotated));
    int64_t share = spec->n_embd / a->n_heads; /* of a head, where files don't say */
    TRY(read_length(keys, "attention.key_length_mla", "attention.key_length", share,
                    &l->q_head_dim));
    TRY(read_length(keys, "attention.value_length_mla", "attention.value_length", share,
                    &l->v_head_dim));
    if (l->q_head_dim <= n_rotated)
        return fail(FORMAT,
                    "%s: '%s.rope.dimension_count' is %" PRId64 ", queries have %" PRId64 " dims",
                    checkpoint_name(keys->file), keys->prefix, n_rotated, l->q_head_dim);
    a->n_kv_heads = 1;
    a->head_dim = l->rank + n_rotated;
    a->value_dim = a->rope_first = l->rank;
    a->scale = 1.0f / sqrtf((float)l->q_head_dim);
    TRY(keys_f32_or(keys, "attention.scale", 1e-6f, 1e6f, &a->scale));
    a->kv_stream = (int)layer;
    spec->kv_streams[layer] = (struct kv_stream_spec){.n_heads = 1, .key_dim = a->head_dim};
    return OK;
}

status latent_bind_attention(struct binder *binder, const struct spec *spec, int64_t layer,
                             float eps, struct attention_spec *attention) {
    struct attention_spec *a = attention;
    struct latent_spec *l = &a->latent;
    int64_t n = spec->n_embd, q = a->n_heads * l->q_head_dim;
    int64_t plain = l->q_head_dim - (a->head_dim - l->rank); /* dims of a query without rope */
    a->k.weight.id = a->k.bias.id = a->v.weight.id = a->v.bias.id = -1;
    TRY(bind_linear(binder, BIND_OPTIONAL, "blk.%d.attn_q_a", layer, 0, n, &l->q_a));
    if (l->q_a.weight.tensor) {
        int64_t rank = l->q_a.weight.tensor->dims[1];
        TRY(bind_norm_rms(binder, "blk.%d.attn_q_a_norm", layer, rank, eps, &l->q_a_norm));
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_q_b", layer, q, rank, &a->q));
    } else {
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_q", layer, q, n, &a->q));
    }
    TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_kv_a_mqa", layer, a->head_dim, n,
                    &l->kv_a));
    TRY(bind_norm_rms(binder, "blk.%d.attn_kv_a_norm", layer, l->rank, eps, &l->kv_a_norm));
    if (bind_has(binder, "blk.%d.attn_k_b", layer)) {
        TRY(bind_experts(binder, BIND_REQUIRED, "blk.%d.attn_k_b", layer, a->n_heads, l->rank,
                         plain, &l->k_b));
        TRY(bind_experts(binder, BIND_REQUIRED, "blk.%d.attn_v_b", layer, a->n_heads, l->v_head_dim,
                         l->rank, &l->v_b));
    } else {
        TRY(bind_blocks(binder, "blk.%d.attn_kv_b", layer, a->n_heads, plain, l->v_head_dim,
                        l->rank, &l->k_b, &l->v_b));
    }
    return bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_output", layer, n,
                       a->n_heads * l->v_head_dim, &a->out);
}

/* transformers: mscale(m) = 1 + 0.1 m ln(factor); the multiplier is 0.1 mscale_all_dim. Scores are
 * times mscale(mscale_all_dim)^2, and cos and sin times what attn_factor says alone. */
status latent_read_rope(const struct keys *keys, struct spec *spec, enum rope_pairing pairing,
                        struct rope_spec *rope) {
    const struct attention_spec *first = &spec->layers[0].attention;
    float multiplier = 0.0f;
    TRY(decoder_read_rope(keys, spec, first->head_dim - first->latent.rank, pairing, 10000.0f,
                          rope));
    TRY(keys_f32_or(keys, "rope.scaling.yarn_log_multiplier", 0.0f, 1e3f, &multiplier));
    if (multiplier == 0.0f || rope->factor <= 1.0f || rope->scaling == ROPE_SCALING_NONE) return OK;
    float log_factor = logf(rope->factor), of_scores = 1.0f + multiplier * log_factor;
    if (rope->scaling == ROPE_SCALING_YARN) rope->attention_factor /= 0.1f * log_factor + 1.0f;
    for (int64_t i = 0; i < spec->n_layers; i++)
        spec->layers[i].attention.scale *= of_scores * of_scores;
    return OK;
}
