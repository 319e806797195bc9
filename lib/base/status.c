#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text_format.h"

static _Thread_local char last_error[STATUS_TEXT_BYTES];

status fail(status code, const char *format, ...) {
    char text[sizeof last_error]; /* an argument may be the last error itself */
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0) text[0] = 0;
    text_clean_line(text);
    memcpy(last_error, text, sizeof last_error);
    return code;
}

const char *status_text(void) {
    return last_error;
}

void status_save(char text[STATUS_TEXT_BYTES]) {
    memcpy(text, last_error, STATUS_TEXT_BYTES);
}

void status_restore(const char text[STATUS_TEXT_BYTES]) {
    memcpy(last_error, text, STATUS_TEXT_BYTES);
}
