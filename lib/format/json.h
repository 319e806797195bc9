/* JSON (RFC 8259), read front to back out of bytes that stay where they are: nothing is taken from
 * memory, so a hostile file costs no more than its size. Strict: whole UTF-8, no control characters
 * in strings, no trailing commas, depth bounded. */
#ifndef FORMAT_JSON_H
#define FORMAT_JSON_H

#include "format/checkpoint.h"

enum { JSON_MAX_DEPTH = 64 };

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json {
    const char *file; /* for messages */
    const uint8_t *bytes;
    size_t size, at;
    uint64_t base; /* offset of bytes in the file, for messages */
    int depth;
};

struct json_value {
    enum json_kind kind;
    bool escaped;     /* a string with backslashes: see json_unescape */
    struct text text; /* a string's inside, a number's characters; an array or object that was
                         skipped: all of it */
};

/* A value; of an array or object only its bracket: json_element, json_member or json_skip go on. */
status json_read(struct json *json, struct json_value *value);
/* After an object's bracket, and each time after a member's value was read: the next key. *more is
 * false where the object ends instead. *first: true before the first call. */
status json_member(struct json *json, bool *first, bool *more, struct json_value *key);
/* Likewise in an array; its value is read next. */
status json_element(struct json *json, bool *first, bool *more);
/* All of a value that json_read began; nothing to do for one that isn't an array or object. */
status json_skip(struct json *json, struct json_value *value);
/* Nothing but white space follows. */
status json_end(struct json *json);

/* A member that is looked for. */
struct json_field {
    const char *name;
    struct json_value value; /* where it's an array or object, all of it */
    bool found;              /* and isn't null */
};
/* After an object's bracket: all of it, and what the fields are, the last one of a name. *other: a
 * member that is none of them and not null, or NULL data; NULL where that doesn't matter. */
status json_fields(struct json *json, struct json_field *fields, size_t n, struct text *other);
/* A reader of the text of an array or object, which json_read reads first. */
struct json json_inside(const struct json *json, const struct json_value *value);

/* The characters of a string or key, at most `capacity` bytes. LIMIT  longer. */
status json_unescape(const struct json *json, const struct json_value *value, char *buffer,
                     size_t capacity, size_t *length);
/* False: not a number, not an integer (1.0 and 1e3 are none), or beyond the range. */
bool json_to_i64(const struct json_value *value, int64_t *number);
/* False: not a number, or beyond the range. */
bool json_to_double(const struct json_value *value, double *number);
bool json_is(const struct json_value *value, const char *text);

#endif
