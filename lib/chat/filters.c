/* Filters, what stands behind '|'. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "chat/render.h"
#include "tokenizer/character.h"
#include "tokenizer/utf8.h"

struct filter {
    const char *name, *parameters; /* as in render_bind */
    status (*apply)(struct render *r, struct value input, const struct value *values,
                    struct value *result);
};

#define FILTER(name)                                                                     \
    static status name(struct render *r, struct value input, const struct value *values, \
                       struct value *result)

status filters_count(struct render *r, struct value value, int64_t *count) {
    if (!render_given(value) || value_integer(value, count)) return OK;
    return render_fail(r, FORMAT, "an integer is needed, not '%s'", value_kind_name(value));
}

/* ---- sorting ---- */

static status merge(struct render *r, struct entry *entries, struct entry *spare, size_t n,
                    bool reverse) {
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t start = 0; start < n; start += 2 * width) {
            size_t middle = start + width < n ? start + width : n;
            size_t end = start + 2 * width < n ? start + 2 * width : n;
            size_t i = start, j = middle;
            for (size_t k = start; k < end; k++) {
                int order = 0;
                if (i < middle && j < end &&
                    !value_compare(entries[i].key, entries[j].key, 0, &order))
                    return render_fail(r, FORMAT, "'%s' and '%s' have no order",
                                       value_kind_name(entries[i].key),
                                       value_kind_name(entries[j].key));
                if (reverse) order = -order;
                spare[k] = j >= end || (i < middle && order <= 0) ? entries[i++] : entries[j++];
            }
        }
        memcpy(entries, spare, n * sizeof *entries);
        TRY(render_spend(r, n));
    }
    return OK;
}

status filters_sort(struct render *r, struct entry *entries, size_t n, bool reverse) {
    struct entry *spare;
    if (n < 2) return OK;
    ARENA_TAKE(&r->arena, n, &spare);
    return merge(r, entries, spare, n, reverse);
}

/* What sorting and comparing look at: text in lower case unless case matters. */
static status fold(struct render *r, struct value value, bool sensitive, struct value *key) {
    *key = value;
    if (sensitive || value.kind != VALUE_STRING) return OK;
    return methods_case(r, value, CASE_LOWER, key);
}

/* A value's attribute by its path, "a.b.0"; a number is an index. */
static status by_path(struct render *r, struct value value, struct value path,
                      struct value *result) {
    if (path.kind != VALUE_STRING) return expression_item(r, value, path, result);
    *result = value;
    for (size_t from = 0; from <= path.length;) {
        size_t end = methods_find_text(path, value_text("."), from);
        if (end == SIZE_MAX) end = path.length;
        struct value key = value_string(path.as.text + from, end - from);
        int64_t index = 0;
        bool digits = key.length > 0 && key.length < 10;
        for (size_t i = 0; i < key.length && digits; i++) {
            digits = key.as.text[i] >= '0' && key.as.text[i] <= '9';
            index = index * 10 + (key.as.text[i] - '0');
        }
        TRY(expression_item(r, *result, digits ? value_int(index) : key, result));
        from = end + 1;
    }
    return OK;
}

/* The same, and another value for one that isn't there. */
static status by_path_or(struct render *r, struct value value, struct value path,
                         struct value fallback, struct value *result) {
    TRY(by_path(r, value, path, result));
    bool replaces = render_given(fallback) && fallback.kind != VALUE_NONE;
    if (result->kind == VALUE_UNDEFINED && replaces) *result = fallback;
    return OK;
}

/* Entries of the items, by the attribute if it is given. */
static status keyed(struct render *r, struct value input, struct value attribute, bool sensitive,
                    struct entry **entries, size_t *n) {
    const struct list *items;
    TRY(expression_items(r, input, &items));
    ARENA_TAKE(&r->arena, items->n + 1, entries);
    *n = items->n;
    for (size_t i = 0; i < items->n; i++) {
        struct value key = items->items[i];
        if (render_given(attribute) && attribute.kind != VALUE_NONE)
            TRY(by_path(r, key, attribute, &key));
        TRY(fold(r, key, sensitive, &key));
        (*entries)[i] = (struct entry){.key = key, .value = items->items[i]};
    }
    return OK;
}

static status list_of_entries(struct render *r, const struct entry *entries, size_t n,
                              struct value *result) {
    struct list *list;
    TRY(list_create(&r->arena, LIST_LIST, n, &list));
    for (size_t i = 0; i < n; i++) list->items[list->n++] = entries[i].value;
    *result = value_list(list);
    return OK;
}

FILTER(filter_sort) { /* reverse case_sensitive attribute */
    struct entry *entries;
    size_t n;
    TRY(keyed(r, input, values[2], value_truth(values[1]), &entries, &n));
    TRY(filters_sort(r, entries, n, value_truth(values[0])));
    return list_of_entries(r, entries, n, result);
}

FILTER(filter_dictsort) { /* case_sensitive by reverse */
    struct entry *entries;
    if (input.kind != VALUE_DICT)
        return render_fail(r, FORMAT, "dictsort of '%s'", value_kind_name(input));
    const struct dict *dict = input.as.dict;
    bool by_value = value_is_text(values[1], "value");
    ARENA_TAKE(&r->arena, dict->n + 1, &entries);
    for (size_t i = 0; i < dict->n; i++) {
        struct list *pair;
        TRY(list_create(&r->arena, LIST_TUPLE, 2, &pair));
        pair->items[pair->n++] = dict->entries[i].key;
        pair->items[pair->n++] = dict->entries[i].value;
        entries[i].value = value_list(pair);
        TRY(fold(r, pair->items[by_value], value_truth(values[0]), &entries[i].key));
    }
    TRY(filters_sort(r, entries, dict->n, value_truth(values[2])));
    return list_of_entries(r, entries, dict->n, result);
}

FILTER(filter_unique) { /* case_sensitive attribute */
    struct entry *entries;
    size_t n, kept = 0;
    struct dict *seen;
    TRY(dict_create(&r->arena, &seen));
    TRY(keyed(r, input, values[1], value_truth(values[0]), &entries, &n));
    for (size_t i = 0, missing = 0; i < n; i++) {
        if (entries[i].key.kind == VALUE_UNDEFINED) { /* all of them are one */
            if (missing++ == 0) entries[kept++] = entries[i];
            continue;
        }
        if (!dict_can_hold(entries[i].key))
            return render_fail(r, FORMAT, "unhashable type: '%s'", value_kind_name(entries[i].key));
        if (dict_find(seen, entries[i].key)) continue;
        TRY(dict_set(&r->arena, seen, entries[i].key, value_bool(true)));
        entries[kept++] = entries[i];
    }
    TRY(list_of_entries(r, entries, kept, result));
    result->as.list->kind = LIST_GENERATOR;
    return OK;
}

static status extreme(struct render *r, struct value input, const struct value *values, int wanted,
                      struct value *result) {
    struct entry *entries;
    size_t n, best = 0;
    TRY(keyed(r, input, values[1], value_truth(values[0]), &entries, &n));
    *result = value_of_kind(VALUE_UNDEFINED);
    for (size_t i = 1; i < n; i++) {
        int order;
        if (!value_compare(entries[i].key, entries[best].key, 0, &order))
            return render_fail(r, FORMAT, "'%s' and '%s' have no order",
                               value_kind_name(entries[i].key), value_kind_name(entries[best].key));
        if (order == wanted) best = i;
    }
    if (n) *result = entries[best].value;
    return OK;
}

FILTER(filter_min) {
    return extreme(r, input, values, -1, result);
}
FILTER(filter_max) {
    return extreme(r, input, values, 1, result);
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

FILTER(filter_sum) { /* attribute start */
    const struct list *items;
    struct value item;
    TRY(expression_items(r, input, &items));
    *result = render_given(values[1]) ? values[1] : value_int(0);
    for (size_t i = 0; i < items->n; i++) {
        item = items->items[i];
        if (render_given(values[0]) && values[0].kind != VALUE_NONE)
            TRY(by_path(r, item, values[0], &item));
        TRY(operators_binary(r, OPERATOR_ADD, *result, item, result));
    }
    return OK;
}

/* ---- sequences ---- */

FILTER(filter_length) {
    (void)values;
    if (input.kind == VALUE_STRING) {
        *result = value_int((int64_t)operators_length(input));
        return render_spend(r, input.length / 64);
    }
    if (input.kind == VALUE_DICT || input.kind == VALUE_UNDEFINED) {
        *result = value_int(input.kind == VALUE_DICT ? (int64_t)input.as.dict->n : 0);
        return OK;
    }
    if (input.kind != VALUE_LIST || input.as.list->kind == LIST_GENERATOR)
        return render_fail(r, FORMAT, "object of type '%s' has no len()", value_kind_name(input));
    *result = value_int((int64_t)input.as.list->n);
    return OK;
}

FILTER(filter_first) {
    const struct list *items;
    (void)values;
    *result = value_of_kind(VALUE_UNDEFINED);
    if (input.kind == VALUE_LIST && input.as.list->kind == LIST_GENERATOR) {
        struct list *list = input.as.list;
        if (list->taken < list->n) *result = list->items[list->taken++];
        return OK;
    }
    TRY(expression_items(r, input, &items));
    if (items->n) *result = items->items[0];
    return OK;
}

FILTER(filter_last) {
    const struct list *items;
    (void)values;
    *result = value_of_kind(VALUE_UNDEFINED);
    if (input.kind == VALUE_LIST && input.as.list->kind == LIST_GENERATOR)
        return render_fail(r, FORMAT, "'generator' object is not reversible");
    TRY(expression_items(r, input, &items));
    if (items->n) *result = items->items[items->n - 1];
    return OK;
}

FILTER(filter_list) {
    const struct list *items;
    struct list *list;
    (void)values;
    TRY(expression_items(r, input, &items));
    TRY(list_create(&r->arena, LIST_LIST, items->n, &list));
    for (size_t i = 0; i < items->n; i++) list->items[list->n++] = items->items[i];
    *result = value_list(list);
    return OK;
}

FILTER(filter_reverse) {
    struct value all;
    TRY(filter_list(r, input, values, &all));
    struct list *list = all.as.list;
    for (size_t i = 0; i < list->n / 2; i++) {
        struct value other = list->items[i];
        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = other;
    }
    list->kind = LIST_GENERATOR;
    *result = all;
    if (input.kind != VALUE_STRING) return OK;
    struct buffer buffer = {.arena = &r->arena};
    for (size_t i = 0; i < list->n; i++) TRY(value_write(&buffer, list->items[i]));
    *result = value_buffer(&buffer);
    return OK;
}

FILTER(filter_join) { /* d attribute */
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    const struct list *items;
    struct value item;
    TRY(expression_items(r, input, &items));
    for (size_t i = 0; i < items->n; i++) {
        item = items->items[i];
        if (render_given(values[1]) && values[1].kind != VALUE_NONE)
            TRY(by_path(r, item, values[1], &item));
        if (i && render_given(values[0])) TRY(value_write(&buffer, values[0]));
        TRY(value_write(&buffer, item));
    }
    *result = value_buffer(&buffer);
    return OK;
}

FILTER(filter_items) {
    struct value method;
    struct arguments none = {0};
    (void)values;
    if (input.kind == VALUE_UNDEFINED) {
        struct list *nothing;
        TRY(list_create(&r->arena, LIST_GENERATOR, 0, &nothing));
        *result = value_list(nothing);
        return OK;
    }
    if (input.kind != VALUE_DICT)
        return render_fail(r, FORMAT, "Can only get item pairs from a mapping.");
    TRY(methods_find(r, input, value_text("items"), &method));
    TRY(expression_call(r, method, &none, result));
    result->as.list->kind = LIST_GENERATOR;
    return OK;
}

FILTER(filter_batch) { /* linecount fill_with */
    const struct list *items;
    struct list *rows, *row = NULL;
    int64_t count = 0;
    TRY(filters_count(r, values[0], &count));
    if (count < 1) return render_fail(r, FORMAT, "batch of less than one");
    TRY(expression_items(r, input, &items));
    TRY(list_create(&r->arena, LIST_GENERATOR, 0, &rows));
    for (size_t i = 0; i < items->n; i++) {
        if (i % (size_t)count == 0) {
            TRY(list_create(&r->arena, LIST_LIST, 0, &row));
            TRY(list_add(&r->arena, rows, value_list(row)));
        }
        TRY(list_add(&r->arena, row, items->items[i]));
    }
    while (row && render_given(values[1]) && values[1].kind != VALUE_NONE && row->n < (size_t)count)
        TRY(list_add(&r->arena, row, values[1]));
    *result = value_list(rows);
    return OK;
}

FILTER(filter_slice) { /* slices fill_with */
    enum { MOST_SLICES = 100000 };
    const struct list *items;
    struct list *all, *part;
    int64_t n_slices = 0;
    TRY(filters_count(r, values[0], &n_slices));
    if (n_slices == 0) return render_fail(r, FORMAT, "slice into none");
    if (n_slices > MOST_SLICES)
        return render_fail(r, LIMIT, "slice into more than %d", MOST_SLICES);
    TRY(expression_items(r, input, &items));
    TRY(list_create(&r->arena, LIST_GENERATOR, 0, &all));
    size_t n = n_slices > 0 ? (size_t)n_slices : 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        bool longer = i < items->n % n;
        TRY(render_spend(r, 1));
        TRY(list_create(&r->arena, LIST_LIST, 0, &part));
        for (size_t end = at + items->n / n + longer; at < end; at++)
            TRY(list_add(&r->arena, part, items->items[at]));
        if (!longer && render_given(values[1]) && values[1].kind != VALUE_NONE)
            TRY(list_add(&r->arena, part, values[1]));
        TRY(list_add(&r->arena, all, value_list(part)));
    }
    *result = value_list(all);
    return OK;
}

static status add_group(struct render *r, struct list *groups, struct value key,
                        struct list **group) {
    struct list *pair;
    TRY(list_create(&r->arena, LIST_TUPLE, 2, &pair));
    TRY(list_create(&r->arena, LIST_LIST, 0, group));
    pair->items[pair->n++] = key;
    pair->items[pair->n++] = value_list(*group);
    struct value tuple = value_list(pair);
    tuple.number = LIST_IS_GROUP;
    return list_add(&r->arena, groups, tuple);
}

/* Sorted by the attribute; a group's name is the first one's, as it is written. */
FILTER(filter_groupby) { /* attribute default case_sensitive */
    const struct list *items;
    struct list *groups, *group = NULL;
    struct entry *entries;
    struct value key;
    bool sensitive = value_truth(values[2]);
    TRY(expression_items(r, input, &items));
    ARENA_TAKE(&r->arena, items->n + 1, &entries);
    for (size_t i = 0; i < items->n; i++) {
        TRY(by_path_or(r, items->items[i], values[0], values[1], &key));
        TRY(fold(r, key, sensitive, &entries[i].key));
        entries[i].value = items->items[i];
    }
    TRY(filters_sort(r, entries, items->n, false));
    TRY(list_create(&r->arena, LIST_LIST, 0, &groups));
    for (size_t i = 0; i < items->n; i++) {
        if (i == 0 || !value_equal(entries[i - 1].key, entries[i].key, 0)) {
            TRY(by_path_or(r, entries[i].value, values[0], values[1], &key));
            TRY(add_group(r, groups, key, &group));
        }
        TRY(list_add(&r->arena, group, entries[i].value));
    }
    *result = value_list(groups);
    return OK;
}

/* ---- text ---- */

#define TEXT_FILTER(name, statement)                   \
    FILTER(name) {                                     \
        struct value text;                             \
        (void)values;                                  \
        TRY(value_to_string(&r->arena, input, &text)); \
        statement;                                     \
    }
TEXT_FILTER(filter_lower, return methods_case(r, text, CASE_LOWER, result))
TEXT_FILTER(filter_upper, return methods_case(r, text, CASE_UPPER, result))
TEXT_FILTER(filter_capitalize, return methods_case(r, text, CASE_CAPITALIZED, result))
TEXT_FILTER(filter_string, *result = text; return OK)
TEXT_FILTER(filter_safe, *result = text; result->number = STRING_IS_MARKUP; return OK)

FILTER(filter_title) { /* words begin behind white space, -, (, {, [, < */
    struct buffer buffer = {.arena = &r->arena};
    struct value text, lower;
    bool starts = true;
    (void)values;
    TRY(value_to_string(&r->arena, input, &text));
    for (size_t i = 0, n; i < text.length; i += n) {
        n = utf8_length((uint8_t)text.as.text[i]);
        struct value one = value_string(text.as.text + i, n);
        TRY(methods_case(r, one, starts ? CASE_UPPER : CASE_LOWER, &lower));
        TRY(value_write(&buffer, lower));
        starts = !methods_strip(one, value_of_kind(VALUE_MISSING), true, false).length ||
                 strchr("-({[<", text.as.text[i]);
    }
    *result = value_buffer(&buffer);
    return OK;
}

FILTER(filter_trim) { /* chars */
    struct value text;
    TRY(value_to_string(&r->arena, input, &text));
    struct value set = values[0];
    if (set.kind != VALUE_STRING) set.kind = VALUE_MISSING;
    *result = methods_strip(text, set, true, true);
    return OK;
}

FILTER(filter_replace) { /* old new count */
    int64_t most = -1;
    struct value text, from, to;
    TRY(value_to_string(&r->arena, input, &text));
    TRY(value_to_string(&r->arena, values[0], &from));
    TRY(value_to_string(&r->arena, values[1], &to));
    if (values[2].kind != VALUE_NONE) TRY(filters_count(r, values[2], &most));
    return methods_replace(r, text, from, to, most, result);
}

FILTER(filter_indent) { /* width first blank */
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    struct value text, pad = values[0];
    int64_t width = 4;
    TRY(value_to_string(&r->arena, input, &text));
    if (pad.kind != VALUE_STRING) {
        TRY(filters_count(r, pad, &width));
        struct buffer blanks = {.arena = &r->arena, .limit = r->output->limit};
        for (int64_t i = 0; i < width; i++) TRY(buffer_add(&blanks, " ", 1));
        pad = value_buffer(&blanks);
    }
    bool first = true, blank = value_truth(values[2]);
    for (size_t i = 0; i < text.length || first;) {
        const char *p = text.as.text + i;
        const char *end = text.length > i ? memchr(p, '\n', text.length - i) : NULL;
        size_t n = end ? (size_t)(end - p) : text.length - i;
        if (first ? value_truth(values[1]) : n || blank) TRY(value_write(&buffer, pad));
        TRY(buffer_add(&buffer, p, n + (end != NULL)));
        i += n + (end != NULL);
        first = false;
    }
    if (blank && text.length && text.as.text[text.length - 1] == '\n')
        TRY(value_write(&buffer, pad));
    *result = value_buffer(&buffer);
    return OK;
}

FILTER(filter_center) { /* width */
    struct value text, method;
    struct arguments arguments = {.list = values, .n = render_given(values[0])};
    struct value width = value_int(80);
    if (!arguments.n) arguments = (struct arguments){.list = &width, .n = 1};
    TRY(value_to_string(&r->arena, input, &text));
    TRY(methods_find(r, text, value_text("center"), &method));
    return expression_call(r, method, &arguments, result);
}

status filters_escape(struct render *r, struct value input, struct value *result) {
    static const char *const names[][2] = {
        {"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&#34;"}};
    TRY(value_to_string(&r->arena, input, result));
    for (size_t i = 0; i < 5 && result->number != STRING_IS_MARKUP; i++)
        TRY(methods_replace(r, *result, value_text(names[i][0]), value_text(names[i][1]), -1,
                            result));
    result->number = STRING_IS_MARKUP;
    return OK;
}

FILTER(filter_escape) {
    (void)values;
    return filters_escape(r, input, result);
}

FILTER(filter_wordcount) { /* runs of letters, digits and _ */
    struct value text;
    int64_t n = 0;
    bool inside = false;
    (void)values;
    TRY(value_to_string(&r->arena, input, &text));
    for (size_t i = 0; i < text.length;) {
        unsigned bytes;
        uint32_t c = utf8_decode((const uint8_t *)text.as.text + i, &bytes);
        bool word = c == '_' || (character_class(c) & (LETTER | NUMBER));
        n += word && !inside;
        inside = word;
        i += bytes;
    }
    *result = value_int(n);
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

static const struct filter filters[] = {
    {"abs", "", filter_abs},
    {"attr", "!name", filter_attr},
    {"batch", "!linecount fill_with", filter_batch},
    {"capitalize", "", filter_capitalize},
    {"center", "width", filter_center},
    {"count", "", filter_length},
    {"d", "default_value boolean", filter_default},
    {"default", "default_value boolean", filter_default},
    {"dictsort", "case_sensitive by reverse", filter_dictsort},
    {"e", "", filter_escape},
    {"escape", "", filter_escape},
    {"filesizeformat", "binary", filters_filesizeformat},
    {"first", "", filter_first},
    {"float", "default", filter_float},
    {"forceescape", "", filter_escape},
    {"groupby", "!attribute default case_sensitive", filter_groupby},
    {"indent", "width first blank", filter_indent},
    {"int", "default base", filter_int},
    {"items", "", filter_items},
    {"join", "d attribute", filter_join},
    {"last", "", filter_last},
    {"length", "", filter_length},
    {"list", "", filter_list},
    {"lower", "", filter_lower},
    {"max", "case_sensitive attribute", filter_max},
    {"min", "case_sensitive attribute", filter_min},
    {"replace", "!old !new count", filter_replace},
    {"reverse", "", filter_reverse},
    {"round", "precision method", filter_round},
    {"safe", "", filter_safe},
    {"slice", "!slices fill_with", filter_slice},
    {"sort", "reverse case_sensitive attribute", filter_sort},
    {"string", "", filter_string},
    {"striptags", "", filters_striptags},
    {"sum", "attribute start", filter_sum},
    {"title", "", filter_title},
    {"tojson", "ensure_ascii indent separators sort_keys", filter_tojson},
    {"trim", "chars", filter_trim},
    {"truncate", "length killwords end leeway", filters_truncate},
    {"unique", "case_sensitive attribute", filter_unique},
    {"upper", "", filter_upper},
    {"urlencode", "", filters_urlencode},
    {"wordcount", "", filter_wordcount},
    {"wordwrap", "width break_long_words wrapstring break_on_hyphens", filters_wordwrap},
    {"xmlattr", "autospace", filters_xmlattr},
};
enum { N_FILTERS = sizeof filters / sizeof *filters };
static const char *const pickers[] = {"map",        "select",     "reject",
                                      "selectattr", "rejectattr", "format"};
enum { N_PICKERS = sizeof pickers / sizeof *pickers };

bool filters_has(struct value name) {
    for (size_t i = 0; i < N_FILTERS; i++)
        if (value_is_text(name, filters[i].name)) return true;
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
    TRY(by_path(r, item, *path, result));
    if (result->kind == VALUE_UNDEFINED && fallback) *result = *fallback;
    return OK;
}

/* Whether select, by itself or by an attribute, takes the item. */
static status picks(struct render *r, struct value item, const struct arguments *arguments,
                    bool by_attribute, bool *picked) {
    struct arguments rest = *arguments;
    if (by_attribute) {
        if (!rest.n) return render_fail(r, FORMAT, "Missing parameter for attribute name");
        TRY(by_path(r, item, rest.list[0], &item));
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
    for (size_t i = 0; i < N_FILTERS; i++) {
        if (!value_is_text(name, filters[i].name)) continue;
        TRY(render_bind(r, filters[i].name, filters[i].parameters, arguments, values));
        return filters[i].apply(r, input, values, result);
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
