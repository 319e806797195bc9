/* What sentence-transformers writes beside a model: modules.json names folders, whose config.json
 * say how to pool. */
#include <stdio.h>
#include <string.h>

#include "format/hf.h"

enum { MAX_BYTES = 1 << 20, MAX_PATH = 128 };
enum { POOL_MEAN = 1, POOL_FIRST = 2, POOL_LAST = 3 }; /* values of pooling_type */

struct module {
    char path[MAX_PATH], type[MAX_PATH];
};

static status fail_modules(const struct json *json, const char *what) {
    return fail(FORMAT, "%s: %s (before offset %zu)", json->file, what, json->at);
}

/* One object of the array, after its bracket. */
static status read_module(struct json *json, struct module *module) {
    struct json_value key, value;
    bool first = true, more;
    *module = (struct module){.path = ""};
    for (;;) {
        TRY(json_member(json, &first, &more, &key));
        if (!more) return OK;
        TRY(json_read(json, &value));
        char *to = json_is(&key, "path")   ? module->path
                   : json_is(&key, "type") ? module->type
                                           : NULL;
        if (!to) {
            TRY(json_skip(json, &value));
            continue;
        }
        size_t length;
        if (value.kind != JSON_STRING) return fail_modules(json, "a path or type is no string");
        TRY(json_unescape(json, &value, to, MAX_PATH - 1, &length));
        to[length] = 0;
        if (strlen(to) != length) return fail_modules(json, "a path or type has a NUL in it");
    }
}

/* "1_Pooling", in the folder itself. */
static bool is_plain(const char *path) {
    return path[0] && path[0] != '.' && !strchr(path, '/') && !strchr(path, '\\');
}

static bool is_true(const struct hf_config *config, const char *name) {
    const struct json_value *value = hf_config_value(config, name);
    return value && value->kind == JSON_TRUE;
}

/* Older files have a flag for each kind, of which several may be set; newer ones name one. */
static status read_pooling(struct hf *hf, const struct hf_config *config) {
    static const struct {
        const char *flag, *name;
        int64_t type;
    } kinds[] = {{"pooling_mode_mean_tokens", "mean", POOL_MEAN},
                 {"pooling_mode_cls_token", "cls", POOL_FIRST},
                 {"pooling_mode_lasttoken", "lasttoken", POOL_LAST},
                 {"pooling_mode_max_tokens", "max", 0},
                 {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", 0},
                 {"pooling_mode_weightedmean_tokens", "weightedmean", 0}};
    const struct json_value *mode = hf_config_value(config, "pooling_mode");
    int64_t type = -1;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!is_true(config, kinds[i].flag) && !(mode && json_is(mode, kinds[i].name))) continue;
        if (kinds[i].type == 0 || (type >= 0 && type != kinds[i].type))
            return fail(UNSUPPORTED, "%s: key '%s' is not supported", config->file,
                        mode ? "pooling_mode" : kinds[i].flag);
        type = kinds[i].type;
    }
    if (type < 0 && mode) return hf_config_refuse(config, "pooling_mode", mode);
    if (type < 0) return fail(FORMAT, "%s: names no way to pool", config->file);
    return hf_metadata_integer(hf, "pooling_type", type);
}

static status read_pooling_file(struct hf *hf, const char *folder) {
    char name[MAX_PATH + 16];
    const char *path;
    void *bytes;
    size_t size;
    struct hf_config config = {0};
    snprintf(name, sizeof name, "%s/config.json", folder);
    TRY(hf_read_optional(hf, name, MAX_BYTES, &path, &bytes, &size));
    if (!bytes)
        return fail(FORMAT, "%s: modules.json names '%s', which is not there", hf->path, name);
    status result = hf_config_parse(&config, &hf->arena, path, bytes, size);
    if (result == OK) result = read_pooling(hf, &config);
    memory_give(hf->memory, bytes);
    return result;
}

static status take_module(struct hf *hf, const struct json *json, const struct module *module) {
    const char *dot = strrchr(module->type, '.'), *type = dot ? dot + 1 : module->type;
    if (strcmp(type, "Transformer") == 0) return OK;
    if (strcmp(type, "Normalize") == 0) return hf_metadata_bool(hf, "pooling_normalize", true);
    if (strcmp(type, "Pooling") != 0)
        return fail(UNSUPPORTED, "%s: has a module of type '%s'", json->file, module->type);
    if (!is_plain(module->path)) return fail_modules(json, "'path' is no folder beside it");
    return read_pooling_file(hf, module->path);
}

static status read_modules(struct hf *hf, struct json *json) {
    struct json_value value;
    bool first = true, more;
    TRY(json_read(json, &value));
    if (value.kind != JSON_ARRAY) return fail_modules(json, "is no JSON array");
    for (;;) {
        struct module module;
        TRY(json_element(json, &first, &more));
        if (!more) return json_end(json);
        TRY(json_read(json, &value));
        if (value.kind != JSON_OBJECT) return fail_modules(json, "has what is no object");
        TRY(read_module(json, &module));
        TRY(take_module(hf, json, &module));
    }
}

status hf_sentence_make(struct hf *hf) {
    const char *path;
    void *bytes;
    size_t size;
    if (hf_flag(hf, "@ForSequenceClassification")) {
        const struct json_value *mode = hf_config_value(&hf->config, "classifier_pooling");
        bool mean = mode && json_is(mode, "mean");
        return mean ? hf_metadata_integer(hf, "pooling_type", POOL_MEAN) : OK;
    }
    TRY(hf_read_optional(hf, "modules.json", MAX_BYTES, &path, &bytes, &size));
    if (!bytes) return OK;
    struct json json = {.file = path, .bytes = bytes, .size = size};
    status result = read_modules(hf, &json);
    memory_give(hf->memory, bytes);
    return result;
}
