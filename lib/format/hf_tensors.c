#include <stdio.h>
#include <string.h>

#include "format/hf.h"
#include "format/tensor_form.h"

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

/* A pattern ends at its "|". */
static int write_name(char *name, size_t size, const char *pattern, int64_t layer) {
    const char *mark = strstr(pattern, "%d");
    int n = (int)strcspn(pattern, "|");
    if (!mark || mark - pattern >= n) return snprintf(name, size, "%.*s", n, pattern);
    int before = (int)(mark - pattern);
    return snprintf(name, size, "%.*s%" PRId64 "%.*s", before, pattern, layer, n - before - 2,
                    mark + 2);
}

static status make_name(struct hf *hf, const char *pattern, int64_t layer, struct text *made) {
    char name[128];
    int n = write_name(name, sizeof name, pattern, layer);
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
    if (tensor->form == TENSOR_AS_IS || tensor->form == TENSOR_CODES) return;
    tensor->add = add_one ? 1.0f : 0.0f;
    tensor->type = WEIGHT_F32;
    tensor->bytes = tensor->bytes / bytes[tensor->form] * sizeof(float);
}

/* RoBERTa's positions begin after that of padding, whose row nothing else reads. */
static status leave_out_padding(const struct hf *hf, struct tensor *tensor) {
    int64_t padding = 1;
    bool found;
    TRY(hf_config_integer(&hf->config, "pad_token_id", &found, &padding));
    if (padding < 0 || padding >= tensor->dims[1] - 1 || tensor->n_dims != 2)
        return fail(FORMAT, "%s: key 'pad_token_id' is %" PRId64 " with %" PRId64 " positions",
                    hf->config.file, padding, tensor->dims[1]);
    struct tensor whole = *tensor;
    tensor_form_view(&whole, padding + 1, whole.dims[1] - padding - 1, tensor);
    return OK;
}

static void transpose(struct tensor *tensor) {
    int64_t stored = tensor->dims[0];
    tensor->layout.stored_rows = stored;
    tensor->dims[0] = tensor->dims[1];
    tensor->dims[1] = stored;
}

/* Experts' matrices, or their vectors. Blocks of MXFP4 lie along the inputs: they are not
 * transposed. */
static status lay_out_slices(struct hf *hf, enum hf_values values, struct tensor *tensor) {
    if (values == HF_TRANSPOSED && tensor->form == TENSOR_CODES) return OK;
    TRY(hf_gather_split(hf, tensor));
    struct tensor *slices = (struct tensor *)tensor->slices;
    for (int64_t i = 0; i < tensor->n_slices; i++) {
        bool matrix = slices[i].n_dims == 2;
        if (matrix && tensor->form != TENSOR_CODES) transpose(&slices[i]);
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

status hf_tensors_group(const struct hf *hf, struct tensor *tensor, int64_t n_heads,
                        int64_t n_groups) {
    int64_t rows = tensor->dims[tensor->n_dims == 2 ? 1 : 0];
    bool few = n_groups >= 1 && n_groups <= n_heads && n_heads <= rows; /* what follows counts */
    int64_t heads = few ? n_heads + 2 * n_groups : 1;
    if (tensor->n_dims > 2 || !few || n_heads % n_groups || rows % heads)
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

/* What the family's table says about a tensor's rows. */
static status lay_out(struct hf *hf, enum hf_values values, struct tensor *tensor) {
    bool matrix = tensor->n_dims == 2;
    /* Packed along the other dimension, codes have one order whatever module they are of. */
    bool packed =
        hf->quantized.method == HF_QUANTIZATION_AWQ || hf->quantized.method == HF_QUANTIZATION_GPTQ;
    if (values == HF_IN_TURNS || (values == HF_TRANSPOSED && tensor->n_dims == 3))
        return lay_out_slices(hf, values, tensor);
    if (values == HF_TRANSPOSED && tensor->form == TENSOR_CODES) {
        if (packed) return OK;
        return fail(UNSUPPORTED, "%s: tensor '%.*s' is quantized and transposed",
                    hf->parts[tensor->part].file.name,
                    tensor->name.length < 200 ? (int)tensor->name.length : 200, tensor->name.data);
    }
    if (values == HF_TRANSPOSED && matrix) transpose(tensor);
    if (values == HF_POSITIONS) return leave_out_padding(hf, tensor);
    if (values != HF_BY_GROUPS) return OK;
    int64_t n_heads = hf_metadata_i64(hf, "attention.head_count", 1);
    return hf_tensors_group(hf, tensor, n_heads,
                            hf_metadata_i64(hf, "attention.head_count_kv", n_heads));
}

static const char *file_of(const struct hf *hf, const struct tensor *tensor) {
    return hf->parts[tensor->part].file.name;
}

/* Layers that a row with %d is for. */
static int64_t layers_of(const struct hf *hf, const struct hf_tensor *row) {
    static const char begin[] = "decoder.";
    return strncmp(row->name, begin, sizeof begin - 1) == 0 ? hf->n_decoder_layers : hf->n_layers;
}

static bool contains(const char *text, const char *part) {
    return strstr(text, part) != NULL;
}

/* Rows of queries and keys of a family whose GGUF files rotate adjacent pairs, where transformers
 * rotates (i, i + n/2). */
static status pair_rows(const struct hf *hf, const char *target, struct tensor *tensor) {
    bool rotated = contains(target, ".attn_q.") || contains(target, ".attn_k.") ||
                   contains(target, ".attn_q_norm.") || contains(target, ".attn_k_norm.");
    int64_t rows = tensor->dims[tensor->n_dims == 1 ? 0 : 1];
    if (!rotated || !hf->interleaves) return OK;
    if (hf->head_dim < 2 || hf->head_dim % 2 != 0 || rows % hf->head_dim != 0)
        return fail(FORMAT, "%s: tensor '%.*s' has %" PRId64 " rows, heads have %" PRId64,
                    file_of(hf, tensor), (int)tensor->name.length, tensor->name.data, rows,
                    hf->head_dim);
    tensor->head_rows = hf->head_dim;
    return OK;
}

/* false: it is of images. */
static bool strip_model(const struct hf_family *family, struct text *name) {
    if (!family->nested) {
        *name = strip_all(*name, family->prefixes ? family->prefixes : "model.");
        return true;
    }
    *name = strip(*name, "language_model.");
    *name = strip(*name, "model.");
    *name = strip(*name, "language_model.");
    static const char *const others[] = {"vision_tower.", "multi_modal_projector.", "audio_tower.",
                                         "embed_vision.", "vision_embedder.",       "embed_audio."};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (starts_with(*name, others[i])) return false;
    return true;
}

bool hf_tensors_target(const struct hf_family *family, const char *name, int64_t n_layers,
                       char *target, size_t size, bool *by_groups) {
    struct text own = {name, strlen(name)};
    if (!strip_model(family, &own)) return false;
    for (const struct hf_tensor *row = family->tensors; row->name; row++) {
        int64_t layer, expert;
        *by_groups = row->values == HF_BY_GROUPS;
        bool plain = row->values == HF_AS_THEY_ARE || row->values == HF_TRANSPOSED || *by_groups;
        if (!row->target || !plain || strchr(row->target, '|') ||
            !matches(own, row->name, &layer, &expert) || layer >= n_layers || expert >= 0)
            continue;
        write_name(target, size, row->target, layer);
        return true;
    }
    return false;
}

bool hf_tensors_has(const struct hf *hf, struct text name) {
    if (!strip_model(hf->family, &name)) return false;
    for (const struct hf_tensor *row = hf->family->tensors; row->name; row++) {
        int64_t layer, expert;
        if (matches(name, row->name, &layer, &expert) && hf_applies(hf, row->when)) return true;
    }
    return false;
}

/* Which rows the family's table has for this folder, as it is before any tensor is renamed. */
static void find_rows(const struct hf *hf, bool *applies) {
    const struct tensor_table *table = &hf->tables.tensors;
    for (int i = 0; hf->family->tensors[i].name; i++) {
        const char *when = hf->family->tensors[i].when;
        applies[i] = when && when[0] == '-' ? true : hf_applies(hf, when);
        for (size_t k = 0; when && when[0] == '-' && k < table->count; k++) {
            struct text name = table->items[k].name;
            if (strip_model(hf->family, &name) && name.length == strlen(when + 1) &&
                memcmp(name.data, when + 1, name.length) == 0)
                applies[i] = false;
        }
    }
}

static bool is_later(const struct hf *hf, int64_t layer) {
    int64_t n = 1; /* the class's default */
    bool found;
    if (hf_config_integer(&hf->config, "num_nextn_predict_layers", &found, &n) != OK) return false;
    return layer >= hf->n_layers && layer - hf->n_layers < n;
}

status hf_tensors_convert(struct tensor *tensor) {
    convert(tensor, false);
    return OK;
}

static bool of_layer(const struct hf *hf, const struct hf_tensor *row, int64_t layer) {
    if (row->layers == HF_LATER_LAYERS) return is_later(hf, layer);
    if (layer >= layers_of(hf, row) || layer >= HF_MOST_LAYERS) return false;
    if (layer < 0 || row->layers == HF_EVERY_LAYER) return true;
    return hf->dense[layer] == (row->layers == HF_DENSE_LAYERS);
}

/* keep: whether the tensor means something of its own. */
static status rename_one(struct hf *hf, const bool *applies, size_t index, int64_t *counts,
                         bool *keep) {
    struct tensor *tensor = &hf->tables.tensors.items[index];
    const struct safetensors_dtype *dtype = hf->tables.dtypes[index];
    struct text full = tensor->name, name = full;
    int length = full.length < 200 ? (int)full.length : 200;
    *keep = false;
    if (!strip_model(hf->family, &name)) return OK;
    for (int i = 0; hf->family->tensors[i].name; i++) {
        const struct hf_tensor *row = &hf->family->tensors[i];
        int64_t layer, expert;
        if (!applies[i] || !matches(name, row->name, &layer, &expert) || !of_layer(hf, row, layer))
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
        const char *second = strchr(row->target, '|');
        if (second) {
            TRY(make_name(hf, second + 1, layer, &target));
            TRY(hf_gather_halve(hf, tensor, target));
        }
        TRY(make_name(hf, row->target, layer, &target));
        if (expert >= 0) return hf_gather_add(hf, tensor, target, expert, row->count);
        tensor->name = target;
        return pair_rows(hf, row->target, tensor);
    }
    return fail(
        UNSUPPORTED,
        "%s: tensor '%.*s' is not one that model_type '%s' with this config is known to have",
        file_of(hf, tensor), length, full.data, hf->family->model_type);
}

static bool has_tensor(const struct hf *hf, const char *name) {
    const struct tensor_table *table = &hf->tables.tensors;
    for (size_t i = 0; i < table->count; i++)
        if (table->items[i].name.length == strlen(name) &&
            memcmp(table->items[i].name.data, name, strlen(name)) == 0)
            return true;
    return false;
}

/* The table that a class computes, where a file doesn't have those of both sides. */
static status add_positions(struct hf *hf) {
    struct tensor_table *table = &hf->tables.tensors;
    int64_t width = hf_metadata_i64(hf, "embedding_length", 0);
    int64_t rows =
        hf_metadata_i64(hf, "context_length", 0) + hf_metadata_i64(hf, "position_offset", 0);
    if (hf->family->positions == HF_POSITIONS_NONE ||
        (has_tensor(hf, "enc.position_embd.weight") && has_tensor(hf, "dec.position_embd.weight")))
        return OK;
    bool ends = hf->family->positions == HF_SINUSOID_ENDS;
    if (width < 4 || width > 1 << 20 || rows > 1 << 24)
        return fail(UNSUPPORTED, "%s: positions of %" PRId64 " x %" PRId64, hf->path, rows, width);
    if (table->count == table->capacity) {
        struct tensor *items;
        TRY(MEMORY_TAKE_ARRAY(hf->memory, table->count + 1, "the tensors' table", &items));
        if (table->count) memcpy(items, table->items, table->count * sizeof *items);
        memory_give(hf->memory, table->items);
        table->items = items;
        table->capacity = table->count + 1;
    }
    static const char name[] = "position_embd.weight";
    table->items[table->count++] = (struct tensor){
        .name = {name, sizeof name - 1},
        .type = WEIGHT_F32,
        .form = ends ? TENSOR_SINUSOID_ENDS : TENSOR_SINUSOID,
        .n_dims = 2,
        .dims = {width, rows, 1, 1},
        .bytes = (uint64_t)width * (uint64_t)rows * sizeof(float),
    };
    return OK;
}

static bool needed_once(const struct hf_tensor *row) {
    return strstr(row->name, "%d") == NULL;
}

status hf_tensors_rename(struct hf *hf) {
    struct tensor_table *table = &hf->tables.tensors;
    int64_t counts[MAX_ROWS] = {0};
    bool applies[MAX_ROWS];
    size_t kept = 0;
    find_rows(hf, applies);
    for (size_t i = 0; i < table->count; i++) {
        bool keep;
        TRY(rename_one(hf, applies, i, counts, &keep));
        if (keep) table->items[kept++] = table->items[i];
    }
    table->count = kept;
    TRY(hf_gather_finish(hf));
    for (int i = 0; hf->family->tensors[i].name; i++) {
        const struct hf_tensor *row = &hf->family->tensors[i];
        int64_t needed = needed_once(row) ? 1 : 0, count = 0;
        for (int64_t layer = 0; !needed_once(row) && layer < layers_of(hf, row); layer++)
            needed += of_layer(hf, row, layer);
        bool optional = row->when && row->when[0] == '?';
        if (!row->target || optional || !applies[i]) continue;
        for (int k = 0; hf->family->tensors[k].name; k++) {
            const char *target = hf->family->tensors[k].target;
            if (target && strcmp(target, row->target) == 0) count += counts[k];
        }
        if (count == needed) continue;
        return fail(FORMAT, "%s: has %" PRId64 " tensors '%s' instead of %" PRId64, hf->path, count,
                    row->name, needed);
    }
    return add_positions(hf);
}
