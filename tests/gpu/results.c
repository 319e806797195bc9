#include "results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static FILE *open_records(void) {
    const char *path = getenv("GPU_RESULTS");
    return path && *path ? fopen(path, "a") : NULL;
}

static void write_quoted(FILE *file, const char *text) {
    putc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putc('\\', file);
        putc((unsigned char)*text < ' ' ? ' ' : *text, file);
    }
    putc('"', file);
}

static void write_begin(FILE *file, const char *section, const char *item) {
    fputs("{\"section\": ", file);
    write_quoted(file, section);
    fputs(", \"item\": ", file);
    write_quoted(file, item);
}

void result_text(const char *section, const char *item, const char *text) {
    printf("%-12s %-52s %s\n", section, item, text);
    fflush(stdout);
    FILE *file = open_records();
    if (!file) return;
    write_begin(file, section, item);
    fputs(", \"text\": ", file);
    write_quoted(file, text);
    fputs("}\n", file);
    fclose(file);
}

void result_number(const char *section, const char *item, double value, const char *unit) {
    printf("%-12s %-52s %.6g %s\n", section, item, value, unit);
    fflush(stdout);
    FILE *file = open_records();
    if (!file) return;
    write_begin(file, section, item);
    if (isfinite(value))
        fprintf(file, ", \"value\": %.9g, \"unit\": ", value);
    else
        fputs(", \"value\": null, \"unit\": ", file);
    write_quoted(file, unit);
    fputs("}\n", file);
    fclose(file);
}
