#include "lines.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "console.h"
#include "model.h"

struct lines lines_read(const char *path) {
    int64_t length = 0;
    struct lines lines = {.bytes = console_read(path, &length)};
    char *rest = lines.bytes;
    while (rest && *rest) {
        char *end = strchr(rest, '\n');
        if (end) *end = 0;
        if (*rest) {
            lines.texts =
                console_allocate(lines.texts, (size_t)lines.count + 1, sizeof *lines.texts);
            lines.texts[lines.count++] = rest;
        }
        rest = end ? end + 1 : NULL;
    }
    return lines;
}

void lines_free(struct lines *lines) {
    free(lines->texts);
    free(lines->bytes);
    *lines = (struct lines){0};
}

int32_t *lines_tokens(const transformer_model *model, const char *text, int is_ids,
                      uint32_t add_special, int64_t *count) {
    transformer_tokenize_options options = {.struct_size = sizeof options,
                                            .add_special = add_special};
    if (is_ids) return arguments_token_ids(text, ',', "token ids", count);
    return model_tokens(model, text, (int64_t)strlen(text), &options, count);
}

char *lines_text(const transformer_model *model, const int32_t *tokens, int64_t count) {
    int64_t length = 0;
    console_require(transformer_detokenize(model, tokens, count, NULL, NULL, 0, &length));
    char *text = console_allocate(NULL, (size_t)length + 1, 1);
    console_require(transformer_detokenize(model, tokens, count, NULL, text, length, &length));
    text[length] = 0;
    return text;
}

void lines_print_row(const float *row, int64_t count) {
    putchar('[');
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(row[i])) /* JSON has no number for it */
            console_fail("element %lld is %f", (long long)i, (double)row[i]);
        printf("%s%.9g", i ? "," : "", (double)row[i]);
    }
    putchar(']');
    if (ferror(stdout)) console_flush();
}
