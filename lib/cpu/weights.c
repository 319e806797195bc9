#include "cpu/weights.h"

#include "base/checked.h"
#include "cpu/amx.h"

/* Rows are read, packed and their pages dropped in pieces of about this size. */
enum { PIECE_BYTES = 1 << 20 };
enum { WEIGHT_ALIGNMENT = 64 };

struct loader {
    struct backend_model *model;
    struct checkpoint *checkpoint;
    transformer_progress_function progress;
    void *progress_user;
    uint64_t done, total;
    int *order;    /* [n_weights] slots as their tensors lie in the file */
    void *scratch; /* [scratch_bytes], for readers */
    size_t scratch_bytes;
};

/* Shape of a slot's weight under these kernels, and its bytes in the arena. */
static status describe(const struct kernels *kernels, const struct weight_slot *slot,
                       struct packed_weight *weight, size_t *bytes) {
    const struct tensor *tensor = slot->tensor;
    *weight = (struct packed_weight){.n_cols = (size_t)tensor->dims[0],
                                     .n_rows = (size_t)tensor->dims[1],
                                     .n_experts = (size_t)tensor->dims[2]};
    bool over;
    *bytes = 0;
    if (slot->vector) {
        over = mul_overflows(weight->n_cols, weight->n_rows, &weight->n_cols) ||
               mul_overflows(weight->n_cols, sizeof(float), bytes);
    } else {
        weight->kernel = &kernels->linear[tensor->type];
        weight->group_bytes = weight->kernel->group_bytes(weight->n_cols);
        weight->n_groups = (weight->n_rows + weight->kernel->group - 1) / weight->kernel->group;
        over = mul_overflows(weight->n_groups, weight->group_bytes, bytes) ||
               mul_overflows(weight->n_experts, *bytes, bytes);
    }
    if (!over && !add_overflows(*bytes, WEIGHT_ALIGNMENT - 1, bytes)) {
        *bytes = *bytes / WEIGHT_ALIGNMENT * WEIGHT_ALIGNMENT;
        return OK;
    }
    return fail(OUT_OF_MEMORY, "tensor '%.*s' is larger than memory can be",
                (int)tensor->name.length, tensor->name.data);
}

static status measure_arena(const struct kernels *kernels, const struct spec *spec, size_t *bytes) {
    *bytes = 0;
    for (int i = 0; i < spec->n_weights; i++) {
        struct packed_weight weight;
        size_t size;
        TRY(describe(kernels, &spec->weights[i], &weight, &size));
        if (add_overflows(*bytes, size, bytes))
            return fail(OUT_OF_MEMORY, "the weights are larger than memory can be");
    }
    return OK;
}

status weights_bytes(const struct spec *spec, const struct backend_choice *choice,
                     struct backend_bytes *bytes) {
    struct kernels kernels;
    size_t arena;
    TRY(kernels_choose(choice->cpu_amx, &kernels));
    TRY(measure_arena(&kernels, spec, &arena));
    *bytes = (struct backend_bytes){
        .host = memory_cost(sizeof(struct backend_model)) + memory_cost(arena) +
                memory_cost((size_t)spec->n_weights * sizeof(struct packed_weight))};
    return OK;
}

static status report(struct loader *loader, uint64_t bytes) {
    loader->done += bytes;
    if (loader->progress &&
        loader->progress(loader->progress_user, loader->done, loader->total) != 0)
        return fail(CANCELLED, "loading was stopped by the progress callback");
    return OK;
}

static status load_vector(struct loader *loader, int id, const struct tensor *tensor,
                          struct packed_weight *weight) {
    const void *data;
    TRY(checkpoint_load(loader->checkpoint, id, tensor, 0, (size_t)tensor->bytes, loader->scratch,
                        &data));
    weight_type_traits[tensor->type].dequantize(data, weight->vector, weight->n_cols);
    checkpoint_drop(loader->checkpoint, tensor, 0, (size_t)tensor->bytes);
    return report(loader, tensor->bytes);
}

static status load_expert(struct loader *loader, int id, const struct tensor *tensor, size_t expert,
                          struct packed_weight *weight) {
    const struct linear_kernel *kernel = weight->kernel;
    size_t row_bytes = weight_type_row_bytes(tensor->type, weight->n_cols);
    size_t groups_per_piece = PIECE_BYTES / (row_bytes * kernel->group);
    if (!groups_per_piece) groups_per_piece = 1;
    for (size_t group = 0; group < weight->n_groups;) {
        size_t first = group * kernel->group, rows = groups_per_piece * kernel->group;
        if (rows > weight->n_rows - first) rows = weight->n_rows - first;
        size_t offset = (expert * weight->n_rows + first) * row_bytes, n = rows * row_bytes;
        const void *data;
        TRY(checkpoint_load(loader->checkpoint, id, tensor, offset, n, loader->scratch, &data));
        for (size_t row = 0; row < rows; row += kernel->group, group++) {
            size_t in_group = rows - row < kernel->group ? rows - row : kernel->group;
            kernel->pack((const uint8_t *)data + row * row_bytes, row_bytes, in_group,
                         weight->n_cols,
                         weights_groups(weight, expert) + group * weight->group_bytes);
        }
        checkpoint_drop(loader->checkpoint, tensor, offset, n);
        TRY(report(loader, n));
    }
    return OK;
}

static status load_matrix(struct loader *loader, int id, const struct tensor *tensor,
                          struct packed_weight *weight) {
    for (size_t expert = 0; expert < weight->n_experts; expert++)
        TRY(load_expert(loader, id, tensor, expert, weight));
    return OK;
}

static status lay_out(struct backend_model *model, const struct spec *spec) {
    uint8_t *at = model->arena;
    for (int i = 0; i < spec->n_weights; i++) {
        struct packed_weight *weight = &model->weights[i];
        size_t bytes;
        TRY(describe(&model->kernels, &spec->weights[i], weight, &bytes));
        if (spec->weights[i].vector)
            weight->vector = (float *)(void *)at;
        else
            weight->groups = at;
        at += bytes;
    }
    return OK;
}

static status load_all(struct loader *loader, const struct spec *spec) {
    for (int i = 0; i < spec->n_weights; i++) {
        int index = loader->order[i];
        const struct weight_slot *slot = &spec->weights[index];
        struct packed_weight *weight = &loader->model->weights[index];
        TRY(slot->vector ? load_vector(loader, index, slot->tensor, weight)
                         : load_matrix(loader, index, slot->tensor, weight));
    }
    return OK;
}

static void measure(struct loader *loader, const struct spec *spec) {
    loader->scratch_bytes = PIECE_BYTES;
    for (int i = 0; i < spec->n_weights; i++) {
        const struct tensor *tensor = spec->weights[i].tensor;
        size_t group =
            spec->weights[i].vector
                ? (size_t)tensor->bytes
                : weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0]) * KERNEL_MAX_GROUP;
        if (group > loader->scratch_bytes) loader->scratch_bytes = group;
        loader->total += tensor->bytes;
    }
}

status weights_load(struct memory *memory, struct checkpoint *checkpoint, const struct spec *spec,
                    const struct backend_choice *choice, transformer_progress_function progress,
                    void *progress_user, struct backend_model **model) {
    struct backend_model *fresh = NULL;
    struct loader loader = {
        .checkpoint = checkpoint, .progress = progress, .progress_user = progress_user};
    status result;
    TRY_OR_EXIT(MEMORY_TAKE_ONE(memory, "the model's weights", &fresh));
    fresh->memory = memory;
    fresh->n_weights = spec->n_weights;
    TRY_OR_EXIT(kernels_choose(choice->cpu_amx, &fresh->kernels));
    if (fresh->kernels.needs_amx) TRY_OR_EXIT(amx_permit());
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, (size_t)spec->n_weights, "the table of weights",
                                  &fresh->weights));
    loader.model = fresh;
    size_t arena_bytes;
    TRY_OR_EXIT(measure_arena(&fresh->kernels, spec, &arena_bytes));
    TRY_OR_EXIT(MEMORY_TAKE(memory, arena_bytes, "the weights", &fresh->arena));
    measure(&loader, spec);
    TRY_OR_EXIT(MEMORY_TAKE(memory, loader.scratch_bytes, "reading weights", &loader.scratch));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, (size_t)spec->n_weights, "the order of the weights",
                                  &loader.order));
    spec_file_order(spec, loader.order);
    TRY_OR_EXIT(lay_out(fresh, spec));
    TRY_OR_EXIT(load_all(&loader, spec));
    *model = fresh;
exit:
    memory_give(memory, loader.scratch);
    memory_give(memory, loader.order);
    if (result != OK) weights_free(fresh);
    return result;
}

void weights_free(struct backend_model *model) {
    if (!model) return;
    memory_give(model->memory, model->arena);
    memory_give(model->memory, model->weights);
    memory_give(model->memory, model);
}

const struct packed_weight *weights_matrix(const struct backend_model *model,
                                           const struct weight_ref *ref) {
    return ref->tensor ? &model->weights[ref->id] : NULL;
}

const float *weights_vector(const struct backend_model *model, const struct weight_ref *ref) {
    return ref->tensor ? model->weights[ref->id].vector : NULL;
}
