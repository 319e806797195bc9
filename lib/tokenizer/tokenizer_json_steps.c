/* Normalizers and pre-tokenizers. */
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

/* Each element of a sequence's array. */
static status read_sequence(struct tokenizer_json *reader, const struct json *json,
                            const char *where, const struct json_field *list,
                            status (*read)(struct tokenizer_json *, const struct json *,
                                           const struct json_field *)) {
    struct json_field element = {.name = list->name, .found = true};
    struct json_value value;
    bool first = true, more;
    if (!list->found || list->value.kind != JSON_ARRAY)
        return tokenizer_json_fail(json, where, list->name, "is missing, or no array");
    struct json inside = json_inside(json, &list->value);
    TRY(json_read(&inside, &value));
    for (;;) {
        TRY(json_element(&inside, &first, &more));
        if (!more) return OK;
        TRY(json_read(&inside, &element.value));
        TRY(json_skip(&inside, &element.value));
        TRY(read(reader, &inside, &element));
    }
}

static status fail_steps(const struct json *json, const char *what) {
    return fail(UNSUPPORTED, "%s: more than %d %s", json->file, TOKENIZER_JSON_STEPS, what);
}

/* ---- normalizers ---- */

enum {
    N_TYPE,
    N_LIST,
    N_CLEAN,
    N_CHINESE,
    N_ACCENTS,
    N_LOWERCASE,
    N_LEFT,
    N_RIGHT,
    N_PREPEND,
    N_PATTERN,
    N_CONTENT,
    N_CHARSMAP,
    N_FIELDS
};
static const char normalizer[] = "the normalizer";

static status add_normalizer(struct tokenizer_json *reader, const struct json *json,
                             enum normalize_kind kind, struct normalize_step **step) {
    struct pipeline *pipeline = reader->pipeline;
    void *steps;
    if (!pipeline->normalizers) {
        TRY(arena_take(&pipeline->arena, TOKENIZER_JSON_STEPS * sizeof *pipeline->normalizers,
                       "normalizers", &steps));
        pipeline->normalizers = steps;
    }
    if (pipeline->n_normalizers == TOKENIZER_JSON_STEPS) return fail_steps(json, "normalizers");
    struct normalize_step *added = &pipeline->normalizers[pipeline->n_normalizers++];
    *added = (struct normalize_step){.kind = kind};
    if (step) *step = added;
    return OK;
}

static status read_bert(struct tokenizer_json *reader, const struct json *json,
                        const struct json_field *fields) {
    bool clean = true, chinese = true, lowercase = true;
    TRY(tokenizer_json_bool(json, normalizer, &fields[N_CLEAN], &clean));
    TRY(tokenizer_json_bool(json, normalizer, &fields[N_CHINESE], &chinese));
    TRY(tokenizer_json_bool(json, normalizer, &fields[N_LOWERCASE], &lowercase));
    bool accents = lowercase;
    TRY(tokenizer_json_bool(json, normalizer, &fields[N_ACCENTS], &accents));
    if (clean) TRY(add_normalizer(reader, json, NORMALIZE_CLEAN, NULL));
    if (chinese) TRY(add_normalizer(reader, json, NORMALIZE_SPACE_CHINESE, NULL));
    if (accents) TRY(add_normalizer(reader, json, NORMALIZE_NFD, NULL));
    if (accents) TRY(add_normalizer(reader, json, NORMALIZE_STRIP_NONSPACING, NULL));
    return lowercase ? add_normalizer(reader, json, NORMALIZE_LOWERCASE, NULL) : OK;
}

static status read_strip(struct tokenizer_json *reader, const struct json *json,
                         const struct json_field *fields) {
    bool left = true, right = true;
    TRY(tokenizer_json_bool(json, normalizer, &fields[N_LEFT], &left));
    TRY(tokenizer_json_bool(json, normalizer, &fields[N_RIGHT], &right));
    if (left) TRY(add_normalizer(reader, json, NORMALIZE_STRIP_LEFT, NULL));
    return right ? add_normalizer(reader, json, NORMALIZE_STRIP_RIGHT, NULL) : OK;
}

static status read_prepend(struct tokenizer_json *reader, const struct json *json,
                           const struct json_field *fields) {
    struct normalize_step *step = NULL;
    TRY(add_normalizer(reader, json, NORMALIZE_PREPEND, &step));
    if (!fields[N_PREPEND].found)
        return tokenizer_json_fail(json, normalizer, "prepend", "is missing");
    return tokenizer_json_text(reader, json, &fields[N_PREPEND].value, true, &step->content);
}

static status read_replace(struct tokenizer_json *reader, const struct json *json,
                           const struct json_field *fields) {
    struct normalize_step *step = NULL;
    bool wide;
    TRY(add_normalizer(reader, json, NORMALIZE_REPLACE, &step));
    if (!fields[N_CONTENT].found)
        return tokenizer_json_fail(json, normalizer, "content", "is missing");
    TRY(tokenizer_json_text(reader, json, &fields[N_CONTENT].value, true, &step->content));
    return tokenizer_json_pattern(reader, json, normalizer, &fields[N_PATTERN], &step->regex,
                                  &wide);
}

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* In place of the characters; *n bytes. False: it isn't base64. */
static bool read_base64(char *text, size_t length, size_t *n) {
    uint32_t bits = 0;
    int n_bits = 0;
    *n = 0;
    while (length > 0 && text[length - 1] == '=') length--;
    for (size_t i = 0; i < length; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) return false;
        bits = (bits << 6 | (uint32_t)digit) & 0xffff;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        text[(*n)++] = (char)(bits >> n_bits);
    }
    return n_bits < 6;
}

static status read_precompiled(struct tokenizer_json *reader, const struct json *json,
                               const struct json_field *fields) {
    struct normalize_step *step = NULL;
    struct text text;
    size_t n;
    void *bytes;
    if (!fields[N_CHARSMAP].found) return OK; /* there is none: nothing is replaced */
    TRY(add_normalizer(reader, json, NORMALIZE_PRECOMPILED, &step));
    TRY(tokenizer_json_text(reader, json, &fields[N_CHARSMAP].value, false, &text));
    TRY(arena_take(&reader->pipeline->arena, text.length + 1, "a character map", &bytes));
    if (text.length) memcpy(bytes, text.data, text.length);
    if (!read_base64(bytes, text.length, &n))
        return tokenizer_json_fail(json, normalizer, "precompiled_charsmap", "is not base64");
    return precompiled_open(json->file, bytes, n, &step->precompiled);
}

static const struct {
    const char *type;
    enum normalize_kind kind;
} plain_normalizers[] = {
    {"NFC", NORMALIZE_NFC},
    {"NFD", NORMALIZE_NFD},
    {"NFKC", NORMALIZE_NFKC},
    {"NFKD", NORMALIZE_NFKD},
    {"Lowercase", NORMALIZE_LOWERCASE},
    {"StripAccents", NORMALIZE_STRIP_MARKS},
    {"Nmt", NORMALIZE_NMT},
    {"ByteLevel", NORMALIZE_BYTES},
};

static const struct {
    const char *type;
    status (*read)(struct tokenizer_json *, const struct json *, const struct json_field *);
} normalizers[] = {
    {"BertNormalizer", read_bert}, {"Strip", read_strip},     {"StripNormalizer", read_strip},
    {"Prepend", read_prepend},     {"Replace", read_replace}, {"Precompiled", read_precompiled},
};

status tokenizer_json_normalizer(struct tokenizer_json *reader, const struct json *json,
                                 const struct json_field *field) {
    struct json_field fields[N_FIELDS] = {
        [N_TYPE] = {.name = "type"},
        [N_LIST] = {.name = "normalizers"},
        [N_CLEAN] = {.name = "clean_text"},
        [N_CHINESE] = {.name = "handle_chinese_chars"},
        [N_ACCENTS] = {.name = "strip_accents"},
        [N_LOWERCASE] = {.name = "lowercase"},
        [N_LEFT] = {.name = "strip_left"},
        [N_RIGHT] = {.name = "strip_right"},
        [N_PREPEND] = {.name = "prepend"},
        [N_PATTERN] = {.name = "pattern"},
        [N_CONTENT] = {.name = "content"},
        [N_CHARSMAP] = {.name = "precompiled_charsmap"},
    };
    if (!field->found) return OK;
    TRY(tokenizer_json_fields(json, &field->value, normalizer, fields, N_FIELDS));
    if (tokenizer_json_is(&fields[N_TYPE], "Sequence"))
        return read_sequence(reader, json, normalizer, &fields[N_LIST], tokenizer_json_normalizer);
    for (size_t i = 0; i < COUNT(plain_normalizers); i++)
        if (tokenizer_json_is(&fields[N_TYPE], plain_normalizers[i].type))
            return add_normalizer(reader, json, plain_normalizers[i].kind, NULL);
    for (size_t i = 0; i < COUNT(normalizers); i++)
        if (tokenizer_json_is(&fields[N_TYPE], normalizers[i].type))
            return normalizers[i].read(reader, json, fields);
    return fail_type(json, normalizer, &fields[N_TYPE]);
}

/* ---- pre-tokenizers ---- */

enum {
    P_TYPE,
    P_LIST,
    P_PREFIX_SPACE,
    P_TRIM,
    P_USE_REGEX,
    P_PATTERN,
    P_BEHAVIOR,
    P_INVERT,
    P_REPLACEMENT,
    P_SCHEME,
    P_SPLIT,
    P_STR_REP,
    P_INDIVIDUAL,
    P_DELIMITER,
    P_LENGTH,
    P_FIELDS
};
static const char pre_tokenizer[] = "the pre-tokenizer";

static status add_split(struct tokenizer_json *reader, const struct json *json,
                        struct split_step values, struct split_step **step) {
    struct pipeline *pipeline = reader->pipeline;
    void *steps;
    if (!pipeline->splits) {
        TRY(arena_take(&pipeline->arena, TOKENIZER_JSON_STEPS * sizeof *pipeline->splits,
                       "pre-tokenizers", &steps));
        pipeline->splits = steps;
    }
    if (pipeline->n_splits == TOKENIZER_JSON_STEPS) return fail_steps(json, "pre-tokenizers");
    struct split_step *added = &pipeline->splits[pipeline->n_splits++];
    *added = values;
    if (step) *step = added;
    return OK;
}

static status read_byte_level(struct tokenizer_json *reader, const struct json *json,
                              const struct json_field *fields) {
    /* GPT-2's own */
    static const char words[] =
        "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    bool prefix = true, regex = true;
    struct split_step *step = NULL;
    TRY(tokenizer_json_bool(json, pre_tokenizer, &fields[P_PREFIX_SPACE], &prefix));
    TRY(tokenizer_json_bool(json, pre_tokenizer, &fields[P_USE_REGEX], &regex));
    if (prefix) TRY(add_split(reader, json, (struct split_step){.kind = SPLIT_PREFIX_SPACE}, NULL));
    if (regex) {
        TRY(add_split(reader, json,
                      (struct split_step){.kind = SPLIT_REGEX, .behavior = SPLIT_ISOLATED}, &step));
        TRY(regex_open(reader->memory, (struct text){words, sizeof words - 1}, &step->regex));
    }
    return add_split(reader, json, (struct split_step){.kind = SPLIT_BYTES}, NULL);
}

static status read_behavior(const struct json *json, const struct json_field *field,
                            enum split_behavior *behavior) {
    static const struct {
        const char *name;
        enum split_behavior behavior;
    } names[] = {
        {"Removed", SPLIT_REMOVED},
        {"Isolated", SPLIT_ISOLATED},
        {"MergedWithPrevious", SPLIT_MERGED_WITH_PREVIOUS},
        {"MergedWithNext", SPLIT_MERGED_WITH_NEXT},
        {"Contiguous", SPLIT_CONTIGUOUS},
    };
    if (!field->found) return OK;
    for (size_t i = 0; i < COUNT(names); i++)
        if (tokenizer_json_is(field, names[i].name)) {
            *behavior = names[i].behavior;
            return OK;
        }
    return tokenizer_json_fail(json, pre_tokenizer, "behavior", "is not one that is known");
}

static status read_split(struct tokenizer_json *reader, const struct json *json,
                         const struct json_field *fields) {
    struct split_step *step = NULL;
    bool wide;
    if (!fields[P_BEHAVIOR].found)
        return tokenizer_json_fail(json, pre_tokenizer, "behavior", "is missing");
    TRY(add_split(reader, json, (struct split_step){.kind = SPLIT_REGEX}, &step));
    TRY(read_behavior(json, &fields[P_BEHAVIOR], &step->behavior));
    TRY(tokenizer_json_bool(json, pre_tokenizer, &fields[P_INVERT], &step->invert));
    return tokenizer_json_pattern(reader, json, pre_tokenizer, &fields[P_PATTERN], &step->regex,
                                  &wide);
}

static status read_metaspace(struct tokenizer_json *reader, const struct json *json,
                             const struct json_field *fields) {
    const struct json_field *scheme = &fields[P_SCHEME];
    struct split_step *step = NULL;
    bool prefix = true;
    TRY(add_split(reader, json,
                  (struct split_step){.kind = SPLIT_METASPACE,
                                      .behavior = SPLIT_MERGED_WITH_NEXT,
                                      .class = SPLIT_CHARACTER,
                                      .character = 0x2581,
                                      .cut = true},
                  &step));
    TRY(tokenizer_json_character(json, pre_tokenizer, &fields[P_REPLACEMENT], &step->character));
    TRY(tokenizer_json_bool(json, pre_tokenizer, &fields[P_SPLIT], &step->cut));
    TRY(tokenizer_json_bool(json, pre_tokenizer, &fields[P_PREFIX_SPACE], &prefix));
    if (!prefix) step->prepend = SPLIT_NEVER;
    if (!scheme->found || (prefix && tokenizer_json_is(scheme, "always"))) return OK;
    if (tokenizer_json_is(scheme, "never"))
        step->prepend = SPLIT_NEVER;
    else if (prefix && tokenizer_json_is(scheme, "first"))
        step->prepend = SPLIT_FIRST;
    else
        return tokenizer_json_fail(json, pre_tokenizer, "prepend_scheme",
                                   "is not known, or contradicts add_prefix_space");
    return OK;
}

static status read_digits(struct tokenizer_json *reader, const struct json *json,
                          const struct json_field *fields) {
    bool individual = false;
    TRY(tokenizer_json_bool(json, pre_tokenizer, &fields[P_INDIVIDUAL], &individual));
    return add_split(
        reader, json,
        (struct split_step){.kind = SPLIT_CLASS,
                            .class = SPLIT_NUMBERS,
                            .behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS},
        NULL);
}

static status read_punctuation(struct tokenizer_json *reader, const struct json *json,
                               const struct json_field *fields) {
    struct split_step step = {
        .kind = SPLIT_CLASS, .class = SPLIT_PUNCTUATION, .behavior = SPLIT_ISOLATED};
    TRY(read_behavior(json, &fields[P_BEHAVIOR], &step.behavior));
    return add_split(reader, json, step, NULL);
}

static status read_delimiter(struct tokenizer_json *reader, const struct json *json,
                             const struct json_field *fields) {
    struct split_step step = {
        .kind = SPLIT_CLASS, .class = SPLIT_CHARACTER, .behavior = SPLIT_REMOVED};
    if (!fields[P_DELIMITER].found)
        return tokenizer_json_fail(json, pre_tokenizer, "delimiter", "is missing");
    TRY(tokenizer_json_character(json, pre_tokenizer, &fields[P_DELIMITER], &step.character));
    return add_split(reader, json, step, NULL);
}

static status read_length(struct tokenizer_json *reader, const struct json *json,
                          const struct json_field *fields) {
    int64_t length = 5;
    TRY(tokenizer_json_count(json, pre_tokenizer, &fields[P_LENGTH], INT32_MAX, &length));
    if (length == 0) return tokenizer_json_fail(json, pre_tokenizer, "length", "is 0");
    return add_split(reader, json,
                     (struct split_step){.kind = SPLIT_LENGTH, .length = (size_t)length}, NULL);
}

static const struct split_step white_space_removed = {
    .kind = SPLIT_CLASS, .class = SPLIT_WHITE_SPACE, .behavior = SPLIT_REMOVED};

static status read_bert_words(struct tokenizer_json *reader, const struct json *json,
                              const struct json_field *fields) {
    (void)fields;
    TRY(add_split(reader, json, white_space_removed, NULL));
    return add_split(reader, json,
                     (struct split_step){.kind = SPLIT_CLASS,
                                         .class = SPLIT_PUNCTUATION,
                                         .behavior = SPLIT_ISOLATED},
                     NULL);
}

static status read_white_space(struct tokenizer_json *reader, const struct json *json,
                               const struct json_field *fields) {
    (void)fields;
    return add_split(reader, json, white_space_removed, NULL);
}

static status read_words(struct tokenizer_json *reader, const struct json *json,
                         const struct json_field *fields) {
    (void)fields;
    return add_split(reader, json, (struct split_step){.kind = SPLIT_WORDS}, NULL);
}

static const struct {
    const char *type;
    status (*read)(struct tokenizer_json *, const struct json *, const struct json_field *);
} pre_tokenizers[] = {
    {"ByteLevel", read_byte_level},         {"Split", read_split},
    {"Metaspace", read_metaspace},          {"Digits", read_digits},
    {"Punctuation", read_punctuation},      {"BertPreTokenizer", read_bert_words},
    {"WhitespaceSplit", read_white_space},  {"Whitespace", read_words},
    {"CharDelimiterSplit", read_delimiter}, {"Delimiter", read_delimiter},
    {"FixedLength", read_length},
};

status tokenizer_json_pre_tokenizer(struct tokenizer_json *reader, const struct json *json,
                                    const struct json_field *field) {
    struct json_field fields[P_FIELDS] = {
        [P_TYPE] = {.name = "type"},
        [P_LIST] = {.name = "pretokenizers"},
        [P_PREFIX_SPACE] = {.name = "add_prefix_space"},
        [P_TRIM] = {.name = "trim_offsets"},
        [P_USE_REGEX] = {.name = "use_regex"},
        [P_PATTERN] = {.name = "pattern"},
        [P_BEHAVIOR] = {.name = "behavior"},
        [P_INVERT] = {.name = "invert"},
        [P_REPLACEMENT] = {.name = "replacement"},
        [P_SCHEME] = {.name = "prepend_scheme"},
        [P_SPLIT] = {.name = "split"},
        [P_STR_REP] = {.name = "str_rep"},
        [P_INDIVIDUAL] = {.name = "individual_digits"},
        [P_DELIMITER] = {.name = "delimiter"},
        [P_LENGTH] = {.name = "length"},
    };
    if (!field->found) return OK;
    TRY(tokenizer_json_fields(json, &field->value, pre_tokenizer, fields, P_FIELDS));
    if (tokenizer_json_is(&fields[P_TYPE], "Sequence"))
        return read_sequence(reader, json, pre_tokenizer, &fields[P_LIST],
                             tokenizer_json_pre_tokenizer);
    for (size_t i = 0; i < COUNT(pre_tokenizers); i++)
        if (tokenizer_json_is(&fields[P_TYPE], pre_tokenizers[i].type))
            return pre_tokenizers[i].read(reader, json, fields);
    return fail_type(json, pre_tokenizer, &fields[P_TYPE]);
}
