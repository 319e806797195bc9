#include <string.h>

#include "base/checked.h"
#include "chat/render.h"
#include "tokenizer/utf8.h"

static struct value undefined(struct value name) {
    struct value value = {.kind = VALUE_UNDEFINED};
    if (name.kind == VALUE_STRING) {
        value.as.text = name.as.text;
        value.length = name.length;
    }
    return value;
}

static status fail_undefined(struct render *r, struct value value) {
    int n = value.length < 100 ? (int)value.length : 100;
    return render_fail(r, FORMAT, "'%.*s' is undefined", n, n ? value.as.text : "");
}

/* ---- names, attributes, items ---- */

static status find_name(struct render *r, struct value name, const struct frame *frame,
                        struct value *value) {
    for (; frame; frame = frame->parent) {
        TRY(render_spend(r, 1));
        const struct value *found = dict_find(frame->variables, name);
        if (found) {
            *value = *found;
            return OK;
        }
    }
    *value = undefined(name);
    return OK;
}

static struct value loop_attribute(struct value object, struct value name) {
    struct loop *loop = object.as.loop;
    const struct list *items = loop->items;
    int64_t index = (int64_t)loop->index, n = (int64_t)items->n;
    if (value_is_text(name, "index")) return value_int(index + 1);
    if (value_is_text(name, "index0")) return value_int(index);
    if (value_is_text(name, "revindex")) return value_int(n - index);
    if (value_is_text(name, "revindex0")) return value_int(n - index - 1);
    if (value_is_text(name, "first")) return value_bool(index == 0);
    if (value_is_text(name, "last")) return value_bool(index == n - 1);
    if (value_is_text(name, "length")) return value_int(n);
    if (value_is_text(name, "depth")) return value_int((int64_t)loop->depth + 1);
    if (value_is_text(name, "depth0")) return value_int((int64_t)loop->depth);
    if (value_is_text(name, "previtem"))
        return index > 0 ? items->items[index - 1] : undefined(name);
    if (value_is_text(name, "nextitem"))
        return index + 1 < n ? items->items[index + 1] : undefined(name);
    struct value function = object; /* keeps its loop */
    function.kind = VALUE_FUNCTION;
    function.number = FUNCTION_LOOP_CYCLE;
    if (value_is_text(name, "cycle")) return function;
    function.number = FUNCTION_LOOP_CHANGED;
    return value_is_text(name, "changed") ? function : undefined(name);
}

static status macro_attribute(struct render *r, const struct macro *macro, struct value name,
                              struct value *value) {
    struct list *names;
    if (value_is_text(name, "name")) *value = macro->name;
    if (value_is_text(name, "catch_kwargs")) *value = value_bool(macro->uses_kwargs);
    if (value_is_text(name, "catch_varargs")) *value = value_bool(macro->uses_varargs);
    if (value_is_text(name, "caller")) *value = value_bool(macro->uses_caller);
    if (!value_is_text(name, "arguments")) return OK;
    TRY(list_create(&r->arena, LIST_TUPLE, 0, &names));
    for (const struct node *p = macro->node->a; p; p = p->next)
        TRY(list_add(&r->arena, names, p->value));
    *value = value_list(names);
    return OK;
}

status expression_attribute(struct render *r, struct value object, struct value name,
                            struct value *value) {
    struct value method;
    *value = undefined(name);
    switch (object.kind) {
    case VALUE_UNDEFINED:
        return fail_undefined(r, object);
    case VALUE_LOOP:
        *value = loop_attribute(object, name);
        return OK;
    case VALUE_NAMESPACE: {
        const struct value *found = dict_find(object.as.dict, name);
        if (found) *value = *found;
        return OK;
    }
    case VALUE_MACRO:
        return macro_attribute(r, object.as.macro, name, value);
    default:
        break;
    }
    if (object.kind == VALUE_LIST && object.number == LIST_IS_GROUP) {
        bool grouper = value_is_text(name, "grouper");
        if (grouper || value_is_text(name, "list")) {
            *value = object.as.list->items[!grouper];
            return OK;
        }
    }
    TRY(methods_find(r, object, name, &method));
    if (method.kind != VALUE_MISSING) {
        *value = method;
    } else if (object.kind == VALUE_DICT) {
        const struct value *found = dict_find(object.as.dict, name);
        if (found) *value = *found;
    }
    return OK;
}

/* -1 counts from the end. */
static bool find_index(int64_t index, size_t n, size_t *at) {
    if (index < 0) index += (int64_t)n;
    if (index < 0 || index >= (int64_t)n) return false;
    *at = (size_t)index;
    return true;
}

status expression_item(struct render *r, struct value object, struct value key,
                       struct value *value) {
    int64_t index;
    size_t at;
    *value = undefined(key);
    if (object.kind == VALUE_UNDEFINED) return fail_undefined(r, object);
    if (object.kind == VALUE_DICT) {
        const struct value *found = dict_find(object.as.dict, key);
        if (found) {
            *value = *found;
            return OK;
        }
    } else if (object.kind == VALUE_LIST && value_integer(key, &index)) {
        if (object.as.list->kind <= LIST_TUPLE && find_index(index, object.as.list->n, &at))
            *value = object.as.list->items[at];
        return OK;
    } else if (object.kind == VALUE_STRING && value_integer(key, &index)) {
        TRY(render_spend(r, object.length / 64));
        if (!find_index(index, operators_length(object), &at)) return OK;
        const char *p = object.as.text + operators_offset(object, at);
        *value = value_string(p, utf8_length((uint8_t)*p));
        return OK;
    }
    if (key.kind == VALUE_STRING) return expression_attribute(r, object, key, value);
    return OK;
}

status expression_items(struct render *r, struct value value, const struct list **items) {
    struct list *list;
    switch (value.kind) {
    case VALUE_LIST:
        *items = value.as.list;
        if (value.as.list->kind == LIST_GENERATOR) {
            struct list *rest;
            ARENA_TAKE(&r->arena, 1, &rest);
            *rest = *value.as.list;
            rest->kind = LIST_LIST;
            if (rest->taken) rest->items += rest->taken;
            rest->n -= rest->taken;
            value.as.list->taken = value.as.list->n;
            *items = rest;
        }
        return OK;
    case VALUE_UNDEFINED:
        return list_create(&r->arena, LIST_LIST, 0, (struct list **)(uintptr_t)items);
    case VALUE_DICT:
        TRY(list_create(&r->arena, LIST_LIST, value.as.dict->n, &list));
        for (size_t i = 0; i < value.as.dict->n; i++)
            list->items[list->n++] = value.as.dict->entries[i].key;
        *items = list;
        return OK;
    case VALUE_STRING:
        TRY(list_create(&r->arena, LIST_LIST, operators_length(value), &list));
        for (size_t i = 0, n; i < value.length; i += n) {
            n = utf8_length((uint8_t)value.as.text[i]);
            list->items[list->n++] = value_string(value.as.text + i, n);
        }
        *items = list;
        return OK;
    default:
        return render_fail(r, FORMAT, "'%s' object is not iterable", value_kind_name(value));
    }
}

/* ---- calls ---- */

static status add_named(struct render *r, struct arguments *arguments, struct value name,
                        struct value value) {
    struct dict *named = (struct dict *)(uintptr_t)arguments->named;
    if (!named) TRY(dict_create(&r->arena, &named));
    arguments->named = named;
    if (name.kind != VALUE_STRING) return render_fail(r, FORMAT, "keywords must be strings");
    if (dict_find(named, name)) return render_fail(r, FORMAT, "a keyword argument is repeated");
    return dict_set(&r->arena, named, name, value);
}

/* *value among the arguments by position, **value among those by name. */
static status spread(struct render *r, const struct node *node, struct value value,
                     struct list *list, struct arguments *arguments) {
    const struct list *items;
    if (node->op == OPERATOR_MULTIPLY) {
        TRY(expression_items(r, value, &items));
        TRY(render_spend(r, items->n));
        for (size_t i = 0; i < items->n; i++) TRY(list_add(&r->arena, list, items->items[i]));
        return OK;
    }
    if (value.kind != VALUE_DICT)
        return render_fail(r, FORMAT, "argument after ** must be a mapping, not '%s'",
                           value_kind_name(value));
    const struct dict *dict = value.as.dict;
    TRY(render_spend(r, dict->n));
    for (size_t i = 0; i < dict->n; i++)
        TRY(add_named(r, arguments, dict->entries[i].key, dict->entries[i].value));
    return OK;
}

status expression_arguments(struct render *r, const struct node *node, struct frame *frame,
                            struct arguments *arguments) {
    struct list *list;
    struct value value;
    *arguments = (struct arguments){.list = NULL};
    TRY(list_create(&r->arena, LIST_TUPLE, 0, &list));
    for (; node; node = node->next) {
        bool named = node->kind == NODE_KEYWORD, spreads = node->kind == NODE_SPREAD;
        TRY(expression_value(r, named || spreads ? node->a : node, frame, &value));
        if (named)
            TRY(add_named(r, arguments, node->value, value));
        else if (spreads)
            TRY(spread(r, node, value, list, arguments));
        else
            TRY(list_add(&r->arena, list, value));
    }
    arguments->list = list->items;
    arguments->n = list->n;
    return OK;
}

status render_bind(struct render *r, const char *what, const char *names,
                   const struct arguments *arguments, struct value *values) {
    size_t n = 0, used = 0;
    for (const char *word = names; *word; n++) {
        bool needed = *word == '!';
        if (needed) word++;
        size_t length = strcspn(word, " ");
        const struct value *named =
            arguments->named ? dict_find(arguments->named, value_string(word, length)) : NULL;
        values[n] = value_of_kind(VALUE_MISSING);
        if (n < arguments->n)
            values[n] = arguments->list[n];
        else if (named)
            values[n] = *named;
        used += named != NULL;
        if (values[n].kind == VALUE_MISSING && needed)
            return render_fail(r, FORMAT, "%s: argument '%.*s' is missing", what, (int)length,
                               word);
        word += length;
        word += *word == ' ';
    }
    if (arguments->n > n)
        return render_fail(r, FORMAT, "%s takes %zu arguments, not %zu", what, n, arguments->n);
    if (arguments->named && used < arguments->named->n)
        return render_fail(r, FORMAT, "%s: an argument by an unknown name", what);
    return OK;
}

status expression_call(struct render *r, struct value callee, const struct arguments *arguments,
                       struct value *result) {
    struct value values[1];
    TRY(render_spend(r, 1));
    switch (callee.kind) {
    case VALUE_MACRO:
        return render_macro_call(r, callee.as.macro, arguments, result);
    case VALUE_METHOD:
        return methods_call(r, callee.as.method, arguments, result);
    case VALUE_LOOP:
        return render_loop_call(r, callee.as.loop, arguments, result);
    case VALUE_UNDEFINED:
        return fail_undefined(r, callee);
    case VALUE_FUNCTION:
        break;
    default:
        return render_fail(r, FORMAT, "'%s' object is not callable", value_kind_name(callee));
    }
    if (callee.number == FUNCTION_LOOP_CYCLE) {
        if (!arguments->n) return render_fail(r, FORMAT, "no items for cycling given");
        *result = arguments->list[callee.as.loop->index % arguments->n];
        return OK;
    }
    if (callee.number == FUNCTION_LOOP_CHANGED) {
        TRY(render_bind(r, "changed", "!value", arguments, values));
        bool same = value_equal(callee.as.loop->last_changed, values[0], 0);
        callee.as.loop->last_changed = values[0];
        *result = value_bool(!same);
        return OK;
    }
    return functions_call(r, callee.number, arguments, result);
}

/* ---- operators ---- */

static status compare_chain(struct render *r, const struct node *node, struct frame *frame,
                            struct value *value) {
    struct value left, right;
    bool holds = true;
    TRY(expression_value(r, node->a, frame, &left));
    for (const struct node *operand = node->b; operand && holds; operand = operand->next) {
        TRY(expression_value(r, operand->a, frame, &right));
        TRY(operators_compare(r, operand->op, left, right, &holds));
        left = right;
    }
    *value = value_bool(holds);
    return OK;
}

static status negate(struct render *r, const struct node *node, struct frame *frame,
                     struct value *value) {
    struct value number;
    int64_t integer;
    bool minus = node->kind == NODE_NEGATE;
    TRY(expression_value(r, node->a, frame, &number));
    if (number.kind == VALUE_UNDEFINED) return fail_undefined(r, number);
    if (number.kind == VALUE_FLOAT) {
        *value = value_float(minus ? -number.as.real : number.as.real);
        return OK;
    }
    if (!value_integer(number, &integer))
        return render_fail(r, FORMAT, "bad operand type for unary %c: '%s'", minus ? '-' : '+',
                           value_kind_name(number));
    if (minus && sub_overflows((int64_t)0, integer, &integer))
        return render_fail(r, LIMIT, "an integer of more than 64 bits");
    *value = value_int(integer);
    return OK;
}

static status read_item(struct render *r, const struct node *node, struct frame *frame,
                        struct value *value) {
    struct value object, key, bounds[3];
    TRY(expression_value(r, node->a, frame, &object));
    if (node->b->kind != NODE_SLICE) {
        TRY(expression_value(r, node->b, frame, &key));
        return expression_item(r, object, key, value);
    }
    const struct node *parts[3] = {node->b->a, node->b->b, node->b->c};
    for (int i = 0; i < 3; i++) {
        bounds[i] = value_of_kind(VALUE_NONE);
        if (parts[i]) TRY(expression_value(r, parts[i], frame, &bounds[i]));
    }
    if (object.kind == VALUE_UNDEFINED) return fail_undefined(r, object);
    return operators_slice(r, object, bounds, value);
}

static status make_list(struct render *r, const struct node *node, struct frame *frame,
                        struct value *value) {
    struct list *list;
    struct value item;
    TRY(list_create(&r->arena, node->kind == NODE_TUPLE ? LIST_TUPLE : LIST_LIST, 0, &list));
    for (const struct node *p = node->a; p; p = p->next) {
        TRY(expression_value(r, p, frame, &item));
        TRY(list_add(&r->arena, list, item));
    }
    *value = value_list(list);
    return OK;
}

static status make_dict(struct render *r, const struct node *node, struct frame *frame,
                        struct value *value) {
    struct dict *dict;
    struct value key, item;
    TRY(dict_create(&r->arena, &dict));
    for (const struct node *p = node->a; p; p = p->next) {
        TRY(expression_value(r, p->a, frame, &key));
        TRY(expression_value(r, p->b, frame, &item));
        if (!dict_can_hold(key))
            return render_fail(r, FORMAT, "unhashable type: '%s'", value_kind_name(key));
        TRY(dict_set(&r->arena, dict, key, item));
    }
    *value = value_dict(dict);
    return OK;
}

static status call_node(struct render *r, const struct node *node, struct frame *frame,
                        struct value *value) {
    struct value callee;
    struct arguments arguments;
    TRY(expression_value(r, node->a, frame, &callee));
    TRY(expression_arguments(r, node->b, frame, &arguments));
    if (node->kind == NODE_CALL) return expression_call(r, callee, &arguments, value);
    if (node->kind == NODE_FILTER) return filters_apply(r, node->value, callee, &arguments, value);
    bool holds;
    TRY(tests_apply(r, node->value, callee, &arguments, &holds));
    *value = value_bool(holds);
    return OK;
}

static status evaluate(struct render *r, const struct node *node, struct frame *frame,
                       struct value *value) {
    struct value left, right;
    switch (node->kind) {
    case NODE_LITERAL:
        *value = node->value;
        return OK;
    case NODE_NAME:
        return find_name(r, node->value, frame, value);
    case NODE_CAPTURED:
        *value = r->captured;
        return OK;
    case NODE_LIST:
    case NODE_TUPLE:
        return make_list(r, node, frame, value);
    case NODE_DICT:
        return make_dict(r, node, frame, value);
    case NODE_NEGATE:
    case NODE_PLUS:
        return negate(r, node, frame, value);
    case NODE_NOT:
        TRY(expression_value(r, node->a, frame, &left));
        *value = value_bool(!value_truth(left));
        return OK;
    case NODE_AND:
    case NODE_OR:
        TRY(expression_value(r, node->a, frame, value));
        if (value_truth(*value) == (node->kind == NODE_OR)) return OK;
        return expression_value(r, node->b, frame, value);
    case NODE_BINARY:
        TRY(expression_value(r, node->a, frame, &left));
        TRY(expression_value(r, node->b, frame, &right));
        return operators_binary(r, node->op, left, right, value);
    case NODE_COMPARE:
        return compare_chain(r, node, frame, value);
    case NODE_CONDITION:
        TRY(expression_value(r, node->a, frame, &left));
        if (value_truth(left)) return expression_value(r, node->b, frame, value);
        *value = value_of_kind(VALUE_UNDEFINED);
        return node->c ? expression_value(r, node->c, frame, value) : OK;
    case NODE_ATTRIBUTE:
        TRY(expression_value(r, node->a, frame, &left));
        return expression_attribute(r, left, node->value, value);
    case NODE_ITEM:
        return read_item(r, node, frame, value);
    case NODE_CALL:
    case NODE_FILTER:
    case NODE_TEST:
        return call_node(r, node, frame, value);
    default:
        return render_fail(r, INTERNAL, "no expression has the kind %d", (int)node->kind);
    }
}

status expression_value(struct render *r, const struct node *node, struct frame *frame,
                        struct value *value) {
    if (++r->depth > RENDER_MOST_DEPTH)
        return render_fail(r, LIMIT, "nests deeper than %d", RENDER_MOST_DEPTH);
    TRY(render_spend(r, 1));
    r->line = node->line;
    TRY(evaluate(r, node, frame, value));
    r->depth--;
    return OK;
}
