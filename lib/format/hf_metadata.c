#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/hf.h"

/* ---- writing metadata ---- */

/* key: all of it. values [n] are copied. */
static status put(struct hf *hf, const char *key, struct metadata entry, const void *values,
                  size_t n) {
    struct metadata_table *table = &hf->metadata;
    size_t length = strlen(key);
    for (size_t i = 0; i < table->count; i++)
        if (table->items[i].key.length == length &&
            memcmp(table->items[i].key.data, key, length) == 0)
            return OK;
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 32;
        struct metadata *items;
        TRY(MEMORY_TAKE_ARRAY(hf->memory, capacity, "the metadata's table", &items));
        if (table->count) memcpy(items, table->items, table->count * sizeof *items);
        memory_give(hf->memory, table->items);
        table->items = items;
        table->capacity = capacity;
    }
    void *block;
    TRY(arena_take(&hf->arena, length + n + 1, "metadata", &block));
    memcpy(block, key, length);
    if (n) memcpy((char *)block + length, values, n);
    entry.key = (struct text){block, length};
    entry.values = (const uint8_t *)block + length;
    table->items[table->count++] = entry;
    return OK;
}

struct key {
    char text[160];
};

static struct key key_of(const struct hf *hf, const char *suffix) {
    struct key key;
    snprintf(key.text, sizeof key.text, "%s.%s", hf->family->architecture, suffix);
    return key;
}

static status put_i64(struct hf *hf, const char *suffix, int64_t value) {
    return put(hf, key_of(hf, suffix).text, (struct metadata){.kind = METADATA_I64, .count = 1},
               &value, sizeof value);
}

status hf_metadata_f32(struct hf *hf, const char *suffix, float value) {
    return put(hf, key_of(hf, suffix).text, (struct metadata){.kind = METADATA_F32, .count = 1},
               &value, sizeof value);
}

status hf_metadata_integer(struct hf *hf, const char *key, int64_t value) {
    return put(hf, key, (struct metadata){.kind = METADATA_I64, .count = 1}, &value, sizeof value);
}

status hf_metadata_bool(struct hf *hf, const char *key, bool value) {
    uint8_t byte = value;
    return put(hf, key, (struct metadata){.kind = METADATA_BOOL, .count = 1}, &byte, 1);
}

status hf_metadata_array(struct hf *hf, const char *key, enum metadata_kind element, uint64_t count,
                         const void *values, size_t size) {
    return put(hf, key,
               (struct metadata){.kind = METADATA_ARRAY, .element = element, .count = count},
               values, size);
}

status hf_metadata_string(struct hf *hf, const char *key, struct text value) {
    uint8_t *bytes;
    uint64_t length = value.length;
    TRY(MEMORY_TAKE(hf->memory, sizeof length + value.length, "metadata", &bytes));
    memcpy(bytes, &length, sizeof length);
    if (length) memcpy(bytes + sizeof length, value.data, value.length);
    status result = put(hf, key, (struct metadata){.kind = METADATA_STRING, .count = 1}, bytes,
                        sizeof length + value.length);
    memory_give(hf->memory, bytes);
    return result;
}

static status put_text(struct hf *hf, const char *key, const char *value) {
    struct {
        uint64_t length;
        char text[64];
    } string = {.length = strlen(value)};
    memcpy(string.text, value, (size_t)string.length);
    return put(hf, key, (struct metadata){.kind = METADATA_STRING, .count = 1}, &string,
               sizeof string.length + (size_t)string.length);
}

status hf_metadata_text(struct hf *hf, const char *suffix, const char *value) {
    return put_text(hf, key_of(hf, suffix).text, value);
}

/* ---- reading the config's members ---- */

/* Where the member is missing, its default; NULL: neither, or null. */
static const struct json_value *value_or_default(const struct hf *hf, const struct hf_key *key,
                                                 struct json_value *fallback) {
    const struct json_value *value = hf_config_find(&hf->config, key->name);
    if (value) return value->kind == JSON_NULL ? NULL : value;
    if (!key->fallback) return NULL;
    *fallback =
        (struct json_value){.kind = JSON_NUMBER, .text = {key->fallback, strlen(key->fallback)}};
    return fallback;
}

static status fail_value(const struct hf *hf, const struct hf_key *key, const char *wanted) {
    return fail(FORMAT, "%s: key '%s%s' is not %s", hf->config.file, hf->config.prefix, key->name,
                wanted);
}

static status read_number(struct hf *hf, const struct hf_key *key) {
    struct json_value fallback;
    const struct json_value *value = value_or_default(hf, key, &fallback);
    int64_t integer;
    double number;
    if (!value && key->required)
        return fail(FORMAT, "%s: key '%s%s' is missing", hf->config.file, hf->config.prefix,
                    key->name);
    if (!value) return OK;
    if (key->use == HF_INTEGER) {
        if (!json_to_i64(value, &integer) || integer < 1)
            return fail_value(hf, key, "an integer above 0");
        return put_i64(hf, key->target, integer);
    }
    if (!json_to_double(value, &number) || !(fabs(number) <= 3e38))
        return fail_value(hf, key, "a number of 32 bits");
    if (key->use == HF_INVERSE_ROOT) {
        if (number <= 0) return fail_value(hf, key, "a number above 0");
        number = 1.0 / sqrt(number);
    }
    return hf_metadata_f32(hf, key->target, (float)number);
}

static status check_word(const struct hf *hf, const struct hf_key *key) {
    const struct json_value *value = hf_config_value(&hf->config, key->name);
    if (!value) return OK;
    const char *word = key->target;
    for (;;) {
        size_t n = strcspn(word, "|");
        if (n && n == value->text.length && memcmp(word, value->text.data, n) == 0) return OK;
        if (!word[n]) return hf_config_refuse(&hf->config, key->name, value);
        word += n + 1;
    }
}

/* slides [n_layers]. */
static status read_layer_types(struct hf *hf, const struct hf_key *key,
                               const struct json_value *value, uint8_t *slides, bool *any) {
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)value->text.data,
                        .size = value->text.length};
    struct json_value part;
    bool first = true, more;
    int64_t n = 0;
    if (value->kind != JSON_ARRAY) return fail_value(hf, key, "an array");
    TRY(json_read(&json, &part));
    for (;; n++) {
        TRY(json_element(&json, &first, &more));
        if (!more) break;
        TRY(json_read(&json, &part));
        bool sliding = json_is(&part, "sliding_attention");
        if ((!sliding && !json_is(&part, "full_attention")) ||
            (sliding && key->use == HF_FULL_LAYERS))
            return hf_config_refuse(&hf->config, key->name, &part);
        if (n < hf->n_layers) slides[n] = sliding;
        *any = *any || sliding;
    }
    if (n == hf->n_layers) return OK;
    return fail(FORMAT, "%s: key '%s%s' has %" PRId64 " elements for %" PRId64 " layers",
                hf->config.file, hf->config.prefix, key->name, n, hf->n_layers);
}

static status read_layers(struct hf *hf, const struct hf_key *key) {
    const struct json_value *value = hf_config_value(&hf->config, key->name);
    uint8_t slides[1024];
    bool any = false;
    if (value && hf->n_layers > (int64_t)sizeof slides)
        return fail(LIMIT, "%s: %" PRId64 " layers", hf->config.file, hf->n_layers);
    if (value) TRY(read_layer_types(hf, key, value, slides, &any));
    if (key->use == HF_FULL_LAYERS) return OK;
    const struct json_value *window = hf_config_find(&hf->config, "sliding_window");
    if (window && window->kind == JSON_NULL && (any || !value))
        return hf_config_refuse(&hf->config, "sliding_window", window);
    if (!value) return OK;
    struct metadata array = {
        .kind = METADATA_ARRAY, .element = METADATA_BOOL, .count = (uint64_t)hf->n_layers};
    return put(hf, key_of(hf, key->target).text, array, slides, (size_t)hf->n_layers);
}

static status read_key(struct hf *hf, const struct hf_key *key) {
    const struct json_value *value;
    switch (key->use) {
    case HF_INTEGER:
    case HF_NUMBER:
    case HF_INVERSE_ROOT:
        return read_number(hf, key);
    case HF_MUST_BE:
        return check_word(hf, key);
    case HF_FULL_LAYERS:
    case HF_LAYERS:
        return read_layers(hf, key);
    case HF_FLAG:
        value = hf_config_value(&hf->config, key->name);
        if (!value || value->kind == JSON_TRUE || value->kind == JSON_FALSE) return OK;
        return fail_value(hf, key, "true or false");
    case HF_NO_EFFECT:
        break;
    }
    return OK;
}

/* ---- members that no table has ---- */

static bool starts_with(struct text text, const char *begin) {
    size_t n = strlen(begin);
    return text.length >= n && memcmp(text.data, begin, n) == 0;
}

static status check_known(const struct hf *hf, const struct hf_member *member) {
    size_t skip = strlen(hf->config.prefix);
    struct text name = {member->name.data + skip, member->name.length - skip};
    if (member->value.kind == JSON_NULL || memchr(name.data, '.', name.length)) return OK;
    if (hf_families_no_effect(name.data, name.length)) return OK;
    for (const struct hf_key *key = hf->family->keys; key->name; key++)
        if (strlen(key->name) == name.length && memcmp(key->name, name.data, name.length) == 0)
            return OK;
    /* name ends where the member's does, with a NUL */
    return hf_config_refuse(&hf->config, name.data, &member->value);
}

/* What a config that has text_config says beside it is of images, but for these. */
static status check_outer(const struct hf *hf, const struct hf_member *member) {
    static const char *const inner[] = {"quantization_config", "auto_map"};
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        if (strcmp(member->name.data, inner[i]) == 0 && member->value.kind != JSON_NULL)
            return fail(UNSUPPORTED, "%s: key '%s' is not supported", hf->config.file, inner[i]);
    if (strcmp(member->name.data, "tie_word_embeddings") == 0 && member->value.kind == JSON_FALSE)
        return fail(UNSUPPORTED, "%s: key 'tie_word_embeddings' is false beside text_config",
                    hf->config.file);
    return OK;
}

static status check_members(const struct hf *hf) {
    for (size_t i = 0; i < hf->config.count; i++) {
        const struct hf_member *member = &hf->config.items[i];
        TRY(starts_with(member->name, hf->config.prefix) ? check_known(hf, member)
                                                         : check_outer(hf, member));
    }
    return OK;
}

static status read_family(struct hf *hf) {
    const struct json_value *type = hf_config_value(&hf->config, "model_type");
    if (!type || type->kind != JSON_STRING)
        return fail(FORMAT, "%s: key 'model_type' is missing or no string", hf->config.file);
    hf->family = hf_families_find(type->text.data, type->text.length);
    if (!hf->family) return hf_config_refuse(&hf->config, "model_type", type);
    if (!hf->family->nested) return OK;
    const struct json_value *text = hf_config_value(&hf->config, "text_config");
    if (!text || text->kind != JSON_OBJECT)
        return fail(FORMAT, "%s: key 'text_config' is missing", hf->config.file);
    hf->config.prefix = "text_config.";
    return OK;
}

status hf_metadata_make(struct hf *hf) {
    TRY(read_family(hf));
    TRY(check_members(hf));
    TRY(put_text(hf, "general.architecture", hf->family->architecture));
    TRY(hf_config_integer(&hf->config, "num_hidden_layers", NULL, &hf->n_layers));
    for (const struct hf_key *key = hf->family->keys; key->name; key++) TRY(read_key(hf, key));
    if (hf->family->pairing) TRY(hf_metadata_text(hf, "rope.pairing", hf->family->pairing));

    /* As the reader will find it: only the number of dimensions of rope's own table needs it. */
    int64_t width, n_heads = 8, head_dim;
    bool found;
    TRY(hf_config_integer(&hf->config, "hidden_size", NULL, &width));
    TRY(hf_config_integer(&hf->config, "num_attention_heads", &found, &n_heads));
    if (n_heads < 1) n_heads = 1;
    head_dim = width / n_heads;
    TRY(hf_config_integer(&hf->config, "head_dim", &found, &head_dim));
    return hf_rope_make(hf, head_dim);
}
