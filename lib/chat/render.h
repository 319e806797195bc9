/* Evaluation of a parsed template. */
#ifndef CHAT_RENDER_H
#define CHAT_RENDER_H

#include "chat/ast.h"
#include "chat/lexer.h"

struct frame { /* variables of a scope */
    const struct frame *parent;
    struct dict *variables;
};

struct loop { /* the variable `loop` */
    const struct list *items;
    size_t index, depth;
    struct value last_changed; /* of loop.changed() */
    const struct node *node;   /* NODE_FOR */
    struct frame *frame;       /* around it */
};

struct macro {
    const struct node *node; /* NODE_MACRO or NODE_CALL_BLOCK */
    struct frame *frame;     /* where it was defined */
    struct value name;
    bool uses_caller, uses_varargs, uses_kwargs;
};

struct render {
    struct arena arena;
    struct buffer *output;
    struct frame *globals, *top; /* what the host gives; the template's own variables */
    int64_t steps;               /* that are left */
    int depth;                   /* of nested evaluations */
    int line;                    /* of what is evaluated */
    int64_t local_time;          /* seconds since 1970 of the civil time here */
    struct value captured;
};

enum { RENDER_MOST_DEPTH = 300 };

/* Fails with the line that is evaluated. */
#define render_fail(r, code, ...) chat_fail(code, (r)->line, __VA_ARGS__)
/* Takes n steps; LIMIT when they are spent. */
status render_spend(struct render *r, size_t n);

struct arguments {
    const struct value *list; /* [n] by position */
    size_t n;
    const struct dict *named; /* NULL: none */
};

/* Fills values with the arguments that `names` lists, words parted by blanks; what isn't given is
 * MISSING, unless the name begins with '!': then it must be there. */
status render_bind(struct render *r, const char *what, const char *names,
                   const struct arguments *arguments, struct value *values);
enum { MOST_PARAMETERS = 8 };

/* ---- statements (render.c) ---- */

status render_body(struct render *r, const struct node *body, struct frame *frame);
status render_frame(struct render *r, struct frame *parent, struct frame **frame);
/* loop(items) inside a recursive loop: the text that the loop gives for other items. */
status render_loop_call(struct render *r, const struct loop *loop,
                        const struct arguments *arguments, struct value *result);
status render_macro_call(struct render *r, const struct macro *macro,
                         const struct arguments *arguments, struct value *result);

/* ---- expressions (expression.c) ---- */

status expression_value(struct render *r, const struct node *node, struct frame *frame,
                        struct value *value);
status expression_arguments(struct render *r, const struct node *list, struct frame *frame,
                            struct arguments *arguments);
status expression_call(struct render *r, struct value callee, const struct arguments *arguments,
                       struct value *result);
/* object.name and object['name'] */
status expression_attribute(struct render *r, struct value object, struct value name,
                            struct value *value);
status expression_item(struct render *r, struct value object, struct value key,
                       struct value *value);
/* The items of whatever can be iterated over; those of a generator are taken. */
status expression_items(struct render *r, struct value value, const struct list **items);

/* ---- operators (operators.c) ---- */

status operators_binary(struct render *r, enum operator op, struct value a, struct value b,
                        struct value *result);
status operators_compare(struct render *r, enum operator op, struct value a, struct value b,
                         bool *result);
status operators_contains(struct render *r, struct value container, struct value item,
                          bool *result);
status operators_slice(struct render *r, struct value object, const struct value bounds[3],
                       struct value *result);
/* '%' of a text. */
status operators_format(struct render *r, struct value format, const struct list *values,
                        struct value *result);
size_t operators_length(struct value text); /* in characters */
/* Byte offset of a character; the length where the text has fewer. */
size_t operators_offset(struct value text, size_t character);

/* ---- filters, tests, methods, functions ---- */

/* Of a filter's arguments, as render_bind gives them. */
static inline bool render_given(struct value value) {
    return value.kind != VALUE_MISSING;
}
/* An integer; one that isn't given leaves *count. */
status filters_count(struct render *r, struct value value, int64_t *count);
struct filter {
    const char *name, *parameters; /* as in render_bind */
    status (*apply)(struct render *r, struct value input, const struct value *values,
                    struct value *result);
};
#define FILTER(name)                                                                     \
    static status name(struct render *r, struct value input, const struct value *values, \
                       struct value *result)
/* Each ends with a name of NULL. */
extern const struct filter filters_of_sequences[], filters_of_texts[];

/* A value's attribute by its path, "a.b.0"; a number is an index. */
status filters_by_path(struct render *r, struct value value, struct value path,
                       struct value *result);
status filters_apply(struct render *r, struct value name, struct value input,
                     const struct arguments *arguments, struct value *result);
bool filters_has(struct value name);
/* Its text with HTML's characters escaped, as markup, which isn't escaped twice. */
status filters_escape(struct render *r, struct value input, struct value *result);
status tests_apply(struct render *r, struct value name, struct value input,
                   const struct arguments *arguments, bool *result);
bool tests_has(struct value name);
/* Sorts by key, stable; FORMAT where keys have no order. */
status filters_sort(struct render *r, struct entry *entries, size_t n, bool reverse);

struct bound_method {
    struct value object;
    const struct method *method;
};
/* MISSING: the object's type has no such method. */
status methods_find(struct render *r, struct value object, struct value name, struct value *method);
status methods_call(struct render *r, const struct bound_method *bound,
                    const struct arguments *arguments, struct value *result);
/* Names of characters' cases, shared with filters. */
enum text_case { CASE_LOWER, CASE_UPPER, CASE_CAPITALIZED, CASE_TITLE, CASE_SWAPPED };
status methods_case(struct render *r, struct value text, enum text_case to, struct value *result);
/* Without the characters of `set` (white space if MISSING) at its sides. */
struct value methods_strip(struct value text, struct value set, bool left, bool right);
status methods_replace(struct render *r, struct value text, struct value from, struct value to,
                       int64_t most, struct value *result);
/* First place of part in text at or behind `from`; SIZE_MAX: none. */
size_t methods_find_text(struct value text, struct value part, size_t from);

enum function {
    FUNCTION_NAMESPACE,
    FUNCTION_DICT,
    FUNCTION_RANGE,
    FUNCTION_RAISE,
    FUNCTION_STRFTIME,
    FUNCTION_CYCLER, /* these three are Jinja's, and not had */
    FUNCTION_JOINER,
    FUNCTION_LIPSUM,
    FUNCTION_LOOP_CYCLE,
    FUNCTION_LOOP_CHANGED
};
status functions_define(struct render *r, bool has_time);
status functions_call(struct render *r, uint32_t function, const struct arguments *arguments,
                      struct value *result);
/* strftime of Python's datetime, in English. */
status functions_strftime(struct render *r, struct value format, struct value *result);

#endif
