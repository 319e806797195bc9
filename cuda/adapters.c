#include "cuda/adapters.h"

#include <string.h>

#include "base/checked.h"
#include "cuda/launcher.h"

static size_t padded(int64_t n, int64_t multiple) {
    return (size_t)((n + multiple - 1) / multiple * multiple);
}

/* ---- an adapter's matrices ---- */

/* Floats of A and of B transposed of a weight, as the kernels want them. */
struct measures {
    size_t rank, a_cols, b_cols;
};

static struct measures measure(const struct adapter_weight *pair, const struct tensor *tensor) {
    return (struct measures){.rank = padded(pair->rank, ADAPTER_RANKS),
                             .a_cols = padded(tensor->dims[0], 4),
                             .b_cols = padded(tensor->dims[1], 4)};
}

/* Puts a table and the matrices into a block, of which only the host's copy of the table and one
 * matrix at a time are in host memory. */
struct packing {
    struct device *device;
    driver_stream stream;
    struct adapter_matrices *table; /* [n] */
    float *matrix;                  /* [matrix_floats] */
    size_t matrix_floats, floats;   /* the largest; all */
    uint8_t *block;
    size_t at; /* where the next matrix goes */
};

static status send(struct packing *packing, size_t floats) {
    TRY(device_upload(packing->device, packing->stream, packing->block + packing->at,
                      packing->matrix, floats * sizeof(float)));
    packing->at += floats * sizeof(float);
    return device_stream_wait(packing->device, packing->stream); /* it is filled anew */
}

static const float *next_matrix(const struct packing *packing) {
    return (const float *)(const void *)(packing->block + packing->at);
}

static status send_pair(struct packing *packing, const struct adapter_weight *pair,
                        const struct tensor *tensor, struct adapter_matrices *entry) {
    const struct measures m = measure(pair, tensor);
    size_t rank = (size_t)pair->rank, n_cols = (size_t)tensor->dims[0];
    size_t n_rows = (size_t)tensor->dims[1];
    *entry = (struct adapter_matrices){
        .a = next_matrix(packing), .rank = (uint32_t)m.rank, .scale = pair->scale};
    memset(packing->matrix, 0, m.rank * m.a_cols * sizeof(float));
    for (size_t r = 0; r < rank; r++)
        memcpy(packing->matrix + r * m.a_cols, pair->a + r * n_cols, n_cols * sizeof(float));
    TRY(send(packing, m.rank * m.a_cols));
    entry->bt = next_matrix(packing);
    memset(packing->matrix, 0, m.rank * m.b_cols * sizeof(float));
    for (size_t row = 0; row < n_rows; row++)
        for (size_t r = 0; r < rank; r++)
            packing->matrix[r * m.b_cols + row] = pair->b[row * rank + r];
    return send(packing, m.rank * m.b_cols);
}

/* Sizes; and the largest rank. */
static int64_t measure_all(const struct spec *spec, const struct backend_adapter *adapter,
                           struct packing *packing) {
    size_t max_rank = 0;
    for (int i = 0; i < spec->n_weights; i++) {
        const struct adapter_weight *pair = &adapter->weights[i];
        if (!pair->rank) continue;
        const struct measures m = measure(pair, spec->weights[i].tensor);
        size_t widest = m.a_cols > m.b_cols ? m.a_cols : m.b_cols;
        size_t largest = mul_saturating(m.rank, widest);
        if (largest > packing->matrix_floats) packing->matrix_floats = largest;
        packing->floats =
            add_saturating(packing->floats, mul_saturating(m.rank, m.a_cols + m.b_cols));
        if (m.rank > max_rank) max_rank = m.rank;
    }
    return (int64_t)max_rank;
}

static status pack(struct packing *packing, const struct spec *spec,
                   const struct backend_adapter *adapter) {
    size_t table_bytes = (size_t)spec->n_weights * sizeof *packing->table;
    TRY(device_stream_create(packing->device, &packing->stream));
    packing->at = padded((int64_t)table_bytes, 16);
    TRY(DEVICE_TAKE(packing->device,
                    add_saturating(packing->at, mul_saturating(packing->floats, sizeof(float))),
                    "an adapter's weights", &packing->block));
    for (int i = 0; i < spec->n_weights; i++)
        if (adapter->weights[i].rank)
            TRY(send_pair(packing, &adapter->weights[i], spec->weights[i].tensor,
                          &packing->table[i]));
    TRY(device_upload(packing->device, packing->stream, packing->block, packing->table,
                      table_bytes));
    return device_stream_wait(packing->device, packing->stream);
}

status cuda_adapter_create(struct memory *memory, struct backend_model *model,
                           const struct spec *spec, struct backend_adapter *adapter) {
    struct packing packing = {.device = model->device};
    struct device_caller caller;
    struct cuda_adapter *fresh = NULL;
    status result;
    int64_t max_rank = measure_all(spec, adapter, &packing);
    TRY_OR_EXIT(MEMORY_TAKE_ONE(memory, "an adapter", &fresh));
    TRY_OR_EXIT(
        MEMORY_TAKE_ARRAY(memory, (size_t)spec->n_weights, "an adapter's table", &packing.table));
    TRY_OR_EXIT(
        MEMORY_TAKE_ARRAY(memory, packing.matrix_floats, "an adapter's weights", &packing.matrix));
    TRY_OR_EXIT(device_enter(model->device, &caller));
    result = pack(&packing, spec, adapter);
    if (packing.stream) model->device->driver.stream_synchronize(packing.stream);
    device_stream_destroy(model->device, packing.stream);
    if (result != OK) device_give(model->device, packing.block);
    device_leave(model->device, &caller);
    *fresh = (struct cuda_adapter){
        .block = packing.block, .weights = (const void *)packing.block, .max_rank = max_rank};
    if (result == OK) adapter->resident = fresh;
exit:
    memory_give(memory, packing.table);
    memory_give(memory, packing.matrix);
    if (result != OK) memory_give(memory, fresh);
    return result;
}

void cuda_adapter_destroy(struct memory *memory, struct backend_model *model,
                          struct backend_adapter *adapter) {
    struct cuda_adapter *resident = adapter->resident;
    struct device_caller caller;
    if (!resident) return;
    bool entered = device_enter_anyway(model->device, &caller);
    device_give(model->device, resident->block);
    if (entered) device_leave(model->device, &caller);
    memory_give(memory, resident);
    adapter->resident = NULL;
}

/* ---- a context's room for them ---- */

/* As adapter_check of the engine has it: what rows of tokens are multiplied by. */
static bool can_adapt(const struct program *program, int index) {
    const struct op *op = &program->ops[index];
    return index >= program->n_source_ops && !op->pooled &&
           (op->kind == OP_LINEAR || op->kind == OP_HEAD);
}

static bool changes(const struct backend_adapter *adapter, const struct op *op) {
    for (int i = 0; i < op->linear.n_weights; i++)
        if (adapter->weights[op->linear.weights[i]->weight.id].rank) return true;
    return false;
}

/* The op's normed input isn't in a register. */
static bool norms(const struct op *op) {
    return op->kind == OP_LINEAR && (op->norm || op->add != REG_NONE);
}

/* Its product can't go where its output is: that is added to, or is another product's. */
static bool wants_apart(const struct op *op) {
    return op->kind == OP_LINEAR &&
           (op->linear.combine == COMBINE_ADD || op->linear.combine == COMBINE_GATE);
}

static size_t cols_of(const struct op *op) {
    return padded(op->linear.weights[0]->weight.tensor->dims[0], REG_ALIGNMENT);
}

/* Floats of a row. */
struct widths {
    size_t x, apart;
};

static struct widths widths_of(const struct backend_context *context, const uint8_t *of_op) {
    const struct program *program = context->program;
    struct widths widths = {0};
    for (int i = 0; i < program->n_ops; i++) {
        const struct op *op = &program->ops[i];
        if (!of_op[i]) continue;
        if (norms(op) && cols_of(op) > widths.x) widths.x = cols_of(op);
        if (!wants_apart(op)) continue;
        size_t width = (size_t)program->regs[op->out[0]].width;
        if (width > widths.apart) widths.apart = width;
    }
    return widths;
}

static status take_room(const struct backend_context *context, struct adapters *adapters) {
    const struct backend_limits *limits = &context->limits;
    const struct widths widths = widths_of(context, adapters->of_op);
    uint64_t rows = (uint64_t)limits->max_rows, ax_rows = rows;
    if ((uint64_t)limits->max_logit_rows > rows) ax_rows = (uint64_t)limits->max_logit_rows;
    uint64_t x = mul_saturating(rows, widths.x), apart = mul_saturating(rows, widths.apart);
    uint64_t ax = mul_saturating(ax_rows, ADAPTER_MAX_WEIGHTS * (uint64_t)adapters->max_rank);
    uint64_t floats = add_saturating(x, add_saturating(apart, ax));
    TRY(DEVICE_TAKE(context->device, mul_saturating(floats, sizeof(float)),
                    "a context's room for adapters", &adapters->room));
    adapters->x = (float *)(void *)adapters->room;
    adapters->apart = adapters->x + x;
    adapters->ax = adapters->apart + apart;
    return OK;
}

/* With the room that context->adapters has now. */
static status capture(struct backend_context *context, driver_graph_exec *graphs) {
    for (int i = 0; i < context->n_graphs; i++)
        TRY(launcher_capture(context, context->graphs[i].n_rows, true, &graphs[i]));
    return OK;
}

static void give_graphs(struct device *device, driver_graph_exec *graphs) {
    for (int i = 0; i < MAX_GRAPHS; i++)
        if (graphs[i]) device->driver.graph_exec_destroy(graphs[i]);
}

static status renew(struct backend_context *context, struct adapters *fresh) {
    const struct adapters old = context->adapters;
    driver_graph_exec graphs[MAX_GRAPHS] = {0};
    TRY(take_room(context, fresh));
    context->adapters = *fresh;
    status result = capture(context, graphs);
    if (result == OK) {
        give_graphs(context->device, context->adapted_graphs);
        memcpy(context->adapted_graphs, graphs, sizeof graphs);
        device_give(context->device, old.room);
        return OK;
    }
    give_graphs(context->device, graphs);
    device_give(context->device, fresh->room);
    context->adapters = old;
    return result;
}

/* Nothing runs: steps end before cuda_run returns. */
status cuda_reserve_adapters(struct backend_context *context,
                             const struct backend_adapter *adapter) {
    const struct program *program = context->program;
    const struct cuda_adapter *resident = adapter->resident;
    struct adapters fresh = context->adapters;
    struct device_caller caller;
    bool enough = fresh.room && resident->max_rank <= fresh.max_rank;
    if (resident->max_rank > fresh.max_rank) fresh.max_rank = resident->max_rank;
    TRY(MEMORY_TAKE_ARRAY(context->memory, (size_t)program->n_ops, "ops with adapters",
                          &fresh.of_op));
    for (int i = 0; i < program->n_ops; i++) {
        bool before = context->adapters.of_op && context->adapters.of_op[i];
        fresh.of_op[i] = before || (can_adapt(program, i) && changes(adapter, &program->ops[i]));
        if (fresh.of_op[i] && !before) enough = false;
    }
    status result = OK;
    uint8_t *unused = fresh.of_op;
    if (!enough) {
        unused = context->adapters.of_op;
        result = device_enter(context->device, &caller);
        if (result == OK) {
            result = renew(context, &fresh);
            device_leave(context->device, &caller);
        }
        if (result != OK) unused = fresh.of_op;
    }
    memory_give(context->memory, unused);
    return result;
}

void adapters_give(struct backend_context *context) {
    give_graphs(context->device, context->adapted_graphs);
    device_give(context->device, context->adapters.room);
}

/* ---- launches ---- */

bool adapters_apply(const struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    return launcher->adapts && context->adapters.of_op[op - context->program->ops];
}

float *adapters_normed(const struct launcher *launcher, const struct op *op, uint32_t *stride) {
    if (!norms(op)) return NULL;
    *stride = (uint32_t)cols_of(op);
    return launcher->context->adapters.x;
}

/* Of the rows of the step, or of those that the head is given. */
static const struct adapter_item *items_of(const struct backend_context *context,
                                           const struct op *op, const uint32_t **n_items) {
    const uint8_t *block = context->block;
    bool head = op->kind == OP_HEAD;
    size_t at = head ? context->data.adapter_logit_items : context->data.adapter_items;
    *n_items = (const uint32_t *)(const void *)(block + context->data.adapter_counts) + head;
    return (const struct adapter_item *)(const void *)(block + at);
}

static uint32_t any_grid(const struct launcher *launcher) {
    return 4 * (uint32_t)launcher->context->device->properties.n_multiprocessors;
}

status adapters_launch_shrink(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    struct adapter_shrink_args args = {
        .ax = context->adapters.ax,
        .n_weights = (uint32_t)op->linear.n_weights,
        .n_cols = (uint32_t)op->linear.weights[0]->weight.tensor->dims[0],
        .ax_stride = (uint32_t)context->adapters.max_rank,
    };
    args.items = items_of(context, op, &args.n_items);
    for (int i = 0; i < op->linear.n_weights; i++)
        args.weight[i] = (uint32_t)op->linear.weights[i]->weight.id;
    args.x = adapters_normed(launcher, op, &args.x_stride);
    if (op->kind == OP_HEAD) {
        args.x = context->hidden;
        args.x_stride = (uint32_t)context->hidden_stride;
    } else if (!args.x) {
        args.x = launcher_reg(context, op->in);
        args.x_stride = (uint32_t)context->program->regs[op->in].width;
    }
    struct launch_shape shape = {.kernel = "adapter_shrink",
                                 .grid = any_grid(launcher),
                                 .threads = ADAPTER_SHRINK_THREADS,
                                 .shared_bytes = ADAPTER_SHRINK_SHARED};
    return launcher_launch(launcher, &shape, &args);
}

static enum adapter_combine combine_of(const struct op *op) {
    if (op->kind == OP_HEAD) return ADAPTER_STORE;
    switch (op->linear.combine) {
    case COMBINE_STORE:
        return ADAPTER_STORE;
    case COMBINE_ADD:
        return ADAPTER_ADD;
    case COMBINE_ACTIVATE:
        return ADAPTER_ACTIVATE;
    case COMBINE_GATE:
        break;
    }
    return ADAPTER_GATE;
}

static struct adapter_output output_of(const struct backend_context *context, const struct op *op,
                                       int index) {
    const struct linear_spec *weight = op->linear.weights[index];
    struct adapter_output output = {.n_cols = (uint32_t)weight->weight.tensor->dims[1],
                                    .weight = (uint32_t)weight->weight.id};
    if (op->kind == OP_HEAD) {
        output.y = context->logits;
        output.stride = (uint32_t)context->logits_stride;
        return output;
    }
    bool gate = op->linear.combine == COMBINE_GATE;
    bool apart = op->linear.combine == COMBINE_ADD || (gate && index == 1);
    reg out = op->out[gate || apart ? 0 : index];
    output.y = apart ? context->adapters.apart : launcher_reg(context, out);
    output.stride = (uint32_t)context->program->regs[out].width;
    return output;
}

status adapters_launch_expand(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    struct adapter_expand_args args = {
        .ax = context->adapters.ax,
        .n_weights = (uint32_t)op->linear.n_weights,
        .ax_stride = (uint32_t)context->adapters.max_rank,
        .combine = combine_of(op),
        .activation = op->kind == OP_HEAD ? 0 : (uint32_t)op->linear.activation,
    };
    args.items = items_of(context, op, &args.n_items);
    for (int i = 0; i < op->linear.n_weights; i++) args.y[i] = output_of(context, op, i);
    if (op->kind != OP_HEAD) args.out = launcher_reg(context, op->out[0]);
    struct launch_shape shape = {.kernel = "adapter_expand",
                                 .grid = 4 * any_grid(launcher),
                                 .threads = ADAPTER_EXPAND_THREADS};
    return launcher_launch(launcher, &shape, &args);
}
