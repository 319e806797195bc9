/* Keys and values into their pages, and attention over them. */
#include "cpu/execution.h"

#include <string.h>

static uint8_t *page_of(const struct backend_context *context, int group, int64_t row) {
    const struct step_sequence *sequence = &context->step->sequences[context->sequence[row]];
    int32_t page = sequence->pages[group][context->position[row] / KV_PAGE_TOKENS];
    return context->pools[group] + (size_t)page * context->program->kv.groups[group].page_bytes;
}

static void rotate(const struct worker *worker, const struct attention_spec *attention,
                   const struct norm_spec *norm, int64_t row, float *x) {
    const struct backend_context *context = worker->context;
    if (norm->kind != NORM_NONE) linear_norm(worker, norm, x, (size_t)attention->head_dim, x);
    if (attention->rope < 0) return;
    const struct rope_spec *rope = &context->program->spec->ropes[attention->rope];
    const float *table = context->rope_tables[attention->rope] + row * rope->n_dims;
    worker->kernels->rope(x, table, (size_t)rope->n_dims, rope->pairing);
}

void attend_store(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct attention_spec *a = op->attention;
    const struct kv_place *place = &context->program->kv.places[a->kv_stream];
    size_t element = context->program->kv.element_bytes, dim = (size_t)a->head_dim;
    int64_t heads = a->n_heads + a->n_kv_heads;
    int64_t q_width = context->program->regs[op->in].width;
    int64_t kv_width = context->program->regs[op->out[0]].width;
    struct range share = execution_share(worker, context->step->n_rows * heads);
    for (int64_t unit = share.begin; unit < share.end; unit++) {
        int64_t row = unit / heads, head = unit % heads;
        if (head < a->n_heads) {
            float *q = execution_reg(context, op->in) + row * q_width + head * a->head_dim;
            rotate(worker, a, &a->q_norm, row, q);
            continue;
        }
        head -= a->n_heads;
        float *k = execution_reg(context, op->out[0]) + row * kv_width + head * a->head_dim;
        const float *v = execution_reg(context, op->out[1]) + row * kv_width + head * a->head_dim;
        rotate(worker, a, &a->k_norm, row, k);
        uint8_t *page = page_of(context, place->group, row);
        size_t slot = (size_t)(context->position[row] % KV_PAGE_TOKENS) * element;
        uint8_t *k_head = page + place->k_offset + (size_t)head * place->k_head_bytes;
        uint8_t *v_head = page + place->v_offset + (size_t)head * place->v_head_bytes;
        worker->kernels->kv_store_key(context->kv_type, k, dim, k_head + slot);
        worker->kernels->kv_store(context->kv_type, v, dim, v_head + slot * dim);
    }
}

struct unit { /* rows of one sequence × some query heads of one KV head */
    const struct step_sequence *sequence;
    int64_t first_row, n_rows; /* of the step */
    int64_t kv_head, first_head, n_heads;
};

static void attend_unit(const struct worker *worker, const struct op *op, const struct unit *unit) {
    const struct backend_context *context = worker->context;
    const struct attention_spec *a = op->attention;
    const struct kv_place *place = &context->program->kv.places[a->kv_stream];
    size_t q_stride = (size_t)context->program->regs[op->in].width;
    size_t out_stride = (size_t)context->program->regs[op->out[0]].width;
    size_t dim = (size_t)a->head_dim, stride = ATTENTION_PART_FLOATS(dim);
    size_t column = (size_t)unit->first_head * dim;
    struct attention_task task = {
        .q = execution_reg(context, op->in) + (size_t)unit->first_row * q_stride + column,
        .q_stride = q_stride,
        .n_rows = (size_t)unit->n_rows,
        .n_heads = (size_t)unit->n_heads,
        .head_dim = dim,
        .position = context->position[unit->first_row],
        .window = a->window,
        .scale = a->scale,
        .softcap = a->softcap,
        .type = context->kv_type,
        .pool = context->pools[place->group],
        .pages = unit->sequence->pages[place->group],
        .page_bytes = context->program->kv.groups[place->group].page_bytes,
        .k_offset = place->k_offset + (size_t)unit->kv_head * place->k_head_bytes,
        .v_offset = place->v_offset + (size_t)unit->kv_head * place->v_head_bytes,
        .scratch = worker->scratch->attention,
    };
    const struct kernels *kernels = worker->kernels;
    size_t n_queries = task.n_rows * task.n_heads;
    float *part = worker->scratch->part, *total = worker->scratch->total;
    memset(total, 0, n_queries * stride * sizeof *total); /* sums of 0: nothing seen yet */
    int64_t last = task.position + unit->n_rows - 1;
    int64_t first = a->window && task.position >= a->window ? task.position - a->window + 1 : 0;
    for (int64_t split = first / ATTENTION_SPLIT; split <= last / ATTENTION_SPLIT; split++) {
        kernels->attention_split(&task, split, part);
        kernels->attention_merge(n_queries, dim, part, total);
    }
    for (size_t query = 0; query < n_queries; query++) {
        size_t row = (size_t)unit->first_row + query / task.n_heads, head = query % task.n_heads;
        kernels->attention_finish(total + query * stride, dim,
                                  execution_reg(context, op->out[0]) + row * out_stride + column +
                                      head * dim);
    }
}

/* How many query heads of a KV head go into one unit: all, unless there would be less than a unit
 * for each thread. */
static int64_t heads_of_unit(const struct worker *worker, const struct attention_spec *a) {
    int64_t group = a->n_heads / a->n_kv_heads, pieces = 1;
    int64_t units = worker->context->step->n_rows * a->n_kv_heads;
    while (units * pieces < worker->n_threads && pieces < group) pieces++;
    return (group + pieces - 1) / pieces;
}

void attend_run(const struct worker *worker, const struct op *op) {
    const struct step *step = worker->context->step;
    const struct attention_spec *a = op->attention;
    int64_t group = a->n_heads / a->n_kv_heads, heads = heads_of_unit(worker, a);
    int64_t tile = ATTENTION_TILE_QUERIES / group > 0 ? ATTENTION_TILE_QUERIES / group : 1;
    int64_t index = 0;
    for (int64_t s = 0; s < step->n_sequences; s++) {
        const struct step_sequence *sequence = &step->sequences[s];
        for (int64_t row = 0; row < sequence->n_rows; row += tile) {
            for (int64_t head = 0; head < a->n_heads; index++) {
                struct unit unit = {
                    .sequence = sequence,
                    .first_row = sequence->first_row + row,
                    .n_rows = sequence->n_rows - row < tile ? sequence->n_rows - row : tile,
                    .kv_head = head / group,
                    .first_head = head,
                    .n_heads = group - head % group < heads ? group - head % group : heads};
                if (index % worker->n_threads == worker->thread) attend_unit(worker, op, &unit);
                head += unit.n_heads;
            }
        }
    }
}
