/* Methods of strings, lists and dicts, as far as they change nothing. */
#include <string.h>
#include <utf8proc.h>

#include "chat/render.h"
#include "tokenizer/character.h"
#include "tokenizer/utf8.h"

struct method {
    enum value_kind kind;
    const char *name, *parameters; /* as in render_bind */
    /* NULL: it would change its object */
    status (*call)(struct render *r, struct value object, const struct value *values,
                   struct value *result);
};

/* ---- text ---- */

size_t methods_find_text(struct value text, struct value part, size_t from) {
    if (from > text.length) return SIZE_MAX;
    if (!part.length) return from;
    for (const char *p = text.as.text + from, *end = text.as.text + text.length;
         (size_t)(end - p) >= part.length; p++) {
        p = memchr(p, part.as.text[0], (size_t)(end - p) - part.length + 1);
        if (!p) break;
        if (memcmp(p, part.as.text, part.length) == 0) return (size_t)(p - text.as.text);
    }
    return SIZE_MAX;
}

static bool is_space(uint32_t c) {
    return (c >= 0x1c && c < 0x20) || (character_class(c) & SPACE);
}

/* Whether the character at p [n bytes] is one of set, or white space if that is MISSING. */
static bool in_set(const char *p, unsigned n, struct value set) {
    if (set.kind == VALUE_STRING) return methods_find_text(set, value_string(p, n), 0) != SIZE_MAX;
    return is_space(utf8_decode((const uint8_t *)p, &n));
}

struct value methods_strip(struct value text, struct value set, bool left, bool right) {
    const char *p = text.as.text, *end = p + text.length;
    while (left && p < end && in_set(p, utf8_length((uint8_t)*p), set))
        p += utf8_length((uint8_t)*p);
    while (right && end > p) {
        const char *last = end - 1;
        while (last > p && ((unsigned char)*last & 0xc0) == 0x80) last--;
        if (!in_set(last, (unsigned)(end - last), set)) break;
        end = last;
    }
    return value_string(p, (size_t)(end - p));
}

status methods_replace(struct render *r, struct value text, struct value from, struct value to,
                       int64_t most, struct value *result) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    size_t at = 0;
    TRY(render_spend(r, text.length / 16));
    for (; most != 0; most--) {
        size_t found = methods_find_text(text, from, at);
        if (found == SIZE_MAX) break;
        TRY(buffer_add(&buffer, text.as.text + at, found - at));
        TRY(value_write(&buffer, to));
        at = found + from.length;
        if (from.length) continue;
        if (at >= text.length) break; /* between all characters, and at both ends */
        size_t n = utf8_length((uint8_t)text.as.text[at]);
        TRY(buffer_add(&buffer, text.as.text + at, n));
        at += n;
    }
    TRY(buffer_add(&buffer, text.as.text + at, text.length - at));
    *result = value_buffer(&buffer);
    return OK;
}

static utf8proc_int32_t to_case(utf8proc_int32_t c, enum text_case to, bool starts) {
    bool upper = to == CASE_UPPER || ((to == CASE_CAPITALIZED || to == CASE_TITLE) && starts);
    if (to == CASE_SWAPPED) upper = utf8proc_toupper(c) != c;
    if (!upper) return utf8proc_tolower(c);
    return to == CASE_UPPER || to == CASE_SWAPPED ? utf8proc_toupper(c) : utf8proc_totitle(c);
}

status methods_case(struct render *r, struct value text, enum text_case to, struct value *result) {
    struct buffer buffer = {.arena = &r->arena};
    bool starts = true; /* of the text, or of a word */
    for (size_t i = 0; i < text.length;) {
        unsigned n;
        char out[4];
        uint32_t c = utf8_decode((const uint8_t *)text.as.text + i, &n);
        uint32_t mapped = (uint32_t)to_case((utf8proc_int32_t)c, to, starts);
        if (c == 0xdf && to != CASE_LOWER && (to == CASE_UPPER || to == CASE_SWAPPED || starts))
            TRY(buffer_add_text(&buffer, to == CASE_UPPER || to == CASE_SWAPPED ? "SS" : "Ss"));
        else
            TRY(buffer_add(&buffer, out, utf8_encode(mapped, out)));
        starts = to == CASE_TITLE && !(character_class(c) & LETTER);
        i += n;
    }
    *result = value_buffer(&buffer);
    return OK;
}

#define TEXT_METHOD(name)                                                               \
    static status name(struct render *r, struct value text, const struct value *values, \
                       struct value *result)

#define CASE_METHOD(name, to)                     \
    TEXT_METHOD(name) {                           \
        (void)values;                             \
        return methods_case(r, text, to, result); \
    }
CASE_METHOD(text_lower, CASE_LOWER)
CASE_METHOD(text_upper, CASE_UPPER)
CASE_METHOD(text_capitalize, CASE_CAPITALIZED)
CASE_METHOD(text_title, CASE_TITLE)
CASE_METHOD(text_swapcase, CASE_SWAPPED)

static status need_text(struct render *r, struct value value) {
    if (value.kind == VALUE_STRING) return OK;
    return render_fail(r, FORMAT, "a string is needed, not '%s'", value_kind_name(value));
}

static status strip(struct render *r, struct value text, struct value set, bool left, bool right,
                    struct value *result) {
    if (set.kind == VALUE_NONE) set.kind = VALUE_MISSING;
    if (set.kind != VALUE_MISSING) TRY(need_text(r, set));
    TRY(render_spend(r, text.length / 64 * (set.length / 16 + 1)));
    *result = methods_strip(text, set, left, right);
    return OK;
}

TEXT_METHOD(text_strip) {
    return strip(r, text, values[0], true, true, result);
}
TEXT_METHOD(text_lstrip) {
    return strip(r, text, values[0], true, false, result);
}
TEXT_METHOD(text_rstrip) {
    return strip(r, text, values[0], false, true, result);
}

static bool ends_by(struct value text, struct value part, bool at_end) {
    size_t n = part.length;
    return part.kind == VALUE_STRING && text.length >= n &&
           (!n || memcmp(text.as.text + (at_end ? text.length - n : 0), part.as.text, n) == 0);
}

static status starts_or_ends(struct render *r, struct value text, struct value part, bool at_end,
                             struct value *result) {
    *result = value_bool(ends_by(text, part, at_end));
    if (part.kind != VALUE_LIST || part.as.list->kind != LIST_TUPLE) return need_text(r, part);
    for (size_t i = 0; i < part.as.list->n; i++)
        if (ends_by(text, part.as.list->items[i], at_end)) *result = value_bool(true);
    return OK;
}

TEXT_METHOD(text_startswith) {
    return starts_or_ends(r, text, values[0], false, result);
}
TEXT_METHOD(text_endswith) {
    return starts_or_ends(r, text, values[0], true, result);
}

TEXT_METHOD(text_removeprefix) {
    TRY(need_text(r, values[0]));
    size_t n = ends_by(text, values[0], false) ? values[0].length : 0;
    *result = value_string(text.as.text + n, text.length - n);
    return OK;
}
TEXT_METHOD(text_removesuffix) {
    TRY(need_text(r, values[0]));
    *result = value_string(text.as.text,
                           text.length - (ends_by(text, values[0], true) ? values[0].length : 0));
    return OK;
}

TEXT_METHOD(text_replace) {
    int64_t most = -1;
    TRY(need_text(r, values[0]));
    TRY(need_text(r, values[1]));
    if (values[2].kind != VALUE_MISSING && !value_integer(values[2], &most))
        return render_fail(r, FORMAT, "replace: the count is no integer");
    return methods_replace(r, text, values[0], values[1], most, result);
}

static size_t find_last(struct value text, struct value part) {
    for (size_t at = text.length + 1; at-- > 0;)
        if (text.length - at >= part.length &&
            (!part.length || memcmp(text.as.text + at, part.as.text, part.length) == 0))
            return at;
    return SIZE_MAX;
}

static status find(struct render *r, struct value text, struct value part, bool last,
                   bool must_be_there, struct value *result) {
    TRY(need_text(r, part));
    TRY(render_spend(r, text.length / 16));
    size_t at = last ? find_last(text, part) : methods_find_text(text, part, 0);
    if (at == SIZE_MAX && must_be_there) return render_fail(r, FORMAT, "substring not found");
    *result =
        value_int(at == SIZE_MAX ? -1 : (int64_t)operators_length(value_string(text.as.text, at)));
    return OK;
}

TEXT_METHOD(text_find) {
    return find(r, text, values[0], false, false, result);
}
TEXT_METHOD(text_rfind) {
    return find(r, text, values[0], true, false, result);
}
TEXT_METHOD(text_index) {
    return find(r, text, values[0], false, true, result);
}

TEXT_METHOD(text_count) {
    int64_t n = 0;
    TRY(need_text(r, values[0]));
    TRY(render_spend(r, text.length / 16));
    size_t step = values[0].length;
    for (size_t at = 0; step && (at = methods_find_text(text, values[0], at)) != SIZE_MAX;
         at += step)
        n++;
    *result = value_int(step ? n : (int64_t)operators_length(text) + 1);
    return OK;
}

/* At white space, as split() without a separator does. */
static status split_words(struct render *r, struct value text, int64_t most, struct list *list) {
    for (;;) {
        text = methods_strip(text, value_of_kind(VALUE_MISSING), true, false);
        if (!text.length) return OK;
        size_t n = 0;
        for (unsigned bytes; n < text.length; n += bytes)
            if (is_space(utf8_decode((const uint8_t *)text.as.text + n, &bytes))) break;
        bool rest = most-- == 0; /* all of it, white space at its end too */
        TRY(list_add(&r->arena, list, value_string(text.as.text, rest ? text.length : n)));
        if (rest) return OK;
        text.as.text += n;
        text.length -= n;
    }
}

static status split(struct render *r, struct value text, const struct value *values, bool right,
                    struct value *result) {
    int64_t most = -1;
    struct list *list;
    struct value separator = values[0];
    TRY(list_create(&r->arena, LIST_LIST, 0, &list));
    *result = value_list(list);
    if (values[1].kind != VALUE_MISSING && !value_integer(values[1], &most))
        return render_fail(r, FORMAT, "split: the count is no integer");
    if (separator.kind == VALUE_MISSING || separator.kind == VALUE_NONE) {
        if (right && most >= 0)
            return render_fail(r, UNSUPPORTED, "rsplit at white space, with a count");
        return split_words(r, text, most, list);
    }
    TRY(need_text(r, separator));
    if (!separator.length) return render_fail(r, FORMAT, "empty separator");
    TRY(render_spend(r, text.length / 16));
    while (most-- != 0) {
        size_t at = right ? find_last(text, separator) : methods_find_text(text, separator, 0);
        if (at == SIZE_MAX) break;
        size_t next = at + separator.length;
        if (right) {
            TRY(list_add(&r->arena, list, value_string(text.as.text + next, text.length - next)));
            text.length = at;
        } else {
            TRY(list_add(&r->arena, list, value_string(text.as.text, at)));
            text = value_string(text.as.text + next, text.length - next);
        }
    }
    TRY(list_add(&r->arena, list, text));
    for (size_t i = 0; right && i < list->n / 2; i++) {
        struct value other = list->items[i];
        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = other;
    }
    return OK;
}

TEXT_METHOD(text_split) {
    return split(r, text, values, false, result);
}
TEXT_METHOD(text_rsplit) {
    return split(r, text, values, true, result);
}

TEXT_METHOD(text_splitlines) {
    struct list *list;
    bool keep = value_truth(values[0]);
    TRY(list_create(&r->arena, LIST_LIST, 0, &list));
    for (size_t i = 0; i < text.length;) {
        size_t first = i;
        uint32_t c = 0;
        unsigned n = 0;
        for (; i < text.length; i += n) {
            c = utf8_decode((const uint8_t *)text.as.text + i, &n);
            if ((c >= 0xa && c <= 0xd) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
                c == 0x2029)
                break;
        }
        size_t end = i;
        if (i < text.length) i += n;
        if (end < i && c == '\r' && i < text.length && text.as.text[i] == '\n') i++;
        TRY(list_add(&r->arena, list,
                     value_string(text.as.text + first, (keep ? i : end) - first)));
    }
    *result = value_list(list);
    return OK;
}

static status partition(struct render *r, struct value text, struct value separator, bool last,
                        struct value *result) {
    struct list *list;
    TRY(need_text(r, separator));
    if (!separator.length) return render_fail(r, FORMAT, "empty separator");
    TRY(list_create(&r->arena, LIST_TUPLE, 3, &list));
    size_t at = last ? find_last(text, separator) : methods_find_text(text, separator, 0);
    bool found = at != SIZE_MAX;
    struct value none = value_text("");
    size_t next = found ? at + separator.length : 0;
    list->items[0] = found ? value_string(text.as.text, at) : last ? none : text;
    list->items[1] = found ? separator : none;
    list->items[2] = found  ? value_string(text.as.text + next, text.length - next)
                     : last ? text
                            : none;
    list->n = 3;
    *result = value_list(list);
    return OK;
}

TEXT_METHOD(text_partition) {
    return partition(r, text, values[0], false, result);
}
TEXT_METHOD(text_rpartition) {
    return partition(r, text, values[0], true, result);
}

TEXT_METHOD(text_join) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    const struct list *items;
    TRY(expression_items(r, values[0], &items));
    for (size_t i = 0; i < items->n; i++) {
        TRY(need_text(r, items->items[i]));
        if (i) TRY(value_write(&buffer, text));
        TRY(value_write(&buffer, items->items[i]));
    }
    *result = value_buffer(&buffer);
    return OK;
}

/* Whether there are characters and all are of the classes, or all letters of the case. */
static bool all_are(struct value text, unsigned classes) {
    for (size_t i = 0; i < text.length;) {
        unsigned n;
        uint32_t c = utf8_decode((const uint8_t *)text.as.text + i, &n);
        if (!(character_class(c) & classes) && !(classes == SPACE && is_space(c))) return false;
        i += n;
    }
    return text.length > 0;
}

static bool has_case(struct value text, unsigned wanted, unsigned other) {
    bool some = false;
    for (size_t i = 0; i < text.length;) {
        unsigned n, class = character_class(utf8_decode((const uint8_t *)text.as.text + i, &n));
        if (class & other) return false;
        some = some || (class & wanted);
        i += n;
    }
    return some;
}

#define PREDICATE(name, expression)       \
    TEXT_METHOD(name) {                   \
        (void)r;                          \
        (void)values;                     \
        *result = value_bool(expression); \
        return OK;                        \
    }
PREDICATE(text_isdigit, all_are(text, DIGIT))
PREDICATE(text_isalpha, all_are(text, LETTER))
PREDICATE(text_isalnum, all_are(text, LETTER | NUMBER))
PREDICATE(text_isspace, all_are(text, SPACE))
PREDICATE(text_isupper, has_case(text, UPPER, LOWER))
PREDICATE(text_islower, has_case(text, LOWER, UPPER))

/* Filled to a width in characters. */
static status justify(struct render *r, struct value text, const struct value *values, bool left,
                      bool right, struct value *result) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    struct value fill = values[1].kind == VALUE_MISSING ? value_text(" ") : values[1];
    int64_t width;
    TRY(need_text(r, fill));
    if (!value_integer(values[0], &width) || operators_length(fill) != 1)
        return render_fail(r, FORMAT, "a width that is no integer, or a fill of many characters");
    int64_t missing = width - (int64_t)operators_length(text), before = 0;
    if (missing < 0) missing = 0;
    if (left && right)
        before = missing / 2 + (missing & width & 1);
    else if (left)
        before = missing;
    for (int64_t i = 0; i < before; i++) TRY(value_write(&buffer, fill));
    TRY(value_write(&buffer, text));
    for (int64_t i = before; i < missing; i++) TRY(value_write(&buffer, fill));
    *result = value_buffer(&buffer);
    return OK;
}

TEXT_METHOD(text_ljust) {
    return justify(r, text, values, false, true, result);
}
TEXT_METHOD(text_rjust) {
    return justify(r, text, values, true, false, result);
}
TEXT_METHOD(text_center) {
    return justify(r, text, values, true, true, result);
}

TEXT_METHOD(text_zfill) {
    struct value fill[2] = {values[0], value_text("0")};
    if (text.length && (text.as.text[0] == '-' || text.as.text[0] == '+'))
        return render_fail(r, UNSUPPORTED, "zfill of a text with a sign");
    return justify(r, text, fill, true, false, result);
}

/* ---- lists and dicts ---- */

TEXT_METHOD(list_count) {
    int64_t n = 0;
    for (size_t i = 0; i < text.as.list->n; i++)
        n += value_equal(text.as.list->items[i], values[0], 0);
    *result = value_int(n);
    return render_spend(r, text.as.list->n / 8);
}

TEXT_METHOD(list_index) {
    for (size_t i = 0; i < text.as.list->n; i++)
        if (value_equal(text.as.list->items[i], values[0], 0)) {
            *result = value_int((int64_t)i);
            return render_spend(r, i / 8);
        }
    return render_fail(r, FORMAT, "the value is not in the list");
}

TEXT_METHOD(dict_get) {
    const struct value *found = dict_find(text.as.dict, values[0]);
    *result = found ? *found : values[1];
    if (!found && values[1].kind == VALUE_MISSING) *result = value_of_kind(VALUE_NONE);
    if (dict_can_hold(values[0])) return OK;
    return render_fail(r, FORMAT, "unhashable type: '%s'", value_kind_name(values[0]));
}

/* Keys, values, or pairs of both. */
static status view(struct render *r, const struct dict *dict, bool keys, bool items,
                   struct value *result) {
    struct list *list, *pair;
    TRY(list_create(&r->arena, LIST_VIEW, dict->n, &list));
    for (size_t i = 0; i < dict->n; i++) {
        const struct entry *entry = &dict->entries[i];
        struct value value = keys ? entry->key : entry->value;
        if (keys && items) {
            TRY(list_create(&r->arena, LIST_TUPLE, 2, &pair));
            pair->items[pair->n++] = entry->key;
            pair->items[pair->n++] = entry->value;
            value = value_list(pair);
        }
        list->items[list->n++] = value;
    }
    *result = value_list(list);
    return OK;
}

TEXT_METHOD(dict_items) {
    (void)values;
    return view(r, text.as.dict, true, true, result);
}
TEXT_METHOD(dict_keys) {
    (void)values;
    return view(r, text.as.dict, true, false, result);
}
TEXT_METHOD(dict_values) {
    (void)values;
    return view(r, text.as.dict, false, true, result);
}

TEXT_METHOD(dict_copy) {
    (void)r;
    (void)values;
    *result = text; /* nothing changes either of them */
    return OK;
}

/* ---- str.format ---- */

static status format_field(struct render *r, struct value field, const struct arguments *arguments,
                           size_t *next, struct buffer *buffer) {
    int64_t number = 0;
    const struct value *value = NULL;
    bool numbered = field.length > 0 && field.length < 5;
    for (size_t i = 0; i < field.length; i++) {
        char c = field.as.text[i];
        if (strchr(".[:!", c))
            return render_fail(r, UNSUPPORTED, "format: the field {%.*s}",
                               (int)(field.length < 40 ? field.length : 40), field.as.text);
        numbered = numbered && c >= '0' && c <= '9';
        if (numbered) number = number * 10 + (c - '0');
    }
    size_t at = numbered ? (size_t)number : *next;
    if (numbered || !field.length) {
        if (at < arguments->n) value = &arguments->list[at];
        if (!field.length) ++*next;
    } else if (arguments->named) {
        value = dict_find(arguments->named, field);
    }
    if (!value) return render_fail(r, FORMAT, "format: a field without its argument");
    return value_write(buffer, *value);
}

static status format_text(struct render *r, struct value text, const struct arguments *arguments,
                          struct value *result) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    const char *p = text.as.text, *end = p + text.length;
    size_t next = 0;
    while (p < end) {
        bool twice = p + 1 < end && p[0] == p[1];
        if ((*p != '{' && *p != '}') || twice) {
            bool brace = *p == '{' || *p == '}';
            TRY(buffer_add(&buffer, p, 1));
            p += brace ? 2 : 1;
            continue;
        }
        const char *close = *p == '{' ? memchr(p, '}', (size_t)(end - p)) : NULL;
        if (!close) return render_fail(r, FORMAT, "format: a brace alone");
        TRY(format_field(r, value_string(p + 1, (size_t)(close - p) - 1), arguments, &next,
                         &buffer));
        p = close + 1;
    }
    *result = value_buffer(&buffer);
    return OK;
}

/* ---- the table ---- */

static const struct method methods[] = {
    {VALUE_STRING, "capitalize", "", text_capitalize},
    {VALUE_STRING, "casefold", "", text_lower},
    {VALUE_STRING, "center", "!width fillchar", text_center},
    {VALUE_STRING, "count", "!sub", text_count},
    {VALUE_STRING, "endswith", "!suffix", text_endswith},
    {VALUE_STRING, "find", "!sub", text_find},
    {VALUE_STRING, "format", NULL, NULL},
    {VALUE_STRING, "index", "!sub", text_index},
    {VALUE_STRING, "isalnum", "", text_isalnum},
    {VALUE_STRING, "isalpha", "", text_isalpha},
    {VALUE_STRING, "isdecimal", "", text_isdigit},
    {VALUE_STRING, "isdigit", "", text_isdigit},
    {VALUE_STRING, "isnumeric", "", text_isdigit},
    {VALUE_STRING, "islower", "", text_islower},
    {VALUE_STRING, "isspace", "", text_isspace},
    {VALUE_STRING, "isupper", "", text_isupper},
    {VALUE_STRING, "join", "!iterable", text_join},
    {VALUE_STRING, "ljust", "!width fillchar", text_ljust},
    {VALUE_STRING, "lower", "", text_lower},
    {VALUE_STRING, "lstrip", "chars", text_lstrip},
    {VALUE_STRING, "partition", "!sep", text_partition},
    {VALUE_STRING, "removeprefix", "!prefix", text_removeprefix},
    {VALUE_STRING, "removesuffix", "!suffix", text_removesuffix},
    {VALUE_STRING, "replace", "!old !new count", text_replace},
    {VALUE_STRING, "rfind", "!sub", text_rfind},
    {VALUE_STRING, "rjust", "!width fillchar", text_rjust},
    {VALUE_STRING, "rpartition", "!sep", text_rpartition},
    {VALUE_STRING, "rsplit", "sep maxsplit", text_rsplit},
    {VALUE_STRING, "rstrip", "chars", text_rstrip},
    {VALUE_STRING, "split", "sep maxsplit", text_split},
    {VALUE_STRING, "splitlines", "keepends", text_splitlines},
    {VALUE_STRING, "startswith", "!prefix", text_startswith},
    {VALUE_STRING, "strip", "chars", text_strip},
    {VALUE_STRING, "swapcase", "", text_swapcase},
    {VALUE_STRING, "title", "", text_title},
    {VALUE_STRING, "upper", "", text_upper},
    {VALUE_STRING, "zfill", "!width", text_zfill},
    {VALUE_LIST, "append", "", NULL},
    {VALUE_LIST, "clear", "", NULL},
    {VALUE_LIST, "count", "!value", list_count},
    {VALUE_LIST, "extend", "", NULL},
    {VALUE_LIST, "index", "!value", list_index},
    {VALUE_LIST, "insert", "", NULL},
    {VALUE_LIST, "pop", "", NULL},
    {VALUE_LIST, "remove", "", NULL},
    {VALUE_LIST, "reverse", "", NULL},
    {VALUE_LIST, "sort", "", NULL},
    {VALUE_DICT, "clear", "", NULL},
    {VALUE_DICT, "copy", "", dict_copy},
    {VALUE_DICT, "get", "!key default", dict_get},
    {VALUE_DICT, "items", "", dict_items},
    {VALUE_DICT, "keys", "", dict_keys},
    {VALUE_DICT, "pop", "", NULL},
    {VALUE_DICT, "popitem", "", NULL},
    {VALUE_DICT, "setdefault", "", NULL},
    {VALUE_DICT, "update", "", NULL},
    {VALUE_DICT, "values", "", dict_values},
};

status methods_find(struct render *r, struct value object, struct value name, struct value *found) {
    *found = value_of_kind(VALUE_MISSING);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (methods[i].kind != object.kind || !value_is_text(name, methods[i].name)) continue;
        struct bound_method *bound;
        ARENA_TAKE(&r->arena, 1, &bound);
        *bound = (struct bound_method){object, &methods[i]};
        *found = (struct value){.kind = VALUE_METHOD, .as.method = bound};
        break;
    }
    return OK;
}

status methods_call(struct render *r, const struct bound_method *bound,
                    const struct arguments *arguments, struct value *result) {
    const struct method *method = bound->method;
    struct value values[MOST_PARAMETERS];
    if (!method->parameters) return format_text(r, bound->object, arguments, result);
    if (!method->call)
        return render_fail(r, FORMAT, "'%s' of a %s would change it", method->name,
                           value_kind_name(bound->object));
    TRY(render_bind(r, method->name, method->parameters, arguments, values));
    return method->call(r, bound->object, values, result);
}
