#include "format/hf_config.h"

#include <stdio.h>
#include <string.h>

enum { MAX_MEMBERS = 1024, MAX_NAME = 160 };

static bool is_name(struct text text, const char *name) {
    return text.length == strlen(name) && memcmp(text.data, name, text.length) == 0;
}

/* Objects whose members are listed too. */
static bool is_opened(struct text name) {
    static const char *const opened[] = {"rope_scaling",   "rope_parameters",   "text_config",
                                         "full_attention", "sliding_attention", "attn_config"};
    for (size_t i = 0; i < sizeof opened / sizeof *opened; i++)
        if (is_name(name, opened[i])) return true;
    return false;
}

static status add(struct hf_config *config, struct arena *arena, struct text outer,
                  const struct json_value *key, struct hf_member **member) {
    if (key->escaped || outer.length + key->text.length > MAX_NAME)
        return fail(FORMAT, "%s: key '%.*s' is none that a config has", config->file,
                    key->text.length < 100 ? (int)key->text.length : 100, key->text.data);
    if (config->count == MAX_MEMBERS)
        return fail(LIMIT, "%s: has more than %d members", config->file, MAX_MEMBERS);
    if (config->count == config->capacity) {
        size_t capacity = config->capacity ? 2 * config->capacity : 128;
        void *items;
        TRY(arena_take(arena, capacity * sizeof *config->items, "a model's config", &items));
        if (config->count) memcpy(items, config->items, config->count * sizeof *config->items);
        config->items = items;
        config->capacity = capacity;
    }
    size_t length = outer.length + key->text.length;
    void *name;
    TRY(arena_take(arena, length + 1, "a model's config", &name));
    if (outer.length) memcpy(name, outer.data, outer.length);
    memcpy((char *)name + outer.length, key->text.data, key->text.length);
    ((char *)name)[length] = 0;
    for (size_t i = 0; i < config->count; i++)
        if (is_name(config->items[i].name, name))
            return fail(FORMAT, "%s: key '%s' is there twice", config->file, (const char *)name);
    *member = &config->items[config->count++];
    **member = (struct hf_member){.name = {name, length}};
    return OK;
}

/* Deep as is_opened allows: no recursion, for that follows the file. The stack is of names. */
status hf_config_parse(struct hf_config *config, struct arena *arena, const char *file,
                       const void *bytes, size_t size) {
    enum { LEVELS = 4 };
    struct json json = {.file = file, .bytes = bytes, .size = size};
    struct text outer[LEVELS + 1] = {{"", 0}};
    bool first = true, more;
    int level = 0;
    struct json_value value;
    *config = (struct hf_config){.file = file, .prefix = ""};
    TRY(json_read(&json, &value));
    if (value.kind != JSON_OBJECT) return fail(FORMAT, "%s: is no JSON object", file);
    for (;;) {
        struct json_value key;
        struct hf_member *member = NULL;
        TRY(json_member(&json, &first, &more, &key));
        first = false;
        if (!more) {
            if (level-- == 0) break;
            continue;
        }
        TRY(add(config, arena, outer[level], &key, &member));
        TRY(json_read(&json, &member->value));
        if (member->value.kind != JSON_OBJECT || !is_opened(key.text) || level == LEVELS) {
            TRY(json_skip(&json, &member->value));
            continue;
        }
        void *name;
        size_t length = member->name.length;
        TRY(arena_take(arena, length + 1, "a model's config", &name));
        memcpy(name, member->name.data, length);
        ((char *)name)[length] = '.';
        outer[++level] = (struct text){name, length + 1};
        first = true;
    }
    return json_end(&json);
}

const struct json_value *hf_config_find(const struct hf_config *config, const char *name) {
    size_t skip = strlen(config->prefix), length = strlen(name);
    for (size_t i = 0; i < config->count; i++) {
        struct text text = config->items[i].name;
        if (text.length == skip + length && memcmp(text.data, config->prefix, skip) == 0 &&
            memcmp(text.data + skip, name, length) == 0)
            return &config->items[i].value;
    }
    return NULL;
}

const struct json_value *hf_config_value(const struct hf_config *config, const char *name) {
    const struct json_value *value = hf_config_find(config, name);
    return value && value->kind == JSON_NULL ? NULL : value;
}

static status look_up(const struct hf_config *config, const char *name, bool *found,
                      const struct json_value **value) {
    *value = hf_config_value(config, name);
    if (!*value && !found)
        return fail(FORMAT, "%s: key '%s%s' is missing", config->file, config->prefix, name);
    if (found) *found = *value != NULL;
    return OK;
}

status hf_config_number(const struct hf_config *config, const char *name, bool *found,
                        double *number) {
    const struct json_value *value;
    TRY(look_up(config, name, found, &value));
    if (!value || json_to_double(value, number)) return OK;
    return fail(FORMAT, "%s: key '%s%s' is not a finite number", config->file, config->prefix,
                name);
}

status hf_config_integer(const struct hf_config *config, const char *name, bool *found,
                         int64_t *number) {
    const struct json_value *value;
    TRY(look_up(config, name, found, &value));
    if (!value || json_to_i64(value, number)) return OK;
    return fail(FORMAT, "%s: key '%s%s' is not an integer of 64 bits", config->file, config->prefix,
                name);
}

status hf_config_refuse(const struct hf_config *config, const char *name,
                        const struct json_value *value) {
    return fail(UNSUPPORTED, "%s: key '%s%s' is %.*s, which is not supported", config->file,
                config->prefix, name, value->text.length < 60 ? (int)value->text.length : 60,
                value->text.data);
}
