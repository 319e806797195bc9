/* A matrix for every head: the rows' pieces are prepared head by head, then one launch multiplies
 * all heads. */
#include "cuda/launcher.h"
#include "cuda/weight_layout.h"

static const struct tensor *tensor_of(const struct op *op) {
    return op->heads.weight->weight.tensor;
}

static struct gemm_problem problem_of(const struct cuda_properties *device, const struct op *op,
                                      uint32_t n_rows) {
    const struct tensor *tensor = tensor_of(op);
    return (struct gemm_problem){.type = (enum weight_type)cuda_weights_layout(device, tensor),
                                 .combine = GEMM_STORE,
                                 .n_weights = 1,
                                 .n_rows = {(uint32_t)tensor->dims[1]},
                                 .n_cols =
                                     (uint32_t)weight_layout_padded_cols((size_t)tensor->dims[0]),
                                 .n_x = n_rows,
                                 .n_heads = (uint32_t)tensor->dims[2]};
}

void heads_measure(const struct cuda_properties *device, const struct op *op,
                   struct linear_needs *needs) {
    needs->used[select_activation(problem_of(device, op, 1).type)] = true;
}

static status launch_prepare(struct launcher *launcher, const struct op *op,
                             const struct gemm_problem *problem) {
    const struct backend_context *context = launcher->context;
    struct norm_args args = {
        .in = launcher_reg(context, op->in),
        .in_stride = (uint32_t)context->program->regs[op->in].width,
        .n_rows = problem->n_x * problem->n_heads,
        .n_cols = (uint32_t)tensor_of(op)->dims[0],
        .n_padded = problem->n_cols,
        .head_rows = problem->n_x,
        .in_head = (uint32_t)op->heads.in_head,
    };
    launcher_prepare(context, select_activation(problem->type), &args);
    struct launch_shape shape = {.kernel = "norm_prepare",
                                 .grid = args.n_rows,
                                 .threads = NORM_THREADS,
                                 .shared_bytes = NORM_SHARED};
    return launcher_launch(launcher, &shape, &args);
}

status heads_launch(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    const struct gemm_problem problem =
        problem_of(&context->device->properties, op, (uint32_t)launcher->n_rows);
    const struct gemm_choice choice = launcher_choose_gemm(launcher, &problem);
    const struct cuda_weight *weight =
        cuda_weights_matrix(context->model, &op->heads.weight->weight);
    struct gemm_args args = {
        .n_weights = 1,
        .n_cols = problem.n_cols,
        .n_x = problem.n_x,
        .split_cols = choice.split_cols,
        .combine = GEMM_STORE,
        .n_heads = problem.n_heads,
        .y_head = (uint32_t)op->heads.out_head,
    };
    args.weights[0] = (struct gemm_weight){
        .tiles = weight->tiles,
        .y = launcher_reg(context, op->out[0]),
        .n_rows = problem.n_rows[0],
        .y_stride = (uint32_t)context->program->regs[op->out[0]].width,
        .expert_bytes = weight->expert_bytes,
    };
    launcher_prepared(context, select_activation(problem.type), &args);
    TRY(launch_prepare(launcher, op, &problem));
    return launcher_gemm(launcher, &choice, &args);
}
