#include "chat/chat.h"

#include <string.h>

#include "chat/render.h"
#include "tokenizer/utf8.h"

/* Text of the caller: bytes that are no UTF-8 become U+FFFD. */
static status own_text(struct render *r, struct text text, struct value *value) {
    struct text valid;
    void *copy = NULL;
    char *owned;
    TRY(utf8_repair(r->arena.memory, text, &valid, &copy));
    owned = chat_take(&r->arena, valid.length + 1);
    if (owned && valid.length) memcpy(owned, valid.data, valid.length);
    *value = value_string(owned, valid.length);
    memory_give(r->arena.memory, copy);
    return owned ? OK : r->arena.failure;
}

static status define(struct render *r, const char *name, struct value value) {
    return dict_set_text(&r->arena, r->globals->variables, name, value);
}

static status add_messages(struct render *r, const struct chat_request *request) {
    struct list *list;
    TRY(list_create(&r->arena, LIST_LIST, request->n_messages, &list));
    for (size_t i = 0; i < request->n_messages; i++) {
        const struct chat_message *message = &request->messages[i];
        struct dict *dict;
        struct value role, content = value_of_kind(VALUE_NONE);
        TRY(dict_create(&r->arena, &dict));
        TRY(own_text(r, message->role, &role));
        if (message->has_content) TRY(own_text(r, message->content, &content));
        TRY(dict_set_text(&r->arena, dict, "role", role));
        TRY(dict_set_text(&r->arena, dict, "content", content));
        TRY(list_add(&r->arena, list, value_dict(dict)));
    }
    return define(r, "messages", value_list(list));
}

/* JSON that must be a list of objects; none where it isn't given. */
static status add_objects(struct render *r, const char *name, const char *option,
                          struct text json) {
    struct value value = value_of_kind(VALUE_NONE);
    if (!json.data) return define(r, name, value);
    TRY(value_read_json(&r->arena, option, json, &value));
    bool right = value.kind == VALUE_LIST;
    for (size_t i = 0; right && i < value.as.list->n; i++)
        right = value.as.list->items[i].kind == VALUE_DICT;
    if (!right) return fail(INVALID_ARGUMENT, "%s is not an array of objects", option);
    return define(r, name, value);
}

static status add_variables(struct render *r, struct text json) {
    struct value value;
    if (!json.data) return OK;
    TRY(value_read_json(&r->arena, "variables_json", json, &value));
    if (value.kind != VALUE_DICT) return fail(INVALID_ARGUMENT, "variables_json is not an object");
    for (size_t i = 0; i < value.as.dict->n; i++) {
        const struct entry *entry = &value.as.dict->entries[i];
        TRY(dict_set(&r->arena, r->globals->variables, entry->key, entry->value));
    }
    return OK;
}

static status run(struct render *r, const struct chat_request *request) {
    struct node *body;
    struct value source, value;
    TRY(own_text(r, request->template, &source));
    TRY(parser_run(&r->arena, (struct text){source.as.text, source.length}, &body));
    TRY(render_frame(r, NULL, &r->globals));
    TRY(functions_define(r, request->local_time != 0));
    for (size_t i = 0; i < request->n_tokens; i++) {
        TRY(own_text(r, request->tokens[i].text, &value));
        TRY(define(r, request->tokens[i].name, value));
    }
    if (request->messages_json.data)
        TRY(add_objects(r, "messages", "messages_json", request->messages_json));
    else
        TRY(add_messages(r, request));
    TRY(add_objects(r, "tools", "tools_json", request->tools_json));
    TRY(add_objects(r, "documents", "documents_json", request->documents_json));
    TRY(define(r, "add_generation_prompt", value_bool(request->add_generation_prompt)));
    TRY(add_variables(r, request->variables_json));
    TRY(render_frame(r, r->globals, &r->top));
    return render_body(r, body, r->top);
}

status chat_format(struct memory *memory, const struct chat_request *request,
                   status (*keep)(void *user, struct text text), void *user) {
    struct render r = {.arena = {.memory = memory, .limit = CHAT_MOST_BYTES},
                       .steps = CHAT_MOST_STEPS,
                       .local_time = request->local_time};
    struct buffer output = {.arena = &r.arena, .limit = CHAT_MOST_OUTPUT};
    r.output = &output;
    status result = run(&r, request);
    if (result == OK)
        result = keep(user, (struct text){output.data ? output.data : "", output.length});
    chat_arena_close(&r.arena);
    return result;
}
