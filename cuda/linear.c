/* Linear ops: one kernel norms and prepares the rows, then products of weights of one type share a
 * launch. */
#include "cuda/kernels/gemm/gemm_hopper_args.h"
#include "cuda/launcher.h"
#include "cuda/weight_layout.h"

#include <string.h>

/* Consecutive weights of an op that one launch multiplies. */
struct product {
    struct gemm_problem problem; /* n_x is not set */
    int first;                   /* index of its first weight in the op */
    bool apart;                  /* goes to context.apart, to be combined by another kernel */
};
struct products {
    struct product of[OP_MAX_WEIGHTS];
    int n;
    bool gate_apart; /* a gate whose two weights are of two types */
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
static enum weight_type type_of(const struct op *op, int index) {
    return (enum weight_type)weight_layout_type(tensor_of(op, index)->type);
}

/* Of the input; a head without a weight has no products. */
static uint32_t cols_of(const struct backend_context *context, const struct op *op) {
    return (uint32_t)(op->linear.n_weights ? tensor_of(op, 0)->dims[0]
                                           : context->program->spec->n_embd);
}

static uint32_t padded_cols(const struct op *op) {
    return (uint32_t)weight_layout_padded_cols((size_t)tensor_of(op, 0)->dims[0]);
}

static void add_product(struct products *products, const struct op *op, int index,
                        enum gemm_combine combine) {
    const struct tensor *tensor = tensor_of(op, index);
    products->of[products->n++] = (struct product){
        .problem = {.type = type_of(op, index),
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
 * for every number of rows. */
static struct products products_of(const struct op *op) {
    struct products products = {.n = 0};
    if (op->kind != OP_HEAD && op->linear.combine == COMBINE_GATE) {
        products.gate_apart = type_of(op, 0) != type_of(op, 1);
        add_product(&products, op, 0, products.gate_apart ? GEMM_STORE : GEMM_GATE);
        if (products.gate_apart) {
            add_product(&products, op, 1, GEMM_STORE);
            products.of[1].apart = true;
        } else {
            join_product(&products.of[0], tensor_of(op, 1));
        }
        return products;
    }
    bool add = op->kind == OP_LINEAR && op->linear.combine == COMBINE_ADD;
    for (int i = 0; i < op->linear.n_weights; i++) {
        struct product *last = products.n ? &products.of[products.n - 1] : NULL;
        if (last && last->problem.type == type_of(op, i))
            join_product(last, tensor_of(op, i));
        else
            add_product(&products, op, i, add ? GEMM_ADD : GEMM_STORE);
    }
    return products;
}

void linear_measure(const struct cuda_properties *device, const struct op *op, int64_t n_rows,
                    bool resident, struct linear_needs *needs) {
    const struct products products = products_of(op);
    for (int i = 0; i < products.n; i++) {
        struct gemm_problem problem = products.of[i].problem;
        problem.n_x = (uint32_t)rows_of(op, n_rows);
        struct gemm_choice choice =
            resident ? select_gemm_resident(device, &problem) : select_gemm(device, &problem);
        if (choice.parts_bytes > needs->parts_bytes) needs->parts_bytes = choice.parts_bytes;
        if (choice.n_counters > needs->n_counters) needs->n_counters = choice.n_counters;
        needs->used[select_activation(problem.type)] = true;
    }
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

static uint32_t prepared_bytes(int activation, uint32_t n_padded) {
    return n_padded * (activation == CUDA_ACTIVATION_SPLIT ? 4 : 2);
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
        .scale = context->prepared_scale,
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
    if (op->kind == OP_HEAD) {
        args.index = (const int32_t *)(const void *)(context->block + context->data.logit_row);
        args.normed = context->hidden;
        args.normed_stride = (uint32_t)context->hidden_stride;
    }
    for (int i = 0; i < products->n; i++) {
        int form = select_activation(products->of[i].problem.type);
        args.to[form] = context->prepared[form];
        args.to_stride[form] = prepared_bytes(form, args.n_padded);
    }
    struct launch_shape shape = {.kernel = "norm_prepare",
                                 .grid = n_rows,
                                 .threads = NORM_THREADS,
                                 .shared_bytes = NORM_SHARED};
    return launcher_launch(launcher, &shape, &args);
}

/* ---- products ---- */

static void place_output(const struct backend_context *context, const struct op *op,
                         const struct product *product, uint32_t index, struct gemm_weight *to) {
    if (op->kind == OP_HEAD) {
        to->y = context->logits;
        to->y_stride = (uint32_t)context->logits_stride;
    } else if (product->apart) {
        to->y = context->apart;
        to->y_stride = out_stride(context, op, op->out[0]);
    } else {
        reg out = op->out[product->problem.combine == GEMM_GATE ? 0 : index];
        to->y = launcher_reg(context, out);
        to->y_stride = out_stride(context, op, out);
    }
}

static bool scales_logits(const struct backend_context *context) {
    return context->program->n_logits && context->program->spec->logit_scale != 1.0f;
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

/* The copy engine is told where the rows of x lie. */
static status launch_warpgroups(struct launcher *launcher, const struct gemm_choice *choice,
                                const struct gemm_args *args) {
    struct device *device = launcher->context->device;
    struct gemm_hopper_args hopper = {.gemm = *args};
    struct driver_tensor_map map;
    const uint64_t n_x = (uint64_t)args->n_x * (args->n_heads ? args->n_heads : 1);
    const uint64_t dims[2] = {args->n_cols, n_x}, strides[1] = {args->x_stride};
    const uint32_t box[2] = {LAYOUT_COLS, choice->tile_rows}, steps[2] = {1, 1};
    DEVICE_TRY(device, tensor_map_encode, &map, DRIVER_TENSOR_BFLOAT16, 2,
               (void *)(uintptr_t)args->x, dims, strides, box, steps, DRIVER_TENSOR_INTERLEAVE_NONE,
               DRIVER_TENSOR_SWIZZLE_128B, DRIVER_TENSOR_L2_PROMOTION_128B,
               DRIVER_TENSOR_FILL_NONE);
    memcpy(&hopper.x_map, &map, sizeof hopper.x_map);
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
    int form = select_activation(problem.type);
    struct gemm_args args = {
        .n_weights = problem.n_weights,
        .n_cols = problem.n_cols,
        .x = context->prepared[form],
        .x_scale = form == CUDA_ACTIVATION_F16 ? context->prepared_scale : NULL,
        .x_stride = prepared_bytes(form, problem.n_cols),
        .n_x = n_rows,
        .split_cols = choice.split_cols,
        .splits_apart = choice.splits_apart,
        .parts = context->gemm_parts,
        .counters = context->gemm_counters,
        .combine = problem.combine,
        .activation = op->kind != OP_HEAD ? (uint32_t)op->linear.activation : 0,
        .softcap = op->kind == OP_HEAD && !scales_logits(context)
                       ? context->program->spec->logit_softcap
                       : 0.0f,
    };
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
        place_output(context, op, product, index, &args.weights[i]);
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
    const struct products products = products_of(op);
    int64_t n_rows = rows_of(op, launcher_rows_of(launcher, op));
    if (n_rows == 0) return OK;
    if (op->kind == OP_EXPERTS) /* which rows are normed depends on it */
        TRY(experts_launch_groups(
            launcher, op, choice_of(launcher, &products.of[0], (uint32_t)n_rows).tile_rows));
    TRY(launch_norm(launcher, op, &products, (uint32_t)n_rows));
    for (int i = 0; i < products.n; i++)
        TRY(launch_product(launcher, op, &products.of[i], (uint32_t)n_rows));
    if (op->kind == OP_HEAD)
        return scales_logits(launcher->context) ? launch_logit_scale(launcher, (uint32_t)n_rows)
                                                : OK;
    if (op->linear.combine == COMBINE_ACTIVATE)
        return launch_gate(launcher, op, NULL, (uint32_t)n_rows);
    return products.gate_apart
               ? launch_gate(launcher, op, launcher->context->apart, (uint32_t)n_rows)
               : OK;
}
