#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void log_line(const struct log *log, int32_t level, const char *format, ...) {
    if (!log || !log->write) return;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log->write(log->user, level, line);
}
