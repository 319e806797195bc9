/* Conversations as a model's prompt: its template, written in Jinja, over messages and tools. */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include "chat/value.h"

struct chat_message {
    struct text role, content;
    bool has_content;
};

struct chat_variable {
    const char *name;
    struct text text;
};

/* A text without data isn't given. */
struct chat_request {
    struct text template;
    const struct chat_message *messages; /* [n_messages] */
    size_t n_messages;
    struct text messages_json; /* or these */
    struct text tools_json, documents_json, variables_json;
    const struct chat_variable *tokens; /* [n_tokens] bos_token and the like */
    size_t n_tokens;
    bool add_generation_prompt;
    int64_t local_time; /* 0: there is no strftime_now */
};

/* What a template may take. */
#define CHAT_MOST_STEPS 50000000
#define CHAT_MOST_BYTES ((size_t)256 << 20)
#define CHAT_MOST_OUTPUT ((size_t)64 << 20)

/* Hands the text to `keep`, whose status it returns; the text ends with that call. */
status chat_format(struct memory *memory, const struct chat_request *request,
                   status (*keep)(void *user, struct text text), void *user);

#endif
