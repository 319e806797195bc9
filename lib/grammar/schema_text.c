/* Automata of strings: words, patterns, lengths and formats over their characters, and how JSON
 * spells them. */
#include <string.h>

#include "grammar/schema.h"

enum { MOST_LENGTH = 4096 };

status schema_regex(struct schema *schema, const char *what, const char *regex, size_t length,
                    bool search, const struct automaton **made) {
    struct expression *parsed;
    struct automaton *automaton, *least;
    TRY(regex_parse(schema->compile, what, regex, length, &parsed));
    TRY(automaton_make(schema->compile, parsed, NULL, search, &automaton));
    TRY(automaton_minimize(schema->compile, automaton, &least));
    *made = least;
    return OK;
}

status schema_words(struct schema *schema, const struct text *words, uint32_t n, bool same,
                    uint64_t unit, const struct automaton **made) {
    struct compile *compile = schema->compile;
    size_t most = 1, n_states = 1;
    uint32_t *rows;
    uint64_t *labels;
    struct automaton *automaton;
    for (uint32_t i = 0; i < n; i++) most += words[i].length;
    if (most > AUTOMATON_MOST_STATES)
        return fail(LIMIT, "json_schema: names or values have more than %d bytes together",
                    AUTOMATON_MOST_STATES);
    COMPILE_TAKE(compile, 256 * most, &rows);
    COMPILE_TAKE(compile, most, &labels);
    memset(rows, 0xFF, 256 * most * sizeof *rows);
    for (uint32_t i = 0; i < n; i++) {
        size_t at = 0;
        for (size_t j = 0; j < words[i].length; j++) {
            uint32_t *next = &rows[256 * at + (uint8_t)words[i].data[j]];
            if (*next == AUTOMATON_NONE) *next = (uint32_t)n_states++;
            at = *next;
        }
        labels[at] = (same ? 1 : i + 1) * unit;
    }
    TRY(automaton_from_rows(compile, (uint32_t)n_states, rows, labels, &automaton));
    *made = automaton;
    return OK;
}

status schema_length(struct schema *schema, uint32_t min, uint32_t max,
                     const struct automaton **made) {
    struct expression *all, *counted;
    struct character_set none = {0};
    struct automaton *automaton;
    if (min > MOST_LENGTH || (max > MOST_LENGTH && max != EXPRESSION_UNBOUNDED))
        return fail(LIMIT, "json_schema: minLength or maxLength over %d", MOST_LENGTH);
    TRY(character_set_end(schema->compile, &none, true, &all));
    TRY(expression_repeat(schema->compile, all, min, max, &counted));
    TRY(automaton_make(schema->compile, counted, NULL, false, &automaton));
    *made = automaton;
    return OK;
}

#define OCTET "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 "(" OCTET "\\." OCTET "\\." OCTET "\\." OCTET ")"
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(" H16 ":" H16 "|" IPV4 ")"
#define LABEL "([A-Za-z0-9]{1,63}|[A-Za-z0-9](-?[A-Za-z0-9]){1,30})"
#define DAY31 "(0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])"
#define DAY30 "(0[469]|11)-(0[1-9]|[12]\\d|30)"
#define LEAP "(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
#define DATE "(\\d{4}-(" DAY31 "|" DAY30 "|02-(0[1-9]|1\\d|2[0-8]))|" LEAP "-02-29)"
/* Of leap seconds only those in UTC at the end of a day. */
#define CLOCK "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?"
#define OFFSET "([01]\\d|2[0-3]):[0-5]\\d"
#define TIME "(" CLOCK "([Zz]|[+-]" OFFSET ")|23:59:60(\\.\\d+)?([Zz]|[+-]00:00))"
#define PCT "%[0-9A-Fa-f]{2}"
#define PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|" PCT ")"
#define AUTHORITY                                                                                \
    "(([A-Za-z0-9._~!$&'()*+,;=:-]|" PCT ")*@)?(\\[" IPV6 "\\]|([A-Za-z0-9._~!$&'()*+,;=-]|" PCT \
    ")*)(:\\d*)?"
#define IPV6                                                                                  \
    "((" H16 ":){6}" LS32 "|::(" H16 ":){5}" LS32 "|(" H16 ")?::(" H16 ":){4}" LS32 "|((" H16 \
    ":){0,1}" H16 ")?::(" H16 ":){3}" LS32 "|((" H16 ":){0,2}" H16 ")?::(" H16 ":){2}" LS32   \
    "|((" H16 ":){0,3}" H16 ")?::" H16 ":" LS32 "|((" H16 ":){0,4}" H16 ")?::" LS32 "|((" H16 \
    ":){0,5}" H16 ")?::" H16 "|((" H16 ":){0,6}" H16 ")?::)"
#define TAIL "(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"
#define URI                                                                                      \
    "[A-Za-z][A-Za-z0-9+.-]*:(//" AUTHORITY "(/" PCHAR "*)*|/(" PCHAR "+(/" PCHAR "*)*)?|" PCHAR \
    "+(/" PCHAR "*)*|)" TAIL
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define STEP "(~[01]|[^~/])"

/* Of names of hosts only those without "--": what it means there (RFC 5891) is no matter of
 * automata; and at most 3 labels, so that the whole stays within 253. */
const char *schema_format(struct text name) {
    static const char *const formats[][2] = {
        {"date", DATE},
        {"time", TIME},
        {"date-time", DATE "[Tt]" TIME},
        /* RFC 3339, appendix A */
        {"duration", "P(\\d+W|(\\d+Y(\\d+M(\\d+D)?)?|\\d+M(\\d+D)?|\\d+D)(T(\\d+H(\\d+M(\\d+S)?)?|"
                     "\\d+M(\\d+S)?|"
                     "\\d+S))?|T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S))"},
        {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
        {"email", ATOM "(\\." ATOM ")*@" LABEL "(\\." LABEL "){0,2}"},
        {"hostname", LABEL "(\\." LABEL "){0,2}"},
        {"ipv4", IPV4},
        {"ipv6", IPV6},
        {"uri", URI},
        {"json-pointer", "(/" STEP "*)*"},
        {"relative-json-pointer", "(0|[1-9]\\d*)(#|(/" STEP "*)*)"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (schema_text_is(name, formats[i][0])) return formats[i][1];
    return NULL;
}

/* ---- JSON's spelling: what must be escaped is, in the shortest way, and nothing else ---- */

struct quoting {
    struct schema *schema;
    const struct automaton *texts;
    uint32_t *rows, n, most;
    uint64_t *labels;
    uint32_t *ends; /* [n_ends] states behind the last quote, one a label */
    uint64_t *end_labels;
    uint32_t n_ends;
};

static status take_state(struct quoting *quoting, uint32_t *state) {
    if (quoting->n == quoting->most)
        return fail(LIMIT, "json_schema: a string's automaton has more than %" PRIu32 " states",
                    quoting->most);
    *state = quoting->n++;
    return OK;
}

static uint32_t *row_of(const struct quoting *quoting, uint32_t state) {
    return quoting->rows + 256 * (size_t)state;
}

/* The state of the text automaton's `state` is state + 1. */
static void lead(const struct quoting *quoting, uint32_t from, uint8_t byte, uint32_t state,
                 uint8_t character) {
    uint32_t to = automaton_next(quoting->texts, state, character);
    if (to != AUTOMATON_NONE) row_of(quoting, from)[byte] = to + 1;
}

/* \u00XX, of control characters without a letter of their own. */
static status add_codes(struct quoting *quoting, uint32_t state, uint32_t escape) {
    uint32_t chain[3] = {0}, digit[2] = {AUTOMATON_NONE, AUTOMATON_NONE};
    bool any[2] = {false, false};
    for (uint8_t c = 0; c < 0x20; c++)
        if (!strchr("\b\f\n\r\t", c) || c == 0)
            any[c >> 4] |= automaton_next(quoting->texts, state, c) != AUTOMATON_NONE;
    if (!any[0] && !any[1]) return OK;
    for (int i = 0; i < 3; i++) TRY(take_state(quoting, &chain[i]));
    row_of(quoting, escape)['u'] = chain[0];
    row_of(quoting, chain[0])['0'] = chain[1];
    row_of(quoting, chain[1])['0'] = chain[2];
    for (int i = 0; i < 2; i++) {
        if (!any[i]) continue;
        TRY(take_state(quoting, &digit[i]));
        row_of(quoting, chain[2])['0' + i] = digit[i];
    }
    for (uint8_t c = 0; c < 0x20; c++)
        if (!strchr("\b\f\n\r\t", c) || c == 0)
            if (digit[c >> 4] != AUTOMATON_NONE)
                lead(quoting, digit[c >> 4], (uint8_t) "0123456789abcdef"[c & 15], state, c);
    return OK;
}

static status quote_state(struct quoting *quoting, uint32_t state) {
    static const char letters[] = "\"\\bfnrt", meanings[] = "\"\\\b\f\n\r\t";
    const struct automaton *texts = quoting->texts;
    bool escapes = false;
    for (unsigned byte = 0x20; byte < 256; byte++)
        if (byte != '"' && byte != '\\')
            lead(quoting, state + 1, (uint8_t)byte, state, (uint8_t)byte);
    for (uint8_t c = 0; c <= '\\'; c++)
        escapes |= (c < 0x20 || c == '"' || c == '\\') &&
                   automaton_next(texts, state, c) != AUTOMATON_NONE;
    if (escapes) {
        uint32_t escape = 0;
        TRY(take_state(quoting, &escape));
        row_of(quoting, state + 1)['\\'] = escape;
        for (size_t i = 0; letters[i]; i++)
            lead(quoting, escape, (uint8_t)letters[i], state, (uint8_t)meanings[i]);
        TRY(add_codes(quoting, state, escape));
    }
    uint64_t label = texts->label[state];
    uint32_t end = 0;
    if (!label) return OK;
    while (end < quoting->n_ends && quoting->end_labels[end] != label) end++;
    if (end == quoting->n_ends) {
        TRY(take_state(quoting, &quoting->ends[end]));
        quoting->end_labels[quoting->n_ends++] = label;
        quoting->labels[quoting->ends[end]] = label;
    }
    row_of(quoting, state + 1)['"'] = quoting->ends[end];
    return OK;
}

/* The distinct labels there are. */
static uint32_t count_labels(const struct automaton *automaton) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < automaton->n_states; i++) n += automaton->label[i] != 0;
    return n;
}

status schema_quote(struct schema *schema, const struct automaton *texts,
                    const struct automaton **quoted) {
    struct compile *compile = schema->compile;
    struct quoting quoting = {.schema = schema, .texts = texts, .n = texts->n_states + 1};
    struct automaton *automaton, *least;
    uint32_t n_labels = count_labels(texts);
    quoting.most = 7 * texts->n_states + n_labels + 1;
    COMPILE_TAKE(compile, 256 * (size_t)quoting.most, &quoting.rows);
    COMPILE_TAKE(compile, quoting.most, &quoting.labels);
    COMPILE_TAKE(compile, n_labels, &quoting.ends);
    COMPILE_TAKE(compile, n_labels, &quoting.end_labels);
    TRY(compile_work(compile, 256 * (uint64_t)quoting.most));
    memset(quoting.rows, 0xFF, 256 * (size_t)quoting.most * sizeof *quoting.rows);
    quoting.rows['"'] = 1;
    for (uint32_t i = 0; i < texts->n_states; i++) TRY(quote_state(&quoting, i));
    TRY(automaton_from_rows(compile, quoting.n, quoting.rows, quoting.labels, &automaton));
    TRY(automaton_minimize(compile, automaton, &least));
    *quoted = least;
    return OK;
}

#define HEX "[0-9A-Fa-f]"

status schema_basics(struct schema *schema) {
    static const char text[] = "[^]*", integer[] = "0|-?[1-9][0-9]*",
                      number[] = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?",
                      whole[] = "-?(0|[1-9][0-9]*)(\\.0+)?";
    TRY(schema_regex(schema, "text", text, strlen(text), false, &schema->any_text));
    TRY(schema_regex(schema, "number", number, strlen(number), false, &schema->numbers));
    TRY(schema_regex(schema, "whole", whole, strlen(whole), false, &schema->whole_numbers));
    return schema_regex(schema, "integer", integer, strlen(integer), false, &schema->integers);
}
