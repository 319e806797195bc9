/* What templates compute with: Python's values as far as Jinja's templates see them. Immutable, but
 * for namespaces; all memory is of one arena that ends with the rendering. */
#ifndef CHAT_VALUE_H
#define CHAT_VALUE_H

#include "base/memory.h"
#include "format/checkpoint.h"

/* ---- memory ---- */

struct arena {
    struct memory *memory;
    struct arena_chunk *chunks; /* the newest first */
    size_t used, limit;         /* bytes */
    status failure;             /* of the last chat_take that gave NULL */
};

/* Zeroed, at a multiple of 16; NULL with OUT_OF_MEMORY or LIMIT in failure. */
void *chat_take(struct arena *arena, size_t size);
void chat_arena_close(struct arena *arena);

static inline status chat_arena_failure(const struct arena *arena) {
    return arena->failure != OK ? arena->failure : INTERNAL;
}

#define ARENA_TAKE(arena, count, pointer)                                \
    do {                                                                 \
        *(pointer) = arena_take_array(arena, count, sizeof **(pointer)); \
        if (!*(pointer)) return chat_arena_failure(arena);                    \
    } while (0)
void *arena_take_array(struct arena *arena, size_t count, size_t size);

/* Text that grows. */
struct buffer {
    struct arena *arena;
    char *data;
    size_t length, capacity, limit;
};
status buffer_add(struct buffer *buffer, const char *data, size_t length);
status buffer_add_text(struct buffer *buffer, const char *text);

/* ---- values ---- */

enum value_kind {
    VALUE_MISSING, /* of an argument that was not given; no template sees it */
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_DICT,
    VALUE_NAMESPACE,
    VALUE_LOOP,
    VALUE_MACRO,
    VALUE_FUNCTION,
    VALUE_METHOD
};

/* Of the filter `safe`: what is added to it is escaped. */
enum { STRING_IS_MARKUP = 1 };
/* Of the filter `groupby`: a tuple whose two items have names. */
enum { LIST_IS_GROUP = 1 };

struct value {
    enum value_kind kind;
    uint32_t number; /* of a function; STRING_IS_MARKUP, LIST_IS_GROUP */
    size_t length;   /* bytes of a string, or of an undefined name */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const char *text; /* UTF-8 */
        struct list *list;
        struct dict *dict; /* of a dict, or a namespace's attributes */
        struct loop *loop;
        const struct macro *macro;
        const struct bound_method *method;
    } as;
};

enum list_kind {
    LIST_LIST,
    LIST_TUPLE,
    LIST_GENERATOR, /* true though empty, has no length, and its items are seen once */
    LIST_VIEW       /* of a dict: has a length, but no item by number */
};

struct list {
    enum list_kind kind;
    size_t n, capacity;
    size_t taken; /* of a generator */
    struct value *items;
};

struct entry {
    struct value key, value;
    uint64_t hash;
};

struct dict { /* in the order of insertion */
    size_t n, capacity;
    struct entry *entries;
    uint32_t *index; /* [mask + 1] entry + 1, 0: free; NULL while few */
    size_t mask;
};

static inline struct value value_of_kind(enum value_kind kind) {
    return (struct value){.kind = kind};
}
static inline struct value value_bool(bool boolean) {
    return (struct value){.kind = VALUE_BOOL, .as.boolean = boolean};
}
static inline struct value value_int(int64_t integer) {
    return (struct value){.kind = VALUE_INT, .as.integer = integer};
}
static inline struct value value_float(double real) {
    return (struct value){.kind = VALUE_FLOAT, .as.real = real};
}
static inline struct value value_string(const char *text, size_t length) {
    return (struct value){.kind = VALUE_STRING, .length = length, .as.text = text};
}
static inline struct value value_buffer(const struct buffer *buffer) {
    return value_string(buffer->data ? buffer->data : "", buffer->length);
}
struct value value_text(const char *text); /* up to its NUL */
static inline struct value value_list(struct list *list) {
    return (struct value){.kind = VALUE_LIST, .as.list = list};
}
static inline struct value value_dict(struct dict *dict) {
    return (struct value){.kind = VALUE_DICT, .as.dict = dict};
}

/* For messages: "str", "int", as Python names them. */
const char *value_kind_name(struct value value);
bool value_is_text(struct value value, const char *text);
static inline bool value_is_number(struct value value) {
    return value.kind >= VALUE_BOOL && value.kind <= VALUE_FLOAT;
}
/* Of a bool or an int. */
bool value_integer(struct value value, int64_t *integer);
double value_real(struct value value); /* of a number */
bool value_truth(struct value value);

/* Nesting beyond this is a LIMIT wherever values are walked through. */
enum { VALUE_MOST_DEPTH = 100 };

/* Equality as Python has it: 1 == 1.0 == True. *equal is false where values nest too deep. */
bool value_equal(struct value a, struct value b, int depth);
/* -1, 0, 1; false: the two have no order. */
bool value_compare(struct value a, struct value b, int depth, int *order);

status list_create(struct arena *arena, enum list_kind kind, size_t capacity, struct list **list);
status list_add(struct arena *arena, struct list *list, struct value value);

status dict_create(struct arena *arena, struct dict **dict);
/* Whether the value may be a key. */
bool dict_can_hold(struct value key);
/* NULL: no such key. */
struct value *dict_find(const struct dict *dict, struct value key);
struct value *dict_find_text(const struct dict *dict, const char *key);
/* Adds or replaces; the place of a replaced one stays. */
status dict_set(struct arena *arena, struct dict *dict, struct value key, struct value value);
status dict_set_text(struct arena *arena, struct dict *dict, const char *key, struct value value);

/* ---- values and text ---- */

/* str() and repr(). */
status value_write(struct buffer *buffer, struct value value);
status value_write_repr(struct buffer *buffer, struct value value, int depth);
status value_to_string(struct arena *arena, struct value value, struct value *string);

struct json_style {
    bool ascii, sort;
    int64_t indent;         /* -1: all on one line */
    struct value item, key; /* separators; MISSING: the usual ones */
};
/* json.dumps(). INVALID_ARGUMENT  something that JSON has no form for; the message names it. */
status value_write_json(struct buffer *buffer, struct value value, const struct json_style *style,
                        int depth);
/* Strict JSON (RFC 8259). INVALID_ARGUMENT  with what, named `what`, and where it breaks. */
status value_read_json(struct arena *arena, const char *what, struct text text,
                       struct value *value);
/* A number as Python and JSON write it, of characters 0-9 + - . e E only. False: out of range. */
bool value_read_float(const char *text, size_t length, double *number);

#endif
