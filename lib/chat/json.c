/* Reads JSON (RFC 8259) into values: strict, of the arena's memory, objects in their order. A
 * library's reader would take memory from malloc, which an instance's allocator knows nothing of.
 */
#include <string.h>

#include "chat/value.h"
#include "tokenizer/utf8.h"

struct reader {
    struct arena *arena;
    const char *what;
    const char *start, *p, *end;
};

static status wrong(const struct reader *r, const char *reason) {
    return fail(INVALID_ARGUMENT, "%s: %s at byte %zu", r->what, reason, (size_t)(r->p - r->start));
}

static void skip_space(struct reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
}

static bool take(struct reader *r, char c) {
    if (r->p == r->end || *r->p != c) return false;
    r->p++;
    return true;
}

static bool take_word(struct reader *r, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) return false;
    r->p += n;
    return true;
}

static status read_hex(struct reader *r, uint32_t *unit) {
    *unit = 0;
    for (int i = 0; i < 4; i++, r->p++) {
        char c = r->p < r->end ? *r->p : 0;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return wrong(r, "a broken \\u escape");
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return OK;
}

static status read_escape(struct reader *r, char *out, size_t *n) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = r->p < r->end ? *r->p : 0;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        out[(*n)++] = to[known - from];
        r->p++;
        return OK;
    }
    if (!take(r, 'u')) return wrong(r, "an unknown escape");
    uint32_t unit, low = 0;
    TRY(read_hex(r, &unit));
    if (unit >= 0xd800 && unit < 0xe000) {
        if (unit >= 0xdc00 || !take_word(r, "\\u")) return wrong(r, "half a surrogate pair");
        TRY(read_hex(r, &low));
        if (low < 0xdc00 || low >= 0xe000) return wrong(r, "half a surrogate pair");
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    *n += utf8_encode(unit, out + *n);
    return OK;
}

static status read_string(struct reader *r, struct value *value) {
    const char *first = r->p;
    while (r->p < r->end && *r->p != '"') r->p += *r->p == '\\' && r->p + 1 < r->end ? 2 : 1;
    size_t most = (size_t)(r->p - first), n = 0;
    const char *end = r->p;
    if (r->p >= r->end) return wrong(r, "a string without its end");
    char *text;
    ARENA_TAKE(r->arena, most + 1, &text); /* an escape is never shorter than its character */
    for (r->p = first; r->p < end;) {
        if ((unsigned char)*r->p < 0x20) return wrong(r, "a control character in a string");
        if (take(r, '\\'))
            TRY(read_escape(r, text, &n));
        else
            text[n++] = *r->p++;
    }
    r->p = end + 1;
    *value = value_string(text, n);
    return OK;
}

static bool is_digit(const struct reader *r) {
    return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

static status read_number(struct reader *r, struct value *value) {
    const char *first = r->p;
    bool real = false, negative = take(r, '-'), fits = true;
    int64_t integer = 0;
    if (!is_digit(r)) return wrong(r, "not a value");
    if (*r->p == '0' && r->p + 1 < r->end && r->p[1] >= '0' && r->p[1] <= '9')
        return wrong(r, "a number that begins with 0");
    for (; is_digit(r); r->p++)
        fits = fits && !__builtin_mul_overflow(integer, 10, &integer) &&
               !__builtin_sub_overflow(integer, *r->p - '0', &integer);
    if (take(r, '.')) {
        real = true;
        if (!is_digit(r)) return wrong(r, "a point without digits");
        while (is_digit(r)) r->p++;
    }
    if (take(r, 'e') || take(r, 'E')) {
        real = true;
        if (!take(r, '+')) take(r, '-');
        if (!is_digit(r)) return wrong(r, "an exponent without digits");
        while (is_digit(r)) r->p++;
    }
    if (real) {
        double number;
        if (!value_read_float(first, (size_t)(r->p - first), &number))
            return wrong(r, "a number too long");
        *value = value_float(number);
        return OK;
    }
    if (!fits || (!negative && __builtin_sub_overflow(0, integer, &integer)))
        return wrong(r, "an integer of more than 64 bits");
    *value = value_int(integer);
    return OK;
}

static status read_value(struct reader *r, struct value *value, int depth);

static status read_list(struct reader *r, struct value *value, int depth) {
    struct list *list;
    struct value item;
    TRY(list_create(r->arena, LIST_LIST, 0, &list));
    *value = value_list(list);
    skip_space(r);
    if (take(r, ']')) return OK;
    do {
        TRY(read_value(r, &item, depth + 1));
        TRY(list_add(r->arena, list, item));
    } while (take(r, ','));
    return take(r, ']') ? OK : wrong(r, "',' or ']' is missing");
}

static status read_object(struct reader *r, struct value *value, int depth) {
    struct dict *dict;
    struct value key, item;
    TRY(dict_create(r->arena, &dict));
    *value = value_dict(dict);
    skip_space(r);
    if (take(r, '}')) return OK;
    do {
        skip_space(r);
        if (!take(r, '"')) return wrong(r, "a key is missing");
        TRY(read_string(r, &key));
        skip_space(r);
        if (!take(r, ':')) return wrong(r, "':' is missing");
        TRY(read_value(r, &item, depth + 1));
        TRY(dict_set(r->arena, dict, key, item));
    } while (take(r, ','));
    return take(r, '}') ? OK : wrong(r, "',' or '}' is missing");
}

static status read_value(struct reader *r, struct value *value, int depth) {
    if (depth > VALUE_MOST_DEPTH - 20) return wrong(r, "values that nest too deep");
    status result = OK;
    skip_space(r);
    if (take(r, '{'))
        result = read_object(r, value, depth);
    else if (take(r, '['))
        result = read_list(r, value, depth);
    else if (take(r, '"'))
        result = read_string(r, value);
    else if (take_word(r, "null"))
        *value = value_of_kind(VALUE_NONE);
    else if (take_word(r, "true"))
        *value = value_bool(true);
    else if (take_word(r, "false"))
        *value = value_bool(false);
    else
        result = read_number(r, value);
    skip_space(r);
    return result;
}

status value_read_json(struct arena *arena, const char *what, struct text text,
                       struct value *value) {
    struct reader r = {arena, what, text.data, text.data, text.data + text.length};
    if (utf8_valid_prefix((const uint8_t *)text.data, text.length) != text.length)
        return fail(INVALID_ARGUMENT, "%s is not UTF-8", what);
    TRY(read_value(&r, value, 0));
    return r.p == r.end ? OK : wrong(&r, "something after the value");
}
