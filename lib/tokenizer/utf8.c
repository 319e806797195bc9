#include "tokenizer/utf8.h"

#include <string.h>

#include "tokenizer/text_stream.h"

unsigned utf8_encode(uint32_t c, char *out) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* What a sequence that starts with `first` looks like: *n bytes, the second of them in [low, high],
 * the others 80 ... BF. False: no character starts so. */
static bool sequence_shape(uint8_t first, unsigned *n, uint8_t *low, uint8_t *high) {
    *low = 0x80;
    *high = 0xbf;
    if (first < 0x80) {
        *n = 1;
    } else if (first >= 0xc2 && first <= 0xdf) {
        *n = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        *n = 3;
        if (first == 0xe0) *low = 0xa0;  /* shorter forms exist */
        if (first == 0xed) *high = 0x9f; /* surrogates */
    } else if (first >= 0xf0 && first <= 0xf4) {
        *n = 4;
        if (first == 0xf0) *low = 0x90;
        if (first == 0xf4) *high = 0x8f; /* past U+10FFFF */
    } else {
        return false;
    }
    return true;
}

unsigned utf8_take(const uint8_t *p, size_t n, bool *whole, bool *more) {
    unsigned length;
    uint8_t low, high;
    *whole = *more = false;
    if (!sequence_shape(p[0], &length, &low, &high)) return 1;
    unsigned i = 1;
    while (i < length && i < n && p[i] >= low && p[i] <= high) {
        low = 0x80;
        high = 0xbf;
        i++;
    }
    *whole = i == length;
    *more = !*whole && i == n; /* the bytes that would tell are not here yet */
    return i;
}

size_t utf8_valid_prefix(const uint8_t *text, size_t length) {
    size_t at = 0;
    while (at < length) {
        uint64_t eight;
        if (length - at >= sizeof eight) {
            memcpy(&eight, text + at, sizeof eight);
            if (!(eight & 0x8080808080808080u)) {
                at += sizeof eight;
                continue;
            }
        }
        bool whole, more;
        unsigned n = utf8_take(text + at, length - at, &whole, &more);
        if (!whole) return at;
        at += n;
    }
    return length;
}

status utf8_repair(struct memory *memory, struct text text, struct text *valid, void **copy) {
    *valid = text;
    *copy = NULL;
    if (text.length == 0 ||
        utf8_valid_prefix((const uint8_t *)text.data, text.length) == text.length)
        return OK;
    if (text.length > SIZE_MAX / 4)
        return fail(OUT_OF_MEMORY, "no memory for a text of %zu bytes", text.length);
    TRY(memory_take(memory, 3 * (text.length + 3), "text with U+FFFD for invalid bytes", copy));
    struct utf8_stream stream = {.n_held = 0};
    char *out = *copy;
    size_t length = utf8_stream_push(&stream, text.data, text.length, out);
    length += utf8_stream_finish(&stream, out + length);
    *valid = (struct text){.data = out, .length = length};
    return OK;
}
