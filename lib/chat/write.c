/* Values as text: str(), repr() and json.dumps() of Python. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/text_format.h"
#include "chat/value.h"
#include "tokenizer/utf8.h"

/* The host's locale may have another decimal point, which printf and strtod then use. */
static void locale_point(char *point, size_t size, size_t *length) {
    char sample[16];
    *length = text_format(sample, sizeof sample, "%.1f", 0.5) - 2;
    if (*length >= size) *length = size - 1;
    memcpy(point, sample + 1, *length);
}

bool value_read_float(const char *text, size_t length, double *number) {
    char copy[400], point[8];
    size_t n = 0, point_length;
    locale_point(point, sizeof point, &point_length);
    for (size_t i = 0; i < length; i++) {
        if (n + sizeof point >= sizeof copy) return false;
        if (text[i] == '.') {
            memcpy(copy + n, point, point_length);
            n += point_length;
        } else if (text[i] != '_') {
            copy[n++] = text[i];
        }
    }
    copy[n] = 0;
    *number = strtod(copy, NULL);
    return true;
}

/* The fewest digits that read as the same number, as Python's repr() writes them. */
static status write_float(struct buffer *buffer, double number) {
    char text[40], digits[32], point[8];
    size_t point_length;
    if (isnan(number)) return buffer_add_text(buffer, "nan");
    if (isinf(number)) return buffer_add_text(buffer, number < 0 ? "-inf" : "inf");
    locale_point(point, sizeof point, &point_length);
    int precision = 0;
    do text_format(text, sizeof text, "%.*e", precision, number);
    while (strtod(text, NULL) != number && ++precision < 17);
    size_t n = 0;
    const char *p = text;
    bool negative = *p == '-';
    if (negative) p++;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') digits[n++] = *p;
    int exponent = (int)strtol(p + 1, NULL, 10);
    while (n > 1 && digits[n - 1] == '0') n--;
    if (negative) TRY(buffer_add(buffer, "-", 1));
    if (exponent < -4 || exponent >= 16) {
        TRY(buffer_add(buffer, digits, 1));
        if (n > 1) {
            TRY(buffer_add(buffer, ".", 1));
            TRY(buffer_add(buffer, digits + 1, n - 1));
        }
        text_format(text, sizeof text, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return buffer_add_text(buffer, text);
    }
    if (exponent < 0) TRY(buffer_add_text(buffer, "0."));
    for (int i = exponent; i < -1; i++) TRY(buffer_add(buffer, "0", 1));
    for (int i = 0; i < (int)n || i <= exponent; i++) {
        TRY(buffer_add(buffer, i < (int)n ? &digits[i] : "0", 1));
        if (i == exponent) TRY(buffer_add(buffer, ".", 1));
    }
    return exponent >= (int)n - 1 ? buffer_add(buffer, "0", 1) : OK;
}

static status write_integer(struct buffer *buffer, int64_t integer) {
    char text[32];
    text_format(text, sizeof text, "%" PRId64, integer);
    return buffer_add_text(buffer, text);
}

static bool is_printable(uint32_t c) {
    if (c == ' ') return true;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    default:
        return true;
    }
}

static status write_repr_string(struct buffer *buffer, struct value value) {
    bool single = memchr(value.as.text, '\'', value.length) != NULL;
    char quote = single && !memchr(value.as.text, '"', value.length) ? '"' : '\'';
    TRY(buffer_add(buffer, &quote, 1));
    for (size_t i = 0; i < value.length;) {
        unsigned n;
        char escape[16];
        uint32_t c = utf8_decode((const uint8_t *)value.as.text + i, &n);
        if (c == (uint32_t)quote || c == '\\')
            text_format(escape, sizeof escape, "\\%c", (int)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            text_format(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (is_printable(c))
            escape[0] = 0;
        else
            text_format(escape, sizeof escape,
                        c < 0x100     ? "\\x%02x"
                        : c < 0x10000 ? "\\u%04x"
                                      : "\\U%08x",
                        (unsigned)c);
        TRY(escape[0] ? buffer_add_text(buffer, escape) : buffer_add(buffer, value.as.text + i, n));
        i += n;
    }
    return buffer_add(buffer, &quote, 1);
}

static status write_repr_list(struct buffer *buffer, const struct list *list, int depth) {
    if (list->kind == LIST_GENERATOR) return buffer_add_text(buffer, "<generator object>");
    bool tuple = list->kind == LIST_TUPLE;
    TRY(buffer_add_text(buffer, tuple ? "(" : list->kind == LIST_VIEW ? "dict_view([" : "["));
    for (size_t i = 0; i < list->n; i++) {
        if (i) TRY(buffer_add_text(buffer, ", "));
        TRY(value_write_repr(buffer, list->items[i], depth + 1));
    }
    return buffer_add_text(buffer, tuple                     ? (list->n == 1 ? ",)" : ")")
                                   : list->kind == LIST_VIEW ? "])"
                                                             : "]");
}

static status write_repr_dict(struct buffer *buffer, const struct dict *dict, int depth) {
    TRY(buffer_add_text(buffer, "{"));
    for (size_t i = 0; i < dict->n; i++) {
        if (i) TRY(buffer_add_text(buffer, ", "));
        TRY(value_write_repr(buffer, dict->entries[i].key, depth + 1));
        TRY(buffer_add_text(buffer, ": "));
        TRY(value_write_repr(buffer, dict->entries[i].value, depth + 1));
    }
    return buffer_add_text(buffer, "}");
}

static status too_deep(void) {
    return fail(LIMIT, "a value nests deeper than %d", VALUE_MOST_DEPTH);
}

status value_write_repr(struct buffer *buffer, struct value value, int depth) {
    if (depth > VALUE_MOST_DEPTH) return too_deep();
    switch (value.kind) {
    case VALUE_NONE:
        return buffer_add_text(buffer, "None");
    case VALUE_BOOL:
        return buffer_add_text(buffer, value.as.boolean ? "True" : "False");
    case VALUE_INT:
        return write_integer(buffer, value.as.integer);
    case VALUE_FLOAT:
        return write_float(buffer, value.as.real);
    case VALUE_STRING:
        return write_repr_string(buffer, value);
    case VALUE_LIST:
        return write_repr_list(buffer, value.as.list, depth);
    case VALUE_DICT:
        return write_repr_dict(buffer, value.as.dict, depth);
    case VALUE_NAMESPACE:
        TRY(buffer_add_text(buffer, "<Namespace "));
        TRY(write_repr_dict(buffer, value.as.dict, depth));
        return buffer_add_text(buffer, ">");
    default:
        TRY(buffer_add_text(buffer, value.kind == VALUE_UNDEFINED ? "" : "<"));
        TRY(buffer_add_text(buffer, value_kind_name(value)));
        return buffer_add_text(buffer, value.kind == VALUE_UNDEFINED ? "" : ">");
    }
}

status value_write(struct buffer *buffer, struct value value) {
    if (value.kind == VALUE_UNDEFINED) return OK;
    if (value.kind == VALUE_STRING) return buffer_add(buffer, value.as.text, value.length);
    return value_write_repr(buffer, value, 0);
}

status value_to_string(struct arena *arena, struct value value, struct value *string) {
    *string = value;
    if (value.kind == VALUE_STRING) return OK;
    struct buffer buffer = {.arena = arena};
    TRY(value_write(&buffer, value));
    *string = value_buffer(&buffer);
    return OK;
}

/* ---- JSON ---- */

static status write_json_string(struct buffer *buffer, struct value value, bool ascii) {
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    TRY(buffer_add(buffer, "\"", 1));
    for (size_t i = 0; i < value.length;) {
        unsigned n;
        char escape[24] = "";
        uint32_t c = utf8_decode((const uint8_t *)value.as.text + i, &n);
        const char *known = c && c < 0x80 ? strchr(from, (int)c) : NULL;
        if (known)
            text_format(escape, sizeof escape, "\\%c", to[known - from]);
        else if (c < 0x20 || (ascii && c > 0x7e && c < 0x10000))
            text_format(escape, sizeof escape, c == 0x7f ? "\x7f" : "\\u%04x", (unsigned)c);
        else if (ascii && c >= 0x10000)
            text_format(escape, sizeof escape, "\\u%04x\\u%04x",
                        (unsigned)(0xd800 + ((c - 0x10000) >> 10)),
                        (unsigned)(0xdc00 + (c & 0x3ff)));
        TRY(escape[0] ? buffer_add_text(buffer, escape) : buffer_add(buffer, value.as.text + i, n));
        i += n;
    }
    return buffer_add(buffer, "\"", 1);
}

static status write_json_break(struct buffer *buffer, const struct json_style *style, int depth) {
    if (style->indent < 0) return OK;
    TRY(buffer_add(buffer, "\n", 1));
    for (int64_t i = 0; i < style->indent * depth; i++) TRY(buffer_add(buffer, " ", 1));
    return OK;
}

static status write_json_comma(struct buffer *buffer, const struct json_style *style) {
    if (style->item.kind == VALUE_STRING) return value_write(buffer, style->item);
    return buffer_add_text(buffer, style->indent < 0 ? ", " : ",");
}

static status write_json_scalar(struct buffer *buffer, struct value value) {
    switch (value.kind) {
    case VALUE_NONE:
        return buffer_add_text(buffer, "null");
    case VALUE_BOOL:
        return buffer_add_text(buffer, value.as.boolean ? "true" : "false");
    case VALUE_FLOAT:
        if (isnan(value.as.real)) return buffer_add_text(buffer, "NaN");
        if (isinf(value.as.real))
            return buffer_add_text(buffer, value.as.real < 0 ? "-Infinity" : "Infinity");
        return write_float(buffer, value.as.real);
    case VALUE_INT:
        return write_integer(buffer, value.as.integer);
    default:
        return fail(FORMAT, "tojson: Object of type %s is not JSON serializable",
                    value_kind_name(value));
    }
}

static status write_json_key(struct buffer *buffer, struct value key,
                             const struct json_style *style) {
    if (key.kind != VALUE_STRING) {
        TRY(buffer_add(buffer, "\"", 1));
        TRY(write_json_scalar(buffer, key));
        TRY(buffer_add(buffer, "\"", 1));
    } else {
        TRY(write_json_string(buffer, key, style->ascii));
    }
    return style->key.kind == VALUE_STRING ? value_write(buffer, style->key)
                                           : buffer_add_text(buffer, ": ");
}

/* By key; a dict in JSON has few. */
static void sort_entries(struct entry *entries, size_t n) {
    for (size_t gap = n / 2; gap > 0; gap /= 2)
        for (size_t i = gap; i < n; i++) {
            struct entry moved = entries[i];
            size_t at = i;
            for (int order; at >= gap; at -= gap) {
                order = 0;
                value_compare(entries[at - gap].key, moved.key, 0, &order);
                if (order <= 0) break;
                entries[at] = entries[at - gap];
            }
            entries[at] = moved;
        }
}

static status write_json_dict(struct buffer *buffer, const struct dict *dict,
                              const struct json_style *style, int depth) {
    if (!dict->n) return buffer_add_text(buffer, "{}");
    const struct entry *entries = dict->entries;
    if (style->sort) {
        struct entry *sorted;
        ARENA_TAKE(buffer->arena, dict->n, &sorted);
        memcpy(sorted, entries, dict->n * sizeof *sorted);
        sort_entries(sorted, dict->n);
        entries = sorted;
    }
    TRY(buffer_add(buffer, "{", 1));
    for (size_t i = 0; i < dict->n; i++) {
        if (i) TRY(write_json_comma(buffer, style));
        TRY(write_json_break(buffer, style, depth + 1));
        TRY(write_json_key(buffer, entries[i].key, style));
        TRY(value_write_json(buffer, entries[i].value, style, depth + 1));
    }
    TRY(write_json_break(buffer, style, depth));
    return buffer_add(buffer, "}", 1);
}

status value_write_json(struct buffer *buffer, struct value value, const struct json_style *style,
                        int depth) {
    if (depth > VALUE_MOST_DEPTH) return too_deep();
    if (value.kind == VALUE_STRING) return write_json_string(buffer, value, style->ascii);
    if (value.kind == VALUE_DICT) return write_json_dict(buffer, value.as.dict, style, depth);
    if (value.kind != VALUE_LIST || value.as.list->kind > LIST_TUPLE)
        return write_json_scalar(buffer, value);
    const struct list *list = value.as.list;
    if (!list->n) return buffer_add_text(buffer, "[]");
    TRY(buffer_add(buffer, "[", 1));
    for (size_t i = 0; i < list->n; i++) {
        if (i) TRY(write_json_comma(buffer, style));
        TRY(write_json_break(buffer, style, depth + 1));
        TRY(value_write_json(buffer, list->items[i], style, depth + 1));
    }
    TRY(write_json_break(buffer, style, depth));
    return buffer_add(buffer, "]", 1);
}
