/* LoRA beside linear ops: y += scale * B (A x), row by row, in f32 whatever the weights are. The
 * order of every sum follows from the shapes alone. */
#include <string.h>

#include "cpu/execution.h"

/* Sixteen sums side by side, then one after the other. */
static float dot(const float *a, const float *x, size_t n) {
    enum { LANES = 16 };
    float sums[LANES] = {0}, total = 0.0f;
    size_t k = 0;
    for (; k + LANES <= n; k += LANES)
        for (size_t i = 0; i < LANES; i++) sums[i] += a[k + i] * x[k + i];
    for (size_t i = 0; i < LANES && k < n; i++, k++) sums[i] += a[k] * x[k];
    for (size_t i = 0; i < LANES; i++) total += sums[i];
    return total;
}

/* What a row's sequence has for a weight of the op; NULL: nothing. */
static const struct adapter_weight *weight_of(const struct backend_context *context,
                                              const struct linear_call *call, int64_t row,
                                              int index, float *scale) {
    int64_t step_row = call->rows ? call->rows[row] : row;
    const struct step_sequence *sequence = &context->step->sequences[context->sequence[step_row]];
    if (!sequence->adapter) return NULL;
    int id = call->op->linear.weights[index]->weight.id;
    const struct adapter_weight *weight = &sequence->adapter->weights[id];
    *scale = weight->scale * sequence->adapter_scale;
    return weight->rank ? weight : NULL;
}

static float *place_of(const struct backend_context *context, int64_t row, int index) {
    return context->adapted + (row * OP_MAX_WEIGHTS + index) * context->adapter_rank;
}

/* The op's input as its weights see it. */
static const float *input_of(const struct worker *worker, const struct linear_call *call,
                             int64_t row, size_t n) {
    const float *x = call->in + (size_t)row * call->in_stride;
    if (call->add) {
        linear_add_normed(worker, call->op, x, call->add + (size_t)row * call->add_stride, n,
                          worker->scratch->sum);
        x = worker->scratch->sum;
    }
    if (!call->norm) return x;
    linear_norm(worker, call->norm, x, n, worker->scratch->row);
    return worker->scratch->row;
}

bool adapters_begin(const struct worker *worker, const struct linear_call *call) {
    const struct backend_context *context = worker->context;
    int n_weights = call->op->linear.n_weights;
    size_t n = (size_t)call->op->linear.weights[0]->weight.tensor->dims[0];
    float scale;
    bool any = false;
    for (int64_t row = 0; row < call->n_rows && !any; row++)
        for (int i = 0; i < n_weights && !any; i++)
            any = weight_of(context, call, row, i, &scale) != NULL;
    if (!any) return false;
    /* The rows of all A's of all rows, shared out one by one. */
    int64_t rank = context->adapter_rank, per_row = n_weights * rank, current = -1;
    struct range share = execution_share(worker, call->n_rows * per_row);
    const float *x = NULL;
    for (int64_t at = share.begin; at < share.end; at++) {
        int64_t row = at / per_row, r = at % rank;
        int index = (int)(at % per_row / rank);
        const struct adapter_weight *weight = weight_of(context, call, row, index, &scale);
        if (!weight || r >= weight->rank) {
            at += rank - r - 1;
            continue;
        }
        if (row != current) x = input_of(worker, call, row, n);
        current = row;
        place_of(context, row, index)[r] = dot(weight->a + (size_t)r * n, x, n);
    }
    team_barrier(context->team, worker->thread);
    return true;
}

void adapters_add(const struct worker *worker, const struct linear_call *call, int index,
                  const struct linear_tile *tile, size_t width, float *y, size_t y_stride) {
    const struct backend_context *context = worker->context;
    size_t first = (size_t)tile->units.begin * KERNEL_MAX_GROUP;
    for (int64_t i = 0; i < tile->n_rows; i++, y += y_stride) {
        float scale;
        int64_t row = tile->first_row + i;
        const struct adapter_weight *weight = weight_of(context, call, row, index, &scale);
        if (!weight) continue;
        const float *ax = place_of(context, row, index);
        size_t rank = (size_t)weight->rank;
        for (size_t r = 0; r < width; r++)
            y[r] += scale * dot(weight->b + (first + r) * rank, ax, rank);
    }
}
