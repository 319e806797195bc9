/* Numbers by their digits: comparisons and multiples as automata over decimal texts. */
#include <string.h>

#include "grammar/schema.h"

enum { MOST_DIGITS = 400, MOST_DIVISOR = 20000 };

status schema_decimal(struct schema *schema, const struct node *node, struct decimal *decimal) {
    struct text text = node->text;
    char *digits;
    size_t at = 0, n = 0, n_whole = 0, begin = 0;
    int64_t exponent = 0;
    bool minus = false;
    if (node->kind != JSON_NUMBER) return schema_wrong(schema, node, "this is no number");
    COMPILE_TAKE(schema->compile, text.length + 2 * MOST_DIGITS + 2, &digits);
    digits += MOST_DIGITS; /* room for zeros before them */
    decimal->negative = text.data[0] == '-';
    at += decimal->negative;
    for (; at < text.length && text.data[at] >= '0' && text.data[at] <= '9'; at++)
        digits[n++] = text.data[at];
    n_whole = n;
    if (at < text.length && text.data[at] == '.')
        for (at++; at < text.length && text.data[at] >= '0' && text.data[at] <= '9'; at++)
            digits[n++] = text.data[at];
    if (at < text.length) { /* e */
        at++;
        minus = text.data[at] == '-';
        if (minus || text.data[at] == '+') at++;
        for (; at < text.length && exponent < 10 * MOST_DIGITS; at++)
            exponent = exponent * 10 + (text.data[at] - '0');
    }
    if (n > MOST_DIGITS || exponent >= MOST_DIGITS)
        return fail(LIMIT, "json_schema: a number of more than %d digits, at %s", MOST_DIGITS,
                    schema_pointer(schema, node));
    int64_t point = (int64_t)n_whole + (minus ? -exponent : exponent);
    for (; point < 1; point++, n++) *--digits = '0';
    while (point > (int64_t)n) digits[n++] = '0';
    while (n > (size_t)point && digits[n - 1] == '0') n--;
    while (begin + 1 < (size_t)point && digits[begin] == '0') begin++;
    decimal->whole = digits + begin;
    decimal->n_whole = (uint32_t)((size_t)point - begin);
    decimal->fraction = digits + point;
    decimal->n_fraction = (uint32_t)(n - (size_t)point);
    bool zero = decimal->n_whole == 1 && decimal->whole[0] == '0' && !decimal->n_fraction;
    if (zero) decimal->negative = false;
    return OK;
}

status schema_decimal_text(struct schema *schema, const struct decimal *decimal,
                           struct text *text) {
    char *buffer;
    size_t n = 0;
    COMPILE_TAKE(schema->compile, decimal->n_whole + decimal->n_fraction + 3, &buffer);
    if (decimal->negative) buffer[n++] = '-';
    memcpy(buffer + n, decimal->whole, decimal->n_whole);
    n += decimal->n_whole;
    if (decimal->n_fraction) {
        buffer[n++] = '.';
        memcpy(buffer + n, decimal->fraction, decimal->n_fraction);
        n += decimal->n_fraction;
    }
    *text = (struct text){buffer, n};
    return OK;
}

/* How far a number has been read. */
enum progress {
    AT_START,
    AT_MINUS,
    AT_ZERO, /* a 0 that no digit follows */
    AT_WHOLE,
    AT_POINT,
    AT_FRACTION
};

/* The next progress; false: no number goes on so. */
static bool advance(enum progress *progress, uint8_t byte) {
    bool digit = byte >= '0' && byte <= '9';
    switch (*progress) {
    case AT_START:
        if (byte == '-') {
            *progress = AT_MINUS;
            return true;
        }
        *progress = byte == '0' ? AT_ZERO : AT_WHOLE;
        return digit;
    case AT_MINUS:
        *progress = byte == '0' ? AT_ZERO : AT_WHOLE;
        return digit;
    case AT_ZERO:
    case AT_WHOLE:
        if (byte == '.') {
            *progress = AT_POINT;
            return true;
        }
        return digit && *progress == AT_WHOLE;
    case AT_POINT:
    case AT_FRACTION:
        *progress = AT_FRACTION;
        return digit;
    }
    return false;
}

static bool may_end(enum progress progress) {
    return progress == AT_ZERO || progress == AT_WHOLE || progress == AT_FRACTION;
}

/* ---- comparison: of magnitudes, digit by digit, as long as they are the same ---- */

enum { LESS, EQUAL, GREATER };

struct comparison {
    struct decimal decimal;
    unsigned relations;
};

struct compared { /* packed into a state's number */
    enum progress progress;
    bool negative, nonzero;
    unsigned order; /* of the digits so far */
    uint32_t n;     /* digits of this part, up to what the other one has, and one */
};

static uint64_t pack(struct compared state) {
    return (uint64_t)state.n << 16 | (uint64_t)state.order << 8 | (uint64_t)state.nonzero << 5 |
           (uint64_t)state.negative << 4 | (uint64_t)state.progress;
}

static struct compared unpack(uint64_t packed) {
    return (struct compared){.progress = (enum progress)(packed & 15),
                             .negative = packed >> 4 & 1,
                             .nonzero = packed >> 5 & 1,
                             .order = (unsigned)(packed >> 8 & 3),
                             .n = (uint32_t)(packed >> 16)};
}

/* Once the whole part is read. */
static unsigned whole_order(const struct decimal *decimal, const struct compared *state) {
    if (state->n != decimal->n_whole) return state->n < decimal->n_whole ? LESS : GREATER;
    return state->order;
}

static bool compare_step(const void *user, uint64_t packed, uint8_t byte, uint64_t *next) {
    const struct decimal *decimal = &((const struct comparison *)user)->decimal;
    struct compared state = unpack(packed);
    enum progress before = state.progress;
    if (!advance(&state.progress, byte)) return false;
    if (byte == '-') {
        state.negative = true;
    } else if (byte == '.') {
        state.order = whole_order(decimal, &state);
        state.n = 0;
    } else {
        bool whole = before < AT_POINT;
        const char *digits = whole ? decimal->whole : decimal->fraction;
        uint32_t n = whole ? decimal->n_whole : decimal->n_fraction;
        uint8_t other = state.n < n ? (uint8_t)digits[state.n] : (uint8_t)'0';
        bool counts = !whole || state.n < n;
        if (counts && state.order == EQUAL && byte != other)
            state.order = byte < other ? LESS : GREATER;
        state.nonzero = state.nonzero || byte != '0';
        if (state.n < n || (whole && state.n == n)) state.n++;
    }
    /* An order that is settled needs no more counting. */
    if (state.progress >= AT_POINT && state.order != EQUAL) state.n = 0;
    *next = pack(state);
    return true;
}

static uint64_t compare_label(const void *user, uint64_t packed) {
    const struct comparison *comparison = user;
    const struct decimal *decimal = &comparison->decimal;
    struct compared state = unpack(packed);
    if (!may_end(state.progress)) return 0;
    unsigned order = state.progress == AT_FRACTION ? state.order : whole_order(decimal, &state);
    uint32_t from = state.progress == AT_FRACTION ? state.n : 0;
    for (uint32_t i = from; order == EQUAL && i < decimal->n_fraction; i++)
        if (decimal->fraction[i] != '0') order = LESS;
    bool negative = state.negative && state.nonzero;
    if (negative != decimal->negative)
        order = negative ? LESS : GREATER;
    else if (negative)
        order = GREATER - order;
    return comparison->relations >> order & 1;
}

status schema_compare(struct schema *schema, const struct decimal *decimal, unsigned relations,
                      const struct automaton **made) {
    struct comparison comparison = {.decimal = *decimal, .relations = relations};
    struct automaton_rules rules = {.alphabet = "-.0123456789",
                                    .first = pack((struct compared){.order = EQUAL}),
                                    .step = compare_step,
                                    .label = compare_label,
                                    .user = &comparison};
    struct automaton *explored;
    TRY(automaton_explore(schema->compile, &rules, &explored));
    *made = explored;
    return OK;
}

/* ---- multiples of divisor / 10^places ---- */

struct multiples {
    uint32_t divisor, places;
};

/* progress, places read, remainder */
static bool multiple_step(const void *user, uint64_t packed, uint8_t byte, uint64_t *next) {
    const struct multiples *of = user;
    enum progress progress = (enum progress)(packed & 15);
    uint64_t places = packed >> 4 & 0xFFFF, remainder = packed >> 20;
    enum progress before = progress;
    if (!advance(&progress, byte)) return false;
    if (byte >= '0' && byte <= '9') {
        if (before >= AT_POINT && places == of->places) {
            if (byte != '0') return false;
        } else {
            remainder = (remainder * 10 + (uint64_t)(byte - '0')) % of->divisor;
            places += before >= AT_POINT;
        }
    }
    *next = remainder << 20 | places << 4 | (uint64_t)progress;
    return true;
}

static uint64_t multiple_label(const void *user, uint64_t packed) {
    const struct multiples *of = user;
    uint64_t places = packed >> 4 & 0xFFFF, remainder = packed >> 20;
    if (!may_end((enum progress)(packed & 15))) return 0;
    for (; places < of->places; places++) remainder = remainder * 10 % of->divisor;
    return remainder == 0;
}

status schema_multiples(struct schema *schema, const struct node *node,
                        const struct automaton **made) {
    struct decimal decimal;
    struct multiples multiples = {0};
    uint64_t divisor = 0;
    TRY(schema_decimal(schema, node, &decimal));
    for (uint32_t i = 0; i < decimal.n_whole + decimal.n_fraction; i++) {
        char digit = i < decimal.n_whole ? decimal.whole[i] : decimal.fraction[i - decimal.n_whole];
        divisor = divisor * 10 + (uint64_t)(digit - '0');
        if (divisor > MOST_DIVISOR)
            return fail(LIMIT, "json_schema: multipleOf has digits over %d, at %s", MOST_DIVISOR,
                        schema_pointer(schema, node));
    }
    if (decimal.negative || divisor == 0)
        return schema_wrong(schema, node, "multipleOf is not over 0");
    multiples.divisor = (uint32_t)divisor;
    multiples.places = decimal.n_fraction;
    struct automaton_rules rules = {.alphabet = "-.0123456789",
                                    .first = AT_START,
                                    .step = multiple_step,
                                    .label = multiple_label,
                                    .user = &multiples};
    struct automaton *explored;
    TRY(automaton_explore(schema->compile, &rules, &explored));
    *made = explored;
    return OK;
}
