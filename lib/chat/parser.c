/* Statements. */
#include <string.h>

#include "chat/ast.h"
#include "chat/lexer.h"

static status read_body(struct parser *p, const char *const *ends, struct node **body);

static status need_block_end(struct parser *p) {
    if (p->token->type != TOKEN_BLOCK_END) return parser_unexpected(p, "'%}'");
    p->token++;
    return OK;
}

/* A body up to {% end %}, that included. */
static status read_body_to(struct parser *p, const char *end, struct node **body) {
    TRY(need_block_end(p));
    TRY(read_body(p, (const char *const[]){end, NULL}, body));
    p->token++;
    return OK;
}

static status read_target_name(struct parser *p, struct node **node) {
    if (p->token->type != TOKEN_NAME) return parser_unexpected(p, "a name");
    TRY(parser_node(p, NODE_NAME, node));
    (*node)->value = (p->token++)->value;
    for (const char *const *word =
             (const char *const[]){"true", "True", "false", "False", "none", "None", NULL};
         *word; word++)
        if (value_is_text((*node)->value, *word))
            return chat_fail(FORMAT, (*node)->line, "'%s' can't be assigned to", *word);
    return OK;
}

/* A name, several of them, or a namespace's attribute. */
static status read_target(struct parser *p, bool attributes, struct node **target) {
    bool parenthesis = parser_take(p, "(");
    TRY(read_target_name(p, target));
    if (attributes && !parenthesis && parser_take(p, ".")) {
        struct node *whole;
        if (p->token->type != TOKEN_NAME) return parser_unexpected(p, "a name");
        TRY(parser_node(p, NODE_ATTRIBUTE, &whole));
        whole->a = *target;
        whole->value = (p->token++)->value;
        *target = whole;
        return OK;
    }
    if (parser_at(p, ",")) {
        struct node *whole, **tail = &(*target)->next;
        TRY(parser_node(p, NODE_TUPLE, &whole));
        whole->a = *target;
        while (parser_take(p, ",")) {
            if (p->token->type != TOKEN_NAME || parser_at_name(p, "in")) break;
            TRY(read_target_name(p, tail));
            tail = &(*tail)->next;
        }
        *target = whole;
    }
    return parenthesis ? parser_need(p, ")") : OK;
}

static status read_if(struct parser *p, struct node **node) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    for (struct node **tail = node;; tail = &(*tail)->c) {
        TRY(parser_node(p, NODE_IF, tail));
        TRY(parser_tuple_without_condition(p, &(*tail)->a));
        TRY(need_block_end(p));
        TRY(read_body(p, ends, &(*tail)->b));
        if (parser_take_name(p, "elif")) continue;
        (*tail)->d = *tail; /* the last of the chain: its c is a body */
        if (parser_take_name(p, "else")) return read_body_to(p, "endif", &(*tail)->c);
        p->token++;
        return OK;
    }
}

static status read_for(struct parser *p, struct node **node) {
    static const char *const ends[] = {"else", "endfor", NULL};
    TRY(parser_node(p, NODE_FOR, node));
    struct node *loop = *node;
    TRY(read_target(p, false, &loop->a));
    if (!parser_take_name(p, "in")) return parser_unexpected(p, "'in'");
    TRY(parser_tuple_without_condition(p, &loop->b));
    if (parser_take_name(p, "if")) TRY(parser_expression(p, &loop->d));
    loop->value = value_bool(parser_take_name(p, "recursive"));
    TRY(need_block_end(p));
    p->loops++;
    TRY(read_body(p, ends, &loop->c));
    p->loops--;
    if (parser_take_name(p, "else")) return read_body_to(p, "endfor", &loop->e);
    p->token++;
    return OK;
}

static status read_set(struct parser *p, struct node **node) {
    TRY(parser_node(p, NODE_SET, node));
    struct node *set = *node;
    TRY(read_target(p, true, &set->a));
    if (parser_take(p, "=")) return parser_tuple(p, &set->b);
    set->kind = NODE_SET_BLOCK;
    if (parser_at(p, "|")) {
        TRY(parser_node(p, NODE_CAPTURED, &set->b));
        TRY(parser_filters(p, &set->b));
    }
    return read_body_to(p, "endset", &set->c);
}

static status read_parameters(struct parser *p, struct node **list) {
    struct node **tail = list;
    bool defaults = false;
    while (!parser_at(p, ")")) {
        TRY(read_target_name(p, tail));
        (*tail)->kind = NODE_KEYWORD;
        if (parser_take(p, "=")) {
            defaults = true;
            TRY(parser_expression(p, &(*tail)->a));
        } else if (defaults) {
            return chat_fail(FORMAT, p->token->line, "a parameter without default after one with");
        }
        tail = &(*tail)->next;
        if (!parser_take(p, ",")) break;
    }
    return parser_need(p, ")");
}

static status read_macro(struct parser *p, struct node **node) {
    int loops = p->loops;
    TRY(parser_node(p, NODE_MACRO, node));
    struct node *name;
    TRY(read_target_name(p, &name));
    (*node)->value = name->value;
    TRY(parser_need(p, "("));
    TRY(read_parameters(p, &(*node)->a));
    p->loops = 0;
    TRY(read_body_to(p, "endmacro", &(*node)->c));
    p->loops = loops;
    return OK;
}

static status read_call(struct parser *p, struct node **node) {
    int loops = p->loops;
    TRY(parser_node(p, NODE_CALL_BLOCK, node));
    if (parser_take(p, "(")) TRY(read_parameters(p, &(*node)->a));
    TRY(parser_expression(p, &(*node)->b));
    if ((*node)->b->kind != NODE_CALL) return parser_unexpected(p, "a call");
    p->loops = 0;
    TRY(read_body_to(p, "endcall", &(*node)->c));
    p->loops = loops;
    return OK;
}

static status read_filter_block(struct parser *p, struct node **node) {
    TRY(parser_node(p, NODE_FILTER_BLOCK, node));
    TRY(parser_node(p, NODE_CAPTURED, &(*node)->b));
    if (p->token->type != TOKEN_NAME) return parser_unexpected(p, "a filter");
    struct node *filter;
    TRY(parser_node(p, NODE_FILTER, &filter));
    filter->a = (*node)->b;
    filter->value = (p->token++)->value;
    (*node)->b = filter;
    if (parser_take(p, "(")) TRY(parser_arguments(p, &filter->b));
    TRY(parser_filters(p, &(*node)->b));
    return read_body_to(p, "endfilter", &(*node)->c);
}

static status read_with(struct parser *p, struct node **node) {
    TRY(parser_node(p, NODE_WITH, node));
    struct node **tail = &(*node)->a;
    while (p->token->type != TOKEN_BLOCK_END) {
        TRY(parser_node(p, NODE_SET, tail));
        TRY(read_target(p, false, &(*tail)->a));
        TRY(parser_need(p, "="));
        TRY(parser_expression(p, &(*tail)->b));
        tail = &(*tail)->next;
        if (!parser_take(p, ",")) break;
    }
    return read_body_to(p, "endwith", &(*node)->c);
}

static status read_generation(struct parser *p, struct node **node) {
    TRY(parser_node(p, NODE_SCOPE, node));
    int loops = p->loops;
    p->loops = 0;
    TRY(read_body_to(p, "endgeneration", &(*node)->c));
    p->loops = loops;
    return OK;
}

/* No template is built on another one: a block stands where it is written. */
static status read_block(struct parser *p, struct node **node) {
    int loops = p->loops;
    struct node *name;
    TRY(parser_node(p, NODE_BLOCK, node));
    TRY(read_target_name(p, &name));
    (*node)->value = name->value;
    if (!p->blocks) TRY(dict_create(p->arena, &p->blocks));
    if (dict_find(p->blocks, name->value))
        return chat_fail(FORMAT, name->line, "a block is there twice");
    TRY(dict_set(p->arena, p->blocks, name->value, name->value));
    if (parser_take_name(p, "scoped")) (*node)->a = name;
    if (parser_at_name(p, "required"))
        return chat_fail(UNSUPPORTED, p->token->line, "a required block");
    p->loops = 0;
    TRY(read_body_to(p, "endblock", &(*node)->c));
    p->loops = loops;
    if (p->token->type == TOKEN_NAME && value_equal(p->token->value, name->value, 0)) p->token++;
    return OK;
}

/* Nothing is escaped by itself, as transformers configures Jinja. */
static status read_autoescape(struct parser *p, struct node **node) {
    TRY(parser_node(p, NODE_SCOPE, node));
    if (!parser_take_name(p, "false") && !parser_take_name(p, "False"))
        return chat_fail(UNSUPPORTED, p->token->line, "autoescape other than false");
    return read_body_to(p, "endautoescape", &(*node)->c);
}

static status read_jump(struct parser *p, struct node **node) {
    bool is_break = value_is_text(p->token[-1].value, "break");
    if (!p->loops) {
        p->token--;
        return parser_unexpected(p, "no jump outside of a loop");
    }
    return parser_node(p, is_break ? NODE_BREAK : NODE_CONTINUE, node);
}

static status read_print(struct parser *p, struct node **node) {
    TRY(parser_node(p, NODE_PRINT, node));
    return parser_tuple(p, &(*node)->a);
}

static status read_statement(struct parser *p, struct node **node) {
    static const struct {
        const char *name;
        status (*read)(struct parser *, struct node **);
    } statements[] = {{"if", read_if},
                      {"for", read_for},
                      {"set", read_set},
                      {"macro", read_macro},
                      {"call", read_call},
                      {"filter", read_filter_block},
                      {"with", read_with},
                      {"generation", read_generation},
                      {"break", read_jump},
                      {"continue", read_jump},
                      {"print", read_print},
                      {"block", read_block},
                      {"autoescape", read_autoescape}};
    static const char *const others[] = {"include", "import", "from", "extends",
                                         "do",      "trans",  "debug"};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (parser_take_name(p, statements[i].name)) return statements[i].read(p, node);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (parser_at_name(p, others[i]))
            return chat_fail(UNSUPPORTED, p->token->line, "the statement '%s'", others[i]);
    return parser_unexpected(p, "a statement");
}

/* Statements up to a block that begins with one of `ends`, which is the next token then; with NULL
 * up to the template's end. */
static status read_body(struct parser *p, const char *const *ends, struct node **body) {
    struct node **tail = body;
    TRY(parser_enter(p));
    for (; p->token->type != TOKEN_END; tail = &(*tail)->next) {
        if (p->token->type == TOKEN_TEXT) {
            TRY(parser_node(p, NODE_TEXT, tail));
            (*tail)->value = (p->token++)->value;
        } else if (p->token->type == TOKEN_VARIABLE_BEGIN) {
            p->token++;
            TRY(read_print(p, tail));
            if (p->token->type != TOKEN_VARIABLE_END) return parser_unexpected(p, "'}}'");
            p->token++;
        } else {
            p->token++; /* {% */
            for (const char *const *end = ends; end && *end; end++)
                if (parser_at_name(p, *end)) {
                    p->depth--;
                    return OK;
                }
            TRY(read_statement(p, tail));
            TRY(need_block_end(p));
        }
    }
    p->depth--;
    if (!ends) return OK;
    size_t last = 0;
    while (ends[last + 1]) last++;
    return parser_unexpected(p, ends[last]);
}

status parser_run(struct arena *arena, struct text source, struct node **body) {
    struct tokens tokens;
    *body = NULL;
    TRY(lexer_run(arena, source, &tokens));
    struct parser parser = {.arena = arena, .token = tokens.list};
    return read_body(&parser, NULL, body);
}
