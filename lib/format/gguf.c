#include "format/gguf.h"

#include <string.h>

#include "base/checked.h"
#include "format/number.h"

#define MAX_KEY 65535         /* the format's own limit */
#define MAX_TENSOR_NAME 1023  /* the format says 64, files in use have more */
#define MIN_METADATA_BYTES 14 /* key length, one byte of key, kind, a value of one byte */
#define MIN_TENSOR_BYTES 33   /* name length, one byte of name, dimensions, type, offset */

/* Where parsing stands. The head may be only partly available (part.h): then starved is set, and
 * parsing starts anew with more of it. */
struct cursor {
    const char *file;
    const uint8_t *bytes; /* [available] */
    uint64_t available, size, at;
    bool starved;
};

/* Not an error of the caller's: parse_head turns it into another try. */
#define STARVED BUFFER_TOO_SMALL

/* n more bytes; what they are goes into the message. */
static status need(struct cursor *c, uint64_t n, const char *what) {
    if (n > c->size - c->at)
        return fail(FORMAT,
                    "%s: %s needs %" PRIu64 " bytes at offset %" PRIu64 ", the file has %" PRIu64,
                    c->file, what, n, c->at, c->size);
    if (n > c->available - c->at) {
        c->starved = true;
        return STARVED;
    }
    return OK;
}

static status read_bytes(struct cursor *c, void *value, size_t n, const char *what) {
    TRY(need(c, n, what));
    memcpy(value, c->bytes + c->at, n);
    c->at += n;
    return OK;
}

static uint64_t load_u64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static status read_string(struct cursor *c, const char *what, struct text *text) {
    uint64_t length;
    TRY(read_bytes(c, &length, sizeof length, what));
    TRY(need(c, length, what));
    *text = (struct text){(const char *)c->bytes + c->at, (size_t)length};
    c->at += length;
    return OK;
}

/* A length of text for %.*s that keeps a message readable. */
static int shown(struct text text) {
    return text.length < 100 ? (int)text.length : 100;
}

/* A key or a tensor's name: not empty, not endless, no control characters. */
static status read_name(struct cursor *c, const char *what, size_t max, struct text *name) {
    uint64_t begin = c->at;
    uint64_t length;
    TRY(read_bytes(c, &length, sizeof length, what));
    if (length == 0 || length > max)
        return fail(FORMAT,
                    "%s: %s at offset %" PRIu64 " has %" PRIu64 " bytes, 1 to %zu are valid",
                    c->file, what, begin, length, max);
    c->at = begin;
    TRY(read_string(c, what, name));
    for (size_t i = 0; i < name->length; i++) {
        unsigned char byte = (unsigned char)name->data[i];
        if (byte < 0x20 || byte == 0x7F)
            return fail(FORMAT, "%s: %s '%.*s' at offset %" PRIu64 " has a control character",
                        c->file, what, shown(*name), name->data, begin);
    }
    return OK;
}

/* ---- metadata ---- */

static status read_kind(struct cursor *c, struct text key, enum metadata_kind *kind) {
    uint32_t number;
    uint64_t at = c->at;
    TRY(read_bytes(c, &number, sizeof number, "a value's kind"));
    if (number > METADATA_F64)
        return fail(FORMAT,
                    "%s: key '%.*s' has a value of unknown kind %" PRIu32 " at offset %" PRIu64,
                    c->file, shown(key), key.data, number, at);
    *kind = (enum metadata_kind)number;
    return OK;
}

/* As need, for a value of a key. */
static status need_value(struct cursor *c, struct text key, uint64_t n) {
    if (n > c->size - c->at)
        return fail(FORMAT,
                    "%s: key '%.*s' needs %" PRIu64 " bytes at offset %" PRIu64
                    ", the file has %" PRIu64,
                    c->file, shown(key), key.data, n, c->at, c->size);
    return need(c, n, "a value");
}

static status skip_strings(struct cursor *c, struct text key, uint64_t count) {
    if (count > (c->size - c->at) / 8)
        return fail(FORMAT,
                    "%s: key '%.*s' claims %" PRIu64 " strings at offset %" PRIu64
                    ", the file has %" PRIu64 " bytes",
                    c->file, shown(key), key.data, count, c->at, c->size);
    for (uint64_t i = 0; i < count; i++) {
        TRY(need_value(c, key, 8));
        uint64_t length = load_u64(c->bytes + c->at);
        c->at += 8;
        TRY(need_value(c, key, length));
        c->at += length;
    }
    return OK;
}

static status skip_values(struct cursor *c, struct text key, enum metadata_kind kind,
                          uint64_t count) {
    if (kind == METADATA_STRING) return skip_strings(c, key, count);
    uint64_t bytes;
    if (mul_overflows(count, number_bytes(kind), &bytes))
        return fail(FORMAT, "%s: key '%.*s' claims %" PRIu64 " values at offset %" PRIu64, c->file,
                    shown(key), key.data, count, c->at);
    TRY(need_value(c, key, bytes));
    if (kind == METADATA_BOOL)
        for (uint64_t i = 0; i < count; i++)
            if (c->bytes[c->at + i] > 1)
                return fail(FORMAT, "%s: key '%.*s' has a bool of value %d at offset %" PRIu64,
                            c->file, shown(key), key.data, c->bytes[c->at + i], c->at + i);
    c->at += bytes;
    return OK;
}

static status read_metadata(struct cursor *c, struct metadata *entry) {
    *entry = (struct metadata){.count = 1};
    TRY(read_name(c, "a key", MAX_KEY, &entry->key));
    TRY(read_kind(c, entry->key, &entry->kind));
    enum metadata_kind kind = entry->kind;
    if (kind == METADATA_ARRAY) {
        uint64_t at = c->at;
        TRY(read_kind(c, entry->key, &entry->element));
        if (entry->element == METADATA_ARRAY)
            return fail(UNSUPPORTED, "%s: key '%.*s' has an array of arrays at offset %" PRIu64,
                        c->file, shown(entry->key), entry->key.data, at);
        TRY(need_value(c, entry->key, 8));
        entry->count = load_u64(c->bytes + c->at);
        c->at += 8;
        kind = entry->element;
    }
    entry->values = c->bytes + c->at;
    return skip_values(c, entry->key, kind, entry->count);
}

/* ---- tensors ---- */

static status read_dimensions(struct cursor *c, struct tensor *tensor) {
    const char *name = tensor->name.data;
    uint64_t at = c->at;
    uint32_t n_dims;
    TRY(read_bytes(c, &n_dims, sizeof n_dims, "a tensor's number of dimensions"));
    if (n_dims == 0 || n_dims > 4)
        return fail(FORMAT,
                    "%s: tensor '%.*s' has %" PRIu32 " dimensions at offset %" PRIu64
                    ", 1 to 4 are valid",
                    c->file, shown(tensor->name), name, n_dims, at);
    tensor->n_dims = (int)n_dims;
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t dim = 1;
        if (i < n_dims) TRY(read_bytes(c, &dim, sizeof dim, "a tensor's dimension"));
        if (dim == 0 || dim > INT64_MAX)
            return fail(FORMAT,
                        "%s: tensor '%.*s' has a dimension of %" PRIu64 " at offset %" PRIu64,
                        c->file, shown(tensor->name), name, dim, c->at - 8);
        tensor->dims[i] = (int64_t)dim;
    }
    return OK;
}

static status read_type(struct cursor *c, struct tensor *tensor) {
    uint32_t number;
    uint64_t at = c->at;
    TRY(read_bytes(c, &number, sizeof number, "a tensor's type"));
    int type = weight_type_from_gguf(number);
    if (type < 0) {
        const char *type_name = weight_type_gguf_name(number);
        return fail(UNSUPPORTED,
                    "%s: tensor '%.*s' is of type %s (number %" PRIu32 ") at offset %" PRIu64
                    ", which this library doesn't read",
                    c->file, shown(tensor->name), tensor->name.data,
                    type_name ? type_name : "unknown", number, at);
    }
    tensor->type = (enum weight_type)type;
    return OK;
}

static status count_bytes(const struct cursor *c, struct tensor *tensor) {
    const struct weight_type_traits *traits = &weight_type_traits[tensor->type];
    const char *name = tensor->name.data;
    if (tensor->dims[0] % traits->block != 0)
        return fail(FORMAT,
                    "%s: tensor '%.*s' has rows of %" PRId64
                    " elements, not whole blocks of %s's %" PRIu32
                    " (its entry ends at offset %" PRIu64 ")",
                    c->file, shown(tensor->name), name, tensor->dims[0], traits->name,
                    traits->block, c->at);
    uint64_t bytes = (uint64_t)(tensor->dims[0] / traits->block);
    int64_t elements = tensor->dims[0];
    bool overflow = mul_overflows(bytes, (uint64_t)traits->block_bytes, &bytes);
    for (int i = 1; i < 4; i++) {
        overflow = overflow || mul_overflows(elements, tensor->dims[i], &elements);
        overflow = overflow || mul_overflows(bytes, (uint64_t)tensor->dims[i], &bytes);
    }
    if (overflow || bytes > INT64_MAX)
        return fail(FORMAT,
                    "%s: tensor '%.*s' of %" PRId64 " x %" PRId64 " x %" PRId64 " x %" PRId64
                    " elements is too large (its entry ends at offset %" PRIu64 ")",
                    c->file, shown(tensor->name), name, tensor->dims[0], tensor->dims[1],
                    tensor->dims[2], tensor->dims[3], c->at);
    tensor->bytes = bytes;
    return OK;
}

/* offset stays relative to the data section until the head's end is known. */
static status read_tensor(struct cursor *c, int part, struct tensor *tensor) {
    *tensor = (struct tensor){.part = part};
    TRY(read_name(c, "a tensor's name", MAX_TENSOR_NAME, &tensor->name));
    TRY(read_dimensions(c, tensor));
    TRY(read_type(c, tensor));
    TRY(read_bytes(c, &tensor->offset, sizeof tensor->offset, "a tensor's offset"));
    return count_bytes(c, tensor);
}

/* ---- the head ---- */

static status read_version(struct cursor *c, uint32_t *version) {
    if (c->size == 0) return fail(FORMAT, "%s: is empty", c->file);
    char magic[4];
    if (c->size < sizeof magic || memcmp(c->bytes, GGUF_MAGIC, sizeof magic) != 0)
        return fail(FORMAT, "%s: is not a GGUF file: it doesn't begin with \"GGUF\" at offset 0",
                    c->file);
    TRY(read_bytes(c, magic, sizeof magic, "the magic"));
    TRY(read_bytes(c, version, sizeof *version, "the version"));
    if (*version != 0 && (*version & 0xFFFF) == 0)
        return fail(UNSUPPORTED,
                    "%s: is a big-endian GGUF file (version %" PRIu32
                    " with its bytes swapped, at offset 4); only little-endian ones are read",
                    c->file, __builtin_bswap32(*version));
    if (*version == 1)
        return fail(UNSUPPORTED,
                    "%s: is GGUF version 1 (at offset 4), only versions 2 and 3 are read", c->file);
    if (*version != 2 && *version != 3)
        return fail(*version == 0 ? FORMAT : UNSUPPORTED,
                    "%s: is GGUF version %" PRIu32 " (at offset 4), only versions 2 and 3 are read",
                    c->file, *version);
    return OK;
}

static status read_count(struct cursor *c, const char *what, uint64_t entry_bytes,
                         uint64_t *count) {
    uint64_t at = c->at;
    TRY(read_bytes(c, count, sizeof *count, what));
    if (*count > (c->size - c->at) / entry_bytes || *count > INT32_MAX)
        return fail(FORMAT,
                    "%s: claims %" PRIu64 " %s at offset %" PRIu64
                    ", which can't be in the %" PRIu64 " bytes that follow",
                    c->file, *count, what, at, c->size - c->at);
    return OK;
}

/* Room for one more item: tables grow with what was read, not with what a file claims. */
static status grow(struct memory *memory, void **items, size_t count, size_t *capacity,
                   size_t item_bytes, const char *purpose) {
    if (count < *capacity) return OK;
    size_t larger = *capacity ? 2 * *capacity : 512;
    void *block;
    TRY(memory_take_array(memory, larger, item_bytes, purpose, &block));
    if (count) memcpy(block, *items, count * item_bytes);
    memory_give(memory, *items);
    *items = block;
    *capacity = larger;
    return OK;
}

static status parse_head(struct cursor *c, int part, struct memory *memory,
                         struct metadata_table *metadata, struct tensor_table *tensors,
                         uint32_t *version) {
    uint64_t n_tensors, n_metadata;
    TRY(read_version(c, version));
    TRY(read_count(c, "tensors", MIN_TENSOR_BYTES, &n_tensors));
    TRY(read_count(c, "metadata keys", MIN_METADATA_BYTES, &n_metadata));
    for (uint64_t i = 0; i < n_metadata; i++) {
        void *items = metadata->items;
        TRY(grow(memory, &items, metadata->count, &metadata->capacity, sizeof *metadata->items,
                 "the metadata's table"));
        metadata->items = items;
        TRY(read_metadata(c, &metadata->items[metadata->count]));
        metadata->count++;
    }
    for (uint64_t i = 0; i < n_tensors; i++) {
        void *items = tensors->items;
        TRY(grow(memory, &items, tensors->count, &tensors->capacity, sizeof *tensors->items,
                 "the tensors' table"));
        tensors->items = items;
        TRY(read_tensor(c, part, &tensors->items[tensors->count]));
        tensors->count++;
    }
    return OK;
}

/* general.alignment; 32 unless it says otherwise. */
static status find_alignment(const struct cursor *c, const struct metadata_table *metadata,
                             uint64_t *alignment) {
    static const char key[] = "general.alignment";
    *alignment = 32;
    for (size_t i = 0; i < metadata->count; i++) {
        const struct metadata *entry = &metadata->items[i];
        if (entry->key.length != sizeof key - 1 ||
            memcmp(entry->key.data, key, sizeof key - 1) != 0)
            continue;
        uint64_t at = (uint64_t)(entry->values - c->bytes);
        if (entry->kind != METADATA_U32)
            return fail(FORMAT, "%s: key '%s' is not a u32 (offset %" PRIu64 ")", c->file, key, at);
        uint32_t value;
        memcpy(&value, entry->values, sizeof value);
        if (value == 0 || (value & (value - 1)) != 0)
            return fail(FORMAT,
                        "%s: key '%s' is %" PRIu32 ", not a power of two (offset %" PRIu64 ")",
                        c->file, key, value, at);
        *alignment = value;
    }
    return OK;
}

/* Cuts a copied head to its size and points what was parsed at the new place. */
static status cut_head(struct part *part, struct memory *memory,
                       const struct metadata_table *metadata, size_t first_metadata,
                       const struct tensor_table *tensors, size_t first_tensor) {
    void *block;
    TRY(part_cut_head(part, memory, &block));
    if (!block) return OK;
    const char *old = block, *head = (const char *)part->head;
    for (size_t i = first_metadata; i < metadata->count; i++) {
        struct metadata *entry = &metadata->items[i];
        entry->key.data = head + (entry->key.data - old);
        entry->values = part->head + (entry->values - (const uint8_t *)block);
    }
    for (size_t i = first_tensor; i < tensors->count; i++) {
        struct text *name = &tensors->items[i].name;
        name->data = head + (name->data - old);
    }
    memory_give(memory, block);
    return OK;
}

status gguf_read_head(struct part *part, int part_index, struct memory *memory,
                      struct metadata_table *metadata, struct tensor_table *tensors,
                      uint32_t *version) {
    size_t first_metadata = metadata->count, first_tensor = tensors->count;
    struct cursor cursor;
    status result;
    for (;;) {
        cursor = (struct cursor){.file = part->file.name,
                                 .bytes = part->head,
                                 .available = part->head_available,
                                 .size = part->file.size};
        metadata->count = first_metadata;
        tensors->count = first_tensor;
        result = parse_head(&cursor, part_index, memory, metadata, tensors, version);
        if (!cursor.starved) break;
        TRY(part_read_head(part, memory));
    }
    TRY(result);
    part->head_bytes = cursor.at;

    TRY(cut_head(part, memory, metadata, first_metadata, tensors, first_tensor));
    cursor.bytes = part->head;
    uint64_t alignment;
    TRY(find_alignment(&cursor, metadata, &alignment));
    part->first_tensor = first_tensor;
    part->data_offset = (part->head_bytes + alignment - 1) / alignment * alignment;
    return gguf_layout_check(part, memory, tensors, first_tensor, alignment);
}
