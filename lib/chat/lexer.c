#include "chat/lexer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tokenizer/character.h"
#include "tokenizer/utf8.h"

struct lexer {
    struct arena *arena;
    struct tokens *tokens;
    const char *p, *end;
    int line;
    int depth; /* of open brackets in a tag */
    char open[100];
    bool line_starting; /* the text from here begins a line */
};

status chat_fail(status code, int line, const char *format, ...) {
    char text[STATUS_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return fail(code, "chat template, line %d: %s", line, text);
}

static status add_token(struct lexer *l, enum token_type type, struct value value) {
    struct tokens *tokens = l->tokens;
    if (tokens->n == tokens->capacity) {
        struct token *grown;
        size_t capacity = tokens->capacity ? 2 * tokens->capacity : 64;
        ARENA_TAKE(l->arena, capacity, &grown);
        if (tokens->n) memcpy(grown, tokens->list, tokens->n * sizeof *grown);
        tokens->list = grown;
        tokens->capacity = capacity;
    }
    tokens->list[tokens->n++] = (struct token){type, l->line, value};
    return OK;
}

static bool at(const struct lexer *l, const char *p, const char *text) {
    size_t n = strlen(text);
    return (size_t)(l->end - p) >= n && memcmp(p, text, n) == 0;
}

/* Moves to p and counts the lines on the way. */
static void advance(struct lexer *l, const char *p) {
    for (; l->p < p; l->p++) l->line += *l->p == '\n';
}

/* Bytes of the white space at p, as Python's \s has it; 0: none. */
static unsigned space_at(const char *p, const char *end) {
    unsigned n;
    if (p >= end) return 0;
    uint32_t c = utf8_decode((const uint8_t *)p, &n);
    return (c >= 0x1c && c < 0x20) || (character_class(c) & SPACE) ? n : 0;
}

static const char *skip_space(const struct lexer *l, const char *p) {
    for (unsigned n; (n = space_at(p, l->end)) > 0;) p += n;
    return p;
}

/* The end of text [p, end) without the white space it ends in. */
static const char *strip_end(const char *p, const char *end) {
    while (end > p) {
        const char *last = end - 1;
        while (last > p && ((unsigned char)*last & 0xc0) == 0x80) last--;
        if (!space_at(last, end)) break;
        end = last;
    }
    return end;
}

/* {%- name -%}: NULL where it isn't there. *sign is the first sign or 0. */
static const char *raw_tag(const struct lexer *l, const char *p, const char *name, char *sign) {
    if (!at(l, p, "{%")) return NULL;
    p += 2;
    *sign = p < l->end && (*p == '-' || *p == '+') ? *p++ : 0;
    p = skip_space(l, p);
    if (!at(l, p, name)) return NULL;
    p = skip_space(l, p + strlen(name));
    if (at(l, p, "-%}") || at(l, p, "%}")) return p;
    return at(l, p, "+%}") && name[0] == 'e' ? p : NULL;
}

/* Behind the end of a tag that p is at, with the white space that goes with it. */
static const char *tag_end(const struct lexer *l, const char *p, bool trims) {
    char sign = *p;
    if (sign == '-') return skip_space(l, p + 3);
    p += sign == '+' ? 3 : 2;
    return trims && sign != '+' && p < l->end && *p == '\n' ? p + 1 : p;
}

/* The text up to a tag at p: without the white space before it that its sign or, if it is not of a
 * variable, the beginning of the line takes away. */
static status add_text(struct lexer *l, const char *p, char sign, bool variable) {
    const char *end = p;
    if (sign == '-') {
        end = strip_end(l->p, p);
    } else if (sign != '+' && !variable) {
        const char *line = p;
        while (line > l->p && line[-1] != '\n') line--;
        if ((line > l->p || l->line_starting) && strip_end(line, p) == line) end = line;
    }
    if (end > l->p) TRY(add_token(l, TOKEN_TEXT, value_string(l->p, (size_t)(end - l->p))));
    advance(l, p);
    return OK;
}

static void leave_tag(struct lexer *l, const char *end) {
    advance(l, end);
    l->line_starting = end[-1] == '\n';
}

static status lex_comment(struct lexer *l) {
    const char *p = l->p + 2;
    while (p < l->end && !at(l, p, "#}")) p++;
    if (p >= l->end) return chat_fail(FORMAT, l->line, "a comment without its end");
    if (p > l->p + 2 && (p[-1] == '-' || p[-1] == '+')) p--;
    leave_tag(l, tag_end(l, p, true));
    return OK;
}

static status lex_raw(struct lexer *l, const char *tag) {
    char sign;
    const char *p = tag_end(l, tag, false), *end = NULL;
    advance(l, p);
    l->line_starting = p[-1] == '\n';
    for (; p < l->end && !(end = raw_tag(l, p, "endraw", &sign));) p++;
    if (!end) return chat_fail(FORMAT, l->line, "raw without endraw");
    TRY(add_text(l, p, sign, false));
    leave_tag(l, tag_end(l, end, true));
    return OK;
}

/* ---- inside tags ---- */

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

static int octal_digits(const char *p, const char *end, unsigned *value) {
    int n = 0;
    for (*value = 0; n < 3 && p + n < end && p[n] >= '0' && p[n] <= '7'; n++)
        *value = *value * 8 + (unsigned)(p[n] - '0');
    return n;
}

static status lex_escape(struct lexer *l, const char **at_p, const char *end, char *out,
                         size_t *n) {
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *p = *at_p + 1, *known = p < end && *p ? strchr(from, *p) : NULL;
    unsigned value;
    int digits = octal_digits(p, end, &value);
    int wanted = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
    if (known) {
        out[(*n)++] = to[known - from];
        *at_p = p + 1;
    } else if (digits) {
        *n += utf8_encode(value, out + *n);
        *at_p = p + digits;
    } else if (*p == '\n') {
        *at_p = p + 1;
    } else if (wanted) {
        uint32_t c = 0;
        for (int i = 1; i <= wanted; i++) {
            int digit = p + i < end ? digit_value(p[i]) : 99;
            if (digit > 15) return chat_fail(FORMAT, l->line, "a broken \\%c escape", *p);
            c = c << 4 | (uint32_t)digit;
        }
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return chat_fail(UNSUPPORTED, l->line, "\\%c%.*s is no character", *p, wanted, p + 1);
        *n += utf8_encode(c, out + *n);
        *at_p = p + 1 + wanted;
    } else if (*p == 'N') {
        return chat_fail(UNSUPPORTED, l->line, "a character by its name, \\N");
    } else {
        out[(*n)++] = '\\';
        *at_p = p;
    }
    return OK;
}

static status lex_string(struct lexer *l) {
    char quote = *l->p;
    const char *p = l->p + 1, *end = p;
    while (end < l->end && *end != quote) end += *end == '\\' ? 2 : 1;
    if (end >= l->end) return chat_fail(FORMAT, l->line, "a string without its end");
    char *text;
    size_t n = 0;
    ARENA_TAKE(l->arena, (size_t)(end - p) + 4, &text);
    while (p < end) {
        if (*p == '\\')
            TRY(lex_escape(l, &p, end, text, &n));
        else
            text[n++] = *p++;
    }
    TRY(add_token(l, TOKEN_LITERAL, value_string(text, n)));
    advance(l, end + 1);
    return OK;
}

static bool is_digit(const char *p, const char *end) {
    return p < end && *p >= '0' && *p <= '9';
}

static const char *skip_digits(const char *p, const char *end) {
    while (is_digit(p, end) || (p < end && *p == '_' && is_digit(p + 1, end))) p++;
    return p;
}

static status lex_integer(struct lexer *l, const char *p, const char *end, int base) {
    int64_t integer = 0;
    for (; p < end; p++)
        if (*p != '_' && (__builtin_mul_overflow(integer, base, &integer) ||
                          __builtin_add_overflow(integer, digit_value(*p), &integer)))
            return chat_fail(LIMIT, l->line, "an integer of more than 64 bits");
    return add_token(l, TOKEN_LITERAL, value_int(integer));
}

static status lex_number(struct lexer *l) {
    const char *p = l->p, *end = skip_digits(p, l->end);
    char kind = *p == '0' && p + 1 < l->end ? (char)(p[1] | 0x20) : 0;
    int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    if (base != 10 && p + 2 < l->end && digit_value(p[2]) < base) {
        for (end = p + 2; end < l->end && (*end == '_' || digit_value(*end) < base);) end++;
        TRY(lex_integer(l, p + 2, end, base));
        advance(l, end);
        return OK;
    }
    bool real = false;
    /* 1.5 is a number, but x.0.1 are two attributes */
    if ((p == l->p && l->tokens->n && value_is_text(l->tokens->list[l->tokens->n - 1].value, ".") &&
         l->tokens->list[l->tokens->n - 1].type == TOKEN_OPERATOR)) {
        TRY(lex_integer(l, p, end, 10));
        advance(l, end);
        return OK;
    }
    if (end < l->end && *end == '.' && is_digit(end + 1, l->end)) {
        real = true;
        end = skip_digits(end + 1, l->end);
    }
    if (end < l->end && (*end == 'e' || *end == 'E')) {
        const char *exponent = end + 1;
        if (exponent < l->end && (*exponent == '+' || *exponent == '-')) exponent++;
        if (is_digit(exponent, l->end)) {
            real = true;
            end = skip_digits(exponent, l->end);
        }
    }
    if (real) {
        double number;
        if (!value_read_float(p, (size_t)(end - p), &number))
            return chat_fail(LIMIT, l->line, "a number too long");
        TRY(add_token(l, TOKEN_LITERAL, value_float(number)));
    } else {
        TRY(lex_integer(l, p, end, 10));
    }
    advance(l, end);
    return OK;
}

static const char *name_end(const struct lexer *l) {
    const char *p = l->p;
    while (p < l->end) {
        unsigned n;
        uint32_t c = utf8_decode((const uint8_t *)p, &n);
        if (c != '_' && !(character_class(c) & (LETTER | NUMBER | MARK))) break;
        p += n;
    }
    return p;
}

static status lex_operator(struct lexer *l) {
    static const char *const pairs[] = {"//", "**", "==", "!=", ">=", "<="};
    size_t n = 1;
    char c = *l->p;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (at(l, l->p, pairs[i])) n = 2;
    if (n == 1 && (!c || !strchr("+-/*%~[](){}><=.:|,;", c)))
        return chat_fail(FORMAT, l->line, "unexpected character '%.4s'", l->p);
    if (n == 1 && strchr("([{", c)) {
        if (l->depth == sizeof l->open)
            return chat_fail(LIMIT, l->line, "brackets deeper than %zu", sizeof l->open);
        l->open[l->depth++] = c;
    } else if (n == 1 && strchr(")]}", c)) {
        char open = l->depth ? l->open[l->depth - 1] : 0;
        if (open != (c == ')' ? '(' : c == ']' ? '[' : '{'))
            return chat_fail(FORMAT, l->line, "unexpected '%c'", c);
        l->depth--;
    }
    TRY(add_token(l, TOKEN_OPERATOR, value_string(l->p, n)));
    advance(l, l->p + n);
    return OK;
}

/* The tokens of a tag, its end included. */
static status lex_tag(struct lexer *l, bool variable) {
    const char *close = variable ? "}}" : "%}";
    for (l->depth = 0;;) {
        advance(l, skip_space(l, l->p));
        if (l->p >= l->end) return chat_fail(FORMAT, l->line, "a tag without its end");
        char c = *l->p;
        bool sign = (c == '-' || (c == '+' && !variable)) && at(l, l->p + 1, close);
        if (!l->depth && (sign || at(l, l->p, close))) break;
        const char *name = name_end(l);
        if (c == '\'' || c == '"') {
            TRY(lex_string(l));
        } else if (is_digit(l->p, l->end)) {
            TRY(lex_number(l));
        } else if (name > l->p) {
            TRY(add_token(l, TOKEN_NAME, value_string(l->p, (size_t)(name - l->p))));
            advance(l, name);
        } else {
            TRY(lex_operator(l));
        }
    }
    TRY(add_token(l, variable ? TOKEN_VARIABLE_END : TOKEN_BLOCK_END, value_text(close)));
    leave_tag(l, tag_end(l, l->p, !variable));
    return OK;
}

static status lex_all(struct lexer *l) {
    for (const char *p = l->p; p < l->end;) {
        char sign = 0;
        if (*p != '{' || p + 1 == l->end || !strchr("{%#", p[1]) || !p[1]) {
            p++;
            continue;
        }
        const char *raw = raw_tag(l, p, "raw", &sign);
        bool variable = p[1] == '{', comment = p[1] == '#';
        sign = p + 2 < l->end && (p[2] == '-' || p[2] == '+') ? p[2] : 0;
        TRY(add_text(l, p, sign, variable));
        if (raw) {
            TRY(lex_raw(l, raw));
        } else if (comment) {
            TRY(lex_comment(l));
        } else {
            TRY(add_token(l, variable ? TOKEN_VARIABLE_BEGIN : TOKEN_BLOCK_BEGIN,
                          value_string(p, 2)));
            advance(l, p + 2 + (sign != 0));
            TRY(lex_tag(l, variable));
        }
        p = l->p;
    }
    return add_text(l, l->end, '+', true);
}

/* Lines end in \n, and the last one in nothing. */
static status normalize(struct arena *arena, struct text source, struct text *lines) {
    char *text;
    size_t n = 0;
    ARENA_TAKE(arena, source.length + 1, &text);
    for (size_t i = 0; i < source.length; i++) {
        char c = source.data[i];
        if (c == '\r' && i + 1 < source.length && source.data[i + 1] == '\n') continue;
        text[n++] = c == '\r' ? '\n' : c;
    }
    if (n && text[n - 1] == '\n') n--;
    *lines = (struct text){text, n};
    return OK;
}

status lexer_run(struct arena *arena, struct text source, struct tokens *tokens) {
    struct text lines = {0};
    TRY(normalize(arena, source, &lines));
    struct lexer l = {.arena = arena,
                      .tokens = tokens,
                      .p = lines.data,
                      .end = lines.data + lines.length,
                      .line = 1,
                      .line_starting = true};
    *tokens = (struct tokens){0};
    TRY(lex_all(&l));
    return add_token(&l, TOKEN_END, value_text(""));
}
