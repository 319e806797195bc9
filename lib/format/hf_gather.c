/* Tensors of several matrices that the files have apart, or whose rows lie otherwise than readers
 * want them. */
#include <string.h>

#include "format/hf.h"
#include "format/tensor_form.h"

/* One tensor that is being put together. */
struct hf_gathered {
    struct hf_gathered *next;
    struct text name;
    struct tensor *slices; /* [n], those without dims haven't come yet */
    int64_t n, n_seen;
};

static int shown(struct text text) {
    return text.length < 200 ? (int)text.length : 200;
}

/* The most recent ones come first: files have a layer's experts together. */
static status find(struct hf *hf, struct text name, struct hf_gathered **found) {
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
        .next = hf->gathered, .name = name, .n = hf_metadata_i64(hf, "expert_count", 0)};
    if (g->n < 1 || g->n > 4096)
        return fail(FORMAT, "%s: %" PRId64 " experts", hf->config.file, g->n);
    TRY(arena_take(&hf->arena, (size_t)g->n * sizeof *g->slices, "tensors of experts", &block));
    g->slices = block;
    memset(g->slices, 0, (size_t)g->n * sizeof *g->slices);
    hf->gathered = *found = g;
    return OK;
}

status hf_gather_add(struct hf *hf, const struct tensor *tensor, struct text name, int64_t expert) {
    struct hf_gathered *g;
    const char *file = hf->parts[tensor->part].file.name;
    TRY(find(hf, name, &g));
    if (expert >= g->n)
        return fail(FORMAT, "%s: tensor '%.*s' is of expert %" PRId64 " of %" PRId64, file,
                    shown(tensor->name), tensor->name.data, expert, g->n);
    if (g->slices[expert].n_dims)
        return fail(FORMAT, "%s: two tensors mean expert %" PRId64 " of '%.*s'", file, expert,
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
        return fail(FORMAT, "%s: has %" PRId64 " of the %" PRId64 " experts of '%.*s'", hf->path,
                    g->n_seen, g->n, shown(g->name), g->name.data);
    for (int64_t i = 0; i < g->n; i++) {
        const struct tensor *a = &g->slices[0], *b = &g->slices[i];
        if (b->n_dims != 2 || b->dims[0] != a->dims[0] || b->dims[1] != a->dims[1] ||
            b->type != a->type || b->form != a->form)
            return fail(FORMAT, "%s: tensor '%.*s' isn't of the first expert's shape and type",
                        hf->parts[b->part].file.name, shown(b->name), b->name.data);
    }
    *tensor = (struct tensor){.name = g->name, .slices = g->slices, .n_slices = g->n};
    hf_gather_join(tensor);
    return OK;
}

status hf_gather_finish(struct hf *hf) {
    struct tensor_table *table = &hf->tables.tensors;
    for (const struct hf_gathered *g = hf->gathered; g; g = g->next)
        TRY(finish_one(hf, g, &table->items[table->count++]));
    return OK;
}

status hf_gather_split(struct hf *hf, struct tensor *tensor) {
    int last = tensor->n_dims - 1;
    int64_t n = tensor->dims[last];
    void *block;
    if (last < 1 || n < 1 || n > 4096 || tensor->dims[0] < 1)
        return fail(FORMAT, "%s: tensor '%.*s' isn't one of experts",
                    hf->parts[tensor->part].file.name, shown(tensor->name), tensor->name.data);
    TRY(arena_take(&hf->arena, (size_t)n * sizeof *tensor, "tensors of experts", &block));
    struct tensor *slices = block;
    uint64_t elements = (uint64_t)tensor->dims[0] * (uint64_t)(last > 1 ? tensor->dims[1] : 1);
    size_t stored = tensor_form_bytes(tensor->form);
    if (!stored) stored = weight_type_row_bytes(tensor->type, 1);
    for (int64_t i = 0; i < n; i++) {
        slices[i] = *tensor;
        slices[i].n_dims = last;
        slices[i].dims[last] = 1;
        slices[i].offset += (uint64_t)i * elements * stored;
        slices[i].bytes /= (uint64_t)n;
    }
    tensor->slices = slices;
    tensor->n_slices = n;
    return OK;
}
