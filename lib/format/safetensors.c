#include "format/safetensors.h"

#include <string.h>

#include "base/checked.h"
#include "format/json.h"

enum { MAX_NAME = 1024, MAX_SHAPE = 64 };

static const struct safetensors_dtype dtypes[] = {
    {"F32", 32, true, WEIGHT_F32, TENSOR_AS_IS},
    {"F16", 16, true, WEIGHT_F16, TENSOR_AS_IS},
    {"BF16", 16, true, WEIGHT_BF16, TENSOR_AS_IS},
    {"F64", 64, true, WEIGHT_F32, TENSOR_F64},
    {.name = "BOOL", .bits = 8},
    {.name = "U8", .bits = 8},
    {.name = "I8", .bits = 8},
    {.name = "U16", .bits = 16},
    {.name = "I16", .bits = 16},
    {.name = "U32", .bits = 32},
    {.name = "I32", .bits = 32},
    {.name = "U64", .bits = 64},
    {.name = "I64", .bits = 64},
    {.name = "C64", .bits = 64},
    {.name = "F8_E4M3", .bits = 8},
    {.name = "F8_E5M2", .bits = 8},
    {.name = "F8_E8M0", .bits = 8},
    {.name = "F6_E2M3", .bits = 6},
    {.name = "F6_E3M2", .bits = 6},
    {.name = "F4", .bits = 4},
};

/* What is being read, for messages. */
struct entry {
    const char *file, *name;
    struct json *json;
    const struct safetensors_dtype *dtype;
    int64_t shape[4];
    int n_dims;
    uint64_t elements;
    uint64_t begin, end;
    bool has_shape, has_offsets;
};

static status fail_entry(const struct entry *entry, const char *what) {
    return fail(FORMAT, "%s: tensor '%.100s': %s (before offset %" PRIu64 ")", entry->file,
                entry->name, what, entry->json->base + entry->json->at);
}

static status read_dtype(struct entry *entry) {
    struct json_value value;
    TRY(json_read(entry->json, &value));
    if (entry->dtype) return fail_entry(entry, "has two dtypes");
    if (value.kind != JSON_STRING) return fail_entry(entry, "its dtype is no string");
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (json_is(&value, dtypes[i].name)) entry->dtype = &dtypes[i];
    if (entry->dtype) return OK;
    return fail(UNSUPPORTED, "%s: tensor '%.100s' has dtype '%.*s', which is not known",
                entry->file, entry->name, value.text.length < 32 ? (int)value.text.length : 32,
                value.text.data);
}

static status read_shape(struct entry *entry) {
    struct json_value value;
    TRY(json_read(entry->json, &value));
    if (entry->has_shape) return fail_entry(entry, "has two shapes");
    if (value.kind != JSON_ARRAY) return fail_entry(entry, "its shape is no array");
    entry->has_shape = true;
    entry->elements = 1;
    bool first = true, more;
    for (;;) {
        int64_t dim;
        TRY(json_element(entry->json, &first, &more));
        if (!more) return OK;
        TRY(json_read(entry->json, &value));
        if (!json_to_i64(&value, &dim) || dim < 0)
            return fail_entry(entry, "its shape has what is no size");
        if (entry->n_dims == MAX_SHAPE) return fail_entry(entry, "has more than 64 dimensions");
        if (entry->n_dims < 4) entry->shape[entry->n_dims] = dim;
        entry->n_dims++;
        if (mul_overflows(entry->elements, (uint64_t)dim, &entry->elements) ||
            entry->elements > INT64_MAX)
            return fail_entry(entry, "its shape is more than 63 bits can count");
    }
}

static status read_offsets(struct entry *entry) {
    struct json_value value;
    int64_t bounds[2];
    bool first = true, more;
    TRY(json_read(entry->json, &value));
    if (entry->has_offsets) return fail_entry(entry, "has data_offsets twice");
    if (value.kind != JSON_ARRAY) return fail_entry(entry, "its data_offsets are no array");
    entry->has_offsets = true;
    for (int i = 0; i < 3; i++) {
        TRY(json_element(entry->json, &first, &more));
        if (more != (i < 2)) return fail_entry(entry, "its data_offsets are not two");
        if (!more) break;
        TRY(json_read(entry->json, &value));
        if (!json_to_i64(&value, &bounds[i]) || bounds[i] < 0)
            return fail_entry(entry, "its data_offsets are no offsets");
    }
    if (bounds[0] > bounds[1]) return fail_entry(entry, "its data ends before it begins");
    entry->begin = (uint64_t)bounds[0];
    entry->end = (uint64_t)bounds[1];
    return OK;
}

static status read_entry(struct entry *entry, const struct json_value *object) {
    bool first = true, more;
    struct json_value key;
    if (object->kind != JSON_OBJECT) return fail_entry(entry, "is no JSON object");
    for (;;) {
        TRY(json_member(entry->json, &first, &more, &key));
        if (!more) break;
        if (json_is(&key, "dtype"))
            TRY(read_dtype(entry));
        else if (json_is(&key, "shape"))
            TRY(read_shape(entry));
        else if (json_is(&key, "data_offsets"))
            TRY(read_offsets(entry));
        else
            return fail_entry(entry, "has a member besides dtype, shape and data_offsets");
    }
    if (!entry->dtype || !entry->has_shape || !entry->has_offsets)
        return fail_entry(entry, "lacks dtype, shape or data_offsets");
    uint64_t bits;
    if (mul_overflows(entry->elements, (uint64_t)entry->dtype->bits, &bits) || bits % 8 != 0)
        return fail_entry(entry, "its shape and dtype give no number of bytes");
    if (bits / 8 == entry->end - entry->begin) return OK;
    return fail(FORMAT,
                "%s: tensor '%.100s': its shape and dtype need %" PRIu64
                " bytes, its data_offsets are %" PRIu64 " apart",
                entry->file, entry->name, bits / 8, entry->end - entry->begin);
}

/* The format's strings to strings. */
static status skip_metadata(struct json *json, struct json_value *value) {
    bool first = true, more;
    struct json_value part;
    if (value->kind != JSON_OBJECT)
        return fail(FORMAT, "%s: '__metadata__' is no JSON object", json->file);
    for (;;) {
        TRY(json_member(json, &first, &more, &part));
        if (!more) return OK;
        TRY(json_read(json, &part));
        if (part.kind != JSON_STRING)
            return fail(FORMAT, "%s: '__metadata__' has a value that is no string", json->file);
    }
}

static status grow(struct memory *memory, struct safetensors_tables *tables) {
    struct tensor_table *table = &tables->tensors;
    if (table->count < table->capacity && table->count < tables->n_dtypes) return OK;
    size_t capacity = table->capacity ? 2 * table->capacity : 64;
    struct tensor *items;
    const struct safetensors_dtype **own;
    TRY(MEMORY_TAKE_ARRAY(memory, capacity, "the tensors' table", &items));
    status result = MEMORY_TAKE_ARRAY(memory, capacity, "the tensors' types", &own);
    if (result != OK) {
        memory_give(memory, items);
        return result;
    }
    if (table->count) {
        memcpy(items, table->items, table->count * sizeof *items);
        memcpy(own, tables->dtypes, table->count * sizeof *own);
    }
    memory_give(memory, table->items);
    memory_give(memory, tables->dtypes);
    table->items = items;
    table->capacity = tables->n_dtypes = capacity;
    tables->dtypes = own;
    return OK;
}

static status add_tensor(struct json *json, const struct json_value *key, int part_index,
                         struct arena *arena, struct safetensors_tables *tables) {
    char name[MAX_NAME + 1];
    size_t length;
    struct json_value value;
    TRY(json_unescape(json, key, name, MAX_NAME, &length));
    name[length] = 0;
    TRY(json_read(json, &value));
    if (strcmp(name, "__metadata__") == 0) return skip_metadata(json, &value);
    struct entry entry = {.file = json->file, .name = name, .json = json};
    TRY(read_entry(&entry, &value));
    TRY(grow(arena->memory, tables));
    void *kept;
    TRY(arena_take(arena, length ? length : 1, "tensors' names", &kept));
    memcpy(kept, name, length);
    struct tensor *tensor = &tables->tensors.items[tables->tensors.count];
    *tensor = (struct tensor){
        .name = {kept, length},
        .n_dims = entry.n_dims ? entry.n_dims : 1,
        .dims = {1, 1, 1, 1},
        .type = entry.dtype->type,
        .form = entry.dtype->form,
        .offset = entry.begin,
        .bytes = entry.end - entry.begin,
        .part = part_index,
    };
    for (int i = 0; i < entry.n_dims && i < 4; i++) /* the format's last one is contiguous */
        tensor->dims[i] = entry.n_dims <= 4 ? entry.shape[entry.n_dims - 1 - i] : 0;
    tables->dtypes[tables->tensors.count++] = entry.dtype;
    return OK;
}

/* Tensors [first, count) fill the data from its beginning to its end. */
static status check_layout(const struct part *part, struct memory *memory,
                           const struct tensor_table *tensors, size_t first) {
    uint64_t room = part->file.size - part->data_offset, at = 0;
    size_t n = 0;
    uint32_t *order;
    status result = OK;
    TRY(MEMORY_TAKE_ARRAY(memory, tensors->count - first, "the order of tensors", &order));
    for (size_t i = first; i < tensors->count; i++)
        if (tensors->items[i].bytes > 0) order[n++] = (uint32_t)i;
    gguf_layout_sort(tensors, order, n);
    for (size_t i = 0; result == OK && i < n; i++) {
        const struct tensor *tensor = &tensors->items[order[i]];
        if (tensor->offset != at)
            result =
                fail(FORMAT,
                     "%s: tensor '%.*s' begins at %" PRIu64
                     " of the data, the one before it ends at %" PRIu64,
                     part->file.name, tensor->name.length < 100 ? (int)tensor->name.length : 100,
                     tensor->name.data, tensor->offset, at);
        at = tensor->offset + tensor->bytes; /* each at most INT64_MAX */
        if (result == OK && at > room)
            result = fail(
                FORMAT,
                "%s: tensor '%.*s' ends at %" PRIu64 " of the data, which has %" PRIu64 " bytes",
                part->file.name, tensor->name.length < 100 ? (int)tensor->name.length : 100,
                tensor->name.data, at, room);
    }
    if (result == OK && at != room)
        result = fail(FORMAT,
                      "%s: its tensors end at %" PRIu64 " of the data, which has %" PRIu64 " bytes",
                      part->file.name, at, room);
    memory_give(memory, order);
    for (size_t i = first; result == OK && i < tensors->count; i++) {
        struct tensor *tensor = &tensors->items[i];
        if (tensor->bytes == 0 && tensor->offset > room)
            result =
                fail(FORMAT, "%s: tensor '%.*s' begins at %" PRIu64 ", beyond the data",
                     part->file.name, tensor->name.length < 100 ? (int)tensor->name.length : 100,
                     tensor->name.data, tensor->offset);
        else
            tensor->offset += part->data_offset;
    }
    return result;
}

/* The bytes before the JSON, and all of it, can be had at part->head. */
static status read_length(struct part *part, struct memory *memory, uint64_t *length) {
    const char *file = part->file.name;
    if (part->file.size < 8)
        return fail(FORMAT, "%s: has %" PRIu64 " bytes, a safetensors file has a length of 8 first",
                    file, part->file.size);
    memcpy(length, part->head, sizeof *length);
    if (*length > SAFETENSORS_MAX_HEADER)
        return fail(*length > part->file.size ? FORMAT : LIMIT,
                    "%s: its header has %" PRIu64 " bytes, at most %d are allowed", file, *length,
                    SAFETENSORS_MAX_HEADER);
    if (*length > part->file.size - 8)
        return fail(FORMAT,
                    "%s: its header needs %" PRIu64 " bytes at offset 8, the file has %" PRIu64,
                    file, *length, part->file.size);
    while (part->head_available < 8 + *length) TRY(part_read_head(part, memory));
    if (*length == 0 || part->head[8] != '{')
        return fail(FORMAT, "%s: its header doesn't begin with '{' at offset 8", file);
    return OK;
}

status safetensors_read_head(struct part *part, int part_index, struct arena *arena,
                             struct safetensors_tables *tables) {
    uint64_t length = 0;
    TRY(read_length(part, arena->memory, &length));
    part->data_offset = 8 + length;
    part->first_tensor = tables->tensors.count;
    struct json json = {
        .file = part->file.name, .bytes = part->head + 8, .size = (size_t)length, .base = 8};
    struct json_value value;
    bool first = true, more, metadata = false;
    TRY(json_read(&json, &value));
    for (;;) {
        TRY(json_member(&json, &first, &more, &value));
        if (!more) break;
        if (json_is(&value, "__metadata__")) {
            if (metadata) return fail(FORMAT, "%s: '__metadata__' is there twice", json.file);
            metadata = true;
        }
        TRY(add_tensor(&json, &value, part_index, arena, tables));
    }
    TRY(json_end(&json));
    TRY(check_layout(part, arena->memory, &tables->tensors, part->first_tensor));
    part_drop_head(part, arena->memory);
    return OK;
}
