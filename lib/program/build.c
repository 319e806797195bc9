/* From spec to program. Reading this top to bottom is reading the transformer paper. */
#include "program/op.h"

#include <math.h>
#include <string.h>

struct builder {
    struct program *program;
    reg residual; /* [rows][n_embd] */
    /* What is still to be added to it, normed: the op that reads the residual next does so. */
    reg pending;
    const struct norm_spec *pending_norm;   /* NULL: none */
    const struct weight_ref *pending_scale; /* of the sum; NULL: none */
    reg inputs;                             /* of layers: [rows][n_layers * width], or none */
};

/* Every layer takes at most this many. */
enum { LAYER_OPS = 23, LAYER_REGS = 26, OTHER_OPS = 11, OTHER_REGS = 8 };
/* Besides, of a layer with cross attention; of an encoder. */
enum { CROSS_OPS = 6, CROSS_REGS = 5, SOURCE_OPS = 3, SOURCE_REGS = 1 };

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
    op->sum_scale = b->pending_scale;
    b->pending = REG_NONE;
    b->pending_scale = NULL;
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
    op->parts.width = width;
    op->parts.n = 1;
}

/* x += W a, or x = n(x + W a); or where the family norms or scales what a block gives:
 * x += s * n(W a), pending. */
static void emit_linear_residual(struct builder *b, enum residual_kind residual, int layer,
                                 const struct linear_spec *weight, reg in,
                                 const struct norm_spec *post_norm) {
    bool of_sum = residual == RESIDUAL_POST_NORM;
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
    reg q = new_reg(b, q_width), k = REG_NONE, v = REG_NONE;
    if (!a->shares_kv) {
        k = new_reg(b, k_width);
        v = new_reg(b, a->n_kv_heads * value_dim);
    }
    emit_projections(b, spec, layer, a->shares_kv ? 1 : 3,
                     (const struct linear_spec *[]){&a->q, &a->k, &a->v}, (reg[]){q, k, v});
    if (a->norms == NORM_OF_ALL_HEADS) {
        emit_norm(b, layer, &a->q_norm, q_width, q);
        if (!a->shares_kv) emit_norm(b, layer, &a->k_norm, k_width, k);
    }
    emit(b, OP_ROPE_STORE, layer, q, k, v, REG_NONE)->attention = a;
    reg out = new_reg(b, a->n_heads * value_dim);
    emit(b, OP_ATTENTION, layer, q, out, REG_NONE, REG_NONE)->attention = a;
    return out;
}

/* x += W a, where a is attention over the keys and values of the source. */
static void build_cross(struct builder *b, const struct layer_spec *spec, int layer) {
    const struct attention_spec *a = &spec->cross;
    int64_t q_width = a->n_heads * a->head_dim;
    reg q = new_reg(b, q_width);
    emit_linear(b, layer, norm_or_null(&spec->cross_norm), b->residual, &a->q, COMBINE_STORE, q);
    take_pending(b, &b->program->ops[b->program->n_ops - 1], true);
    reg out = new_reg(b, q_width);
    emit(b, OP_ATTENTION, layer, q, out, REG_NONE, REG_NONE)->attention = a;
    emit_linear_residual(b, spec->residual, layer, &a->out, out, &spec->post_cross_norm);
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
    op->norm = norm_or_null(experts->router_norm.kind == NORM_NONE ? &spec->ffn_norm
                                                                   : &experts->router_norm);
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
    up->norm = norm_or_null(experts->norm.kind == NORM_NONE ? &spec->ffn_norm : &experts->norm);
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

/* What the experts give and what the shared one gives, each normed, then their sum. */
static void build_normed_sum(struct builder *b, const struct layer_spec *spec, int layer, reg y,
                             reg shared) {
    const struct experts_spec *experts = &spec->experts;
    int64_t n = b->program->spec->n_embd;
    reg sum = new_reg(b, n);
    struct op *op = emit(b, OP_WEIGH, layer, y, sum, REG_NONE, REG_NONE);
    op->experts = experts;
    op->weigh.shared = op->weigh.shared_gate = REG_NONE;
    emit_norm(b, layer, &experts->post_norm, n, sum);
    if (shared != REG_NONE) {
        touch(b, shared);
        op = emit(b, OP_NORM, layer, sum, sum, REG_NONE, REG_NONE);
        op->add = shared;
        op->add_norm = norm_or_null(&experts->shared_post_norm);
        op->add_scale = 1.0f;
        op->parts.width = n;
        op->parts.n = 1;
    }
    b->pending = sum;
    b->pending_norm = norm_or_null(&spec->post_ffn_norm);
}

static void build_experts(struct builder *b, const struct layer_spec *spec, int layer) {
    const struct experts_spec *experts = &spec->experts;
    reg shared = REG_NONE, shared_gate;
    build_router(b, spec, layer, &shared_gate);
    reg y = build_chosen(b, spec, layer);
    if (spec->ffn.n_ff) {
        reg hidden = build_ffn(b, spec, layer);
        shared = new_reg(b, b->program->spec->n_embd);
        emit_linear(b, layer, NULL, hidden, &spec->ffn.down, COMBINE_STORE, shared);
    }
    if (experts->post_norm.kind != NORM_NONE || experts->shared_post_norm.kind != NORM_NONE) {
        build_normed_sum(b, spec, layer, y, shared);
        return;
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

/* ---- inputs of layers ---- */

/* Of what the first layer reads and of the tokens, for all layers at once. */
static void build_layer_inputs(struct builder *b, const struct spec *spec) {
    const struct layer_inputs_spec *inputs = &spec->layer_inputs;
    if (!inputs->width) return;
    int64_t width = spec->n_layers * inputs->width;
    b->inputs = new_reg(b, width);
    struct op *op = emit(b, OP_EMBED, -1, REG_NONE, b->inputs, REG_NONE, REG_NONE);
    op->embed.table = &inputs->embedding.weight;
    op->embed.scale = inputs->embedding_scale * inputs->scale;
    reg projected = new_reg(b, width);
    emit_linear(b, -1, NULL, b->residual, &inputs->project, COMBINE_STORE, projected);
    touch(b, projected);
    op = emit(b, OP_NORM, -1, b->inputs, b->inputs, REG_NONE, REG_NONE);
    op->add = projected;
    op->add_norm = norm_or_null(&inputs->norm);
    op->add_scale = inputs->scale;
    op->parts.width = inputs->width;
    op->parts.n = spec->n_layers;
}

static void build_layer_input(struct builder *b, const struct layer_spec *spec, int layer) {
    int64_t width = b->program->spec->layer_inputs.width;
    reg hidden = new_reg(b, width);
    emit_linear(b, layer, NULL, b->residual, &spec->input.gate, COMBINE_STORE, hidden);
    take_pending(b, &b->program->ops[b->program->n_ops - 1], true);
    touch(b, b->inputs);
    struct op *op = emit(b, OP_GATE, layer, hidden, hidden, REG_NONE, REG_NONE);
    op->gate.by = b->inputs;
    op->gate.first = layer * width;
    op->gate.width = width;
    op->gate.activation = spec->input.activation;
    emit_linear_residual(b, spec->residual, layer, &spec->input.out, hidden, &spec->input.norm);
}

static void build_blocks(struct builder *b, const struct layer_spec *spec, int layer) {
    reg attended = build_attention(b, spec, layer), hidden;
    if (spec->residual == RESIDUAL_PARALLEL) { /* both read the residual before either adds to it */
        hidden = build_ffn(b, spec, layer);
        emit_linear(b, layer, NULL, attended, &spec->attention.out, COMBINE_ADD, b->residual);
        emit_linear(b, layer, NULL, hidden, &spec->ffn.down, COMBINE_ADD, b->residual);
        return;
    }
    emit_linear_residual(b, spec->residual, layer, &spec->attention.out, attended,
                         &spec->post_attention_norm);
    if (spec->cross.n_heads) build_cross(b, spec, layer);
    if (spec->experts.n_experts) {
        build_experts(b, spec, layer);
        return;
    }
    hidden = build_ffn(b, spec, layer);
    emit_linear_residual(b, spec->residual, layer, &spec->ffn.down, hidden, &spec->post_ffn_norm);
}

static void build_layer(struct builder *b, const struct layer_spec *spec, int layer) {
    build_blocks(b, spec, layer);
    if (b->inputs != REG_NONE) build_layer_input(b, spec, layer);
    if (spec->output_scale.tensor) b->pending_scale = &spec->output_scale;
}

/* The encoder's layers, and of what they give the keys and values for every layer of the decoder.
 */
static void build_source(struct builder *b, const struct spec *spec) {
    const struct source_spec *source = &spec->source;
    b->residual = new_reg(b, spec->n_embd);
    struct op *embed = emit(b, OP_EMBED, -1, REG_NONE, b->residual, REG_NONE, REG_NONE);
    embed->embed.turns = true;
    embed->embed.table = &source->embedding.weight;
    embed->embed.positions = &source->positions;
    embed->embed.position_offset = source->position_offset;
    embed->embed.scale = source->embedding_scale;
    emit_norm(b, -1, &source->embedding_norm, spec->n_embd, b->residual);
    for (int layer = 0; layer < source->n_layers; layer++)
        build_layer(b, &source->layers[layer], layer);
    emit_norm(b, -1, &source->output_norm, spec->n_embd, b->residual);
    for (int layer = 0; layer < spec->n_layers; layer++) {
        const struct attention_spec *a = &spec->layers[layer].cross;
        int64_t width = a->n_kv_heads * a->head_dim;
        reg k = new_reg(b, width), v = new_reg(b, width);
        struct op *kv = emit(b, OP_LINEAR, layer, b->residual, k, v, REG_NONE);
        kv->boundary = true;
        kv->linear.n_weights = 2;
        kv->linear.combine = COMBINE_STORE;
        kv->linear.weights[0] = &a->k;
        kv->linear.weights[1] = &a->v;
        note_linear(b, &a->k);
        note_linear(b, &a->v);
        emit(b, OP_ROPE_STORE, layer, REG_NONE, k, v, REG_NONE)->attention = a;
    }
    b->program->n_source_ops = b->program->n_ops;
}

/* All rows normed, as the head alone would do for those that are kept. */
static void build_final_norm(struct builder *b, const struct spec *spec) {
    if (b->pending == REG_NONE && spec->output_norm.kind == NORM_NONE) return;
    reg x = b->residual, normed = new_reg(b, spec->n_embd);
    struct op *op = emit(b, OP_NORM, -1, x, normed, REG_NONE, REG_NONE);
    take_pending(b, op, false);
    op->norm = norm_or_null(&spec->output_norm);
    op->parts.width = spec->n_embd;
    op->parts.n = 1;
    b->residual = normed;
}

/* out n(act(dense x)) of the pooled vectors. */
static void build_score(struct builder *b, const struct score_spec *score) {
    struct program *program = b->program;
    reg x = program->pooled;
    const struct norm_spec *norm = norm_or_null(&score->norm);
    if (score->dense.weight.tensor) {
        reg hidden = new_reg(b, program->spec->n_embd);
        emit_linear(b, -1, NULL, x, &score->dense, COMBINE_ACTIVATE, hidden);
        struct op *op = &program->ops[program->n_ops - 1];
        op->linear.activation = score->activation;
        op->pooled = true;
        x = hidden;
    }
    program->score = new_reg(b, score->n_labels);
    program->n_labels = score->n_labels;
    emit_linear(b, -1, norm, x, &score->out, COMBINE_STORE, program->score);
    program->ops[program->n_ops - 1].pooled = true;
}

/* After the head, so that what it gives is there until the next step. */
static void build_pooling(struct builder *b, const struct spec *spec,
                          const struct pooling_spec *pooling) {
    struct program *program = b->program;
    program->pooled = new_reg(b, spec->n_embd);
    struct op *op = emit(b, OP_POOL, -1, b->residual, program->pooled, REG_NONE, REG_NONE);
    op->pooling = *pooling;
    if (spec->score.n_labels) build_score(b, &spec->score);
    touch(b, program->pooled);
    touch(b, program->score);
}

/* The residual: embeddings of tokens, and of positions; those of another width are projected first.
 */
static void build_embedding(struct builder *b, const struct spec *spec) {
    bool projected = spec->embedding_in.weight.tensor != NULL;
    reg tokens = new_reg(b, projected ? spec->embedding.weight.tensor->dims[0] : spec->n_embd);
    struct op *embed = emit(b, OP_EMBED, -1, REG_NONE, tokens, REG_NONE, REG_NONE);
    embed->embed.turns = true;
    embed->embed.table = &spec->embedding.weight;
    embed->embed.token_types = &spec->token_types;
    embed->embed.scale = spec->embedding_scale;
    b->residual = tokens;
    if (projected) {
        b->residual = new_reg(b, spec->n_embd);
        embed = emit(b, OP_EMBED, -1, REG_NONE, b->residual, REG_NONE, REG_NONE);
    }
    embed->embed.positions = &spec->positions;
    embed->embed.position_offset = spec->position_offset;
    if (projected) emit_linear(b, -1, NULL, tokens, &spec->embedding_in, COMBINE_ADD, b->residual);
}

/* Logits of what the output norm gives, or of a projection of that. */
static void build_head(struct builder *b, const struct spec *spec,
                       const struct pooling_spec *pooling) {
    bool pools = pooling->kind != POOLING_NONE;
    if (pools) build_final_norm(b, spec);
    const struct norm_spec *norm = pools ? NULL : norm_or_null(&spec->output_norm);
    reg in = b->residual;
    if (spec->head_in.weight.tensor) {
        reg narrow = new_reg(b, spec->head_in.weight.tensor->dims[1]);
        emit_linear(b, -1, norm, in, &spec->head_in, COMBINE_STORE, narrow);
        take_pending(b, &b->program->ops[b->program->n_ops - 1], true);
        norm = NULL;
        in = narrow;
    }
    struct op *head = emit(b, OP_HEAD, -1, in, REG_NONE, REG_NONE, REG_NONE);
    head->boundary = true;
    take_pending(b, head, false);
    head->norm = norm;
    head->linear.n_weights = b->program->n_logits ? 1 : 0;
    head->linear.weights[0] = &spec->head;
    if (b->program->n_hidden > b->program->max_in) b->program->max_in = b->program->n_hidden;
    if (pools) build_pooling(b, spec, pooling);
}

static void build_model(struct builder *b, const struct spec *spec,
                        const struct pooling_spec *pooling) {
    build_embedding(b, spec);
    emit_norm(b, -1, &spec->embedding_norm, spec->n_embd, b->residual);
    build_layer_inputs(b, spec);
    for (int layer = 0; layer < spec->n_layers; layer++)
        build_layer(b, &spec->layers[layer], layer);
    build_head(b, spec, pooling);
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

/* A layer has a KV stream of its own, or shares an earlier layer's, of the shape of its heads. */
static status check_kv_stream(const struct place *place, const struct attention_spec *a) {
    const struct spec *spec = place->spec;
    const struct kv_stream_spec *stream = &spec->kv_streams[a->kv_stream];
    bool filled = false;
    for (int64_t i = 0; i < place->layer; i++)
        filled = filled || spec->layers[i].attention.kv_stream == a->kv_stream;
    if (filled && !a->shares_kv) return refuse(place, "a KV stream that an earlier layer has too");
    if (!filled && a->shares_kv) return refuse(place, "a KV stream that no earlier layer fills");
    if (a->shares_kv && (a->latent.rank || a->bidirectional))
        return refuse(place, "latent or bidirectional attention with another layer's keys");
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
            (other->max_bias != a->max_bias || other->n_heads != a->n_heads ||
             other->bias_rounded != a->bias_rounded || other->scale != a->scale))
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
    if (experts->shared_gate.weight.tensor &&
        (experts->router_norm.kind != NORM_NONE || experts->post_norm.kind != NORM_NONE ||
         experts->shared_post_norm.kind != NORM_NONE))
        return refuse(place, "the gate of a shared expert beside norms of experts");
    return OK;
}

/* What comes after a layer's blocks is added with what the last of them gives. */
static status check_end(const struct place *place, const struct layer_spec *layer) {
    const struct spec *spec = place->spec;
    const struct norm_spec *last =
        spec->layer_inputs.width ? &layer->input.norm : &layer->post_ffn_norm;
    if (spec->layer_inputs.width && layer->residual != RESIDUAL_SEQUENTIAL)
        return refuse(place, "an input of a layer without a sequential residual");
    if (spec->layer_inputs.width && layer->input.activation == ACTIVATION_SWIGLU_CLAMPED)
        return refuse(place, "an input of a layer with a clamped SwiGLU");
    if (layer->output_scale.tensor && (layer->residual != RESIDUAL_SEQUENTIAL ||
                                       (last->kind == NORM_NONE && spec->residual_scale == 1.0f)))
        return refuse(place, "a scale of a layer's output without a norm before it");
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
                                       &layer->attention.v_norm,
                                       &layer->experts.router_norm,
                                       &layer->experts.norm,
                                       &layer->experts.post_norm,
                                       &layer->experts.shared_post_norm,
                                       &layer->input.norm,
                                       &layer->attention.latent.q_a_norm,
                                       &layer->attention.latent.kv_a_norm};
    if (layer->residual == RESIDUAL_PARALLEL &&
        (layer->post_attention_norm.kind != NORM_NONE || layer->post_ffn_norm.kind != NORM_NONE ||
         place->spec->residual_scale != 1.0f))
        return refuse(place, "a norm or scale of what a parallel residual takes");
    if (layer->residual != RESIDUAL_SEQUENTIAL && layer->experts.n_experts)
        return refuse(place, "a norm of the sum with experts, or a parallel residual");
    if (layer->residual == RESIDUAL_POST_NORM && place->spec->residual_scale != 1.0f)
        return refuse(place, "a scale of what a residual takes before its norm");
    if (layer->attention.bidirectional && layer->attention.max_bias != 0.0f)
        return refuse(place, "ALiBi of keys behind a query");
    if (layer->attention.norms == NORM_OF_ALL_HEADS && layer->attention.clamp != 0.0f)
        return refuse(place, "a norm of whole projections after a clamp");
    if (layer->attention.norms == NORM_OF_ALL_HEADS && layer->attention.norms_turned)
        return refuse(place, "a norm of whole projections after their rotation");
    if (layer->attention.latent.rank && layer->attention.v_norm.kind != NORM_NONE)
        return refuse(place, "latent attention with a norm of its values");
    TRY(check_end(place, layer));
    TRY(check_latent(place, &layer->attention));
    TRY(check_experts(place, layer));
    TRY(check_slopes(place, &layer->attention));
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) TRY(check_norm(place, norms[i]));
    return check_kv_stream(place, &layer->attention);
}

/* Of encoder-decoders; what comes from their readers is of the shapes that they bound. */
static status check_source(const struct spec *spec) {
    struct place place = {.spec = spec};
    const struct source_spec *source = &spec->source;
    for (; place.layer < source->n_layers; place.layer++) {
        const struct layer_spec *layer = &source->layers[place.layer];
        const struct attention_spec *a = &layer->attention;
        if (layer->residual == RESIDUAL_PARALLEL ||
            (layer->residual == RESIDUAL_SEQUENTIAL &&
             (layer->post_attention_norm.kind != NORM_NONE ||
              layer->post_ffn_norm.kind != NORM_NONE)))
            return refuse(&place, "such a residual in an encoder");
        if (!a->bidirectional || a->rope >= 0 || a->max_bias != 0.0f || a->window ||
            a->q_norm.kind != NORM_NONE || a->k_norm.kind != NORM_NONE ||
            a->v_norm.kind != NORM_NONE || a->shares_kv || a->clamp != 0.0f)
            return refuse(&place, "such an attention in an encoder");
        if (spec->kv_streams[a->kv_stream].kind != KV_PASSING)
            return refuse(&place, "an encoder's KV stream that stays");
    }
    for (place.layer = 0; place.layer < spec->n_layers; place.layer++) {
        const struct attention_spec *a = &spec->layers[place.layer].cross;
        if (!a->n_heads || !a->cross || a->rope >= 0 || a->max_bias != 0.0f || a->window ||
            a->q_norm.kind != NORM_NONE || a->k_norm.kind != NORM_NONE ||
            a->v_norm.kind != NORM_NONE || a->shares_kv || a->clamp != 0.0f ||
            spec->kv_streams[a->kv_stream].kind != KV_FIXED)
            return refuse(&place, "such a cross attention");
    }
    return OK;
}

static status check_spec(const struct spec *spec) {
    struct place place = {.spec = spec, .layer = -1};
    if (spec->source.n_layers) TRY(check_source(spec));
    if (spec->embedding.bias.tensor) return refuse(&place, "an embedding with a bias");
    if (spec->layer_inputs.width && spec->source.n_layers)
        return refuse(&place, "inputs of layers in an encoder-decoder");
    TRY(check_norm(&place, &spec->layer_inputs.norm));
    if (spec->embedding_in.weight.tensor && (!spec->positions.tensor || spec->token_types.tensor))
        return refuse(&place, "a projection of embeddings without learned positions");
    TRY(check_norm(&place, &spec->output_norm));
    TRY(check_norm(&place, &spec->embedding_norm));
    TRY(check_norm(&place, &spec->score.norm));
    for (place.layer = 0; place.layer < spec->n_layers; place.layer++) TRY(check_layer(&place));
    return OK;
}

bool program_is_whole(const struct spec *spec, const struct pooling_spec *pooling) {
    if (pooling->kind == POOLING_MEAN || pooling->kind == POOLING_FIRST) return true;
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

/* To the nearest of 8 bits, ties to even. */
static float round_to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000;
    memcpy(&value, &bits, sizeof bits);
    return value;
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
        if (a->bias_rounded) program->slopes[i] = round_to_bf16(program->slopes[i]);
    }
    return OK;
}

static status fill(struct program *program, const struct rope_factors *factors, int64_t max_tokens,
                   const struct kv_format *kv_format, const struct pooling_spec *pooling) {
    const struct spec *spec = program->spec;
    bool source = spec->source.n_layers > 0;
    size_t n_cross = source ? (size_t)spec->n_layers : 0;
    size_t n_layers = (size_t)spec->n_layers + (size_t)spec->source.n_layers;
    TRY(MEMORY_TAKE_ARRAY(program->memory,
                          n_layers * LAYER_OPS + n_cross * CROSS_OPS + OTHER_OPS + SOURCE_OPS,
                          "the program", &program->ops));
    TRY(MEMORY_TAKE_ARRAY(program->memory,
                          n_layers * LAYER_REGS + n_cross * CROSS_REGS + OTHER_REGS + SOURCE_REGS,
                          "the program's registers", &program->regs));
    program->n_logits = spec->head.weight.tensor ? spec->n_vocab : 0;
    program->n_hidden =
        spec->head_in.weight.tensor ? spec->head_in.weight.tensor->dims[1] : spec->n_embd;
    program->whole = program_is_whole(spec, pooling);
    struct builder b = {.program = program, .pending = REG_NONE, .inputs = REG_NONE};
    if (source) build_source(&b, spec);
    build_model(&b, spec, pooling);
    program->row_floats = buffers_plan(program->regs, program->n_regs);
    TRY(make_frequencies(program, factors, max_tokens));
    TRY(make_slopes(program));
    return kv_layout_make(program->memory, spec, kv_format, &program->kv);
}

status program_build(struct memory *memory, const struct spec *spec,
                     const struct rope_factors *factors, int64_t max_tokens,
                     const struct kv_format *kv_format, const struct pooling_spec *pooling,
                     struct program **program) {
    struct program *fresh;
    TRY(check_spec(spec));
    TRY(MEMORY_TAKE_ONE(memory, "the program", &fresh));
    fresh->memory = memory;
    fresh->spec = spec;
    fresh->pooled = fresh->score = REG_NONE;
    status result = fill(fresh, factors, max_tokens, kv_format, pooling);
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
