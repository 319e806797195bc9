/* Experts: where rows go, and the sum of what the experts give; their products are linear.c's. */
#include "cuda/launcher.h"

status experts_launch_route(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    const struct experts_spec *experts = op->experts;
    struct route_args args = {
        .logits = launcher_reg(context, op->in),
        .bias = cuda_weights_vector(context->model, &experts->selection_bias),
        .scales = cuda_weights_vector(context->model, &experts->expert_scale),
        .expert = context->routes.expert,
        .weight = context->routes.weight,
        .n_rows = (uint32_t)launcher->n_rows,
        .n_experts = (uint32_t)experts->n_experts,
        .n_used = (uint32_t)experts->n_used,
        .logits_stride = (uint32_t)context->program->regs[op->in].width,
        .kind = (uint32_t)experts->routing,
        .renormalize = experts->normalize,
        .n_groups = (uint32_t)experts->n_groups,
        .n_groups_used = (uint32_t)experts->n_groups_used,
        .group_top = (uint32_t)experts->group_top,
        .factor = experts->scale,
        .logit_scale = experts->router_scale,
    };
    struct launch_shape shape = {.kernel = "route",
                                 .grid = args.n_rows,
                                 .threads = ROUTE_THREADS,
                                 .shared_bytes = ROUTE_SHARED};
    launcher->group_rows = 0;
    return launcher_launch(launcher, &shape, &args);
}

status experts_launch_groups(struct launcher *launcher, const struct op *op, uint32_t group_rows) {
    const struct backend_context *context = launcher->context;
    const struct experts_spec *experts = op->experts;
    if (launcher->group_rows == group_rows) return OK;
    struct gemm_groups_args args = {
        .expert = context->routes.expert,
        .place = context->routes.place,
        .row = context->routes.row,
        .groups = context->routes.groups,
        .n_groups = context->routes.n_groups,
        .n_choices = (uint32_t)(launcher->n_rows * experts->n_used),
        .n_experts = (uint32_t)experts->n_experts,
        .n_used = (uint32_t)experts->n_used,
        .group_rows = group_rows,
    };
    struct launch_shape shape = {.kernel = "gemm_groups",
                                 .grid = 1,
                                 .threads = GEMM_GROUPS_THREADS,
                                 .shared_bytes = GEMM_GROUPS_SHARED(args.n_experts)};
    launcher->group_rows = group_rows;
    return launcher_launch(launcher, &shape, &args);
}

status experts_launch_weigh(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    const struct reg_plan *regs = context->program->regs;
    struct expert_combine_args args = {
        .y = launcher_reg(context, op->in),
        .weight = context->routes.weight,
        .place = context->routes.place,
        .out = launcher_reg(context, op->out[0]),
        .n_rows = (uint32_t)launcher->n_rows,
        .n_used = (uint32_t)op->experts->n_used,
        .n_cols = (uint32_t)context->program->spec->n_embd,
        .y_stride = (uint32_t)op_place_width(op, regs[op->in].width),
        .out_stride = (uint32_t)regs[op->out[0]].width,
        .add = op->weigh.add,
    };
    if (op->weigh.shared != REG_NONE) {
        args.shared = launcher_reg(context, op->weigh.shared);
        args.shared_stride = (uint32_t)regs[op->weigh.shared].width;
    }
    if (op->weigh.shared_gate != REG_NONE) {
        args.shared_gate = launcher_reg(context, op->weigh.shared_gate);
        args.shared_gate_stride = (uint32_t)regs[op->weigh.shared_gate].width;
    }
    struct launch_shape shape = {.kernel = "expert_combine",
                                 .grid =
                                     4 * (uint32_t)context->device->properties.n_multiprocessors,
                                 .threads = EXPERT_COMBINE_THREADS};
    return launcher_launch(launcher, &shape, &args);
}
