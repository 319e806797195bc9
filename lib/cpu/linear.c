/* Linear ops: prepare the activations, multiply, combine. Threads divide output rows, never k. */
#include "cpu/execution.h"

#include <string.h>

void linear_norm(const struct worker *worker, const struct norm_spec *norm, const float *x,
                 size_t n, float *y) {
    const struct backend_model *model = worker->context->model;
    const float *weight = weights_vector(model, &norm->weight);
    if (norm->kind == NORM_LAYER)
        worker->kernels->norm_layer(x, weight, weights_vector(model, &norm->bias), norm->eps, n, y);
    else
        worker->kernels->norm_rms(x, weight, norm->eps, n, y);
}

void linear_add_normed(const struct worker *worker, const struct op *op, const float *x,
                       const float *add, size_t n, float *to) {
    if (op->add_norm)
        linear_norm(worker, op->add_norm, add, n, to);
    else
        memcpy(to, add, n * sizeof *to);
    if (op->add_scale != 1.0f) worker->kernels->scale(op->add_scale, n, to);
    worker->kernels->add(x, n, to);
    if (op->sum_scale)
        worker->kernels->scale(weights_vector(worker->context->model, op->sum_scale)[0], n, to);
}

static bool needs(const struct worker *worker, const struct op *op, enum activation_format format) {
    for (int i = 0; i < op->linear.n_weights; i++) {
        const struct weight_ref *ref = &op->linear.weights[i]->weight;
        if (weights_matrix(worker->context->model, ref)->kernel->format == format) return true;
    }
    return false;
}

void linear_prepare(const struct worker *worker, const struct op *op, const struct norm_spec *norm,
                    const float *x, size_t n, const struct prepared_rows *to, int64_t index) {
    if (norm) {
        linear_norm(worker, norm, x, n, worker->scratch->row);
        x = worker->scratch->row;
    }
    for (int f = 0; f < ACTIVATION_FORMATS; f++)
        if (needs(worker, op, (enum activation_format)f))
            worker->kernels->activation[f].prepare(x, n,
                                                   to->rows[f] + (size_t)index * to->stride[f]);
}

/* Rows begin … end-1. Where every thread prepares all rows, one of them keeps the sum. */
static void prepare_rows(const struct worker *worker, const struct linear_call *call, int64_t begin,
                         int64_t end, bool keep_sum, const struct prepared_rows *to) {
    size_t n = (size_t)call->op->linear.weights[0]->weight.tensor->dims[0];
    for (int64_t i = begin; i < end; i++) {
        const float *x = call->in + (size_t)i * call->in_stride;
        if (call->add) {
            float *sum = keep_sum ? call->sum + (size_t)i * call->in_stride : worker->scratch->sum;
            linear_add_normed(worker, call->op, x, call->add + (size_t)i * call->add_stride, n,
                              sum);
            x = sum;
        }
        linear_prepare(worker, call->op, call->norm, x, n, to, i);
    }
}

static struct prepared_rows prepare(const struct worker *worker, const struct linear_call *call) {
    struct backend_context *context = worker->context;
    bool alone = call->n_rows <= PRIVATE_ROWS;
    struct prepared_rows prepared;
    for (int f = 0; f < ACTIVATION_FORMATS; f++) {
        prepared.rows[f] = alone ? worker->scratch->prepared[f] : context->prepared[f];
        prepared.stride[f] = context->prepared_bytes[f];
    }
    if (alone) {
        prepare_rows(worker, call, 0, call->n_rows, worker->thread == 0, &prepared);
        return prepared;
    }
    struct range share = execution_share(worker, call->n_rows);
    prepare_rows(worker, call, share.begin, share.end, true, &prepared);
    team_barrier(context->team, worker->thread);
    return prepared;
}

/* Output rows in units that every kernel's group divides. */
int64_t linear_units(const struct packed_weight *weight) {
    return (int64_t)((weight->n_rows + KERNEL_MAX_GROUP - 1) / KERNEL_MAX_GROUP);
}

static void multiply(const struct prepared_rows *prepared, const struct packed_weight *weight,
                     const struct linear_tile *tile, float *y, size_t y_stride) {
    const struct linear_kernel *kernel = weight->kernel;
    size_t per_unit = KERNEL_MAX_GROUP / kernel->group;
    size_t begin = (size_t)tile->units.begin * per_unit, end = (size_t)tile->units.end * per_unit;
    if (end > weight->n_groups) end = weight->n_groups;
    if (begin >= end) return;
    size_t x_stride = prepared->stride[kernel->format];
    kernel->multiply(weights_groups(weight, tile->expert) + begin * weight->group_bytes,
                     end - begin, weight->n_cols,
                     prepared->rows[kernel->format] + (size_t)tile->first_row * x_stride, x_stride,
                     (size_t)tile->n_rows, y, y_stride);
}

/* Columns of the tile that are outputs, not padding. */
static size_t width_of(const struct packed_weight *weight, const struct linear_tile *tile) {
    size_t begin = (size_t)tile->units.begin * KERNEL_MAX_GROUP;
    size_t end = (size_t)tile->units.end * KERNEL_MAX_GROUP;
    if (end > weight->n_rows) end = weight->n_rows;
    return end - begin;
}

static void add_bias(const struct worker *worker, const struct linear_spec *linear,
                     const struct linear_tile *tile, size_t width, float *y, size_t y_stride) {
    const float *bias = weights_vector(worker->context->model, &linear->bias);
    if (!bias) return;
    bias += tile->expert * (size_t)linear->weight.tensor->dims[1] +
            (size_t)tile->units.begin * KERNEL_MAX_GROUP;
    for (int64_t i = 0; i < tile->n_rows; i++)
        worker->kernels->add(bias, width, y + (size_t)i * y_stride);
}

static void run_store(const struct worker *worker, const struct linear_call *call,
                      const struct prepared_rows *prepared, int index,
                      const struct linear_tile *tile) {
    const struct linear_spec *linear = call->op->linear.weights[index];
    const struct packed_weight *weight = weights_matrix(worker->context->model, &linear->weight);
    size_t stride = call->out_stride[index];
    float *y = call->out[index] + (size_t)tile->first_row * stride +
               (size_t)tile->units.begin * KERNEL_MAX_GROUP;
    size_t width = width_of(weight, tile);
    multiply(prepared, weight, tile, y, stride);
    add_bias(worker, linear, tile, width, y, stride);
    if (call->adapts) adapters_add(worker, call, index, tile, width, y, stride);
    if (call->op->kind == OP_HEAD || call->op->linear.combine != COMBINE_ACTIVATE) return;
    for (int64_t i = 0; i < tile->n_rows; i++) {
        float *row = y + (size_t)i * stride;
        worker->kernels->gate(call->op->linear.activation, row, NULL, width, row);
    }
}

/* The last weight's outputs go to scratch and are combined from there, a strip of columns at a
 * time. */
static void run_combined(const struct worker *worker, const struct linear_call *call,
                         const struct prepared_rows *prepared, const struct linear_tile *tile) {
    const struct op *op = call->op;
    bool gate = op->linear.combine == COMBINE_GATE;
    const struct linear_spec *linear = op->linear.weights[gate ? 1 : 0];
    const struct packed_weight *weight = weights_matrix(worker->context->model, &linear->weight);
    int64_t units_at_once = LINEAR_SCRATCH_FLOATS / (tile->n_rows * KERNEL_MAX_GROUP);
    for (int64_t unit = tile->units.begin; unit < tile->units.end; unit += units_at_once) {
        struct linear_tile strip = *tile;
        strip.units.begin = unit;
        if (unit + units_at_once < strip.units.end) strip.units.end = unit + units_at_once;
        size_t stride = (size_t)(strip.units.end - strip.units.begin) * KERNEL_MAX_GROUP;
        size_t width = width_of(weight, &strip);
        float *y = worker->scratch->outputs;
        multiply(prepared, weight, &strip, y, stride);
        add_bias(worker, linear, &strip, width, y, stride);
        if (call->adapts) adapters_add(worker, call, gate ? 1 : 0, &strip, width, y, stride);
        if (gate) run_store(worker, call, prepared, 0, &strip);
        for (int64_t i = 0; i < strip.n_rows; i++) {
            float *out = call->out[0] + (size_t)(strip.first_row + i) * call->out_stride[0] +
                         (size_t)unit * KERNEL_MAX_GROUP;
            if (gate)
                worker->kernels->gate(op->linear.activation, out, y + (size_t)i * stride, width,
                                      out);
            else
                worker->kernels->add(y + (size_t)i * stride, width, out);
        }
    }
}

static bool stores(const struct op *op) {
    return op->linear.combine == COMBINE_STORE || op->linear.combine == COMBINE_ACTIVATE;
}

void linear_run_tile(const struct worker *worker, const struct linear_call *call,
                     const struct prepared_rows *prepared, int index,
                     const struct linear_tile *tile) {
    if (stores(call->op))
        run_store(worker, call, prepared, index, tile);
    else
        run_combined(worker, call, prepared, tile);
}

void linear_run(const struct worker *worker, const struct linear_call *given) {
    struct linear_call own = *given;
    const struct linear_call *call = &own;
    const struct op *op = call->op;
    if (call->n_rows == 0) return;
    own.adapts = call->adapts && adapters_begin(worker, call);
    struct prepared_rows prepared = prepare(worker, call);
    int n_parts = stores(op) ? op->linear.n_weights : 1;
    int64_t n_units[OP_MAX_WEIGHTS], total = 0;
    for (int i = 0; i < n_parts; i++) {
        n_units[i] =
            linear_units(weights_matrix(worker->context->model, &op->linear.weights[i]->weight));
        total += n_units[i];
    }
    struct range share = execution_share(worker, total);
    for (int64_t row = 0; row < call->n_rows; row += LINEAR_TILE_ROWS) {
        struct linear_tile tile = {.first_row = row, .n_rows = call->n_rows - row};
        if (tile.n_rows > LINEAR_TILE_ROWS) tile.n_rows = LINEAR_TILE_ROWS;
        int64_t before = 0;
        for (int i = 0; i < n_parts; before += n_units[i], i++) {
            tile.units.begin = share.begin > before ? share.begin - before : 0;
            tile.units.end = share.end - before < n_units[i] ? share.end - before : n_units[i];
            if (tile.units.begin >= tile.units.end) continue;
            linear_run_tile(worker, call, &prepared, i, &tile);
        }
    }
}
