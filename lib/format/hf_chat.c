/* Chat templates of a Hugging Face folder, as the metadata that GGUF files have them in:
 * tokenizer.chat_template, and tokenizer.chat_template.NAME of those with names. */
#include <string.h>

#include "format/hf.h"

#define TEMPLATE_MAX_BYTES ((uint64_t)4 << 20)
#define CONFIG_MAX_BYTES ((uint64_t)16 << 20)
enum { MOST_NAME_BYTES = 200 };

/* The one that is called "default" is that without a name. What is put first counts. */
static status put_template(struct hf *hf, struct text name, struct text template) {
    char key[32 + MOST_NAME_BYTES] = "tokenizer.chat_template";
    bool plain = name.length == 0 || (name.length == 7 && memcmp(name.data, "default", 7) == 0);
    if (name.length > MOST_NAME_BYTES || (name.length && memchr(name.data, 0, name.length)))
        return OK; /* nobody could ask for it */
    if (!plain) {
        size_t n = strlen(key);
        key[n] = '.';
        memcpy(key + n + 1, name.data, name.length);
        key[n + 1 + name.length] = 0;
    }
    return hf_metadata_string(hf, key, template);
}

/* A string of the file, which its escapes make no longer. */
static status put_string(struct hf *hf, const struct json *json, struct text name,
                         const struct json_value *value) {
    char *text;
    size_t n;
    if (value->kind != JSON_STRING) return OK;
    TRY(MEMORY_TAKE(hf->memory, value->text.length + 1, "a chat template", &text));
    status result = json_unescape(json, value, text, value->text.length, &n);
    if (result == OK) result = put_template(hf, name, (struct text){text, n});
    memory_give(hf->memory, text);
    return result;
}

/* [{"name": ..., "template": ...}, ...] */
static status put_list(struct hf *hf, const struct json *json, const struct json_value *list) {
    struct json_field fields[] = {{.name = "name"}, {.name = "template"}};
    struct json_value value;
    bool first = true, more;
    struct json inside = json_inside(json, list);
    TRY(json_read(&inside, &value));
    for (;;) {
        char name[MOST_NAME_BYTES + 1];
        size_t n;
        TRY(json_element(&inside, &first, &more));
        if (!more) return OK;
        TRY(json_read(&inside, &value));
        if (value.kind != JSON_OBJECT)
            return fail(FORMAT, "%s: 'chat_template' has what is no object", json->file);
        TRY(json_fields(&inside, fields, 2, NULL));
        if (!fields[0].found || !fields[1].found || fields[0].value.kind != JSON_STRING ||
            fields[0].value.text.length > MOST_NAME_BYTES)
            continue;
        TRY(json_unescape(&inside, &fields[0].value, name, MOST_NAME_BYTES, &n));
        TRY(put_string(hf, &inside, (struct text){name, n}, &fields[1].value));
    }
}

static status read_config(struct hf *hf, const char *file, const void *bytes, size_t size) {
    struct json json = {.file = file, .bytes = bytes, .size = size};
    struct json_field fields[] = {{.name = "chat_template"}};
    struct json_value value;
    TRY(json_read(&json, &value));
    if (value.kind != JSON_OBJECT) return fail(FORMAT, "%s: is no JSON object", file);
    TRY(json_fields(&json, fields, 1, NULL));
    if (!fields[0].found) return OK;
    if (fields[0].value.kind == JSON_ARRAY) return put_list(hf, &json, &fields[0].value);
    return put_string(hf, &json, (struct text){"", 0}, &fields[0].value);
}

/* A template in a file of its own. */
static status read_file(struct hf *hf, const char *file, const char *name) {
    void *bytes = NULL;
    size_t size;
    bool found;
    TRY(hf_find_file(hf, file, TEMPLATE_MAX_BYTES, &found, &bytes, &size));
    if (!found) return OK;
    status result = put_template(hf, (struct text){name, strlen(name)},
                                 (struct text){(const char *)bytes, size});
    memory_give(hf->memory, bytes);
    return result;
}

status hf_chat_make(struct hf *hf) {
    static const char *const configs[] = {"tokenizer_config.json", "chat_template.json"};
    /* files of templates come before what the configuration says; a folder can't be listed through
     * a reader, so of the named ones those are looked for that the library itself asks for */
    TRY(read_file(hf, "chat_template.jinja", ""));
    TRY(read_file(hf, "additional_chat_templates/tool_use.jinja", "tool_use"));
    TRY(read_file(hf, "additional_chat_templates/rag.jinja", "rag"));
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        void *bytes = NULL;
        size_t size;
        bool found;
        TRY(hf_find_file(hf, configs[i], CONFIG_MAX_BYTES, &found, &bytes, &size));
        if (!found) continue;
        status result = read_config(hf, configs[i], bytes, size);
        memory_give(hf->memory, bytes);
        TRY(result);
    }
    return OK;
}
