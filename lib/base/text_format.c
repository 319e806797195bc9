#include "base/text_format.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

size_t text_format(char *buffer, size_t size, const char *format, ...) {
    if (!size) return 0;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    if (n < 0) return 0;
    return (size_t)n < size ? (size_t)n : size - 1;
}

void text_clean_line(char *text) {
    size_t in = 0, out = 0;
    while (text[in]) {
        unsigned char c = (unsigned char)text[in];
        size_t length = c < 0x80                ? 1
                        : c >= 0xC2 && c < 0xE0 ? 2
                        : c >= 0xE0 && c < 0xF0 ? 3
                        : c >= 0xF0 && c < 0xF5 ? 4
                                                : 0;
        size_t there = length > 0;
        while (there < length && ((unsigned char)text[in + there] & 0xC0) == 0x80) there++;
        if (there < length && !text[in + there]) break;
        bool whole = length > 0 && there == length;
        if (length == 3 && whole) {
            unsigned char d = (unsigned char)text[in + 1];
            whole = !(c == 0xE0 && d < 0xA0) && !(c == 0xED && d >= 0xA0);
        } else if (length == 4 && whole) {
            unsigned char d = (unsigned char)text[in + 1];
            whole = !(c == 0xF0 && d < 0x90) && !(c == 0xF4 && d >= 0x90);
        }
        if (!whole || c < 0x20 || c == 0x7F) {
            text[out++] = '?';
            in++;
            continue;
        }
        memmove(text + out, text + in, length);
        out += length;
        in += length;
    }
    text[out] = 0;
}
