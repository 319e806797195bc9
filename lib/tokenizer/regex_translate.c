#include <string.h>

#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* A script is that of Scripts.txt; since 10.40 a bare name means Script_Extensions. */
#if PCRE2_MAJOR > 10 || PCRE2_MINOR >= 40
#define SCRIPT "sc:"
#else
#define SCRIPT ""
#endif

/* Insides of a class. */
#define SPACES "\\x{9}-\\x{d}\\x{85}\\p{Z}"
#define WORDS                                                                              \
    "\\p{L}\\p{Nl}\\p{M}\\p{Nd}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-" \
    "\\x{1f169}\\x{1f170}-\\x{1f189}"
/* Outside of a class Latin-1 has a table of its own, in which superscripts and fractions are that.
 */
#define WORDS_ALONE WORDS "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define HEX "0-9A-Fa-f"
#define WORD_EDGE \
    "(?<=[" WORDS_ALONE "])(?![" WORDS_ALONE "])|(?<![" WORDS_ALONE "])(?=[" WORDS_ALONE "])"

enum { MOST_GROUPS = 100, MOST_CLASS_DEPTH = 16, NO_ATOM = -1 };
#define MOST_BYTES ((size_t)1 << 22)

struct translation {
    struct memory *memory;
    struct text pattern;
    size_t at;
    char *out;
    size_t n, capacity;
    ptrdiff_t atom; /* where in out the last atom starts, NO_ATOM: there is none to repeat */
    size_t groups[MOST_GROUPS];
    int n_groups;
    bool named; /* then plain groups have no numbers */
};

static status refuse(const struct translation *t, const char *what) {
    return fail(UNSUPPORTED, "regular expression '%.*s': %s, at byte %zu",
                t->pattern.length < 200 ? (int)t->pattern.length : 200, t->pattern.data, what,
                t->at);
}

static status put(struct translation *t, const char *text, size_t length) {
    if (t->n + length + 1 > t->capacity) {
        size_t capacity = 2 * (t->n + length + 256);
        char *out;
        if (capacity > MOST_BYTES) return refuse(t, "it is too long");
        TRY(MEMORY_TAKE(t->memory, capacity, "a regular expression", &out));
        if (t->n) memcpy(out, t->out, t->n);
        memory_give(t->memory, t->out);
        t->out = out;
        t->capacity = capacity;
    }
    if (length) memcpy(t->out + t->n, text, length);
    t->n += length;
    t->out[t->n] = 0;
    return OK;
}

static status puts_(struct translation *t, const char *text) {
    return put(t, text, strlen(text));
}

/* Before the atom. */
static status insert(struct translation *t, size_t at, const char *text) {
    size_t length = strlen(text);
    TRY(put(t, text, length));
    memmove(t->out + at + length, t->out + at, t->n - length - at);
    memcpy(t->out + at, text, length);
    return OK;
}

static int peek(const struct translation *t, size_t ahead) {
    size_t left = t->pattern.length - t->at;
    return ahead < left ? (uint8_t)t->pattern.data[t->at + ahead] : -1;
}

static bool starts(const struct translation *t, const char *text) {
    size_t n = strlen(text);
    return t->pattern.length - t->at >= n && memcmp(t->pattern.data + t->at, text, n) == 0;
}

static bool is_hex(int c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- escapes ---- */

/* \p{...} and \P{...}: of general categories by their short or long names, of scripts. */
static status property(struct translation *t) {
    static const char *const categories[][2] = {
        {"letter", "L"}, {"mark", "M"},      {"number", "N"}, {"punctuation", "P"},
        {"symbol", "S"}, {"separator", "Z"}, {"other", "C"},
    };
    static const char *const others[] = {"Alphabetic", "Emoji", "Extended_Pictographic", "Any"};
    char name[64];
    size_t n = 0;
    bool not = peek(t, 1) == 'P';
    if (peek(t, 2) != '{') return refuse(t, "\\p without a name in braces");
    t->at += 3;
    if (peek(t, 0) == '^') {
        not = !not ;
        t->at++;
    }
    for (; is_letter(peek(t, 0)) || peek(t, 0) == '_'; t->at++) {
        if (n + 1 == sizeof name) return refuse(t, "a property that isn't known");
        name[n++] = (char)peek(t, 0);
    }
    if (peek(t, 0) != '}' || n == 0) return refuse(t, "a property that isn't known");
    t->at++;
    name[n] = 0;
    TRY(puts_(t, not ? "\\P{" : "\\p{"));
    bool script = true;
    if (n <= 2 && strchr("LMNPSZC", name[0])) script = false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0) script = false;
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++)
        if ((name[0] | 32) == categories[i][0][0] && strcmp(name + 1, categories[i][0] + 1) == 0) {
            TRY(puts_(t, categories[i][1]));
            return puts_(t, "}");
        }
    if (script) TRY(puts_(t, SCRIPT));
    TRY(put(t, name, n));
    return puts_(t, "}");
}

/* A code point as \x{...}; digits: how many, 0: those in braces. */
static status code_point(struct translation *t, size_t skip, size_t digits) {
    char text[16];
    size_t n = 0;
    t->at += skip;
    while (is_hex(peek(t, 0)) && n < 8 && (digits == 0 || n < digits)) {
        text[n++] = (char)peek(t, 0);
        t->at++;
    }
    if (n == 0 || (digits == 0 && peek(t, 0) != '}')) return refuse(t, "an escape without digits");
    if (digits == 0) t->at++;
    if (digits == 2 && n == 2 && text[0] >= '8') return refuse(t, "\\x of a byte over 7f");
    if (digits == 4 && n < 4) return refuse(t, "\\u without 4 digits");
    TRY(puts_(t, "\\x{"));
    TRY(put(t, text, n));
    return puts_(t, "}");
}

/* An escape that stands for a set: the inside of a class; NULL: it is none. *not: its complement.
 */
static const char *set_of(int letter, bool * not ) {
    *not = letter >= 'A' && letter <= 'Z';
    switch (letter | 32) {
    case 's':
        return SPACES;
    case 'w':
        return WORDS;
    case 'd':
        return "\\p{Nd}";
    case 'h':
        return HEX;
    default:
        return NULL;
    }
}

/* A single character that is escaped; in and out of classes alike. */
static status character(struct translation *t) {
    int letter = peek(t, 1);
    if (letter == 'x') return peek(t, 2) == '{' ? code_point(t, 3, 0) : code_point(t, 2, 2);
    if (letter == 'u') return code_point(t, 2, 4);
    if (letter == 'v') {
        t->at += 2;
        return puts_(t, "\\x{b}");
    }
    if (letter < 0) return refuse(t, "a backslash at its end");
    if (is_digit(letter) || (is_letter(letter) && !strchr("nrtfae", letter)))
        return refuse(t, "an escape that isn't known");
    size_t n = 2; /* a character of several bytes as a whole */
    while (peek(t, n) >= 0x80 && peek(t, n) < 0xc0) n++;
    if (letter >= 0x80)
        TRY(put(t, t->pattern.data + t->at + 1, n - 1));
    else
        TRY(put(t, t->pattern.data + t->at, 2));
    t->at += letter >= 0x80 ? n : 2;
    return OK;
}

static status escape(struct translation *t) {
    bool not ;
    int letter = peek(t, 1);
    const char *set = letter < 0 ? NULL : set_of(letter, &not );
    if (set) {
        if ((letter | 32) == 'w') set = WORDS_ALONE;
        t->at += 2;
        TRY(puts_(t, not ? "[^" : "["));
        TRY(puts_(t, set));
        return puts_(t, "]");
    }
    switch (letter) {
    case 'p':
    case 'P':
        return property(t);
    case 'b':
        t->at += 2;
        return puts_(t, "(?:" WORD_EDGE ")");
    case 'B':
        t->at += 2;
        return puts_(t, "(?!" WORD_EDGE ")");
    case 'A':
    case 'z':
    case 'Z':
    case 'G':
    case 'R':
    case 'X':
    case 'N':
        TRY(put(t, t->pattern.data + t->at, 2));
        t->at += 2;
        return OK;
    default:
        break;
    }
    if (letter >= '1' && letter <= '9' && !is_digit(peek(t, 2)) && !t->named) {
        TRY(put(t, t->pattern.data + t->at, 2));
        t->at += 2;
        return OK;
    }
    return character(t);
}

/* ---- classes ---- */

/* Oniguruma's classes nest and intersect: [a-z&&[^aeiou]]. Each is written as a choice of simple
 * classes, each intersection as lookaheads before one character. */
static status class_(struct translation *t, int depth);

static status posix(struct translation *t) {
    static const struct {
        const char *name, *set;
    } sets[] = {
        {"[:digit:]", "\\p{Nd}"}, {"[:space:]", SPACES},         {"[:word:]", WORDS},
        {"[:xdigit:]", HEX},      {"[:punct:]", "\\p{P}\\p{S}"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (!starts(t, sets[i].name)) continue;
        t->at += strlen(sets[i].name);
        return puts_(t, sets[i].set);
    }
    return refuse(t, "a POSIX class that isn't known");
}

/* One member of a simple class that is open in out. */
static status member(struct translation *t, const char **complement) {
    bool not ;
    int c = peek(t, 0), letter = peek(t, 1);
    *complement = NULL;
    if (c == '[') return posix(t);
    if (c == '\\') {
        const char *set = letter < 0 ? NULL : set_of(letter, &not );
        if (set) {
            t->at += 2;
            if (!not ) return puts_(t, set);
            *complement = set;
            return OK;
        }
        if (letter == 'p' || letter == 'P') return property(t);
        if (letter == 'b') {
            t->at += 2;
            return puts_(t, "\\x{8}");
        }
        return character(t);
    }
    if (c < 0x80 && !is_letter(c) && !is_digit(c) && c > 32 && c != '-') TRY(puts_(t, "\\"));
    size_t n = 1;
    while (peek(t, n) >= 0x80 && peek(t, n) < 0xc0) n++;
    TRY(put(t, t->pattern.data + t->at, n));
    t->at += n;
    return OK;
}

/* A union up to && or ]: (?:[simple]|[^complement]|nested ...). */
static status union_(struct translation *t, int depth, bool first) {
    bool open = false, any = false;
    TRY(puts_(t, "(?:"));
    for (;; first = false) {
        int c = peek(t, 0);
        if (c < 0) return refuse(t, "a class that doesn't end");
        if ((c == ']' && !first) || starts(t, "&&")) break;
        bool nested = c == '[' && peek(t, 1) != ':';
        if (nested) {
            TRY(puts_(t, open ? "]|" : any ? "|" : ""));
            TRY(class_(t, depth + 1));
            open = false;
        } else {
            const char *complement;
            size_t before = t->n;
            if (!open) TRY(puts_(t, any ? "|[" : "["));
            size_t inside = t->n;
            TRY(member(t, &complement));
            open = true;
            if (complement) {
                bool empty = t->n == inside && inside != before;
                if (empty) t->n = before; /* nothing else is in it */
                TRY(puts_(t, empty ? (any ? "|[^" : "[^") : "]|[^"));
                TRY(puts_(t, complement));
                TRY(puts_(t, "]"));
                open = false;
            }
        }
        any = true;
    }
    if (!any) return refuse(t, "an empty class");
    return puts_(t, open ? "])" : ")");
}

static status class_(struct translation *t, int depth) {
    if (depth > MOST_CLASS_DEPTH) return refuse(t, "classes that nest too deep");
    t->at++;
    bool not = peek(t, 0) == '^';
    t->at += not ;
    size_t begin = t->n;
    TRY(union_(t, depth, true));
    bool several = false;
    while (starts(t, "&&")) {
        if (!several) TRY(insert(t, begin, "(?="));
        TRY(puts_(t, ")(?="));
        several = true;
        t->at += 2;
        TRY(union_(t, depth, false));
    }
    t->at++; /* its bracket */
    if (several) TRY(puts_(t, ")(?s:.)"));
    if (not ) {
        TRY(insert(t, begin, "(?!"));
        TRY(puts_(t, ")(?s:.)"));
    }
    TRY(insert(t, begin, "(?:"));
    return puts_(t, ")");
}

/* Whether it is a class that means the same to PCRE2 once its members are written out: one union of
 * members none of which is a complement. */
static status whole_class(struct translation *t) {
    size_t at = t->at, n = t->n;
    t->at++;
    bool not = peek(t, 0) == '^', first = true;
    t->at += not ;
    TRY(puts_(t, not ? "[^" : "["));
    for (;; first = false) {
        const char *complement = NULL;
        int c = peek(t, 0);
        if (c < 0) return refuse(t, "a class that doesn't end");
        if (c == ']' && !first) break;
        bool simple = !starts(t, "&&") && !(c == '[' && peek(t, 1) != ':');
        if (simple) TRY(member(t, &complement));
        if (!simple || complement) { /* once more, the long way */
            t->at = at;
            t->n = n;
            return class_(t, 0);
        }
    }
    t->at++;
    return puts_(t, "]");
}

/* ---- groups and repetitions ---- */

static status options(struct translation *t) {
    size_t at = t->at + 2;
    TRY(puts_(t, "(?"));
    for (t->at = at;; t->at++) {
        int c = peek(t, 0);
        if (c == 'i' || c == '-')
            TRY(puts_(t, c == 'i' ? "i" : "-"));
        else if (c == 'm') /* . matches a newline too */
            TRY(puts_(t, "s"));
        else
            break;
    }
    int c = peek(t, 0);
    if (c != ':' && c != ')') return refuse(t, "options that aren't known");
    t->at++;
    if (c == ':') return puts_(t, ":");
    /* on its own it holds to the end of the group, as if that were a group of its own: elsewhere
     * the alternatives behind it would be cut otherwise */
    if (at != 2) return refuse(t, "options that aren't at its start");
    t->n_groups--;
    t->atom = NO_ATOM;
    return puts_(t, ")");
}

static status open_group(struct translation *t) {
    static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
    if (t->n_groups == MOST_GROUPS) return refuse(t, "groups that nest too deep");
    t->groups[t->n_groups++] = t->n;
    t->atom = NO_ATOM;
    if (peek(t, 1) != '?') {
        t->at++;
        return puts_(t, "(");
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!starts(t, kinds[i])) continue;
        t->at += strlen(kinds[i]);
        return puts_(t, kinds[i]);
    }
    if (starts(t, "(?#")) {
        while (peek(t, 0) >= 0 && peek(t, 0) != ')') t->at++;
        t->at++;
        t->n_groups--;
        return OK;
    }
    int c = peek(t, 2);
    if (c == '<' && is_letter(peek(t, 3))) {
        size_t n = 3;
        while (is_letter(peek(t, n)) || is_digit(peek(t, n)) || peek(t, n) == '_') n++;
        if (peek(t, n) != '>') return refuse(t, "a group's name that isn't plain");
        t->at += n + 1;
        t->named = true;
        return puts_(t, "("); /* by number: nothing can refer to the name */
    }
    if (c == 'i' || c == 'm' || c == '-') return options(t);
    return refuse(t, "a kind of group that isn't known");
}

static status close_group(struct translation *t) {
    if (t->n_groups == 0) return refuse(t, "a parenthesis too many");
    t->atom = (ptrdiff_t)t->groups[--t->n_groups];
    t->at++;
    return puts_(t, ")");
}

/* Bytes of {n}, {n,}, {,m} or {n,m} here; 0: it is none, so the brace is a character. */
static size_t counts(const struct translation *t, bool *low, bool *fixed) {
    size_t n = 1, first, second = 0;
    while (is_digit(peek(t, n))) n++;
    first = n - 1;
    *low = first > 0;
    *fixed = peek(t, n) == '}';
    if (peek(t, n) == ',') {
        size_t from = ++n;
        while (is_digit(peek(t, n))) n++;
        second = n - from;
    }
    return peek(t, n) == '}' && (first || second) ? n + 1 : 0;
}

static status repeat(struct translation *t, size_t n, bool low, bool fixed) {
    if (t->atom == NO_ATOM) return refuse(t, "nothing to repeat");
    size_t atom = (size_t)t->atom;
    bool braces = n > 1;
    if (braces && !low) {
        TRY(puts_(t, "{0"));
        TRY(put(t, t->pattern.data + t->at + 1, n - 1));
    } else {
        TRY(put(t, t->pattern.data + t->at, n));
    }
    t->at += n;
    /* lazy and possessive; but {n,m}+ and {n}? repeat the repetition */
    if ((peek(t, 0) == '?' && !fixed) || (peek(t, 0) == '+' && !braces)) {
        TRY(put(t, t->pattern.data + t->at, 1));
        t->at++;
    }
    TRY(insert(t, atom, "(?:"));
    return puts_(t, "(?C))");
}

static status step(struct translation *t) {
    int c = peek(t, 0);
    bool low = false, fixed = false;
    size_t n = c == '*' || c == '+' || c == '?' ? 1 : c == '{' ? counts(t, &low, &fixed) : 0;
    if (n) return repeat(t, n, low, fixed);
    if (c == '(') return open_group(t);
    if (c == ')') return close_group(t);
    if (c == '|') {
        t->at++;
        t->atom = NO_ATOM;
        return puts_(t, "|(?C)");
    }
    t->atom = (ptrdiff_t)t->n;
    if (c == '[') return whole_class(t);
    if (c == '\\') return escape(t);
    if (c == '^' || c == '$') t->atom = NO_ATOM;
    if (c == '{' || c == '}' || c == ']') TRY(puts_(t, "\\"));
    n = 1;
    while (peek(t, n) >= 0x80 && peek(t, n) < 0xc0) n++;
    TRY(put(t, t->pattern.data + t->at, n));
    t->at += n;
    return OK;
}

status regex_translate(struct memory *memory, struct text pattern, char **translated,
                       size_t *length) {
    struct translation *t;
    TRY(MEMORY_TAKE_ONE(memory, "a regular expression", &t));
    t->memory = memory;
    t->pattern = pattern;
    t->atom = NO_ATOM;
    status result = put(t, "", 0);
    while (result == OK && t->at < pattern.length) result = step(t);
    if (result == OK && t->n_groups > 0) result = refuse(t, "a group that doesn't end");
    if (result == OK) {
        *translated = t->out;
        *length = t->n;
    } else {
        memory_give(memory, t->out);
    }
    memory_give(memory, t);
    return result;
}
