/* Conversations. */
#include "chat/chat.h"

#include <string.h>

#include "api/options.h"
#include "base/float_environment.h"
#include "base/text_format.h"
#include "engine/model.h"

static struct text text_of(const char *text) {
    return (struct text){text, text ? strlen(text) : 0};
}

/* Special tokens as templates name them. */
static const struct {
    const char *name;
    int32_t kind;
} token_names[] = {
    {"bos_token", TRANSFORMER_TOKEN_BEGIN},   {"eos_token", TRANSFORMER_TOKEN_END},
    {"unk_token", TRANSFORMER_TOKEN_UNKNOWN}, {"sep_token", TRANSFORMER_TOKEN_SEPARATOR},
    {"pad_token", TRANSFORMER_TOKEN_PADDING}, {"cls_token", TRANSFORMER_TOKEN_CLASSIFY},
    {"mask_token", TRANSFORMER_TOKEN_MASK}};
enum { N_TOKEN_NAMES = sizeof token_names / sizeof *token_names };

/* Their texts; *texts is to be given back. */
static status read_tokens(const transformer_model *model, struct memory *memory,
                          struct chat_variable *tokens, size_t *n, char **texts) {
    const struct tokenizer *tokenizer = model->tokenizer;
    *n = 0;
    *texts = NULL;
    if (!tokenizer) return OK;
    size_t most = tokenizer_max_token_bytes(tokenizer);
    TRY(MEMORY_TAKE_ARRAY(memory, N_TOKEN_NAMES * (most + 1), "names of tokens", texts));
    for (size_t i = 0; i < N_TOKEN_NAMES; i++) {
        struct detokenize_state state = {.started = true};
        char *text = *texts + i * (most + 1);
        int32_t id = tokenizer_special(tokenizer, token_names[i].kind);
        if (id < 0) continue;
        size_t length = tokenizer_token_bytes(tokenizer, &state, id, true, text, most);
        tokens[(*n)++] = (struct chat_variable){token_names[i].name, {text, length}};
    }
    return OK;
}

static status named_template(const transformer_model *model, const char *name, bool *found,
                             struct text *text) {
    char key[256];
    size_t n = text_format(key, sizeof key, "tokenizer.chat_template%s%s", name ? "." : "",
                           name ? name : "");
    *found = false;
    if (n + 1 == sizeof key) return OK;
    return checkpoint_read_text(model->checkpoint, key, found, text);
}

static status find_template(const transformer_model *model, const transformer_chat_options *options,
                            struct text *text) {
    bool found = true;
    if (options->template_text) {
        *text = text_of(options->template_text);
        return OK;
    }
    if (options->template_name) {
        TRY(named_template(model, options->template_name, &found, text));
        return found ? OK
                     : fail(NOT_FOUND, "the model has no chat template named '%s'",
                            options->template_name);
    }
    found = false;
    if (options->tools_json) TRY(named_template(model, "tool_use", &found, text));
    if (!found) TRY(named_template(model, NULL, &found, text));
    return found ? OK : fail(NOT_FOUND, "the model has no chat template");
}

static status check_options(const transformer_chat_options *options) {
    TRY(options_check_mode("add_generation_prompt", options->add_generation_prompt));
    TRY(options_check_reserved("transformer_chat_options", options->reserved));
    if (options->template_name && options->template_text)
        return fail(INVALID_ARGUMENT, "template_name and template_text are both given");
    if (options->n_messages < 0 || (!options->messages && options->n_messages))
        return fail(INVALID_ARGUMENT, "messages is NULL or their count negative");
    if (options->messages && options->messages_json)
        return fail(INVALID_ARGUMENT, "messages and messages_json are both given");
    for (int64_t i = 0; i < options->n_messages; i++)
        if (!options->messages[i].role)
            return fail(INVALID_ARGUMENT, "message %" PRId64 " has no role", i);
    return OK;
}

struct result {
    char *buffer;
    int64_t capacity, *length;
};

static status keep(void *user, struct text text) {
    const struct result *result = user;
    *result->length = (int64_t)text.length;
    if (!result->buffer) return OK;
    if (*result->length > result->capacity)
        return fail(BUFFER_TOO_SMALL, "the chat has %zu bytes, the buffer %" PRId64, text.length,
                    result->capacity);
    if (text.length) memcpy(result->buffer, text.data, text.length);
    return OK;
}

static status format(const transformer_model *model, const transformer_chat_options *options,
                     struct result *result) {
    struct memory *memory = (struct memory *)(uintptr_t)&model->memory; /* it counts atomically */
    struct chat_message *messages = NULL;
    struct chat_variable tokens[N_TOKEN_NAMES];
    char *texts = NULL;
    struct chat_request request = {.n_messages = (size_t)options->n_messages,
                                   .messages_json = text_of(options->messages_json),
                                   .tools_json = text_of(options->tools_json),
                                   .documents_json = text_of(options->documents_json),
                                   .variables_json = text_of(options->variables_json),
                                   .tokens = tokens,
                                   .add_generation_prompt =
                                       options->add_generation_prompt != TRANSFORMER_OFF,
                                   .local_time = options->local_time};
    TRY(find_template(model, options, &request.template));
    TRY(read_tokens(model, memory, tokens, &request.n_tokens, &texts));
    status done = MEMORY_TAKE_ARRAY(memory, request.n_messages, "messages", &messages);
    for (size_t i = 0; done == OK && i < request.n_messages; i++) {
        const transformer_chat_message *from = &options->messages[i];
        messages[i] = (struct chat_message){text_of(from->role), text_of(from->content),
                                            from->content != NULL};
    }
    request.messages = messages;
    if (done == OK) done = chat_format(memory, &request, keep, result);
    memory_give(memory, messages);
    memory_give(memory, texts);
    return done;
}

transformer_status transformer_chat_format(const transformer_model *model,
                                           const transformer_chat_options *options, char *buffer,
                                           int64_t capacity, int64_t *length) {
    transformer_chat_options ours;
    struct result result = {buffer, capacity, length};
    TRY(options_require("model", model));
    TRY(options_require("length", length));
    if (capacity < 0 || (!buffer && capacity))
        return fail(INVALID_ARGUMENT, "the buffer is NULL or its capacity negative");
    TRY(OPTIONS_READ(chat_options, options, &ours));
    TRY(check_options(&ours));
    fenv_t host;
    float_environment_enter(&host);
    status done = format(model, &ours, &result);
    float_environment_leave(&host);
    return done;
}
