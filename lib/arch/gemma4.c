/* Gemma 4, text: as Gemma 3 has it, and heads of another size in global layers, keys and values of
 * the last layers that are those of earlier ones, values normed or made of the keys' projection, an
 * input of each layer's own, experts beside the FFN (as transformers' modeling_gemma4 computes it).
 */
#include <math.h>

#include "arch/family.h"

enum { ROPE_GLOBAL, ROPE_LOCAL, N_ROPES };

struct model {
    float eps;
    int64_t window;
    int64_t n_filling; /* layers with keys and values of their own: the others share these */
};

/* The last layer that fills a stream of the same kind. */
static status share_kv(const struct keys *keys, const struct model *model, struct spec *spec,
                       int64_t i) {
    struct attention_spec *a = &spec->layers[i].attention;
    for (int64_t from = model->n_filling; from-- > 0;) {
        const struct attention_spec *other = &spec->layers[from].attention;
        if ((other->window != 0) != (a->window != 0)) continue;
        if (other->n_kv_heads != a->n_kv_heads)
            return fail(FORMAT,
                        "%s: '%s.attention.head_count_kv' is not the same in layers %" PRId64
                        " and %" PRId64 ", which share keys",
                        checkpoint_name(keys->file), keys->prefix, from, i);
        a->shares_kv = true;
        a->kv_stream = other->kv_stream;
        return OK;
    }
    return fail(FORMAT,
                "%s: '%s.attention.shared_kv_layers' leaves none whose keys layer %" PRId64
                " could share",
                checkpoint_name(keys->file), keys->prefix, i);
}

static status bind_attention(struct binder *binder, const struct model *model,
                             const struct spec *spec, int64_t i, struct attention_spec *a) {
    int64_t n = spec->n_embd, q = a->n_heads * a->head_dim, k = a->n_kv_heads * a->head_dim;
    TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_q", i, q, n, &a->q));
    TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_output", i, n, q, &a->out));
    TRY(bind_norm_rms(binder, "blk.%d.attn_q_norm", i, a->head_dim, model->eps, &a->q_norm));
    if (a->shares_kv) { /* files have weights that nothing reads */
        static const char *const unread[] = {"blk.%d.attn_k.weight", "blk.%d.attn_k.bias",
                                             "blk.%d.attn_v.weight", "blk.%d.attn_v.bias",
                                             "blk.%d.attn_k_norm.weight"};
        for (size_t j = 0; j < sizeof unread / sizeof *unread; j++)
            bind_ignore(binder, unread[j], i);
        return OK;
    }
    TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_k", i, k, n, &a->k));
    a->v = a->k;
    if (bind_has(binder, "blk.%d.attn_v", i))
        TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.attn_v", i, k, n, &a->v));
    a->v_norm =
        (struct norm_spec){.kind = NORM_RMS, .eps = model->eps, .weight.id = -1, .bias.id = -1};
    return bind_norm_rms(binder, "blk.%d.attn_k_norm", i, a->head_dim, model->eps, &a->k_norm);
}

static status read_attention(const struct keys *keys, struct binder *binder,
                             const struct model *model, struct spec *spec, int64_t i) {
    struct attention_spec *a = &spec->layers[i].attention;
    TRY(decoder_read_heads(keys, spec, i, 512, a));
    TRY(decoder_read_window(keys, i, 6, model->window, spec));
    a->rope = a->window ? ROPE_LOCAL : ROPE_GLOBAL;
    if (a->window) TRY(decoder_read_sliding_heads(keys, spec, i, a));
    if (a->value_dim != a->head_dim)
        return fail(UNSUPPORTED, "%s: '%s.attention.value_length' is not that of the keys",
                    checkpoint_name(keys->file), keys->prefix);
    a->scale = 1.0f;
    TRY(keys_f32_or(keys, "attention.scale", 1e-6f, 1e6f, &a->scale));
    if (i >= model->n_filling) TRY(share_kv(keys, model, spec, i));
    return bind_attention(binder, model, spec, i, a);
}

/* The FFN is what other families call a shared expert; it has norms of its own. */
static status bind_experts_beside(const struct keys *keys, struct binder *binder, float eps,
                                  const struct spec *spec, int64_t i, struct layer_spec *layer) {
    struct experts_spec *experts = &layer->experts;
    int64_t n = spec->n_embd;
    if (!bind_has(binder, "blk.%d.ffn_gate_inp", i)) return OK;
    experts->normalize = true;
    TRY(experts_bind_chosen(keys, binder, spec, i, layer->ffn.activation, experts));
    experts->router_norm = (struct norm_spec){.kind = NORM_RMS, .eps = eps, .bias.id = -1};
    experts->router_scale = 1.0f / sqrtf((float)n);
    TRY(bind_vector(binder, BIND_REQUIRED, "blk.%d.ffn_gate_inp.scale", i, n,
                    &experts->router_norm.weight));
    TRY(bind_vector(binder, BIND_OPTIONAL, "blk.%d.ffn_down_exps.scale", i, experts->n_experts,
                    &experts->expert_scale));
    TRY(bind_norm_rms(binder, "blk.%d.pre_ffw_norm_2", i, n, eps, &experts->norm));
    TRY(bind_norm_rms(binder, "blk.%d.post_ffw_norm_1", i, n, eps, &experts->shared_post_norm));
    return bind_norm_rms(binder, "blk.%d.post_ffw_norm_2", i, n, eps, &experts->post_norm);
}

static status bind_input(struct binder *binder, float eps, const struct spec *spec, int64_t i,
                         enum activation activation, struct layer_input_spec *input) {
    int64_t n = spec->n_embd, width = spec->layer_inputs.width;
    if (!width) return OK;
    input->activation = activation;
    TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.inp_gate", i, width, n, &input->gate));
    TRY(bind_linear(binder, BIND_REQUIRED, "blk.%d.proj", i, n, width, &input->out));
    return bind_norm_rms(binder, "blk.%d.post_norm", i, n, eps, &input->norm);
}

static status read_layer(const struct keys *keys, struct binder *binder, const struct model *model,
                         struct spec *spec, int64_t i) {
    struct layer_spec *layer = &spec->layers[i];
    float eps = model->eps;
    int64_t n = spec->n_embd;
    TRY(read_attention(keys, binder, model, spec, i));
    TRY(decoder_bind_ffn(keys, binder, spec, i, ACTIVATION_GELU_TANH, &layer->ffn));
    TRY(bind_norm_rms(binder, "blk.%d.attn_norm", i, n, eps, &layer->attention_norm));
    TRY(bind_norm_rms(binder, "blk.%d.post_attention_norm", i, n, eps,
                      &layer->post_attention_norm));
    TRY(bind_norm_rms(binder, "blk.%d.ffn_norm", i, n, eps, &layer->ffn_norm));
    TRY(bind_norm_rms(binder, "blk.%d.post_ffw_norm", i, n, eps, &layer->post_ffn_norm));
    TRY(bind_experts_beside(keys, binder, eps, spec, i, layer));
    TRY(bind_input(binder, eps, spec, i, layer->ffn.activation, &layer->input));
    return bind_vector(binder, BIND_OPTIONAL, "blk.%d.layer_output_scale.weight", i, 1,
                       &layer->output_scale);
}

/* What is projected is divided by the root of n_embd before its norm: instead, the norm's eps is
 * that many times as large. */
static status read_layer_inputs(const struct keys *keys, struct binder *binder, float eps,
                                struct spec *spec) {
    struct layer_inputs_spec *inputs = &spec->layer_inputs;
    TRY(keys_i64_or(keys, "embedding_length_per_layer_input", 0, MAX_WIDTH, &inputs->width));
    if (!inputs->width) return OK;
    int64_t width = inputs->width * spec->n_layers;
    if (width > 8 * MAX_WIDTH)
        return fail(LIMIT, "%s: '%s.embedding_length_per_layer_input' is %" PRId64,
                    checkpoint_name(keys->file), keys->prefix, inputs->width);
    TRY(bind_matrix(binder, BIND_REQUIRED, "per_layer_token_embd.weight", 0, 0, width,
                    &inputs->embedding.weight));
    int64_t n_vocab = inputs->embedding.weight.tensor->dims[1];
    if (n_vocab < spec->n_vocab)
        return fail(UNSUPPORTED,
                    "%s: 'per_layer_token_embd.weight' has %" PRId64 " rows for %" PRId64 " tokens",
                    checkpoint_name(keys->file), n_vocab, spec->n_vocab);
    TRY(bind_linear(binder, BIND_REQUIRED, "per_layer_model_proj", 0, width, spec->n_embd,
                    &inputs->project));
    inputs->embedding_scale = sqrtf((float)inputs->width);
    inputs->scale = sqrtf(0.5f);
    return bind_norm_rms(binder, "per_layer_proj_norm", 0, inputs->width, eps * (float)spec->n_embd,
                         &inputs->norm);
}

static status read_ropes(const struct keys *keys, struct spec *spec) {
    struct rope_spec *global = &spec->ropes[ROPE_GLOBAL], *local = &spec->ropes[ROPE_LOCAL];
    int64_t head_dim = 512;
    float local_theta = 10000.0f;
    TRY(keys_i64_or(keys, "attention.key_length", 1, MAX_HEAD_DIM, &head_dim));
    TRY(decoder_read_rope(keys, spec, head_dim, ROPE_HALVES, 1000000.0f, global));
    TRY(keys_i64_or(keys, "attention.key_length_swa", 1, MAX_HEAD_DIM, &head_dim));
    TRY(keys_i64_or(keys, "rope.dimension_count_swa", 2, head_dim, &head_dim));
    TRY(keys_f32_or(keys, "rope.freq_base_swa", 1.0f, 1e12f, &local_theta));
    if (head_dim % 2)
        return fail(FORMAT, "%s: '%s.rope.dimension_count_swa' is %" PRId64 ", must be even",
                    checkpoint_name(keys->file), keys->prefix, head_dim);
    *local = (struct rope_spec){.n_dims = head_dim,
                                .theta = local_theta,
                                .pairing = ROPE_HALVES,
                                .factor = 1.0f,
                                .attention_factor = 1.0f,
                                .freq_factors.id = -1,
                                .long_factors.id = -1};
    return OK;
}

status gemma4_read(const struct keys *keys, struct binder *binder, struct spec *spec) {
    struct model model = {.window = 0};
    int64_t n_sharing = 0;
    TRY(decoder_read_model(keys, binder, N_ROPES, spec));
    TRY(keys_f32(keys, "attention.layer_norm_rms_epsilon", 1e-30f, 1.0f, &model.eps));
    TRY(keys_i64_or(keys, "attention.sliding_window", 0, INT32_MAX, &model.window));
    TRY(keys_i64_or(keys, "attention.shared_kv_layers", 0, spec->n_layers - 1, &n_sharing));
    model.n_filling = spec->n_layers - n_sharing;
    TRY(read_layer_inputs(keys, binder, model.eps, spec));
    for (int64_t i = 0; i < spec->n_layers; i++) TRY(read_layer(keys, binder, &model, spec, i));
    spec->n_kv_streams = (int)model.n_filling;
    TRY(read_ropes(keys, spec));
    spec->embedding_scale = sqrtf((float)spec->n_embd);
    TRY(keys_must_be(keys, "attn_logit_softcapping", 0));
    TRY(keys_f32_or(keys, "final_logit_softcapping", 0.0f, 1e6f, &spec->logit_softcap));
    return bind_norm_rms(binder, "output_norm", 0, spec->n_embd, model.eps, &spec->output_norm);
}
