/* Grammars as text. The dialect, a common part of the W3C's EBNF and of what other engines read:
 *
 *   name ::= expression         a rule; names have letters, digits, '-', '_' and '.'
 *   "text" 'text'               with \n \r \t \\ \" \' \xHH \uHHHH \UHHHHHHHH
 *   [a-z] [^a-z]                a class; the same escapes, and \] \[ \- \^
 *   .                           any character
 *   #xH...                      one character (W3C)
 *   (a b)  a | b  a? a* a+ a{2} a{2,} a{2,3}
 *   %json {...}                 a JSON text that the JSON Schema in the braces allows
 *   # to the end of the line    also // and C's comments; "#x" and a digit are no comment
 *
 * The text must match the rule "root", or the first one where there is none of that name. */
#include <string.h>

#include "grammar/expression.h"

struct reader {
    struct compile *compile;
    const char *text;
    size_t length, at;
    struct rule_set *rules;
    int depth;
};

static status wrong(const struct reader *reader, const char *why) {
    size_t line = 1;
    for (size_t i = 0; i < reader->at && i < reader->length; i++) line += reader->text[i] == '\n';
    return fail(INVALID_ARGUMENT, "grammar: line %zu: %s", line, why);
}

static int peek_at(const struct reader *reader, size_t ahead) {
    size_t at = reader->at + ahead;
    return at < reader->length ? (unsigned char)reader->text[at] : -1;
}

static int hex_value(int c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void skip_line(struct reader *reader) {
    while (peek_at(reader, 0) >= 0 && peek_at(reader, 0) != '\n') reader->at++;
}

static bool at_code(const struct reader *reader) {
    return peek_at(reader, 0) == '#' && peek_at(reader, 1) == 'x' &&
           hex_value(peek_at(reader, 2)) >= 0;
}

static status skip_space(struct reader *reader) {
    for (;;) {
        int c = peek_at(reader, 0);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            reader->at++;
        } else if ((c == '#' && !at_code(reader)) || (c == '/' && peek_at(reader, 1) == '/')) {
            skip_line(reader);
        } else if ((c == '/' || c == '(') && peek_at(reader, 1) == '*') {
            char close = c == '/' ? '/' : ')';
            reader->at += 2;
            while (!(peek_at(reader, 0) == '*' && peek_at(reader, 1) == close)) {
                if (peek_at(reader, 0) < 0) return wrong(reader, "a comment without its end");
                reader->at++;
            }
            reader->at += 2;
        } else {
            return OK;
        }
    }
}

static bool is_name(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

static size_t name_length(const struct reader *reader) {
    size_t n = 0;
    int c = peek_at(reader, 0);
    if (!is_name(c) || c == '.' || c == '-') return 0; /* "." alone is any character */
    while (is_name(peek_at(reader, n))) n++;
    return n;
}

static status add_rule(struct reader *reader, const char *name, size_t length, uint32_t *index) {
    struct rule_set *rules = reader->rules;
    uint32_t capacity = rules->capacity, same = capacity;
    char *copy;
    COMPILE_GROW(reader->compile, rules->bodies, rules->n, capacity);
    COMPILE_GROW(reader->compile, rules->schemas, rules->n, same);
    COMPILE_GROW(reader->compile, rules->names, rules->n, rules->capacity);
    COMPILE_TAKE(reader->compile, length + 1, &copy);
    memcpy(copy, name, length);
    *index = rules->n++;
    rules->names[*index] = copy;
    return OK;
}

static status find_rule(struct reader *reader, const char *name, size_t length, uint32_t *index) {
    const struct rule_set *rules = reader->rules;
    TRY(compile_work(reader->compile, rules->n));
    for (*index = 0; *index < rules->n; ++*index)
        if (!rules->schemas[*index].data && strlen(rules->names[*index]) == length &&
            memcmp(rules->names[*index], name, length) == 0)
            return OK;
    return add_rule(reader, name, length, index);
}

static status read_code(struct reader *reader, int digits, uint32_t *code) {
    int n = 0;
    *code = 0;
    for (; n < digits && hex_value(peek_at(reader, 0)) >= 0; n++, reader->at++) {
        *code = *code * 16 + (uint32_t)hex_value(peek_at(reader, 0));
        if (*code > EXPRESSION_LAST_CHARACTER) return wrong(reader, "no such character");
    }
    if (*code >= 0xD800 && *code < 0xE000) return wrong(reader, "half a surrogate pair");
    return n ? OK : wrong(reader, "a hexadecimal digit is missing");
}

/* A character of a text or class, escapes read. */
static status read_character(struct reader *reader, uint32_t *code) {
    static const char letters[] = "nrt0", meanings[] = "\n\r\t";
    if (peek_at(reader, 0) != '\\')
        return utf8_next(reader->text, reader->length, &reader->at, code)
                   ? OK
                   : wrong(reader, "bytes that are not UTF-8");
    int c = peek_at(reader, 1);
    if (c <= 0) return wrong(reader, "a backslash at the end");
    const char *letter = strchr(letters, c);
    reader->at += 2;
    if (letter) {
        *code = (uint32_t)meanings[letter - letters];
        return OK;
    }
    if (c == 'x') return read_code(reader, 2, code);
    if (c == 'u') return read_code(reader, 4, code);
    if (c == 'U') return read_code(reader, 8, code);
    if (is_name(c) && c != '-' && c != '_' && c != '.')
        return wrong(reader, "an escape that is none");
    if (c >= 0x80) return wrong(reader, "an escape that is none");
    *code = (uint32_t)c;
    return OK;
}

static status parse_text(struct reader *reader, struct expression **parsed) {
    int quote = peek_at(reader, 0);
    TRY(expression_new(reader->compile, EXPRESSION_SEQUENCE, parsed));
    struct expression **last = &(*parsed)->child;
    reader->at++;
    while (peek_at(reader, 0) != quote) {
        uint32_t code;
        if (peek_at(reader, 0) < 0 || peek_at(reader, 0) == '\n')
            return wrong(reader, "a text without its end");
        TRY(read_character(reader, &code));
        TRY(expression_character(reader->compile, code, last));
        last = &(*last)->next;
    }
    reader->at++;
    return OK;
}

static status read_class_character(struct reader *reader, uint32_t *code) {
    if (!at_code(reader)) return read_character(reader, code);
    reader->at += 2;
    return read_code(reader, 8, code);
}

static status parse_class(struct reader *reader, struct expression **parsed) {
    struct character_set set = {0};
    reader->at++;
    bool inverted = peek_at(reader, 0) == '^';
    reader->at += inverted;
    while (peek_at(reader, 0) != ']') {
        uint32_t first, last;
        if (peek_at(reader, 0) < 0 || peek_at(reader, 0) == '\n')
            return wrong(reader, "a class without its end");
        TRY(read_class_character(reader, &first));
        last = first;
        if (peek_at(reader, 0) == '-' && peek_at(reader, 1) != ']') {
            reader->at++;
            TRY(read_class_character(reader, &last));
        }
        if (last < first) return wrong(reader, "a range in the wrong order");
        TRY(character_set_add(reader->compile, &set, first, last));
    }
    reader->at++;
    return character_set_end(reader->compile, &set, inverted, parsed);
}

static bool at_schema(const struct reader *reader) {
    static const char word[] = "%json";
    size_t n = sizeof word - 1;
    return reader->length - reader->at >= n && memcmp(reader->text + reader->at, word, n) == 0 &&
           !is_name(peek_at(reader, n));
}

/* The schema's text stays where it is: rules.c compiles it as a rule of its own. */
static status parse_schema(struct reader *reader, struct expression **parsed) {
    static const char name[] = "%json";
    struct character_set none = {0};
    struct json_value value;
    reader->at += sizeof name - 1;
    TRY(skip_space(reader));
    if (peek_at(reader, 0) != '{') return wrong(reader, "a JSON Schema in braces was expected");
    struct json json = {.file = "json_schema",
                        .bytes = (const uint8_t *)reader->text,
                        .size = reader->length,
                        .at = reader->at};
    status result = json_read(&json, &value);
    if (result == OK) result = json_skip(&json, &value);
    if (result == FORMAT) {
        char why[STATUS_TEXT_BYTES];
        status_save(why);
        return wrong(reader, why);
    }
    TRY(result);
    reader->at = json.at;
    TRY(expression_new(reader->compile, EXPRESSION_RULE, parsed));
    uint32_t *rule = &(*parsed)->rule;
    TRY(add_rule(reader, name, sizeof name - 1, rule));
    reader->rules->schemas[*rule] = value.text;
    return character_set_end(reader->compile, &none, false, &reader->rules->bodies[*rule]);
}

static status parse_choice(struct reader *reader, struct expression **parsed);

static status parse_atom(struct reader *reader, struct expression **parsed) {
    struct character_set none = {0};
    int c = peek_at(reader, 0);
    size_t name = name_length(reader);
    if (c == '"' || c == '\'') return parse_text(reader, parsed);
    if (c == '[') return parse_class(reader, parsed);
    if (at_schema(reader)) return parse_schema(reader, parsed);
    if (at_code(reader)) {
        uint32_t code;
        reader->at += 2;
        TRY(read_code(reader, 8, &code));
        return expression_character(reader->compile, code, parsed);
    }
    if (c == '(') {
        reader->at++;
        TRY(parse_choice(reader, parsed));
        if (peek_at(reader, 0) != ')') return wrong(reader, "a group without its end");
        reader->at++;
        return OK;
    }
    if (name) {
        TRY(expression_new(reader->compile, EXPRESSION_RULE, parsed));
        TRY(find_rule(reader, reader->text + reader->at, name, &(*parsed)->rule));
        reader->at += name;
        return OK;
    }
    if (c == '.') {
        reader->at++;
        return character_set_end(reader->compile, &none, true, parsed);
    }
    return wrong(reader, "a text, class, group or name was expected");
}

static status read_number(struct reader *reader, uint32_t *number) {
    uint64_t value = 0;
    TRY(skip_space(reader));
    if (peek_at(reader, 0) < '0' || peek_at(reader, 0) > '9')
        return wrong(reader, "a number of repeats was expected");
    for (; peek_at(reader, 0) >= '0' && peek_at(reader, 0) <= '9'; reader->at++) {
        value = value * 10 + (uint64_t)(peek_at(reader, 0) - '0');
        if (value >= EXPRESSION_UNBOUNDED) return fail(LIMIT, "grammar: too many repeats");
    }
    *number = (uint32_t)value;
    return skip_space(reader);
}

static status read_braces(struct reader *reader, uint32_t *min, uint32_t *max) {
    reader->at++;
    TRY(read_number(reader, min));
    *max = *min;
    if (peek_at(reader, 0) == ',') {
        reader->at++;
        TRY(skip_space(reader));
        *max = EXPRESSION_UNBOUNDED;
        if (peek_at(reader, 0) != '}') TRY(read_number(reader, max));
    }
    if (peek_at(reader, 0) != '}') return wrong(reader, "'}' was expected");
    reader->at++;
    return *max < *min ? wrong(reader, "a repeat's numbers in the wrong order") : OK;
}

static status parse_term(struct reader *reader, struct expression **parsed) {
    TRY(parse_atom(reader, parsed));
    for (int n = 0;; n++) {
        uint32_t min = 0, max = EXPRESSION_UNBOUNDED;
        TRY(skip_space(reader));
        int c = peek_at(reader, 0);
        if (c != '?' && c != '*' && c != '+' && c != '{') return OK;
        if (n == COMPILE_MOST_DEPTH) return fail(LIMIT, "grammar: too many repeats of repeats");
        if (c == '{') {
            TRY(read_braces(reader, &min, &max));
        } else {
            reader->at++;
            min = c == '+';
            if (c == '?') max = 1;
        }
        struct expression *child = *parsed;
        TRY(expression_repeat(reader->compile, child, min, max, parsed));
    }
}

/* Whether the next thing is the beginning of another rule. */
static status at_rule(struct reader *reader, bool *found) {
    size_t before = reader->at, n = name_length(reader);
    reader->at += n;
    TRY(skip_space(reader));
    *found =
        n && peek_at(reader, 0) == ':' && peek_at(reader, 1) == ':' && peek_at(reader, 2) == '=';
    reader->at = before;
    return OK;
}

static status parse_sequence(struct reader *reader, struct expression **parsed) {
    TRY(expression_new(reader->compile, EXPRESSION_SEQUENCE, parsed));
    struct expression **last = &(*parsed)->child;
    for (;;) {
        bool rule;
        TRY(skip_space(reader));
        int c = peek_at(reader, 0);
        if (c < 0 || c == '|' || c == ')') return OK;
        if (c == ';') {
            reader->at++; /* ends a rule, where somebody writes it */
            return OK;
        }
        TRY(at_rule(reader, &rule));
        if (rule) return OK;
        TRY(parse_term(reader, last));
        last = &(*last)->next;
    }
}

static status parse_choice(struct reader *reader, struct expression **parsed) {
    if (++reader->depth > COMPILE_MOST_DEPTH)
        return fail(LIMIT, "grammar: groups nest more than %d deep", COMPILE_MOST_DEPTH);
    TRY(expression_new(reader->compile, EXPRESSION_CHOICE, parsed));
    struct expression **last = &(*parsed)->child;
    for (;;) {
        TRY(parse_sequence(reader, last));
        last = &(*last)->next;
        if (peek_at(reader, 0) != '|') break;
        reader->at++;
    }
    reader->depth--;
    return OK;
}

status ebnf_parse(struct compile *compile, const char *text, size_t length,
                  struct rule_set *rules) {
    struct reader reader = {.compile = compile, .text = text, .length = length, .rules = rules};
    bool first = true;
    for (;;) {
        uint32_t rule;
        bool found;
        TRY(skip_space(&reader));
        if (reader.at == length) break;
        TRY(at_rule(&reader, &found));
        if (!found) return wrong(&reader, "a rule, name ::= ..., was expected");
        size_t n = name_length(&reader);
        TRY(find_rule(&reader, text + reader.at, n, &rule));
        reader.at += n;
        TRY(skip_space(&reader));
        reader.at += 3;
        if (rules->bodies[rule]) return wrong(&reader, "this rule is there already");
        TRY(parse_choice(&reader, &rules->bodies[rule]));
        if (first || strcmp(rules->names[rule], "root") == 0) rules->root = rule;
        first = false;
    }
    if (first) return fail(INVALID_ARGUMENT, "grammar: it has no rules");
    for (uint32_t i = 0; i < rules->n; i++)
        if (!rules->bodies[i])
            return fail(INVALID_ARGUMENT, "grammar: the rule '%s' is used but not there",
                        rules->names[i]);
    return OK;
}
