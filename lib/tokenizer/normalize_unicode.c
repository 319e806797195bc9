#include "tokenizer/normalize_unicode.h"

#include <string.h>

#include <utf8proc.h>

#include "tokenizer/utf8.h"

/* No decomposition has more characters, U+FDFA's. */
enum { MOST_PARTS = 18 };

/* Below it a character is in the form and stays so, whatever stands before it. */
static uint32_t first_changed(enum normalize_kind kind) {
    switch (kind) {
    case NORMALIZE_NFC:
        return 0x300;
    case NORMALIZE_NFD:
        return 0xc0;
    default:
        return 0xa0;
    }
}

static unsigned combining_class(int32_t c) {
    return c < 0x300 ? 0 : (unsigned)utf8proc_get_property(c)->combining_class;
}

/* Marks by their classes, those of one class in their order; by counting where there are many, so
 * that no text makes it slow. */
static status sort_marks(struct normalizer *normalizer, int32_t *marks, size_t n) {
    if (n <= 16) {
        for (size_t i = 1; i < n; i++) {
            int32_t mark = marks[i];
            unsigned class = combining_class(mark);
            size_t at = i;
            for (; at > 0 && combining_class(marks[at - 1]) > class; at--)
                marks[at] = marks[at - 1];
            marks[at] = mark;
        }
        return OK;
    }
    size_t starts[257] = {0};
    int32_t *sorted;
    TRY(MEMORY_TAKE_ARRAY(normalizer->memory, n, "marks of a character", &sorted));
    for (size_t i = 0; i < n; i++) starts[combining_class(marks[i]) + 1]++;
    for (int i = 0; i < 256; i++) starts[i + 1] += starts[i];
    for (size_t i = 0; i < n; i++) sorted[starts[combining_class(marks[i])]++] = marks[i];
    memcpy(marks, sorted, n * sizeof *marks);
    memory_give(normalizer->memory, sorted);
    return OK;
}

/* What the first characters become, of which a later step may drop some. */
static size_t parts_of(enum normalize_kind kind, const uint8_t *text, size_t length, size_t n) {
    int options =
        kind == NORMALIZE_NFKD ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
    utf8proc_int32_t parts[MOST_PARTS];
    size_t count = 0, at = 0;
    for (unsigned bytes; n > 0 && at < length; n--, at += bytes) {
        utf8proc_ssize_t made =
            utf8proc_decompose_char((int32_t)utf8_decode(text + at, &bytes), parts, MOST_PARTS,
                                    (utf8proc_option_t)options, NULL);
        count += made > 0 ? (size_t)made : 1;
    }
    return count;
}

static status take_points(struct normalizer *normalizer, size_t n) {
    if (n <= normalizer->n_points) return OK;
    int32_t *points;
    n += n / 2;
    TRY(MEMORY_TAKE_ARRAY(normalizer->memory, n, "characters", &points));
    if (normalizer->n_points)
        memcpy(points, normalizer->points, normalizer->n_points * sizeof *points);
    memory_give(normalizer->memory, normalizer->points);
    normalizer->points = points;
    normalizer->n_points = n;
    return OK;
}

/* A stretch of text, decomposed, its marks sorted; *count characters. */
static status decompose(struct normalizer *normalizer, enum normalize_kind kind,
                        const uint8_t *text, size_t length, size_t *count) {
    int options = UTF8PROC_DECOMPOSE;
    if (kind == NORMALIZE_NFKC || kind == NORMALIZE_NFKD) options |= UTF8PROC_COMPAT;
    size_t n = 0, marks = 0; /* points[marks] ... points[n - 1] are marks that aren't sorted yet */
    for (size_t at = 0; at < length;) {
        unsigned bytes;
        int32_t c = (int32_t)utf8_decode(text + at, &bytes);
        at += bytes;
        TRY(take_points(normalizer, n + MOST_PARTS));
        utf8proc_ssize_t parts = utf8proc_decompose_char(c, normalizer->points + n, MOST_PARTS,
                                                         (utf8proc_option_t)options, NULL);
        if (parts < 0 || parts > MOST_PARTS) { /* no character: it stays */
            normalizer->points[n] = c;
            parts = 1;
        }
        for (utf8proc_ssize_t i = 0; i < parts; i++, n++) {
            if (combining_class(normalizer->points[n]) != 0) continue;
            TRY(sort_marks(normalizer, normalizer->points + marks, n - marks));
            marks = n + 1;
        }
    }
    *count = n;
    return sort_marks(normalizer, normalizer->points + marks, n - marks);
}

/* A stretch whose ends nothing crosses, in its form. */
static status write_stretch(struct normalizer *normalizer, enum normalize_kind kind,
                            const uint8_t *text, size_t length, size_t *n) {
    size_t count;
    TRY(decompose(normalizer, kind, text, length, &count));
    if (kind == NORMALIZE_NFC || kind == NORMALIZE_NFKC) {
        utf8proc_ssize_t composed = utf8proc_normalize_utf32(
            normalizer->points, (utf8proc_ssize_t)count, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        if (composed >= 0) count = (size_t)composed;
    }
    TRY(normalize_room(normalizer, *n + 4 * count));
    char *out = normalizer->bytes[normalizer->which];
    for (size_t i = 0; i < count; i++) *n += utf8_encode((uint32_t)normalizer->points[i], out + *n);
    return OK;
}

/* First character from a place that the form may change, or length. */
static size_t find_changed(enum normalize_kind kind, const uint8_t *text, size_t at,
                           size_t length) {
    uint32_t first = first_changed(kind);
    unsigned n;
    while (at < length) {
        if (text[at] < 0x80) {
            at++;
            continue;
        }
        if (utf8_decode(text + at, &n) >= first) break;
        at += n;
    }
    return at;
}

status normalize_unicode(struct normalizer *normalizer, enum normalize_kind kind, struct text text,
                         size_t *n, bool *changed) {
    const uint8_t *data = (const uint8_t *)text.data;
    size_t done = 0, at = find_changed(kind, data, 0, text.length);
    *changed = at < text.length;
    *n = 0;
    if (!*changed) return OK;
    if (kind == NORMALIZE_NFD || kind == NORMALIZE_NFKD)
        normalizer->from_start = parts_of(kind, data, text.length, normalizer->from_start);
    while (done < text.length) {
        /* the character before may compose with it */
        size_t begin = at;
        if (begin > done) {
            do begin--;
            while (begin > done && (data[begin] & 0xc0) == 0x80);
        }
        TRY(normalize_room(normalizer, *n + (begin - done)));
        if (begin > done)
            memcpy(normalizer->bytes[normalizer->which] + *n, data + done, begin - done);
        *n += begin - done;
        size_t end = at;
        unsigned bytes;
        while (end < text.length && utf8_decode(data + end, &bytes) >= first_changed(kind))
            end += bytes;
        TRY(write_stretch(normalizer, kind, data + begin, end - begin, n));
        done = end;
        at = find_changed(kind, data, end, text.length);
    }
    return OK;
}
