#include "tokenizer/match.h"

#include <string.h>

#include "tokenizer/character.h"
#include "tokenizer/utf8.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* The cased letters of deepseek-llm's rule. */
static const struct character_range cased_letters[] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},
    {0xd8, 0xf6},       {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},
    {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x376},     {0x377, 0x377},
    {0x37b, 0x37d},     {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},
    {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},
    {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},
    {0x13f8, 0x13fd},   {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},
    {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},
    {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},
    {0x1f5b, 0x1f5b},   {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},
    {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},
    {0x1fd0, 0x1fd3},   {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},
    {0x1ff6, 0x1ffc},   {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},
    {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},   {0x2126, 0x2126},
    {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},
    {0x213c, 0x213f},   {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2183},
    {0x2184, 0x2184},   {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},
    {0x2cf2, 0x2cf2},   {0x2cf3, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},
    {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},   {0xab70, 0xabbf},
    {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},
    {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2},
    {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943},
};

/* ASCII from ! but the digits, the full-width forms, quotation marks, ideographic stops. */
static const struct character_range ascii_wide_punctuation[] = {
    {0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
    {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e},
};

/* ( ) | . , ! ? and their like. */
static const struct character_range sentence_ends[] = {
    {0x21, 0x21},     {0x28, 0x28},     {0x29, 0x29},     {0x2c, 0x2c},     {0x2e, 0x2e},
    {0x3f, 0x3f},     {0x7c, 0x7c},     {0x60c, 0x60c},   {0x6d4, 0x6d4},   {0x964, 0x964},
    {0x2026, 0x2026}, {0x3001, 0x3001}, {0x3002, 0x3002}, {0xff0c, 0xff0c},
};

/* Punctuation of East Asian text. */
static const struct character_range wide_punctuation[] = {
    {0x2014, 0x2014}, {0x2018, 0x2018}, {0x2019, 0x2019}, {0x201c, 0x201c},
    {0x201d, 0x201d}, {0x2026, 0x2026}, {0x3001, 0x303f}, {0xfe30, 0xfe4f},
    {0xff01, 0xff01}, {0xff0c, 0xff0c}, {0xff1a, 0xff1a}, {0xff1b, 0xff1b},
};

static uint32_t char_at(const struct piece *piece, size_t at, unsigned *n) {
    return utf8_decode(piece->text + at, n);
}

/* Class of the character at a position; 0 with n = 0 at the end of the piece. */
static unsigned class_at(const struct piece *piece, size_t at, unsigned *n) {
    *n = 0;
    if (at >= piece->end) return 0;
    return character_class(char_at(piece, at, n));
}

/* End of the run of characters that have one of the classes. */
static size_t run_of(const struct piece *piece, size_t at, unsigned classes) {
    unsigned n;
    while (class_at(piece, at, &n) & classes) at += n;
    return at;
}

/* End of the run of characters that have none of the classes. */
static size_t run_without(const struct piece *piece, size_t at, unsigned classes) {
    unsigned n;
    while (!(class_at(piece, at, &n) & classes) && n > 0) at += n;
    return at;
}

static size_t run_in(const struct piece *piece, size_t at, const struct character_range *ranges,
                     size_t n_ranges) {
    unsigned n;
    while (at < piece->end && character_in(char_at(piece, at, &n), ranges, n_ranges)) at += n;
    return at;
}

static int byte_is(const struct piece *piece, size_t at, char byte) {
    return at < piece->end && piece->text[at] == (uint8_t)byte;
}

/* The position after " ?". */
static size_t after_space(const struct piece *piece, size_t at) {
    return byte_is(piece, at, ' ') ? at + 1 : at;
}

/* The position after "\s?". */
static size_t after_any_space(const struct piece *piece, size_t at) {
    unsigned n;
    return class_at(piece, at, &n) & SPACE ? at + n : at;
}

/* The position after "[^...]?" of the classes. */
static size_t after_one_without(const struct piece *piece, size_t at, unsigned classes) {
    unsigned n;
    return class_at(piece, at, &n) & classes ? at : at + n;
}

/* end if something was matched behind the optional start, else no match. */
static size_t matched(size_t at, size_t start, size_t end) {
    return end > start ? end : at;
}

static size_t after_newlines(const struct piece *piece, size_t at) {
    while (byte_is(piece, at, '\r') || byte_is(piece, at, '\n')) at++;
    return at;
}

/* Lower case of a letter in a contraction; long s is s to a regular expression that ignores case.
 */
static char contraction_letter(const struct piece *piece, size_t at, unsigned *n) {
    *n = 1;
    if (at >= piece->end) return 0;
    uint8_t byte = piece->text[at];
    if (byte < 0x80) return (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    return char_at(piece, at, n) == 0x17f ? 's' : 0;
}

size_t match_contraction(const struct piece *piece, size_t at) {
    if (!byte_is(piece, at, '\'')) return at;
    unsigned n, m;
    char first = contraction_letter(piece, at + 1, &n);
    switch (first) {
    case 's':
    case 't':
    case 'm':
    case 'd':
        return at + 1 + n;
    case 'r':
    case 'v':
        return contraction_letter(piece, at + 2, &m) == 'e' ? at + 3 : at;
    case 'l':
        return contraction_letter(piece, at + 2, &m) == 'l' ? at + 3 : at;
    default:
        return at;
    }
}

size_t match_contraction_lower(const struct piece *piece, size_t at) {
    size_t end = match_contraction(piece, at);
    for (size_t i = at + 1; i < end; i++)
        if (piece->text[i] < 'a' || piece->text[i] > 'z') return at;
    return end;
}

size_t match_space_letters(const struct piece *piece, size_t at) {
    size_t start = after_space(piece, at);
    return matched(at, start, run_of(piece, start, LETTER));
}

size_t match_space_numbers(const struct piece *piece, size_t at) {
    size_t start = after_space(piece, at);
    return matched(at, start, run_of(piece, start, NUMBER));
}

size_t match_space_others(const struct piece *piece, size_t at) {
    size_t start = after_space(piece, at);
    return matched(at, start, run_without(piece, start, SPACE | LETTER | NUMBER));
}

size_t match_spaces_before_space(const struct piece *piece, size_t at) {
    unsigned n;
    size_t last = at, end = at;
    while (class_at(piece, end, &n) & SPACE) {
        last = end;
        end += n;
    }
    return end == piece->end ? end : last;
}

size_t match_spaces(const struct piece *piece, size_t at) {
    return run_of(piece, at, SPACE);
}

size_t match_letters_after_any(const struct piece *piece, size_t at) {
    size_t start = after_one_without(piece, at, NEWLINE | LETTER | NUMBER);
    return matched(at, start, run_of(piece, start, LETTER));
}

size_t match_letters_marks_after_any(const struct piece *piece, size_t at) {
    size_t start = after_one_without(piece, at, NEWLINE | LETTER | NUMBER);
    size_t end = run_of(piece, start, LETTER | MARK);
    /* a mark may be the optional character or, where nothing follows it, the word */
    return end > start ? end : run_of(piece, at, LETTER | MARK);
}

size_t match_phrase(const struct piece *piece, size_t at) {
    size_t start = after_one_without(piece, at, NEWLINE | LETTER | NUMBER), end = start;
    unsigned n;
    if (!(class_at(piece, start, &n) & LETTER)) return at;
    for (;;) {
        end = run_of(piece, end, LETTER | MARK);
        if (!byte_is(piece, end, ' ') || !(class_at(piece, end + 1, &n) & LETTER)) return end;
        end++;
    }
}

static size_t up_to(const struct piece *piece, size_t at, unsigned classes, int most) {
    unsigned n;
    while (most-- > 0 && class_at(piece, at, &n) & classes) at += n;
    return at;
}

size_t match_number(const struct piece *piece, size_t at) {
    return up_to(piece, at, NUMBER, 1);
}

size_t match_numbers_3(const struct piece *piece, size_t at) {
    return up_to(piece, at, NUMBER, 3);
}

size_t match_numbers(const struct piece *piece, size_t at) {
    return run_of(piece, at, NUMBER);
}

size_t match_ascii_digits_3(const struct piece *piece, size_t at) {
    for (size_t i = at; i < at + 3; i++)
        if (i >= piece->end || piece->text[i] < '0' || piece->text[i] > '9') return at;
    return at + 3;
}

size_t match_others_newlines(const struct piece *piece, size_t at) {
    size_t end = match_space_others(piece, at);
    return end > at ? after_newlines(piece, end) : at;
}

size_t match_others_newlines_slashes(const struct piece *piece, size_t at) {
    size_t end = match_space_others(piece, at);
    if (end == at) return at;
    while (byte_is(piece, end, '\r') || byte_is(piece, end, '\n') || byte_is(piece, end, '/'))
        end++;
    return end;
}

size_t match_others_newline_slash(const struct piece *piece, size_t at) {
    size_t end = match_space_others(piece, at);
    if (end == at) return at;
    return byte_is(piece, end, '\r') || byte_is(piece, end, '\n') ? end + 1 : end;
}

size_t match_non_marks_newlines(const struct piece *piece, size_t at) {
    size_t start = after_space(piece, at);
    size_t end = run_without(piece, start, SPACE | LETTER | MARK | NUMBER);
    return end > start ? after_newlines(piece, end) : at;
}

size_t match_newlines(const struct piece *piece, size_t at) {
    unsigned n, class;
    size_t end = at;
    for (size_t i = at; (class = class_at(piece, i, &n)) & SPACE;) {
        i += n;
        if (class & NEWLINE) end = i;
    }
    return end;
}

size_t match_newline(const struct piece *piece, size_t at) {
    return up_to(piece, at, NEWLINE, 1);
}

size_t match_line(const struct piece *piece, size_t at) {
    int newline = byte_is(piece, at, '\n');
    while (at < piece->end && (piece->text[at] == '\n') == newline) at++;
    return at;
}

/* UL of a letter or mark: may stand in the part before the lower-case letters, in that of the
 * lower-case letters, or in both. */
enum { IN_UPPER = 1, IN_LOWER = 2 };
static int cased_part(const struct piece *piece, size_t at, int not_han, unsigned *n) {
    unsigned class = class_at(piece, at, n);
    if (!(class & (LETTER | MARK))) return 0;
    if (not_han && character_is_han(char_at(piece, at, n))) return 0;
    if (class & UPPER) return IN_UPPER;
    return class & LOWER ? IN_LOWER : IN_UPPER | IN_LOWER;
}

/* U*L+ at a position; where the upper-case run holds the only candidates of L, L+ takes the last of
 * them, which is what giving back from a greedy U* comes to. */
static size_t upper_lower(const struct piece *piece, size_t at, int not_han, size_t *upper_end) {
    unsigned n;
    size_t last = at; /* end of the last character of the U run that is in L too */
    size_t end = at;
    int part;
    while ((part = cased_part(piece, end, not_han, &n)) & IN_UPPER) {
        end += n;
        if (part & IN_LOWER) last = end;
    }
    *upper_end = end;
    if (!(part & IN_LOWER)) return last;
    while (cased_part(piece, end, not_han, &n) & IN_LOWER) end += n;
    return end;
}

static size_t cased(const struct piece *piece, size_t at, int contractions, int not_han) {
    size_t start = after_one_without(piece, at, NEWLINE | LETTER | NUMBER);
    size_t upper_end, unused;
    size_t end = upper_lower(piece, start, not_han, &upper_end);
    if (end == start) {
        /* without the optional character, which may be a mark and so a letter of U and L too */
        end = upper_lower(piece, at, not_han, &unused);
        if (end == at) end = matched(at, start, upper_end);
    }
    return contractions && end > at ? match_contraction(piece, end) : end;
}

size_t match_cased(const struct piece *piece, size_t at) {
    return cased(piece, at, 0, 0);
}

size_t match_cased_contraction(const struct piece *piece, size_t at) {
    return cased(piece, at, 1, 0);
}

size_t match_cased_contraction_not_han(const struct piece *piece, size_t at) {
    return cased(piece, at, 1, 1);
}

size_t match_han(const struct piece *piece, size_t at) {
    unsigned n;
    while (at < piece->end && character_is_han(char_at(piece, at, &n))) at += n;
    return at;
}

static size_t punctuation_or(const struct piece *piece, size_t at, const char *more) {
    unsigned n;
    for (;;) {
        unsigned class = class_at(piece, at, &n);
        if (n == 0 ||
            !(class & PUNCT || (n == 1 && piece->text[at] && strchr(more, piece->text[at]))))
            return at;
        at += n;
    }
}

size_t match_punctuation(const struct piece *piece, size_t at) {
    return punctuation_or(piece, at, "$+<=>^~|");
}

size_t match_punctuation_backtick(const struct piece *piece, size_t at) {
    return punctuation_or(piece, at, "$+<=>^~|`");
}

size_t match_punctuation_single(const struct piece *piece, size_t at) {
    unsigned n;
    unsigned class = class_at(piece, at, &n);
    return class & PUNCT || (n == 1 && class & SYMBOL) ? at + n : at;
}

size_t match_space_any_letters(const struct piece *piece, size_t at) {
    size_t start = after_any_space(piece, at);
    return matched(at, start, run_of(piece, start, LETTER));
}

size_t match_space_any_punctuation(const struct piece *piece, size_t at) {
    size_t start = after_any_space(piece, at);
    return matched(at, start, run_of(piece, start, PUNCT));
}

size_t match_space_any_cased_letters(const struct piece *piece, size_t at) {
    size_t start = after_any_space(piece, at);
    return matched(at, start, run_in(piece, start, cased_letters, COUNT(cased_letters)));
}

size_t match_space_any_ascii_wide_punctuation(const struct piece *piece, size_t at) {
    size_t start = after_any_space(piece, at);
    size_t end = run_in(piece, start, ascii_wide_punctuation, COUNT(ascii_wide_punctuation));
    /* the ideographic space is in both sets: alone, it is the word */
    if (end == start)
        end = run_in(piece, at, ascii_wide_punctuation, COUNT(ascii_wide_punctuation));
    return end;
}

size_t match_spaces_at_end(const struct piece *piece, size_t at) {
    /* within a run nothing is new: its start has failed already, and trying again at each of its
     * characters would make the whole quadratic */
    if (at > piece->begin) {
        size_t before = at - 1;
        unsigned n;
        while (before > piece->begin && (piece->text[before] & 0xc0) == 0x80) before--;
        if (class_at(piece, before, &n) & SPACE) return at;
    }
    size_t end = run_of(piece, at, SPACE);
    return end == piece->end ? end : at;
}

size_t match_cjk_wide(const struct piece *piece, size_t at) {
    static const struct character_range ranges[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};
    return run_in(piece, at, ranges, COUNT(ranges));
}

static const struct character_range kana_and_cjk[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};

size_t match_cjk_kana(const struct piece *piece, size_t at) {
    return run_in(piece, at, kana_and_cjk, COUNT(kana_and_cjk));
}

/* Han, kana, halfwidth katakana, radicals, Thai, Lao, Khmer, Myanmar, Hangul */
static const struct character_range asian[] = {
    {0xe40, 0xeff},   {0x1000, 0x109f}, {0x1100, 0x11ff}, {0x1780, 0x17ff}, {0x2f00, 0x2fdf},
    {0x3040, 0x30ff}, {0x3400, 0x4dbf}, {0x4e00, 0xfaff}, {0xff65, 0xff9f},
};

size_t match_asian(const struct piece *piece, size_t at) {
    return run_in(piece, at, asian, COUNT(asian));
}

size_t match_korean_or_punctuation_or_bopomofo_or_cjk(const struct piece *piece, size_t at) {
    static const struct character_range hangul[] = {{0x3131, 0x318e}, {0xac00, 0xd7a3}};
    static const struct character_range bopomofo[] = {{0x3105, 0x312f}};
    size_t end = run_in(piece, at, hangul, COUNT(hangul));
    if (end == at) end = run_in(piece, at, wide_punctuation, COUNT(wide_punctuation));
    if (end == at) end = run_in(piece, at, bopomofo, COUNT(bopomofo));
    if (end == at) end = run_in(piece, at, kana_and_cjk, COUNT(kana_and_cjk));
    return end;
}

size_t match_ascii_punctuation_word(const struct piece *piece, size_t at) {
    uint8_t first = piece->text[at];
    if (first >= 0x80 || !(character_class(first) & (PUNCT | SYMBOL))) return at;
    size_t end = at + 1;
    while (end < piece->end && piece->text[end] < 0x80 &&
           character_class(piece->text[end]) & LETTER)
        end++;
    return end > at + 1 ? end : at;
}

size_t match_letters_marks_after_other(const struct piece *piece, size_t at) {
    size_t start = after_one_without(piece, at, NEWLINE | LETTER | PUNCT | SYMBOL);
    size_t end = run_of(piece, start, LETTER | MARK);
    return end > start ? end : run_of(piece, at, LETTER | MARK);
}

size_t match_punctuation_symbols(const struct piece *piece, size_t at) {
    size_t start = after_space(piece, at);
    return matched(at, start, run_of(piece, start, PUNCT | SYMBOL));
}

size_t match_punctuation_symbols_newlines(const struct piece *piece, size_t at) {
    size_t end = match_punctuation_symbols(piece, at);
    return end > at ? after_newlines(piece, end) : at;
}

size_t match_not_sentence_end(const struct piece *piece, size_t at) {
    size_t start = after_space(piece, at), end = start;
    while (end < piece->end) {
        unsigned n;
        uint32_t c = char_at(piece, end, &n);
        if (character_class(c) & SPACE || character_in(c, sentence_ends, COUNT(sentence_ends)))
            break;
        end += n;
    }
    return matched(at, start, end);
}

size_t match_spaces_halving(const struct piece *piece, size_t at) {
    size_t ends[514]; /* ends[i]: after i of them */
    ends[0] = at;
    size_t n_spaces = 0;
    unsigned n;
    while (n_spaces < 513 && class_at(piece, ends[n_spaces], &n) & SPACE) {
        ends[n_spaces + 1] = ends[n_spaces] + n;
        n_spaces++;
    }
    int at_end = ends[n_spaces] == piece->end;
    for (size_t size = 512; size >= 1; size /= 2)
        if (n_spaces > size || (n_spaces == size && at_end)) return ends[size];
    return n_spaces > 0 ? ends[1] : at;
}

size_t match_sentinel(const struct piece *piece, size_t at) {
    static const char start[] = "<sentinel:";
    size_t n = sizeof start - 1;
    if (piece->end - at <= n || memcmp(piece->text + at, start, n) != 0) return at;
    size_t end = at + n;
    while (end < piece->end && piece->text[end] >= '0' && piece->text[end] <= '9') end++;
    return end > at + n && byte_is(piece, end, '>') ? end + 1 : at;
}

size_t match_image(const struct piece *piece, size_t at) {
    static const char start[] = "IMGIMG";
    size_t n = sizeof start - 1;
    if (piece->end - at <= n || memcmp(piece->text + at, start, n) != 0) return at;
    size_t end = at + n;
    while (end < piece->end && end < at + n + 4 && piece->text[end] >= 'A' &&
           piece->text[end] <= 'I')
        end++;
    return end > at + n && byte_is(piece, end, 'Z') ? end + 1 : at;
}

size_t match_tab_or_spaces(const struct piece *piece, size_t at) {
    if (byte_is(piece, at, '\t') || byte_is(piece, at, '\n')) return at + 1;
    size_t end = at;
    while (end < at + 4 && byte_is(piece, end, ' ')) end++;
    if (end == at + 4) return end;
    return end >= at + 2 ? at + 2 : at;
}
