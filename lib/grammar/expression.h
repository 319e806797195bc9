/* Regular expressions, and the right sides of a grammar's rules, as trees over code points. */
#ifndef GRAMMAR_EXPRESSION_H
#define GRAMMAR_EXPRESSION_H

#include "format/json.h"
#include "grammar/compile.h"

enum expression_kind {
    EXPRESSION_EMPTY,
    EXPRESSION_CLASS, /* one character of ranges; none of no ranges */
    EXPRESSION_SEQUENCE,
    EXPRESSION_CHOICE,
    EXPRESSION_REPEAT,
    EXPRESSION_RULE,
    EXPRESSION_BEGIN, /* true where the text begins, or ends */
    EXPRESSION_END
};

#define EXPRESSION_UNBOUNDED UINT32_MAX
#define EXPRESSION_LAST_CHARACTER 0x10FFFFu

struct character_range {
    uint32_t first, last;
};

struct expression {
    enum expression_kind kind;
    uint32_t min, max; /* of REPEAT */
    uint32_t rule;
    uint32_t n_ranges;
    struct character_range *ranges; /* ascending, apart; without surrogates */
    struct expression *child, *next;
};

/* A set of characters that is being gathered. */
struct character_set {
    struct character_range *ranges;
    uint32_t n, capacity;
};
status character_set_add(struct compile *compile, struct character_set *set, uint32_t first,
                         uint32_t last);
/* As an expression; inverted: of all other characters. */
status character_set_end(struct compile *compile, struct character_set *set, bool inverted,
                         struct expression **made);

status expression_new(struct compile *compile, enum expression_kind kind, struct expression **made);
status expression_character(struct compile *compile, uint32_t character, struct expression **made);
status expression_repeat(struct compile *compile, struct expression *child, uint32_t min,
                         uint32_t max, struct expression **made);
/* The UTF-8 bytes of text, one character after the other. */
status expression_text(struct compile *compile, const char *text, size_t length,
                       struct expression **made);

/* A character of valid UTF-8 at `at`, which moves on; false: there is none. */
bool utf8_next(const char *text, size_t length, size_t *at, uint32_t *character);
size_t utf8_put(uint32_t character, uint8_t bytes[4]);

/* ECMA-262's regular expressions, in their Unicode mode, as far as docs/structured-output.md says.
 * UNSUPPORTED names what isn't. `what` is told in messages. */
status regex_parse(struct compile *compile, const char *what, const char *text, size_t length,
                   struct expression **parsed);

/* A grammar's rules. One that stands for an embedded JSON Schema has its text, and a body of no
 * texts. */
struct rule_set {
    char **names;
    struct expression **bodies;
    struct text *schemas; /* NULL data: none */
    uint32_t n, capacity, root;
};
status ebnf_parse(struct compile *compile, const char *text, size_t length, struct rule_set *rules);

#endif
