/* Filters that make a text of another one. */
#include <string.h>

#include "chat/render.h"
#include "tokenizer/character.h"
#include "tokenizer/utf8.h"

/* ---- letters and lines ---- */

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

/* ---- filesizeformat ---- */

FILTER(filter_filesizeformat) {
    static const char *const units[2][8] = {
        {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
        {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
    bool binary = value_truth(values[0]);
    double base = binary ? 1024 : 1000, unit = base * base;
    struct buffer buffer = {.arena = &r->arena};
    struct value number;
    const struct value nothing = value_of_kind(VALUE_NONE);
    const struct arguments otherwise = {.list = &nothing, .n = 1};
    TRY(filters_apply(r, value_text("float"), input, &otherwise, &number));
    if (number.kind != VALUE_FLOAT)
        return render_fail(r, FORMAT, "filesizeformat of '%s'", value_kind_name(input));
    double bytes = value_real(number);
    struct list list = {.kind = LIST_TUPLE, .n = 1, .capacity = 1, .items = &number};
    if (bytes == 1) {
        *result = value_text("1 Byte");
        return OK;
    }
    int i = 0;
    /* Python's units are integers: of those that doubles don't hold, 10^24 is above its double */
    for (; bytes >= base && i < 7 && bytes >= unit && !(bytes == 1e24 && unit == 1e24); i++)
        unit *= base;
    if (bytes < base) {
        if (!(bytes > -9e18)) return render_fail(r, FORMAT, "filesizeformat of no finite number");
        number = value_int((int64_t)bytes);
    } else {
        number = value_float(base * bytes / unit);
    }
    TRY(operators_format(r, value_text(bytes < base ? "%d" : "%.1f"), &list, result));
    TRY(value_write(&buffer, *result));
    TRY(buffer_add_text(&buffer, " "));
    TRY(buffer_add_text(&buffer, bytes < base ? "Bytes" : units[binary][i]));
    *result = value_buffer(&buffer);
    return OK;
}

/* ---- striptags ---- */

/* Where the tag or comment that begins here ends; NULL: nowhere. */
static const char *tag_end(const char *p, const char *end) {
    if (end - p >= 4 && memcmp(p, "<!--", 4) == 0) {
        struct value rest = value_string(p + 4, (size_t)(end - p) - 4);
        size_t at = methods_find_text(rest, value_text("-->"), 0);
        return at == SIZE_MAX ? NULL : p + 4 + at + 3;
    }
    const char *close = memchr(p, '>', (size_t)(end - p));
    return close ? close + 1 : NULL;
}

static status drop_tags(struct render *r, struct value text, struct buffer *buffer) {
    const char *p = text.as.text, *end = p + text.length, *open;
    while (p < end && (open = memchr(p, '<', (size_t)(end - p))) != NULL) {
        const char *next = tag_end(open, end);
        if (!next) break;
        TRY(render_spend(r, 1));
        TRY(buffer_add(buffer, p, (size_t)(open - p)));
        p = next;
    }
    return buffer_add(buffer, p, (size_t)(end - p));
}

/* The characters that escaping writes; HTML has thousands of names. */
static status unescape(struct render *r, struct value text, struct buffer *buffer) {
    static const char *const names[][2] = {{"&amp;", "&"},  {"&lt;", "<"},   {"&gt;", ">"},
                                           {"&#39;", "'"},  {"&#34;", "\""}, {"&quot;", "\""},
                                           {"&apos;", "'"}, {"&#x27;", "'"}};
    for (size_t i = 0; i < text.length;) {
        const char *p = text.as.text + i;
        size_t left = text.length - i, taken = 0;
        for (size_t k = 0; *p == '&' && k < sizeof names / sizeof *names && !taken; k++) {
            size_t n = strlen(names[k][0]);
            if (n > left || memcmp(p, names[k][0], n) != 0) continue;
            taken = n;
            TRY(buffer_add_text(buffer, names[k][1]));
        }
        bool letter = left > 1 && ((p[1] | 32) >= 'a' && (p[1] | 32) <= 'z');
        if (!taken && *p == '&' && left > 1 && (letter || p[1] == '#'))
            return render_fail(r, UNSUPPORTED, "striptags: '%.*s'", left < 12 ? (int)left : 12, p);
        if (!taken) TRY(buffer_add(buffer, p, 1));
        i += taken ? taken : 1;
    }
    return OK;
}

FILTER(filter_striptags) {
    struct buffer plain = {.arena = &r->arena}, buffer = {.arena = &r->arena};
    struct arguments none = {.list = NULL};
    struct value text, method, words;
    (void)values;
    TRY(value_to_string(&r->arena, input, &text));
    TRY(drop_tags(r, text, &plain));
    TRY(methods_find(r, value_buffer(&plain), value_text("split"), &method));
    TRY(expression_call(r, method, &none, &words));
    const struct arguments space = {.list = (const struct value[]){value_text(" ")}, .n = 1};
    TRY(filters_apply(r, value_text("join"), words, &space, &text));
    TRY(unescape(r, text, &buffer));
    *result = value_buffer(&buffer);
    return OK;
}

/* ---- truncate ---- */

FILTER(filter_truncate) {
    int64_t length = 255, leeway = 5;
    struct value end = value_text("...");
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    if (input.kind != VALUE_STRING)
        return render_fail(r, FORMAT, "truncate of '%s'", value_kind_name(input));
    TRY(filters_count(r, values[0], &length));
    if (render_given(values[2])) end = values[2];
    if (end.kind != VALUE_STRING) return render_fail(r, FORMAT, "truncate: end is no string");
    if (values[3].kind != VALUE_NONE) TRY(filters_count(r, values[3], &leeway));
    int64_t n = (int64_t)operators_length(input), n_end = (int64_t)operators_length(end);
    TRY(render_spend(r, input.length / 64));
    if (length < n_end)
        return render_fail(r, FORMAT, "expected length >= %" PRId64 ", got %" PRId64, n_end,
                           length);
    if (leeway < 0) return render_fail(r, FORMAT, "expected leeway >= 0, got %" PRId64, leeway);
    *result = input;
    if (n <= leeway || n - leeway <= length) return OK;
    size_t kept = operators_offset(input, (size_t)(length - n_end));
    if (!value_truth(values[1])) /* up to the last space */
        for (size_t i = kept; i-- > 0;)
            if (input.as.text[i] == ' ') {
                kept = i;
                break;
            }
    TRY(buffer_add(&buffer, input.as.text, kept));
    TRY(value_write(&buffer, end));
    *result = value_buffer(&buffer);
    return OK;
}

/* ---- urlencode ---- */

/* Of a query: '/' is quoted too, and a space is '+'. */
static status quote(struct render *r, struct buffer *buffer, struct value value, bool of_query) {
    static const char digits[] = "0123456789ABCDEF";
    struct value text;
    TRY(value_to_string(&r->arena, value, &text));
    TRY(render_spend(r, text.length / 16));
    for (size_t i = 0; i < text.length; i++) {
        char c = text.as.text[i], lower = (char)(c | 32);
        uint8_t byte = (uint8_t)c;
        const char escaped[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        bool safe = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
                    c == '.' || c == '-' || c == '~' || (c == '/' && !of_query);
        if (of_query && c == ' ')
            TRY(buffer_add(buffer, "+", 1));
        else
            TRY(buffer_add(buffer, safe ? &c : escaped, safe ? 1 : sizeof escaped));
    }
    return OK;
}

static status quote_pair(struct render *r, struct buffer *buffer, struct value key,
                         struct value value) {
    if (buffer->length) TRY(buffer_add(buffer, "&", 1));
    TRY(quote(r, buffer, key, true));
    TRY(buffer_add(buffer, "=", 1));
    return quote(r, buffer, value, true);
}

FILTER(filter_urlencode) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    const struct list *items, *pair;
    (void)values;
    if (input.kind == VALUE_DICT) {
        for (size_t i = 0; i < input.as.dict->n; i++)
            TRY(quote_pair(r, &buffer, input.as.dict->entries[i].key,
                           input.as.dict->entries[i].value));
    } else if (input.kind == VALUE_LIST) {
        TRY(expression_items(r, input, &items));
        for (size_t i = 0; i < items->n; i++) {
            TRY(expression_items(r, items->items[i], &pair));
            if (pair->n != 2) return render_fail(r, FORMAT, "urlencode of what is no pair");
            TRY(quote_pair(r, &buffer, pair->items[0], pair->items[1]));
        }
    } else if (input.kind != VALUE_UNDEFINED) {
        TRY(quote(r, &buffer, input, false));
    }
    *result = value_buffer(&buffer);
    return OK;
}

/* ---- xmlattr ---- */

FILTER(filter_xmlattr) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    struct value escaped[2];
    if (input.kind != VALUE_DICT)
        return render_fail(r, FORMAT, "xmlattr of '%s'", value_kind_name(input));
    const struct dict *dict = input.as.dict;
    bool space = !render_given(values[0]) || value_truth(values[0]);
    for (size_t i = 0; i < dict->n; i++) {
        const struct entry *entry = &dict->entries[i];
        if (entry->value.kind == VALUE_NONE || entry->value.kind == VALUE_UNDEFINED) continue;
        if (entry->key.kind != VALUE_STRING)
            return render_fail(r, FORMAT, "xmlattr: a name is no string");
        for (size_t k = 0; k < entry->key.length; k++)
            if (strchr(" \t\n\r\f\v/>=", entry->key.as.text[k]) && entry->key.as.text[k])
                return render_fail(r, FORMAT, "Invalid character in attribute name");
        TRY(filters_escape(r, entry->key, &escaped[0]));
        TRY(filters_escape(r, entry->value, &escaped[1]));
        if (space || buffer.length) TRY(buffer_add(&buffer, " ", 1));
        TRY(value_write(&buffer, escaped[0]));
        TRY(buffer_add_text(&buffer, "=\""));
        TRY(value_write(&buffer, escaped[1]));
        TRY(buffer_add_text(&buffer, "\""));
    }
    *result = value_buffer(&buffer);
    return OK;
}

/* ---- wordwrap: Python's textwrap, without what it does to tabs and other white space ---- */

struct wrapping {
    struct render *r;
    const uint32_t *points; /* [n] of a line */
    size_t n;
    int64_t width;
    bool breaks_words, breaks_hyphens;
    struct buffer *buffer;
    struct value between;
    bool any;            /* a line was written */
    size_t rest, origin; /* of a word that was broken: what is left of it, where it began */
};

static bool is_blank(uint32_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(uint32_t c) {
    return c == '_' || (character_class(c) & (LETTER | NUMBER)) != 0;
}

static bool is_letter(uint32_t c) {
    return is_word(c) && !(character_class(c) & DIGIT);
}

static bool is_word_or_mark(uint32_t c) {
    return is_word(c) || (c < 128 && strchr("!\"'&.,?", (int)c) && c);
}

static bool at(const struct wrapping *w, size_t i, bool (*is)(uint32_t)) {
    return i < w->n && is(w->points[i]);
}

/* Two hyphens or more from here on, and a word behind them. */
static bool is_dash(const struct wrapping *w, size_t i, size_t *end) {
    size_t k = i;
    while (k < w->n && w->points[k] == '-') k++;
    *end = k;
    return k - i >= 2 && at(w, k, is_word);
}

/* Whether a word may be parted behind the hyphen at i. */
static bool parts_word(const struct wrapping *w, size_t begin, size_t i) {
    if (w->points[i] != '-' || i == begin) return false;
    bool before = (i >= 2 && is_letter(w->points[i - 1]) && is_letter(w->points[i - 2])) ||
                  (i >= 3 && w->points[i - 2] == '-' && is_letter(w->points[i - 3]) &&
                   is_letter(w->points[i - 1]));
    if (!before || !at(w, i + 1, is_letter)) return false;
    return at(w, i + 2, is_letter) ||
           (i + 3 < w->n && w->points[i + 2] == '-' && is_letter(w->points[i + 3]));
}

/* Where the piece that begins here ends: white space, a dash, a word or a part of it. Of a word
 * that is longer than a line and will be broken no more is looked at. */
static size_t piece_end(const struct wrapping *w, size_t begin) {
    size_t i = begin, end, n = w->n, origin = begin == w->rest ? w->origin : begin;
    if (w->breaks_words && n - begin > (size_t)w->width) n = begin + (size_t)w->width + 1;
    if (is_blank(w->points[i])) {
        while (at(w, i, is_blank)) i++;
        return i;
    }
    if (!w->breaks_hyphens) {
        while (i < n && !is_blank(w->points[i])) i++;
        return i;
    }
    if (origin > 0 && is_word_or_mark(w->points[origin - 1]) && is_dash(w, origin, &end))
        return end;
    for (; i < n; i++) {
        if (i > origin && is_blank(w->points[i])) break;
        if (parts_word(w, origin, i)) return i + 1;
        if (i + 1 < w->n && is_word_or_mark(w->points[i]) && is_dash(w, i + 1, &end)) return i + 1;
    }
    return i;
}

static status write_line(struct wrapping *w, size_t begin, size_t end) {
    if (w->any) TRY(value_write(w->buffer, w->between));
    w->any = true;
    for (size_t i = begin; i < end; i++) {
        char bytes[4];
        TRY(buffer_add(w->buffer, bytes, utf8_encode(w->points[i], bytes)));
    }
    return render_spend(w->r, (end - begin) / 16 + 1);
}

/* How much of a word that is longer than a line stands on this one. */
static size_t broken_at(const struct wrapping *w, size_t begin, size_t end, size_t room) {
    size_t stop = begin + room;
    if (!w->breaks_hyphens || end - begin <= room) return stop;
    for (size_t i = stop; i-- > begin + 1;) {
        if (w->points[i] != '-') continue;
        for (size_t k = begin; k < i; k++)
            if (w->points[k] != '-') return i + 1;
        return stop;
    }
    return stop;
}

/* Nothing but what Python calls white space, which is more than what parts pieces. */
static bool is_space(const struct wrapping *w, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
        uint32_t c = w->points[i];
        if (!(character_class(c) & SPACE) && (c < 0x1c || c > 0x1f)) return false;
    }
    return true;
}

/* Where the piece ends if it is nothing but white space, of which no line begins with but the
 * first; else where it begins. What is looked at of it may be less than all. */
static size_t skip_space(const struct wrapping *w, size_t begin) {
    size_t stop = begin;
    while (stop < w->n) {
        size_t end = piece_end(w, stop);
        if (!is_space(w, stop, end)) return begin;
        bool goes_on = !is_blank(w->points[stop]) && end - stop > (size_t)w->width && end < w->n &&
                       !is_blank(w->points[end]);
        stop = end;
        if (!goes_on) break;
    }
    return stop;
}

static status wrap_line(struct wrapping *w) {
    size_t width = (size_t)w->width, used = 0;
    while (used < w->n) {
        if (w->any) used = skip_space(w, used);
        size_t begin = used, last = used, end = used; /* the line, and its last piece */
        while (used < w->n && (end = piece_end(w, used)) - begin <= width) {
            last = used;
            used = end;
        }
        if (used < w->n && end - used > width) { /* longer than any line */
            size_t room = width - (used - begin);
            if (w->breaks_words || used == begin) last = used;
            if (w->breaks_words) {
                if (used != w->rest) w->origin = used;
                w->rest = used = broken_at(w, used, end, room);
            } else if (used == begin) {
                used = end;
            }
        }
        TRY(render_spend(w->r, (end - begin) / 4 + 1));
        size_t kept = used > begin && is_space(w, last, used) ? last : used;
        if (kept > begin) TRY(write_line(w, begin, kept));
    }
    return OK;
}

FILTER(filter_wordwrap) {
    struct buffer buffer = {.arena = &r->arena, .limit = r->output->limit};
    struct wrapping w = {.r = r, .width = 79, .buffer = &buffer, .between = value_text("\n")};
    struct arguments none = {.list = NULL};
    struct value text, method, lines;
    bool first = true;
    TRY(value_to_string(&r->arena, input, &text));
    TRY(filters_count(r, values[0], &w.width));
    if (w.width <= 0) return render_fail(r, FORMAT, "invalid width %" PRId64, w.width);
    if (w.width > INT32_MAX) w.width = INT32_MAX;
    w.breaks_words = !render_given(values[1]) || value_truth(values[1]);
    w.breaks_hyphens = !render_given(values[3]) || value_truth(values[3]);
    if (render_given(values[2]) && values[2].kind != VALUE_NONE) w.between = values[2];
    TRY(methods_find(r, text, value_text("splitlines"), &method));
    TRY(expression_call(r, method, &none, &lines));
    for (size_t i = 0; i < lines.as.list->n; i++) {
        struct value line = lines.as.list->items[i];
        uint32_t *points;
        ARENA_TAKE(&r->arena, line.length + 1, &points);
        w.n = 0;
        for (size_t k = 0; k < line.length;) {
            unsigned bytes;
            points[w.n++] = utf8_decode((const uint8_t *)line.as.text + k, &bytes);
            k += bytes;
        }
        w.points = points;
        w.rest = SIZE_MAX;
        w.any = false;
        if (!first) TRY(value_write(&buffer, w.between));
        first = false;
        TRY(wrap_line(&w));
    }
    *result = value_buffer(&buffer);
    return OK;
}

const struct filter filters_of_texts[] = {
    {"capitalize", "", filter_capitalize},
    {"center", "width", filter_center},
    {"e", "", filter_escape},
    {"escape", "", filter_escape},
    {"filesizeformat", "binary", filter_filesizeformat},
    {"forceescape", "", filter_escape},
    {"indent", "width first blank", filter_indent},
    {"lower", "", filter_lower},
    {"replace", "!old !new count", filter_replace},
    {"safe", "", filter_safe},
    {"string", "", filter_string},
    {"striptags", "", filter_striptags},
    {"title", "", filter_title},
    {"trim", "chars", filter_trim},
    {"truncate", "length killwords end leeway", filter_truncate},
    {"upper", "", filter_upper},
    {"urlencode", "", filter_urlencode},
    {"wordcount", "", filter_wordcount},
    {"wordwrap", "width break_long_words wrapstring break_on_hyphens", filter_wordwrap},
    {"xmlattr", "autospace", filter_xmlattr},
    {NULL, NULL, NULL},
};
