#include "arch/bind.h"

#include <stdio.h>
#include <string.h>

#include "format/tensor_form.h"

struct name {
    char text[128];
};

/* The one %d of a pattern is replaced by hand: a format string must be a literal. */
static struct name name_of(const char *pattern, const char *suffix, int64_t layer) {
    struct name name;
    const char *mark = strstr(pattern, "%d");
    if (mark)
        snprintf(name.text, sizeof name.text, "%.*s%" PRId64 "%s%s", (int)(mark - pattern), pattern,
                 layer, mark + 2, suffix);
    else
        snprintf(name.text, sizeof name.text, "%s%s", pattern, suffix);
    return name;
}

status bind_begin(struct memory *memory, const struct checkpoint *file, struct spec *spec,
                  struct binder *binder) {
    *binder = (struct binder){.file = file, .spec = spec};
    size_t n = checkpoint_tensor_count(file);
    TRY(MEMORY_TAKE_ARRAY(memory, n * BIND_MOST_PARTS, "the table of weights", &spec->weights));
    return MEMORY_TAKE_ARRAY(memory, n, "marks of tensors", &binder->bound);
}

void bind_end(struct binder *binder) {
    memory_give(binder->spec->memory, binder->bound);
    binder->bound = NULL;
}

status bind_check_all(const struct binder *binder) {
    for (size_t i = 0; i < checkpoint_tensor_count(binder->file); i++) {
        if (binder->bound[i]) continue;
        struct text name = checkpoint_tensor_at(binder->file, i)->name;
        return fail(
            UNSUPPORTED, "%s: tensor '%.*s' is not one that architecture '%s' is known to have",
            checkpoint_name(binder->file), (int)name.length, name.data, binder->spec->architecture);
    }
    return OK;
}

static size_t index_of(const struct binder *binder, const struct tensor *tensor) {
    return (size_t)(tensor - checkpoint_tensor_at(binder->file, 0));
}

static void bind_slot(struct binder *binder, const struct tensor *tensor, bool vector,
                      struct weight_ref *ref) {
    struct spec *spec = binder->spec;
    ref->tensor = tensor;
    for (ref->id = 0; ref->id < spec->n_weights; ref->id++)
        if (spec->weights[ref->id].tensor == tensor && spec->weights[ref->id].vector == vector) {
            spec->weights[ref->id].of_source &= binder->of_source;
            return;
        }
    spec->weights[spec->n_weights++] = (struct weight_slot){tensor, vector, binder->of_source};
}

static void bind(struct binder *binder, const struct tensor *tensor, bool vector,
                 struct weight_ref *ref) {
    binder->bound[index_of(binder, tensor)] = true;
    bind_slot(binder, tensor, vector, ref);
}

static status find(struct binder *binder, enum bind_need need, const char *name,
                   struct weight_ref *ref, const struct tensor **tensor) {
    *ref = (struct weight_ref){.id = -1};
    *tensor = checkpoint_tensor(binder->file, name);
    if (*tensor || need == BIND_OPTIONAL) return OK;
    return fail(FORMAT, "%s: tensor '%s' is missing", checkpoint_name(binder->file), name);
}

/* Shape [n][rows][cols] of matrices; rows 0: any number. */
static status check_matrices(const struct binder *binder, const struct tensor *tensor, int64_t n,
                             int64_t rows, int64_t cols) {
    if (tensor->n_dims <= 3 && tensor->dims[0] == cols && (!rows || tensor->dims[1] == rows) &&
        tensor->dims[2] == n)
        return OK;
    return fail(FORMAT,
                "%s: tensor '%.*s' is [%" PRId64 "][%" PRId64 "][%" PRId64
                "], the model needs [%" PRId64 "][%" PRId64 "][%" PRId64 "]",
                checkpoint_name(binder->file), (int)tensor->name.length, tensor->name.data,
                tensor->dims[2], tensor->dims[1], tensor->dims[0], n, rows, cols);
}

static status bind_matrix_named(struct binder *binder, enum bind_need need, const char *name,
                                int64_t rows, int64_t cols, struct weight_ref *ref) {
    const struct tensor *tensor;
    TRY(find(binder, need, name, ref, &tensor));
    if (!tensor) return OK;
    if (tensor->n_dims > 2 || tensor->dims[0] != cols || (rows && tensor->dims[1] != rows))
        return fail(FORMAT,
                    "%s: tensor '%s' is [%" PRId64 "][%" PRId64 "], the model needs [%" PRId64
                    "][%" PRId64 "]",
                    checkpoint_name(binder->file), name, tensor->dims[1], tensor->dims[0], rows,
                    cols);
    bind(binder, tensor, false, ref);
    return OK;
}

static status check_vector_type(const struct binder *binder, const char *name,
                                const struct tensor *tensor) {
    if (tensor->type == WEIGHT_F32 || tensor->type == WEIGHT_F16 || tensor->type == WEIGHT_BF16)
        return OK;
    return fail(UNSUPPORTED, "%s: vector '%s' is %s, must be F32, F16 or BF16",
                checkpoint_name(binder->file), name, weight_type_traits[tensor->type].name);
}

/* Vectors [n_vectors][n], used as one. */
static status bind_vectors_named(struct binder *binder, enum bind_need need, const char *name,
                                 int64_t n_vectors, int64_t n, struct weight_ref *ref) {
    const struct tensor *tensor;
    TRY(find(binder, need, name, ref, &tensor));
    if (!tensor) return OK;
    if (tensor->dims[0] != n || tensor->dims[1] != n_vectors || tensor->n_dims > 2)
        return fail(FORMAT, "%s: tensor '%s' has %" PRId64 " elements, the model needs %" PRId64,
                    checkpoint_name(binder->file), name, tensor->dims[0] * tensor->dims[1],
                    n * n_vectors);
    TRY(check_vector_type(binder, name, tensor));
    bind(binder, tensor, true, ref);
    return OK;
}

static status bind_vector_named(struct binder *binder, enum bind_need need, const char *name,
                                int64_t n, struct weight_ref *ref) {
    return bind_vectors_named(binder, need, name, 1, n, ref);
}

status bind_matrix(struct binder *binder, enum bind_need need, const char *name, int64_t layer,
                   int64_t rows, int64_t cols, struct weight_ref *ref) {
    return bind_matrix_named(binder, need, name_of(name, "", layer).text, rows, cols, ref);
}

status bind_vector(struct binder *binder, enum bind_need need, const char *name, int64_t layer,
                   int64_t n, struct weight_ref *ref) {
    return bind_vector_named(binder, need, name_of(name, "", layer).text, n, ref);
}

status bind_linear(struct binder *binder, enum bind_need need, const char *stem, int64_t layer,
                   int64_t rows, int64_t cols, struct linear_spec *linear) {
    TRY(bind_matrix_named(binder, need, name_of(stem, ".weight", layer).text, rows, cols,
                          &linear->weight));
    return bind_vector_named(binder, BIND_OPTIONAL, name_of(stem, ".bias", layer).text, rows,
                             &linear->bias);
}

status bind_experts(struct binder *binder, enum bind_need need, const char *stem, int64_t layer,
                    int64_t n_experts, int64_t rows, int64_t cols, struct linear_spec *linear) {
    const struct tensor *tensor;
    struct name name = name_of(stem, ".weight", layer);
    TRY(find(binder, need, name.text, &linear->weight, &tensor));
    linear->bias = (struct weight_ref){.id = -1};
    if (!tensor) return OK;
    TRY(check_matrices(binder, tensor, n_experts, rows, cols));
    bind(binder, tensor, false, &linear->weight);
    return bind_vectors_named(binder, BIND_OPTIONAL, name_of(stem, ".bias", layer).text, n_experts,
                              rows, &linear->bias);
}

status bind_norm_rms(struct binder *binder, const char *stem, int64_t layer, int64_t n, float eps,
                     struct norm_spec *norm) {
    *norm = (struct norm_spec){.kind = NORM_RMS, .eps = eps, .bias.id = -1};
    return bind_vector_named(binder, BIND_REQUIRED, name_of(stem, ".weight", layer).text, n,
                             &norm->weight);
}

status bind_norm_layer(struct binder *binder, const char *stem, int64_t layer, int64_t n, float eps,
                       struct norm_spec *norm) {
    *norm = (struct norm_spec){.kind = NORM_LAYER, .eps = eps};
    TRY(bind_vector_named(binder, BIND_REQUIRED, name_of(stem, ".weight", layer).text, n,
                          &norm->weight));
    return bind_vector_named(binder, BIND_OPTIONAL, name_of(stem, ".bias", layer).text, n,
                             &norm->bias);
}

status bind_norm_of_heads(struct binder *binder, const char *stem, int64_t layer, int64_t n_heads,
                          int64_t n, float eps, struct norm_spec *norm, bool *of_each) {
    const struct tensor *tensor =
        checkpoint_tensor(binder->file, name_of(stem, ".weight", layer).text);
    *of_each = tensor && tensor->dims[1] > 1;
    int64_t n_vectors = *of_each ? n_heads : 1;
    *norm = (struct norm_spec){.kind = NORM_LAYER, .eps = eps};
    TRY(bind_vectors_named(binder, BIND_REQUIRED, name_of(stem, ".weight", layer).text, n_vectors,
                           n, &norm->weight));
    return bind_vectors_named(binder, BIND_OPTIONAL, name_of(stem, ".bias", layer).text, n_vectors,
                              n, &norm->bias);
}

bool bind_has(const struct binder *binder, const char *stem, int64_t layer) {
    return checkpoint_tensor(binder->file, name_of(stem, ".weight", layer).text) != NULL;
}

int64_t bind_cols(const struct binder *binder, const char *stem, int64_t layer) {
    const struct tensor *tensor =
        checkpoint_tensor(binder->file, name_of(stem, ".weight", layer).text);
    return tensor ? tensor->dims[0] : 0;
}

/* n rows of a matrix, or elements of a vector, from `first` on. */
static struct tensor part_of(const struct tensor *tensor, bool vector, int64_t first, int64_t n) {
    struct tensor whole = *tensor, part;
    if (vector) whole.n_dims = 1;
    tensor_form_view(&whole, first, n, &part);
    return part;
}

/* Matrix, or vector, `index` of those that a tensor has. */
static struct tensor slice_of(const struct tensor *tensor, bool vector, int64_t index) {
    if (tensor->slices) return tensor->slices[index];
    int last = vector ? 1 : 2;
    struct tensor slice = *tensor;
    slice.n_dims = last;
    slice.bytes /= (uint64_t)tensor->dims[last];
    if (tensor_form_is_plain(tensor))
        slice.offset += (uint64_t)index * slice.bytes;
    else
        slice.layout.first_row += index * tensor->dims[vector ? 0 : 1];
    slice.dims[last] = 1;
    return slice;
}

static status take_view(struct binder *binder, const struct tensor *tensor, struct tensor **part) {
    struct spec *spec = binder->spec;
    if (!spec->views)
        TRY(MEMORY_TAKE_ARRAY(spec->memory, checkpoint_tensor_count(binder->file) * BIND_MOST_PARTS,
                              "parts of tensors", &spec->views));
    *part = &spec->views[spec->n_views++];
    **part = *tensor;
    return OK;
}

status bind_table(struct binder *binder, enum bind_need need, const char *name, int64_t layer,
                  int64_t rows, int64_t cols, struct weight_ref *ref) {
    const struct name full = name_of(name, "", layer);
    const struct tensor *tensor;
    TRY(find(binder, need, full.text, ref, &tensor));
    if (!tensor) return OK;
    if (tensor->n_dims > 2 || tensor->dims[0] != cols || tensor->dims[1] != rows)
        return fail(FORMAT,
                    "%s: tensor '%s' is [%" PRId64 "][%" PRId64 "], the model needs [%" PRId64
                    "][%" PRId64 "]",
                    checkpoint_name(binder->file), full.text, tensor->dims[1], tensor->dims[0],
                    rows, cols);
    TRY(check_vector_type(binder, full.text, tensor));
    struct tensor *flat;
    TRY(take_view(binder, tensor, &flat));
    flat->n_dims = 1;
    flat->dims[0] = rows * cols;
    flat->dims[1] = 1;
    binder->bound[index_of(binder, tensor)] = true;
    bind_slot(binder, flat, true, ref);
    return OK;
}

/* Such a part as a tensor of its own. */
static status view(struct binder *binder, const struct tensor *tensor, bool vector, int64_t first,
                   int64_t n, struct weight_ref *ref) {
    struct tensor *part;
    TRY(take_view(binder, tensor, &part));
    *part = part_of(tensor, vector, first, n);
    bind_slot(binder, part, vector, ref);
    return OK;
}

static status take_slices(struct spec *spec, int64_t n, struct tensor **slices) {
    struct spec_slices *block;
    size_t bytes = sizeof *block + (size_t)n * sizeof(struct tensor);
    TRY(MEMORY_TAKE(spec->memory, bytes, "parts of experts", &block));
    block->next = spec->slices;
    spec->slices = block;
    *slices = block->of;
    return OK;
}

/* The same part of every slice. */
static status view_slices(struct binder *binder, const struct tensor *tensor, bool vector,
                          int64_t first, int64_t n, struct weight_ref *ref) {
    int64_t n_slices = tensor->dims[vector ? 1 : 2];
    struct tensor *part, *slices;
    TRY(take_view(binder, tensor, &part));
    TRY(take_slices(binder->spec, n_slices, &slices));
    part->bytes = 0;
    for (int64_t i = 0; i < n_slices; i++) {
        struct tensor slice = slice_of(tensor, vector, i);
        slices[i] = part_of(&slice, vector, first, n);
        part->bytes += slices[i].bytes;
    }
    part->dims[vector ? 0 : 1] = n;
    part->offset = slices[0].offset;
    part->part = slices[0].part;
    part->slices = slices;
    part->n_slices = n_slices;
    bind_slot(binder, part, vector, ref);
    return OK;
}

status bind_linear_parts(struct binder *binder, const char *stem, int64_t layer, int n_parts,
                         const int64_t *rows, int64_t cols, struct linear_spec *const *linears) {
    struct linear_spec whole;
    int64_t total = 0, first = 0;
    int n_weights = binder->spec->n_weights;
    for (int i = 0; i < n_parts; i++) total += rows[i];
    TRY(bind_linear(binder, BIND_REQUIRED, stem, layer, total, cols, &whole));
    binder->spec->n_weights = n_weights; /* it is its parts that are loaded */
    for (int i = 0; i < n_parts; first += rows[i], i++) {
        *linears[i] = (struct linear_spec){.weight.id = -1, .bias.id = -1};
        TRY(view(binder, whole.weight.tensor, false, first, rows[i], &linears[i]->weight));
        if (whole.bias.tensor)
            TRY(view(binder, whole.bias.tensor, true, first, rows[i], &linears[i]->bias));
    }
    return OK;
}

static status bind_part_of_blocks(struct binder *binder, const struct tensor *tensor,
                                  const struct tensor_blocks *blocks, const int64_t dims[3],
                                  struct linear_spec *linear) {
    struct tensor *part;
    TRY(take_view(binder, tensor, &part));
    part->blocks = *blocks;
    part->blocks.source = tensor;
    if (blocks->transposed && !checkpoint_transposes(tensor->type)) part->type = WEIGHT_F32;
    part->n_dims = 3;
    for (int i = 0; i < 3; i++) part->dims[i] = dims[i];
    part->bytes =
        (uint64_t)(dims[1] * dims[2]) * weight_type_row_bytes(part->type, (size_t)dims[0]);
    linear->bias = (struct weight_ref){.id = -1};
    bind_slot(binder, part, false, &linear->weight);
    return OK;
}

status bind_blocks(struct binder *binder, const char *stem, int64_t layer, int64_t n_blocks,
                   int64_t n_columns, int64_t n_rows, int64_t cols, struct linear_spec *transposed,
                   struct linear_spec *rows) {
    struct linear_spec whole;
    int n_weights = binder->spec->n_weights;
    int64_t of_block = n_columns + n_rows;
    TRY(bind_linear(binder, BIND_REQUIRED, stem, layer, n_blocks * of_block, cols, &whole));
    binder->spec->n_weights = n_weights; /* it is its parts that are loaded */
    if (whole.bias.tensor)
        return fail(UNSUPPORTED, "%s: tensor '%s' has a bias", checkpoint_name(binder->file),
                    name_of(stem, ".weight", layer).text);
    TRY(bind_part_of_blocks(binder, whole.weight.tensor,
                            &(struct tensor_blocks){.rows = of_block, .transposed = true},
                            (const int64_t[]){n_columns, cols, n_blocks}, transposed));
    return bind_part_of_blocks(binder, whole.weight.tensor,
                               &(struct tensor_blocks){.rows = of_block, .first = n_columns},
                               (const int64_t[]){cols, n_rows, n_blocks}, rows);
}

status bind_experts_parts(struct binder *binder, const char *stem, int64_t layer, int64_t n_experts,
                          int n_parts, const int64_t *rows, int64_t cols,
                          struct linear_spec *const *linears) {
    struct linear_spec whole;
    int64_t total = 0, first = 0;
    int n_weights = binder->spec->n_weights;
    for (int i = 0; i < n_parts; i++) total += rows[i];
    TRY(bind_experts(binder, BIND_REQUIRED, stem, layer, n_experts, total, cols, &whole));
    binder->spec->n_weights = n_weights;
    for (int i = 0; i < n_parts; first += rows[i], i++) {
        *linears[i] = (struct linear_spec){.weight.id = -1, .bias.id = -1};
        TRY(view_slices(binder, whole.weight.tensor, false, first, rows[i], &linears[i]->weight));
        if (whole.bias.tensor)
            TRY(view_slices(binder, whole.bias.tensor, true, first, rows[i], &linears[i]->bias));
    }
    return OK;
}

bool bind_has_layer(const struct binder *binder, const char *end) {
    size_t n = strlen(end);
    for (size_t i = 0; i < checkpoint_tensor_count(binder->file); i++) {
        struct text name = checkpoint_tensor_at(binder->file, i)->name;
        if (name.length > n + 4 && memcmp(name.data, "blk.", 4) == 0 &&
            memcmp(name.data + name.length - n, end, n) == 0)
            return true;
    }
    return false;
}

void bind_ignore_layer(struct binder *binder, int64_t layer) {
    struct name begin = name_of("blk.%d.", "", layer);
    size_t n = strlen(begin.text);
    for (size_t i = 0; i < checkpoint_tensor_count(binder->file); i++) {
        struct text name = checkpoint_tensor_at(binder->file, i)->name;
        if (name.length > n && memcmp(name.data, begin.text, n) == 0) binder->bound[i] = true;
    }
}

void bind_ignore(struct binder *binder, const char *name, int64_t layer) {
    const struct tensor *tensor = checkpoint_tensor(binder->file, name_of(name, "", layer).text);
    if (tensor) binder->bound[index_of(binder, tensor)] = true;
}
