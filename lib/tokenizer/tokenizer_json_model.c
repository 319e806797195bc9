/* The model: its vocabulary, and what it does with a word. */
#include <math.h>
#include <string.h>

#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"

enum {
    TYPE,
    VOCAB,
    MERGES,
    UNKNOWN,
    PREFIX,
    SUFFIX,
    MOST_CHARACTERS,
    FUSE,
    FALLBACK,
    IGNORE_MERGES,
    DROPOUT,
    UNKNOWN_ID,
    ALPHA,
    N_FIELDS
};

static const char where[] = "the model";
/* Of BPE's continuing_subword_prefix and end_of_word_suffix. */
enum { MOST_AFFIX_BYTES = 64, MOST_WORD_CHARACTERS = 1000000 };

/* ---- vocabularies ---- */

static status reserve_ids(struct tokenizer_json *reader, uint32_t n) {
    if (n <= reader->capacity) return OK;
    uint64_t capacity = 2 * (uint64_t)reader->capacity;
    if (capacity < n) capacity = n;
    if (capacity < 1024) capacity = 1024;
    struct text *texts;
    bool *in_model;
    TRY(MEMORY_TAKE_ARRAY(reader->memory, capacity, "the vocabulary", &texts));
    if (reader->n_texts) memcpy(texts, reader->texts, reader->n_texts * sizeof *texts);
    memory_give(reader->memory, reader->texts);
    reader->texts = texts;
    TRY(MEMORY_TAKE_ARRAY(reader->memory, capacity, "the vocabulary", &in_model));
    if (reader->n_texts) memcpy(in_model, reader->in_model, reader->n_texts * sizeof *in_model);
    memory_give(reader->memory, reader->in_model);
    reader->in_model = in_model;
    reader->capacity = (uint32_t)capacity;
    return OK;
}

static status put_token(struct tokenizer_json *reader, struct json *json,
                        const struct json_value *text, int64_t id) {
    if (id < 0 || id >= reader->most_ids)
        return fail(id < 0 ? FORMAT : UNSUPPORTED,
                    "%s: token id %" PRId64 "; up to %" PRIu32 " are possible", json->file, id,
                    reader->most_ids - 1);
    TRY(reserve_ids(reader, (uint32_t)id + 1));
    TRY(tokenizer_json_text(reader, json, text, false, &reader->texts[id]));
    reader->in_model[id] = true;
    if (id >= reader->n_texts) reader->n_texts = (uint32_t)id + 1;
    return OK;
}

/* {"text": id, ...}; *count of them. */
static status read_object(struct tokenizer_json *reader, struct json *json, uint32_t *count) {
    struct json_value key, value;
    bool first = true, more;
    int64_t id;
    *count = 0;
    for (;; ++*count) {
        TRY(json_member(json, &first, &more, &key));
        if (!more) return OK;
        TRY(json_read(json, &value));
        if (!json_to_i64(&value, &id))
            return tokenizer_json_fail(json, where, "vocab", "has an id that is no number");
        TRY(put_token(reader, json, &key, id));
    }
}

/* [["text", score], ...] */
static status read_pairs(struct tokenizer_json *reader, struct json *json, uint32_t *count) {
    struct json_value text, score, end;
    bool first = true, first_part, more;
    uint32_t capacity = 0;
    *count = 0;
    for (;; ++*count) {
        TRY(json_element(json, &first, &more));
        if (!more) return OK;
        TRY(json_read(json, &text));
        if (text.kind != JSON_ARRAY)
            return tokenizer_json_fail(json, where, "vocab", "has what is no pair");
        first_part = true;
        TRY(json_element(json, &first_part, &more));
        if (more) TRY(json_read(json, &text));
        if (more) TRY(json_element(json, &first_part, &more));
        if (more) TRY(json_read(json, &score));
        double number;
        if (!more || text.kind != JSON_STRING || !json_to_double(&score, &number))
            return tokenizer_json_fail(json, where, "vocab", "has what is no text and score");
        TRY(json_element(json, &first_part, &more));
        if (more) {
            TRY(json_read(json, &end));
            return tokenizer_json_fail(json, where, "vocab", "has what is no pair");
        }
        TRY(put_token(reader, json, &text, *count));
        if (*count >= capacity) {
            double *scores;
            capacity = capacity ? 2 * capacity : 1024;
            TRY(MEMORY_TAKE_ARRAY(reader->memory, capacity, "the scores", &scores));
            if (*count) memcpy(scores, reader->scores, *count * sizeof *scores);
            memory_give(reader->memory, reader->scores);
            reader->scores = scores;
        }
        reader->scores[*count] = number;
    }
}

static status read_vocab(struct tokenizer_json *reader, const struct json *json,
                         const struct json_field *field, bool pairs) {
    struct json_value value;
    uint32_t count;
    if (!field->found || field->value.kind != (pairs ? JSON_ARRAY : JSON_OBJECT))
        return tokenizer_json_fail(json, where, "vocab", "is missing, or of another kind");
    struct json inside = json_inside(json, &field->value);
    TRY(json_read(&inside, &value));
    TRY(pairs ? read_pairs(reader, &inside, &count) : read_object(reader, &inside, &count));
    if (count == 0) return tokenizer_json_fail(json, where, "vocab", "is empty");
    struct pipeline *pipeline = reader->pipeline;
    reader->next_id = count;
    pipeline->n_model = reader->n_texts;
    TRY(vocab_make(reader->memory, reader->texts, reader->n_texts, &pipeline->vocab));
    for (uint32_t id = 0; id < reader->n_texts; id++)
        if (reader->in_model[id]) vocab_add(&pipeline->vocab, id);
    return OK;
}

/* The id of a token that the model names; *missing: it names one that isn't there. */
static status read_unknown(struct tokenizer_json *reader, const struct json *json,
                           const struct json_field *field, int32_t *id, bool *missing) {
    struct text text;
    *id = -1;
    if (!field->found) return OK;
    TRY(tokenizer_json_text(reader, json, &field->value, false, &text));
    *id = vocab_find(&reader->pipeline->vocab, text.data, text.length);
    *missing = *id < 0;
    return OK;
}

/* ---- BPE ---- */

struct merges {
    struct tokenizer_json *reader;
    struct bpe_characters *model;
    char *joined; /* [2 * longest] */
};

static status add_merge(struct merges *merges, const struct json *json, uint32_t rank,
                        struct text left, struct text right) {
    const struct vocab *vocab = merges->model->bpe.vocab;
    size_t skipped = merges->model->prefix.length;
    int32_t a = vocab_find(vocab, left.data, left.length);
    int32_t b = vocab_find(vocab, right.data, right.length);
    if (a < 0 || b < 0 || right.length < skipped)
        return fail(FORMAT, "%s: merge %" PRIu32 " names a piece that is no token", json->file,
                    rank);
    memcpy(merges->joined, left.data, left.length);
    memcpy(merges->joined + left.length, right.data + skipped, right.length - skipped);
    int32_t id = vocab_find(vocab, merges->joined, left.length + right.length - skipped);
    if (id < 0)
        return fail(FORMAT, "%s: merge %" PRIu32 " makes a piece that is no token", json->file,
                    rank);
    bpe_put(&merges->model->bpe, (uint32_t)a, (uint32_t)b, rank, (uint32_t)id, true);
    return OK;
}

/* "left right", or ["left", "right"]. */
static status read_merge(struct merges *merges, struct json *json, uint32_t rank) {
    struct json_value value;
    struct text left, right;
    TRY(json_read(json, &value));
    if (value.kind == JSON_STRING) {
        TRY(tokenizer_json_text(merges->reader, json, &value, false, &left));
        const char *space = left.length ? memchr(left.data, ' ', left.length) : NULL;
        size_t n = space ? (size_t)(space - left.data) : 0;
        if (!space || memchr(space + 1, ' ', left.length - n - 1))
            return fail(FORMAT, "%s: merge %" PRIu32 " is not two pieces", json->file, rank);
        right = (struct text){space + 1, left.length - n - 1};
        left.length = n;
        return add_merge(merges, json, rank, left, right);
    }
    struct json_value parts[3];
    bool first = true, more = value.kind == JSON_ARRAY;
    int n = 0;
    while (more) {
        TRY(json_element(json, &first, &more));
        if (!more) break;
        if (n == 2)
            return fail(FORMAT, "%s: merge %" PRIu32 " is not two pieces", json->file, rank);
        TRY(json_read(json, &parts[n++]));
    }
    if (n != 2 || parts[0].kind != JSON_STRING || parts[1].kind != JSON_STRING)
        return fail(FORMAT, "%s: merge %" PRIu32 " is not two pieces", json->file, rank);
    TRY(tokenizer_json_text(merges->reader, json, &parts[0], false, &left));
    TRY(tokenizer_json_text(merges->reader, json, &parts[1], false, &right));
    return add_merge(merges, json, rank, left, right);
}

static status count_elements(struct json json, uint64_t *n) {
    struct json_value value;
    bool first = true, more;
    TRY(json_read(&json, &value));
    for (*n = 0;; ++*n) {
        TRY(json_element(&json, &first, &more));
        if (!more) return OK;
        TRY(json_read(&json, &value));
        TRY(json_skip(&json, &value));
    }
}

static status read_merges(struct tokenizer_json *reader, const struct json *json,
                          const struct json_field *field, struct bpe_characters *model) {
    struct merges merges = {.reader = reader, .model = model};
    struct json_value value;
    bool first = true, more;
    uint64_t n = 0;
    if (!field->found || field->value.kind != JSON_ARRAY)
        return tokenizer_json_fail(json, where, "merges", "is missing, or no array");
    struct json inside = json_inside(json, &field->value);
    TRY(count_elements(inside, &n));
    TRY(bpe_start(reader->memory, &reader->pipeline->vocab, n, &model->bpe));
    TRY(MEMORY_TAKE(reader->memory, 2 * (size_t)reader->pipeline->vocab.longest + 1, "the merges",
                    &merges.joined));
    status result = json_read(&inside, &value);
    for (uint32_t rank = 0; result == OK; rank++) {
        result = json_element(&inside, &first, &more);
        if (result != OK || !more) break;
        result = read_merge(&merges, &inside, rank);
    }
    memory_give(reader->memory, merges.joined);
    return result;
}

static status read_affix(struct tokenizer_json *reader, const struct json *json,
                         const struct json_field *field, struct text *text) {
    if (!field->found) return OK;
    TRY(tokenizer_json_text(reader, json, &field->value, true, text));
    if (text->length <= MOST_AFFIX_BYTES) return OK;
    return fail(UNSUPPORTED, "%s: '%s' of %zu bytes; up to %d are possible", json->file,
                field->name, text->length, MOST_AFFIX_BYTES);
}

static status read_bpe(struct tokenizer_json *reader, const struct json *json,
                       struct json_field *fields) {
    struct bpe_characters *model = &reader->pipeline->bpe;
    double dropout;
    bool whole_words = false;
    reader->pipeline->model = PIPELINE_BPE;
    if (fields[DROPOUT].found &&
        (!json_to_double(&fields[DROPOUT].value, &dropout) || dropout != 0.0))
        return fail(UNSUPPORTED, "%s: 'dropout' of the model: its tokens would be random",
                    json->file);
    TRY(read_vocab(reader, json, &fields[VOCAB], false));
    TRY(read_affix(reader, json, &fields[PREFIX], &model->prefix));
    TRY(read_affix(reader, json, &fields[SUFFIX], &model->suffix));
    TRY(tokenizer_json_bool(json, where, &fields[FUSE], &model->fuse_unknown));
    TRY(tokenizer_json_bool(json, where, &fields[FALLBACK], &model->byte_fallback));
    TRY(tokenizer_json_bool(json, where, &fields[IGNORE_MERGES], &whole_words));
    TRY(read_unknown(reader, json, &fields[UNKNOWN], &model->unknown, &model->unknown_missing));
    TRY(read_merges(reader, json, &fields[MERGES], model));
    model->bpe.whole_words = whole_words;
    return OK;
}

/* ---- WordPiece, WordLevel, Unigram ---- */

static status read_wordpiece(struct tokenizer_json *reader, const struct json *json,
                             struct json_field *fields) {
    struct pieces *pieces = &reader->pipeline->pieces;
    struct json_field *most = &fields[MOST_CHARACTERS];
    bool missing;
    int64_t n = 100;
    reader->pipeline->model = PIPELINE_WORDPIECE;
    TRY(read_vocab(reader, json, &fields[VOCAB], false));
    TRY(read_unknown(reader, json, &fields[UNKNOWN], &pieces->unknown, &missing));
    TRY(read_affix(reader, json, &fields[PREFIX], &reader->pipeline->bpe.prefix));
    if (!fields[PREFIX].found) reader->pipeline->bpe.prefix = (struct text){"##", 2};
    TRY(tokenizer_json_count(json, where, most, INT64_MAX, &n));
    if (n > MOST_WORD_CHARACTERS) n = MOST_WORD_CHARACTERS;
    pieces->most_characters = (size_t)n;
    return OK;
}

static status read_wordlevel(struct tokenizer_json *reader, const struct json *json,
                             struct json_field *fields) {
    bool missing;
    reader->pipeline->model = PIPELINE_WORDLEVEL;
    TRY(read_vocab(reader, json, &fields[VOCAB], false));
    return read_unknown(reader, json, &fields[UNKNOWN], &reader->pipeline->unknown, &missing);
}

static status read_unigram(struct tokenizer_json *reader, const struct json *json,
                           struct json_field *fields) {
    struct bpe_characters *bytes = &reader->pipeline->bpe;
    int64_t unknown = -1;
    reader->pipeline->model = PIPELINE_UNIGRAM;
    TRY(read_vocab(reader, json, &fields[VOCAB], true));
    TRY(tokenizer_json_count(json, where, &fields[UNKNOWN_ID], INT32_MAX, &unknown));
    if (unknown >= (int64_t)reader->n_texts)
        return tokenizer_json_fail(json, where, "unk_id", "is no token");
    if (fields[ALPHA].found)
        return fail(UNSUPPORTED, "%s: 'alpha' of the model: its tokens would be random",
                    json->file);
    reader->pipeline->unknown = (int32_t)unknown;
    return tokenizer_json_bool(json, where, &fields[FALLBACK], &bytes->byte_fallback);
}

static const struct {
    const char *type;
    status (*read)(struct tokenizer_json *, const struct json *, struct json_field *);
} models[] = {
    {"BPE", read_bpe},
    {"WordPiece", read_wordpiece},
    {"WordLevel", read_wordlevel},
    {"Unigram", read_unigram},
};

status tokenizer_json_model(struct tokenizer_json *reader, const struct json *json,
                            const struct json_value *value) {
    struct json_field fields[N_FIELDS] = {
        [TYPE] = {.name = "type"},
        [VOCAB] = {.name = "vocab"},
        [MERGES] = {.name = "merges"},
        [UNKNOWN] = {.name = "unk_token"},
        [PREFIX] = {.name = "continuing_subword_prefix"},
        [SUFFIX] = {.name = "end_of_word_suffix"},
        [MOST_CHARACTERS] = {.name = "max_input_chars_per_word"},
        [FUSE] = {.name = "fuse_unk"},
        [FALLBACK] = {.name = "byte_fallback"},
        [IGNORE_MERGES] = {.name = "ignore_merges"},
        [DROPOUT] = {.name = "dropout"},
        [UNKNOWN_ID] = {.name = "unk_id"},
        [ALPHA] = {.name = "alpha"},
    };
    struct text type = {"", 0};
    TRY(tokenizer_json_fields(json, value, where, fields, N_FIELDS));
    /* files of before the member was there: the kinds differ in what else they have */
    const char *guess = fields[MERGES].found            ? "BPE"
                        : fields[UNKNOWN_ID].found      ? "Unigram"
                        : fields[MOST_CHARACTERS].found ? "WordPiece"
                                                        : "WordLevel";
    if (fields[TYPE].found)
        TRY(tokenizer_json_text(reader, json, &fields[TYPE].value, false, &type));
    else
        type = (struct text){guess, strlen(guess)};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strlen(models[i].type) == type.length &&
            memcmp(models[i].type, type.data, type.length) == 0)
            return models[i].read(reader, json, fields);
    return fail(UNSUPPORTED, "%s: a model of type '%.*s'", json->file,
                type.length < 64 ? (int)type.length : 64, type.data);
}

/* ---- what needs the whole vocabulary ---- */

/* Every character that a byte may become is a token, or would be left out. */
static bool works_on_bytes(const struct bpe_characters *model) {
    if (model->prefix.length || model->suffix.length) return false;
    for (int byte = 0; byte < 256; byte++)
        if (model->bpe.bytes[byte] < 0 &&
            (model->unknown >= 0 || model->unknown_missing || model->byte_fallback))
            return false;
    return true;
}

static struct text model_text(const void *owner, uint32_t id) {
    const struct tokenizer_json *reader = owner;
    return reader->in_model[id] ? reader->texts[id] : (struct text){NULL, 0};
}

static struct unigram_piece piece_of(const void *owner, uint32_t id) {
    const struct tokenizer_json *reader = owner;
    return (struct unigram_piece){.text = model_text(owner, id),
                                  .score = reader->scores[id],
                                  .flags = UNIGRAM_MATCHED | UNIGRAM_SCORED};
}

static status make_unigram(struct tokenizer_json *reader) {
    struct pipeline *pipeline = reader->pipeline;
    struct unigram_options options = {.kind = UNIGRAM_TOKENIZERS,
                                      .owner = reader,
                                      .piece = piece_of,
                                      .n = pipeline->n_model,
                                      .unknown = pipeline->unknown};
    pipeline->bpe.bpe.vocab = &pipeline->vocab;
    bpe_characters_prepare(&pipeline->bpe);
    if (pipeline->bpe.byte_fallback) options.bytes = pipeline->bpe.fallback;
    return unigram_open(reader->memory, &options, &pipeline->unigram);
}

status tokenizer_json_make_model(struct tokenizer_json *reader) {
    struct pipeline *pipeline = reader->pipeline;
    struct split_step *last = pipeline->n_splits ? &pipeline->splits[pipeline->n_splits - 1] : NULL;
    switch (pipeline->model) {
    case PIPELINE_BPE:
        bpe_characters_prepare(&pipeline->bpe);
        if (last && last->kind == SPLIT_BYTES && works_on_bytes(&pipeline->bpe)) {
            pipeline->model = PIPELINE_BPE_BYTES;
            pipeline->n_splits--; /* it has nothing but its kind */
        }
        return OK;
    case PIPELINE_WORDPIECE:
        TRY(trie_open(reader->memory, reader, model_text, pipeline->n_model,
                      &pipeline->pieces.trie));
        return pieces_prepare(&pipeline->pieces, pipeline->bpe.prefix);
    case PIPELINE_UNIGRAM:
        return make_unigram(reader);
    default:
        return OK;
    }
}
