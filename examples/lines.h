/* Lines of a file, each of them a text or token ids, as embed and rerank read them. Failures end
 * the process, as in console.h. */
#ifndef EXAMPLES_LINES_H
#define EXAMPLES_LINES_H

#include <stdint.h>
#include <transformer.h>

struct lines {
    char *bytes; /* what the texts point into */
    char **texts;
    int64_t count;
};

/* path NULL: stdin. Empty lines are left out. */
struct lines lines_read(const char *path);
void lines_free(struct lines *lines);

/* The tokens of a text, or the ids that it is. The caller frees them. */
int32_t *lines_tokens(const transformer_model *model, const char *text, int is_ids,
                      uint32_t add_special, int64_t *count);

/* The text of tokens, with a NUL. The caller frees it. */
char *lines_text(const transformer_model *model, const int32_t *tokens, int64_t count);

/* [0.5,1] */
void lines_print_row(const float *row, int64_t count);

#endif
