#include "tokenizer/normalize.h"

#include <string.h>

#include <utf8proc.h>

#include "tokenizer/byte_level.h"
#include "tokenizer/character.h"
#include "tokenizer/normalize_unicode.h"
#include "tokenizer/utf8.h"

/* A text may grow by each step, 3 bytes a character where that is natural; this ends what a hostile
 * sequence of steps could do. */
#define MOST_BYTES ((size_t)1 << 32)

status normalize_room(struct normalizer *normalizer, size_t n) {
    int which = normalizer->which;
    if (n <= normalizer->capacity[which]) return OK;
    if (n > MOST_BYTES) return fail(LIMIT, "a text becomes longer than 4 GiB when normalized");
    size_t more = n + n / 2;
    char *bytes;
    TRY(MEMORY_TAKE(normalizer->memory, more, "normalized text", &bytes));
    if (normalizer->capacity[which])
        memcpy(bytes, normalizer->bytes[which], normalizer->capacity[which]);
    memory_give(normalizer->memory, normalizer->bytes[which]);
    normalizer->bytes[which] = bytes;
    normalizer->capacity[which] = more;
    return OK;
}

/* What was written is the text. */
static void finish(struct normalizer *normalizer, size_t n, struct text *text) {
    *text = (struct text){normalizer->bytes[normalizer->which], n};
    normalizer->which ^= 1;
}

/* ---- steps that look at one character at a time ---- */

enum { MOST_PER_CHARACTER = 3 };

static bool is_chinese(uint32_t c) {
    static const struct character_range ranges[] = {
        {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0x20000, 0x2a6df},
        {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f},
    };
    return c >= 0x3400 && character_in(c, ranges, sizeof ranges / sizeof *ranges);
}

/* The blocks that count as other than text: control, format, private use. */
static bool is_other(uint32_t c) {
    if (c < 0x80) return c < 0x20 || c == 0x7f;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
        return true;
    default:
        return false;
    }
}

static uint32_t clean(uint32_t c, bool *dropped) {
    if (c == '\t' || c == '\n' || c == '\r') return ' ';
    *dropped = c == 0 || c == 0xfffd || is_other(c);
    return character_class(c) & SPACE ? ' ' : c;
}

/* Machine translation's: nmt_nfkc without the nfkc. */
static uint32_t nmt(uint32_t c, bool *dropped) {
    *dropped = (c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f ||
               c == 0x8f || c == 0x9f;
    bool space = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 ||
                 (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                 c == 0xfeff || c == 0xfffd;
    return space ? ' ' : c;
}

/* What a character becomes: [3] of them at most; returns how many. */
static unsigned change(enum normalize_kind kind, uint32_t c, uint32_t *to) {
    bool dropped = false;
    utf8proc_category_t category;
    to[0] = c;
    switch (kind) {
    case NORMALIZE_LOWERCASE:
        if (c == 0x130) { /* the one letter whose lower case is two characters */
            to[0] = 'i';
            to[1] = 0x307;
            return 2;
        }
        to[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
        return 1;
    case NORMALIZE_STRIP_MARKS:
        return character_class(c) & MARK ? 0 : 1;
    case NORMALIZE_STRIP_NONSPACING:
        category = utf8proc_category((utf8proc_int32_t)c);
        return category == UTF8PROC_CATEGORY_MN ? 0 : 1;
    case NORMALIZE_CLEAN:
        to[0] = clean(c, &dropped);
        return dropped ? 0 : 1;
    case NORMALIZE_NMT:
        to[0] = nmt(c, &dropped);
        return dropped ? 0 : 1;
    default: /* SPACE_CHINESE */
        if (!is_chinese(c)) return 1;
        to[0] = to[2] = ' ';
        to[1] = c;
        return 3;
    }
}

/* What an ASCII character becomes, 0xff for nothing: most text is that. */
static void fill_ascii(enum normalize_kind kind, uint8_t table[128]) {
    for (uint32_t c = 0; c < 128; c++) {
        uint32_t to[MOST_PER_CHARACTER];
        table[c] = change(kind, c, to) ? (uint8_t)to[0] : 0xff;
    }
}

static status by_character(struct normalizer *normalizer, enum normalize_kind kind,
                           struct text *text) {
    const uint8_t *in = (const uint8_t *)text->data;
    uint8_t ascii[128];
    uint32_t to[MOST_PER_CHARACTER];
    unsigned bytes;
    fill_ascii(kind, ascii);
    size_t from_start = 0, first = 0;
    for (size_t i = 0; i < normalizer->from_start && first < text->length; i++, first += bytes)
        from_start += change(kind, utf8_decode(in + first, &bytes), to);
    normalizer->from_start = from_start;
    size_t at = 0;
    while (at < text->length && in[at] < 0x80 && ascii[in[at]] == in[at]) at++;
    if (at == text->length) return OK;
    /* a 2-byte character may become 3 bytes, an ideograph gets two spaces */
    TRY(normalize_room(normalizer, 2 * text->length + 8));
    uint8_t *out = (uint8_t *)normalizer->bytes[normalizer->which];
    memcpy(out, in, at);
    for (size_t n = at;;) {
        for (; at < text->length && in[at] < 0x80; at++) {
            out[n] = ascii[in[at]];
            n += ascii[in[at]] < 0x80;
        }
        if (at == text->length) {
            finish(normalizer, n, text);
            return OK;
        }
        unsigned n_to = change(kind, utf8_decode(in + at, &bytes), to);
        for (unsigned i = 0; i < n_to; i++) n += utf8_encode(to[i], (char *)out + n);
        at += bytes;
    }
}

/* ---- other steps ---- */

static void strip_left(struct normalizer *normalizer, struct text *text) {
    unsigned n;
    while (text->length && character_class(utf8_decode((const uint8_t *)text->data, &n)) & SPACE) {
        text->data += n;
        text->length -= n;
        if (normalizer->from_start > 0) normalizer->from_start--;
    }
}

static void strip_right(struct text *text) {
    const uint8_t *data = (const uint8_t *)text->data;
    while (text->length) {
        size_t at = text->length - 1;
        unsigned n;
        while (at > 0 && (data[at] & 0xc0) == 0x80) at--;
        if (!(character_class(utf8_decode(data + at, &n)) & SPACE)) return;
        text->length = at;
    }
}

static status prepend(struct normalizer *normalizer, struct text content, struct text *text) {
    if (text->length == 0) return OK;
    TRY(normalize_room(normalizer, content.length + text->length));
    char *out = normalizer->bytes[normalizer->which];
    if (content.length) memcpy(out, content.data, content.length);
    memcpy(out + content.length, text->data, text->length);
    finish(normalizer, content.length + text->length, text);
    return OK;
}

static status bytes(struct normalizer *normalizer, struct text *text) {
    TRY(normalize_room(normalizer, 2 * text->length + 1));
    size_t n = byte_level_write((const uint8_t *)text->data, text->length,
                                normalizer->bytes[normalizer->which]);
    finish(normalizer, n, text);
    return OK;
}

/* Appends to what is written. */
static status put(struct normalizer *normalizer, size_t *n, const char *data, size_t length) {
    TRY(normalize_room(normalizer, *n + length));
    if (length) memcpy(normalizer->bytes[normalizer->which] + *n, data, length);
    *n += length;
    return OK;
}

static status replace_matches(struct normalizer *normalizer, const struct normalize_step *step,
                              struct regex_walk *walk, struct text *text) {
    size_t done = 0, n = 0, begin, end;
    bool found, any = false;
    for (;; any = true) {
        TRY(regex_next(walk, &found, &begin, &end));
        if (!found) break;
        /* what is put in comes of the last character that it replaces */
        if (begin == 0 && end > 0 &&
            (!step->content.length || end > utf8_length((uint8_t)text->data[0])))
            normalizer->from_start = 0;
        TRY(put(normalizer, &n, text->data + done, begin - done));
        TRY(put(normalizer, &n, step->content.data, step->content.length));
        done = end;
    }
    if (!any) return OK;
    TRY(put(normalizer, &n, text->data + done, text->length - done));
    finish(normalizer, n, text);
    return OK;
}

static status replace(struct normalizer *normalizer, const struct normalize_step *step,
                      struct text *text) {
    const struct piece piece = {(const uint8_t *)text->data, 0, text->length};
    struct regex_walk walk;
    if (text->length == 0) return OK;
    TRY(regex_start(&walk, step->regex, normalizer->regex, &piece));
    return replace_matches(normalizer, step, &walk, text);
}

/* A grapheme of up to 5 bytes as a whole, if something starts it; else each of its characters. */
static status replace_grapheme(struct normalizer *normalizer, const struct precompiled *map,
                               const uint8_t *data, size_t length, size_t *n) {
    struct text to;
    if (length < 6 && precompiled_shortest(map, data, length, &to))
        return put(normalizer, n, to.data, to.length);
    for (size_t at = 0; at < length;) {
        size_t bytes = utf8_length(data[at]);
        if (!precompiled_shortest(map, data + at, bytes, &to))
            to = (struct text){(const char *)data + at, bytes};
        TRY(put(normalizer, n, to.data, to.length));
        at += bytes;
    }
    return OK;
}

static status precompiled(struct normalizer *normalizer, const struct precompiled *map,
                          struct text *text) {
    const uint8_t *data = (const uint8_t *)text->data;
    size_t n = 0;
    TRY(normalize_room(normalizer, text->length + 8));
    for (size_t at = 0; at < text->length;) {
        size_t begin = at;
        utf8proc_int32_t state = 0;
        unsigned bytes;
        uint32_t before = utf8_decode(data + at, &bytes), c = 0;
        for (at += bytes; at < text->length; at += bytes, before = c) {
            c = utf8_decode(data + at, &bytes);
            if (before < 0x300 && c < 0x300 && (before != '\r' || c != '\n')) break;
            if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)c,
                                                 &state))
                break;
        }
        TRY(replace_grapheme(normalizer, map, data + begin, at - begin, &n));
        if (begin == 0 && n == 0) normalizer->from_start = 0;
    }
    finish(normalizer, n, text);
    return OK;
}

static status run(struct normalizer *normalizer, const struct normalize_step *step,
                  struct text *text) {
    switch (step->kind) {
    case NORMALIZE_NFC:
    case NORMALIZE_NFD:
    case NORMALIZE_NFKC:
    case NORMALIZE_NFKD: {
        size_t n;
        bool changed;
        TRY(normalize_unicode(normalizer, step->kind, *text, &n, &changed));
        if (changed) finish(normalizer, n, text);
        return OK;
    }
    case NORMALIZE_STRIP_LEFT:
        strip_left(normalizer, text);
        return OK;
    case NORMALIZE_STRIP_RIGHT:
        strip_right(text);
        return OK;
    case NORMALIZE_PREPEND:
        return prepend(normalizer, step->content, text);
    case NORMALIZE_REPLACE:
        return replace(normalizer, step, text);
    case NORMALIZE_BYTES:
        return bytes(normalizer, text);
    case NORMALIZE_PRECOMPILED:
        return precompiled(normalizer, &step->precompiled, text);
    default:
        return by_character(normalizer, step->kind, text);
    }
}

status normalize_run(struct normalizer *normalizer, struct text *text) {
    for (size_t i = 0; i < normalizer->n_steps; i++)
        TRY(run(normalizer, &normalizer->steps[i], text));
    return OK;
}

void normalize_close(struct normalizer *normalizer) {
    if (!normalizer->memory) return;
    memory_give(normalizer->memory, normalizer->bytes[0]);
    memory_give(normalizer->memory, normalizer->bytes[1]);
    memory_give(normalizer->memory, normalizer->points);
}
