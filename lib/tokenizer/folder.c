#include "tokenizer/folder.h"

#include <string.h>

#include "tokenizer/tokenizer_json.h"

#define TOKENIZER_MAX_BYTES ((uint64_t)256 << 20)
#define CONFIG_MAX_BYTES ((uint64_t)16 << 20)

/* A file of the folder while it is read. */
struct source {
    struct memory *memory;
    struct checkpoint *checkpoint;
    void *bytes; /* NULL: there is no such file */
    size_t size;
    char name[512]; /* for messages */
};

static status open_source(struct source *source, const char *name, uint64_t most) {
    char text[STATUS_TEXT_BYTES];
    source->bytes = NULL;
    status_save(text);
    status result = checkpoint_read_file(source->checkpoint, name, most, source->memory,
                                         &source->bytes, &source->size);
    if (result == NOT_FOUND) {
        status_restore(text);
        return OK;
    }
    size_t n = strlen(checkpoint_name(source->checkpoint)), m = strlen(name);
    if (n + m + 3 > sizeof source->name) n = 0; /* a path so long is left out */
    memcpy(source->name, checkpoint_name(source->checkpoint), n);
    if (n > 0) memcpy(source->name + n, ": ", 2);
    memcpy(source->name + (n > 0 ? n + 2 : 0), name, m + 1);
    return result;
}

static void close_source(struct source *source) {
    memory_give(source->memory, source->bytes);
    source->bytes = NULL;
}

/* The members of a file that is one object. */
static status read_members(const struct source *source, struct json *json,
                           struct json_field *fields, size_t n) {
    struct json_value value;
    *json = (struct json){.file = source->name, .bytes = source->bytes, .size = source->size};
    TRY(json_read(json, &value));
    if (value.kind != JSON_OBJECT) return fail(FORMAT, "%s: is no JSON object", source->name);
    TRY(json_fields(json, fields, n, NULL));
    return json_end(json);
}

/* ---- names of special tokens ---- */

static const struct {
    const char *name;
    int kind;
} roles[] = {
    {"bos_token", TRANSFORMER_TOKEN_BEGIN},   {"eos_token", TRANSFORMER_TOKEN_END},
    {"unk_token", TRANSFORMER_TOKEN_UNKNOWN}, {"sep_token", TRANSFORMER_TOKEN_SEPARATOR},
    {"pad_token", TRANSFORMER_TOKEN_PADDING}, {"cls_token", TRANSFORMER_TOKEN_CLASSIFY},
    {"mask_token", TRANSFORMER_TOKEN_MASK},
};
enum { N_ROLES = sizeof roles / sizeof *roles };

/* A token, as its text or as an object with its flags. One that the tokenizer lacks is added, as
 * transformers does. */
static status read_role(struct tokenizer_json *reader, struct json *json,
                        const struct json_field *field, int32_t *id) {
    struct json_field content[] = {{.name = "content"}};
    struct json_value value = field->value;
    struct text text;
    if (!field->found) return OK;
    bool object = value.kind == JSON_OBJECT;
    if (object) {
        struct json inside = json_inside(json, &value);
        TRY(json_read(&inside, &value));
        TRY(json_fields(&inside, content, 1, NULL));
        if (!content[0].found) return OK;
        value = content[0].value;
    }
    if (value.kind != JSON_STRING) return OK; /* false, of old files: none */
    TRY(tokenizer_json_text(reader, json, &value, true, &text));
    *id = tokenizer_json_find(reader, text);
    if (*id >= 0 || text.length == 0) return OK;
    TRY(object ? tokenizer_json_added(reader, json, &field->value)
               : tokenizer_json_add(reader, text, ADDED_SPECIAL));
    *id = tokenizer_json_find(reader, text);
    return OK;
}

static status read_roles(struct tokenizer_json *reader, struct json *json,
                         const struct json_field *fields, struct folder *folder) {
    for (size_t i = 0; i < N_ROLES; i++)
        TRY(read_role(reader, json, &fields[i], &folder->special_ids[roles[i].kind]));
    return OK;
}

/* {"32000": {"content": ..., flags}, ...}: tokens that tokenizer.json may lack, or other flags. */
static status read_added(struct tokenizer_json *reader, struct json *json,
                         const struct json_field *field) {
    struct json_value key, value;
    bool first = true, more;
    if (!field->found || field->value.kind != JSON_OBJECT) return OK;
    struct json inside = json_inside(json, &field->value);
    TRY(json_read(&inside, &value));
    for (;;) {
        TRY(json_member(&inside, &first, &more, &key));
        if (!more) return OK;
        TRY(json_read(&inside, &value));
        TRY(json_skip(&inside, &value));
        if (value.kind == JSON_OBJECT) TRY(tokenizer_json_added(reader, &inside, &value));
    }
}

static status read_config(struct tokenizer_json *reader, struct source *source, const char *name,
                          struct folder *folder) {
    struct json_field fields[N_ROLES + 1] = {[N_ROLES] = {.name = "added_tokens_decoder"}};
    struct json json;
    for (size_t i = 0; i < N_ROLES; i++) fields[i].name = roles[i].name;
    TRY(open_source(source, name, CONFIG_MAX_BYTES));
    if (!source->bytes) return OK;
    status result = read_members(source, &json, fields, N_ROLES + 1);
    if (result == OK) result = read_added(reader, &json, &fields[N_ROLES]);
    if (result == OK) result = read_roles(reader, &json, fields, folder);
    close_source(source);
    return result;
}

/* ---- all of it ---- */

static status read_files(struct tokenizer_json *reader, struct source *beside,
                         const struct source *source, int64_t n_vocab, struct folder *folder) {
    TRY(tokenizer_json_open(reader, source->memory, source->name, source->bytes, source->size,
                            n_vocab));
    /* what comes later counts */
    TRY(read_config(reader, beside, "special_tokens_map.json", folder));
    TRY(read_config(reader, beside, "tokenizer_config.json", folder));
    return tokenizer_json_finish(reader, &folder->pipeline);
}

status folder_open(struct memory *memory, struct checkpoint *checkpoint, int64_t n_vocab,
                   struct folder *folder) {
    struct source source = {.memory = memory, .checkpoint = checkpoint}, beside = source;
    struct tokenizer_json reader = {.memory = memory, .arena = {.memory = memory}};
    *folder = (struct folder){.pipeline = NULL};
    for (int kind = 0; kind < FOLDER_KINDS; kind++) folder->special_ids[kind] = -1;
    TRY(open_source(&source, "tokenizer.json", TOKENIZER_MAX_BYTES));
    if (!source.bytes) return OK;
    status result = read_files(&reader, &beside, &source, n_vocab, folder);
    tokenizer_json_close(&reader);
    close_source(&source);
    return result;
}
