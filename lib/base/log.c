#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text_format.h"

void log_line(const struct log *log, int32_t level, const char *format, ...) {
    if (!log || !log->write) return;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (n < 0) return;
    text_clean_line(line);
    log->write(log->user, level, line);
}
