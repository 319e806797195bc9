/* Walks the program: every thread runs every op on its share, with a barrier between ops. */
#include "cpu/execution.h"

#include <string.h>

struct range execution_share(const struct worker *worker, int64_t n) {
    return (struct range){.begin = n * worker->thread / worker->n_threads,
                          .end = n * (worker->thread + 1) / worker->n_threads};
}

float *execution_reg(const struct backend_context *context, reg index) {
    return context->buffers + context->program->regs[index].offset * context->limits.max_rows;
}

/* x = row `at` of a weight. */
static void unpack_row(const struct packed_weight *weight, size_t at, float *x) {
    size_t group = weight->kernel->group;
    weight->kernel->unpack_row(weight->groups + at / group * weight->group_bytes, at % group,
                               weight->n_cols, x);
}

/* x += that row. */
static void add_row(const struct worker *worker, const struct packed_weight *weight, size_t at,
                    float *x) {
    unpack_row(weight, at, worker->scratch->row);
    worker->kernels->add(worker->scratch->row, weight->n_cols, x);
}

static const struct packed_weight *matrix_or_null(const struct backend_context *context,
                                                  const struct weight_ref *ref) {
    return ref ? weights_matrix(context->model, ref) : NULL;
}

static void run_embed(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct program *program = context->program;
    const struct spec *spec = program->spec;
    const struct packed_weight *table = matrix_or_null(context, op->embed.table);
    const struct packed_weight *positions = matrix_or_null(context, op->embed.positions);
    const struct packed_weight *types = matrix_or_null(context, op->embed.token_types);
    const uint8_t *token_types = context->step->token_types;
    struct range share = execution_share(worker, context->step->n_rows);
    for (int64_t row = share.begin; row < share.end; row++) {
        float *x = execution_reg(context, op->out[0]) + row * program->regs[op->out[0]].width;
        if (!table) {
            unpack_row(positions, (size_t)(context->position[row] + op->embed.position_offset), x);
            continue;
        }
        unpack_row(table, (size_t)context->step->tokens[row], x);
        if (op->embed.scale != 1.0f) worker->kernels->scale(op->embed.scale, table->n_cols, x);
        if (positions)
            add_row(worker, positions, (size_t)(context->position[row] + op->embed.position_offset),
                    x);
        if (types) add_row(worker, types, token_types ? token_types[row] : 0, x);
        for (int i = 0; op->embed.turns && i < spec->n_ropes; i++) {
            const struct rope_spec *rope = &spec->ropes[i];
            worker->kernels->rope_table(context->position[row], program->frequencies[i],
                                        (size_t)rope->n_dims / 2, rope->attention_factor,
                                        context->rope_tables[i] + row * rope->n_dims);
        }
    }
}

static int64_t rows_of(const struct backend_context *context, const struct op *op) {
    return op->pooled ? context->step->n_pooled : context->step->n_rows;
}

static void run_norm(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct reg_plan *regs = context->program->regs;
    struct range share = execution_share(worker, rows_of(context, op) * op->parts.n);
    size_t n = (size_t)op->parts.width;
    for (int64_t part = share.begin; part < share.end; part++) {
        int64_t row = part / op->parts.n, at = part % op->parts.n * op->parts.width;
        const float *x = execution_reg(context, op->in) + row * regs[op->in].width + at;
        float *y = execution_reg(context, op->out[0]) + row * regs[op->out[0]].width + at;
        if (op->add != REG_NONE) {
            const float *add = execution_reg(context, op->add) + row * regs[op->add].width + at;
            linear_add_normed(worker, op, x, add, n, worker->scratch->sum);
            x = worker->scratch->sum;
        }
        if (op->norm)
            linear_norm(worker, op->norm, x, n, y);
        else
            memcpy(y, x, n * sizeof *y);
    }
}

static void run_gate(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct reg_plan *regs = context->program->regs;
    struct range share = execution_share(worker, context->step->n_rows);
    for (int64_t row = share.begin; row < share.end; row++) {
        const float *x = execution_reg(context, op->in) + row * regs[op->in].width;
        const float *by = execution_reg(context, op->gate.by) + row * regs[op->gate.by].width;
        float *y = execution_reg(context, op->out[0]) + row * regs[op->out[0]].width;
        worker->kernels->gate(op->gate.activation, x, by + op->gate.first, (size_t)op->gate.width,
                              y);
    }
}

static void run_linear(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct reg_plan *regs = context->program->regs;
    struct linear_call call = {.op = op,
                               .in = execution_reg(context, op->in),
                               .in_stride = (size_t)regs[op->in].width,
                               .n_rows = rows_of(context, op),
                               .norm = op->norm,
                               .adapts = context->step_adapts && !op->pooled};
    if (op->add != REG_NONE) {
        call.add = execution_reg(context, op->add);
        call.add_stride = (size_t)regs[op->add].width;
        call.sum = execution_reg(context, op->sum);
    }
    for (int i = 0; i < OP_MAX_WEIGHTS && op->out[i] != REG_NONE; i++) {
        call.out[i] = execution_reg(context, op->out[i]);
        call.out_stride[i] = (size_t)regs[op->out[i]].width;
    }
    linear_run(worker, &call);
}

static void run_head(const struct worker *worker, const struct op *op) {
    struct backend_context *context = worker->context;
    const struct step *step = context->step;
    const struct spec *spec = context->program->spec;
    size_t width = (size_t)context->program->regs[op->in].width,
           n = (size_t)context->program->n_hidden;
    struct range share = execution_share(worker, step->n_logit_rows);
    for (int64_t i = share.begin; i < share.end; i++) {
        size_t row = (size_t)step->logit_rows[i];
        const float *x = execution_reg(context, op->in) + row * width;
        if (op->add != REG_NONE) {
            const float *add = execution_reg(context, op->add) +
                               row * (size_t)context->program->regs[op->add].width;
            linear_add_normed(worker, op, x, add, n, worker->scratch->sum);
            x = worker->scratch->sum;
        }
        float *hidden = context->hidden + (size_t)i * context->hidden_stride;
        if (op->norm)
            linear_norm(worker, op->norm, x, n, hidden);
        else
            memcpy(hidden, x, n * sizeof *hidden);
    }
    if (!op->linear.n_weights) return;
    team_barrier(context->team, worker->thread);

    struct linear_call call = {.op = op,
                               .in = context->hidden,
                               .in_stride = context->hidden_stride,
                               .n_rows = step->n_logit_rows,
                               .out = {context->logits},
                               .out_stride = {context->logits_stride},
                               .adapts = context->step_adapts,
                               .rows = step->logit_rows};
    linear_run(worker, &call);
    if (spec->logit_softcap == 0.0f && spec->logit_scale == 1.0f) return;
    team_barrier(context->team, worker->thread);
    struct range columns = execution_share(worker, spec->n_vocab);
    for (int64_t i = 0; i < step->n_logit_rows; i++) {
        float *logits = context->logits + (size_t)i * context->logits_stride + columns.begin;
        size_t n_columns = (size_t)(columns.end - columns.begin);
        if (spec->logit_scale != 1.0f) worker->kernels->scale(spec->logit_scale, n_columns, logits);
        if (spec->logit_softcap != 0.0f)
            worker->kernels->softcap(spec->logit_softcap, n_columns, logits);
    }
}

static void run_op(const struct worker *worker, const struct op *op) {
    switch (op->kind) {
    case OP_EMBED:
        run_embed(worker, op);
        break;
    case OP_LINEAR:
        run_linear(worker, op);
        break;
    case OP_HEADS:
        heads_run(worker, op);
        break;
    case OP_NORM:
        run_norm(worker, op);
        break;
    case OP_GATE:
        run_gate(worker, op);
        break;
    case OP_ROPE_STORE:
        attend_store(worker, op);
        break;
    case OP_ATTENTION:
        attend_run(worker, op);
        break;
    case OP_POOL:
        pool_run(worker, op);
        break;
    case OP_ROUTE:
        experts_route(worker, op);
        break;
    case OP_EXPERTS:
        experts_run(worker, op);
        break;
    case OP_WEIGH:
        experts_weigh(worker, op);
        break;
    case OP_HEAD:
        run_head(worker, op);
        break;
    }
}

void execution_run(void *argument, int thread, int n_threads) {
    struct backend_context *context = argument;
    const struct program *program = context->program;
    struct worker worker = {.context = context,
                            .kernels = &context->model->kernels,
                            .scratch = &context->threads[thread],
                            .thread = thread,
                            .n_threads = n_threads};
    unsigned boundary = 0;
    int first = context->step->source ? 0 : program->n_source_ops;
    int end = context->step->source ? program->n_source_ops : program->n_ops;
    for (int i = first; i < end; i++) {
        const struct op *op = &program->ops[i];
        if (op->boundary) {
            /* All threads read what thread 0 wrote before the last barrier, so all stop or none. */
            if (atomic_load_explicit(&context->stop[boundary & 1], memory_order_relaxed)) {
                if (thread == 0) context->stopped = true;
                return;
            }
            boundary++;
        }
        run_op(&worker, op);
        if (i + 1 == end) return;
        if (thread == 0 && program->ops[i + 1].boundary) {
            int cancel = atomic_load_explicit(context->step->cancel, memory_order_relaxed);
            atomic_store_explicit(&context->stop[boundary & 1], cancel, memory_order_relaxed);
        }
        team_barrier(context->team, thread);
    }
}
