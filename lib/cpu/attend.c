/* Keys and values into their pages, and attention over them. */
#include "cpu/execution.h"

#include <string.h>

static uint8_t *page_of(const struct backend_context *context, int group, int64_t row) {
    const struct step_sequence *sequence = &context->step->sequences[context->sequence[row]];
    int32_t page = sequence->pages[group][context->position[row] / KV_PAGE_TOKENS];
    return context->pools[group] + (size_t)page * context->program->kv.groups[group].page_bytes;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void clamp(float most, size_t n, float *x) {
    for (size_t i = 0; i < n; i++) {
        if (x[i] > most) x[i] = most;
        if (x[i] < -most) x[i] = -most;
    }
}

/* Of one head, n dims. */
static void norm_head(const struct worker *worker, const struct norm_spec *norm,
                      enum norm_of_heads norms, int64_t head, size_t n, float *x) {
    const struct backend_model *model = worker->context->model;
    if (norm->kind == NORM_NONE || norms == NORM_OF_ALL_HEADS) return;
    const float *weight = weights_vector(model, &norm->weight);
    const float *bias = weights_vector(model, &norm->bias);
    size_t first = norms == NORM_OF_EACH ? (size_t)head * n : 0;
    if (weight) weight += first;
    if (bias) bias += first;
    if (norm->kind == NORM_LAYER)
        worker->kernels->norm_layer(x, weight, bias, norm->eps, n, x);
    else
        worker->kernels->norm_rms(x, weight, norm->eps, n, x);
}

static void rotate(const struct worker *worker, const struct attention_spec *attention,
                   const struct norm_spec *norm, int64_t row, int64_t head, float *x) {
    const struct backend_context *context = worker->context;
    if (attention->clamp != 0.0f) clamp(attention->clamp, (size_t)attention->head_dim, x);
    size_t n = (size_t)attention->head_dim;
    bool after = attention->norms_turned;
    if (!after) norm_head(worker, norm, attention->norms, head, n, x);
    if (attention->rope >= 0) {
        const struct rope_spec *rope = &context->program->spec->ropes[attention->rope];
        const float *table = context->rope_tables[attention->rope] + row * rope->n_dims;
        worker->kernels->rope(x + attention->rope_first, table, (size_t)rope->n_dims,
                              rope->pairing);
    }
    if (after) norm_head(worker, norm, attention->norms, head, n, x);
}

/* What a query has beside the latent dims, which are there already. */
static void take_rotated_dims(const struct worker *worker, const struct op *op, int64_t row,
                              int64_t head, float *q) {
    const struct backend_context *context = worker->context;
    const struct attention_spec *a = op->attention;
    if (op->out[2] == REG_NONE) return;
    int64_t n = a->head_dim - a->rope_first, from_head = a->latent.q_head_dim;
    const float *from = execution_reg(context, op->out[2]) +
                        row * context->program->regs[op->out[2]].width + head * from_head;
    memcpy(q + a->rope_first, from + from_head - n, (size_t)n * sizeof *q);
}

/* A head's key and value of a row into its page. */
static void store_head(const struct worker *worker, const struct op *op, int64_t row, int64_t head,
                       const float *k) {
    const struct backend_context *context = worker->context;
    const struct attention_spec *a = op->attention;
    const struct kv_place *place = &context->program->kv.places[a->kv_stream];
    uint8_t *page = page_of(context, place->group, row) + (size_t)head * place->head_bytes;
    size_t slot = (size_t)(context->position[row] % KV_PAGE_TOKENS);
    size_t value_dim = (size_t)attention_value_dim(a);
    worker->kernels->kv_store_key(context->kv_type, k, (size_t)a->head_dim, slot,
                                  page + place->k_offset);
    if (op->out[1] == REG_NONE) return;
    float *v = execution_reg(context, op->out[1]) + row * context->program->regs[op->out[1]].width +
               head * (int64_t)value_dim;
    if (a->clamp != 0.0f) clamp(a->clamp, value_dim, v);
    norm_head(worker, &a->v_norm, NORM_OF_HEADS, head, value_dim, v);
    worker->kernels->kv_store(context->kv_type, v, value_dim, slot, page + place->v_offset);
}

void attend_store(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct attention_spec *a = op->attention;
    const struct reg_plan *regs = context->program->regs;
    bool stores = op->out[0] != REG_NONE;
    int64_t n_q_heads = op->in == REG_NONE ? 0 : a->n_heads;
    int64_t heads = n_q_heads + (stores ? a->n_kv_heads : 0);
    int64_t q_width = op->in == REG_NONE ? 0 : regs[op->in].width;
    int64_t k_width = stores ? regs[op->out[0]].width : 0;
    struct range share = execution_share(worker, context->step->n_rows * heads);
    for (int64_t unit = share.begin; unit < share.end; unit++) {
        int64_t row = unit / heads, head = unit % heads;
        if (head < n_q_heads) {
            float *q = execution_reg(context, op->in) + row * q_width + head * a->head_dim;
            take_rotated_dims(worker, op, row, head, q);
            rotate(worker, a, &a->q_norm, row, head, q);
            continue;
        }
        head -= n_q_heads;
        float *k = execution_reg(context, op->out[0]) + row * k_width + head * a->head_dim;
        rotate(worker, a, &a->k_norm, row, head, k);
        store_head(worker, op, row, head, k);
    }
}

/* ---- biases by distance ---- */

size_t attend_relative_stride(const struct relative_bias_spec *bias) {
    return 2 * (size_t)(bias->max_distance + KV_PAGE);
}

void attend_relative_fill(const struct relative_bias_spec *bias, const float *table, float *to) {
    int64_t reach = bias->max_distance + KV_PAGE;
    for (int64_t head = 0; head < bias->n_heads; head++)
        for (int64_t distance = -reach; distance < reach; distance++)
            *to++ = table[relative_bucket(bias, distance) * bias->n_heads + head];
}

/* ---- attention ---- */

/* Keys of the sequence where a query sees those behind it; 0: it doesn't. */
static int64_t keys_behind(const struct attention_spec *a, const struct step_sequence *sequence) {
    if (a->cross) return sequence->n_source;
    return a->bidirectional ? sequence->position + sequence->n_rows : 0;
}

struct unit { /* rows of one sequence × some query heads of one KV head */
    const struct step_sequence *sequence;
    int64_t first_row, n_rows; /* of the step */
    int64_t kv_head, first_head, n_heads;
    int64_t first_split, end_split; /* those with keys that a row sees */
};

/* Goes through the units of a step, the same for every thread. */
struct walk {
    const struct step *step;
    const struct attention_spec *attention;
    int64_t tile;          /* rows of a unit, at most */
    int64_t heads;         /* query heads of a unit, at most */
    int64_t sequence, row; /* next: row of the sequence, */
    int64_t head;          /* query head */
};

/* How many query heads of a KV head go into one unit: all, unless there would be less than a unit
 * for each thread. */
static int64_t heads_of_unit(const struct worker *worker, const struct attention_spec *a) {
    int64_t group = a->n_heads / a->n_kv_heads, pieces = 1;
    int64_t units = worker->context->step->n_rows * a->n_kv_heads;
    while (units * pieces < worker->n_threads && pieces < group) pieces++;
    return (group + pieces - 1) / pieces;
}

static struct walk walk_begin(const struct worker *worker, const struct attention_spec *a,
                              int64_t heads) {
    int64_t group = a->n_heads / a->n_kv_heads, tile = ATTENTION_TILE_QUERIES / group;
    return (struct walk){
        .step = worker->context->step, .attention = a, .tile = tile > 0 ? tile : 1, .heads = heads};
}

static bool walk_next(struct walk *walk, struct unit *unit) {
    if (walk->sequence == walk->step->n_sequences) return false;
    const struct attention_spec *a = walk->attention;
    const struct step_sequence *sequence = &walk->step->sequences[walk->sequence];
    int64_t group = a->n_heads / a->n_kv_heads, rows = sequence->n_rows - walk->row;
    int64_t heads = group - walk->head % group;
    *unit = (struct unit){.sequence = sequence,
                          .first_row = sequence->first_row + walk->row,
                          .n_rows = rows < walk->tile ? rows : walk->tile,
                          .kv_head = walk->head / group,
                          .first_head = walk->head,
                          .n_heads = heads < walk->heads ? heads : walk->heads};
    int64_t position = sequence->position + walk->row, last = position + unit->n_rows - 1;
    int64_t first_key = a->window && position >= a->window ? position - a->window + 1 : 0;
    unit->first_split = first_key / ATTENTION_SPLIT;
    int64_t n_keys = keys_behind(a, sequence), last_key = last;
    if (n_keys) last_key = a->window ? smaller(last + a->window, n_keys) - 1 : n_keys - 1;
    unit->end_split = last_key / ATTENTION_SPLIT + 1;
    walk->head += unit->n_heads;
    if (walk->head < a->n_heads) return true;
    walk->head = 0;
    walk->row += unit->n_rows;
    if (walk->row < sequence->n_rows) return true;
    walk->row = 0;
    walk->sequence++;
    return true;
}

static struct attention_task task_of(const struct worker *worker, const struct op *op,
                                     const struct unit *unit) {
    const struct backend_context *context = worker->context;
    const struct attention_spec *a = op->attention;
    const struct kv_place *place = &context->program->kv.places[a->kv_stream];
    size_t q_stride = (size_t)context->program->regs[op->in].width, dim = (size_t)a->head_dim;
    struct attention_task task = {
        .q = execution_reg(context, op->in) + (size_t)unit->first_row * q_stride +
             (size_t)unit->first_head * dim,
        .q_stride = q_stride,
        .n_rows = (size_t)unit->n_rows,
        .n_heads = (size_t)unit->n_heads,
        .head_dim = dim,
        .value_dim = (size_t)attention_value_dim(a),
        .values_in_keys = a->latent.rank != 0,
        .position = context->position[unit->first_row],
        .n_keys = keys_behind(a, unit->sequence),
        .window = a->window,
        .scale = a->scale,
        .softcap = a->softcap,
        .slopes = a->max_bias != 0.0f ? context->program->slopes + unit->first_head : NULL,
        .slope_scale = a->bias_rounded ? a->scale : 0.0f,
        .type = context->kv_type,
        .pool = context->pools[place->group],
        .pages = unit->sequence->pages[place->group],
        .page_bytes = context->program->kv.groups[place->group].page_bytes,
        .k_offset = place->k_offset + (size_t)unit->kv_head * place->head_bytes,
        .v_offset = place->v_offset + (size_t)unit->kv_head * place->head_bytes,
        .scratch = worker->scratch->attention,
    };
    if (a->relative_bias) {
        const struct relative_bias_spec *bias =
            &context->program->spec->relative_biases[a->relative_bias - 1];
        task.relative_stride = attend_relative_stride(bias);
        task.relative_reach = bias->max_distance + KV_PAGE;
        task.relative = context->relative[a->relative_bias - 1] +
                        (size_t)unit->first_head * task.relative_stride;
    }
    return task;
}

/* A sink is a part of one key without a value, the last to be merged. */
static void add_sinks(const struct worker *worker, const struct op *op, const struct unit *unit,
                      float *total) {
    const float *sinks = weights_vector(worker->context->model, &op->attention->sinks);
    if (!sinks) return;
    size_t dim = (size_t)attention_value_dim(op->attention), n_heads = (size_t)unit->n_heads;
    size_t n_floats = ATTENTION_PART_FLOATS(dim);
    float *part = worker->scratch->part;
    memset(part, 0, n_floats * sizeof *part);
    for (size_t query = 0; query < (size_t)unit->n_rows * n_heads; query++) {
        part[0] = sinks[(size_t)unit->first_head + query % n_heads];
        part[1] = 1.0f;
        worker->kernels->attention_merge(1, dim, part, total + query * n_floats);
    }
}

static void finish(const struct worker *worker, const struct op *op, const struct unit *unit,
                   float *total) {
    const struct backend_context *context = worker->context;
    size_t dim = (size_t)attention_value_dim(op->attention), n_heads = (size_t)unit->n_heads;
    size_t stride = (size_t)context->program->regs[op->out[0]].width;
    float *out = execution_reg(context, op->out[0]) + (size_t)unit->first_row * stride +
                 (size_t)unit->first_head * dim;
    add_sinks(worker, op, unit, total);
    for (size_t query = 0; query < (size_t)unit->n_rows * n_heads; query++)
        worker->kernels->attention_finish(total + query * ATTENTION_PART_FLOATS(dim), dim,
                                          out + query / n_heads * stride + query % n_heads * dim);
}

static void attend_unit(const struct worker *worker, const struct op *op, const struct unit *unit) {
    struct attention_task task = task_of(worker, op, unit);
    size_t n_queries = task.n_rows * task.n_heads;
    float *part = worker->scratch->part, *total = worker->scratch->total;
    worker->kernels->attention_split(&task, unit->first_split, total);
    for (int64_t split = unit->first_split + 1; split < unit->end_split; split++) {
        worker->kernels->attention_split(&task, split, part);
        worker->kernels->attention_merge(n_queries, task.value_dim, part, total);
    }
    finish(worker, op, unit, total);
}

/* Few units with long pasts: the threads share out their splits, each of which leaves its part in
 * memory that all see; then the parts of a unit are merged, in order, by one thread. Rounds are as
 * long as that memory reaches. */
/* What there is to share out: units, and from where to where their splits reach. */
struct extent {
    int64_t n_units, n_splits; /* of all units together */
    int64_t first_split, end_split;
    int64_t busiest;      /* splits of the thread with most, where each unit is one thread's */
    int64_t most_queries; /* of a unit */
};

static void attend_by_splits(const struct worker *worker, const struct op *op, int64_t heads,
                             const struct extent *extent) {
    const struct backend_context *context = worker->context;
    size_t dim = (size_t)attention_value_dim(op->attention), floats = context->shared_part_floats;
    int64_t at_once = SHARED_PARTS / extent->n_units - 1;
    for (int64_t begin = extent->first_split; begin < extent->end_split; begin += at_once) {
        struct walk walk = walk_begin(worker, op->attention, heads);
        struct unit unit;
        int64_t turn = 0;
        float *parts = context->shared_parts; /* of a unit: its total, then at_once parts */
        for (; walk_next(&walk, &unit); parts += (size_t)(at_once + 1) * floats) {
            struct attention_task task = task_of(worker, op, &unit);
            for (int64_t i = 0; i < at_once; i++) {
                int64_t split = begin + i;
                if (split < unit.first_split || split >= unit.end_split) continue;
                if (turn++ % worker->n_threads == worker->thread)
                    worker->kernels->attention_split(&task, split,
                                                     parts + (size_t)(1 + i) * floats);
            }
        }
        team_barrier(context->team, worker->thread);
        walk = walk_begin(worker, op->attention, heads);
        parts = context->shared_parts;
        for (turn = 0; walk_next(&walk, &unit); turn++, parts += (size_t)(at_once + 1) * floats) {
            if (turn % worker->n_threads != worker->thread) continue;
            size_t n_queries = (size_t)(unit.n_rows * unit.n_heads);
            size_t bytes = n_queries * ATTENTION_PART_FLOATS(dim) * sizeof(float);
            for (int64_t i = 0; i < at_once; i++) {
                const float *part = parts + (size_t)(1 + i) * floats;
                if (begin + i == unit.first_split)
                    memcpy(parts, part, bytes);
                else if (begin + i > unit.first_split && begin + i < unit.end_split)
                    worker->kernels->attention_merge(n_queries, dim, part, parts);
            }
            if (begin + at_once >= unit.end_split && begin < unit.end_split)
                finish(worker, op, &unit, parts);
        }
        if (begin + at_once < extent->end_split) team_barrier(context->team, worker->thread);
    }
}

static int64_t share_of(int64_t n, int64_t n_threads) {
    return (n + n_threads - 1) / n_threads;
}

/* Whether sharing out splits leaves the busiest thread a tenth less, which pays for its barrier. */
static bool splits_pay(const struct worker *worker, const struct extent *extent) {
    return 10 * share_of(extent->n_splits, worker->n_threads) <= 9 * extent->busiest;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* false: there are more units than are ever shared out. */
static bool measure(const struct worker *worker, const struct attention_spec *a, int64_t heads,
                    struct extent *extent) {
    struct walk walk = walk_begin(worker, a, heads);
    struct unit unit;
    int64_t of_thread[MAX_SHARED_UNITS] = {0};
    *extent = (struct extent){.first_split = INT64_MAX};
    while (walk_next(&walk, &unit)) {
        if (extent->n_units == MAX_SHARED_UNITS) return false;
        int64_t thread = extent->n_units++ % worker->n_threads;
        int64_t n_splits = unit.end_split - unit.first_split;
        extent->n_splits += n_splits;
        of_thread[thread] += n_splits;
        extent->busiest = larger(extent->busiest, of_thread[thread]);
        extent->most_queries = larger(extent->most_queries, unit.n_rows * unit.n_heads);
        extent->end_split = larger(extent->end_split, unit.end_split);
        if (unit.first_split < extent->first_split) extent->first_split = unit.first_split;
    }
    return true;
}

void attend_run(const struct worker *worker, const struct op *op) {
    const struct attention_spec *a = op->attention;
    int64_t group = a->n_heads / a->n_kv_heads;
    size_t query_floats = ATTENTION_PART_FLOATS((size_t)attention_value_dim(a));
    struct extent extent;
    if (measure(worker, a, group, &extent) &&
        (size_t)extent.most_queries * query_floats <= worker->context->shared_part_floats &&
        splits_pay(worker, &extent)) {
        attend_by_splits(worker, op, group, &extent);
        return;
    }
    int64_t index = 0;
    struct unit unit;
    struct walk walk = walk_begin(worker, a, heads_of_unit(worker, a));
    for (; walk_next(&walk, &unit); index++)
        if (index % worker->n_threads == worker->thread) attend_unit(worker, op, &unit);
}
