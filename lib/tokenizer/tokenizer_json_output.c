/* Post-processors and decoders. */
#include <string.h>

#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static status fail_type(const struct json *json, const char *where, const struct json_field *type) {
    if (!type->found || type->value.kind != JSON_STRING)
        return tokenizer_json_fail(json, where, "type", "is missing");
    return fail(UNSUPPORTED, "%s: %s of type '%.*s'", json->file, where,
                type->value.text.length < 64 ? (int)type->value.text.length : 64,
                type->value.text.data);
}

/* ---- templates ---- */

enum {
    O_TYPE,
    O_LIST,
    O_SEP,
    O_CLS,
    O_TRIM,
    O_PREFIX_SPACE,
    O_SINGLE,
    O_PAIR,
    O_TOKENS,
    O_USE_REGEX,
    O_FIELDS
};
enum { MOST_PARTS = 64 };
static const char post_processor[] = "the post-processor";

static status take_parts(struct tokenizer_json *reader, size_t n, struct template_part **parts) {
    void *block;
    TRY(arena_take(&reader->pipeline->arena, n * sizeof **parts, "a template", &block));
    *parts = block;
    return OK;
}

static status take_ids(struct tokenizer_json *reader, size_t n, int32_t **ids) {
    void *block;
    TRY(arena_take(&reader->pipeline->arena, (n + 1) * sizeof **ids, "a template", &block));
    *ids = block;
    return OK;
}

/* Parts [n]: ids as they are needed for tokens, the types of the others. */
static status set_template(struct tokenizer_json *reader, const struct template_part *parts,
                           size_t n, struct template *template) {
    struct template_part *kept;
    TRY(take_parts(reader, n, &kept));
    memcpy(kept, parts, n * sizeof *kept);
    *template = (struct template){kept, n};
    return OK;
}

static status set_plain(struct tokenizer_json *reader, int32_t second_type) {
    const struct template_part parts[] = {{.what = TEMPLATE_FIRST},
                                          {.what = TEMPLATE_SECOND, .type = second_type}};
    TRY(set_template(reader, parts, 1, &reader->pipeline->single));
    return set_template(reader, parts, 2, &reader->pipeline->pair);
}

/* ["[SEP]", 102] */
static status read_named_id(struct tokenizer_json *reader, const struct json *json,
                            const struct json_field *field, int32_t **ids) {
    struct json_value value;
    bool first = true, more;
    int64_t id = -1;
    if (!field->found || field->value.kind != JSON_ARRAY)
        return tokenizer_json_fail(json, post_processor, field->name, "is missing");
    struct json inside = json_inside(json, &field->value);
    TRY(json_read(&inside, &value));
    for (int i = 0;; i++) {
        TRY(json_element(&inside, &first, &more));
        if (!more) break;
        TRY(json_read(&inside, &value));
        TRY(json_skip(&inside, &value));
        if (i == 1 && (!json_to_i64(&value, &id) || id > INT32_MAX)) id = -1;
    }
    if (id < 0) return tokenizer_json_fail(json, post_processor, field->name, "has no id");
    TRY(take_ids(reader, 1, ids));
    **ids = (int32_t)id;
    return OK;
}

/* [CLS] A [SEP], and of a pair [CLS] A [SEP] B [SEP]; twice: [SEP] [SEP] between the two. */
static status read_cls_sep(struct tokenizer_json *reader, const struct json *json,
                           const struct json_field *fields, bool twice, int32_t second_type) {
    int32_t *cls, *sep;
    TRY(read_named_id(reader, json, &fields[O_CLS], &cls));
    TRY(read_named_id(reader, json, &fields[O_SEP], &sep));
    const struct template_part begin = {TEMPLATE_TOKENS, cls, 1, 0},
                               end = {TEMPLATE_TOKENS, sep, 1, 0};
    const struct template_part first = {.what = TEMPLATE_FIRST};
    const struct template_part second = {.what = TEMPLATE_SECOND, .type = second_type};
    struct template_part last = end;
    last.type = second_type;
    const struct template_part single[] = {begin, first, end};
    const struct template_part pair[] = {begin, first, end, second, last};
    const struct template_part apart[] = {begin, first, end, end, second, last};
    TRY(set_template(reader, single, 3, &reader->pipeline->single));
    return set_template(reader, twice ? apart : pair, twice ? 6 : 5, &reader->pipeline->pair);
}

static status read_bert(struct tokenizer_json *reader, const struct json *json,
                        const struct json_field *fields) {
    return read_cls_sep(reader, json, fields, false, 1);
}

static status read_roberta(struct tokenizer_json *reader, const struct json *json,
                           const struct json_field *fields) {
    return read_cls_sep(reader, json, fields, true, 0);
}

/* The ids of special_tokens[name].ids */
static status read_special(struct tokenizer_json *reader, const struct json *json,
                           const struct json_field *tokens, struct text name,
                           struct template_part *part) {
    struct json_field fields[] = {{.name = "ids"}, {.name = "id"}, {.name = "tokens"}};
    struct json_value key, value;
    struct text text;
    bool first = true, more, found = false;
    if (!tokens->found || tokens->value.kind != JSON_OBJECT)
        return tokenizer_json_fail(json, post_processor, "special_tokens", "is missing");
    struct json inside = json_inside(json, &tokens->value);
    TRY(json_read(&inside, &value));
    for (;;) {
        TRY(json_member(&inside, &first, &more, &key));
        if (!more) break;
        TRY(tokenizer_json_text(reader, &inside, &key, false, &text));
        TRY(json_read(&inside, &value));
        TRY(json_skip(&inside, &value));
        if (text.length != name.length || memcmp(text.data, name.data, name.length) != 0) continue;
        found = true;
        TRY(tokenizer_json_fields(&inside, &value, "a special token", fields, COUNT(fields)));
    }
    if (!found || !fields[0].found || fields[0].value.kind != JSON_ARRAY)
        return tokenizer_json_fail(json, post_processor, "special_tokens",
                                   "lacks a token of the template");
    int32_t *ids;
    int64_t id;
    TRY(take_ids(reader, fields[0].value.text.length / 2, &ids)); /* a digit and a comma each */
    struct json list = json_inside(&inside, &fields[0].value);
    TRY(json_read(&list, &value));
    *part = (struct template_part){.what = TEMPLATE_TOKENS, .ids = ids};
    for (first = true;; ids[part->n++] = (int32_t)id) {
        TRY(json_element(&list, &first, &more));
        if (!more) return OK;
        TRY(json_read(&list, &value));
        if (!json_to_i64(&value, &id) || id < 0 || id > INT32_MAX)
            return tokenizer_json_fail(json, post_processor, "special_tokens",
                                       "has an id that is none");
    }
}

/* {"SpecialToken": {"id", "type_id"}} or {"Sequence": {...}} */
static status read_part(struct tokenizer_json *reader, const struct json *json,
                        const struct json_value *value, const struct json_field *tokens,
                        struct template_part *part) {
    struct json_field kinds[] = {{.name = "SpecialToken"}, {.name = "Sequence"}};
    struct json_field fields[] = {{.name = "id"}, {.name = "type_id"}};
    int64_t type = 0;
    struct text name;
    TRY(tokenizer_json_fields(json, value, post_processor, kinds, 2));
    bool sequence = kinds[1].found;
    if (kinds[0].found == sequence)
        return tokenizer_json_fail(json, post_processor, "single", "has a part of no known kind");
    TRY(tokenizer_json_fields(json, &kinds[sequence].value, post_processor, fields, 2));
    if (!fields[0].found) return tokenizer_json_fail(json, post_processor, "id", "is missing");
    TRY(tokenizer_json_text(reader, json, &fields[0].value, false, &name));
    TRY(tokenizer_json_count(json, post_processor, &fields[1], INT32_MAX, &type));
    *part = (struct template_part){.what = TEMPLATE_FIRST};
    if (!sequence)
        TRY(read_special(reader, json, tokens, name, part));
    else if (name.length == 1 && name.data[0] == 'B')
        part->what = TEMPLATE_SECOND;
    else if (name.length != 1 || name.data[0] != 'A')
        return tokenizer_json_fail(json, post_processor, "id", "is neither A nor B");
    part->type = (int32_t)type;
    return OK;
}

static status read_one_template(struct tokenizer_json *reader, const struct json *json,
                                const struct json_field *field, const struct json_field *tokens,
                                struct template *template) {
    struct template_part parts[MOST_PARTS];
    struct json_value value;
    bool first = true, more, has_first = false;
    size_t n = 0;
    if (!field->found || field->value.kind != JSON_ARRAY)
        return tokenizer_json_fail(json, post_processor, field->name, "is missing, or no array");
    struct json inside = json_inside(json, &field->value);
    TRY(json_read(&inside, &value));
    for (;;) {
        TRY(json_element(&inside, &first, &more));
        if (!more) break;
        TRY(json_read(&inside, &value));
        TRY(json_skip(&inside, &value));
        if (n == MOST_PARTS)
            return fail(UNSUPPORTED, "%s: a template of more than %d parts", json->file,
                        MOST_PARTS);
        TRY(read_part(reader, &inside, &value, tokens, &parts[n]));
        has_first = has_first || parts[n].what == TEMPLATE_FIRST;
        if (parts[n].what == TEMPLATE_SECOND && template == &reader->pipeline->single)
            return tokenizer_json_fail(json, post_processor, field->name, "has a second text");
        n++;
    }
    if (!has_first) return tokenizer_json_fail(json, post_processor, field->name, "has no text");
    return set_template(reader, parts, n, template);
}

static status read_template(struct tokenizer_json *reader, const struct json *json,
                            const struct json_field *fields) {
    struct pipeline *pipeline = reader->pipeline;
    const struct json_field *tokens = &fields[O_TOKENS];
    TRY(read_one_template(reader, json, &fields[O_SINGLE], tokens, &pipeline->single));
    return read_one_template(reader, json, &fields[O_PAIR], tokens, &pipeline->pair);
}

static const struct {
    const char *type;
    status (*read)(struct tokenizer_json *, const struct json *, const struct json_field *);
} post_processors[] = {
    {"TemplateProcessing", read_template},
    {"BertProcessing", read_bert},
    {"RobertaProcessing", read_roberta},
};

/* *set: a template is. */
static status read_post_processor(struct tokenizer_json *reader, const struct json *json,
                                  const struct json_value *object, bool *set) {
    struct json_field fields[O_FIELDS] = {
        [O_TYPE] = {.name = "type"},
        [O_LIST] = {.name = "processors"},
        [O_SEP] = {.name = "sep"},
        [O_CLS] = {.name = "cls"},
        [O_TRIM] = {.name = "trim_offsets"},
        [O_PREFIX_SPACE] = {.name = "add_prefix_space"},
        [O_SINGLE] = {.name = "single"},
        [O_PAIR] = {.name = "pair"},
        [O_TOKENS] = {.name = "special_tokens"},
        [O_USE_REGEX] = {.name = "use_regex"},
    };
    TRY(tokenizer_json_fields(json, object, post_processor, fields, O_FIELDS));
    if (tokenizer_json_is(&fields[O_TYPE], "ByteLevel")) return OK; /* of offsets only */
    if (tokenizer_json_is(&fields[O_TYPE], "Sequence")) {
        const struct json_field *list = &fields[O_LIST];
        struct json_value value;
        bool first = true, more;
        if (!list->found || list->value.kind != JSON_ARRAY)
            return tokenizer_json_fail(json, post_processor, "processors", "is no array");
        struct json inside = json_inside(json, &list->value);
        TRY(json_read(&inside, &value));
        for (;;) {
            TRY(json_element(&inside, &first, &more));
            if (!more) return OK;
            TRY(json_read(&inside, &value));
            TRY(json_skip(&inside, &value));
            TRY(read_post_processor(reader, &inside, &value, set));
        }
    }
    for (size_t i = 0; i < COUNT(post_processors); i++) {
        if (!tokenizer_json_is(&fields[O_TYPE], post_processors[i].type)) continue;
        if (*set)
            return fail(UNSUPPORTED, "%s: more than one post-processor that adds tokens",
                        json->file);
        *set = true;
        return post_processors[i].read(reader, json, fields);
    }
    return fail_type(json, post_processor, &fields[O_TYPE]);
}

status tokenizer_json_post_processor(struct tokenizer_json *reader, const struct json *json,
                                     const struct json_field *field) {
    bool set = false;
    TRY(set_plain(reader, 1));
    return field->found ? read_post_processor(reader, json, &field->value, &set) : OK;
}

/* ---- decoders ---- */

enum {
    D_TYPE,
    D_LIST,
    D_PREFIX,
    D_CLEANUP,
    D_REPLACEMENT,
    D_PREFIX_SPACE,
    D_SCHEME,
    D_PATTERN,
    D_CONTENT,
    D_START,
    D_STOP,
    D_SUFFIX,
    D_SPLIT,
    D_STR_REP,
    D_TRIM,
    D_USE_REGEX,
    D_FIELDS
};
static const char decoder[] = "the decoder";

static status add_decoder(struct tokenizer_json *reader, const struct json *json,
                          enum decode_kind kind, struct decode_step **step) {
    struct pipeline *pipeline = reader->pipeline;
    void *steps;
    if (!pipeline->decoders) {
        TRY(arena_take(&pipeline->arena, TOKENIZER_JSON_STEPS * sizeof *pipeline->decoders,
                       "decoders", &steps));
        pipeline->decoders = steps;
    }
    if (pipeline->n_decoders == TOKENIZER_JSON_STEPS)
        return fail(UNSUPPORTED, "%s: more than %d decoders", json->file, TOKENIZER_JSON_STEPS);
    *step = &pipeline->decoders[pipeline->n_decoders++];
    **step = (struct decode_step){.kind = kind};
    return OK;
}

static status read_wordpiece(struct tokenizer_json *reader, const struct json *json,
                             const struct json_field *fields, struct decode_step *step) {
    step->text = (struct text){"##", 2};
    step->cleanup = true;
    TRY(tokenizer_json_bool(json, decoder, &fields[D_CLEANUP], &step->cleanup));
    if (!fields[D_PREFIX].found) return OK;
    return tokenizer_json_text(reader, json, &fields[D_PREFIX].value, true, &step->text);
}

static status read_metaspace(struct tokenizer_json *reader, const struct json *json,
                             const struct json_field *fields, struct decode_step *step) {
    bool prefix = true;
    (void)reader;
    step->character = 0x2581;
    TRY(tokenizer_json_character(json, decoder, &fields[D_REPLACEMENT], &step->character));
    TRY(tokenizer_json_bool(json, decoder, &fields[D_PREFIX_SPACE], &prefix));
    step->keep_first = !prefix || tokenizer_json_is(&fields[D_SCHEME], "never");
    return OK;
}

static status read_strip(struct tokenizer_json *reader, const struct json *json,
                         const struct json_field *fields, struct decode_step *step) {
    int64_t start = 0, stop = 0;
    (void)reader;
    if (!fields[D_CONTENT].found)
        return tokenizer_json_fail(json, decoder, "content", "is missing");
    TRY(tokenizer_json_character(json, decoder, &fields[D_CONTENT], &step->character));
    TRY(tokenizer_json_count(json, decoder, &fields[D_START], INT32_MAX, &start));
    TRY(tokenizer_json_count(json, decoder, &fields[D_STOP], INT32_MAX, &stop));
    step->start = (size_t)start;
    step->stop = (size_t)stop;
    return OK;
}

static status read_replace(struct tokenizer_json *reader, const struct json *json,
                           const struct json_field *fields, struct decode_step *step) {
    if (!fields[D_CONTENT].found)
        return tokenizer_json_fail(json, decoder, "content", "is missing");
    TRY(tokenizer_json_text(reader, json, &fields[D_CONTENT].value, true, &step->content));
    return tokenizer_json_pattern(reader, json, decoder, &fields[D_PATTERN], &step->regex,
                                  &step->wide);
}

static status read_suffix(struct tokenizer_json *reader, const struct json *json,
                          const struct json_field *fields, struct decode_step *step) {
    step->text = (struct text){"</w>", 4};
    if (!fields[D_SUFFIX].found) return OK;
    return tokenizer_json_text(reader, json, &fields[D_SUFFIX].value, true, &step->text);
}

static status read_nothing(struct tokenizer_json *reader, const struct json *json,
                           const struct json_field *fields, struct decode_step *step) {
    (void)reader;
    (void)json;
    (void)fields;
    (void)step;
    return OK;
}

static const struct {
    const char *type;
    enum decode_kind kind;
    status (*read)(struct tokenizer_json *, const struct json *, const struct json_field *,
                   struct decode_step *);
} decoders[] = {
    {"ByteLevel", DECODE_BYTES, read_nothing},
    {"WordPiece", DECODE_WORDPIECE, read_wordpiece},
    {"Metaspace", DECODE_METASPACE, read_metaspace},
    {"ByteFallback", DECODE_FALLBACK, read_nothing},
    {"Fuse", DECODE_FUSE, read_nothing},
    {"Strip", DECODE_STRIP, read_strip},
    {"Replace", DECODE_REPLACE, read_replace},
    {"BPEDecoder", DECODE_SUFFIX, read_suffix},
};

static status read_decoder(struct tokenizer_json *reader, const struct json *json,
                           const struct json_value *object) {
    struct json_field fields[D_FIELDS] = {
        [D_TYPE] = {.name = "type"},
        [D_LIST] = {.name = "decoders"},
        [D_PREFIX] = {.name = "prefix"},
        [D_CLEANUP] = {.name = "cleanup"},
        [D_REPLACEMENT] = {.name = "replacement"},
        [D_PREFIX_SPACE] = {.name = "add_prefix_space"},
        [D_SCHEME] = {.name = "prepend_scheme"},
        [D_PATTERN] = {.name = "pattern"},
        [D_CONTENT] = {.name = "content"},
        [D_START] = {.name = "start"},
        [D_STOP] = {.name = "stop"},
        [D_SUFFIX] = {.name = "suffix"},
        [D_SPLIT] = {.name = "split"},
        [D_STR_REP] = {.name = "str_rep"},
        [D_TRIM] = {.name = "trim_offsets"},
        [D_USE_REGEX] = {.name = "use_regex"},
    };
    struct decode_step *step = NULL;
    TRY(tokenizer_json_fields(json, object, decoder, fields, D_FIELDS));
    if (tokenizer_json_is(&fields[D_TYPE], "Sequence")) {
        const struct json_field *list = &fields[D_LIST];
        struct json_value value;
        bool first = true, more;
        if (!list->found || list->value.kind != JSON_ARRAY)
            return tokenizer_json_fail(json, decoder, "decoders", "is no array");
        struct json inside = json_inside(json, &list->value);
        TRY(json_read(&inside, &value));
        for (;;) {
            TRY(json_element(&inside, &first, &more));
            if (!more) return OK;
            TRY(json_read(&inside, &value));
            TRY(json_skip(&inside, &value));
            TRY(read_decoder(reader, &inside, &value));
        }
    }
    for (size_t i = 0; i < COUNT(decoders); i++) {
        if (!tokenizer_json_is(&fields[D_TYPE], decoders[i].type)) continue;
        TRY(add_decoder(reader, json, decoders[i].kind, &step));
        return decoders[i].read(reader, json, fields, step);
    }
    return fail_type(json, decoder, &fields[D_TYPE]);
}

status tokenizer_json_decoder(struct tokenizer_json *reader, const struct json *json,
                              const struct json_field *field) {
    struct decode_step *step = NULL;
    if (field->found) return read_decoder(reader, json, &field->value);
    return add_decoder(reader, json, DECODE_JOIN, &step);
}
