/* Filters of sequences and mappings: sorting, grouping, and what they are made of. */
#include <string.h>

#include "chat/render.h"

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
status filters_by_path(struct render *r, struct value value, struct value path,
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
    TRY(filters_by_path(r, value, path, result));
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
            TRY(filters_by_path(r, key, attribute, &key));
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
            TRY(filters_by_path(r, item, values[1], &item));
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

FILTER(filter_sum) { /* attribute start */
    const struct list *items;
    struct value item;
    TRY(expression_items(r, input, &items));
    *result = render_given(values[1]) ? values[1] : value_int(0);
    for (size_t i = 0; i < items->n; i++) {
        item = items->items[i];
        if (render_given(values[0]) && values[0].kind != VALUE_NONE)
            TRY(filters_by_path(r, item, values[0], &item));
        TRY(operators_binary(r, OPERATOR_ADD, *result, item, result));
    }
    return OK;
}

const struct filter filters_of_sequences[] = {
    {"batch", "!linecount fill_with", filter_batch},
    {"count", "", filter_length},
    {"dictsort", "case_sensitive by reverse", filter_dictsort},
    {"first", "", filter_first},
    {"groupby", "!attribute default case_sensitive", filter_groupby},
    {"items", "", filter_items},
    {"join", "d attribute", filter_join},
    {"last", "", filter_last},
    {"length", "", filter_length},
    {"list", "", filter_list},
    {"max", "case_sensitive attribute", filter_max},
    {"min", "case_sensitive attribute", filter_min},
    {"reverse", "", filter_reverse},
    {"slice", "!slices fill_with", filter_slice},
    {"sort", "reverse case_sensitive attribute", filter_sort},
    {"sum", "attribute start", filter_sum},
    {"unique", "case_sensitive attribute", filter_unique},
    {NULL, NULL, NULL},
};
