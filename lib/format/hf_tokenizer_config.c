#include "format/hf_tokenizer_config.h"

#include <string.h>

#include "format/hf.h"

#define CONFIG_MAX_BYTES ((uint64_t)16 << 20)
enum { MOST_TEXT_BYTES = 4096, MOST_ADDED = 1 << 20 };

static status fail_member(const struct json *json, const struct json_value *key,
                          const char *wanted) {
    return fail(FORMAT, "%s: '%.*s' is not %s", json->file,
                key->text.length < 64 ? (int)key->text.length : 64, key->text.data, wanted);
}

static status keep_text(struct arena *arena, const struct json *json,
                        const struct json_value *value, struct text *text) {
    char buffer[MOST_TEXT_BYTES];
    size_t n;
    void *kept;
    TRY(json_unescape(json, value, buffer, sizeof buffer, &n));
    TRY(arena_take(arena, n + 1, "a tokenizer's texts", &kept));
    memcpy(kept, buffer, n);
    *text = (struct text){kept, n};
    return OK;
}

static status add_token(struct hf_tokenizer_config *config, struct hf_added_token token) {
    if (config->n_added == config->capacity) {
        if (config->n_added == MOST_ADDED)
            return fail(LIMIT, "%s: more than %d added tokens", config->file, MOST_ADDED);
        size_t capacity = 2 * config->capacity + 64;
        struct hf_added_token *items;
        TRY(MEMORY_TAKE_ARRAY(config->arena->memory, capacity, "added tokens", &items));
        if (config->n_added) memcpy(items, config->added, config->n_added * sizeof *items);
        memory_give(config->arena->memory, config->added);
        config->added = items;
        config->capacity = capacity;
    }
    config->added[config->n_added++] = token;
    return OK;
}

/* A token: a string, or an object with its content. value was read; token->text stays as it is for
 * null. */
static status read_token(struct hf_tokenizer_config *config, struct json *json,
                         const struct json_value *key, struct json_value *value,
                         struct hf_added_token *token) {
    if (value->kind == JSON_NULL) return OK;
    if (value->kind == JSON_STRING) return keep_text(config->arena, json, value, &token->text);
    if (value->kind != JSON_OBJECT) return fail_member(json, key, "a token");
    bool first = true, more;
    for (;;) {
        struct json_value name, part;
        TRY(json_member(json, &first, &more, &name));
        if (!more) return OK;
        TRY(json_read(json, &part));
        if (json_is(&name, "content") && part.kind == JSON_STRING)
            TRY(keep_text(config->arena, json, &part, &token->text));
        else if (json_is(&name, "special"))
            token->special = part.kind == JSON_TRUE;
        TRY(json_skip(json, &part));
    }
}

static status read_id(const struct json *json, const struct json_value *key, int64_t *id) {
    struct json_value number = *key;
    number.kind = JSON_NUMBER;
    if (json_to_i64(&number, id) && *id >= 0) return OK;
    return fail_member(json, key, "the number of a token");
}

/* {"32000": {"content": "<x>", "special": true}, ...} */
static status read_decoder(struct hf_tokenizer_config *config, struct json *json) {
    bool first = true, more;
    for (;;) {
        struct json_value key, value;
        struct hf_added_token token = {.text = {NULL, 0}};
        TRY(json_member(json, &first, &more, &key));
        if (!more) return OK;
        TRY(read_id(json, &key, &token.id));
        TRY(json_read(json, &value));
        TRY(read_token(config, json, &key, &value, &token));
        if (token.text.length) TRY(add_token(config, token));
    }
}

/* ["<x>", {"content": "<y>"}, ...] */
static status read_list(struct hf_tokenizer_config *config, struct json *json,
                        const struct json_value *key) {
    bool first = true, more;
    for (;;) {
        struct json_value value;
        struct hf_added_token token = {.id = -1, .special = true, .text = {NULL, 0}};
        TRY(json_element(json, &first, &more));
        if (!more) return OK;
        TRY(json_read(json, &value));
        TRY(read_token(config, json, key, &value, &token));
        if (token.text.length) TRY(add_token(config, token));
    }
}

/* {"<x>": 32000, ...} of added_tokens.json */
static status read_added(struct hf_tokenizer_config *config, struct json *json) {
    bool first = true, more;
    for (;;) {
        struct json_value key, value;
        struct hf_added_token token = {.special = true, .text = {NULL, 0}};
        TRY(json_member(json, &first, &more, &key));
        if (!more) return OK;
        TRY(json_read(json, &value));
        if (!json_to_i64(&value, &token.id) || token.id < 0)
            return fail_member(json, &key, "the number of a token");
        TRY(keep_text(config->arena, json, &key, &token.text));
        if (token.text.length) TRY(add_token(config, token));
    }
}

static struct text *text_of(struct hf_tokenizer_config *config, const struct json_value *key) {
    const struct {
        const char *name;
        struct text *text;
    } names[] = {
        {"tokenizer_class", &config->texts.class},
        {"bos_token", &config->texts.bos},
        {"eos_token", &config->texts.eos},
        {"unk_token", &config->texts.unknown},
        {"sep_token", &config->texts.separator},
        {"pad_token", &config->texts.padding},
        {"cls_token", &config->texts.classify},
        {"mask_token", &config->texts.mask},
        {"src_lang", &config->texts.source_language},
        {"tgt_lang", &config->texts.target_language},
        {"language_codes", &config->texts.languages},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is(key, names[i].name)) return names[i].text;
    return NULL;
}

static int *flag_of(struct hf_tokenizer_config *config, const struct json_value *key) {
    const struct {
        const char *name;
        int *flag;
    } names[] = {
        {"do_lower_case", &config->flags.lowercase},
        {"strip_accents", &config->flags.strip_accents},
        {"tokenize_chinese_chars", &config->flags.chinese},
        {"do_basic_tokenize", &config->flags.basic},
        {"add_bos_token", &config->flags.add_bos},
        {"add_eos_token", &config->flags.add_eos},
        {"add_prefix_space", &config->flags.prefix_space},
        {"separate_vocabs", &config->flags.separate_vocabs},
        {"legacy_behaviour", &config->flags.legacy_behaviour},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is(key, names[i].name)) return names[i].flag;
    return NULL;
}

static status read_member(struct hf_tokenizer_config *config, struct json *json,
                          const struct json_value *key) {
    struct json_value value;
    struct text *text = text_of(config, key);
    int *flag = flag_of(config, key);
    TRY(json_read(json, &value));
    if (text) {
        struct hf_added_token token = {.text = *text};
        TRY(read_token(config, json, key, &value, &token));
        *text = token.text;
        return OK;
    }
    if (flag && value.kind != JSON_NULL) {
        if (value.kind != JSON_TRUE && value.kind != JSON_FALSE)
            return fail_member(json, key, "true or false");
        *flag = value.kind == JSON_TRUE;
    }
    if (json_is(key, "extra_ids") && value.kind != JSON_NULL &&
        (!json_to_i64(&value, &config->extra_ids) || config->extra_ids < 0))
        return fail_member(json, key, "a number of tokens");
    if (json_is(key, "added_tokens_decoder") && value.kind == JSON_OBJECT)
        return read_decoder(config, json);
    bool list = json_is(key, "additional_special_tokens") || json_is(key, "extra_special_tokens");
    if (list && value.kind == JSON_ARRAY) return read_list(config, json, key);
    return json_skip(json, &value);
}

static status read_object(struct hf_tokenizer_config *config, struct json *json, bool added) {
    struct json_value value, key;
    bool first = true, more;
    TRY(json_read(json, &value));
    if (value.kind != JSON_OBJECT) return fail(FORMAT, "%s: is no JSON object", json->file);
    if (added) {
        TRY(read_added(config, json));
        return json_end(json);
    }
    for (;;) {
        TRY(json_member(json, &first, &more, &key));
        if (!more) return json_end(json);
        TRY(read_member(config, json, &key));
    }
}

static status read_file(const struct hf *hf, struct hf_tokenizer_config *config, const char *name,
                        bool *found) {
    void *bytes = NULL;
    size_t size;
    TRY(hf_find_file(hf, name, CONFIG_MAX_BYTES, found, &bytes, &size));
    if (!*found) return OK;
    struct json json = {.file = name, .bytes = bytes, .size = size};
    status result = read_object(config, &json, strcmp(name, "added_tokens.json") == 0);
    memory_give(hf->memory, bytes);
    return result;
}

status hf_tokenizer_config_read(const struct hf *hf, struct arena *arena,
                                struct hf_tokenizer_config *config) {
    bool found;
    *config = (struct hf_tokenizer_config){
        .arena = arena, .file = "tokenizer_config.json", .extra_ids = -1};
    config->flags.lowercase = config->flags.strip_accents = config->flags.chinese = -1;
    config->flags.add_bos = config->flags.add_eos = config->flags.prefix_space = -1;
    config->flags.separate_vocabs = config->flags.basic = config->flags.legacy_behaviour = -1;
    /* what comes later counts */
    TRY(read_file(hf, config, "added_tokens.json", &found));
    TRY(read_file(hf, config, "special_tokens_map.json", &found));
    return read_file(hf, config, "tokenizer_config.json", &config->has_file);
}

void hf_tokenizer_config_free(struct hf_tokenizer_config *config) {
    if (config->arena) memory_give(config->arena->memory, config->added);
    config->added = NULL;
    config->n_added = config->capacity = 0;
}
