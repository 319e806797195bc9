/* Mixture of experts: where rows go, the products of the experts that are chosen, and the sum of
 * what they give. */
#include <math.h>
#include <string.h>

#include "cpu/execution.h"

/* ---- route ---- */

/* The first of the greatest candidates begin ... end - 1; -1: none is left. NaN: one that is out of
 * the running. */
static int64_t best_of(const float *candidates, int64_t begin, int64_t end) {
    int64_t best = -1;
    for (int64_t i = begin; i < end; i++)
        if (!isnan(candidates[i]) && (best < 0 || candidates[i] > candidates[best])) best = i;
    return best;
}

static float rating_of_group(const struct experts_spec *experts, float *candidates, int64_t begin,
                             int64_t end) {
    int64_t best = best_of(candidates, begin, end);
    float rating = candidates[best];
    if (experts->group_top < 2) return rating;
    candidates[best] = NAN;
    int64_t second = best_of(candidates, begin, end);
    candidates[best] = rating;
    return second < 0 ? rating : rating + candidates[second];
}

/* Takes the experts of all groups but the best out of the running. */
static void limit_groups(const struct experts_spec *experts, float *candidates) {
    int64_t n_groups = experts->n_groups, size = experts->n_experts / n_groups;
    float ratings[EXPERTS_MAX_GROUPS];
    bool used[EXPERTS_MAX_GROUPS] = {false};
    for (int64_t g = 0; g < n_groups; g++) {
        ratings[g] = rating_of_group(experts, candidates, g * size, (g + 1) * size);
        if (isnan(ratings[g])) ratings[g] = -INFINITY; /* of two infinities */
    }
    for (int64_t i = 0; i < experts->n_groups_used; i++) {
        int64_t best = best_of(ratings, 0, n_groups);
        used[best] = true;
        ratings[best] = NAN;
    }
    for (int64_t i = 0; i < experts->n_experts; i++)
        if (!used[i / size]) candidates[i] = NAN;
}

void experts_choose(const struct experts_spec *experts, const float *scores, const float *bias,
                    float *candidates, int32_t *expert, float *weight) {
    int64_t n = experts->n_experts;
    float sum = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        candidates[i] = bias ? scores[i] + bias[i] : scores[i];
        if (isnan(candidates[i])) candidates[i] = -INFINITY;
    }
    if (experts->n_groups > 1) limit_groups(experts, candidates);
    for (int64_t i = 0; i < experts->n_used; i++) {
        int64_t best = best_of(candidates, 0, n);
        candidates[best] = NAN;
        expert[i] = (int32_t)best;
        weight[i] = scores[best];
        sum += scores[best];
    }
    for (int64_t i = 0; i < experts->n_used; i++)
        weight[i] = experts->scale * (experts->normalize ? weight[i] / sum : weight[i]);
}

static void route_row(const struct worker *worker, const struct experts_spec *experts,
                      const float *logits, int32_t *expert, float *weight) {
    const float *bias = weights_vector(worker->context->model, &experts->selection_bias);
    const float *scale = weights_vector(worker->context->model, &experts->expert_scale);
    float *scores = worker->scratch->row, *candidates = worker->scratch->sum;
    size_t n = (size_t)experts->n_experts;
    if (experts->router_scale != 0.0f) {
        memcpy(candidates, logits, n * sizeof *logits);
        worker->kernels->scale(experts->router_scale, n, candidates);
        logits = candidates;
    }
    worker->kernels->route_scores(experts->routing, logits, n, scores);
    experts_choose(experts, scores, bias, candidates, expert, weight);
    for (int64_t i = 0; scale && i < experts->n_used; i++) weight[i] *= scale[expert[i]];
}

/* A counting sort: the choices of each expert in the order of the slots. */
static void group_slots(const struct routes *routes, int64_t n_slots, int64_t n_experts) {
    memset(routes->first, 0, (size_t)(n_experts + 1) * sizeof *routes->first);
    for (int64_t slot = 0; slot < n_slots; slot++) routes->first[routes->expert[slot] + 1]++;
    for (int64_t e = 0; e < n_experts; e++) routes->first[e + 1] += routes->first[e];
    /* first[e] is the next place of expert e, and in the end where the next expert begins. */
    for (int64_t slot = 0; slot < n_slots; slot++) {
        int32_t place = routes->first[routes->expert[slot]]++;
        routes->place[slot] = place;
        routes->slot[place] = (int32_t)slot;
    }
    memmove(routes->first + 1, routes->first, (size_t)n_experts * sizeof *routes->first);
    routes->first[0] = 0;
}

void experts_route(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct routes *routes = &context->routes;
    int64_t n_rows = context->step->n_rows, n_used = op->experts->n_used;
    size_t width = (size_t)context->program->regs[op->in].width;
    bool alone = n_rows <= PRIVATE_ROWS; /* less work than a barrier */
    if (alone && worker->thread != 0) return;
    struct range share = {0, n_rows};
    if (!alone) share = execution_share(worker, n_rows);
    for (int64_t row = share.begin; row < share.end; row++)
        route_row(worker, op->experts, execution_reg(context, op->in) + (size_t)row * width,
                  routes->expert + row * n_used, routes->weight + row * n_used);
    if (!alone) team_barrier(context->team, worker->thread);
    if (worker->thread == 0) group_slots(routes, n_rows * n_used, op->experts->n_experts);
}

/* ---- the products of the chosen experts ---- */

/* Rows that are multiplied in the time in which a weight is read from memory. */
enum { READING_ROWS = 4 };

static void prepare_places(const struct worker *worker, const struct op *op,
                           const struct prepared_rows *prepared) {
    const struct backend_context *context = worker->context;
    int64_t n_used = op->experts->n_used;
    size_t n = (size_t)op->linear.weights[0]->weight.tensor->dims[0];
    size_t width = (size_t)context->program->regs[op->in].width;
    if (!op->of_rows) width = (size_t)op_place_width(op, (int64_t)width);
    struct range share = execution_share(worker, context->step->n_rows * n_used);
    for (int64_t place = share.begin; place < share.end; place++) {
        int64_t row = op->of_rows ? context->routes.slot[place] / n_used : place;
        linear_prepare(worker, op, op->norm, execution_reg(context, op->in) + (size_t)row * width,
                       n, prepared, place);
    }
}

/* A unit of an expert's outputs costs its reading and its rows: the threads have equal parts of the
 * cost of all units of all chosen experts, one after the other. */
static int64_t cost_of(const struct routes *routes, int64_t expert) {
    int64_t n_rows = routes->first[expert + 1] - routes->first[expert];
    return n_rows ? READING_ROWS + n_rows : 0;
}

static void run_expert(const struct worker *worker, const struct linear_call *call,
                       const struct prepared_rows *prepared, size_t expert, struct range units) {
    const struct routes *routes = &worker->context->routes;
    int64_t end = routes->first[expert + 1];
    for (int64_t row = routes->first[expert]; row < end; row += LINEAR_TILE_ROWS) {
        struct linear_tile tile = {
            .units = units, .first_row = row, .n_rows = end - row, .expert = expert};
        if (tile.n_rows > LINEAR_TILE_ROWS) tile.n_rows = LINEAR_TILE_ROWS;
        linear_run_tile(worker, call, prepared, 0, &tile);
    }
}

/* Which of units that begin at `before` and cost `each` have their beginning in [from, to). */
static struct range units_between(int64_t before, int64_t each, int64_t n_units, int64_t from,
                                  int64_t to) {
    int64_t begin = from > before ? (from - before + each - 1) / each : 0;
    int64_t end = to > before ? (to - before + each - 1) / each : 0;
    return (struct range){begin, end < n_units ? end : n_units};
}

void experts_run(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct packed_weight *weight =
        weights_matrix(context->model, &op->linear.weights[0]->weight);
    struct prepared_rows prepared;
    for (int f = 0; f < ACTIVATION_FORMATS; f++) {
        prepared.rows[f] = context->prepared[f];
        prepared.stride[f] = worker->kernels->activation[f].row_bytes(weight->n_cols);
    }
    prepare_places(worker, op, &prepared);
    team_barrier(context->team, worker->thread);

    int64_t out_width = op_place_width(op, context->program->regs[op->out[0]].width);
    struct linear_call call = {
        .op = op, .out = {execution_reg(context, op->out[0])}, .out_stride = {(size_t)out_width}};
    int64_t n_units = linear_units(weight), total = 0, before = 0;
    for (int64_t e = 0; e < op->experts->n_experts; e++)
        total += n_units * cost_of(&context->routes, e);
    struct range share = execution_share(worker, total);
    for (int64_t e = 0; e < op->experts->n_experts && before < share.end; e++) {
        int64_t each = cost_of(&context->routes, e);
        if (!each) continue;
        struct range units = units_between(before, each, n_units, share.begin, share.end);
        if (units.begin < units.end) run_expert(worker, &call, &prepared, (size_t)e, units);
        before += n_units * each;
    }
}

/* ---- the sum ---- */

enum { WEIGH_COLUMNS = 512 }; /* that a thread takes of a row at a time */

static void weigh_columns(const struct worker *worker, const struct op *op, int64_t row,
                          struct range columns) {
    const struct backend_context *context = worker->context;
    const struct reg_plan *regs = context->program->regs;
    int64_t n_used = op->experts->n_used, width = op_place_width(op, regs[op->in].width);
    size_t n = (size_t)(columns.end - columns.begin);
    const float *in = execution_reg(context, op->in) + columns.begin;
    float *out = execution_reg(context, op->out[0]) + row * regs[op->out[0]].width + columns.begin;
    if (!op->weigh.add) memset(out, 0, n * sizeof *out);
    for (int64_t i = 0; i < n_used; i++) {
        int64_t slot = row * n_used + i;
        worker->kernels->add_scaled(context->routes.weight[slot],
                                    in + context->routes.place[slot] * width, n, out);
    }
    if (op->weigh.shared == REG_NONE) return;
    const float *shared = execution_reg(context, op->weigh.shared) +
                          row * regs[op->weigh.shared].width + columns.begin;
    if (op->weigh.shared_gate == REG_NONE) {
        worker->kernels->add(shared, n, out);
        return;
    }
    float gate;
    worker->kernels->route_scores(ROUTING_SIGMOID,
                                  execution_reg(context, op->weigh.shared_gate) +
                                      row * regs[op->weigh.shared_gate].width,
                                  1, &gate);
    worker->kernels->add_scaled(gate, shared, n, out);
}

void experts_weigh(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    int64_t n_embd = context->program->spec->n_embd;
    int64_t pieces = (n_embd + WEIGH_COLUMNS - 1) / WEIGH_COLUMNS;
    struct range share = execution_share(worker, context->step->n_rows * pieces);
    for (int64_t unit = share.begin; unit < share.end; unit++) {
        struct range columns = {.begin = unit % pieces * WEIGH_COLUMNS};
        columns.end =
            n_embd - columns.begin < WEIGH_COLUMNS ? n_embd : columns.begin + WEIGH_COLUMNS;
        weigh_columns(worker, op, unit / pieces, columns);
    }
}
