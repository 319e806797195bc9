#define _DEFAULT_SOURCE /* tm_gmtoff */
#include "model.h"

#include <stdlib.h>
#include <time.h>

#include "console.h"

transformer_model *model_open(const char *path, int32_t device) {
    return model_open_as(path, device, TRANSFORMER_WEIGHTS_AS_IS);
}

transformer_model *model_open_as(const char *path, int32_t device, uint32_t weight_type) {
    transformer_model_options options = {
        .struct_size = sizeof options, .path = path, .device = device, .weight_type = weight_type};
    if (console_has_terminal()) {
        options.progress = console_progress;
        options.progress_user = (void *)"loading";
    }
    transformer_model *model = NULL;
    console_require(transformer_model_open(&options, &model));
    return model;
}

transformer_adapter *model_adapter(transformer_model *model, const char *path) {
    const transformer_adapter_options options = {.struct_size = sizeof options, .path = path};
    transformer_adapter *adapter = NULL;
    console_require(transformer_adapter_open(model, &options, &adapter));
    return adapter;
}

transformer_model_details model_details(const transformer_model *model) {
    transformer_model_details details = {.struct_size = sizeof details};
    console_require(transformer_model_info(model, &details));
    return details;
}

int32_t *model_tokens(const transformer_model *model, const char *text, int64_t length,
                      const transformer_tokenize_options *options, int64_t *count) {
    /* Nearly every text has fewer tokens than bytes, begin and end aside; the rest asks again. */
    int64_t capacity = length + 16;
    int32_t *tokens = console_allocate(NULL, (size_t)capacity, sizeof *tokens);
    transformer_status status =
        transformer_tokenize(model, text, length, options, tokens, capacity, count);
    if (status == TRANSFORMER_BUFFER_TOO_SMALL) {
        capacity = *count;
        tokens = console_allocate(tokens, (size_t)capacity, sizeof *tokens);
        status = transformer_tokenize(model, text, length, options, tokens, capacity, count);
    }
    console_require(status);
    return tokens;
}

/* Seconds from 1970 to the date and time of day here. */
static int64_t local_time(void) {
    time_t now = time(NULL);
    struct tm here;
    return localtime_r(&now, &here) ? (int64_t)now + here.tm_gmtoff : (int64_t)now;
}

char *model_chat(const transformer_model *model, const transformer_chat_message *messages,
                 int64_t n_messages, int64_t *length) {
    transformer_chat_options options = {.struct_size = sizeof options,
                                        .messages = messages,
                                        .n_messages = n_messages,
                                        .local_time = local_time()};
    console_require(transformer_chat_format(model, &options, NULL, 0, length));
    int64_t capacity = *length;
    char *text = console_allocate(NULL, (size_t)capacity + 1, 1);
    console_require(transformer_chat_format(model, &options, text, capacity, length));
    return text;
}

transformer_grammar *model_grammar(transformer_model *model, const char *schema_file,
                                   const char *regex, const char *ebnf_file) {
    int64_t length = 0;
    transformer_grammar *grammar = NULL;
    if (!schema_file && !regex && !ebnf_file) return NULL;
    const char *name = schema_file ? schema_file : ebnf_file;
    char *file = name ? console_read(name, &length) : NULL;
    char *text = file ? realloc(file, (size_t)length + 1) : NULL;
    if (text) text[length] = 0;
    transformer_grammar_options options = {.struct_size = sizeof options,
                                           .json_schema = schema_file ? text : NULL,
                                           .regex = regex,
                                           .ebnf = ebnf_file ? text : NULL};
    console_require(transformer_grammar_create(model, &options, &grammar));
    free(text);
    return grammar;
}
