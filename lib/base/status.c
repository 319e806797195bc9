#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_error[1024];

/* A message may quote a file's bytes: one line of UTF-8 goes out whatever they are. */
static void make_clean_line(char *text) {
    size_t in = 0, out = 0;
    while (text[in]) {
        unsigned char c = (unsigned char)text[in];
        size_t length = c < 0x80                ? 1
                        : c >= 0xC2 && c < 0xE0 ? 2
                        : c >= 0xE0 && c < 0xF0 ? 3
                        : c >= 0xF0 && c < 0xF5 ? 4
                                                : 0;
        bool whole = length > 0;
        for (size_t i = 1; i < length; i++)
            whole = whole && ((unsigned char)text[in + i] & 0xC0) == 0x80;
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

status fail(status code, const char *format, ...) {
    char text[sizeof last_error]; /* an argument may be the last error itself */
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0) text[0] = 0;
    if ((size_t)(n < 0 ? 0 : n) >= sizeof text) { /* cut: drop a character that lost its tail */
        size_t end = strlen(text);
        while (end > 0 && ((unsigned char)text[end - 1] & 0xC0) == 0x80) end--;
        if (end > 0 && (unsigned char)text[end - 1] >= 0xC0) end--;
        text[end] = 0;
    }
    make_clean_line(text);
    memcpy(last_error, text, sizeof last_error);
    return code;
}

const char *status_text(void) {
    return last_error;
}
