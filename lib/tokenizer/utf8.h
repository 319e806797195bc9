/* Reading UTF-8 that is known to be valid, and making it so. */
#ifndef TOKENIZER_UTF8_H
#define TOKENIZER_UTF8_H

#include "base/memory.h"
#include "format/checkpoint.h"

/* Bytes of the character that starts with this byte. */
static inline unsigned utf8_length(uint8_t first) {
    if (first < 0xc0) return 1;
    if (first < 0xe0) return 2;
    return first < 0xf0 ? 3 : 4;
}

/* The character at p; *n its bytes. */
static inline uint32_t utf8_decode(const uint8_t *p, unsigned *n) {
    uint32_t c = p[0];
    *n = utf8_length(p[0]);
    switch (*n) {
    case 1:
        return c;
    case 2:
        return (c & 0x1f) << 6 | (p[1] & 0x3fu);
    case 3:
        return (c & 0x0f) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    default:
        return (c & 0x07) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    }
}

/* Writes 1 to 4 bytes; returns how many. */
unsigned utf8_encode(uint32_t c, char *out);

/* Length of the longest start of a character that these n >= 1 bytes hold, 1 if none starts so.
 * *whole: it is a character; *more: what follows the n bytes could make it one. */
unsigned utf8_take(const uint8_t *p, size_t n, bool *whole, bool *more);

/* Bytes from the start that are whole, valid characters (Unicode 15, table 3-7). */
size_t utf8_valid_prefix(const uint8_t *text, size_t length);

/* *valid is text itself, or a copy in which each maximal subpart that is no character is U+FFFD;
 * *copy is the copy's block, to be given back, or NULL. */
status utf8_repair(struct memory *memory, struct text text, struct text *valid, void **copy);

#endif
