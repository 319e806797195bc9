#include "tokenizer/character.h"

#include <utf8proc.h>

static const uint16_t of_category[] = {
    [UTF8PROC_CATEGORY_CN] = 0,
    [UTF8PROC_CATEGORY_LU] = LETTER | UPPER,
    [UTF8PROC_CATEGORY_LL] = LETTER | LOWER,
    [UTF8PROC_CATEGORY_LT] = LETTER | UPPER,
    [UTF8PROC_CATEGORY_LM] = LETTER,
    [UTF8PROC_CATEGORY_LO] = LETTER,
    [UTF8PROC_CATEGORY_MN] = MARK,
    [UTF8PROC_CATEGORY_MC] = MARK,
    [UTF8PROC_CATEGORY_ME] = MARK,
    [UTF8PROC_CATEGORY_ND] = NUMBER | DIGIT,
    [UTF8PROC_CATEGORY_NL] = NUMBER,
    [UTF8PROC_CATEGORY_NO] = NUMBER,
    [UTF8PROC_CATEGORY_PC] = PUNCT | CONNECT,
    [UTF8PROC_CATEGORY_PD] = PUNCT,
    [UTF8PROC_CATEGORY_PS] = PUNCT,
    [UTF8PROC_CATEGORY_PE] = PUNCT,
    [UTF8PROC_CATEGORY_PI] = PUNCT,
    [UTF8PROC_CATEGORY_PF] = PUNCT,
    [UTF8PROC_CATEGORY_PO] = PUNCT,
    [UTF8PROC_CATEGORY_SM] = SYMBOL,
    [UTF8PROC_CATEGORY_SC] = SYMBOL,
    [UTF8PROC_CATEGORY_SK] = SYMBOL,
    [UTF8PROC_CATEGORY_SO] = SYMBOL,
    [UTF8PROC_CATEGORY_ZS] = SPACE,
    [UTF8PROC_CATEGORY_ZL] = SPACE,
    [UTF8PROC_CATEGORY_ZP] = SPACE,
    [UTF8PROC_CATEGORY_CC] = 0,
    [UTF8PROC_CATEGORY_CF] = 0,
    [UTF8PROC_CATEGORY_CS] = 0,
    [UTF8PROC_CATEGORY_CO] = 0,
};

unsigned character_class(uint32_t c) {
    if (c < 0x80) { /* most text: no table */
        if (c >= 'a' && c <= 'z') return LETTER | LOWER;
        if (c == ' ') return SPACE;
        if (c >= 'A' && c <= 'Z') return LETTER | UPPER;
        if (c >= '0' && c <= '9') return NUMBER | DIGIT;
        if (c == '\n' || c == '\r') return SPACE | NEWLINE;
        if (c == '\t' || c == '\v' || c == '\f') return SPACE;
    }
    if (c == 0x85) return SPACE;
    return of_category[utf8proc_category((utf8proc_int32_t)c)];
}

int character_in(uint32_t c, const struct character_range *ranges, size_t n) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && c >= ranges[low].first;
}

/* Unicode 15, Scripts.txt */
static const struct character_range han[] = {
    {0x2e80, 0x2e99},   {0x2e9b, 0x2ef3},   {0x2f00, 0x2fd5},   {0x3005, 0x3005},
    {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303b},   {0x3400, 0x4dbf},
    {0x4e00, 0x9fff},   {0xf900, 0xfa6d},   {0xfa70, 0xfad9},   {0x16fe2, 0x16fe3},
    {0x16ff0, 0x16ff1}, {0x20000, 0x2a6df}, {0x2a700, 0x2b739}, {0x2b740, 0x2b81d},
    {0x2b820, 0x2cea1}, {0x2ceb0, 0x2ebe0}, {0x2f800, 0x2fa1d}, {0x30000, 0x3134a},
    {0x31350, 0x323af},
};

int character_is_han(uint32_t c) {
    return c >= 0x2e80 && character_in(c, han, sizeof han / sizeof *han);
}

int character_is_word(uint32_t c) {
    /* letter numbers, the symbols that are alphabetic too, and the two joiners */
    static const struct character_range more[] = {
        {0x200c, 0x200d},   {0x24b6, 0x24e9},   {0x1f130, 0x1f149},
        {0x1f150, 0x1f169}, {0x1f170, 0x1f189},
    };
    if (character_class(c) & (LETTER | MARK | DIGIT | CONNECT)) return 1;
    if (c < 0x80) return 0;
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_NL ||
           character_in(c, more, sizeof more / sizeof *more);
}
