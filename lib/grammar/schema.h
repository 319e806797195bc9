/* JSON Schema as rules. The parts: the document as a tree (schema_document.c), what a schema says
 * as a disjunction of conjunctions (schema_solve.c, schema_keywords.c), and these as automata
 * (schema_lower.c, schema_text.c, schema_number.c).
 *
 * A goal is a set of literals, each a schema, keyword or value that must, or must not, hold of one
 * JSON value. Solving it gives conjunctions: for each type what values there are, strings and
 * numbers as automata, arrays and objects by what is to hold of items and properties, which are
 * goals again. All of JSON Schema's boolean keywords are exact so; each goal is one rule. */
#ifndef GRAMMAR_SCHEMA_H
#define GRAMMAR_SCHEMA_H

#include "format/json.h"
#include "grammar/machine.h"
#include "grammar/set_table.h"

/* ---- the document ---- */

struct node {
    enum json_kind kind;
    struct text text;      /* a string, unescaped; a number's characters */
    uint32_t id, n, index; /* index in the parent */
    struct node **items;
    struct text *keys; /* of an object */
    struct node *parent;
};

struct schema {
    struct machine *machine;
    struct compile *compile;
    struct node *root, **nodes; /* [n_nodes] by id */
    uint32_t n_nodes, node_capacity;
    bool old_refs;   /* up to draft 7: beside $ref nothing counts */
    uint32_t always; /* the literal that always holds; its last bit makes the other */
    struct set_table goals;
    uint32_t *goal_rules, goal_capacity;
    uint32_t n_branches, depth;
    struct automaton **patterns; /* [n_nodes] of patternProperties' keys, by the value's node */
    const struct automaton *any_text, *numbers, *integers, *whole_numbers;
    uint32_t any_string_code, any_number_code, integer_code; /* 0: not made yet; else code + 1 */
    uint32_t word_codes[8]; /* null, false, true and their unions, likewise */
};

status schema_read_document(struct schema *schema, const char *text, size_t length);
struct node *schema_member(const struct node *node, const char *key);
bool schema_text_is(struct text text, const char *other);
bool schema_text_equal(struct text a, struct text b);
/* As a JSON pointer, for messages: valid until the next call on this schema. */
const char *schema_pointer(struct schema *schema, const struct node *node);
/* What a $ref stands for. UNSUPPORTED: another document. */
status schema_resolve(struct schema *schema, const struct node *ref, struct node **target);
status schema_refuse(struct schema *schema, const struct node *node, const char *what);
status schema_wrong(struct schema *schema, const struct node *node, const char *what);
/* A count: a whole number, 0 and up. */
status schema_count(struct schema *schema, const struct node *node, uint32_t *count);

/* ---- literals ---- */

enum literal_kind { LITERAL_SCHEMA, LITERAL_KEYWORD, LITERAL_VALUE, LITERAL_DEPENDENT };

static inline uint32_t literal_of(enum literal_kind kind, const struct node *node, bool negative) {
    return node->id << 3 | (uint32_t)kind << 1 | negative;
}
static inline enum literal_kind literal_kind(uint32_t literal) {
    return (enum literal_kind)(literal >> 1 & 3);
}

struct literals { /* a list that grows at its front alone */
    uint32_t literal;
    const struct literals *next;
};
status literals_add(struct schema *schema, const struct literals **list, uint32_t literal);

/* ---- conjunctions ---- */

enum {
    TYPE_NULL = 1,
    TYPE_FALSE = 2,
    TYPE_TRUE = 4,
    TYPE_NUMBER = 8,
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ALL = 127
};

enum key_kind {
    KEY_NAME,
    KEY_PATTERN, /* keys that the automaton accepts */
    KEY_REST /* those that a schema's properties and patternProperties, or a value, don't name */
};

struct key_rule { /* what holds of the values of such keys */
    enum key_kind kind;
    struct text name;
    const struct automaton *pattern;
    const struct node *owner; /* REST: the schema, or the value */
    bool of_value;
    uint32_t literal;
    const struct key_rule *next;
};

struct item_rule { /* of items from ... to - 1 */
    uint32_t from, to, literal;
    uint32_t min, max; /* of a count: so many of them */
    const struct item_rule *next;
};

struct conjunction {
    uint32_t types;
    const struct automaton *text, *number; /* NULL: any */
    bool integer;
    const struct key_rule *keys, *wanted; /* for all, for at least one property */
    uint32_t min_properties, max_properties;
    const struct item_rule *items, *counts;
    uint32_t min_items, max_items;
    const struct node *unique; /* uniqueItems, true */
};

struct solver {
    struct schema *schema;
    status (*found)(struct solver *solver, const struct conjunction *conjunction);
    void *user;
    bool stop;
};

/* All conjunctions that make the literals hold. */
status schema_solve(struct solver *solver, const struct literals *todo);
/* Goes on with what one branch adds. */
status schema_branch(struct solver *solver, struct conjunction conjunction,
                     const struct literals *todo, const struct literals *done);

struct application { /* of one literal to a conjunction */
    struct solver *solver;
    struct conjunction *conjunction;
    const struct literals **todo;
    const struct literals *done;
    bool branched; /* all is done, by branches */
};
/* A keyword of its schema; member: its value. */
status schema_apply_keyword(struct application *application, const struct node *member,
                            bool negative);
status schema_apply_value(struct application *application, const struct node *value, bool negative);
status schema_apply_dependent(struct application *application, const struct node *member,
                              bool negative);

status schema_add_key_rule(struct schema *schema, const struct key_rule **list,
                           struct key_rule rule);
status schema_add_item_rule(struct schema *schema, const struct item_rule **list,
                            struct item_rule rule);
/* The automaton of the texts that a schema allows; NULL: any. */
status schema_text_language(struct schema *schema, uint32_t literal,
                            const struct automaton **language);
status schema_pattern(struct schema *schema, const struct node *value,
                      const struct automaton **pattern);
/* Whether it is proven that nothing makes these hold. */
status schema_is_empty(struct schema *schema, const struct literals *literals, bool *empty);

/* ---- automata ---- */

status schema_regex(struct schema *schema, const char *what, const char *regex, size_t length,
                    bool search, const struct automaton **made);
/* Exactly these texts; label i + 1, or 1 where `same`, times `unit`. */
status schema_words(struct schema *schema, const struct text *words, uint32_t n, bool same,
                    uint64_t unit, const struct automaton **made);
status schema_length(struct schema *schema, uint32_t min, uint32_t max,
                     const struct automaton **made);
/* NULL: the format isn't known. */
const char *schema_format(struct text name);
/* Texts as JSON strings with their quotes, in one spelling. */
status schema_quote(struct schema *schema, const struct automaton *texts,
                    const struct automaton **quoted);
status schema_basics(struct schema *schema);

struct decimal {
    bool negative;
    const char *whole, *fraction; /* digits; whole has one at least, none needless */
    uint32_t n_whole, n_fraction;
};
status schema_decimal(struct schema *schema, const struct node *node, struct decimal *decimal);
/* The one way to write it. */
status schema_decimal_text(struct schema *schema, const struct decimal *decimal, struct text *text);
/* Numbers without an exponent that compare so: any of < (1), = (2), > (4). */
status schema_compare(struct schema *schema, const struct decimal *decimal, unsigned relations,
                      const struct automaton **made);
status schema_multiples(struct schema *schema, const struct node *node,
                        const struct automaton **made);

/* ---- rules ---- */

/* The rule of a goal; AUTOMATON_NONE: it can't hold. */
status schema_goal(struct schema *schema, const uint32_t *literals, uint32_t n, uint32_t *rule);
/* Adds a conjunction's values to a rule. */
status schema_lower(struct schema *schema, const struct conjunction *conjunction, uint32_t rule);

#endif
