#include "tokenizer/tokenizer_json.h"

#include <string.h>

#include "tokenizer/utf8.h"

/* ---- what all parts read with ---- */

status tokenizer_json_fail(const struct json *json, const char *where, const char *name,
                           const char *what) {
    return fail(FORMAT, "%s: '%s' of %s %s", json->file, name, where, what);
}

bool tokenizer_json_is(const struct json_field *field, const char *text) {
    return field->found && json_is(&field->value, text);
}

status tokenizer_json_fields(const struct json *json, const struct json_value *object,
                             const char *where, struct json_field *fields, size_t n) {
    struct text other;
    struct json_value value;
    if (object->kind != JSON_OBJECT)
        return fail(FORMAT, "%s: %s is no JSON object", json->file, where);
    struct json inside = json_inside(json, object);
    TRY(json_read(&inside, &value));
    TRY(json_fields(&inside, fields, n, &other));
    if (!other.data) return OK;
    return fail(UNSUPPORTED, "%s: '%.*s' of %s is not known", json->file,
                other.length < 64 ? (int)other.length : 64, other.data, where);
}

status tokenizer_json_bool(const struct json *json, const char *where,
                           const struct json_field *field, bool *value) {
    if (!field->found) return OK;
    if (field->value.kind != JSON_TRUE && field->value.kind != JSON_FALSE)
        return tokenizer_json_fail(json, where, field->name, "is neither true nor false");
    *value = field->value.kind == JSON_TRUE;
    return OK;
}

status tokenizer_json_count(const struct json *json, const char *where,
                            const struct json_field *field, int64_t most, int64_t *value) {
    int64_t number;
    if (!field->found) return OK;
    if (!json_to_i64(&field->value, &number) || number < 0 || number > most)
        return tokenizer_json_fail(json, where, field->name, "is no count, or too large");
    *value = number;
    return OK;
}

status tokenizer_json_text(struct tokenizer_json *reader, const struct json *json,
                           const struct json_value *value, bool kept, struct text *text) {
    struct arena *arena = kept ? &reader->pipeline->arena : &reader->arena;
    void *block;
    if (value->kind != JSON_STRING)
        return fail(FORMAT, "%s: a string is missing near offset %" PRIu64, json->file,
                    json->base + json->at);
    if (!kept && !value->escaped) {
        *text = value->text;
        return OK;
    }
    TRY(arena_take(arena, value->text.length + 1, "a text of the tokenizer", &block));
    text->data = block;
    return json_unescape(json, value, block, value->text.length, &text->length);
}

status tokenizer_json_pattern(struct tokenizer_json *reader, const struct json *json,
                              const char *where, const struct json_field *field,
                              struct regex **regex, bool *wide) {
    struct json_field fields[] = {{.name = "String"}, {.name = "Regex"}};
    struct text text;
    if (!field->found) return tokenizer_json_fail(json, where, field->name, "is missing");
    TRY(tokenizer_json_fields(json, &field->value, where, fields, 2));
    if (fields[0].found == fields[1].found)
        return tokenizer_json_fail(json, where, field->name, "is neither a String nor a Regex");
    TRY(tokenizer_json_text(reader, json, &fields[fields[1].found].value, false, &text));
    *wide = fields[1].found || (text.length && text.length > utf8_length((uint8_t)text.data[0]));
    return fields[1].found ? regex_open(reader->memory, text, regex)
                           : regex_open_literal(reader->memory, text, regex);
}

status tokenizer_json_character(const struct json *json, const char *where,
                                const struct json_field *field, uint32_t *c) {
    char text[16];
    size_t length = 0;
    unsigned n = 0;
    if (!field->found) return OK;
    if (field->value.kind == JSON_STRING && field->value.text.length < sizeof text)
        TRY(json_unescape(json, &field->value, text, sizeof text, &length));
    if (length > 0) *c = utf8_decode((const uint8_t *)text, &n);
    return n > 0 && n == length
               ? OK
               : tokenizer_json_fail(json, where, field->name, "is not one character");
}

/* ---- added tokens ---- */

int32_t tokenizer_json_find(const struct tokenizer_json *reader, struct text text) {
    return pipeline_find(reader->pipeline, text);
}

static status reserve_texts(struct tokenizer_json *reader, uint32_t n) {
    if (n <= reader->capacity) return OK;
    uint64_t capacity = 2 * (uint64_t)reader->capacity;
    if (capacity < n) capacity = n;
    struct text *texts;
    TRY(MEMORY_TAKE_ARRAY(reader->memory, capacity, "the vocabulary", &texts));
    if (reader->n_texts) memcpy(texts, reader->texts, reader->n_texts * sizeof *texts);
    memory_give(reader->memory, reader->texts);
    reader->texts = texts;
    reader->capacity = (uint32_t)capacity;
    return OK;
}

status tokenizer_json_add(struct tokenizer_json *reader, struct text content, unsigned flags) {
    struct added_token token = {.content = content, .form = content, .flags = flags};
    if (content.length == 0) return OK;
    token.id = tokenizer_json_find(reader, content);
    if (token.id < 0) {
        if (reader->next_id >= reader->most_ids)
            return fail(UNSUPPORTED, "%s: more tokens than its size allows", reader->name);
        token.id = (int32_t)reader->next_id++;
    }
    TRY(reserve_texts(reader, (uint32_t)token.id + 1));
    if ((uint32_t)token.id >= reader->n_texts) reader->n_texts = (uint32_t)token.id + 1;
    if (flags & ADDED_NORMALIZED) TRY(pipeline_normalize(reader->pipeline, content, &token.form));
    reader->texts[token.id] = content;
    return added_put(&reader->pipeline->added, &token);
}

status tokenizer_json_added(struct tokenizer_json *reader, struct json *json,
                            const struct json_value *object) {
    static const char where[] = "an added token";
    struct json_field fields[] = {
        {.name = "content"}, {.name = "special"},    {.name = "single_word"}, {.name = "lstrip"},
        {.name = "rstrip"},  {.name = "normalized"}, {.name = "id"},          {.name = "__type"},
    };
    static const unsigned bits[] = {
        0, ADDED_SPECIAL, ADDED_SINGLE_WORD, ADDED_LSTRIP, ADDED_RSTRIP, ADDED_NORMALIZED};
    struct text content;
    unsigned flags = 0;
    TRY(tokenizer_json_fields(json, object, where, fields, sizeof fields / sizeof *fields));
    if (!fields[0].found) return tokenizer_json_fail(json, where, "content", "is missing");
    TRY(tokenizer_json_text(reader, json, &fields[0].value, true, &content));
    bool special = false, normalized;
    TRY(tokenizer_json_bool(json, where, &fields[1], &special));
    normalized = !special;
    for (size_t i = 1; i < sizeof bits / sizeof *bits; i++) {
        bool set = i == 5 ? normalized : false;
        TRY(tokenizer_json_bool(json, where, &fields[i], &set));
        if (set) flags |= bits[i];
    }
    return tokenizer_json_add(reader, content, flags);
}

static status read_added_tokens(struct tokenizer_json *reader, struct json *json,
                                const struct json_field *field) {
    struct json_value value;
    bool first = true, more;
    if (!field->found) return OK;
    if (field->value.kind != JSON_ARRAY)
        return fail(FORMAT, "%s: 'added_tokens' is no array", json->file);
    struct json inside = json_inside(json, &field->value);
    TRY(json_read(&inside, &value));
    for (;;) {
        TRY(json_element(&inside, &first, &more));
        if (!more) return OK;
        TRY(json_read(&inside, &value));
        TRY(json_skip(&inside, &value));
        TRY(tokenizer_json_added(reader, &inside, &value));
    }
}

/* ---- the whole ---- */

static status start(struct tokenizer_json *reader) {
    struct pipeline *pipeline;
    TRY(MEMORY_TAKE_ONE(reader->memory, "the tokenizer", &pipeline));
    pipeline->memory = pipeline->arena.memory = pipeline->decode.memory = reader->memory;
    pipeline->unknown = pipeline->pieces.unknown = pipeline->bpe.unknown = -1;
    added_init(&pipeline->added, reader->memory);
    reader->pipeline = pipeline;
    return OK;
}

static status read(struct tokenizer_json *reader, struct json *json) {
    struct json_field fields[] = {
        {.name = "model"},          {.name = "normalizer"}, {.name = "pre_tokenizer"},
        {.name = "post_processor"}, {.name = "decoder"},    {.name = "added_tokens"},
        {.name = "version"},        {.name = "truncation"}, {.name = "padding"},
    };
    struct json_value value;
    TRY(json_read(json, &value));
    if (value.kind != JSON_OBJECT) return fail(FORMAT, "%s: is no JSON object", json->file);
    TRY(json_fields(json, fields, sizeof fields / sizeof *fields, NULL));
    TRY(json_end(json));
    if (fields[6].found && !json_is(&fields[6].value, "1.0"))
        return fail(UNSUPPORTED, "%s: a version of the format other than 1.0", json->file);
    if (!fields[0].found) return fail(FORMAT, "%s: has no 'model'", json->file);
    TRY(start(reader));
    TRY(tokenizer_json_model(reader, json, &fields[0].value));
    TRY(tokenizer_json_normalizer(reader, json, &fields[1]));
    TRY(tokenizer_json_pre_tokenizer(reader, json, &fields[2]));
    TRY(tokenizer_json_post_processor(reader, json, &fields[3]));
    TRY(tokenizer_json_decoder(reader, json, &fields[4]));
    TRY(read_added_tokens(reader, json, &fields[5]));
    /* the next ones come from other files */
    for (uint32_t i = 0; i < reader->pipeline->added.n; i++) {
        uint32_t id = (uint32_t)reader->pipeline->added.tokens[i].id;
        if (id >= reader->next_id) reader->next_id = id + 1;
    }
    return OK;
}

status tokenizer_json_open(struct tokenizer_json *reader, struct memory *memory, const char *name,
                           const void *bytes, size_t size, int64_t n_vocab) {
    *reader = (struct tokenizer_json){.memory = memory, .name = name, .arena = {.memory = memory}};
    struct json json = {.file = name, .bytes = bytes, .size = size};
    /* a token takes more than a byte of the file; ids may leave some out */
    uint64_t most = size > (uint64_t)n_vocab ? size : (uint64_t)n_vocab;
    reader->most_ids = most < INT32_MAX / 2 ? (uint32_t)most : INT32_MAX / 2;
    return read(reader, &json);
}

/* What a decoder starts from. */
static struct text decoded_text(const void *owner, uint32_t id) {
    const struct pipeline *pipeline = owner;
    const struct added_token *added = pipeline->added_of[id];
    if (added) return added->form;
    if (pipeline->vocab.kinds[id] == TOKEN_UNUSED) return (struct text){NULL, 0};
    return vocab_text(&pipeline->vocab, id);
}

static status check_template(const struct tokenizer_json *reader, const struct template *template) {
    for (size_t i = 0; i < template->n; i++)
        for (uint32_t j = 0; j < template->parts[i].n; j++)
            if ((uint32_t) template->parts[i].ids[j] >= reader->n_texts)
                return fail(FORMAT, "%s: the post-processor adds token %" PRId32 " of %" PRIu32,
                            reader->name, template->parts[i].ids[j], reader->n_texts);
    return OK;
}

static status finish(struct tokenizer_json *reader) {
    struct pipeline *pipeline = reader->pipeline;
    void *by_id;
    TRY(check_template(reader, &pipeline->single));
    TRY(check_template(reader, &pipeline->pair));
    TRY(added_finish(&pipeline->added));
    /* the model's own table of texts, once more with the added ones */
    vocab_close(&pipeline->vocab);
    TRY(vocab_make(reader->memory, reader->texts, reader->n_texts, &pipeline->vocab));
    for (uint32_t id = 0; id < pipeline->n_model; id++)
        if (reader->in_model[id]) vocab_add(&pipeline->vocab, id);
    TRY(arena_take(&pipeline->arena, reader->n_texts * sizeof *pipeline->added_of, "added tokens",
                   &by_id));
    pipeline->added_of = by_id;
    memset(by_id, 0, reader->n_texts * sizeof *pipeline->added_of);
    for (uint32_t i = 0; i < pipeline->added.n; i++)
        pipeline->added_of[pipeline->added.tokens[i].id] = &pipeline->added.tokens[i];
    TRY(tokenizer_json_make_model(reader));
    pipeline->decode.steps = pipeline->decoders;
    pipeline->decode.n_steps = pipeline->n_decoders;
    return decode_open(&pipeline->decode, reader->n_texts, decoded_text, pipeline);
}

status tokenizer_json_finish(struct tokenizer_json *reader, struct pipeline **pipeline) {
    TRY(finish(reader));
    *pipeline = reader->pipeline;
    reader->pipeline = NULL;
    return OK;
}

void tokenizer_json_close(struct tokenizer_json *reader) {
    pipeline_close(reader->pipeline);
    memory_give(reader->memory, reader->texts);
    memory_give(reader->memory, reader->in_model);
    memory_give(reader->memory, reader->scores);
    arena_free(&reader->arena);
    *reader = (struct tokenizer_json){.memory = reader->memory};
}
