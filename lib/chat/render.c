/* Statements. */
#include "chat/render.h"

#include <string.h>

status render_spend(struct render *r, size_t n) {
    if (n > (size_t)INT64_MAX || (r->steps -= (int64_t)n) < 0) {
        r->steps = 0;
        return render_fail(r, LIMIT, "the template takes too many steps");
    }
    return OK;
}

status render_frame(struct render *r, struct frame *parent, struct frame **frame) {
    ARENA_TAKE(&r->arena, 1, frame);
    (*frame)->parent = parent;
    return dict_create(&r->arena, &(*frame)->variables);
}

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

static status run_body(struct render *r, const struct node *body, struct frame *frame,
                       enum flow *flow);

/* The text that the body gives. */
static status capture(struct render *r, const struct node *body, struct frame *parent,
                      struct value *text) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    struct buffer *outer = r->output;
    struct frame *frame;
    TRY(render_frame(r, parent, &frame));
    r->output = &buffer;
    status result = render_body(r, body, frame);
    r->output = outer;
    *text = value_buffer(&buffer);
    return result;
}

static status assign(struct render *r, const struct node *target, struct value value,
                     struct frame *frame) {
    if (target->kind == NODE_NAME)
        return dict_set(&r->arena, frame->variables, target->value, value);
    if (target->kind == NODE_ATTRIBUTE) {
        struct value space;
        TRY(expression_value(r, target->a, frame, &space));
        if (space.kind != VALUE_NAMESPACE)
            return render_fail(r, FORMAT, "cannot assign attribute on non-namespace object");
        if (target->value.as.text[0] == '_')
            return render_fail(r, FORMAT, "an attribute that begins with an underscore");
        return dict_set(&r->arena, space.as.dict, target->value, value);
    }
    const struct list *items;
    const struct node *name = target->a;
    TRY(expression_items(r, value, &items));
    for (size_t i = 0; i < items->n && name; i++, name = name->next) {
        TRY(assign(r, name, items->items[i], frame));
        if (!name->next && i + 1 < items->n)
            return render_fail(r, FORMAT, "too many values to unpack");
    }
    return name ? render_fail(r, FORMAT, "not enough values to unpack") : OK;
}

/* The items that pass the loop's condition. */
static status filter_items(struct render *r, const struct node *node, struct frame *frame,
                           const struct list **items) {
    struct list *passed;
    TRY(list_create(&r->arena, LIST_LIST, 0, &passed));
    for (size_t i = 0; i < (*items)->n; i++) {
        struct frame *inner;
        struct value keep;
        TRY(render_frame(r, frame, &inner));
        TRY(assign(r, node->a, (*items)->items[i], inner));
        TRY(expression_value(r, node->d, inner, &keep));
        if (value_truth(keep)) TRY(list_add(&r->arena, passed, (*items)->items[i]));
    }
    *items = passed;
    return OK;
}

static status run_loop(struct render *r, const struct node *node, struct value iterated,
                       size_t depth, struct frame *frame) {
    const struct list *items;
    struct frame *inner;
    struct loop *loop;
    enum flow flow = FLOW_ON;
    TRY(expression_items(r, iterated, &items));
    if (node->d) TRY(filter_items(r, node, frame, &items));
    ARENA_TAKE(&r->arena, 1, &loop);
    *loop = (struct loop){.items = items, .depth = depth, .node = node, .frame = frame};
    for (; loop->index < items->n && flow != FLOW_BREAK; loop->index++) {
        TRY(render_spend(r, 1));
        TRY(render_frame(r, frame, &inner));
        TRY(dict_set_text(&r->arena, inner->variables, "loop",
                          (struct value){.kind = VALUE_LOOP, .as.loop = loop}));
        TRY(assign(r, node->a, items->items[loop->index], inner));
        TRY(run_body(r, node->c, inner, &flow));
    }
    if (items->n || !node->e) return OK;
    TRY(render_frame(r, frame, &inner));
    return render_body(r, node->e, inner);
}

static status run_for(struct render *r, const struct node *node, struct frame *frame) {
    struct value iterated;
    TRY(expression_value(r, node->b, frame, &iterated));
    return run_loop(r, node, iterated, 0, frame);
}

status render_loop_call(struct render *r, const struct loop *loop,
                        const struct arguments *arguments, struct value *result) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    struct buffer *outer = r->output;
    struct value values[1];
    TRY(render_bind(r, "loop", "!iterable", arguments, values));
    if (!value_truth(loop->node->value))
        return render_fail(r, FORMAT, "The loop must have the 'recursive' marker enabled.");
    if (++r->depth > RENDER_MOST_DEPTH)
        return render_fail(r, LIMIT, "nests deeper than %d", RENDER_MOST_DEPTH);
    r->output = &buffer;
    status ran = run_loop(r, loop->node, values[0], loop->depth + 1, loop->frame);
    r->output = outer;
    r->depth--;
    *result = value_buffer(&buffer);
    return ran;
}

static status run_if(struct render *r, const struct node *node, struct frame *frame,
                     enum flow *flow) {
    for (;; node = node->c) {
        struct value condition;
        r->line = node->line;
        TRY(expression_value(r, node->a, frame, &condition));
        if (value_truth(condition)) return run_body(r, node->b, frame, flow);
        if (node->d) return run_body(r, node->c, frame, flow); /* the last of the chain */
    }
}

/* ---- macros ---- */

static bool body_names(const struct node *node, const char *name);

static bool branches_name(const struct node *node, const char *name) {
    for (;; node = node->c) {
        if (body_names(node->a, name) || body_names(node->b, name)) return true;
        if (node->d) return body_names(node->c, name);
    }
}

/* Whether anything in the body has this name. */
static bool body_names(const struct node *node, const char *name) {
    for (; node; node = node->next) {
        bool found = node->kind == NODE_NAME ? value_is_text(node->value, name)
                     : node->kind == NODE_IF
                         ? branches_name(node, name)
                         : body_names(node->a, name) || body_names(node->b, name) ||
                               body_names(node->c, name) || body_names(node->d, name) ||
                               body_names(node->e, name);
        if (found) return true;
    }
    return false;
}

static status define_macro(struct render *r, const struct node *node, struct frame *frame,
                           struct value *value) {
    struct macro *macro;
    ARENA_TAKE(&r->arena, 1, &macro);
    *macro = (struct macro){.node = node, .frame = frame, .name = node->value};
    if (node->kind == NODE_CALL_BLOCK) macro->name = value_text("caller");
    macro->uses_caller = body_names(node->c, "caller");
    macro->uses_varargs = body_names(node->c, "varargs");
    macro->uses_kwargs = body_names(node->c, "kwargs");
    *value = (struct value){.kind = VALUE_MACRO, .as.macro = macro};
    return OK;
}

/* What the parameters didn't take, by name. */
static status bind_rest(struct render *r, const struct macro *macro,
                        const struct arguments *arguments, struct frame *frame) {
    struct dict *kwargs;
    TRY(dict_create(&r->arena, &kwargs));
    for (size_t i = 0; arguments->named && i < arguments->named->n; i++) {
        const struct entry *entry = &arguments->named->entries[i];
        bool known = macro->uses_caller && value_is_text(entry->key, "caller");
        for (const struct node *p = macro->node->a; p; p = p->next)
            known = known || value_equal(p->value, entry->key, 0);
        if (!known) TRY(dict_set(&r->arena, kwargs, entry->key, entry->value));
    }
    if (macro->uses_kwargs)
        return dict_set_text(&r->arena, frame->variables, "kwargs", value_dict(kwargs));
    if (!kwargs->n) return OK;
    return render_fail(r, FORMAT, "macro '%.*s' takes no keyword argument '%.*s'",
                       (int)macro->name.length, macro->name.as.text,
                       (int)kwargs->entries[0].key.length, kwargs->entries[0].key.as.text);
}

static status bind_parameters(struct render *r, const struct macro *macro,
                              const struct arguments *arguments, struct frame *frame) {
    size_t i = 0;
    for (const struct node *p = macro->node->a; p; p = p->next, i++) {
        struct value value = {
            .kind = VALUE_UNDEFINED, .length = p->value.length, .as.text = p->value.as.text};
        const struct value *named = arguments->named ? dict_find(arguments->named, p->value) : NULL;
        if (i < arguments->n)
            value = arguments->list[i];
        else if (named)
            value = *named;
        else if (p->a)
            TRY(expression_value(r, p->a, frame, &value));
        TRY(dict_set(&r->arena, frame->variables, p->value, value));
    }
    if (macro->uses_varargs) {
        struct list *rest;
        TRY(list_create(&r->arena, LIST_TUPLE, 0, &rest));
        for (; i < arguments->n; i++) TRY(list_add(&r->arena, rest, arguments->list[i]));
        TRY(dict_set_text(&r->arena, frame->variables, "varargs", value_list(rest)));
    } else if (i < arguments->n) {
        return render_fail(r, FORMAT, "macro '%.*s' takes not more than %zu argument(s)",
                           (int)macro->name.length, macro->name.as.text, i);
    }
    return bind_rest(r, macro, arguments, frame);
}

status render_macro_call(struct render *r, const struct macro *macro,
                         const struct arguments *arguments, struct value *result) {
    struct frame *frame;
    TRY(render_frame(r, macro->frame, &frame));
    if (macro->uses_caller && macro->node->kind == NODE_MACRO) {
        const struct value *caller =
            arguments->named ? dict_find_text(arguments->named, "caller") : NULL;
        struct value none = {.kind = VALUE_UNDEFINED, .length = 6, .as.text = "caller"};
        TRY(dict_set_text(&r->arena, frame->variables, "caller", caller ? *caller : none));
    }
    TRY(bind_parameters(r, macro, arguments, frame));
    return capture(r, macro->node->c, frame, result);
}

static status run_call_block(struct render *r, const struct node *node, struct frame *frame) {
    struct value caller, callee, text;
    struct arguments arguments;
    struct dict *named;
    TRY(define_macro(r, node, frame, &caller));
    TRY(expression_value(r, node->b->a, frame, &callee));
    TRY(expression_arguments(r, node->b->b, frame, &arguments));
    TRY(dict_create(&r->arena, &named));
    for (size_t i = 0; arguments.named && i < arguments.named->n; i++)
        TRY(dict_set(&r->arena, named, arguments.named->entries[i].key,
                     arguments.named->entries[i].value));
    TRY(dict_set_text(&r->arena, named, "caller", caller));
    arguments.named = named;
    TRY(expression_call(r, callee, &arguments, &text));
    return value_write(r->output, text);
}

/* ---- all of them ---- */

static status run_set_block(struct render *r, const struct node *node, struct frame *frame) {
    struct value text;
    TRY(capture(r, node->c, frame, &text));
    if (node->b) {
        r->captured = text;
        TRY(expression_value(r, node->b, frame, &text));
    }
    if (node->kind == NODE_FILTER_BLOCK) return value_write(r->output, text);
    return assign(r, node->a, text, frame);
}

static status run_scope(struct render *r, const struct node *node, struct frame *frame) {
    struct frame *inner;
    struct value value;
    TRY(render_frame(r, frame, &inner));
    for (const struct node *set = node->a; set; set = set->next) {
        TRY(expression_value(r, set->b, frame, &value)); /* none sees the others */
        TRY(assign(r, set->a, value, inner));
    }
    return render_body(r, node->c, inner);
}

static status run_block(struct render *r, const struct node *node, struct frame *frame) {
    struct frame *inner;
    TRY(render_frame(r, node->a ? frame : r->top, &inner));
    return render_body(r, node->c, inner);
}

static status run_statement(struct render *r, const struct node *node, struct frame *frame,
                            enum flow *flow) {
    struct value value;
    switch (node->kind) {
    case NODE_TEXT:
        return buffer_add(r->output, node->value.as.text, node->value.length);
    case NODE_PRINT:
        TRY(expression_value(r, node->a, frame, &value));
        return value_write(r->output, value);
    case NODE_IF:
        return run_if(r, node, frame, flow);
    case NODE_FOR:
        return run_for(r, node, frame);
    case NODE_SET:
        TRY(expression_value(r, node->b, frame, &value));
        return assign(r, node->a, value, frame);
    case NODE_SET_BLOCK:
    case NODE_FILTER_BLOCK:
        return run_set_block(r, node, frame);
    case NODE_MACRO:
        TRY(define_macro(r, node, frame, &value));
        return dict_set(&r->arena, frame->variables, node->value, value);
    case NODE_CALL_BLOCK:
        return run_call_block(r, node, frame);
    case NODE_WITH:
    case NODE_SCOPE:
        return run_scope(r, node, frame);
    case NODE_BLOCK:
        return run_block(r, node, frame);
    case NODE_BREAK:
        *flow = FLOW_BREAK;
        return OK;
    case NODE_CONTINUE:
        *flow = FLOW_CONTINUE;
        return OK;
    default:
        return render_fail(r, INTERNAL, "no statement has the kind %d", (int)node->kind);
    }
}

static status run_body(struct render *r, const struct node *body, struct frame *frame,
                       enum flow *flow) {
    *flow = FLOW_ON;
    if (++r->depth > RENDER_MOST_DEPTH)
        return render_fail(r, LIMIT, "nests deeper than %d", RENDER_MOST_DEPTH);
    for (; body && *flow == FLOW_ON; body = body->next) {
        TRY(render_spend(r, 1));
        r->line = body->line;
        TRY(run_statement(r, body, frame, flow));
    }
    r->depth--;
    return OK;
}

status render_body(struct render *r, const struct node *body, struct frame *frame) {
    enum flow flow;
    return run_body(r, body, frame, &flow);
}
