#include "tokenizer/regex.h"

#include <string.h>

#include "tokenizer/utf8.h"

enum { MOST_ALTERNATIVES = 8, MOST_PATTERN_BYTES = 16384 };

/* A text of n bytes may take this much and so much for each byte: characters looked at, and steps
 * of the matcher. Expressions of tokenizers take some ten for a byte. */
static const uint64_t budget_start = 10000000, budget_byte = 200;

struct regex {
    struct memory *memory;
    match alternatives[MOST_ALTERNATIVES + 1]; /* tried in this order */
    struct regex_engine *engine;               /* or this */
    char *literal;                             /* [length], or this */
    size_t length;
};

/* ---- expressions of published tokenizers, alternative by alternative ---- */

#define CASED_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define UPPER_NOT_HAN "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define LOWER_NOT_HAN "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define ANY_BEFORE "[^\\r\\n\\p{L}\\p{N}]?"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

static const struct {
    const char *text;
    match match;
} known[] = {
    {"'s|'t|'re|'ve|'m|'ll|'d", match_contraction_lower},
    {"'(?:[sdmt]|ll|ve|re)", match_contraction_lower},
    {CONTRACTION, match_contraction},
    {" ?\\p{L}+", match_space_letters},
    {" ?\\p{N}+", match_space_numbers},
    {" ?[^\\s\\p{L}\\p{N}]+", match_space_others},
    {"\\s+(?!\\S)", match_spaces_before_space},
    {"\\s+", match_spaces},
    {ANY_BEFORE "\\p{L}+", match_letters_after_any},
    {ANY_BEFORE "[\\p{L}\\p{M}]+", match_letters_marks_after_any},
    {"\\p{N}", match_number},
    {"\\p{N}{1,3}", match_numbers_3},
    {"\\p{N}+", match_numbers},
    {"[0-9][0-9][0-9]", match_ascii_digits_3},
    {" ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*", match_others_newlines},
    {" ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*", match_others_newlines_slashes},
    {" ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*", match_non_marks_newlines},
    {"\\s*[\\r\\n]+", match_newlines},
    {"\\s*[\\r\\n]", match_newlines},
    {"[\\r\\n]", match_newline},
    {ANY_BEFORE CASED_UPPER "*" CASED_LOWER "+|" ANY_BEFORE CASED_UPPER "+" CASED_LOWER "*",
     match_cased},
    {ANY_BEFORE CASED_UPPER "*" CASED_LOWER "+" CONTRACTION "?|" ANY_BEFORE CASED_UPPER
                            "+" CASED_LOWER "*" CONTRACTION "?",
     match_cased_contraction},
    {ANY_BEFORE UPPER_NOT_HAN "*" LOWER_NOT_HAN "+" CONTRACTION "?|" ANY_BEFORE UPPER_NOT_HAN
                              "+" LOWER_NOT_HAN "*" CONTRACTION "?",
     match_cased_contraction_not_han},
    {"\\p{Han}+", match_han},
    {"[\\p{Han}]+", match_han},
    {"[\\p{P}\\$\\+<=>\\^~\\|]+", match_punctuation},
    {"[\\p{P}\\$\\+<=>\\^~\\|`]+", match_punctuation_backtick},
    {"\\s?\\p{L}+", match_space_any_letters},
    {"\\s?\\p{P}+", match_space_any_punctuation},
    {"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", match_cjk_kana},
    {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+", match_ascii_punctuation_word},
    {"[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+", match_letters_marks_after_other},
    {" ?[\\p{P}\\p{S}]+[\\r\\n]*", match_punctuation_symbols_newlines},
    {" ?[\\p{P}\\p{S}]+", match_punctuation_symbols},
};

/* Length of the longest known alternative that a pattern starts with and ends, or that a bar
 * follows; 0: none. */
static size_t find_known(const char *at, size_t left, match *function) {
    size_t longest = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i].text);
        if (n <= longest || n > left || memcmp(at, known[i].text, n) != 0) continue;
        if (n < left && at[n] != '|') continue;
        longest = n;
        *function = known[i].match;
    }
    return longest;
}

/* Whether all of its alternatives are known. */
static bool is_known(struct text pattern, match *alternatives) {
    size_t at = 0;
    for (int i = 0; i < MOST_ALTERNATIVES; i++) {
        size_t n = find_known(pattern.data + at, pattern.length - at, &alternatives[i]);
        if (n == 0) break;
        at += n;
        if (at == pattern.length) return true;
        at++;
    }
    memset(alternatives, 0, MOST_ALTERNATIVES * sizeof *alternatives);
    return false;
}

status regex_open(struct memory *memory, struct text pattern, struct regex **opened) {
    struct regex *regex;
    if (pattern.length > MOST_PATTERN_BYTES)
        return fail(UNSUPPORTED, "a regular expression of %zu bytes; up to %d are possible",
                    pattern.length, MOST_PATTERN_BYTES);
    TRY(MEMORY_TAKE_ONE(memory, "a regular expression", &regex));
    regex->memory = memory;
    status result = OK;
    if (!is_known(pattern, regex->alternatives))
        result = regex_engine_open(memory, pattern, &regex->engine);
    if (result == OK)
        *opened = regex;
    else
        regex_close(regex);
    return result;
}

status regex_open_literal(struct memory *memory, struct text literal, struct regex **opened) {
    struct regex *regex;
    if (literal.length == 0) return fail(UNSUPPORTED, "an empty text to look for");
    TRY(MEMORY_TAKE_ONE(memory, "a text to look for", &regex));
    regex->memory = memory;
    regex->length = literal.length;
    status result = MEMORY_TAKE(memory, literal.length, "a text to look for", &regex->literal);
    if (result == OK) {
        memcpy(regex->literal, literal.data, literal.length);
        *opened = regex;
    } else {
        regex_close(regex);
    }
    return result;
}

void regex_close(struct regex *regex) {
    if (!regex) return;
    regex_engine_close(regex->engine);
    memory_give(regex->memory, regex->literal);
    memory_give(regex->memory, regex);
}

/* ---- matching ---- */

status regex_start(struct regex_walk *walk, const struct regex *regex, struct regex_state *state,
                   const struct piece *piece) {
    *walk =
        (struct regex_walk){.regex = regex, .state = state, .piece = *piece, .at = piece->begin};
    if (!regex->engine) return OK;
    if (!state->match) state->budget = budget_start;
    state->budget += budget_byte * (piece->end - piece->begin);
    return regex_engine_ready(state);
}

static bool find_literal(struct regex_walk *walk, size_t *begin, size_t *end) {
    const uint8_t *text = walk->piece.text;
    size_t length = walk->regex->length;
    for (size_t at = walk->at; walk->piece.end - at >= length; at++) {
        const uint8_t *first =
            memchr(text + at, (uint8_t)walk->regex->literal[0], walk->piece.end - at - length + 1);
        if (!first) return false;
        at = (size_t)(first - text);
        if (memcmp(first, walk->regex->literal, length) != 0) continue;
        *begin = at;
        *end = walk->at = at + length;
        return true;
    }
    return false;
}

static bool find_alternative(struct regex_walk *walk, size_t *begin, size_t *end) {
    const struct piece *piece = &walk->piece;
    for (size_t at = walk->at; at < piece->end; at += utf8_length(piece->text[at])) {
        for (const match *alternative = walk->regex->alternatives; *alternative; alternative++) {
            size_t matched = (*alternative)(piece, at);
            if (matched == at) continue;
            *begin = at;
            *end = walk->at = matched;
            return true;
        }
    }
    return false;
}

status regex_next(struct regex_walk *walk, bool *found, size_t *begin, size_t *end) {
    const struct regex *regex = walk->regex;
    if (regex->literal) {
        *found = find_literal(walk, begin, end);
        return OK;
    }
    if (!regex->engine) {
        *found = find_alternative(walk, begin, end);
        return OK;
    }
    for (;;) {
        *found = false;
        if (walk->at > walk->piece.end) return OK;
        TRY(regex_engine_find(regex->engine, walk->state, &walk->piece, walk->at, found, begin,
                              end));
        if (!*found) return OK;
        walk->at = *end;
        if (*begin < *end || !walk->any || walk->last != *end) break;
        /* an empty match behind the last one */
        walk->at += *end < walk->piece.end ? utf8_length(walk->piece.text[*end]) : 1;
    }
    walk->last = *end;
    walk->any = true;
    return OK;
}
