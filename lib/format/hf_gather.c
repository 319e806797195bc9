/* Tensors of several matrices that the files have apart, or whose rows lie otherwise than readers
 * want them. */
#include <string.h>

#include "format/hf.h"
#include "format/tensor_codes.h"
#include "format/tensor_form.h"

/* One tensor that is being put together. */
struct hf_gathered {
    struct hf_gathered *next;
    struct text name;
    struct tensor *slices; /* [n], those without dims haven't come yet */
    int64_t n, n_seen;
};

/* The second half of a tensor that was two. */
struct hf_half {
    struct hf_half *next;
    struct tensor tensor;
};

static int shown(struct text text) {
    return text.length < 200 ? (int)text.length : 200;
}

/* The most recent ones come first: files have a layer's experts together. */
static status find(struct hf *hf, struct text name, const char *count, struct hf_gathered **found) {
    struct hf_gathered *g = hf->gathered;
    for (; g; g = g->next)
        if (g->name.length == name.length && memcmp(g->name.data, name.data, name.length) == 0)
            break;
    *found = g;
    if (g) return OK;
    void *block;
    TRY(arena_take(&hf->arena, sizeof *g, "tensors of experts", &block));
    g = block;
    *g = (struct hf_gathered){
        .next = hf->gathered, .name = name, .n = hf_metadata_i64(hf, count, 0)};
    if (g->n < 1 || g->n > 4096)
        return fail(FORMAT, "%s: %s is %" PRId64, hf->config.file, count, g->n);
    TRY(arena_take(&hf->arena, (size_t)g->n * sizeof *g->slices, "tensors of experts", &block));
    g->slices = block;
    memset(g->slices, 0, (size_t)g->n * sizeof *g->slices);
    hf->gathered = *found = g;
    return OK;
}

status hf_gather_add(struct hf *hf, const struct tensor *tensor, struct text name, int64_t expert,
                     const char *count) {
    struct hf_gathered *g;
    const char *file = hf->parts[tensor->part].file.name;
    TRY(find(hf, name, count ? count : "expert_count", &g));
    if (expert >= g->n)
        return fail(FORMAT, "%s: tensor '%.*s' is number %" PRId64 " of %" PRId64, file,
                    shown(tensor->name), tensor->name.data, expert, g->n);
    if (g->slices[expert].n_dims)
        return fail(FORMAT, "%s: two tensors mean number %" PRId64 " of '%.*s'", file, expert,
                    shown(name), name.data);
    g->slices[expert] = *tensor;
    g->n_seen++;
    return OK;
}

void hf_gather_join(struct tensor *tensor) {
    const struct tensor *first = &tensor->slices[0];
    bool vectors = first->n_dims < 2;
    tensor->type = first->type;
    tensor->form = first->form;
    tensor->n_dims = vectors ? 2 : 3;
    for (int i = 0; i < 4; i++) tensor->dims[i] = first->dims[i];
    tensor->dims[vectors ? 1 : 2] = tensor->n_slices;
    tensor->offset = first->offset;
    tensor->part = first->part;
    tensor->bytes = (uint64_t)tensor->n_slices * first->bytes;
}

static status finish_one(struct hf *hf, const struct hf_gathered *g, struct tensor *tensor) {
    if (g->n_seen != g->n)
        return fail(FORMAT, "%s: has %" PRId64 " of the %" PRId64 " parts of '%.*s'", hf->path,
                    g->n_seen, g->n, shown(g->name), g->name.data);
    for (int64_t i = 0; i < g->n; i++) {
        const struct tensor *a = &g->slices[0], *b = &g->slices[i];
        if (b->n_dims < 1 || b->n_dims > 2 || b->n_dims != a->n_dims || b->dims[0] != a->dims[0] ||
            b->dims[1] != a->dims[1] || b->type != a->type || b->form != a->form)
            return fail(FORMAT, "%s: tensor '%.*s' isn't of the first one's shape and type",
                        hf->parts[b->part].file.name, shown(b->name), b->name.data);
    }
    *tensor = (struct tensor){.name = g->name, .slices = g->slices, .n_slices = g->n};
    hf_gather_join(tensor);
    return OK;
}

static status grow(struct hf *hf, size_t n) {
    struct tensor_table *table = &hf->tables.tensors;
    if (table->capacity - table->count >= n) return OK;
    struct tensor *items;
    TRY(MEMORY_TAKE_ARRAY(hf->memory, table->count + n, "the tensors' table", &items));
    if (table->count) memcpy(items, table->items, table->count * sizeof *items);
    memory_give(hf->memory, table->items);
    table->items = items;
    table->capacity = table->count + n;
    return OK;
}

status hf_gather_finish(struct hf *hf) {
    struct tensor_table *table = &hf->tables.tensors;
    size_t n = 0;
    for (const struct hf_gathered *g = hf->gathered; g; g = g->next) n++;
    for (const struct hf_half *half = hf->halves; half; half = half->next) n++;
    TRY(grow(hf, n));
    for (const struct hf_gathered *g = hf->gathered; g; g = g->next)
        TRY(finish_one(hf, g, &table->items[table->count++]));
    for (const struct hf_half *half = hf->halves; half; half = half->next)
        table->items[table->count++] = half->tensor;
    return OK;
}

/* Codes of MXFP4, row after row: those of slice `index`, which has its dims already. */
static status split_codes(struct hf *hf, int64_t index, struct tensor *slice) {
    void *block;
    TRY(arena_take(&hf->arena, sizeof *slice->codes, "tensors of experts", &block));
    struct tensor_codes *codes = block;
    *codes = *slice->codes;
    codes->n_rows = slice->dims[1];
    uint64_t rows = (uint64_t)codes->n_rows, first = (uint64_t)index * rows;
    uint64_t row_bytes = (uint64_t)codes->n_cols / 2, row_scales = (uint64_t)codes->n_groups;
    codes->codes.offset += first * row_bytes;
    codes->codes.bytes = rows * row_bytes;
    codes->scales.offset += first * row_scales;
    codes->scales.bytes = rows * row_scales;
    slice->codes = codes;
    return OK;
}

status hf_gather_split(struct hf *hf, struct tensor *tensor) {
    int last = tensor->n_dims - 1;
    int64_t n = tensor->dims[last];
    void *block;
    bool other_codes = tensor->codes && (last < 2 || tensor->codes->layout != CODES_MXFP4);
    if (last < 1 || other_codes || n < 1 || n > 4096 || tensor->dims[0] < 1)
        return fail(FORMAT, "%s: tensor '%.*s' isn't one of experts",
                    hf->parts[tensor->part].file.name, shown(tensor->name), tensor->name.data);
    TRY(arena_take(&hf->arena, (size_t)n * sizeof *tensor, "tensors of experts", &block));
    struct tensor *slices = block;
    uint64_t elements = (uint64_t)tensor->dims[0] * (uint64_t)(last > 1 ? tensor->dims[1] : 1);
    size_t stored = tensor_form_bytes(tensor->form);
    if (!stored && !tensor->codes) stored = weight_type_row_bytes(tensor->type, 1);
    for (int64_t i = 0; i < n; i++) {
        slices[i] = *tensor;
        slices[i].n_dims = last;
        slices[i].dims[last] = 1;
        slices[i].bytes /= (uint64_t)n;
        if (tensor->codes)
            TRY(split_codes(hf, i, &slices[i]));
        else
            slices[i].offset += (uint64_t)i * elements * stored;
    }
    tensor->slices = slices;
    tensor->n_slices = n;
    return OK;
}

/* The half of a matrix, or of a vector. */
static struct tensor half_of(const struct tensor *tensor, bool second) {
    struct tensor half;
    int64_t n = tensor->dims[tensor->n_dims < 2 ? 0 : 1] / 2;
    tensor_form_view(tensor, second ? n : 0, n, &half);
    return half;
}

static status halve_slices(struct hf *hf, struct tensor *tensor, struct tensor *other) {
    void *block;
    size_t n = (size_t)tensor->n_slices;
    TRY(arena_take(&hf->arena, n * sizeof *tensor, "tensors of experts", &block));
    struct tensor *first = (struct tensor *)tensor->slices, *second = block;
    for (size_t i = 0; i < n; i++) {
        second[i] = half_of(&first[i], true);
        first[i] = half_of(&first[i], false);
    }
    other->slices = second;
    hf_gather_join(tensor);
    hf_gather_join(other);
    return OK;
}

status hf_gather_halve(struct hf *hf, struct tensor *tensor, struct text name) {
    if (tensor->n_dims == 3 && !tensor->slices) TRY(hf_gather_split(hf, tensor));
    int64_t rows = tensor->slices && tensor->slices[0].n_dims < 2 ? tensor->slices[0].dims[0]
                                                                  : tensor->dims[1];
    if (rows % 2 || tensor->n_dims < 2)
        return fail(FORMAT, "%s: tensor '%.*s' has %" PRId64 " rows, which are no two halves",
                    hf->parts[tensor->part].file.name, shown(tensor->name), tensor->name.data,
                    rows);
    void *block;
    TRY(arena_take(&hf->arena, sizeof(struct hf_half), "tensors of experts", &block));
    struct hf_half *half = block;
    *half = (struct hf_half){.next = hf->halves, .tensor = *tensor};
    hf->halves = half;
    half->tensor.name = name;
    if (tensor->slices) return halve_slices(hf, tensor, &half->tensor);
    half->tensor = half_of(tensor, true);
    half->tensor.name = name;
    *tensor = half_of(tensor, false);
    return OK;
}
