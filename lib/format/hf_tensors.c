#include <stdio.h>
#include <string.h>

#include "format/hf.h"

enum { MAX_ROWS = 256 }; /* of a family's table */

/* What comes before the names of the table: "model.", where there are images too
 * "language_model.model." or "model.language_model.". */
static struct text strip(struct text name, const char *begin) {
    size_t n = strlen(begin);
    if (name.length < n || memcmp(name.data, begin, n) != 0) return name;
    return (struct text){name.data + n, name.length - n};
}

/* Without each of `prefixes`, "model.|decoder.", in turn. */
static struct text strip_all(struct text name, const char *prefixes) {
    while (*prefixes) {
        char prefix[64];
        size_t n = strcspn(prefixes, "|");
        snprintf(prefix, sizeof prefix, "%.*s", (int)n, prefixes);
        name = strip(name, prefix);
        prefixes += n + (prefixes[n] == '|');
    }
    return name;
}

static bool starts_with(struct text name, const char *begin) {
    return strip(name, begin).length != name.length;
}

/* The number that the name begins with; false: it begins with none. */
static bool take_number(struct text *name, int64_t *number) {
    size_t n = 0;
    *number = 0;
    for (; n < name->length && n < 6; n++) {
        if (name->data[n] < '0' || name->data[n] > '9') break;
        *number = *number * 10 + (name->data[n] - '0');
    }
    if (n == 0 || (name->data[0] == '0' && n > 1)) return false;
    *name = (struct text){name->data + n, name->length - n};
    return true;
}

/* Whether the name is the pattern's, with a number for each %d. */
static bool matches(struct text name, const char *pattern, int64_t *layer, int64_t *expert) {
    int64_t *numbers[] = {layer, expert};
    *layer = *expert = -1;
    for (int i = 0;; i++) {
        const char *mark = strstr(pattern, "%d");
        if (!mark || i == 2) break;
        size_t n = (size_t)(mark - pattern);
        if (name.length < n || memcmp(name.data, pattern, n) != 0) return false;
        name = (struct text){name.data + n, name.length - n};
        if (!take_number(&name, numbers[i])) return false;
        pattern = mark + 2;
    }
    size_t n = strlen(pattern);
    bool any_end = n && pattern[n - 1] == '*';
    if (any_end ? name.length < n - 1 : name.length != n) return false;
    return memcmp(name.data, pattern, any_end ? n - 1 : n) == 0;
}

static status make_name(struct hf *hf, const char *pattern, int64_t layer, struct text *made) {
    char name[128];
    const char *mark = strstr(pattern, "%d");
    int n = mark ? snprintf(name, sizeof name, "%.*s%" PRId64 "%s", (int)(mark - pattern), pattern,
                            layer, mark + 2)
                 : snprintf(name, sizeof name, "%s", pattern);
    void *kept;
    TRY(arena_take(&hf->arena, (size_t)n, "tensors' names", &kept));
    memcpy(kept, name, (size_t)n);
    *made = (struct text){kept, (size_t)n};
    return OK;
}

/* Converted tensors are F32 to their readers. */
static void convert(struct tensor *tensor, bool add_one) {
    uint64_t bytes[] = {[TENSOR_F64] = 8, [TENSOR_F32] = 4, [TENSOR_F16] = 2, [TENSOR_BF16] = 2};
    if (add_one && tensor->form == TENSOR_AS_IS)
        tensor->form = tensor->type == WEIGHT_F32   ? TENSOR_F32
                       : tensor->type == WEIGHT_F16 ? TENSOR_F16
                                                    : TENSOR_BF16;
    if (tensor->form == TENSOR_AS_IS) return;
    tensor->add = add_one ? 1.0f : 0.0f;
    tensor->type = WEIGHT_F32;
    tensor->bytes = tensor->bytes / bytes[tensor->form] * sizeof(float);
}

static void transpose(struct tensor *tensor) {
    int64_t stored = tensor->dims[0];
    tensor->layout.stored_rows = stored;
    tensor->dims[0] = tensor->dims[1];
    tensor->dims[1] = stored;
}

/* Experts' matrices, or their vectors. */
static status lay_out_slices(struct hf *hf, enum hf_values values, struct tensor *tensor) {
    TRY(hf_gather_split(hf, tensor));
    struct tensor *slices = (struct tensor *)tensor->slices;
    for (int64_t i = 0; i < tensor->n_slices; i++) {
        bool matrix = slices[i].n_dims == 2;
        if (matrix) transpose(&slices[i]);
        if (values != HF_IN_TURNS) continue;
        int64_t rows = slices[i].dims[matrix ? 1 : 0];
        if (rows % 2)
            return fail(FORMAT, "%s: tensor '%.*s' has %" PRId64 " rows, not two weights in turns",
                        hf->parts[tensor->part].file.name, (int)tensor->name.length,
                        tensor->name.data, rows);
        slices[i].layout.n_groups = rows / 2;
        slices[i].layout.parts[0] = slices[i].layout.parts[1] = 1;
    }
    hf_gather_join(tensor);
    return OK;
}

/* What the family's table says about a tensor's rows. */
static status lay_out(struct hf *hf, enum hf_values values, struct tensor *tensor) {
    bool matrix = tensor->n_dims == 2;
    if (values == HF_IN_TURNS || (values == HF_TRANSPOSED && tensor->n_dims == 3))
        return lay_out_slices(hf, values, tensor);
    if (values == HF_TRANSPOSED && matrix) transpose(tensor);
    if (values != HF_BY_GROUPS) return OK;
    int64_t n_heads = hf_metadata_i64(hf, "attention.head_count", 1);
    int64_t n_groups = hf_metadata_i64(hf, "attention.head_count_kv", n_heads);
    int64_t rows = tensor->dims[matrix ? 1 : 0], heads = n_heads + 2 * n_groups;
    if (tensor->n_dims > 2 || n_heads % n_groups || rows % heads || rows == 0)
        return fail(FORMAT,
                    "%s: tensor '%.*s' has %" PRId64 " rows, not a number for each of %" PRId64
                    " heads and twice %" PRId64 " of keys",
                    hf->parts[tensor->part].file.name,
                    tensor->name.length < 200 ? (int)tensor->name.length : 200, tensor->name.data,
                    rows, n_heads, n_groups);
    if (n_groups == 1) return OK;
    int64_t head_dim = rows / heads;
    tensor->layout.n_groups = n_groups;
    tensor->layout.parts[0] = n_heads / n_groups * head_dim;
    tensor->layout.parts[1] = tensor->layout.parts[2] = head_dim;
    return OK;
}

static const char *file_of(const struct hf *hf, const struct tensor *tensor) {
    return hf->parts[tensor->part].file.name;
}

static bool of_layer(const struct hf *hf, const struct hf_tensor *row, int64_t layer) {
    if (layer >= hf->n_layers || layer >= HF_MOST_LAYERS) return false;
    if (layer < 0 || row->layers == HF_EVERY_LAYER) return true;
    return hf->dense[layer] == (row->layers == HF_DENSE_LAYERS);
}

/* keep: whether the tensor means something of its own. */
static status rename_one(struct hf *hf, size_t index, int64_t *counts, bool *keep) {
    struct tensor *tensor = &hf->tables.tensors.items[index];
    const struct safetensors_dtype *dtype = hf->tables.dtypes[index];
    struct text full = tensor->name, name = full;
    int length = full.length < 200 ? (int)full.length : 200;
    *keep = false;
    if (hf->family->nested) {
        name = strip(name, "language_model.");
        name = strip(name, "model.");
        name = strip(name, "language_model.");
        if (starts_with(name, "vision_tower.") || starts_with(name, "multi_modal_projector."))
            return OK;
    } else {
        name = strip_all(name, hf->family->prefixes ? hf->family->prefixes : "model.");
    }
    for (int i = 0; hf->family->tensors[i].name; i++) {
        const struct hf_tensor *row = &hf->family->tensors[i];
        int64_t layer, expert;
        if (!matches(name, row->name, &layer, &expert) || !of_layer(hf, row, layer) ||
            !hf_applies(hf, row->when))
            continue;
        if (expert <= 0) counts[i]++;
        if (!row->target) return OK;
        if (!dtype->readable)
            return fail(UNSUPPORTED, "%s: tensor '%.*s' has dtype %s", file_of(hf, tensor), length,
                        full.data, dtype->name);
        *keep = expert < 0;
        convert(tensor, row->values == HF_ADD_ONE);
        TRY(lay_out(hf, row->values, tensor));
        struct text target;
        TRY(make_name(hf, row->target, layer, &target));
        if (expert >= 0) return hf_gather_add(hf, tensor, target, expert);
        tensor->name = target;
        return OK;
    }
    return fail(
        UNSUPPORTED,
        "%s: tensor '%.*s' is not one that model_type '%s' with this config is known to have",
        file_of(hf, tensor), length, full.data, hf->family->model_type);
}

static bool needed_once(const struct hf_tensor *row) {
    return strstr(row->name, "%d") == NULL;
}

status hf_tensors_rename(struct hf *hf) {
    struct tensor_table *table = &hf->tables.tensors;
    int64_t counts[MAX_ROWS] = {0};
    size_t kept = 0;
    for (size_t i = 0; i < table->count; i++) {
        bool keep;
        TRY(rename_one(hf, i, counts, &keep));
        if (keep) table->items[kept++] = table->items[i];
    }
    table->count = kept;
    TRY(hf_gather_finish(hf));
    for (int i = 0; hf->family->tensors[i].name; i++) {
        const struct hf_tensor *row = &hf->family->tensors[i];
        int64_t needed = needed_once(row) ? 1 : 0, count = 0;
        for (int64_t layer = 0; !needed_once(row) && layer < hf->n_layers; layer++)
            needed += of_layer(hf, row, layer);
        bool optional = row->when && row->when[0] == '?';
        if (!row->target || optional || !hf_applies(hf, row->when)) continue;
        for (int k = 0; hf->family->tensors[k].name; k++) {
            const char *target = hf->family->tensors[k].target;
            if (target && strcmp(target, row->target) == 0) count += counts[k];
        }
        if (count == needed) continue;
        return fail(FORMAT, "%s: has %" PRId64 " tensors '%s' instead of %" PRId64, hf->path, count,
                    row->name, needed);
    }
    return OK;
}
