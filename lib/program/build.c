/* From spec to program. Reading this top to bottom is reading the transformer paper. */
#include "program/op.h"

#include <math.h>

struct builder {
    struct program *program;
    reg residual; /* [rows][n_embd] */
    /* What is still to be added to it, normed: the op that reads the residual next does so. */
    reg pending;
    const struct norm_spec *pending_norm; /* NULL: none */
};

/* Every layer takes at most this many. */
enum { LAYER_OPS = 18, LAYER_REGS = 22, OTHER_OPS = 4, OTHER_REGS = 1 };

static reg new_reg(struct builder *b, int64_t width) {
    struct program *program = b->program;
    program->regs[program->n_regs] = (struct reg_plan){
        .width = reg_padded(width), .first = program->n_ops, .last = program->n_ops};
    return program->n_regs++;
}

static void touch(struct builder *b, reg used) {
    if (used != REG_NONE) b->program->regs[used].last = b->program->n_ops;
}

static struct op *emit(struct builder *b, enum op_kind kind, int layer, reg in, reg out0, reg out1,
                       reg out2) {
    struct program *program = b->program;
    touch(b, in);
    touch(b, out0);
    touch(b, out1);
    touch(b, out2);
    struct op *op = &program->ops[program->n_ops++];
    *op = (struct op){.kind = kind,
                      .layer = layer,
                      .in = in,
                      .out = {out0, out1, out2},
                      .add = REG_NONE,
                      .sum = REG_NONE};
    return op;
}

static const struct norm_spec *norm_or_null(const struct norm_spec *norm) {
    return norm->kind == NORM_NONE ? NULL : norm;
}

static void note_linear(struct builder *b, const struct linear_spec *weight) {
    int64_t in = weight->weight.tensor->dims[0], out = weight->weight.tensor->dims[1];
    if (in > b->program->max_in) b->program->max_in = in;
    if (out > b->program->max_out) b->program->max_out = out;
}

static void emit_linear(struct builder *b, int layer, const struct norm_spec *norm, reg in,
                        const struct linear_spec *weight, enum combine combine, reg out) {
    struct op *op = emit(b, OP_LINEAR, layer, in, out, REG_NONE, REG_NONE);
    op->norm = norm;
    op->linear.n_weights = 1;
    op->linear.weights[0] = weight;
    op->linear.combine = combine;
    note_linear(b, weight);
}

/* The op that was emitted last reads the residual: it adds what is pending first. Where others read
 * the sum, it becomes the residual, in another register: other threads may still read the old one.
 */
static void take_pending(struct builder *b, struct op *op, bool others_read_it) {
    if (b->pending == REG_NONE) return;
    b->program->regs[b->pending].last = b->program->n_ops - 1;
    op->add = b->pending;
    op->add_norm = b->pending_norm;
    op->add_scale = b->program->spec->residual_scale;
    b->pending = REG_NONE;
    if (!others_read_it) return;
    b->residual = new_reg(b, b->program->spec->n_embd);
    b->program->regs[b->residual].first = b->program->n_ops - 1;
    op->sum = b->residual;
}

/* x = n(x), in place. */
static void emit_norm(struct builder *b, int layer, const struct norm_spec *norm, int64_t width,
                      reg x) {
    if (norm->kind == NORM_NONE) return;
    struct op *op = emit(b, OP_NORM, layer, x, x, REG_NONE, REG_NONE);
    op->norm = norm;
    op->width = width;
}

/* x += W a, or x = n(x + W a); or where the family norms or scales what a block gives:
 * x += s * n(W a), pending. */
static void emit_linear_residual(struct builder *b, int layer, const struct linear_spec *weight,
                                 reg in, const struct norm_spec *post_norm) {
    bool of_sum = b->program->spec->layers[layer].residual == RESIDUAL_POST_NORM;
    if (of_sum || (post_norm->kind == NORM_NONE && b->program->spec->residual_scale == 1.0f)) {
        emit_linear(b, layer, NULL, in, weight, COMBINE_ADD, b->residual);
        if (of_sum) emit_norm(b, layer, post_norm, b->program->spec->n_embd, b->residual);
        return;
    }
    reg y = new_reg(b, weight->weight.tensor->dims[1]);
    emit_linear(b, layer, NULL, in, weight, COMBINE_STORE, y);
    b->pending = y;
    b->pending_norm = norm_or_null(post_norm);
}

/* The op that a layer begins with: n weights of the normed residual. */
static void emit_projections(struct builder *b, const struct layer_spec *spec, int layer, int n,
                             const struct linear_spec *const *weights, const reg *out) {
    struct op *op = emit(b, OP_LINEAR, layer, b->residual, out[0], out[1], out[2]);
    op->boundary = true;
    take_pending(b, op, true);
    op->norm = norm_or_null(&spec->attention_norm);
    op->linear.n_weights = n;
    op->linear.combine = COMBINE_STORE;
    for (int i = 0; i < n; i++) {
        op->linear.weights[i] = weights[i];
        note_linear(b, weights[i]);
    }
}

/* A matrix for every head. */
static void emit_heads(struct builder *b, int layer, const struct linear_spec *weight, reg in,
                       int64_t in_head, reg out, int64_t out_head) {
    struct op *op = emit(b, OP_HEADS, layer, in, out, REG_NONE, REG_NONE);
    op->heads.weight = weight;
    op->heads.in_head = in_head;
    op->heads.out_head = out_head;
    int64_t cols = weight->weight.tensor->dims[0];
    if (cols > b->program->max_in) b->program->max_in = cols;
}

static reg build_latent_attention(struct builder *b, const struct layer_spec *spec, int layer) {
    const struct attention_spec *a = &spec->attention;
    const struct latent_spec *l = &a->latent;
    bool compressed = l->q_a.weight.tensor != NULL;
    const struct linear_spec *first = compressed ? &l->q_a : &a->q;
    reg q = new_reg(b, first->weight.tensor->dims[1]), kv = new_reg(b, a->head_dim);
    emit_projections(b, spec, layer, 2, (const struct linear_spec *[]){first, &l->kv_a},
                     (reg[]){q, kv, REG_NONE});
    if (compressed) {
        reg narrow = q;
        q = new_reg(b, a->n_heads * l->q_head_dim);
        emit_linear(b, layer, norm_or_null(&l->q_a_norm), narrow, &a->q, COMBINE_STORE, q);
    }
    emit_norm(b, layer, &l->kv_a_norm, l->rank, kv);
    reg absorbed = new_reg(b, a->n_heads * a->head_dim);
    emit_heads(b, layer, &l->k_b, q, l->q_head_dim, absorbed, a->head_dim);
    emit(b, OP_ROPE_STORE, layer, absorbed, kv, REG_NONE, q)->attention = a;
    reg latent = new_reg(b, a->n_heads * l->rank);
    emit(b, OP_ATTENTION, layer, absorbed, latent, REG_NONE, REG_NONE)->attention = a;
    reg out = new_reg(b, a->n_heads * l->v_head_dim);
    emit_heads(b, layer, &l->v_b, latent, l->rank, out, l->v_head_dim);
    return out;
}

/* Returns what attention gives, for its output projection. */
static reg build_attention(struct builder *b, const struct layer_spec *spec, int layer) {
    const struct attention_spec *a = &spec->attention;
    if (a->latent.rank) return build_latent_attention(b, spec, layer);
    int64_t q_width = a->n_heads * a->head_dim, k_width = a->n_kv_heads * a->head_dim;
    int64_t value_dim = attention_value_dim(a);
    reg q = new_reg(b, q_width), k = new_reg(b, k_width), v = new_reg(b, a->n_kv_heads * value_dim);
    emit_projections(b, spec, layer, 3, (const struct linear_spec *[]){&a->q, &a->k, &a->v},
                     (reg[]){q, k, v});
    if (a->norm_whole) {
        emit_norm(b, layer, &a->q_norm, q_width, q);
        emit_norm(b, layer, &a->k_norm, k_width, k);
    }
    emit(b, OP_ROPE_STORE, layer, q, k, v, REG_NONE)->attention = a;
    reg out = new_reg(b, a->n_heads * value_dim);
    emit(b, OP_ATTENTION, layer, q, out, REG_NONE, REG_NONE)->attention = a;
    return out;
}

static void set_ffn_weights(struct op *op, const struct ffn_spec *ffn) {
    op->linear.n_weights = ffn->gated ? 2 : 1;
    op->linear.combine = ffn->gated ? COMBINE_GATE : COMBINE_ACTIVATE;
    op->linear.activation = ffn->activation;
    op->linear.weights[0] = ffn->gated ? &ffn->gate : &ffn->up;
    op->linear.weights[1] = ffn->gated ? &ffn->up : NULL;
}

/* Returns act(gate x) * (up x), or act(up x), for the down projection. */
static reg build_ffn(struct builder *b, const struct layer_spec *spec, int layer) {
    const struct ffn_spec *ffn = &spec->ffn;
    reg hidden = new_reg(b, ffn->n_ff);
    struct op *op = emit(b, OP_LINEAR, layer, b->residual, hidden, REG_NONE, REG_NONE);
    take_pending(b, op, true);
    op->norm = norm_or_null(&spec->ffn_norm);
    set_ffn_weights(op, ffn);
    note_linear(b, &ffn->up);
    return hidden;
}

/* ---- experts ---- */

/* Where what the layer adds goes: to the residual, or, where it is normed or scaled first, to a
 * register that is then pending. */
static reg experts_target(struct builder *b, const struct norm_spec *post_norm) {
    if (post_norm->kind == NORM_NONE && b->program->spec->residual_scale == 1.0f)
        return b->residual;
    reg y = new_reg(b, b->program->spec->n_embd);
    b->pending = y;
    b->pending_norm = norm_or_null(post_norm);
    return y;
}

/* Router logits, and with them the logit of the shared expert's gate (REG_NONE: it has none). */
static void build_router(struct builder *b, const struct layer_spec *spec, int layer,
                         reg *shared_gate) {
    const struct experts_spec *experts = &spec->experts;
    bool gate = experts->shared_gate.weight.tensor != NULL;
    reg logits = new_reg(b, experts->n_experts);
    *shared_gate = gate ? new_reg(b, 1) : REG_NONE;
    struct op *op = emit(b, OP_LINEAR, layer, b->residual, logits, *shared_gate, REG_NONE);
    take_pending(b, op, true);
    op->norm = norm_or_null(&spec->ffn_norm);
    op->linear.n_weights = gate ? 2 : 1;
    op->linear.combine = COMBINE_STORE;
    op->linear.weights[0] = &experts->router;
    op->linear.weights[1] = gate ? &experts->shared_gate : NULL;
    note_linear(b, &experts->router);
    emit(b, OP_ROUTE, layer, logits, REG_NONE, REG_NONE, REG_NONE)->experts = experts;
    if (experts->n_experts > b->program->max_experts) b->program->max_experts = experts->n_experts;
    if (experts->n_experts > b->program->max_in) b->program->max_in = experts->n_experts;
    if (experts->n_used > b->program->max_used) b->program->max_used = experts->n_used;
}

/* What the chosen experts give, a row for each place. */
static reg build_chosen(struct builder *b, const struct layer_spec *spec, int layer) {
    const struct experts_spec *experts = &spec->experts;
    const struct ffn_spec *ffn = &experts->ffn;
    reg hidden = new_reg(b, experts->n_used * reg_padded(ffn->n_ff));
    struct op *up = emit(b, OP_EXPERTS, layer, b->residual, hidden, REG_NONE, REG_NONE);
    up->norm = norm_or_null(&spec->ffn_norm);
    up->of_rows = true;
    up->experts = experts;
    set_ffn_weights(up, ffn);
    reg y = new_reg(b, experts->n_used * reg_padded(b->program->spec->n_embd));
    struct op *down = emit(b, OP_EXPERTS, layer, hidden, y, REG_NONE, REG_NONE);
    down->experts = experts;
    down->linear.n_weights = 1;
    down->linear.combine = COMBINE_STORE;
    down->linear.weights[0] = &ffn->down;
    note_linear(b, &ffn->up);
    note_linear(b, &ffn->down);
    return y;
}

static void build_experts(struct builder *b, const struct layer_spec *spec, int layer) {
    reg shared = REG_NONE, shared_gate;
    build_router(b, spec, layer, &shared_gate);
    reg y = build_chosen(b, spec, layer);
    if (spec->ffn.n_ff) {
        reg hidden = build_ffn(b, spec, layer);
        shared = new_reg(b, b->program->spec->n_embd);
        emit_linear(b, layer, NULL, hidden, &spec->ffn.down, COMBINE_STORE, shared);
    }
    reg target = experts_target(b, &spec->post_ffn_norm);
    touch(b, shared);
    touch(b, shared_gate);
    struct op *op = emit(b, OP_WEIGH, layer, y, target, REG_NONE, REG_NONE);
    op->experts = &spec->experts;
    op->weigh.add = target == b->residual;
    op->weigh.shared = shared;
    op->weigh.shared_gate = shared_gate;
}

static void build_layer(struct builder *b, const struct layer_spec *spec, int layer) {
    reg attended = build_attention(b, spec, layer), hidden;
    if (spec->residual == RESIDUAL_PARALLEL) { /* both read the residual before either adds to it */
        hidden = build_ffn(b, spec, layer);
        emit_linear(b, layer, NULL, attended, &spec->attention.out, COMBINE_ADD, b->residual);
        emit_linear(b, layer, NULL, hidden, &spec->ffn.down, COMBINE_ADD, b->residual);
        return;
    }
    emit_linear_residual(b, layer, &spec->attention.out, attended, &spec->post_attention_norm);
    if (spec->experts.n_experts) {
        build_experts(b, spec, layer);
        return;
    }
    hidden = build_ffn(b, spec, layer);
    emit_linear_residual(b, layer, &spec->ffn.down, hidden, &spec->post_ffn_norm);
}

static void build_model(struct builder *b, const struct spec *spec) {
    b->residual = new_reg(b, spec->n_embd);
    emit(b, OP_EMBED, -1, REG_NONE, b->residual, REG_NONE, REG_NONE)->scale = spec->embedding_scale;
    emit_norm(b, -1, &spec->embedding_norm, spec->n_embd, b->residual);
    for (int layer = 0; layer < spec->n_layers; layer++)
        build_layer(b, &spec->layers[layer], layer);
    struct op *head = emit(b, OP_HEAD, -1, b->residual, REG_NONE, REG_NONE, REG_NONE);
    head->boundary = true;
    take_pending(b, head, false);
    head->norm = norm_or_null(&spec->output_norm);
    head->linear.n_weights = b->program->n_logits ? 1 : 0;
    head->linear.weights[0] = &spec->head;
    if (spec->n_embd > b->program->max_in) b->program->max_in = spec->n_embd;
}

/* ---- what the ops can't do is refused, never left out ---- */

struct place {
    const struct spec *spec;
    int64_t layer; /* -1: outside the layers */
};

static status refuse(const struct place *place, const char *what) {
    if (place->layer < 0)
        return fail(UNSUPPORTED, "architecture '%s': %s is not supported",
                    place->spec->architecture, what);
    return fail(UNSUPPORTED, "architecture '%s', layer %" PRId64 ": %s is not supported",
                place->spec->architecture, place->layer, what);
}

static status check_norm(const struct place *place, const struct norm_spec *norm) {
    if (norm->kind == NORM_RMS && norm->bias.tensor)
        return refuse(place, "an RMS norm with a bias");
    return OK;
}

/* A layer has a KV stream of its own, of the shape of its heads. */
static status check_kv_stream(const struct place *place, const struct attention_spec *a) {
    const struct spec *spec = place->spec;
    const struct kv_stream_spec *stream = &spec->kv_streams[a->kv_stream];
    for (int64_t i = 0; i < place->layer; i++)
        if (spec->layers[i].attention.kv_stream == a->kv_stream)
            return refuse(place, "a KV stream that an earlier layer has too");
    if (stream->value_dim != (a->latent.rank ? 0 : attention_value_dim(a)))
        return refuse(place, "a KV stream whose values aren't its attention's");
    if (stream->n_heads != a->n_kv_heads || stream->key_dim != a->head_dim ||
        stream->window != (a->bidirectional ? 0 : a->window))
        return refuse(place, "a KV stream of another shape or window than its attention");
    return OK;
}

static status check_latent(const struct place *place, const struct attention_spec *a) {
    const struct latent_spec *l = &a->latent;
    if (!l->rank) return OK;
    if (a->n_kv_heads != 1 || attention_value_dim(a) != l->rank || a->rope_first != l->rank ||
        a->head_dim < l->rank)
        return refuse(place, "latent attention whose heads aren't its latent vectors");
    if (a->rope >= 0 && place->spec->ropes[a->rope].n_dims != a->head_dim - l->rank)
        return refuse(place, "latent attention that rotates a part of what isn't latent");
    if (a->q_norm.kind != NORM_NONE || a->k_norm.kind != NORM_NONE || a->clamp != 0.0f)
        return refuse(place, "latent attention with a norm or clamp of its heads");
    return OK;
}

/* All layers with ALiBi share their slopes. */
static status check_slopes(const struct place *place, const struct attention_spec *a) {
    if (a->max_bias == 0.0f) return OK;
    for (int64_t i = 0; i < place->layer; i++) {
        const struct attention_spec *other = &place->spec->layers[i].attention;
        if (other->max_bias != 0.0f &&
            (other->max_bias != a->max_bias || other->n_heads != a->n_heads))
            return refuse(place, "ALiBi with other slopes than an earlier layer's");
    }
    return OK;
}

static status check_ffn(const struct place *place, const struct ffn_spec *ffn) {
    if (ffn->activation == ACTIVATION_SWIGLU_CLAMPED && !ffn->gated)
        return refuse(place, "a clamped SwiGLU without a gate");
    return OK;
}

static status check_experts(const struct place *place, const struct layer_spec *layer) {
    const struct experts_spec *experts = &layer->experts;
    TRY(check_ffn(place, &layer->ffn));
    TRY(check_ffn(place, &experts->ffn));
    if (!experts->n_experts) return OK;
    if (layer->residual == RESIDUAL_PARALLEL) return refuse(place, "experts beside attention");
    if (experts->n_experts > EXPERTS_MAX) return refuse(place, "more than 1024 experts");
    if (experts->n_groups > EXPERTS_MAX_GROUPS)
        return refuse(place, "more than 64 groups of experts");
    if (experts->n_groups > 1 && experts->n_experts % experts->n_groups)
        return refuse(place, "a number of experts that the number of groups doesn't divide");
    if (experts->shared_gate.weight.tensor && !layer->ffn.n_ff)
        return refuse(place, "the gate of a shared expert without that expert");
    return OK;
}

static status check_layer(const struct place *place) {
    const struct layer_spec *layer = &place->spec->layers[place->layer];
    const struct norm_spec *norms[] = {&layer->attention_norm,
                                       &layer->post_attention_norm,
                                       &layer->ffn_norm,
                                       &layer->post_ffn_norm,
                                       &layer->attention.q_norm,
                                       &layer->attention.k_norm,
                                       &layer->attention.latent.q_a_norm,
                                       &layer->attention.latent.kv_a_norm};
    if (layer->residual == RESIDUAL_PARALLEL &&
        (layer->post_attention_norm.kind != NORM_NONE || layer->post_ffn_norm.kind != NORM_NONE ||
         place->spec->residual_scale != 1.0f))
        return refuse(place, "a norm or scale of what a parallel residual takes");
    if (layer->residual == RESIDUAL_POST_NORM && place->spec->residual_scale != 1.0f)
        return refuse(place, "a scale of what a residual takes before its norm");
    if (layer->attention.bidirectional && layer->attention.max_bias != 0.0f)
        return refuse(place, "ALiBi of keys behind a query");
    if (layer->attention.norm_whole && layer->attention.clamp != 0.0f)
        return refuse(place, "a norm of whole projections after a clamp");
    TRY(check_latent(place, &layer->attention));
    TRY(check_experts(place, layer));
    TRY(check_slopes(place, &layer->attention));
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) TRY(check_norm(place, norms[i]));
    return check_kv_stream(place, &layer->attention);
}

static status check_spec(const struct spec *spec) {
    struct place place = {.spec = spec, .layer = -1};
    if (spec->embedding.bias.tensor) return refuse(&place, "an embedding with a bias");
    TRY(check_norm(&place, &spec->output_norm));
    TRY(check_norm(&place, &spec->embedding_norm));
    for (place.layer = 0; place.layer < spec->n_layers; place.layer++) TRY(check_layer(&place));
    return OK;
}

bool program_is_whole(const struct spec *spec) {
    for (int64_t i = 0; i < spec->n_layers; i++)
        if (spec->layers[i].attention.bidirectional) return true;
    return false;
}

/* ---- memory ---- */

static status make_frequencies(struct program *program, const struct rope_factors *factors,
                               int64_t max_tokens) {
    const struct spec *spec = program->spec;
    TRY(MEMORY_TAKE_ARRAY(program->memory, (size_t)spec->n_ropes, "rope frequencies",
                          &program->frequencies));
    for (int i = 0; i < spec->n_ropes; i++) {
        const struct rope_spec *rope = &spec->ropes[i];
        TRY(MEMORY_TAKE_ARRAY(program->memory, (size_t)rope->n_dims / 2, "rope frequencies",
                              &program->frequencies[i]));
        rope_frequencies(rope, factors ? &factors[i] : NULL, max_tokens, program->frequencies[i]);
    }
    return OK;
}

/* arXiv:2108.12409: of n heads, a power of two, head i has 2^(-max_bias (i + 1) / n); where n is
 * none, the power of two below it has these, the others every second one of twice as many. */
static status make_slopes(struct program *program) {
    const struct attention_spec *a = NULL;
    for (int64_t i = 0; i < program->spec->n_layers && !a; i++)
        if (program->spec->layers[i].attention.max_bias != 0.0f)
            a = &program->spec->layers[i].attention;
    if (!a) return OK;
    program->n_slopes = a->n_heads;
    TRY(MEMORY_TAKE_ARRAY(program->memory, (size_t)a->n_heads, "ALiBi's slopes", &program->slopes));
    int64_t power = 1;
    while (2 * power <= a->n_heads) power *= 2;
    for (int64_t i = 0; i < a->n_heads; i++) {
        double turn = i < power ? (double)(i + 1) : (double)(2 * (i - power) + 1) / 2.0;
        program->slopes[i] = (float)pow(2.0, -(double)a->max_bias * turn / (double)power);
    }
    return OK;
}

static status fill(struct program *program, const struct rope_factors *factors, int64_t max_tokens,
                   const struct kv_format *kv_format) {
    const struct spec *spec = program->spec;
    size_t n_layers = (size_t)spec->n_layers;
    TRY(MEMORY_TAKE_ARRAY(program->memory, n_layers * LAYER_OPS + OTHER_OPS, "the program",
                          &program->ops));
    TRY(MEMORY_TAKE_ARRAY(program->memory, n_layers * LAYER_REGS + OTHER_REGS,
                          "the program's registers", &program->regs));
    program->n_logits = spec->head.weight.tensor ? spec->n_vocab : 0;
    program->whole = program_is_whole(spec);
    struct builder b = {.program = program, .pending = REG_NONE};
    build_model(&b, spec);
    program->row_floats = buffers_plan(program->regs, program->n_regs);
    TRY(make_frequencies(program, factors, max_tokens));
    TRY(make_slopes(program));
    return kv_layout_make(program->memory, spec, kv_format, &program->kv);
}

status program_build(struct memory *memory, const struct spec *spec,
                     const struct rope_factors *factors, int64_t max_tokens,
                     const struct kv_format *kv_format, struct program **program) {
    struct program *fresh;
    TRY(check_spec(spec));
    TRY(MEMORY_TAKE_ONE(memory, "the program", &fresh));
    fresh->memory = memory;
    fresh->spec = spec;
    status result = fill(fresh, factors, max_tokens, kv_format);
    if (result != OK) {
        program_free(fresh);
        return result;
    }
    *program = fresh;
    return OK;
}

void program_free(struct program *program) {
    if (!program) return;
    struct memory *memory = program->memory;
    if (program->frequencies)
        for (int i = 0; i < program->spec->n_ropes; i++)
            memory_give(memory, program->frequencies[i]);
    memory_give(memory, program->frequencies);
    memory_give(memory, program->slopes);
    kv_layout_free(memory, &program->kv);
    memory_give(memory, program->ops);
    memory_give(memory, program->regs);
    memory_give(memory, program);
}
