#include "base/text_format.h"

#include <stdarg.h>
#include <stdio.h>

size_t text_format(char *buffer, size_t size, const char *format, ...) {
    if (!size) return 0;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    if (n < 0) return 0;
    return (size_t)n < size ? (size_t)n : size - 1;
}
