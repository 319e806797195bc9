#include "chat/value.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/checked.h"

/* ---- memory ---- */

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, capacity;
    char pad[8];
};

enum { CHUNK_BYTES = 1 << 16, ALIGNMENT = 16 };

void *chat_take(struct arena *arena, size_t size) {
    struct arena_chunk *chunk = arena->chunks;
    if (size > arena->limit - arena->used) {
        arena->failure = fail(LIMIT, "a chat template may take %zu bytes of memory, it wants more",
                              arena->limit);
        return NULL;
    }
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!chunk || size > chunk->capacity - chunk->used) {
        size_t capacity = size < CHUNK_BYTES / 4 ? CHUNK_BYTES - sizeof *chunk : size;
        struct arena_chunk *fresh =
            memory_block(arena->memory, sizeof *chunk + capacity, "a chat template");
        if (!fresh) {
            arena->failure = OUT_OF_MEMORY;
            return NULL;
        }
        *fresh = (struct arena_chunk){.next = chunk, .capacity = capacity};
        arena->chunks = chunk = fresh;
    }
    void *block = (char *)(chunk + 1) + chunk->used;
    chunk->used += size;
    arena->used = size > arena->limit - arena->used ? arena->limit : arena->used + size;
    memset(block, 0, size);
    return block;
}

void *arena_take_array(struct arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (mul_overflows(count, size, &bytes)) bytes = SIZE_MAX;
    return chat_take(arena, bytes);
}

void chat_arena_close(struct arena *arena) {
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;
        memory_give(arena->memory, arena->chunks);
        arena->chunks = next;
    }
}

status buffer_add(struct buffer *buffer, const char *data, size_t length) {
    if (length > buffer->capacity - buffer->length) {
        if (buffer->limit && length > buffer->limit - buffer->length)
            return fail(LIMIT, "the chat template's text has more than %zu bytes", buffer->limit);
        size_t needed = buffer->length + length, capacity = 2 * buffer->capacity;
        if (capacity < needed) capacity = needed;
        if (capacity < 64) capacity = 64;
        char *grown;
        ARENA_TAKE(buffer->arena, capacity, &grown);
        if (buffer->length) memcpy(grown, buffer->data, buffer->length);
        buffer->data = grown;
        buffer->capacity = capacity;
    }
    if (length) memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    return OK;
}

status buffer_add_text(struct buffer *buffer, const char *text) {
    return buffer_add(buffer, text, strlen(text));
}

/* ---- values ---- */

struct value value_text(const char *text) {
    return value_string(text, strlen(text));
}

const char *value_kind_name(struct value value) {
    static const char *const names[] = {
        "missing", "Undefined", "NoneType",  "bool",        "int",   "float",    "str",
        "list",    "dict",      "Namespace", "LoopContext", "Macro", "function", "method"};
    if (value.kind == VALUE_LIST && value.as.list->kind != LIST_LIST)
        return value.as.list->kind == LIST_TUPLE       ? "tuple"
               : value.as.list->kind == LIST_GENERATOR ? "generator"
                                                       : "dict view";
    return names[value.kind];
}

bool value_is_text(struct value value, const char *text) {
    return value.kind == VALUE_STRING && value.length == strlen(text) &&
           memcmp(value.as.text, text, value.length) == 0;
}

bool value_integer(struct value value, int64_t *integer) {
    if (value.kind == VALUE_BOOL)
        *integer = value.as.boolean;
    else if (value.kind == VALUE_INT)
        *integer = value.as.integer;
    else
        return false;
    return true;
}

double value_real(struct value value) {
    int64_t integer = 0;
    return value_integer(value, &integer) ? (double)integer : value.as.real;
}

bool value_truth(struct value value) {
    switch (value.kind) {
    case VALUE_MISSING:
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOL:
        return value.as.boolean;
    case VALUE_INT:
        return value.as.integer != 0;
    case VALUE_FLOAT:
        return value.as.real != 0;
    case VALUE_STRING:
        return value.length > 0;
    case VALUE_LIST:
        return value.as.list->kind == LIST_GENERATOR || value.as.list->n > 0;
    case VALUE_DICT:
        return value.as.dict->n > 0;
    default:
        return true;
    }
}

static bool numbers_equal(struct value a, struct value b) {
    int64_t x, y;
    if (value_integer(a, &x) && value_integer(b, &y)) return x == y;
    return value_real(a) == value_real(b);
}

static bool lists_equal(const struct list *a, const struct list *b, int depth) {
    if (a == b) return true;
    if (a->kind != b->kind || a->n != b->n || a->kind == LIST_GENERATOR) return false;
    for (size_t i = 0; i < a->n; i++)
        if (!value_equal(a->items[i], b->items[i], depth + 1)) return false;
    return true;
}

static bool dicts_equal(const struct dict *a, const struct dict *b, int depth) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct value *other = dict_find(b, a->entries[i].key);
        if (!other || !value_equal(a->entries[i].value, *other, depth + 1)) return false;
    }
    return true;
}

bool value_equal(struct value a, struct value b, int depth) {
    if (depth > VALUE_MOST_DEPTH) return false;
    if (value_is_number(a) && value_is_number(b)) return numbers_equal(a, b);
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return true;
    case VALUE_STRING:
        return a.length == b.length && memcmp(a.as.text, b.as.text, a.length) == 0;
    case VALUE_LIST:
        return lists_equal(a.as.list, b.as.list, depth);
    case VALUE_DICT:
        return dicts_equal(a.as.dict, b.as.dict, depth);
    case VALUE_FUNCTION:
        return a.number == b.number;
    default:
        return a.as.list == b.as.list;
    }
}

static int order_of(double a, double b) {
    return a < b ? -1 : a > b;
}

bool value_compare(struct value a, struct value b, int depth, int *order) {
    if (depth > VALUE_MOST_DEPTH) return false;
    if (value_is_number(a) && value_is_number(b)) {
        int64_t x, y;
        if (value_integer(a, &x) && value_integer(b, &y))
            *order = x < y ? -1 : x > y;
        else
            *order = order_of(value_real(a), value_real(b));
        return true;
    }
    if (a.kind != b.kind) return false;
    if (a.kind == VALUE_STRING) { /* UTF-8 sorts as its characters do */
        size_t n = a.length < b.length ? a.length : b.length;
        int c = n ? memcmp(a.as.text, b.as.text, n) : 0;
        *order = c ? (c < 0 ? -1 : 1) : a.length < b.length ? -1 : a.length > b.length;
        return true;
    }
    if (a.kind != VALUE_LIST || a.as.list->kind != b.as.list->kind || a.as.list->kind > LIST_TUPLE)
        return false;
    const struct list *x = a.as.list, *y = b.as.list;
    for (size_t i = 0; i < x->n && i < y->n; i++)
        if (!value_equal(x->items[i], y->items[i], depth + 1))
            return value_compare(x->items[i], y->items[i], depth + 1, order);
    *order = x->n < y->n ? -1 : x->n > y->n;
    return true;
}

/* ---- lists ---- */

status list_create(struct arena *arena, enum list_kind kind, size_t capacity, struct list **list) {
    ARENA_TAKE(arena, 1, list);
    (*list)->kind = kind;
    (*list)->capacity = capacity;
    if (capacity) ARENA_TAKE(arena, capacity, &(*list)->items);
    return OK;
}

status list_add(struct arena *arena, struct list *list, struct value value) {
    if (list->n == list->capacity) {
        struct value *grown;
        size_t capacity = list->capacity ? 2 * list->capacity : 4;
        ARENA_TAKE(arena, capacity, &grown);
        if (list->n) memcpy(grown, list->items, list->n * sizeof *grown);
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->n++] = value;
    return OK;
}

/* ---- dicts ---- */

enum { FEW_ENTRIES = 8 }; /* that are looked through one by one */

status dict_create(struct arena *arena, struct dict **dict) {
    ARENA_TAKE(arena, 1, dict);
    return OK;
}

bool dict_can_hold(struct value key) {
    if (key.kind == VALUE_LIST && key.as.list->kind == LIST_TUPLE) {
        for (size_t i = 0; i < key.as.list->n; i++)
            if (key.as.list->items[i].kind == VALUE_LIST || !dict_can_hold(key.as.list->items[i]))
                return false;
        return true;
    }
    return key.kind >= VALUE_NONE && key.kind <= VALUE_STRING;
}

/* Equal keys have equal hashes, so that 1, 1.0 and True have the same. */
static uint64_t hash_key(struct value key) {
    if (key.kind == VALUE_STRING) return XXH3_64bits(key.as.text, key.length);
    double number = value_is_number(key) ? value_real(key) + 0.0 : 0.5;
    return XXH3_64bits(&number, sizeof number);
}

static uint32_t *dict_slot(const struct dict *dict, struct value key, uint64_t hash) {
    size_t at = (size_t)hash & dict->mask;
    for (; dict->index[at]; at = (at + 1) & dict->mask) {
        const struct entry *entry = &dict->entries[dict->index[at] - 1];
        if (entry->hash == hash && value_equal(entry->key, key, 0)) break;
    }
    return &dict->index[at];
}

struct value *dict_find(const struct dict *dict, struct value key) {
    if (!dict_can_hold(key)) return NULL;
    if (dict->index) {
        uint32_t entry = *dict_slot(dict, key, hash_key(key));
        return entry ? &dict->entries[entry - 1].value : NULL;
    }
    for (size_t i = 0; i < dict->n; i++)
        if (value_equal(dict->entries[i].key, key, 0)) return &dict->entries[i].value;
    return NULL;
}

struct value *dict_find_text(const struct dict *dict, const char *key) {
    return dict_find(dict, value_text(key));
}

static status dict_grow(struct arena *arena, struct dict *dict) {
    struct entry *grown;
    size_t capacity = dict->capacity ? 2 * dict->capacity : 4;
    ARENA_TAKE(arena, capacity, &grown);
    if (dict->n) memcpy(grown, dict->entries, dict->n * sizeof *grown);
    dict->entries = grown;
    dict->capacity = capacity;
    if (capacity <= FEW_ENTRIES) return OK;
    ARENA_TAKE(arena, 4 * capacity, &dict->index);
    dict->mask = 4 * capacity - 1;
    for (size_t i = 0; i < dict->n; i++)
        *dict_slot(dict, grown[i].key, grown[i].hash) = (uint32_t)i + 1;
    return OK;
}

status dict_set(struct arena *arena, struct dict *dict, struct value key, struct value value) {
    struct value *there = dict_find(dict, key);
    if (there) {
        *there = value;
        return OK;
    }
    if (dict->n == dict->capacity) TRY(dict_grow(arena, dict));
    uint64_t hash = hash_key(key);
    if (dict->index) *dict_slot(dict, key, hash) = (uint32_t)dict->n + 1;
    dict->entries[dict->n++] = (struct entry){key, value, hash};
    return OK;
}

status dict_set_text(struct arena *arena, struct dict *dict, const char *key, struct value value) {
    return dict_set(arena, dict, value_text(key), value);
}
