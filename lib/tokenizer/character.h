/* What a character is, as regular expressions see it: Unicode's general categories. */
#ifndef TOKENIZER_CHARACTER_H
#define TOKENIZER_CHARACTER_H

#include <stddef.h>
#include <stdint.h>

enum {
    LETTER = 1 << 0,  /* \p{L} */
    NUMBER = 1 << 1,  /* \p{N} */
    SPACE = 1 << 2,   /* \s: Unicode's White_Space */
    PUNCT = 1 << 3,   /* \p{P} */
    SYMBOL = 1 << 4,  /* \p{S} */
    MARK = 1 << 5,    /* \p{M} */
    UPPER = 1 << 6,   /* \p{Lu}, \p{Lt} */
    LOWER = 1 << 7,   /* \p{Ll} */
    DIGIT = 1 << 8,   /* \d: \p{Nd} */
    NEWLINE = 1 << 9, /* \r, \n */
    CONNECT = 1 << 10 /* \p{Pc} */
};

/* Any of the above that hold. */
unsigned character_class(uint32_t c);
/* Of a word, as \w of the regular expressions of Rust: alphabetic, marks, decimal numbers,
 * connecting punctuation, joiners. */
int character_is_word(uint32_t c);
/* \p{Han} */
int character_is_han(uint32_t c);

struct character_range {
    uint32_t first, last;
};
/* ranges ascending */
int character_in(uint32_t c, const struct character_range *ranges, size_t n);

#endif
