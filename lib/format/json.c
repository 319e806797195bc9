#include "format/json.h"

#include <math.h>
#include <string.h>

static status fail_at(const struct json *json, size_t at, const char *what) {
    return fail(FORMAT, "%s: not JSON at offset %" PRIu64 ": %s", json->file, json->base + at,
                what);
}

static void skip_space(struct json *json) {
    for (; json->at < json->size; json->at++) {
        uint8_t c = json->bytes[json->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
    }
}

/* 0 at the end. */
static uint8_t peek(const struct json *json) {
    return json->at < json->size ? json->bytes[json->at] : 0;
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

/* ---- strings ---- */

static int hex_digit(uint8_t c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The 4 digits at `from`; -1: there aren't 4. */
static int32_t hex_unit(const uint8_t *from, const uint8_t *end) {
    int32_t unit = 0;
    if (end - from < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(from[i]);
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* Bytes of the whole UTF-8 character at `from`, 0 if it is none (RFC 3629, section 4). */
static size_t character_bytes(const uint8_t *from, const uint8_t *end) {
    uint8_t c = from[0];
    if (c < 0x80) return 1;
    size_t n = c >= 0xC2 && c < 0xE0   ? 2
               : c >= 0xE0 && c < 0xF0 ? 3
               : c >= 0xF0 && c < 0xF5 ? 4
                                       : 0;
    if (n == 0 || (size_t)(end - from) < n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((from[i] & 0xC0) != 0x80) return 0;
    if ((c == 0xE0 && from[1] < 0xA0) || (c == 0xED && from[1] > 0x9F) ||
        (c == 0xF0 && from[1] < 0x90) || (c == 0xF4 && from[1] > 0x8F))
        return 0;
    return n;
}

/* An escape, its backslash at `from`, as a code point; returns its bytes, 0 if it is none. Halves
 * of a surrogate pair must be together. */
static size_t read_escape(const uint8_t *from, const uint8_t *end, int32_t *code) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (end - from < 2) return 0;
    const char *letter = from[1] ? strchr(letters, from[1]) : NULL;
    if (letter) {
        *code = meanings[letter - letters];
        return 2;
    }
    if (from[1] != 'u') return 0;
    *code = hex_unit(from + 2, end);
    if (*code < 0 || (*code >= 0xDC00 && *code < 0xE000)) return 0;
    if (*code < 0xD800 || *code >= 0xE000) return 6;
    if (end - from < 12 || from[6] != '\\' || from[7] != 'u') return 0;
    int32_t low = hex_unit(from + 8, end);
    if (low < 0xDC00 || low >= 0xE000) return 0;
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return 12;
}

static status read_string(struct json *json, struct json_value *value) {
    size_t begin = ++json->at;
    const uint8_t *end = json->bytes + json->size;
    *value = (struct json_value){.kind = JSON_STRING};
    for (;;) {
        if (json->at >= json->size) return fail_at(json, begin, "a string doesn't end");
        const uint8_t *at = json->bytes + json->at;
        if (*at == '"') break;
        if (*at < 0x20) return fail_at(json, json->at, "a control character in a string");
        int32_t code;
        size_t n = *at == '\\' ? read_escape(at, end, &code) : character_bytes(at, end);
        if (n == 0)
            return fail_at(json, json->at,
                           *at == '\\' ? "an escape that is none" : "bytes that are not UTF-8");
        if (*at == '\\') value->escaped = true;
        json->at += n;
    }
    value->text = (struct text){(const char *)json->bytes + begin, json->at - begin};
    json->at++;
    return OK;
}

static size_t put_code(int32_t code, char *to) {
    uint32_t c = (uint32_t)code;
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; c >>= 6) to[i] = (char)(0x80 | (c & 0x3F));
    to[0] = (char)(lead[n] | c);
    return n;
}

status json_unescape(const struct json *json, const struct json_value *value, char *buffer,
                     size_t capacity, size_t *length) {
    const uint8_t *from = (const uint8_t *)value->text.data, *end = from + value->text.length;
    size_t n = 0;
    while (from < end) {
        char character[4];
        size_t bytes = 1, used = 1;
        character[0] = (char)*from;
        if (*from == '\\') {
            int32_t code = 0;
            used = read_escape(from, end, &code);
            bytes = put_code(code, character);
        }
        if (bytes > capacity - n)
            return fail(
                LIMIT, "%s: a string at offset %" PRIu64 " has more than %zu bytes", json->file,
                json->base + (uint64_t)((const uint8_t *)value->text.data - json->bytes), capacity);
        memcpy(buffer + n, character, bytes);
        n += bytes;
        from += used;
    }
    *length = n;
    return OK;
}

bool json_is(const struct json_value *value, const char *text) {
    return value->kind == JSON_STRING && value->text.length == strlen(text) &&
           memcmp(value->text.data, text, value->text.length) == 0;
}

/* ---- numbers ---- */

static status skip_digits(struct json *json) {
    if (!is_digit(peek(json))) return fail_at(json, json->at, "a digit is missing");
    while (is_digit(peek(json))) json->at++;
    return OK;
}

static status read_number(struct json *json, struct json_value *value) {
    size_t begin = json->at;
    if (peek(json) == '-') json->at++;
    if (peek(json) == '0')
        json->at++;
    else
        TRY(skip_digits(json));
    if (peek(json) == '.') {
        json->at++;
        TRY(skip_digits(json));
    }
    if (peek(json) == 'e' || peek(json) == 'E') {
        json->at++;
        if (peek(json) == '+' || peek(json) == '-') json->at++;
        TRY(skip_digits(json));
    }
    *value = (struct json_value){
        .kind = JSON_NUMBER,
        .text = {(const char *)json->bytes + begin, json->at - begin},
    };
    return OK;
}

bool json_to_i64(const struct json_value *value, int64_t *number) {
    if (value->kind != JSON_NUMBER) return false;
    const char *at = value->text.data, *end = at + value->text.length;
    bool negative = *at == '-';
    int64_t result = 0;
    for (at += negative; at < end; at++) {
        if (!is_digit((uint8_t)*at)) return false;
        int digit = *at - '0';
        if (__builtin_mul_overflow(result, 10, &result) ||
            __builtin_sub_overflow(result, digit, &result))
            return false;
    }
    if (!negative && result == INT64_MIN) return false;
    *number = negative ? result : -result;
    return true;
}

/* m * 10^e: exact powers as long as there are some, so that what people write comes out rounded
 * once. */
static double scale(double m, int64_t e) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (m == 0.0) return 0.0;
    if (e >= 0 && e <= 22) return m * powers[e];
    if (e < 0 && e >= -22) return m / powers[-e];
    if (e < -700) return 0.0;
    if (e > 400) return (double)INFINITY;
    return e < -300 ? m * pow(10.0, (double)(e + 300)) * 1e-300 : m * pow(10.0, (double)e);
}

bool json_to_double(const struct json_value *value, double *number) {
    if (value->kind != JSON_NUMBER) return false;
    const char *at = value->text.data, *end = at + value->text.length;
    bool negative = *at == '-', fraction = false;
    uint64_t mantissa = 0;
    int64_t exponent = 0, stated = 0;
    for (at += negative; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            fraction = true;
        } else if (mantissa < UINT64_C(100000000000000000)) {
            mantissa = mantissa * 10 + (uint64_t)(*at - '0');
            exponent -= fraction;
        } else {
            exponent += !fraction;
        }
    }
    if (at < end) {
        at++;
        bool down = *at == '-';
        if (*at == '-' || *at == '+') at++;
        for (; at < end; at++)
            if (stated < 100000) stated = stated * 10 + (*at - '0');
        exponent += down ? -stated : stated;
    }
    double result = scale((double)mantissa, exponent);
    *number = negative ? -result : result;
    return isfinite(result);
}

/* ---- values ---- */

static status read_word(struct json *json, enum json_kind kind, const char *word,
                        struct json_value *value) {
    size_t n = strlen(word);
    if (json->size - json->at < n || memcmp(json->bytes + json->at, word, n) != 0)
        return fail_at(json, json->at, "a word that is none");
    *value = (struct json_value){.kind = kind, .text = {(const char *)json->bytes + json->at, n}};
    json->at += n;
    return OK;
}

status json_read(struct json *json, struct json_value *value) {
    skip_space(json);
    uint8_t c = peek(json);
    switch (c) {
    case '"':
        return read_string(json, value);
    case 't':
        return read_word(json, JSON_TRUE, "true", value);
    case 'f':
        return read_word(json, JSON_FALSE, "false", value);
    case 'n':
        return read_word(json, JSON_NULL, "null", value);
    case '{':
    case '[':
        if (++json->depth > JSON_MAX_DEPTH)
            return fail(LIMIT, "%s: JSON deeper than %d at offset %" PRIu64, json->file,
                        JSON_MAX_DEPTH, json->base + json->at);
        *value = (struct json_value){.kind = c == '{' ? JSON_OBJECT : JSON_ARRAY,
                                     .text = {(const char *)json->bytes + json->at, 1}};
        json->at++;
        return OK;
    default:
        if (c == '-' || is_digit(c)) return read_number(json, value);
        return fail_at(json, json->at, json->at < json->size ? "no value" : "it ends too early");
    }
}

/* Before an element or key: a comma where one is due, or the end. */
static status next(struct json *json, uint8_t bracket, bool *first, bool *more) {
    skip_space(json);
    *more = peek(json) != bracket;
    if (!*more) {
        json->at++;
        json->depth--;
        return OK;
    }
    if (!*first) {
        if (peek(json) != ',') return fail_at(json, json->at, "a comma is missing");
        json->at++;
        skip_space(json);
    }
    *first = false;
    return OK;
}

status json_element(struct json *json, bool *first, bool *more) {
    return next(json, ']', first, more);
}

status json_member(struct json *json, bool *first, bool *more, struct json_value *key) {
    TRY(next(json, '}', first, more));
    if (!*more) return OK;
    if (peek(json) != '"') return fail_at(json, json->at, "a key is missing");
    TRY(read_string(json, key));
    skip_space(json);
    if (peek(json) != ':') return fail_at(json, json->at, "a colon is missing");
    json->at++;
    return OK;
}

status json_skip(struct json *json, struct json_value *value) {
    if (value->kind != JSON_ARRAY && value->kind != JSON_OBJECT) return OK;
    bool object[JSON_MAX_DEPTH + 1], first = true, more;
    int outer = json->depth - 1;
    object[json->depth] = value->kind == JSON_OBJECT;
    while (json->depth > outer) {
        struct json_value part;
        if (object[json->depth])
            TRY(json_member(json, &first, &more, &part));
        else
            TRY(json_element(json, &first, &more));
        first = false;
        if (!more) continue;
        TRY(json_read(json, &part));
        if (part.kind != JSON_ARRAY && part.kind != JSON_OBJECT) continue;
        object[json->depth] = part.kind == JSON_OBJECT;
        first = true;
    }
    const char *end = (const char *)json->bytes + json->at;
    value->text.length = (size_t)(end - value->text.data);
    return OK;
}

status json_end(struct json *json) {
    skip_space(json);
    return json->at == json->size ? OK : fail_at(json, json->at, "more after its end");
}

/* ---- objects of known members ---- */

status json_fields(struct json *json, struct json_field *fields, size_t n, struct text *other) {
    bool first = true, more;
    struct json_value key, value;
    for (size_t i = 0; i < n; i++) fields[i].found = false;
    if (other) *other = (struct text){NULL, 0};
    for (;;) {
        TRY(json_member(json, &first, &more, &key));
        if (!more) return OK;
        TRY(json_read(json, &value));
        TRY(json_skip(json, &value));
        size_t i = 0;
        while (i < n && !json_is(&key, fields[i].name)) i++;
        if (i < n) {
            fields[i].value = value;
            fields[i].found = value.kind != JSON_NULL;
        } else if (other && value.kind != JSON_NULL) {
            *other = key.text;
        }
    }
}

struct json json_inside(const struct json *json, const struct json_value *value) {
    const uint8_t *bytes = (const uint8_t *)value->text.data;
    return (struct json){.file = json->file,
                         .bytes = bytes,
                         .size = value->text.length,
                         .base = json->base + (uint64_t)(bytes - json->bytes),
                         .depth = json->depth};
}
