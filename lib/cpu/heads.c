/* A matrix for every head: threads divide heads and their output rows, never k. */
#include <string.h>

#include "cpu/execution.h"

/* Rows of the step that are taken at a time: as many as a thread has room for, prepared and as
 * outputs. How many they are changes no row's bits. */
static int64_t rows_at_once(const struct worker *worker, const struct packed_weight *weight,
                            int64_t n_units) {
    enum activation_format format = weight->kernel->format;
    size_t row_bytes = worker->kernels->activation[format].row_bytes(weight->n_cols);
    int64_t prepared =
        (int64_t)(PRIVATE_ROWS * worker->context->prepared_bytes[format] / row_bytes);
    int64_t outputs = LINEAR_SCRATCH_FLOATS / (n_units * KERNEL_MAX_GROUP);
    return prepared < outputs ? prepared : outputs;
}

/* Units of KERNEL_MAX_GROUP output rows of a head. */
struct piece {
    int64_t head, unit, n_units;
    int64_t first_row, n_rows; /* of the step */
};

static void run_piece(const struct worker *worker, const struct op *op,
                      const struct packed_weight *weight, const struct piece *piece) {
    const struct backend_context *context = worker->context;
    const struct linear_kernel *kernel = weight->kernel;
    const struct activation_kernel *activation = &worker->kernels->activation[kernel->format];
    size_t in_width = (size_t)context->program->regs[op->in].width;
    size_t out_width = (size_t)context->program->regs[op->out[0]].width;
    size_t row_bytes = activation->row_bytes(weight->n_cols), n = (size_t)piece->n_rows;
    uint8_t *prepared = worker->scratch->prepared[kernel->format];
    const float *in = execution_reg(context, op->in) + (size_t)piece->first_row * in_width +
                      (size_t)(piece->head * op->heads.in_head);
    for (size_t i = 0; i < n; i++)
        activation->prepare(in + i * in_width, weight->n_cols, prepared + i * row_bytes);

    size_t per_unit = KERNEL_MAX_GROUP / kernel->group;
    size_t begin = (size_t)piece->unit * per_unit, end = begin + (size_t)piece->n_units * per_unit;
    if (end > weight->n_groups) end = weight->n_groups;
    size_t stride = (size_t)piece->n_units * KERNEL_MAX_GROUP, first = begin * kernel->group;
    float *y = worker->scratch->outputs;
    kernel->multiply(weights_groups(weight, (size_t)piece->head) + begin * weight->group_bytes,
                     end - begin, weight->n_cols, prepared, row_bytes, n, y, stride);
    /* By way of scratch: what the kernel writes after the last row is the next head's place. */
    size_t width = weight->n_rows - first < stride ? weight->n_rows - first : stride;
    float *out = execution_reg(context, op->out[0]) + (size_t)piece->first_row * out_width +
                 (size_t)(piece->head * op->heads.out_head) + first;
    for (size_t i = 0; i < n; i++) memcpy(out + i * out_width, y + i * stride, width * sizeof *y);
}

/* Units that fit the scratch for outputs with one row. */
enum { MOST_UNITS = LINEAR_SCRATCH_FLOATS / KERNEL_MAX_GROUP };

void heads_run(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct packed_weight *weight = weights_matrix(context->model, &op->heads.weight->weight);
    int64_t of_head = (int64_t)((weight->n_rows + KERNEL_MAX_GROUP - 1) / KERNEL_MAX_GROUP);
    struct range share = execution_share(worker, (int64_t)weight->n_experts * of_head);
    for (int64_t unit = share.begin; unit < share.end;) {
        struct piece piece = {.head = unit / of_head, .unit = unit % of_head};
        piece.n_units = of_head - piece.unit;
        if (piece.n_units > share.end - unit) piece.n_units = share.end - unit;
        if (piece.n_units > MOST_UNITS) piece.n_units = MOST_UNITS;
        unit += piece.n_units;
        int64_t most = rows_at_once(worker, weight, piece.n_units), rows = context->step->n_rows;
        for (; piece.first_row < rows; piece.first_row += most) {
            piece.n_rows = rows - piece.first_row < most ? rows - piece.first_row : most;
            run_piece(worker, op, weight, &piece);
        }
    }
}
