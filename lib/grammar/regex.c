/* ECMA-262, 22.2.1 "Patterns", with the flag u: alternatives, groups, classes, quantifiers, ^ and
 * $. What can't be an automaton over bytes, or isn't done, is refused by name. */
#include <string.h>

#include "grammar/expression.h"

struct parser {
    struct compile *compile;
    const char *what, *text;
    size_t length, at;
    int depth;
};

static status wrong(const struct parser *parser, const char *why) {
    return fail(INVALID_ARGUMENT, "%s: at byte %zu: %s", parser->what, parser->at, why);
}

static status refuse(const struct parser *parser, const char *name) {
    return fail(UNSUPPORTED, "%s: at byte %zu: %s is not supported", parser->what, parser->at,
                name);
}

static int peek(const struct parser *parser) {
    return parser->at < parser->length ? (unsigned char)parser->text[parser->at] : -1;
}

static bool take_text(struct parser *parser, const char *text) {
    size_t n = strlen(text);
    if (parser->length - parser->at < n || memcmp(parser->text + parser->at, text, n) != 0)
        return false;
    parser->at += n;
    return true;
}

static status add_named(struct parser *parser, struct character_set *set, char name) {
    static const uint32_t spaces[][2] = {
        {9, 13},          {32, 32},         {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
        {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    struct compile *compile = parser->compile;
    if (name == 'd' || name == 'w') TRY(character_set_add(compile, set, '0', '9'));
    if (name == 'w') {
        TRY(character_set_add(compile, set, 'a', 'z'));
        TRY(character_set_add(compile, set, 'A', 'Z'));
        TRY(character_set_add(compile, set, '_', '_'));
    }
    for (size_t i = 0; name == 's' && i < sizeof spaces / sizeof *spaces; i++)
        TRY(character_set_add(compile, set, spaces[i][0], spaces[i][1]));
    return OK;
}

/* \d and the like, or what isn't one of them. */
static status add_class_escape(struct parser *parser, struct character_set *set, char name) {
    struct character_set named = {0};
    struct expression *others;
    if (name >= 'a') return add_named(parser, set, name);
    TRY(add_named(parser, &named, (char)(name - 'A' + 'a')));
    TRY(character_set_end(parser->compile, &named, true, &others));
    for (uint32_t i = 0; i < others->n_ranges; i++)
        TRY(character_set_add(parser->compile, set, others->ranges[i].first,
                              others->ranges[i].last));
    return OK;
}

static int hex_value(int c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static status read_hex(struct parser *parser, int n, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < n; i++) {
        int value = hex_value(peek(parser));
        if (value < 0) return wrong(parser, "a hexadecimal digit is missing");
        *code = *code * 16 + (uint32_t)value;
        parser->at++;
    }
    return OK;
}

static status read_unicode(struct parser *parser, uint32_t *code) {
    if (peek(parser) == '{') {
        *code = 0;
        parser->at++;
        if (peek(parser) == '}') return wrong(parser, "a hexadecimal digit is missing");
        while (peek(parser) != '}') {
            uint32_t digit;
            TRY(read_hex(parser, 1, &digit));
            *code = *code * 16 + digit;
            if (*code > EXPRESSION_LAST_CHARACTER) return wrong(parser, "no such character");
        }
        parser->at++;
        return OK;
    }
    TRY(read_hex(parser, 4, code));
    if (*code >= 0xD800 && *code < 0xDC00 && take_text(parser, "\\u")) {
        uint32_t low;
        TRY(read_hex(parser, 4, &low));
        if (low < 0xDC00 || low >= 0xE000) return wrong(parser, "half a surrogate pair");
        *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    }
    return OK;
}

/* Behind a backslash: one character, or \d and the like added to the set. */
static status read_escape(struct parser *parser, bool in_class, struct character_set *set,
                          bool *single, uint32_t *code) {
    static const char letters[] = "tnvfr", meanings[] = "\t\n\v\f\r";
    int c = peek(parser);
    *single = true;
    if (c < 0) return wrong(parser, "a backslash at the end");
    if (c && strchr("dDwWsS", c)) {
        *single = false;
        parser->at++;
        return add_class_escape(parser, set, (char)c);
    }
    if (c == 'b' && in_class) {
        parser->at++;
        *code = 8;
        return OK;
    }
    if (c == 'b' || c == 'B') return refuse(parser, "\\b or \\B, a word boundary,");
    if (c == 'p' || c == 'P') return refuse(parser, "\\p{}, a Unicode property,");
    if (c >= '1' && c <= '9') return refuse(parser, "a back reference");
    if (c == 'k') return refuse(parser, "\\k, a back reference,");
    parser->at++;
    const char *letter = c ? strchr(letters, c) : NULL;
    if (letter) {
        *code = (uint32_t)meanings[letter - letters];
        return OK;
    }
    if (c == '0') {
        if (peek(parser) >= '0' && peek(parser) <= '9') return wrong(parser, "an octal escape");
        *code = 0;
        return OK;
    }
    if (c == 'x') return read_hex(parser, 2, code);
    if (c == 'u') return read_unicode(parser, code);
    if (c == 'c') {
        int letter_of = peek(parser) | 32;
        if (letter_of < 'a' || letter_of > 'z') return wrong(parser, "\\c needs a letter");
        parser->at++;
        *code = (uint32_t)(letter_of - 'a' + 1);
        return OK;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80)
        return wrong(parser, "an escape that is none");
    *code = (uint32_t)c;
    return OK;
}

static status read_character(struct parser *parser, uint32_t *code) {
    if (utf8_next(parser->text, parser->length, &parser->at, code)) return OK;
    return wrong(parser, "bytes that are not UTF-8");
}

static status parse_class(struct parser *parser, struct expression **parsed) {
    struct character_set set = {0};
    bool inverted = take_text(parser, "^");
    for (;;) {
        uint32_t first, last;
        bool single = true, end_single = true;
        if (peek(parser) < 0) return wrong(parser, "a class without its end");
        if (take_text(parser, "]")) break;
        if (take_text(parser, "\\"))
            TRY(read_escape(parser, true, &set, &single, &first));
        else
            TRY(read_character(parser, &first));
        if (!single) continue;
        last = first;
        bool range = peek(parser) == '-' && parser->at + 1 < parser->length &&
                     parser->text[parser->at + 1] != ']';
        if (range) {
            parser->at++;
            if (take_text(parser, "\\"))
                TRY(read_escape(parser, true, &set, &end_single, &last));
            else
                TRY(read_character(parser, &last));
            if (!end_single) { /* [a-\d] of the mode without u: a, - and digits */
                TRY(character_set_add(parser->compile, &set, '-', '-'));
                last = first;
            }
        }
        if (last < first) return wrong(parser, "a range in the wrong order");
        TRY(character_set_add(parser->compile, &set, first, last));
    }
    return character_set_end(parser->compile, &set, inverted, parsed);
}

static status parse_choice(struct parser *parser, struct expression **parsed);

static status parse_group(struct parser *parser, struct expression **parsed) {
    if (take_text(parser, "?")) {
        if (peek(parser) == '=' || peek(parser) == '!') return refuse(parser, "lookahead");
        if (take_text(parser, "<")) {
            if (peek(parser) == '=' || peek(parser) == '!') return refuse(parser, "lookbehind");
            while (peek(parser) >= 0 && peek(parser) != '>') parser->at++;
            if (!take_text(parser, ">")) return wrong(parser, "a group's name without its end");
        } else if (!take_text(parser, ":")) {
            return refuse(parser, "this kind of group");
        }
    }
    TRY(parse_choice(parser, parsed));
    return take_text(parser, ")") ? OK : wrong(parser, "a group without its end");
}

static status parse_atom(struct parser *parser, struct expression **parsed) {
    struct character_set set = {0};
    uint32_t code = 0;
    bool single = true;
    if (take_text(parser, "^")) return expression_new(parser->compile, EXPRESSION_BEGIN, parsed);
    if (take_text(parser, "$")) return expression_new(parser->compile, EXPRESSION_END, parsed);
    if (take_text(parser, "(")) return parse_group(parser, parsed);
    if (take_text(parser, "[")) return parse_class(parser, parsed);
    if (take_text(parser, ".")) {
        TRY(character_set_add(parser->compile, &set, '\n', '\n'));
        TRY(character_set_add(parser->compile, &set, '\r', '\r'));
        TRY(character_set_add(parser->compile, &set, 0x2028, 0x2029));
        return character_set_end(parser->compile, &set, true, parsed);
    }
    if (take_text(parser, "\\"))
        TRY(read_escape(parser, false, &set, &single, &code));
    else if (peek(parser) > 0 && strchr("*+?", peek(parser)))
        return wrong(parser, "nothing to repeat");
    else
        TRY(read_character(parser, &code));
    if (single) TRY(character_set_add(parser->compile, &set, code, code));
    return character_set_end(parser->compile, &set, false, parsed);
}

/* {m}, {m,} or {m,n}; a brace that begins none of them is a character. */
static status read_braces(struct parser *parser, bool *found, uint32_t *min, uint32_t *max) {
    size_t start = parser->at++;
    uint64_t numbers[2] = {0, EXPRESSION_UNBOUNDED};
    bool comma = false, digits[2] = {false, false};
    *found = false;
    for (;; parser->at++) {
        int c = peek(parser);
        if (c >= '0' && c <= '9') {
            uint64_t *number = &numbers[comma];
            if (!digits[comma]) *number = 0;
            digits[comma] = true;
            *number = *number * 10 + (uint64_t)(c - '0');
            if (*number >= EXPRESSION_UNBOUNDED)
                return fail(LIMIT, "%s: at byte %zu: too many repeats", parser->what, parser->at);
        } else if (c == ',' && !comma) {
            comma = true;
        } else {
            break;
        }
    }
    if (peek(parser) != '}' || !digits[0]) {
        parser->at = start;
        return OK;
    }
    parser->at++;
    *found = true;
    *min = (uint32_t)numbers[0];
    *max = comma ? (uint32_t)numbers[1] : *min;
    return *max < *min ? wrong(parser, "a repeat's numbers in the wrong order") : OK;
}

static status parse_term(struct parser *parser, struct expression **parsed) {
    uint32_t min = 0, max = EXPRESSION_UNBOUNDED;
    bool repeated = true;
    struct expression *atom;
    TRY(parse_atom(parser, &atom));
    *parsed = atom;
    if (take_text(parser, "*"))
        min = 0;
    else if (take_text(parser, "+"))
        min = 1;
    else if (take_text(parser, "?"))
        max = 1;
    else if (peek(parser) == '{')
        TRY(read_braces(parser, &repeated, &min, &max));
    else
        repeated = false;
    if (!repeated) return OK;
    take_text(parser, "?"); /* lazy: the same texts */
    if (peek(parser) == '+') return refuse(parser, "a possessive quantifier");
    if (peek(parser) > 0 && strchr("*?", peek(parser))) return wrong(parser, "nothing to repeat");
    return expression_repeat(parser->compile, atom, min, max, parsed);
}

static status parse_sequence(struct parser *parser, struct expression **parsed) {
    TRY(expression_new(parser->compile, EXPRESSION_SEQUENCE, parsed));
    struct expression **last = &(*parsed)->child;
    while (peek(parser) >= 0 && peek(parser) != '|' && peek(parser) != ')') {
        TRY(parse_term(parser, last));
        last = &(*last)->next;
    }
    return OK;
}

static status parse_choice(struct parser *parser, struct expression **parsed) {
    if (++parser->depth > COMPILE_MOST_DEPTH)
        return fail(LIMIT, "%s: groups nest more than %d deep", parser->what, COMPILE_MOST_DEPTH);
    TRY(expression_new(parser->compile, EXPRESSION_CHOICE, parsed));
    struct expression **last = &(*parsed)->child;
    do {
        TRY(parse_sequence(parser, last));
        last = &(*last)->next;
    } while (take_text(parser, "|"));
    parser->depth--;
    return OK;
}

status regex_parse(struct compile *compile, const char *what, const char *text, size_t length,
                   struct expression **parsed) {
    struct parser parser = {.compile = compile, .what = what, .text = text, .length = length};
    TRY(parse_choice(&parser, parsed));
    return parser.at == length ? OK : wrong(&parser, "a ')' without its group");
}
