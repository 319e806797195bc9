/* Log lines of an instance; without a function they go nowhere. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/status.h"

struct log {
    transformer_log_function write; /* NULL: none */
    void *user;
};

/* level  TRANSFORMER_LOG_... */
void log_line(const struct log *log, int32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
