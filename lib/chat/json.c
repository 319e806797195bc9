/* JSON as values, of the arena's memory, objects in their order. */
#include "format/json.h"

#include <string.h>

#include "chat/value.h"

static status read_value(struct arena *arena, struct json *json, struct value *value);

static status wrong(const struct json *json, const char *reason) {
    return fail(INVALID_ARGUMENT, "%s: %s before offset %zu", json->file, reason, json->at);
}

static status read_string(struct arena *arena, const struct json *json,
                          const struct json_value *string, struct value *value) {
    char *text;
    size_t n;
    ARENA_TAKE(arena, string->text.length + 1, &text); /* no escape is shorter than what it means */
    TRY(json_unescape(json, string, text, string->text.length, &n));
    *value = value_string(text, n);
    return OK;
}

static status read_number(const struct json *json, struct text text, struct value *value) {
    const struct json_value number = {.kind = JSON_NUMBER, .text = text};
    int64_t integer;
    double real;
    bool is_real = false;
    for (size_t i = 0; i < text.length; i++)
        is_real = is_real || text.data[i] == '.' || (text.data[i] | 32) == 'e';
    if (is_real) {
        if (!value_read_float(text.data, text.length, &real))
            return wrong(json, "a number too long");
        *value = value_float(real);
        return OK;
    }
    if (!json_to_i64(&number, &integer)) return wrong(json, "an integer of more than 64 bits");
    *value = value_int(integer);
    return OK;
}

static status read_list(struct arena *arena, struct json *json, struct value *value) {
    struct list *list;
    struct value item;
    bool first = true, more;
    TRY(list_create(arena, LIST_LIST, 0, &list));
    *value = value_list(list);
    for (;;) {
        TRY(json_element(json, &first, &more));
        if (!more) return OK;
        TRY(read_value(arena, json, &item));
        TRY(list_add(arena, list, item));
    }
}

static status read_object(struct arena *arena, struct json *json, struct value *value) {
    struct json_value name;
    struct dict *dict;
    struct value key, item;
    bool first = true, more;
    TRY(dict_create(arena, &dict));
    *value = value_dict(dict);
    for (;;) {
        TRY(json_member(json, &first, &more, &name));
        if (!more) return OK;
        TRY(read_string(arena, json, &name, &key));
        TRY(read_value(arena, json, &item));
        TRY(dict_set(arena, dict, key, item));
    }
}

/* Nests no deeper than JSON_MAX_DEPTH. */
static status read_value(struct arena *arena, struct json *json, struct value *value) {
    struct json_value read;
    TRY(json_read(json, &read));
    switch (read.kind) {
    case JSON_STRING:
        return read_string(arena, json, &read, value);
    case JSON_NUMBER:
        return read_number(json, read.text, value);
    case JSON_ARRAY:
        return read_list(arena, json, value);
    case JSON_OBJECT:
        return read_object(arena, json, value);
    case JSON_NULL:
        *value = value_of_kind(VALUE_NONE);
        return OK;
    default:
        *value = value_bool(read.kind == JSON_TRUE);
        return OK;
    }
}

status value_read_json(struct arena *arena, const char *what, struct text text,
                       struct value *value) {
    struct json json = {.file = what, .bytes = (const uint8_t *)text.data, .size = text.length};
    status result = read_value(arena, &json, value);
    if (result == OK) result = json_end(&json);
    bool of_text = result == FORMAT || (result == LIMIT && arena->failure == OK);
    if (!of_text) return result;
    char reason[STATUS_TEXT_BYTES];
    status_save(reason);
    return fail(INVALID_ARGUMENT, "%s", reason);
}
