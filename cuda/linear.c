/* Linear ops: one kernel norms and prepares the rows, then products of weights of one type share a
 * launch. */
#include "cuda/gemm_map.h"
#include "cuda/launcher.h"
#include "cuda/weight_layout.h"

/* Consecutive weights of an op that one launch multiplies. */
struct product {
    struct gemm_problem problem; /* n_x is not set */
    int first;                   /* index of its first weight in the op */
    bool apart;                  /* goes to context.apart, to be combined by another kernel */
};
struct products {
    struct product of[OP_MAX_WEIGHTS];
    int n;
    bool gate_apart; /* a gate whose two weights are of two types, or have adapters */
};

/* Rows of the op's outputs in a step of n_rows rows. */
static int64_t rows_of(const struct op *op, int64_t n_rows) {
    return op->kind == OP_EXPERTS ? n_rows * op->experts->n_used : n_rows;
}

static uint32_t out_stride(const struct backend_context *context, const struct op *op, reg out) {
    int64_t width = context->program->regs[out].width;
    return (uint32_t)(op->kind == OP_EXPERTS ? op_place_width(op, width) : width);
}

static const struct tensor *tensor_of(const struct op *op, int index) {
    return op->linear.weights[index]->weight.tensor;
}

/* Of the kernels that read weight `index`. */
static enum weight_type type_of(const struct cuda_properties *device, const struct op *op,
                                int index) {
    return (enum weight_type)cuda_weights_layout(device, tensor_of(op, index));
}

/* Of the input; a head without a weight has no products. */
static uint32_t cols_of(const struct backend_context *context, const struct op *op) {
    return (uint32_t)(op->linear.n_weights ? tensor_of(op, 0)->dims[0]
                                           : context->program->spec->n_embd);
}

static uint32_t padded_cols(const struct op *op) {
    return (uint32_t)weight_layout_padded_cols((size_t)tensor_of(op, 0)->dims[0]);
}

static void add_product(struct products *products, const struct cuda_properties *device,
                        const struct op *op, int index, enum gemm_combine combine) {
    const struct tensor *tensor = tensor_of(op, index);
    products->of[products->n++] = (struct product){
        .problem = {.type = type_of(device, op, index),
                    .combine = combine,
                    .n_weights = 1,
                    .n_rows = {(uint32_t)tensor->dims[1]},
                    .n_cols = padded_cols(op),
                    .n_experts = op->kind == OP_EXPERTS ? (uint32_t)op->experts->n_experts : 0},
        .first = index};
}

static void join_product(struct product *product, const struct tensor *tensor) {
    product->problem.n_rows[product->problem.n_weights++] = (uint32_t)tensor->dims[1];
}

/* How an op's weights are shared out among launches: by their types alone, so that it's the same
 * for every number of rows. adapts: what comes after the products is left to be done. The split of
 * a gate's product is that of its first weight alone (select.c), so bits are the same apart. */
static struct products products_of(const struct cuda_properties *device, const struct op *op,
                                   bool adapts) {
    struct products products = {.n = 0};
    if (op->kind != OP_HEAD && op->linear.combine == COMBINE_GATE) {
        products.gate_apart = adapts || type_of(device, op, 0) != type_of(device, op, 1);
        add_product(&products, device, op, 0, products.gate_apart ? GEMM_STORE : GEMM_GATE);
        if (products.gate_apart) {
            add_product(&products, device, op, 1, GEMM_STORE);
            products.of[1].apart = true;
        } else {
            join_product(&products.of[0], tensor_of(op, 1));
        }
        return products;
    }
    bool add = op->kind == OP_LINEAR && op->linear.combine == COMBINE_ADD;
    for (int i = 0; i < op->linear.n_weights; i++) {
        struct product *last = products.n ? &products.of[products.n - 1] : NULL;
        if (last && last->problem.type == type_of(device, op, i))
            join_product(last, tensor_of(op, i));
        else
            add_product(&products, device, op, i, add && !adapts ? GEMM_ADD : GEMM_STORE);
        products.of[products.n - 1].apart = add && adapts;
    }
    return products;
}

static void measure(const struct cuda_properties *device, const struct products *products,
                    int64_t n_rows, bool resident, struct linear_needs *needs) {
    for (int i = 0; i < products->n; i++) {
        struct gemm_problem problem = products->of[i].problem;
        problem.n_x = (uint32_t)n_rows;
        struct gemm_choice choice =
            resident ? select_gemm_resident(device, &problem) : select_gemm(device, &problem);
        if (choice.parts_bytes > needs->parts_bytes) needs->parts_bytes = choice.parts_bytes;
        if (choice.n_counters > needs->n_counters) needs->n_counters = choice.n_counters;
        needs->used[select_activation(problem.type)] = true;
    }
}

void linear_measure(const struct cuda_properties *device, const struct op *op, int64_t n_rows,
                    bool resident, struct linear_needs *needs) {
    const struct products products = products_of(device, op, false);
    const struct products adapted = products_of(device, op, true);
    measure(device, &products, rows_of(op, n_rows), resident, needs);
    if (op->kind != OP_EXPERTS && !resident)
        measure(device, &adapted, rows_of(op, n_rows), false, needs);
    uint64_t apart = (uint64_t)(rows_of(op, 1) * reg_padded(tensor_of(op, 0)->dims[1]));
    if (products.gate_apart && apart > needs->apart) needs->apart = apart;
}

/* ---- norm and preparation ---- */

struct norm_weights launcher_norm(const struct backend_model *model, const struct norm_spec *norm) {
    if (!norm) return (struct norm_weights){.kind = KIND_NORM_NONE};
    return (struct norm_weights){.weight = cuda_weights_vector(model, &norm->weight),
                                 .bias = cuda_weights_vector(model, &norm->bias),
                                 .kind = (uint32_t)norm->kind,
                                 .eps = norm->eps};
}

static uint32_t prepared_bytes(int form, uint32_t n_padded) {
    return n_padded * (form == CUDA_ACTIVATION_SPLIT ? 4 : form == CUDA_ACTIVATION_E4M3 ? 1 : 2);
}

void launcher_prepare(const struct backend_context *context, int form, struct norm_args *args) {
    args->scale = context->prepared_scale;
    args->block_scale = context->prepared_block_scale;
    args->block_stride = context->block_stride;
    args->to[form] = context->prepared[form];
    args->to_stride[form] = prepared_bytes(form, args->n_padded);
}

void launcher_prepared(const struct backend_context *context, int form, struct gemm_args *args) {
    args->x = context->prepared[form];
    args->x_stride = prepared_bytes(form, args->n_cols);
    if (form == CUDA_ACTIVATION_F16) args->x_scale = context->prepared_scale;
    if (form == CUDA_ACTIVATION_E4M3) {
        args->x_block_scale = context->prepared_block_scale;
        args->x_block_stride = context->block_stride;
    }
}

static status launch_norm(struct launcher *launcher, const struct op *op,
                          const struct products *products, uint32_t n_rows) {
    const struct backend_context *context = launcher->context;
    const struct reg_plan *regs = context->program->regs;
    const struct backend_model *model = context->model;
    struct norm_args args = {
        .in = launcher_reg(context, op->in),
        .in_stride = (uint32_t)regs[op->in].width,
        .norm = launcher_norm(model, op->norm),
        .n_rows = n_rows,
        .n_cols = cols_of(context, op),
        .n_padded = op->linear.n_weights ? padded_cols(op) : cols_of(context, op),
    };
    if (op->kind == OP_EXPERTS && op->of_rows) args.index = context->routes.row;
    if (op->kind == OP_EXPERTS && !op->of_rows)
        args.in_stride = (uint32_t)op_place_width(op, regs[op->in].width);
    if (op->add != REG_NONE) {
        args.add = launcher_reg(context, op->add);
        args.add_stride = (uint32_t)regs[op->add].width;
        args.add_norm = launcher_norm(model, op->add_norm);
        args.add_scale = op->add_scale;
        if (op->sum_scale) args.sum_scale = cuda_weights_vector(model, op->sum_scale);
    }
    if (op->sum != REG_NONE) {
        args.sum = launcher_reg(context, op->sum);
        args.sum_stride = (uint32_t)regs[op->sum].width;
    }
    if (adapters_apply(launcher, op))
        args.normed = adapters_normed(launcher, op, &args.normed_stride);
    if (op->kind == OP_HEAD) {
        args.index = (const int32_t *)(const void *)(context->block + context->data.logit_row);
        args.normed = context->hidden;
        args.normed_stride = (uint32_t)context->hidden_stride;
    }
    for (int i = 0; i < products->n; i++)
        launcher_prepare(context, select_activation(products->of[i].problem.type), &args);
    struct launch_shape shape = {.kernel = "norm_prepare",
                                 .grid = n_rows,
                                 .threads = NORM_THREADS,
                                 .shared_bytes = NORM_SHARED};
    return launcher_launch(launcher, &shape, &args);
}

/* ---- products ---- */

static void place_output(const struct launcher *launcher, const struct op *op,
                         const struct product *product, uint32_t index, struct gemm_weight *to) {
    const struct backend_context *context = launcher->context;
    if (op->kind == OP_HEAD) {
        to->y = context->logits;
        to->y_stride = (uint32_t)context->logits_stride;
    } else if (product->apart) {
        to->y = adapters_apply(launcher, op) ? context->adapters.apart : context->apart;
        to->y_stride = out_stride(context, op, op->out[0]);
    } else {
        reg out = op->out[product->problem.combine == GEMM_GATE ? 0 : index];
        to->y = launcher_reg(context, out);
        to->y_stride = out_stride(context, op, out);
    }
}

/* The product leaves it to a kernel of its own to finish the logits. */
static bool finishes_logits(const struct launcher *launcher, const struct op *op) {
    const struct program *program = launcher->context->program;
    if (!program->n_logits) return false;
    return program->spec->logit_scale != 1.0f ||
           (adapters_apply(launcher, op) && program->spec->logit_softcap != 0.0f);
}

struct gemm_choice launcher_choose_gemm(const struct launcher *launcher,
                                        const struct gemm_problem *problem) {
    const struct cuda_properties *device = &launcher->context->device->properties;
    return launcher->recorder ? select_gemm_resident(device, problem)
                              : select_gemm(device, problem);
}

static struct gemm_choice choice_of(const struct launcher *launcher, const struct product *product,
                                    uint32_t n_rows) {
    struct gemm_problem problem = product->problem;
    problem.n_x = n_rows;
    return launcher_choose_gemm(launcher, &problem);
}

static status launch_warpgroups(struct launcher *launcher, const struct gemm_choice *choice,
                                const struct gemm_args *args) {
    struct device *device = launcher->context->device;
    struct gemm_hopper_args hopper;
    TRY(device_check(device,
                     gemm_map_make(&device->driver, args, choice->tile_rows,
                                   choice->launch.cluster > 1, &hopper),
                     "tensor_map_encode"));
    return launcher_launch(launcher, &choice->launch, &hopper);
}

status launcher_gemm(struct launcher *launcher, const struct gemm_choice *choice,
                     const struct gemm_args *args) {
    return choice->warpgroups ? launch_warpgroups(launcher, choice, args)
                              : launcher_launch(launcher, &choice->launch, args);
}

static status launch_product(struct launcher *launcher, const struct op *op,
                             const struct product *product, uint32_t n_rows) {
    const struct backend_context *context = launcher->context;
    const struct backend_model *model = context->model;
    const struct gemm_problem problem = product->problem;
    struct gemm_choice choice = choice_of(launcher, product, n_rows);
    struct gemm_args args = {
        .n_weights = problem.n_weights,
        .n_cols = problem.n_cols,
        .n_x = n_rows,
        .split_cols = choice.split_cols,
        .splits_apart = choice.splits_apart,
        .parts = context->gemm_parts,
        .counters = context->gemm_counters,
        .combine = problem.combine,
        .activation = op->kind != OP_HEAD ? (uint32_t)op->linear.activation : 0,
        .softcap = op->kind == OP_HEAD && !finishes_logits(launcher, op)
                       ? context->program->spec->logit_softcap
                       : 0.0f,
    };
    launcher_prepared(context, select_activation(problem.type), &args);
    if (problem.n_experts) {
        args.max_groups = choice.max_groups;
        args.groups = context->routes.groups;
        args.n_groups = context->routes.n_groups;
        TRY(experts_launch_groups(launcher, op, choice.tile_rows));
    }
    for (uint32_t i = 0; i < problem.n_weights; i++) {
        uint32_t index = (uint32_t)product->first + i;
        const struct linear_spec *linear = op->linear.weights[index];
        const struct cuda_weight *weight = cuda_weights_matrix(model, &linear->weight);
        args.weights[i].tiles = weight->tiles;
        args.weights[i].expert_bytes = weight->expert_bytes;
        args.weights[i].bias = cuda_weights_vector(model, &linear->bias);
        args.weights[i].n_rows = problem.n_rows[i];
        place_output(launcher, op, product, index, &args.weights[i]);
    }
    return launcher_gemm(launcher, &choice, &args);
}

/* up NULL: out = act(gate). */
static status launch_gate(struct launcher *launcher, const struct op *op, const float *up,
                          uint32_t n_rows) {
    const struct backend_context *context = launcher->context;
    uint32_t stride = out_stride(context, op, op->out[0]);
    float *out = launcher_reg(context, op->out[0]);
    struct gate_args args = {.gate = out,
                             .up = up,
                             .out = out,
                             .gate_stride = stride,
                             .up_stride = stride,
                             .out_stride = stride,
                             .n_rows = n_rows,
                             .n_cols = (uint32_t)tensor_of(op, 0)->dims[1],
                             .activation = (uint32_t)op->linear.activation};
    struct launch_shape shape = {.kernel = "gate",
                                 .grid =
                                     4 * (uint32_t)context->device->properties.n_multiprocessors,
                                 .threads = GATE_THREADS};
    return launcher_launch(launcher, &shape, &args);
}

static status launch_logit_scale(struct launcher *launcher, uint32_t n_rows) {
    const struct backend_context *context = launcher->context;
    const struct spec *spec = context->program->spec;
    struct softcap_args args = {.x = context->logits,
                                .n_rows = n_rows,
                                .n_cols = (uint32_t)context->program->n_logits,
                                .stride = (uint32_t)context->logits_stride,
                                .cap = spec->logit_softcap,
                                .scale = spec->logit_scale};
    struct launch_shape shape = {.kernel = "softcap",
                                 .grid =
                                     4 * (uint32_t)context->device->properties.n_multiprocessors,
                                 .threads = SOFTCAP_THREADS};
    return launcher_launch(launcher, &shape, &args);
}

status linear_launch(struct launcher *launcher, const struct op *op) {
    const bool adapts = adapters_apply(launcher, op);
    const struct products products =
        products_of(&launcher->context->device->properties, op, adapts);
    int64_t n_rows = rows_of(op, launcher_rows_of(launcher, op));
    if (n_rows == 0) return OK;
    if (op->kind == OP_EXPERTS) /* which rows are normed depends on it */
        TRY(experts_launch_groups(
            launcher, op, choice_of(launcher, &products.of[0], (uint32_t)n_rows).tile_rows));
    TRY(launch_norm(launcher, op, &products, (uint32_t)n_rows));
    if (adapts) TRY(adapters_launch_shrink(launcher, op));
    for (int i = 0; i < products.n; i++)
        TRY(launch_product(launcher, op, &products.of[i], (uint32_t)n_rows));
    if (adapts) TRY(adapters_launch_expand(launcher, op));
    if (op->kind == OP_HEAD)
        return finishes_logits(launcher, op) ? launch_logit_scale(launcher, (uint32_t)n_rows) : OK;
    if (adapts) return OK;
    if (op->linear.combine == COMBINE_ACTIVATE)
        return launch_gate(launcher, op, NULL, (uint32_t)n_rows);
    return products.gate_apart
               ? launch_gate(launcher, op, launcher->context->apart, (uint32_t)n_rows)
               : OK;
}
