/* Operators of Python's numbers, strings and lists. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/text_format.h"
#include "chat/render.h"
#include "tokenizer/utf8.h"

size_t operators_length(struct value text) {
    size_t n = 0;
    for (size_t i = 0; i < text.length; i++) n += ((unsigned char)text.as.text[i] & 0xc0) != 0x80;
    return n;
}

size_t operators_offset(struct value text, size_t character) {
    size_t i = 0;
    while (i < text.length && character--) i += utf8_length((uint8_t)text.as.text[i]);
    return i;
}

static const char *const symbols[] = {"+",  "-",  "*", "/",  "//", "%",  "**", "~",
                                      "==", "!=", "<", "<=", ">",  ">=", "in", "not in"};

static status fail_types(struct render *r, enum operator op, struct value a, struct value b) {
    struct value missing = a.kind == VALUE_UNDEFINED ? a : b;
    int n = missing.length < 100 ? (int)missing.length : 100;
    if (missing.kind == VALUE_UNDEFINED)
        return render_fail(r, FORMAT, "'%.*s' is undefined", n, n ? missing.as.text : "");
    return render_fail(r, FORMAT, "unsupported operand types for %s: '%s' and '%s'", symbols[op],
                       value_kind_name(a), value_kind_name(b));
}

static status fail_overflow(struct render *r) {
    return render_fail(r, LIMIT, "an integer of more than 64 bits");
}

static status power(struct render *r, int64_t a, int64_t b, struct value *result) {
    if (b < 0) {
        if (!a) return render_fail(r, FORMAT, "zero to a negative power");
        *result = value_float(pow((double)a, (double)b));
        return OK;
    }
    int64_t product = 1;
    if (a == 0 || a == 1 || a == -1) b = a == 0 && b ? 1 : b % 2;
    for (; b > 0; b--)
        if (mul_overflows(product, a, &product)) return fail_overflow(r);
    *result = value_int(product);
    return OK;
}

static status integers(struct render *r, enum operator op, int64_t a, int64_t b,
                       struct value *result) {
    int64_t c = 0;
    bool overflows = false;
    if (!b && (op == OPERATOR_DIVIDE || op == OPERATOR_FLOOR || op == OPERATOR_MODULO))
        return render_fail(r, FORMAT, "division by zero");
    switch (op) {
    case OPERATOR_ADD:
        overflows = add_overflows(a, b, &c);
        break;
    case OPERATOR_SUBTRACT:
        overflows = sub_overflows(a, b, &c);
        break;
    case OPERATOR_MULTIPLY:
        overflows = mul_overflows(a, b, &c);
        break;
    case OPERATOR_DIVIDE:
        *result = value_float((double)a / (double)b);
        return OK;
    case OPERATOR_FLOOR:
        if (b == -1)
            overflows = sub_overflows((int64_t)0, a, &c);
        else
            c = a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    case OPERATOR_MODULO:
        c = b == -1 ? 0 : a % b;
        if (c && (c < 0) != (b < 0)) c += b;
        break;
    default:
        return power(r, a, b, result);
    }
    if (overflows) return fail_overflow(r);
    *result = value_int(c);
    return OK;
}

static status floats(struct render *r, enum operator op, double a, double b, struct value *result) {
    double c;
    if (b == 0 && (op == OPERATOR_DIVIDE || op == OPERATOR_FLOOR || op == OPERATOR_MODULO))
        return render_fail(r, FORMAT, "division by zero");
    switch (op) {
    case OPERATOR_ADD:
        c = a + b;
        break;
    case OPERATOR_SUBTRACT:
        c = a - b;
        break;
    case OPERATOR_MULTIPLY:
        c = a * b;
        break;
    case OPERATOR_DIVIDE:
        c = a / b;
        break;
    case OPERATOR_FLOOR:
    case OPERATOR_MODULO: {
        double rest = fmod(a, b);
        if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
        c = op == OPERATOR_MODULO ? (rest == 0 ? copysign(0, b) : rest)
                                  : floor((a - rest) / b + 0.5);
        break;
    }
    default:
        c = pow(a, b);
    }
    *result = value_float(c);
    return OK;
}

static status repeat(struct render *r, struct value value, int64_t times, struct value *result) {
    if (times < 0) times = 0;
    if (value.kind == VALUE_STRING) {
        struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
        if (!value.length) times = 0;
        for (; times > 0; times--) TRY(value_write(&buffer, value));
        *result = value_buffer(&buffer);
        return OK;
    }
    struct list *list;
    TRY(list_create(&r->arena, value.as.list->kind, 0, &list));
    if (!value.as.list->n) times = 0;
    for (; times > 0; times--)
        for (size_t i = 0; i < value.as.list->n; i++)
            TRY(list_add(&r->arena, list, value.as.list->items[i]));
    *result = value_list(list);
    return OK;
}

static status concatenate(struct render *r, struct value a, struct value b, struct value *result) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    TRY(value_to_string(&r->arena, a, &a));
    TRY(value_to_string(&r->arena, b, &b));
    if (a.length < SIZE_MAX / 4 && b.length < SIZE_MAX / 4 && a.length + b.length) {
        buffer.capacity = a.length + b.length;
        ARENA_TAKE(&r->arena, buffer.capacity, &buffer.data);
    }
    TRY(value_write(&buffer, a));
    TRY(value_write(&buffer, b));
    *result = value_buffer(&buffer);
    return OK;
}

static bool is_sequence(struct value value) {
    return value.kind == VALUE_STRING ||
           (value.kind == VALUE_LIST && value.as.list->kind <= LIST_TUPLE);
}

static status add_lists(struct render *r, const struct list *a, const struct list *b,
                        struct value *result) {
    struct list *list;
    TRY(list_create(&r->arena, a->kind, a->n + b->n, &list));
    for (size_t i = 0; i < a->n; i++) list->items[list->n++] = a->items[i];
    for (size_t i = 0; i < b->n; i++) list->items[list->n++] = b->items[i];
    *result = value_list(list);
    return OK;
}

static status format_one(struct render *r, struct value format, struct value value,
                         struct value *result) {
    struct list *values;
    TRY(list_create(&r->arena, LIST_TUPLE, 1, &values));
    TRY(list_add(&r->arena, values, value));
    return operators_format(r, format, values, result);
}

status operators_binary(struct render *r, enum operator op, struct value a, struct value b,
                        struct value *result) {
    int64_t x, y;
    if (op == OPERATOR_CONCATENATE) return concatenate(r, a, b, result);
    if (value_is_number(a) && value_is_number(b)) {
        if (value_integer(a, &x) && value_integer(b, &y)) return integers(r, op, x, y, result);
        return floats(r, op, value_real(a), value_real(b), result);
    }
    if (op == OPERATOR_MODULO && a.kind == VALUE_STRING) {
        if (b.kind == VALUE_LIST && b.as.list->kind == LIST_TUPLE)
            return operators_format(r, a, b.as.list, result);
        return format_one(r, a, b, result);
    }
    if (op == OPERATOR_MULTIPLY && is_sequence(a) && value_integer(b, &y))
        return repeat(r, a, y, result);
    if (op == OPERATOR_MULTIPLY && is_sequence(b) && value_integer(a, &x))
        return repeat(r, b, x, result);
    if (op != OPERATOR_ADD || !is_sequence(a) || a.kind != b.kind) return fail_types(r, op, a, b);
    if (a.kind == VALUE_STRING) {
        bool markup = a.number == STRING_IS_MARKUP || b.number == STRING_IS_MARKUP;
        if (markup) TRY(filters_escape(r, a, &a));
        if (markup) TRY(filters_escape(r, b, &b));
        TRY(concatenate(r, a, b, result));
        if (markup) result->number = STRING_IS_MARKUP;
        return OK;
    }
    if (a.as.list->kind != b.as.list->kind || !is_sequence(b)) return fail_types(r, op, a, b);
    return add_lists(r, a.as.list, b.as.list, result);
}

status operators_contains(struct render *r, struct value container, struct value item,
                          bool *result) {
    const struct list *items;
    *result = false;
    if (container.kind == VALUE_DICT) {
        if (!dict_can_hold(item))
            return render_fail(r, FORMAT, "unhashable type: '%s'", value_kind_name(item));
        *result = dict_find(container.as.dict, item) != NULL;
        return OK;
    }
    if (container.kind == VALUE_STRING) {
        if (item.kind != VALUE_STRING)
            return render_fail(r, FORMAT, "'in <string>' requires string as left operand, not %s",
                               value_kind_name(item));
        TRY(render_spend(r, container.length / 64));
        *result = methods_find_text(container, item, 0) != SIZE_MAX;
        return OK;
    }
    TRY(expression_items(r, container, &items));
    TRY(render_spend(r, items->n / 8));
    for (size_t i = 0; i < items->n && !*result; i++)
        *result = value_equal(items->items[i], item, 0);
    return OK;
}

status operators_compare(struct render *r, enum operator op, struct value a, struct value b,
                         bool *result) {
    int order = 0;
    switch (op) {
    case OPERATOR_EQUAL:
        *result = value_equal(a, b, 0);
        return OK;
    case OPERATOR_UNEQUAL:
        *result = !value_equal(a, b, 0);
        return OK;
    case OPERATOR_IN:
        return operators_contains(r, b, a, result);
    case OPERATOR_NOT_IN:
        TRY(operators_contains(r, b, a, result));
        *result = !*result;
        return OK;
    default:
        break;
    }
    if (!value_compare(a, b, 0, &order)) return fail_types(r, op, a, b);
    bool nan =
        value_is_number(a) && value_is_number(b) && (isnan(value_real(a)) || isnan(value_real(b)));
    *result = !nan && (op == OPERATOR_LESS         ? order < 0
                       : op == OPERATOR_LESS_EQUAL ? order <= 0
                       : op == OPERATOR_GREATER    ? order > 0
                                                   : order >= 0);
    return OK;
}

/* A bound of a slice as Python clips it to 0 ... n, or -1 ... n-1 going down. */
static status read_bound(struct render *r, struct value bound, int64_t n, bool down,
                         int64_t fallback, int64_t *at) {
    *at = fallback;
    if (bound.kind == VALUE_NONE) return OK;
    if (!value_integer(bound, at))
        return render_fail(r, FORMAT, "slice indices must be integers or None");
    if (*at < 0) *at += n;
    int64_t least = down ? -1 : 0, most = down ? n - 1 : n;
    if (*at < least) *at = least;
    if (*at > most) *at = most;
    return OK;
}

status operators_slice(struct render *r, struct value object, const struct value bounds[3],
                       struct value *result) {
    int64_t step = 1, from, to;
    if (!is_sequence(object)) {
        *result = value_of_kind(VALUE_UNDEFINED);
        return OK;
    }
    bool text = object.kind == VALUE_STRING;
    int64_t n = (int64_t)(text ? operators_length(object) : object.as.list->n);
    if (bounds[2].kind != VALUE_NONE && (!value_integer(bounds[2], &step) || !step))
        return render_fail(r, FORMAT, "the step of a slice is zero or no integer");
    TRY(read_bound(r, bounds[0], n, step < 0, step < 0 ? n - 1 : 0, &from));
    TRY(read_bound(r, bounds[1], n, step < 0, step < 0 ? -1 : n, &to));
    if (text && step == 1) { /* a view */
        size_t first = operators_offset(object, (size_t)from);
        size_t last = operators_offset(object, (size_t)(to < from ? from : to));
        *result = value_string(object.as.text + first, last - first);
        return render_spend(r, object.length / 64);
    }
    const struct list *items;
    struct list *list;
    TRY(expression_items(r, object, &items));
    TRY(list_create(&r->arena, text ? LIST_LIST : items->kind, 0, &list));
    while (step > 0 ? from < to : from > to) {
        TRY(list_add(&r->arena, list, items->items[from]));
        if (add_overflows(from, step, &from)) break;
    }
    *result = value_list(list);
    if (!text) return OK;
    struct buffer buffer = {.arena = &r->arena};
    for (size_t i = 0; i < list->n; i++) TRY(value_write(&buffer, list->items[i]));
    *result = value_buffer(&buffer);
    return OK;
}

/* ---- '%' ---- */

/* One value by its conversion, "%-08.3f" say. */
static status convert(struct render *r, struct buffer *buffer, const char *conversion, char kind,
                      struct value value) {
    char text[400], format[40];
    int64_t integer;
    size_t n = strlen(conversion);
    if (kind == 's' || kind == 'r') {
        struct buffer whole = {.arena = &r->arena};
        TRY(kind == 's' ? value_write(&whole, value) : value_write_repr(&whole, value, 0));
        if (n != 2) return render_fail(r, UNSUPPORTED, "the conversion %s", conversion);
        return buffer_add(buffer, whole.data ? whole.data : "", whole.length);
    }
    if (!value_is_number(value))
        return render_fail(r, FORMAT, "%%%c format: a number is required, not %s", kind,
                           value_kind_name(value));
    if (kind == 'd' || kind == 'i' || kind == 'x' || kind == 'X' || kind == 'o') {
        if (!value_integer(value, &integer)) integer = (int64_t)value.as.real;
        text_format(format, sizeof format, "%.*sl%c", (int)n - 1, conversion, kind);
        text_format(text, sizeof text, format, (long)integer);
    } else {
        text_format(text, sizeof text, conversion, value_real(value));
        for (char *c = text; *c; c++)
            if (*c == ',') *c = '.'; /* the host's locale may have another point */
    }
    return buffer_add_text(buffer, text);
}

status operators_format(struct render *r, struct value format, const struct list *values,
                        struct value *result) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    const char *p = format.as.text, *end = p + format.length;
    size_t used = 0;
    while (p < end) {
        char conversion[24];
        size_t n = 0;
        if (*p != '%') {
            TRY(buffer_add(&buffer, p++, 1));
            continue;
        }
        conversion[n++] = *p++;
        while (p < end && *p && strchr("-+ 0#.123456789", *p) && n < 8) conversion[n++] = *p++;
        char kind = p < end ? *p++ : 0;
        if (kind == '%' && n == 1) {
            TRY(buffer_add(&buffer, "%", 1));
            continue;
        }
        conversion[n++] = kind;
        conversion[n] = 0;
        if (!kind || !strchr("srdixXoeEfFgG", kind))
            return render_fail(r, UNSUPPORTED, "the conversion %s", conversion);
        if (used == values->n)
            return render_fail(r, FORMAT, "not enough arguments for format string");
        TRY(convert(r, &buffer, conversion, kind, values->items[used++]));
    }
    if (used < values->n)
        return render_fail(r, FORMAT, "not all arguments converted during string formatting");
    *result = value_buffer(&buffer);
    return OK;
}
