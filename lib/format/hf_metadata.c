#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/hf.h"

/* ---- writing metadata ---- */

static struct metadata_maker maker_of(struct hf *hf) {
    return (struct metadata_maker){&hf->metadata, &hf->arena};
}

struct key {
    char text[160];
};

static struct key key_of(const struct hf *hf, const char *suffix) {
    struct key key;
    snprintf(key.text, sizeof key.text, "%s.%s", hf->family->architecture, suffix);
    return key;
}

status hf_metadata_put_i64(struct hf *hf, const char *key, int64_t value) {
    const struct metadata_maker maker = maker_of(hf);
    return metadata_put_i64(&maker, key, value);
}

status hf_metadata_put_f32(struct hf *hf, const char *key, float value) {
    const struct metadata_maker maker = maker_of(hf);
    return metadata_put_f32(&maker, key, value);
}

status hf_metadata_put_bool(struct hf *hf, const char *key, bool value) {
    const struct metadata_maker maker = maker_of(hf);
    return metadata_put_bool(&maker, key, value);
}

status hf_metadata_array(struct hf *hf, const char *key, enum metadata_kind element, uint64_t count,
                         const void *values, size_t size) {
    const struct metadata_maker maker = maker_of(hf);
    return metadata_put_array(&maker, key, element, count, values, size);
}

status hf_metadata_string(struct hf *hf, const char *key, struct text value) {
    const struct metadata_maker maker = maker_of(hf);
    return metadata_put_text(&maker, key, value);
}

status hf_metadata_integer(struct hf *hf, const char *suffix, int64_t value) {
    return hf_metadata_put_i64(hf, key_of(hf, suffix).text, value);
}

status hf_metadata_f32(struct hf *hf, const char *suffix, float value) {
    return hf_metadata_put_f32(hf, key_of(hf, suffix).text, value);
}

status hf_metadata_integers(struct hf *hf, const char *suffix, const int64_t *values, int64_t n) {
    return hf_metadata_array(hf, key_of(hf, suffix).text, METADATA_I64, (uint64_t)n, values,
                             (size_t)n * sizeof *values);
}

static struct metadata *find_i64(const struct hf *hf, const char *suffix) {
    struct key key = key_of(hf, suffix);
    for (size_t i = 0; i < hf->metadata.count; i++) {
        struct metadata *entry = &hf->metadata.items[i];
        if (entry->kind == METADATA_I64 && entry->key.length == strlen(key.text) &&
            memcmp(entry->key.data, key.text, entry->key.length) == 0)
            return entry;
    }
    return NULL;
}

int64_t hf_metadata_i64(const struct hf *hf, const char *suffix, int64_t fallback) {
    const struct metadata *entry = find_i64(hf, suffix);
    if (entry) memcpy(&fallback, entry->values, sizeof fallback);
    return fallback;
}

status hf_metadata_bool(struct hf *hf, const char *suffix, bool value) {
    return hf_metadata_put_bool(hf, key_of(hf, suffix).text, value);
}

static status put_text(struct hf *hf, const char *key, const char *value) {
    return hf_metadata_string(hf, key, (struct text){value, strlen(value)});
}

status hf_metadata_whole_text(struct hf *hf, const char *key, const char *value) {
    return put_text(hf, key, value);
}

status hf_metadata_whole_f32(struct hf *hf, const char *key, float value) {
    return hf_metadata_put_f32(hf, key, value);
}

status hf_metadata_text(struct hf *hf, const char *suffix, const char *value) {
    return put_text(hf, key_of(hf, suffix).text, value);
}

/* ---- reading the config's members ---- */

/* Whether the name of a class has this in it. */
static bool architecture_has(const struct hf *hf, const char *part) {
    const struct json_value *value = hf_config_value(&hf->config, "architectures");
    size_t n = strlen(part);
    for (size_t i = 0; value && i + n <= value->text.length; i++)
        if (memcmp(value->text.data + i, part, n) == 0) return true;
    return false;
}

bool hf_flag(const struct hf *hf, const char *name) {
    if (name[0] == '@') return architecture_has(hf, name + 1);
    const struct json_value *value = hf_config_find(&hf->config, name);
    if (value) return value->kind == JSON_TRUE || value->kind == JSON_NUMBER;
    for (const struct hf_key *key = hf->family->keys; key->name; key++)
        if (strcmp(key->name, name) == 0 && key->fallback)
            return strcmp(key->fallback, "true") == 0 ||
                   (key->fallback[0] >= '0' && key->fallback[0] <= '9');
    return false;
}

/* condition: "member=word". */
static bool says(const struct hf *hf, const char *condition) {
    char name[64];
    size_t n = strcspn(condition, "=");
    snprintf(name, sizeof name, "%.*s", (int)n, condition);
    const struct json_value *value = hf_config_value(&hf->config, name);
    return value && json_is(value, condition + n + 1);
}

bool hf_applies(const struct hf *hf, const char *when) {
    char name[64];
    if (when && when[0] == '?') return true;
    while (when && *when) {
        size_t n = strcspn(when, "&"), skip = when[0] == '!';
        snprintf(name, sizeof name, "%.*s", (int)(n - skip), when + skip);
        bool holds = strchr(name, '=') ? says(hf, name) : hf_flag(hf, name);
        if (holds == (skip == 1)) return false;
        when += n + (when[n] == '&');
    }
    return true;
}

/* Where the member is missing, its default; NULL: neither, or null. */
static const struct json_value *value_or_default(const struct hf *hf, const struct hf_key *key,
                                                 struct json_value *fallback) {
    const struct json_value *value = key->name[0] ? hf_config_find(&hf->config, key->name) : NULL;
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

/* To a key that is there. */
static status add_integer(struct hf *hf, const char *suffix, int64_t value) {
    struct metadata *entry = find_i64(hf, suffix);
    int64_t sum = hf_metadata_i64(hf, suffix, 0) + value;
    if (!entry) return OK; /* what it was to be added to isn't there */
    void *block;
    TRY(arena_take(&hf->arena, sizeof sum, "metadata", &block));
    memcpy(block, &sum, sizeof sum);
    entry->values = block;
    return OK;
}

static status read_number(struct hf *hf, const struct hf_key *key) {
    struct json_value fallback;
    const struct json_value *value = value_or_default(hf, key, &fallback);
    int64_t integer;
    double number;
    bool of_depth = key->use == HF_PER_ROOT_DEPTH, of_width = key->use == HF_WIDTH_RATIO;
    if (!value && (of_depth || of_width)) return hf_metadata_f32(hf, key->target, 1.0f);
    if (!value && key->required)
        return fail(FORMAT, "%s: key '%s%s' is missing", hf->config.file, hf->config.prefix,
                    key->name);
    if (!value) return OK;
    if (key->use == HF_COUNT && json_to_i64(value, &integer) && integer == 0) return OK;
    if (key->use == HF_INTEGER || key->use == HF_COUNT || key->use == HF_WIDTHS ||
        key->use == HF_ADD || key->use == HF_PATTERN) {
        if (!json_to_i64(value, &integer) || integer < 1 || integer > INT32_MAX)
            return fail_value(hf, key, "an integer of 32 bits above 0");
        if (key->use == HF_WIDTHS) integer *= hf_metadata_i64(hf, "embedding_length", 0);
        if (key->use == HF_ADD) return add_integer(hf, key->target, integer);
        return hf_metadata_integer(hf, key->target, integer);
    }
    if (!json_to_double(value, &number) || !(fabs(number) <= 3e38))
        return fail_value(hf, key, "a number of 32 bits");
    if (key->use == HF_INVERSE_ROOT) {
        if (number <= 0) return fail_value(hf, key, "a number above 0");
        number = 1.0 / sqrt(number);
    }
    if (of_width && number <= 0) return fail_value(hf, key, "a number above 0");
    if (of_depth) number /= sqrt((double)hf->n_layers);
    if (of_width) number = (double)hf_metadata_i64(hf, "embedding_length", 0) / number;
    return hf_metadata_f32(hf, key->target, (float)number);
}

static status read_token(struct hf *hf, const struct hf_key *key) {
    struct json_value fallback;
    const struct json_value *value = value_or_default(hf, key, &fallback);
    int64_t token;
    if (!value || value->kind == JSON_ARRAY) return OK;
    if (!json_to_i64(value, &token) || token < 0 || token > INT32_MAX)
        return fail_value(hf, key, "a token");
    return hf_metadata_integer(hf, key->target, token);
}

static status read_root(struct hf *hf, const struct hf_key *key) {
    struct json_value fallback;
    const struct json_value *value = value_or_default(hf, key, &fallback);
    if (!value) return OK;
    bool yes = value == &fallback ? strcmp(key->fallback, "true") == 0 : value->kind == JSON_TRUE;
    if (value != &fallback && !yes && value->kind != JSON_FALSE)
        return fail_value(hf, key, "true or false");
    double root = sqrt((double)hf_metadata_i64(hf, "embedding_length", 1));
    return hf_metadata_f32(hf, key->target,
                           (float)(!yes                  ? 1.0
                                   : key->use == HF_ROOT ? root
                                                         : 1.0 / root));
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

static status read_bool(struct hf *hf, const struct hf_key *key) {
    const struct json_value *value = hf_config_value(&hf->config, key->name);
    if (value && value->kind != JSON_TRUE && value->kind != JSON_FALSE)
        return fail_value(hf, key, "true or false");
    if (key->use == HF_FLAG) return OK;
    return hf_metadata_bool(hf, key->target, hf_flag(hf, key->name));
}

static status read_activation(struct hf *hf, const struct hf_key *key) {
    static const char *const names[][2] = {
        {"silu", "silu"},
        {"swish", "silu"},
        {"gelu", "gelu"},
        {"gelu_python", "gelu"},
        {"gelu_new", "gelu_tanh"},
        {"gelu_fast", "gelu_tanh"},
        {"gelu_accurate", "gelu_tanh"},
        {"gelu_pytorch_tanh", "gelu_tanh"},
        {"gelu_python_tanh", "gelu_tanh"},
        {"relu", "relu"},
        {"tanh", "tanh"},
        {"relu2", "relu_squared"},
    };
    struct json_value fallback;
    const struct json_value *value = value_or_default(hf, key, &fallback);
    if (!value) return OK;
    static const char begin[] = "gated-";
    struct text name = {value->text.data, value->text.length};
    size_t skip = sizeof begin - 1;
    if (key->use == HF_GATED_ACTIVATION && name.length > skip &&
        memcmp(name.data, begin, skip) == 0) {
        name = (struct text){name.data + skip, name.length - skip};
        if (name.length == 4 && memcmp(name.data, "gelu", 4) == 0)
            return hf_metadata_text(hf, key->target, "gelu_tanh");
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (name.length == strlen(names[i][0]) && memcmp(name.data, names[i][0], name.length) == 0)
            return hf_metadata_text(hf, key->target, names[i][1]);
    return hf_config_refuse(&hf->config, key->name, value);
}

enum { MOST_LAYERS = HF_MOST_LAYERS };

static status read_integers(struct hf *hf, const struct hf_key *key) {
    const struct json_value *value = hf_config_value(&hf->config, key->name);
    struct json_value part;
    int64_t numbers[MOST_LAYERS], n = 0;
    bool first = true, more;
    if (!value) return OK;
    if (value->kind != JSON_ARRAY) return fail_value(hf, key, "an array");
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)value->text.data,
                        .size = value->text.length};
    TRY(json_read(&json, &part));
    for (;; n++) {
        TRY(json_element(&json, &first, &more));
        if (!more) break;
        TRY(json_read(&json, &part));
        if (n == MOST_LAYERS || !json_to_i64(&part, &numbers[n]))
            return fail_value(hf, key, "an array of an integer for each layer");
    }
    if (n != hf->n_layers)
        return fail(FORMAT, "%s: key '%s%s' has %" PRId64 " elements for %" PRId64 " layers",
                    hf->config.file, hf->config.prefix, key->name, n, hf->n_layers);
    return hf_metadata_integers(hf, key->target, numbers, n);
}

/* Which layers slide. */
struct layers {
    uint8_t slides[MOST_LAYERS];
    int64_t n; /* said so far */
    bool any;
};

static status add_layer(struct hf *hf, const struct hf_key *key, const struct json_value *name,
                        struct layers *layers) {
    bool slides = json_is(name, "sliding_attention") || json_is(name, "local");
    if ((!slides && !json_is(name, "full_attention") && !json_is(name, "global")) ||
        (slides && key->use == HF_FULL_LAYERS))
        return hf_config_refuse(&hf->config, key->name, name);
    if (layers->n < MOST_LAYERS) layers->slides[layers->n] = slides;
    layers->n++;
    layers->any = layers->any || slides;
    return OK;
}

static status read_layer_types(struct hf *hf, const struct hf_key *key,
                               const struct json_value *value, struct layers *layers) {
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)value->text.data,
                        .size = value->text.length};
    struct json_value part;
    bool first = true, more;
    if (value->kind != JSON_ARRAY) return fail_value(hf, key, "an array");
    TRY(json_read(&json, &part));
    for (;;) {
        TRY(json_element(&json, &first, &more));
        if (!more) return OK;
        TRY(json_read(&json, &part));
        TRY(add_layer(hf, key, &part, layers));
    }
}

/* One of HF_LAYER_GROUPS, after its bracket: names and how many times they come. */
static status read_layer_group(struct hf *hf, const struct hf_key *key, struct json *json,
                               struct layers *layers) {
    struct json_value part;
    bool first = true, first_name = true, more;
    int64_t begin = layers->n, times = 0;
    TRY(json_element(json, &first, &more));
    if (more) TRY(json_read(json, &part));
    if (!more || part.kind != JSON_ARRAY) return fail_value(hf, key, "an array of groups");
    for (;;) {
        TRY(json_element(json, &first_name, &more));
        if (!more) break;
        TRY(json_read(json, &part));
        TRY(add_layer(hf, key, &part, layers));
    }
    TRY(json_element(json, &first, &more));
    if (more) TRY(json_read(json, &part));
    if (!more || !json_to_i64(&part, &times) || times < 1 || times > MOST_LAYERS)
        return fail_value(hf, key, "an array of groups");
    int64_t n = layers->n - begin;
    for (int64_t i = n; i < n * times && layers->n < MOST_LAYERS; i++, layers->n++)
        layers->slides[layers->n] = layers->slides[layers->n - n];
    TRY(json_element(json, &first, &more));
    return more ? fail_value(hf, key, "an array of groups") : OK;
}

static status read_layer_groups(struct hf *hf, const struct hf_key *key,
                                const struct json_value *value, struct layers *layers) {
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)value->text.data,
                        .size = value->text.length};
    struct json_value part;
    bool first = true, more;
    if (value->kind != JSON_ARRAY) return fail_value(hf, key, "an array of groups");
    TRY(json_read(&json, &part));
    for (;;) {
        TRY(json_element(&json, &first, &more));
        if (!more) return OK;
        TRY(json_read(&json, &part));
        if (part.kind != JSON_ARRAY) return fail_value(hf, key, "an array of groups");
        TRY(read_layer_group(hf, key, &json, layers));
    }
}

static status read_late_layers(struct hf *hf, const struct hf_key *key,
                               const struct json_value *value, struct layers *layers) {
    int64_t first;
    if (!json_to_i64(value, &first) || first < 0) return fail_value(hf, key, "an integer");
    for (; layers->n < hf->n_layers; layers->n++)
        layers->any |= layers->slides[layers->n] = layers->n >= first;
    return OK;
}

static status read_layers(struct hf *hf, const struct hf_key *key) {
    struct json_value fallback;
    const struct json_value *value = value_or_default(hf, key, &fallback);
    struct layers layers = {.n = 0};
    if (value && hf->n_layers > MOST_LAYERS)
        return fail(LIMIT, "%s: %" PRId64 " layers", hf->config.file, hf->n_layers);
    if (value && key->use == HF_LATE_LAYERS) TRY(read_late_layers(hf, key, value, &layers));
    if (value && key->use == HF_LAYER_GROUPS) TRY(read_layer_groups(hf, key, value, &layers));
    bool to_full = key->use == HF_LAYERS_TO_FULL;
    if (value && (key->use == HF_LAYERS || key->use == HF_FULL_LAYERS || to_full))
        TRY(read_layer_types(hf, key, value, &layers));
    for (; !value && to_full && layers.n < hf->n_layers && layers.n < MOST_LAYERS; layers.n++)
        layers.any |= layers.slides[layers.n] = (layers.n + 1) % 6 != 0;
    if (to_full && layers.n) layers.slides[layers.n - 1] = false;
    if (value && layers.n != hf->n_layers)
        return fail(FORMAT, "%s: key '%s%s' has %" PRId64 " elements for %" PRId64 " layers",
                    hf->config.file, hf->config.prefix, key->name, layers.n, hf->n_layers);
    if (key->use == HF_FULL_LAYERS) return OK;
    const struct json_value *window = hf_config_find(&hf->config, "sliding_window");
    if (window && window->kind == JSON_NULL && (layers.any || !value))
        return hf_config_refuse(&hf->config, "sliding_window", window);
    if (!value && !to_full) return OK;
    if (layers.n != hf->n_layers)
        return fail(LIMIT, "%s: %" PRId64 " layers", hf->config.file, hf->n_layers);
    for (int64_t i = 0; i < layers.n; i++) hf->slides[i] = layers.slides[i] != 0;
    return hf_metadata_array(hf, key_of(hf, key->target).text, METADATA_BOOL,
                             (uint64_t)hf->n_layers, layers.slides, (size_t)hf->n_layers);
}

/* Which layers have experts. */
static status read_sparse(struct hf *hf, const struct hf_key *key) {
    struct json_value fallback;
    const struct json_value *value = value_or_default(hf, key, &fallback);
    int64_t n;
    if (!value) return OK;
    if (!json_to_i64(value, &n) || n < (key->use == HF_SPARSE_STEP ? 1 : -1))
        return fail_value(hf, key, "an integer");
    if (key->use == HF_SPARSE_LAST && n < 0) return OK;
    if (key->target) TRY(hf_metadata_integer(hf, key->target, n));
    for (int64_t i = 0; i < hf->n_layers && i < MOST_LAYERS; i++)
        hf->dense[i] = hf->dense[i] || (key->use == HF_SPARSE_STEP    ? (i + 1) % n != 0
                                        : key->use == HF_SPARSE_FIRST ? i < n
                                                                      : i > n);
    return OK;
}

static status read_dense_list(struct hf *hf, const struct hf_key *key) {
    const struct json_value *value = hf_config_value(&hf->config, key->name);
    struct json_value part;
    int64_t layer;
    bool first = true, more;
    if (!value) return OK;
    if (value->kind != JSON_ARRAY) return fail_value(hf, key, "an array");
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)value->text.data,
                        .size = value->text.length};
    TRY(json_read(&json, &part));
    for (;;) {
        TRY(json_element(&json, &first, &more));
        if (!more) return OK;
        TRY(json_read(&json, &part));
        if (!json_to_i64(&part, &layer)) return fail_value(hf, key, "an array of integers");
        if (layer >= 0 && layer < MOST_LAYERS) hf->dense[layer] = true;
    }
}

static status read_mlp_types(struct hf *hf, const struct hf_key *key) {
    const struct json_value *value = hf_config_value(&hf->config, key->name);
    struct json_value part;
    bool first = true, more;
    int64_t n = 0;
    for (int64_t i = 0; !value && i < hf->n_layers && i < MOST_LAYERS; i++) hf->dense[i] = i == 0;
    if (!value) return OK;
    if (value->kind != JSON_ARRAY) return fail_value(hf, key, "an array");
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)value->text.data,
                        .size = value->text.length};
    TRY(json_read(&json, &part));
    for (;; n++) {
        TRY(json_element(&json, &first, &more));
        if (!more) break;
        TRY(json_read(&json, &part));
        if (!json_is(&part, "dense") && !json_is(&part, "sparse"))
            return hf_config_refuse(&hf->config, key->name, &part);
        if (n < MOST_LAYERS) hf->dense[n] = json_is(&part, "dense");
    }
    if (n == hf->n_layers) return OK;
    return fail(FORMAT, "%s: key '%s%s' has %" PRId64 " elements for %" PRId64 " layers",
                hf->config.file, hf->config.prefix, key->name, n, hf->n_layers);
}

static status read_key(struct hf *hf, const struct hf_key *key) {
    if (!hf_applies(hf, key->when)) return OK;
    switch (key->use) {
    case HF_INTEGER:
    case HF_COUNT:
    case HF_NUMBER:
    case HF_INVERSE_ROOT:
    case HF_WIDTHS:
    case HF_ADD:
    case HF_PER_ROOT_DEPTH:
    case HF_WIDTH_RATIO:
        return read_number(hf, key);
    case HF_TEXT:
        return hf_metadata_text(hf, key->target, key->fallback);
    case HF_BOOL:
    case HF_FLAG:
        return read_bool(hf, key);
    case HF_TOKEN:
        return read_token(hf, key);
    case HF_ROOT:
    case HF_ROOT_INVERSE:
        return read_root(hf, key);
    case HF_ACTIVATION:
    case HF_GATED_ACTIVATION:
        return read_activation(hf, key);
    case HF_MUST_BE:
        return check_word(hf, key);
    case HF_FULL_LAYERS:
    case HF_LAYERS:
    case HF_LATE_LAYERS:
    case HF_LAYER_GROUPS:
    case HF_LAYERS_TO_FULL:
        return read_layers(hf, key);
    case HF_PATTERN:
        return hf_config_value(&hf->config, "layer_types") ? OK : read_number(hf, key);
    case HF_LAYER_SIZES:
        return hf_layer_sizes_make(hf);
    case HF_INTEGERS:
        return read_integers(hf, key);
    case HF_SPARSE_STEP:
    case HF_SPARSE_FIRST:
    case HF_SPARSE_LAST:
        return read_sparse(hf, key);
    case HF_DENSE_LIST:
        return read_dense_list(hf, key);
    case HF_MLP_TYPES:
        return read_mlp_types(hf, key);
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

static status check_known(struct hf *hf, const struct hf_member *member) {
    size_t skip = strlen(hf->config.prefix);
    struct text name = {member->name.data + skip, member->name.length - skip};
    if (strcmp(name.data, "quantization_config") == 0 && member->value.kind != JSON_NULL)
        return hf_quantized_config(hf, &member->value);
    if (member->value.kind == JSON_NULL) return OK;
    if (starts_with(name, "rope_scaling.") || starts_with(name, "rope_parameters."))
        return OK; /* hf_rope.c reads these */
    size_t before = starts_with(name, "attn_config.") ? strlen("attn_config.") : 0;
    if (hf_families_no_effect(name.data + before, name.length - before)) return OK;
    for (const struct hf_key *key = hf->family->keys; key->name; key++)
        if (strlen(key->name) == name.length && memcmp(key->name, name.data, name.length) == 0)
            return OK;
    /* name ends where the member's does, with a NUL */
    return hf_config_refuse(&hf->config, name.data, &member->value);
}

/* What a config that has text_config says beside it is of images, but for these. */
static status check_outer(struct hf *hf, const struct hf_member *member) {
    if (strcmp(member->name.data, "quantization_config") == 0 && member->value.kind != JSON_NULL)
        return hf_quantized_config(hf, &member->value);
    if (strcmp(member->name.data, "auto_map") == 0 && member->value.kind != JSON_NULL)
        return fail(UNSUPPORTED, "%s: key 'auto_map' is not supported", hf->config.file);
    if (strcmp(member->name.data, "tie_word_embeddings") == 0 && member->value.kind == JSON_FALSE)
        return fail(UNSUPPORTED, "%s: key 'tie_word_embeddings' is false beside text_config",
                    hf->config.file);
    return OK;
}

static status check_members(struct hf *hf) {
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
    const struct json_value *classes = hf_config_value(&hf->config, "architectures");
    hf->family =
        hf_families_find(type->text.data, type->text.length, classes ? classes->text.data : "",
                         classes ? classes->text.length : 0);
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
    for (const struct hf_key *key = hf->family->keys; key->name; key++) {
        TRY(read_key(hf, key));
        if (!hf->n_layers) hf->n_layers = hf_metadata_i64(hf, "block_count", 0);
    }
    int64_t width = hf_metadata_i64(hf, "embedding_length", 0);
    int64_t n_heads = hf_metadata_i64(hf, "attention.head_count", 1);
    int64_t key_length = hf_metadata_i64(hf, "attention.key_length", 0);
    hf->n_decoder_layers = hf_metadata_i64(hf, "decoder_block_count", hf->n_layers);
    hf->head_dim = key_length ? key_length : width / n_heads;
    /* Other readers of the format take the values' size from n_embd and n_heads where it isn't
     * told. */
    if (key_length && !hf_metadata_i64(hf, "attention.value_length", 0))
        TRY(hf_metadata_integer(hf, "attention.value_length", key_length));
    int64_t n_dims = hf_metadata_i64(hf, "rope.dimension_count", hf->head_dim);
    if (hf->family->rope_theta != 0) TRY(hf_rope_make(hf, n_dims));
    if (!hf->family->pairing) return OK;
    /* Heads that are rotated in part keep transformers' order, which is told by a key of ours. */
    hf->interleaves = hf_metadata_i64(hf, "rope.dimension_count", hf->head_dim) == hf->head_dim;
    return hf->interleaves ? OK : hf_metadata_text(hf, "rope.pairing", hf->family->pairing);
}
