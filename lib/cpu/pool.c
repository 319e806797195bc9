/* The hidden states of a sequence to one vector. */
#include <math.h>
#include <string.h>

#include "cpu/execution.h"

/* Zeros as they are. */
static void normalize(const struct kernels *kernels, size_t n, float *x) {
    size_t i = 0;
    while (i < n && x[i] == 0.0f) i++;
    if (i == n) return;
    kernels->norm_rms(x, NULL, 0.0f, n, x);
    kernels->scale(1.0f / sqrtf((float)n), n, x);
}

static void pool(const struct worker *worker, const struct op *op,
                 const struct step_sequence *sequence, float *to) {
    const struct backend_context *context = worker->context;
    size_t stride = (size_t)context->program->regs[op->in].width;
    size_t n = (size_t)context->program->spec->n_embd;
    const float *rows = execution_reg(context, op->in) + (size_t)sequence->first_row * stride;
    size_t last = (size_t)sequence->n_rows - 1;
    memcpy(to, op->pooling.kind == POOLING_LAST ? rows + last * stride : rows, n * sizeof *to);
    if (op->pooling.kind == POOLING_MEAN) {
        for (size_t i = 1; i <= last; i++) worker->kernels->add(rows + i * stride, n, to);
        worker->kernels->scale(1.0f / (float)(last + 1), n, to);
    }
    if (op->pooling.normalize) normalize(worker->kernels, n, to);
}

void pool_run(const struct worker *worker, const struct op *op) {
    const struct backend_context *context = worker->context;
    const struct step *step = context->step;
    int64_t width = context->program->regs[op->out[0]].width;
    struct range share = execution_share(worker, step->n_pooled);
    for (int64_t i = share.begin; i < share.end; i++)
        pool(worker, op, &step->sequences[step->pooled[i]],
             execution_reg(context, op->out[0]) + i * width);
}
