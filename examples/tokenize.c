/* Text on stdin to token ids on stdout, or the reverse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "console.h"
#include "model.h"

static void print_ids(const transformer_model *model, const char *text, int64_t length,
                      int special) {
    transformer_tokenize_options options = {.struct_size = sizeof options,
                                            .add_special = TRANSFORMER_OFF,
                                            .parse_special =
                                                special ? TRANSFORMER_ON : TRANSFORMER_OFF};
    int64_t count = 0;
    int32_t *tokens = model_tokens(model, text, length, &options, &count);
    for (int64_t i = 0; i < count; i++) printf("%s%d", i ? " " : "", (int)tokens[i]);
    putchar('\n');
    free(tokens);
}

static void print_text(const transformer_model *model, const char *ids, int64_t length,
                       int special) {
    transformer_detokenize_options options = {
        .struct_size = sizeof options, .special = special ? TRANSFORMER_ON : TRANSFORMER_OFF};
    int64_t count = 0, n_bytes = 0;
    if (memchr(ids, '\0', (size_t)length)) console_usage_error("stdin: a NUL among the token ids");
    int32_t *tokens = arguments_token_ids(ids, ' ', "stdin", &count);
    transformer_status status =
        transformer_detokenize(model, tokens, count, &options, NULL, 0, &n_bytes);
    if (status != TRANSFORMER_BUFFER_TOO_SMALL) console_require(status);
    char *text = console_allocate(NULL, (size_t)n_bytes, 1);
    console_require(
        transformer_detokenize(model, tokens, count, &options, text, n_bytes, &n_bytes));
    console_write(text, n_bytes);
    free(text);
    free(tokens);
}

int main(int argc, char **argv) {
    const char *path = NULL;
    int special = 0, decode = 0;
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &path, "a GGUF file or a Hugging Face folder", 1},
        {"--special", ARGUMENT_FLAG, &special,
         "control tokens written out in the text are those tokens; with --decode: write them out",
         0},
        {"--decode", ARGUMENT_FLAG, &decode, "from ids, parted by white space, to bytes", 0},
        {0}};
    arguments_read(argc, argv,
                   "Prints the token ids of the text on stdin, none added, on one line.", table);
    transformer_model *model = model_open(path, 0);
    int64_t length = 0;
    char *input = console_read(NULL, &length);
    if (decode)
        print_text(model, input, length, special);
    else
        print_ids(model, input, length, special);
    console_flush();
    free(input);
    transformer_model_close(model);
    return 0;
}
