/* Reads tokenizer.json, Hugging Face tokenizers' own format, into a pipeline. */
#ifndef TOKENIZER_TOKENIZER_JSON_H
#define TOKENIZER_TOKENIZER_JSON_H

#include "format/json.h"
#include "tokenizer/pipeline.h"

struct tokenizer_json {
    struct pipeline *pipeline;
    struct memory *memory;
    const char *name;   /* of the file, for messages */
    struct arena arena; /* of what is needed while reading */
    struct text *texts; /* [n_texts] by id; NULL data: no token */
    bool *in_model;     /* [n_texts] */
    double *scores;     /* [n_texts] Unigram's */
    uint32_t n_texts, capacity;
    uint32_t most_ids; /* ids are below it */
    uint32_t next_id;  /* of an added token that is new */
    struct json_value decoder;
};

/* bytes must stay until tokenizer_json_close. n_vocab: rows of the embedding. FORMAT  it isn't such
 * a file. UNSUPPORTED  a part of it that can't be done, by name. On failure too
 * tokenizer_json_close must be called. */
status tokenizer_json_open(struct tokenizer_json *reader, struct memory *memory, const char *name,
                           const void *bytes, size_t size, int64_t n_vocab);
/* One more added token, or other flags of one that is there. */
status tokenizer_json_add(struct tokenizer_json *reader, struct text content, unsigned flags);
/* The id of a text, -1: none. */
int32_t tokenizer_json_find(const struct tokenizer_json *reader, struct text text);
/* The pipeline is whole and the caller's. */
status tokenizer_json_finish(struct tokenizer_json *reader, struct pipeline **pipeline);
void tokenizer_json_close(struct tokenizer_json *reader);

/* ---- what its files share ---- */

enum { TOKENIZER_JSON_STEPS = 128 }; /* at most, of each kind */

/* An added token of a file, its content and flags. */
status tokenizer_json_added(struct tokenizer_json *reader, struct json *json,
                            const struct json_value *object);
/* The string's characters, in an arena; kept: the pipeline's. */
status tokenizer_json_text(struct tokenizer_json *reader, const struct json *json,
                           const struct json_value *value, bool kept, struct text *text);
/* The fields of an object; UNSUPPORTED  it has another one. where: for messages. */
status tokenizer_json_fields(const struct json *json, const struct json_value *object,
                             const char *where, struct json_field *fields, size_t n);
status tokenizer_json_fail(const struct json *json, const char *where, const char *name,
                           const char *what);
/* A field that is a bool; one that is missing leaves it. */
status tokenizer_json_bool(const struct json *json, const char *where,
                           const struct json_field *field, bool *value);
/* An integer from 0 to most. */
status tokenizer_json_count(const struct json *json, const char *where,
                            const struct json_field *field, int64_t most, int64_t *value);
/* A pattern: {"String": ...} or {"Regex": ...}. *wide: it may match more than a character. */
status tokenizer_json_pattern(struct tokenizer_json *reader, const struct json *json,
                              const char *where, const struct json_field *field,
                              struct regex **regex, bool *wide);
/* A field that is a string of one character. */
status tokenizer_json_character(const struct json *json, const char *where,
                                const struct json_field *field, uint32_t *c);
bool tokenizer_json_is(const struct json_field *field, const char *text);

/* tokenizer_json_model.c */
status tokenizer_json_model(struct tokenizer_json *reader, const struct json *json,
                            const struct json_value *value);
/* After the vocabulary is whole. */
status tokenizer_json_make_model(struct tokenizer_json *reader);
/* tokenizer_json_steps.c */
status tokenizer_json_normalizer(struct tokenizer_json *reader, const struct json *json,
                                 const struct json_field *field);
status tokenizer_json_pre_tokenizer(struct tokenizer_json *reader, const struct json *json,
                                    const struct json_field *field);
/* tokenizer_json_output.c */
status tokenizer_json_post_processor(struct tokenizer_json *reader, const struct json *json,
                                     const struct json_field *field);
status tokenizer_json_decoder(struct tokenizer_json *reader, const struct json *json,
                              const struct json_field *field);

#endif
