/* Filters, what stands behind '|'. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "chat/render.h"

status filters_count(struct render *r, struct value value, int64_t *count) {
    if (!render_given(value) || value_integer(value, count)) return OK;
    return render_fail(r, FORMAT, "an integer is needed, not '%s'", value_kind_name(value));
}

/* ---- numbers ---- */

FILTER(filter_abs) {
    int64_t integer;
    (void)values;
    if (value_integer(input, &integer)) {
        if (integer < 0 && sub_overflows((int64_t)0, integer, &integer))
            return render_fail(r, LIMIT, "an integer of more than 64 bits");
        *result = value_int(integer);
        return OK;
    }
    if (input.kind != VALUE_FLOAT)
        return render_fail(r, FORMAT, "abs of '%s'", value_kind_name(input));
    *result = value_float(fabs(input.as.real));
    return OK;
}

/* A number written as text, white space aside; false: it is none. */
static bool read_text_number(struct value text, bool *integral, int64_t *integer, double *real) {
    text = methods_strip(text, value_of_kind(VALUE_MISSING), true, true);
    const char *p = text.as.text, *end = p + text.length;
    size_t digits = 0;
    bool fits = true, minus = p < end && *p == '-';
    *integral = true;
    *integer = 0;
    if (p < end && (*p == '-' || *p == '+')) p++;
    for (const char *c = p; c < end; c++) {
        if (*c >= '0' && *c <= '9') {
            digits++;
            if (*integral)
                fits = fits && !mul_overflows(*integer, 10, integer) &&
                       !add_overflows(*integer, *c - '0', integer);
        } else if (digits && (*c == 'e' || *c == 'E') && c + 1 < end) {
            *integral = false;
            if (c[1] == '-' || c[1] == '+') c++;
            if (c + 1 >= end) return false;
        } else if (*c == '.' && *integral) {
            *integral = false;
        } else {
            return false;
        }
    }
    if (!digits || (*integral && !fits)) return false;
    if (minus) *integer = -*integer;
    return value_read_float(text.as.text, text.length, real);
}

static int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'z') return c - 'a' + 10;
    return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 36;
}

/* Python's int(text, base) with its prefixes and underscores between digits; false: it is none. */
static bool read_in_base(struct value text, int64_t base, int64_t *integer) {
    text = methods_strip(text, value_of_kind(VALUE_MISSING), true, true);
    const char *p = text.as.text, *end = p + text.length;
    bool minus = p < end && *p == '-', digit = false, fits = true;
    if (p < end && (*p == '-' || *p == '+')) p++;
    char letter = base == 16 ? 'x' : base == 8 ? 'o' : base == 2 ? 'b' : 0;
    bool prefixed = letter && end - p > 2 && p[0] == '0' && (p[1] | 32) == letter;
    if (prefixed) p += 2;
    if (prefixed && *p == '_') p++;
    *integer = 0;
    for (; p < end; p++) {
        if (*p == '_' && digit && p + 1 < end) {
            digit = false;
            continue;
        }
        if (digit_of(*p) >= base) return false;
        digit = true;
        fits = fits && !mul_overflows(*integer, base, integer) &&
               !add_overflows(*integer, digit_of(*p), integer);
    }
    if (minus) *integer = -*integer;
    return digit && fits;
}

FILTER(filter_int) { /* default base */
    double real = 0;
    int64_t integer = 0, base = 10;
    bool integral = true, there = false;
    TRY(filters_count(r, values[1], &base));
    if (value_integer(input, &integer)) {
        there = true;
    } else if (input.kind == VALUE_FLOAT) {
        real = input.as.real;
        there = true;
        integral = false;
    } else if (input.kind == VALUE_STRING && base != 10) {
        if (base < 2 || base > 36)
            return render_fail(r, UNSUPPORTED, "int with base %" PRId64, base);
        there = read_in_base(input, base, &integer);
        if (!there) { /* as a float then, even of an integer */
            there = read_text_number(input, &integral, &integer, &real);
            integral = false;
        }
    } else if (input.kind == VALUE_STRING) {
        there = read_text_number(input, &integral, &integer, &real);
    }
    if (there && !integral) {
        there = real > -9e18 && real < 9e18;
        integer = there ? (int64_t)real : 0;
    }
    *result = there ? value_int(integer) : render_given(values[0]) ? values[0] : value_int(0);
    return OK;
}

FILTER(filter_float) { /* default */
    double real = 0;
    int64_t integer;
    bool integral;
    (void)r;
    bool there = value_is_number(input);
    if (there)
        real = value_real(input);
    else if (input.kind == VALUE_STRING)
        there = read_text_number(input, &integral, &integer, &real);
    *result = there ? value_float(real) : render_given(values[0]) ? values[0] : value_float(0);
    return OK;
}

FILTER(filter_round) { /* precision method */
    int64_t precision = 0;
    TRY(filters_count(r, values[0], &precision));
    if (!value_is_number(input))
        return render_fail(r, FORMAT, "round of '%s'", value_kind_name(input));
    if (precision < -15 || precision > 15)
        return render_fail(r, UNSUPPORTED, "round to more than 15 digits");
    double number = value_real(input), scale = pow(10, (double)precision);
    bool common = !render_given(values[1]) || value_is_text(values[1], "common");
    if (common && input.kind == VALUE_INT && precision >= 0) {
        *result = input;
        return OK;
    }
    if (!common && !value_is_text(values[1], "ceil") && !value_is_text(values[1], "floor"))
        return render_fail(r, FORMAT, "method must be common, ceil or floor");
    double scaled = number * scale;
    if (common) { /* half to even where exactly half */
        double low = floor(scaled), rest = scaled - low;
        scaled = rest < 0.5 || (rest == 0.5 && fmod(low, 2) == 0) ? low : low + 1;
    } else {
        scaled = value_is_text(values[1], "ceil") ? ceil(scaled) : floor(scaled);
    }
    *result = value_float(scaled / scale);
    return OK;
}

/* ---- others ---- */

FILTER(filter_default) { /* default_value boolean */
    (void)r;
    bool replaced =
        input.kind == VALUE_UNDEFINED || (value_truth(values[1]) && !value_truth(input));
    *result = !replaced ? input : render_given(values[0]) ? values[0] : value_text("");
    return OK;
}

FILTER(filter_attr) { /* name */
    TRY(value_to_string(&r->arena, values[0], result));
    *result = value_of_kind(VALUE_UNDEFINED);
    if (input.kind == VALUE_DICT) return OK; /* its keys are no attributes */
    return expression_attribute(r, input, values[0], result);
}

FILTER(filter_tojson) { /* ensure_ascii indent separators sort_keys */
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    struct json_style style = {
        .ascii = value_truth(values[0]), .sort = value_truth(values[3]), .indent = -1};
    if (values[1].kind != VALUE_NONE) TRY(filters_count(r, values[1], &style.indent));
    if (render_given(values[1]) && style.indent < 0 && values[1].kind != VALUE_NONE)
        style.indent = 0;
    if (style.indent > 1000) return render_fail(r, LIMIT, "tojson: an indent over 1000");
    if (values[2].kind == VALUE_LIST && values[2].as.list->n == 2) {
        style.item = values[2].as.list->items[0];
        style.key = values[2].as.list->items[1];
    } else if (values[2].kind != VALUE_MISSING && values[2].kind != VALUE_NONE) {
        return render_fail(r, FORMAT, "tojson: separators are two strings");
    }
    status written = value_write_json(&buffer, input, &style, 0);
    if (written != OK) return render_fail(r, written, "%s", status_text());
    *result = value_buffer(&buffer);
    return OK;
}

static const struct filter filters_of_values[] = {
    {"abs", "", filter_abs},
    {"attr", "!name", filter_attr},
    {"d", "default_value boolean", filter_default},
    {"default", "default_value boolean", filter_default},
    {"float", "default", filter_float},
    {"int", "default base", filter_int},
    {"round", "precision method", filter_round},
    {"tojson", "ensure_ascii indent separators sort_keys", filter_tojson},
    {NULL, NULL, NULL},
};
static const struct filter *const tables[] = {filters_of_values, filters_of_sequences,
                                              filters_of_texts};
enum { N_TABLES = sizeof tables / sizeof *tables };
static const char *const pickers[] = {"map",        "select",     "reject",
                                      "selectattr", "rejectattr", "format"};
enum { N_PICKERS = sizeof pickers / sizeof *pickers };

/* NULL: there is none of this name. */
static const struct filter *find(struct value name) {
    for (int i = 0; i < N_TABLES; i++)
        for (const struct filter *filter = tables[i]; filter->name; filter++)
            if (value_is_text(name, filter->name)) return filter;
    return NULL;
}

bool filters_has(struct value name) {
    if (find(name)) return true;
    for (size_t i = 0; i < N_PICKERS; i++)
        if (value_is_text(name, pickers[i])) return true;
    return false;
}

/* map(attribute=..., default=...), or map(filter, its arguments) */
static status map(struct render *r, struct value item, const struct arguments *arguments,
                  struct value *result) {
    if (arguments->n) {
        struct arguments rest = *arguments;
        rest.list++;
        rest.n--;
        return filters_apply(r, arguments->list[0], item, &rest, result);
    }
    const struct value *path =
        arguments->named ? dict_find_text(arguments->named, "attribute") : NULL;
    if (!path) return render_fail(r, FORMAT, "map requires a filter argument");
    const struct value *fallback = dict_find_text(arguments->named, "default");
    TRY(filters_by_path(r, item, *path, result));
    if (result->kind == VALUE_UNDEFINED && fallback) *result = *fallback;
    return OK;
}

/* Whether select, by itself or by an attribute, takes the item. */
static status picks(struct render *r, struct value item, const struct arguments *arguments,
                    bool by_attribute, bool *picked) {
    struct arguments rest = *arguments;
    if (by_attribute) {
        if (!rest.n) return render_fail(r, FORMAT, "Missing parameter for attribute name");
        TRY(filters_by_path(r, item, rest.list[0], &item));
        rest.list++;
        rest.n--;
    }
    *picked = value_truth(item);
    if (!rest.n) return OK;
    struct value test = rest.list[0];
    rest.list++;
    rest.n--;
    return tests_apply(r, test, item, &rest, picked);
}

static status pick(struct render *r, struct value name, struct value input,
                   const struct arguments *arguments, struct value *result) {
    const struct list *items;
    struct list *list;
    bool maps = value_is_text(name, "map"), picked = true;
    bool rejects = name.as.text[0] == 'r', by_attribute = name.length > 6;
    TRY(list_create(&r->arena, LIST_GENERATOR, 0, &list));
    *result = value_list(list);
    if (!value_truth(input)) return OK; /* none, say, which can't be iterated over */
    TRY(expression_items(r, input, &items));
    for (size_t i = 0; i < items->n; i++) {
        struct value item = items->items[i];
        TRY(render_spend(r, 1));
        if (maps)
            TRY(map(r, item, arguments, &item));
        else
            TRY(picks(r, item, arguments, by_attribute, &picked));
        if (picked != rejects || maps) TRY(list_add(&r->arena, list, item));
    }
    return OK;
}

static status format(struct render *r, struct value input, const struct arguments *arguments,
                     struct value *result) {
    struct list list = {
        .kind = LIST_TUPLE, .n = arguments->n, .items = (struct value *)(uintptr_t)arguments->list};
    if (arguments->named) return render_fail(r, UNSUPPORTED, "format with named values");
    TRY(value_to_string(&r->arena, input, &input));
    return operators_format(r, input, &list, result);
}

static status apply(struct render *r, struct value name, struct value input,
                    const struct arguments *arguments, struct value *result) {
    struct value values[MOST_PARAMETERS];
    if (value_is_text(name, "format")) return format(r, input, arguments, result);
    for (size_t i = 0; i < N_PICKERS; i++)
        if (value_is_text(name, pickers[i])) return pick(r, name, input, arguments, result);
    const struct filter *filter = find(name);
    if (filter) {
        TRY(render_bind(r, filter->name, filter->parameters, arguments, values));
        return filter->apply(r, input, values, result);
    }
    if (name.kind != VALUE_STRING) return render_fail(r, FORMAT, "a filter's name is no string");
    return render_fail(r, UNSUPPORTED, "No filter named '%.*s'.",
                       (int)(name.length < 100 ? name.length : 100), name.as.text);
}

status filters_apply(struct render *r, struct value name, struct value input,
                     const struct arguments *arguments, struct value *result) {
    if (++r->depth > RENDER_MOST_DEPTH)
        return render_fail(r, LIMIT, "nests deeper than %d", RENDER_MOST_DEPTH);
    TRY(apply(r, name, input, arguments, result));
    r->depth--;
    return OK;
}
