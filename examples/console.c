#define _GNU_SOURCE
#include "console.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *program_name = "example";

void console_start(const char *program) {
    const char *slash = strrchr(program, '/');
    program_name = slash ? slash + 1 : program;
    signal(SIGPIPE, SIG_IGN);
}

static _Noreturn void quit(int code, const char *format, va_list arguments) {
    fflush(stdout);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(code);
}

void console_usage_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    quit(2, format, arguments);
}

void console_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    quit(1, format, arguments);
}

void console_require(transformer_status status) {
    if (status != TRANSFORMER_OK)
        console_fail("%s (%s)", transformer_last_error(), transformer_status_name(status));
}

void *console_allocate(void *block, size_t count, size_t size) {
    void *grown = reallocarray(block, count ? count : 1, size);
    if (!grown) console_fail("no memory for %zu times %zu bytes", count, size);
    return grown;
}

char *console_read(const char *path, int64_t *length) {
    FILE *file = path ? fopen(path, "rb") : stdin;
    if (!file) console_usage_error("cannot open '%s': %s", path, strerror(errno));
    size_t used = 0, capacity = 1 << 16;
    char *text = console_allocate(NULL, capacity, 1);
    for (size_t n; (n = fread(text + used, 1, capacity - 1 - used, file)) > 0;) {
        used += n;
        if (used == capacity - 1) text = console_allocate(text, capacity *= 2, 1);
    }
    if (ferror(file)) console_fail("cannot read '%s': %s", path ? path : "stdin", strerror(errno));
    if (path) fclose(file);
    text[used] = '\0';
    *length = (int64_t)used;
    return text;
}

void console_write(const char *bytes, int64_t length) {
    if (fwrite(bytes, 1, (size_t)length, stdout) != (size_t)length)
        console_fail("cannot write to stdout: %s", strerror(errno));
}

void console_flush(void) {
    int failed_before = ferror(stdout);
    if (fflush(stdout) != 0 || failed_before)
        console_fail("cannot write to stdout: %s", strerror(errno));
}

int console_has_terminal(void) {
    return isatty(STDERR_FILENO);
}

int32_t console_progress(void *label, uint64_t done, uint64_t total) {
    enum { WIDTH = 40 };
    static const char bar[] = "########################################";
    double share = total ? (double)done / (double)total : 1.0;
    int filled = (int)(share * WIDTH);
    fprintf(stderr, "\r%s [%-*.*s] %3.0f%%%s", (const char *)label, WIDTH, filled, bar,
            100.0 * share, done >= total ? "\r\033[K" : "");
    fflush(stderr);
    return 0;
}

double console_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
