#include "format/checkpoint.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "format/checkpoint_codes.h"
#include "format/gguf.h"
#include "format/hf.h"
#include "format/number.h"
#include "format/tensor_codes.h"
#include "format/tensor_form.h"
#include "format/weight_choice.h"

struct checkpoint {
    struct memory *memory;
    struct checkpoint_options options; /* path: our copy; reader: ours, or NULL */
    transformer_reader reader;
    const char *format;
    struct part single; /* what parts points to unless the file is split */
    struct part *parts; /* [n_parts] */
    int n_parts;
    char *part_names; /* NULL, or one block with the names of the parts after the first */
    struct hf hf;     /* of a folder: then parts and tables are its own */
    struct metadata_table metadata;
    struct tensor_table tensors;
    struct map metadata_map, tensor_map;
    bool finished;
    /* Of what is loaded: NULL, or a checksum of each tensor [n_checksums], and the one in work. */
    struct checksum *checksums;
    int n_checksums;
    struct checksum_stream *stream;
    uint64_t n_summed; /* bytes of the tensor in work */
};

static const char *metadata_key(const void *owner, uint32_t index, size_t *length) {
    const struct checkpoint *checkpoint = owner;
    *length = checkpoint->metadata.items[index].key.length;
    return checkpoint->metadata.items[index].key.data;
}

static const char *tensor_key(const void *owner, uint32_t index, size_t *length) {
    const struct checkpoint *checkpoint = owner;
    *length = checkpoint->tensors.items[index].name.length;
    return checkpoint->tensors.items[index].name.data;
}

/* ---- open ---- */

static status add_metadata(struct checkpoint *checkpoint) {
    const struct metadata_table *table = &checkpoint->metadata;
    TRY(map_reserve(&checkpoint->metadata_map, table->count));
    for (size_t i = 0; i < table->count; i++) {
        int64_t present;
        TRY(map_add(&checkpoint->metadata_map, checkpoint, metadata_key, (uint32_t)i, &present));
        if (present < 0) continue;
        struct text key = table->items[i].key;
        return fail(FORMAT, "%s: key '%.*s' is there twice, at offsets %td and %td",
                    checkpoint_name(checkpoint), key.length < 100 ? (int)key.length : 100, key.data,
                    (const uint8_t *)table->items[present].key.data - checkpoint->parts[0].head - 8,
                    (const uint8_t *)key.data - checkpoint->parts[0].head - 8);
    }
    return OK;
}

static status add_tensors(struct checkpoint *checkpoint) {
    const struct tensor_table *table = &checkpoint->tensors;
    TRY(map_reserve(&checkpoint->tensor_map, table->count));
    for (size_t i = 0; i < table->count; i++) {
        int64_t present;
        TRY(map_add(&checkpoint->tensor_map, checkpoint, tensor_key, (uint32_t)i, &present));
        if (present < 0) continue;
        struct text name = table->items[i].name;
        const struct part *part = &checkpoint->parts[table->items[i].part];
        if (!part->head)
            return fail(FORMAT, "%s: two tensors mean '%.*s'", part->file.name,
                        name.length < 100 ? (int)name.length : 100, name.data);
        return fail(FORMAT, "%s: tensor '%.*s' is there twice, the second time at offset %td",
                    part->file.name, name.length < 100 ? (int)name.length : 100, name.data,
                    (const uint8_t *)name.data - part->head - 8);
    }
    return OK;
}

/* Part `index` of a split file, whose own metadata is looked at and let go. */
static status open_later_part(struct checkpoint *checkpoint, int index, const char *name,
                              int64_t count) {
    struct memory *memory = checkpoint->memory;
    struct part *part = &checkpoint->parts[index];
    TRY(part_open(part, memory, &checkpoint->options, name));
    checkpoint->n_parts = index + 1;
    struct metadata_table keys = {0};
    uint32_t version;
    struct gguf_split split;
    status result = gguf_read_head(part, index, memory, &keys, &checkpoint->tensors, &version);
    if (result == OK) result = gguf_split_read(part, &keys, index, &split);
    if (result == OK && split.count != count)
        result = fail(FORMAT, "%s: key 'split.count' is %" PRId64 ", in the first part %" PRId64,
                      name, split.count, count);
    memory_give(memory, keys.items);
    return result;
}

static status open_later_parts(struct checkpoint *checkpoint, const struct gguf_split *split) {
    struct memory *memory = checkpoint->memory;
    const char *path = checkpoint->options.path;
    if (checkpoint->options.data)
        return fail(UNSUPPORTED,
                    "%s: is the first of %" PRId64
                    " parts of a split file; these can't be opened from memory",
                    path, split->count);
    void *block;
    TRY(memory_take_array(memory, (size_t)split->count, sizeof(struct part), "a split file's parts",
                          &block));
    checkpoint->parts = block;
    checkpoint->parts[0] = checkpoint->single;
    checkpoint->single = (struct part){0};

    size_t name_bytes = strlen(path) + 1;
    TRY(memory_take_array(memory, (size_t)split->count, name_bytes, "names of parts", &block));
    checkpoint->part_names = block;
    for (int i = 1; i < split->count; i++) {
        char *name = checkpoint->part_names + (size_t)i * name_bytes;
        memcpy(name, path, name_bytes);
        TRY(gguf_split_name(name, i, split->count));
        TRY(open_later_part(checkpoint, i, name, split->count));
    }
    if (split->n_tensors >= 0 && (size_t)split->n_tensors != checkpoint->tensors.count)
        return fail(FORMAT,
                    "%s: key 'split.tensors.count' is %" PRId64 ", the %" PRId64
                    " parts have %zu tensors",
                    path, split->n_tensors, split->count, checkpoint->tensors.count);
    return OK;
}

/* A number of heads; *n stays what it was where layers differ, or there is no such key. */
static status read_heads(const struct checkpoint *model, const char *key, int64_t *n) {
    const struct metadata *heads = checkpoint_metadata(model, key);
    if (!heads || heads->kind == METADATA_ARRAY) return OK;
    return checkpoint_read_i64(model, key, NULL, n);
}

/* What names and rows of an adapter's tensors depend on. */
static status read_base(const struct checkpoint *model, struct hf_base *base) {
    char key[160];
    int64_t width;
    bool found;
    *base = (struct hf_base){.family = model->hf.family};
    TRY(checkpoint_read_text(model, "general.architecture", NULL, &base->architecture));
    int length = base->architecture.length < 64 ? (int)base->architecture.length : 64;
    const char *architecture = base->architecture.data;
    snprintf(key, sizeof key, "%.*s.block_count", length, architecture);
    TRY(checkpoint_read_i64(model, key, NULL, &base->n_layers));
    snprintf(key, sizeof key, "%.*s.rope.pairing", length, architecture);
    base->interleaves = !checkpoint_metadata(model, key);
    snprintf(key, sizeof key, "%.*s.attention.head_count", length, architecture);
    TRY(read_heads(model, key, &base->n_heads));
    base->n_kv_heads = base->n_heads;
    snprintf(key, sizeof key, "%.*s.attention.head_count_kv", length, architecture);
    TRY(read_heads(model, key, &base->n_kv_heads));
    snprintf(key, sizeof key, "%.*s.attention.key_length", length, architecture);
    TRY(checkpoint_read_i64(model, key, &found, &base->head_dim));
    if (found) return OK;
    snprintf(key, sizeof key, "%.*s.embedding_length", length, architecture);
    TRY(checkpoint_read_i64(model, key, NULL, &width));
    base->head_dim = base->n_heads > 0 ? width / base->n_heads : 0;
    return OK;
}

static status open_hf(struct checkpoint *checkpoint) {
    struct hf_base base;
    const struct checkpoint *model = checkpoint->options.adapter_of;
    if (!model) return hf_open(&checkpoint->hf, checkpoint->memory, &checkpoint->options);
    TRY(read_base(model, &base));
    return hf_open_adapter(&checkpoint->hf, checkpoint->memory, &checkpoint->options, &base);
}

static status open_folder(struct checkpoint *checkpoint) {
    struct hf *hf = &checkpoint->hf;
    status result = open_hf(checkpoint);
    checkpoint->parts = hf->parts;
    checkpoint->n_parts = hf->n_parts;
    checkpoint->metadata = hf->metadata;
    checkpoint->tensors = hf->tables.tensors;
    checkpoint->format = "safetensors";
    TRY(result);
    TRY(add_metadata(checkpoint));
    return add_tensors(checkpoint);
}

static status open_parts(struct checkpoint *checkpoint) {
    const struct checkpoint_options *options = &checkpoint->options;
    if (options->adapter_of ? hf_is_adapter_path(options) : hf_is_path(options))
        return open_folder(checkpoint);
    const char *path = checkpoint->options.path;
    TRY(part_open(checkpoint->parts, checkpoint->memory, &checkpoint->options, path));
    checkpoint->n_parts = 1;
    uint32_t version;
    TRY(gguf_read_head(checkpoint->parts, 0, checkpoint->memory, &checkpoint->metadata,
                       &checkpoint->tensors, &version));
    checkpoint->format = version == 2 ? "GGUF v2" : "GGUF v3";
    TRY(add_metadata(checkpoint)); /* before a key is looked for: then each is there once */
    struct gguf_split split;
    TRY(gguf_split_read(checkpoint->parts, &checkpoint->metadata, 0, &split));
    if (split.count > 1) TRY(open_later_parts(checkpoint, &split));
    return add_tensors(checkpoint);
}

status checkpoint_open(struct memory *memory, const struct checkpoint_options *options,
                       struct checkpoint **checkpoint) {
    const char *path = options->path ? options->path : options->data ? "memory" : NULL;
    if (!path) return fail(INVALID_ARGUMENT, "a model needs a path or data");
    size_t path_bytes = strlen(path) + 1;
    if (path_bytes > 65536)
        return fail(INVALID_ARGUMENT, "a model's path of %zu bytes", path_bytes - 1);
    void *block;
    TRY(memory_take_zeroed(memory, sizeof(struct checkpoint) + path_bytes, "a model file's table",
                           &block));
    struct checkpoint *result = block;
    result->memory = memory;
    result->options = *options;
    result->options.path = memcpy(result + 1, path, path_bytes);
    if (options->reader) {
        result->reader = *options->reader;
        result->options.reader = &result->reader;
    }
    result->parts = &result->single;
    map_init(&result->metadata_map, memory);
    map_init(&result->tensor_map, memory);
    status opened = open_parts(result);
    if (opened != OK) {
        checkpoint_close(result);
        return opened;
    }
    *checkpoint = result;
    return OK;
}

static void give_checksums(struct checkpoint *checkpoint) {
    memory_give(checkpoint->memory, checkpoint->stream);
    memory_give(checkpoint->memory, checkpoint->checksums);
    checkpoint->stream = NULL;
    checkpoint->checksums = NULL;
}

void checkpoint_finish_loading(struct checkpoint *checkpoint) {
    give_checksums(checkpoint);
    checkpoint->finished = true;
    for (int i = 0; i < checkpoint->n_parts; i++) part_finish(&checkpoint->parts[i]);
}

status checkpoint_of_metadata(struct memory *memory, const char *name, struct metadata_table *table,
                              struct checkpoint **checkpoint) {
    struct checkpoint *made;
    TRY(MEMORY_TAKE_ONE(memory, "a table of metadata", &made));
    made->memory = memory;
    made->options.path = name;
    made->format = "metadata";
    made->parts = &made->single;
    map_init(&made->metadata_map, memory);
    map_init(&made->tensor_map, memory);
    made->metadata = *table;
    *table = (struct metadata_table){0};
    status result = add_metadata(made);
    if (result == OK)
        *checkpoint = made;
    else
        checkpoint_close(made);
    return result;
}

void checkpoint_close(struct checkpoint *checkpoint) {
    if (!checkpoint) return;
    struct memory *memory = checkpoint->memory;
    give_checksums(checkpoint);
    if (checkpoint->hf.memory) {
        hf_close(&checkpoint->hf);
    } else {
        for (int i = 0; i < checkpoint->n_parts; i++) part_close(&checkpoint->parts[i], memory);
        if (checkpoint->parts != &checkpoint->single) memory_give(memory, checkpoint->parts);
        memory_give(memory, checkpoint->part_names);
        memory_give(memory, checkpoint->metadata.items);
        memory_give(memory, checkpoint->tensors.items);
    }
    map_free(&checkpoint->metadata_map);
    map_free(&checkpoint->tensor_map);
    memory_give(memory, checkpoint);
}

const char *checkpoint_name(const struct checkpoint *checkpoint) {
    return checkpoint->options.path;
}

const char *checkpoint_format(const struct checkpoint *checkpoint) {
    return checkpoint->format;
}

uint64_t checkpoint_file_bytes(const struct checkpoint *checkpoint) {
    uint64_t bytes = 0;
    int n_files = checkpoint->n_parts - checkpoint->hf.n_vectors;
    for (int i = 0; i < n_files; i++) bytes += checkpoint->parts[i].file.size;
    return bytes;
}

uint64_t checkpoint_mapped_bytes(const struct checkpoint *checkpoint) {
    uint64_t bytes = 0;
    for (int i = 0; i < checkpoint->n_parts; i++) bytes += checkpoint->parts[i].file.mapped;
    return bytes;
}

const struct checkpoint_embedded checkpoint_embedded[] = {
    {"tokenizer.json", "tokenizer.huggingface.json"},
    {"tokenizer_config.json", "tokenizer.huggingface.tokenizer_config"},
    {"special_tokens_map.json", "tokenizer.huggingface.special_tokens_map"},
};
const size_t checkpoint_n_embedded = sizeof checkpoint_embedded / sizeof *checkpoint_embedded;

static status read_embedded(struct checkpoint *checkpoint, size_t which, uint64_t most,
                            struct memory *memory, void **bytes, size_t *size) {
    const char *key = checkpoint_embedded[which].key;
    struct text text;
    bool found;
    TRY(checkpoint_read_text(checkpoint, key, &found, &text));
    if (!found) return fail(NOT_FOUND, "%s: has no key '%s'", checkpoint_name(checkpoint), key);
    if (text.length > most)
        return fail(LIMIT, "%s: key '%s' has %zu bytes, the limit is %" PRIu64,
                    checkpoint_name(checkpoint), key, text.length, most);
    TRY(memory_take(memory, text.length + 1, "a part of a file", bytes));
    if (text.length) memcpy(*bytes, text.data, text.length);
    *size = text.length;
    return OK;
}

status checkpoint_read_file(struct checkpoint *checkpoint, const char *name, uint64_t most,
                            struct memory *memory, void **bytes, size_t *size) {
    if (checkpoint->hf.memory && !checkpoint->finished)
        return hf_read_file(&checkpoint->hf, name, most, memory, bytes, size);
    for (size_t i = 0; i < checkpoint_n_embedded; i++)
        if (strcmp(checkpoint_embedded[i].file, name) == 0)
            return read_embedded(checkpoint, i, most, memory, bytes, size);
    return fail(NOT_FOUND, "%s: has no file '%s' beside it", checkpoint_name(checkpoint), name);
}

/* ---- metadata ---- */

const struct metadata *checkpoint_metadata(const struct checkpoint *checkpoint, const char *key) {
    int64_t index = map_find(&checkpoint->metadata_map, checkpoint, metadata_key, key, strlen(key));
    return index < 0 ? NULL : &checkpoint->metadata.items[index];
}

const struct metadata *checkpoint_metadata_at(const struct checkpoint *checkpoint, size_t index) {
    return index < checkpoint->metadata.count ? &checkpoint->metadata.items[index] : NULL;
}

/* The entry of a key, NULL if it is missing and may be. */
static status look_up(const struct checkpoint *checkpoint, const char *key, bool *found,
                      const struct metadata **entry) {
    *entry = checkpoint_metadata(checkpoint, key);
    if (!*entry && !found)
        return fail(FORMAT, "%s: key '%s' is missing", checkpoint_name(checkpoint), key);
    if (found) *found = *entry != NULL;
    return OK;
}

/* An entry that isn't what its reader needs. */
static status fail_value(const struct checkpoint *checkpoint, const struct metadata *entry,
                         const char *wanted) {
    int length = entry->key.length < 100 ? (int)entry->key.length : 100;
    if (checkpoint->hf.memory)
        return fail(FORMAT, "%s: key '%.*s' is not %s", checkpoint_name(checkpoint), length,
                    entry->key.data, wanted);
    return fail(FORMAT, "%s: key '%.*s' is not %s (value at offset %td)",
                checkpoint_name(checkpoint), length, entry->key.data, wanted,
                entry->values - checkpoint->parts[0].head);
}

status checkpoint_read_i64(const struct checkpoint *checkpoint, const char *key, bool *found,
                           int64_t *value) {
    const struct metadata *entry;
    TRY(look_up(checkpoint, key, found, &entry));
    if (!entry) return OK;
    int64_t number;
    if (entry->kind == METADATA_BOOL || !number_to_i64(entry->kind, entry->values, &number))
        return fail_value(checkpoint, entry, "an integer of 64 bits");
    *value = number;
    return OK;
}

status checkpoint_read_f32(const struct checkpoint *checkpoint, const char *key, bool *found,
                           float *value) {
    const struct metadata *entry;
    TRY(look_up(checkpoint, key, found, &entry));
    if (!entry) return OK;
    float number;
    if (!number_to_f32(entry->kind, entry->values, &number) || !__builtin_isfinite(number))
        return fail_value(checkpoint, entry, "a finite number of 32 bits");
    *value = number;
    return OK;
}

status checkpoint_read_bool(const struct checkpoint *checkpoint, const char *key, bool *found,
                            bool *value) {
    const struct metadata *entry;
    TRY(look_up(checkpoint, key, found, &entry));
    if (!entry) return OK;
    if (entry->kind != METADATA_BOOL) return fail_value(checkpoint, entry, "a bool");
    *value = entry->values[0] != 0;
    return OK;
}

status checkpoint_read_text(const struct checkpoint *checkpoint, const char *key, bool *found,
                            struct text *value) {
    const struct metadata *entry;
    TRY(look_up(checkpoint, key, found, &entry));
    if (!entry) return OK;
    if (entry->kind != METADATA_STRING) return fail_value(checkpoint, entry, "a string");
    const uint8_t *cursor = entry->values;
    *value = checkpoint_next_string(&cursor);
    return OK;
}

size_t checkpoint_value_bytes(const struct metadata *entry) {
    enum metadata_kind kind = entry->kind == METADATA_ARRAY ? entry->element : entry->kind;
    if (kind != METADATA_STRING) return number_bytes(kind) * (size_t)entry->count;
    const uint8_t *end = entry->values;
    for (uint64_t i = 0; i < entry->count; i++) (void)checkpoint_next_string(&end);
    return (size_t)(end - entry->values);
}

status checkpoint_array_i64(const struct checkpoint *checkpoint, const struct metadata *array,
                            uint64_t index, int64_t *value) {
    if (array->kind != METADATA_ARRAY) return fail_value(checkpoint, array, "an array");
    assert(index < array->count);
    size_t bytes = number_bytes(array->element);
    int64_t number;
    if (!number_to_i64(array->element, array->values + index * bytes, &number))
        return fail_value(checkpoint, array, "an array of integers of 64 bits");
    *value = number;
    return OK;
}

status checkpoint_array_f32(const struct checkpoint *checkpoint, const struct metadata *array,
                            uint64_t index, float *value) {
    if (array->kind != METADATA_ARRAY) return fail_value(checkpoint, array, "an array");
    assert(index < array->count);
    size_t bytes = number_bytes(array->element);
    float number;
    if (!number_to_f32(array->element, array->values + index * bytes, &number))
        return fail_value(checkpoint, array, "an array of numbers of 32 bits");
    *value = number;
    return OK;
}

struct text checkpoint_next_string(const uint8_t **cursor) {
    uint64_t length;
    memcpy(&length, *cursor, sizeof length);
    struct text text = {(const char *)*cursor + sizeof length, (size_t)length};
    *cursor += sizeof length + length;
    return text;
}

/* ---- tensors ---- */

void checkpoint_quantize(struct checkpoint *checkpoint, enum weight_type type) {
    bool tied = !checkpoint_tensor(checkpoint, "output.weight");
    for (size_t i = 0; i < checkpoint->tensors.count; i++) {
        struct tensor *tensor = &checkpoint->tensors.items[i];
        enum weight_type own = weight_choice(tensor, type, tied);
        if (own == tensor->type) continue;
        *tensor = tensor_form_quantized(tensor, own);
        for (int64_t j = 0; j < tensor->n_slices; j++)
            tensor->slices[j] = tensor_form_quantized(&tensor->slices[j], own);
    }
}

size_t checkpoint_tensor_count(const struct checkpoint *checkpoint) {
    return checkpoint->tensors.count;
}

const struct tensor *checkpoint_tensor_at(const struct checkpoint *checkpoint, size_t index) {
    return index < checkpoint->tensors.count ? &checkpoint->tensors.items[index] : NULL;
}

const struct tensor *checkpoint_tensor(const struct checkpoint *checkpoint, const char *name) {
    int64_t index = map_find(&checkpoint->tensor_map, checkpoint, tensor_key, name, strlen(name));
    return index < 0 ? NULL : &checkpoint->tensors.items[index];
}

/* A tensor that has become plain begins where its file says. */
static void settle(struct tensor *tensor) {
    if (!tensor_form_is_plain(tensor)) return;
    size_t cols = tensor->n_dims > 1 ? (size_t)tensor->dims[0] : 1;
    tensor->offset +=
        (uint64_t)tensor->layout.first_row * weight_type_row_bytes(tensor->type, cols);
    tensor->layout.first_row = 0;
}

/* The tensor before it is quantized. */
static struct tensor natural_of(const struct tensor *tensor) {
    struct tensor natural = *tensor;
    int64_t rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    natural.quantized = false;
    natural.type = tensor->natural;
    natural.bytes =
        (uint64_t)rows * weight_type_row_bytes(tensor->natural, (size_t)tensor->dims[0]);
    settle(&natural);
    return natural;
}

static status read_quantized(struct checkpoint *checkpoint, const struct tensor *tensor,
                             uint64_t offset, size_t n, void *to) {
    struct tensor natural = natural_of(tensor);
    size_t n_cols = (size_t)tensor->dims[0];
    size_t row_bytes = weight_type_row_bytes(tensor->type, n_cols);
    size_t from_bytes = weight_type_row_bytes(natural.type, n_cols);
    if (!row_bytes || !n) return OK;
    void *scratch;
    const void *from;
    TRY(memory_take_array(checkpoint->memory, n / row_bytes, from_bytes, "reading weights",
                          &scratch));
    status result = checkpoint_data(checkpoint, &natural, offset / row_bytes * from_bytes,
                                    n / row_bytes * from_bytes, scratch, &from);
    if (result == OK) tensor_form_quantize(tensor, from, n / row_bytes, to);
    memory_give(checkpoint->memory, scratch);
    return result;
}

static status read_codes(struct checkpoint *checkpoint, const struct tensor *tensor,
                         uint64_t offset, size_t n, uint8_t *to) {
    size_t row_bytes = weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0]);
    if (!row_bytes) return OK;
    int64_t row = (int64_t)(offset / row_bytes), left = (int64_t)(n / row_bytes);
    for (int64_t now; left > 0; row += now, left -= now, to += (size_t)now * row_bytes) {
        struct tensor_run run = tensor_form_run(&tensor->layout, row);
        now = run.step > 1 ? 1 : run.n < left ? run.n : left;
        TRY(tensor_codes_rows(tensor->codes, checkpoint->parts, checkpoint->memory, run.at, now,
                              to));
    }
    return OK;
}

/* Row 2 i of a head is row i of the file, 2 i + 1 is row i + half: a head at a time. */
static status read_interleaved(struct checkpoint *checkpoint, const struct tensor *tensor,
                               uint64_t offset, size_t n, uint8_t *to) {
    struct tensor plain = *tensor;
    plain.head_rows = 0;
    settle(&plain);
    size_t unit =
        weight_type_row_bytes(tensor->type, tensor->n_dims == 1 ? 1 : (size_t)tensor->dims[0]);
    uint64_t head_rows = (uint64_t)tensor->head_rows, first = offset / unit;
    size_t head_bytes = (size_t)head_rows * unit;
    void *scratch;
    const void *head = NULL;
    TRY(memory_take(checkpoint->memory, head_bytes, "reading weights", &scratch));
    status result = OK;
    for (uint64_t row = first; result == OK && row < first + n / unit; row++) {
        uint64_t at = row % head_rows;
        if (!head || at == 0)
            result =
                checkpoint_data(checkpoint, &plain, (row - at) * unit, head_bytes, scratch, &head);
        if (result == OK)
            memcpy(to + (row - first) * unit,
                   (const uint8_t *)head + (at / 2 + at % 2 * (head_rows / 2)) * unit, unit);
    }
    memory_give(checkpoint->memory, scratch);
    return result;
}

bool checkpoint_transposes(enum weight_type type) {
    return type == WEIGHT_F32 || type == WEIGHT_F16 || type == WEIGHT_BF16;
}

/* Bytes that lie in several slices are put together in scratch. */
static status data_of_slices(struct checkpoint *checkpoint, const struct tensor *tensor,
                             uint64_t offset, size_t n, void *scratch, const void **data) {
    uint64_t slice_bytes = tensor->slices[0].bytes;
    for (size_t done = 0; done < n;) {
        const struct tensor *slice = &tensor->slices[(offset + done) / slice_bytes];
        uint64_t within = (offset + done) % slice_bytes;
        size_t now = n - done < slice_bytes - within ? n - done : (size_t)(slice_bytes - within);
        uint8_t *to = (uint8_t *)scratch + done;
        TRY(checkpoint_data(checkpoint, slice, within, now, to, data));
        if (now == n) return OK;
        if (*data != to) memcpy(to, *data, now);
        done += now;
    }
    *data = scratch;
    return OK;
}

status checkpoint_data(struct checkpoint *checkpoint, const struct tensor *tensor, uint64_t offset,
                       size_t n, void *scratch, const void **data) {
    const struct part *part = &checkpoint->parts[tensor->part];
    if (checkpoint->finished || offset > tensor->bytes || n > tensor->bytes - offset)
        return fail(INTERNAL, "%s: tensor '%.*s': bytes %" PRIu64 " + %zu can't be had",
                    part->file.name, (int)tensor->name.length, tensor->name.data, offset, n);
    if (tensor->slices && tensor->slices[0].quantized == tensor->quantized)
        return data_of_slices(checkpoint, tensor, offset, n, scratch, data);
    if (tensor->blocks.rows) {
        *data = scratch;
        size_t row_bytes = weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0]);
        return tensor_blocks_read(checkpoint, checkpoint->memory, tensor, offset / row_bytes,
                                  n / row_bytes, scratch);
    }
    if (tensor->quantized) {
        *data = scratch;
        return read_quantized(checkpoint, tensor, offset, n, scratch);
    }
    if (tensor->head_rows) {
        *data = scratch;
        return read_interleaved(checkpoint, tensor, offset, n, scratch);
    }
    if (tensor->form == TENSOR_CODES) {
        *data = scratch;
        return read_codes(checkpoint, tensor, offset, n, scratch);
    }
    if (!tensor_form_is_plain(tensor)) {
        size_t size = weight_type_row_bytes(tensor->type, 1);
        *data = scratch;
        return tensor_form_read(&part->file, tensor, offset / size, n / size, scratch);
    }
    uint64_t at = tensor->offset + offset;
    if (part->file.bytes) {
        *data = part->file.bytes + at;
        return OK;
    }
    TRY(file_read(&part->file, at, n, scratch));
    *data = scratch;
    return OK;
}

static bool is_e4m3(const struct tensor *tensor) {
    return tensor->form == TENSOR_CODES && tensor->codes->layout == CODES_E4M3 &&
           !tensor->codes->groups && !tensor->slices && !tensor->quantized &&
           !tensor->blocks.rows && tensor->add == 0.0f && !tensor->layout.stored_rows &&
           tensor->n_dims >= 2 && tensor->dims[0] == tensor->codes->n_cols;
}

bool checkpoint_has_e4m3(const struct tensor *tensor, int64_t *group) {
    const struct tensor *first = tensor->slices ? &tensor->slices[0] : tensor;
    if (!is_e4m3(first)) return false;
    for (int64_t i = 1; i < tensor->n_slices; i++)
        if (!is_e4m3(&tensor->slices[i]) || tensor->slices[i].codes->group != first->codes->group)
            return false;
    *group = first->codes->group;
    return !tensor->quantized && !tensor->blocks.rows &&
           (!tensor->slices || (!tensor->head_rows && tensor->dims[1] == first->dims[1]));
}

/* One matrix; its rows may lie otherwise in the file. */
static status read_e4m3(struct checkpoint *checkpoint, const struct tensor *tensor, int64_t first,
                        int64_t n, uint8_t *codes, float *scales) {
    const int64_t head_rows = tensor->head_rows;
    for (int64_t done = 0, now; done < n; done += now) {
        int64_t row = first + done, most = n - done;
        if (head_rows) { /* as in read_interleaved */
            const int64_t at = row % head_rows;
            row += at / 2 + at % 2 * (head_rows / 2) - at;
            most = 1;
        }
        const struct tensor_run run = tensor_form_run(&tensor->layout, row);
        now = run.step > 1 ? 1 : run.n < most ? run.n : most;
        TRY(tensor_codes_e4m3(tensor->codes, checkpoint->parts, checkpoint->memory, run.at, now,
                              codes + done * tensor->codes->n_cols,
                              scales + done * tensor->codes->n_groups));
    }
    return OK;
}

status checkpoint_e4m3(struct checkpoint *checkpoint, const struct tensor *tensor, int64_t first,
                       int64_t n, uint8_t *codes, float *scales) {
    const int64_t rows = tensor->dims[1], n_rows = rows * tensor->dims[2] * tensor->dims[3];
    if (checkpoint->finished || first < 0 || n < 0 || first > n_rows || n > n_rows - first)
        return fail(INTERNAL, "tensor '%.*s': rows %" PRId64 " + %" PRId64 " can't be had",
                    (int)tensor->name.length, tensor->name.data, first, n);
    if (!tensor->slices) return read_e4m3(checkpoint, tensor, first, n, codes, scales);
    for (int64_t done = 0, now; done < n; done += now) {
        const struct tensor *slice = &tensor->slices[(first + done) / rows];
        const int64_t row = (first + done) % rows;
        now = rows - row < n - done ? rows - row : n - done;
        TRY(read_e4m3(checkpoint, slice, row, now, codes + done * slice->codes->n_cols,
                      scales + done * slice->codes->n_groups));
    }
    return OK;
}

status checkpoint_reserve_checksums(struct checkpoint *checkpoint, int n) {
    TRY(MEMORY_TAKE_ARRAY(checkpoint->memory, (size_t)n, "checksums of weights",
                          &checkpoint->checksums));
    checkpoint->n_checksums = n;
    return checksum_stream_create(checkpoint->memory, &checkpoint->stream);
}

status checkpoint_load(struct checkpoint *checkpoint, int id, const struct tensor *tensor,
                       uint64_t offset, size_t n, void *scratch, const void **data) {
    TRY(checkpoint_data(checkpoint, tensor, offset, n, scratch, data));
    if (!checkpoint->stream) return OK;
    if (offset == 0) {
        checksum_stream_begin(checkpoint->stream);
        checkpoint->n_summed = 0;
    }
    if (offset != checkpoint->n_summed || id < 0 || id >= checkpoint->n_checksums)
        return fail(INTERNAL, "tensor '%.*s' is not loaded front to back", (int)tensor->name.length,
                    tensor->name.data);
    checksum_stream_add(checkpoint->stream, *data, n);
    checkpoint->n_summed += n;
    if (checkpoint->n_summed == tensor->bytes)
        checkpoint->checksums[id] = checksum_stream_end(checkpoint->stream);
    return OK;
}

struct checksum checkpoint_checksum(const struct checkpoint *checkpoint, int id) {
    return checkpoint->checksums[id];
}

void checkpoint_drop(struct checkpoint *checkpoint, const struct tensor *tensor, uint64_t offset,
                     size_t n) {
    if (checkpoint->finished || tensor->blocks.rows) return; /* another may be of the same bytes */
    while (tensor->slices && n) {
        uint64_t slice_bytes = tensor->slices[0].bytes, within = offset % slice_bytes;
        size_t now = n < slice_bytes - within ? n : (size_t)(slice_bytes - within);
        checkpoint_drop(checkpoint, &tensor->slices[offset / slice_bytes], within, now);
        offset += now;
        n -= now;
    }
    if (!n) return;
    if (tensor->quantized) {
        size_t row_bytes = weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0]);
        size_t natural = weight_type_row_bytes(tensor->natural, (size_t)tensor->dims[0]);
        struct tensor plain = natural_of(tensor);
        if (row_bytes)
            checkpoint_drop(checkpoint, &plain, offset / row_bytes * natural,
                            n / row_bytes * natural);
        return;
    }
    if (tensor->form == TENSOR_CODES) return;
    uint64_t at = tensor->offset + offset, bytes = n;
    if (!tensor_form_is_plain(tensor)) {
        size_t size = weight_type_row_bytes(tensor->type, 1);
        tensor_form_range(tensor, offset / size, n / size, &at, &bytes);
    }
    if (bytes) file_drop(&checkpoint->parts[tensor->part].file, at, bytes);
}
