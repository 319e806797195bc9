#include "engine/adapter.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/text_format.h"
#include "format/tensor_form.h"

enum { MOST_RANK = 4096 };

/* What is being opened. */
struct opening {
    transformer_adapter *adapter;
    struct checkpoint *file;
    bool *used; /* [tensors of the file] */
    float alpha, rank_power;
    size_t n_values;
};

static void adapter_free(transformer_adapter *adapter) {
    struct memory memory = adapter->memory;
    transformer_model *model = adapter->model;
    if (model->backend->adapter_destroy)
        model->backend->adapter_destroy(&adapter->memory, model->weights, &adapter->backend);
    memory_give(&adapter->memory, adapter->values);
    memory_give(&adapter->memory, adapter->backend.weights);
    memory_give(&memory, adapter);
    model_release(model);
}

void adapter_retain(transformer_adapter *adapter) {
    atomic_fetch_add_explicit(&adapter->owners, 1, memory_order_relaxed);
}

void adapter_release(transformer_adapter *adapter) {
    if (adapter && atomic_fetch_sub_explicit(&adapter->owners, 1, memory_order_acq_rel) == 1)
        adapter_free(adapter);
}

/* ---- the file ---- */

static status read_scale(struct opening *opening) {
    const struct checkpoint *file = opening->file;
    struct text type = {"", 0}, kind = {"", 0}, architecture;
    const struct spec *spec = opening->adapter->model->spec;
    bool found;
    TRY(checkpoint_read_text(file, "general.type", &found, &type));
    TRY(checkpoint_read_text(file, "adapter.type", &found, &kind));
    if (type.length != 7 || memcmp(type.data, "adapter", 7) != 0 || kind.length != 4 ||
        memcmp(kind.data, "lora", 4) != 0)
        return fail(FORMAT, "%s: is no LoRA adapter: 'general.type', 'adapter.type'",
                    checkpoint_name(file));
    if (checkpoint_metadata(file, "adapter.alora.invocation_tokens"))
        return fail(UNSUPPORTED, "%s: key 'adapter.alora.invocation_tokens' is not supported",
                    checkpoint_name(file));
    TRY(checkpoint_read_text(file, "general.architecture", &found, &architecture));
    if (found && (architecture.length != strlen(spec->architecture) ||
                  memcmp(architecture.data, spec->architecture, architecture.length) != 0))
        return fail(UNSUPPORTED, "%s: is of architecture '%.*s', the model of '%s'",
                    checkpoint_name(file), architecture.length < 64 ? (int)architecture.length : 64,
                    architecture.data, spec->architecture);
    opening->rank_power = 1.0f;
    TRY(checkpoint_read_f32(file, "adapter.lora.rank_power", &found, &opening->rank_power));
    return checkpoint_read_f32(file, "adapter.lora.alpha", &found, &opening->alpha);
}

/* As llama.cpp has it: without an alpha the scale is 1. */
static float scale_of(const struct opening *opening, int64_t rank) {
    if (opening->alpha == 0.0f) return 1.0f;
    return (float)((double)opening->alpha / pow((double)rank, (double)opening->rank_power));
}

static const struct tensor *find(struct opening *opening, const struct tensor *of,
                                 const char *suffix) {
    char name[256];
    if (of->name.length > 200) return NULL;
    text_format(name, sizeof name, "%.*s%s", (int)of->name.length, of->name.data, suffix);
    const struct tensor *tensor = checkpoint_tensor(opening->file, name);
    if (tensor) opening->used[tensor - checkpoint_tensor_at(opening->file, 0)] = true;
    return tensor;
}

/* The model's tensor that a slot's is, or is a part of: parts have the whole one's name. */
static const struct tensor *whole_of(const struct checkpoint *model, const struct tensor *part) {
    size_t i = 0;
    while (checkpoint_tensor_at(model, i)->name.data != part->name.data) i++;
    return checkpoint_tensor_at(model, i);
}

static int64_t first_row(const struct tensor *whole, const struct tensor *part) {
    if (!tensor_form_is_plain(part)) return part->layout.first_row - whole->layout.first_row;
    size_t row_bytes = weight_type_row_bytes(part->type, (size_t)part->dims[0]);
    return (int64_t)((part->offset - whole->offset) / row_bytes);
}

static status read_matrix(struct opening *opening, const struct tensor *tensor, int64_t first,
                          int64_t n, float *values) {
    size_t n_cols = (size_t)tensor->dims[0];
    size_t row_bytes = weight_type_row_bytes(tensor->type, n_cols);
    struct memory *memory = &opening->adapter->memory;
    const void *data;
    void *scratch;
    TRY(memory_take(memory, (size_t)n * row_bytes, "an adapter's weights", &scratch));
    status result = checkpoint_data(opening->file, tensor, (uint64_t)first * row_bytes,
                                    (size_t)n * row_bytes, scratch, &data);
    if (result == OK) weight_type_traits[tensor->type].dequantize(data, values, (size_t)n * n_cols);
    memory_give(memory, scratch);
    return result;
}

static status fail_shape(const struct opening *opening, const struct tensor *tensor) {
    return fail(FORMAT, "%s: tensor '%.*s' is [%" PRId64 "][%" PRId64 "], which doesn't fit",
                checkpoint_name(opening->file), (int)tensor->name.length, tensor->name.data,
                tensor->dims[1], tensor->dims[0]);
}

/* A and B of one slot; values: where they go, NULL to count. */
static status read_pair(struct opening *opening, int slot, float *values) {
    const struct weight_slot *weight = &opening->adapter->model->spec->weights[slot];
    const struct tensor *of = weight->tensor;
    struct adapter_weight *pair = &opening->adapter->backend.weights[slot];
    if (weight->vector) return OK;
    const struct tensor *a = find(opening, of, ".lora_a"), *b = find(opening, of, ".lora_b");
    if (!a && !b) return OK;
    if (!a || !b)
        return fail(FORMAT, "%s: '%.*s' has only one of lora_a and lora_b",
                    checkpoint_name(opening->file), (int)of->name.length, of->name.data);
    if (of->dims[2] > 1 || of->dims[3] > 1 || a->n_dims > 2 || b->n_dims > 2)
        return fail(UNSUPPORTED, "%s: adapts '%.*s', which is several matrices",
                    checkpoint_name(opening->file), (int)of->name.length, of->name.data);
    int64_t rank = a->dims[1];
    const struct tensor *whole = whole_of(opening->adapter->model->checkpoint, of);
    int64_t first = first_row(whole, of);
    if (rank < 1 || rank > MOST_RANK || a->dims[0] != of->dims[0]) return fail_shape(opening, a);
    if (b->dims[0] != rank || b->dims[1] != whole->dims[1]) return fail_shape(opening, b);
    size_t n = (size_t)rank * (size_t)(of->dims[0] + of->dims[1]);
    if (values) {
        float *rows = values + rank * of->dims[0];
        TRY(read_matrix(opening, a, 0, rank, values));
        TRY(read_matrix(opening, b, first, of->dims[1], rows));
        *pair = (struct adapter_weight){
            .a = values, .b = rows, .rank = rank, .scale = scale_of(opening, rank)};
        if (rank > opening->adapter->backend.max_rank) opening->adapter->backend.max_rank = rank;
    }
    opening->n_values += n;
    return OK;
}

/* All that the file has must have been used. */
static status check_all(const struct opening *opening) {
    for (size_t i = 0; i < checkpoint_tensor_count(opening->file); i++) {
        struct text name = checkpoint_tensor_at(opening->file, i)->name;
        if (!opening->used[i])
            return fail(UNSUPPORTED, "%s: tensor '%.*s' adapts nothing that the model has",
                        checkpoint_name(opening->file), (int)name.length, name.data);
    }
    return OK;
}

static status read_all(struct opening *opening) {
    transformer_adapter *adapter = opening->adapter;
    const struct spec *spec = adapter->model->spec;
    size_t n_tensors = checkpoint_tensor_count(opening->file);
    TRY(MEMORY_TAKE_ARRAY(&adapter->memory, n_tensors, "marks of tensors", &opening->used));
    TRY(MEMORY_TAKE_ARRAY(&adapter->memory, (size_t)spec->n_weights, "an adapter",
                          &adapter->backend.weights));
    TRY(read_scale(opening));
    for (int i = 0; i < spec->n_weights; i++) TRY(read_pair(opening, i, NULL));
    TRY(check_all(opening));
    size_t n_values = opening->n_values;
    if (!n_values) return fail(FORMAT, "%s: adapts nothing", checkpoint_name(opening->file));
    TRY(MEMORY_TAKE_ARRAY(&adapter->memory, n_values, "an adapter's weights", &adapter->values));
    opening->n_values = 0;
    for (int i = 0; i < spec->n_weights; i++)
        TRY(read_pair(opening, i, adapter->values + opening->n_values));
    return OK;
}

static struct checksum identify(const transformer_adapter *adapter, size_t n_values) {
    struct checksum sum = checksum_of(adapter->values, n_values * sizeof *adapter->values, 0);
    for (int i = 0; i < adapter->model->spec->n_weights; i++) {
        const struct adapter_weight *weight = &adapter->backend.weights[i];
        sum = checksum_add(sum, &weight->rank, sizeof weight->rank);
        sum = checksum_add(sum, &weight->scale, sizeof weight->scale);
    }
    return sum;
}

/* The backend has all of it where it wants it, then the values are there no more. */
static status lay_out(transformer_adapter *adapter) {
    const transformer_model *model = adapter->model;
    if (!model->backend->adapter_create) return OK;
    TRY(model->backend->adapter_create(&adapter->memory, model->weights, model->spec,
                                       &adapter->backend));
    memory_give(&adapter->memory, adapter->values);
    adapter->values = NULL;
    for (int i = 0; i < model->spec->n_weights; i++)
        adapter->backend.weights[i].a = adapter->backend.weights[i].b = NULL;
    return OK;
}

status adapter_open(transformer_model *model, const transformer_adapter_options *options,
                    transformer_adapter **opened) {
    transformer_adapter *fresh;
    struct memory memory;
    memory_init(&memory, &model->memory.host);
    TRY(MEMORY_TAKE_ONE(&memory, "an adapter", &fresh));
    fresh->memory = memory;
    fresh->model = model;
    fresh->number = atomic_fetch_add(&model->n_adapters, 1) + 1;
    model_retain(model);
    atomic_init(&fresh->owners, 1);
    struct opening opening = {.adapter = fresh};
    const struct checkpoint_options file = {.path = options->path,
                                            .reader = options->reader,
                                            .log = model->log,
                                            .adapter_of = model->checkpoint};
    status result = checkpoint_open(&fresh->memory, &file, &opening.file);
    if (result == OK) result = read_all(&opening);
    if (result == OK) {
        fresh->identity = identify(fresh, opening.n_values);
        result = lay_out(fresh);
    }
    memory_give(&fresh->memory, opening.used);
    checkpoint_close(opening.file);
    if (result != OK) {
        adapter_free(fresh);
        return result;
    }
    *opened = fresh;
    return OK;
}

/* ---- its use ---- */

/* By rows of tokens: adapters change nothing of what is done for sources and pooled vectors. */
static bool is_multiplied(const struct program *program, int slot) {
    for (int i = program->n_source_ops; i < program->n_ops; i++) {
        const struct op *op = &program->ops[i];
        if (op->pooled) continue;
        if (op->kind != OP_LINEAR && op->kind != OP_HEAD) continue;
        for (int w = 0; w < op->linear.n_weights; w++)
            if (op->linear.weights[w]->weight.id == slot) return true;
    }
    return false;
}

status adapter_check(const transformer_adapter *adapter, const struct program *program) {
    const struct spec *spec = adapter->model->spec;
    for (int i = 0; i < spec->n_weights; i++) {
        struct text name = spec->weights[i].tensor->name;
        bool embeds = spec->weights[i].tensor == spec->embedding.weight.tensor;
        if (adapter->backend.weights[i].rank && (embeds || !is_multiplied(program, i)))
            return fail(UNSUPPORTED, "the adapter changes '%.*s', which no linear layer alone uses",
                        (int)name.length, name.data);
    }
    return OK;
}
