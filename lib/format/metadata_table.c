#include "format/metadata_table.h"

#include <string.h>

#include "format/number.h"

static bool has_key(const struct metadata_table *table, const char *key, size_t length) {
    for (size_t i = 0; i < table->count; i++)
        if (table->items[i].key.length == length &&
            memcmp(table->items[i].key.data, key, length) == 0)
            return true;
    return false;
}

static status grow(const struct metadata_maker *maker) {
    struct metadata_table *table = maker->table;
    struct memory *memory = maker->arena->memory;
    size_t capacity = table->capacity ? 2 * table->capacity : 32;
    struct metadata *items;
    TRY(MEMORY_TAKE_ARRAY(memory, capacity, "the metadata's table", &items));
    if (table->count) memcpy(items, table->items, table->count * sizeof *items);
    memory_give(memory, table->items);
    table->items = items;
    table->capacity = capacity;
    return OK;
}

/* The value is `head` and what follows it. */
static status put(const struct metadata_maker *maker, const char *key, struct metadata entry,
                  struct text head, struct text values) {
    struct metadata_table *table = maker->table;
    size_t length = strlen(key);
    void *block;
    if (has_key(table, key, length)) return OK;
    if (table->count == table->capacity) TRY(grow(maker));
    TRY(arena_take(maker->arena, length + head.length + values.length + 1, "metadata", &block));
    char *bytes = block;
    memcpy(bytes, key, length);
    if (head.length) memcpy(bytes + length, head.data, head.length);
    if (values.length) memcpy(bytes + length + head.length, values.data, values.length);
    entry.key = (struct text){bytes, length};
    entry.values = (const uint8_t *)bytes + length;
    table->items[table->count++] = entry;
    return OK;
}

static status put_number(const struct metadata_maker *maker, const char *key,
                         enum metadata_kind kind, const void *value, size_t size) {
    return put(maker, key, (struct metadata){.kind = kind, .count = 1}, (struct text){value, size},
               (struct text){NULL, 0});
}

status metadata_put_i64(const struct metadata_maker *maker, const char *key, int64_t value) {
    return put_number(maker, key, METADATA_I64, &value, sizeof value);
}

status metadata_put_f32(const struct metadata_maker *maker, const char *key, float value) {
    return put_number(maker, key, METADATA_F32, &value, sizeof value);
}

status metadata_put_bool(const struct metadata_maker *maker, const char *key, bool value) {
    uint8_t byte = value;
    return put_number(maker, key, METADATA_BOOL, &byte, 1);
}

status metadata_put_text(const struct metadata_maker *maker, const char *key, struct text value) {
    uint64_t length = value.length;
    return put(maker, key, (struct metadata){.kind = METADATA_STRING, .count = 1},
               (struct text){(const char *)&length, sizeof length}, value);
}

status metadata_put_array(const struct metadata_maker *maker, const char *key,
                          enum metadata_kind element, uint64_t count, const void *values,
                          size_t size) {
    return put(maker, key,
               (struct metadata){.kind = METADATA_ARRAY, .element = element, .count = count},
               (struct text){values, size}, (struct text){NULL, 0});
}

size_t metadata_size(const struct metadata *entry) {
    enum metadata_kind kind = entry->kind == METADATA_ARRAY ? entry->element : entry->kind;
    const uint8_t *end = entry->values;
    if (kind != METADATA_STRING) return (size_t)entry->count * number_bytes(kind);
    for (uint64_t i = 0; i < entry->count; i++) checkpoint_next_string(&end);
    return (size_t)(end - entry->values);
}

status metadata_add(const struct metadata_maker *maker, const struct metadata *entry) {
    char key[256];
    if (entry->key.length >= sizeof key)
        return fail(INTERNAL, "a key of %zu bytes", entry->key.length);
    memcpy(key, entry->key.data, entry->key.length);
    key[entry->key.length] = 0;
    struct text values = {(const char *)entry->values, metadata_size(entry)};
    return put(maker, key, *entry, (struct text){NULL, 0}, values);
}
