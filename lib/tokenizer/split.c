#include "tokenizer/split.h"

#include <string.h>

#include "base/checked.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/character.h"
#include "tokenizer/utf8.h"

static status run(struct split *split, size_t step, struct piece piece, bool first);

/* ---- what becomes of delimiters: parts of a piece come in order, each a delimiter or not ---- */

struct parts {
    struct split *split;
    size_t next; /* the step that gets the pieces */
    enum split_behavior behavior;
    const struct piece *piece;
    bool first; /* the piece is */
    /* the part that isn't handed on yet */
    bool held;
    bool delimiter;
    size_t begin, end;
};

static status hand_on(struct parts *parts, size_t begin, size_t end) {
    if (begin == end) return OK;
    const struct piece piece = {parts->piece->text, begin, end};
    return run(parts->split, parts->next, piece, parts->first && begin == parts->piece->begin);
}

static status hand_on_held(struct parts *parts) {
    if (!parts->held) return OK;
    parts->held = false;
    return hand_on(parts, parts->begin, parts->end);
}

static status hold(struct parts *parts, size_t begin, size_t end, bool delimiter) {
    TRY(hand_on_held(parts));
    parts->held = true;
    parts->delimiter = delimiter;
    parts->begin = begin;
    parts->end = end;
    return OK;
}

static status add_part(struct parts *parts, size_t begin, size_t end, bool delimiter) {
    switch (parts->behavior) {
    case SPLIT_REMOVED:
        return delimiter ? OK : hand_on(parts, begin, end);
    case SPLIT_ISOLATED:
        return hand_on(parts, begin, end);
    case SPLIT_CONTIGUOUS:
        if (!parts->held || parts->delimiter != delimiter)
            return hold(parts, begin, end, delimiter);
        parts->end = end;
        return OK;
    case SPLIT_MERGED_WITH_PREVIOUS: /* of delimiters in a row the first */
        if (!delimiter || !parts->held || parts->delimiter)
            return hold(parts, begin, end, delimiter);
        parts->end = end;
        parts->delimiter = true;
        return OK;
    default: /* MERGED_WITH_NEXT: of delimiters in a row the last */
        if (delimiter || !parts->held || !parts->delimiter)
            return hold(parts, begin, end, delimiter);
        parts->end = end;
        parts->delimiter = false;
        return OK;
    }
}

/* ---- steps that cut ---- */

static status cut_by_regex(struct parts *parts, const struct split_step *step) {
    struct regex_walk walk;
    size_t done = parts->piece->begin;
    TRY(regex_start(&walk, step->regex, parts->split->regex, parts->piece));
    for (;;) {
        bool found;
        size_t begin, end;
        TRY(regex_next(&walk, &found, &begin, &end));
        if (!found) break;
        if (begin > done) TRY(add_part(parts, done, begin, step->invert));
        TRY(add_part(parts, begin, end, !step->invert));
        done = end;
    }
    return done < parts->piece->end ? add_part(parts, done, parts->piece->end, step->invert) : OK;
}

static bool is_in_class(const struct split_step *step, uint32_t c) {
    unsigned class;
    switch (step->class) {
    case SPLIT_WHITE_SPACE:
        return (character_class(c) & SPACE) != 0;
    case SPLIT_PUNCTUATION:
        class = character_class(c);
        return class & PUNCT || (c < 0x80 && class & SYMBOL);
    case SPLIT_NUMBERS:
        return (character_class(c) & NUMBER) != 0;
    default:
        return c == step->character;
    }
}

/* Each character of the class is a delimiter of its own. */
static status cut_by_class(struct parts *parts, const struct split_step *step) {
    const struct piece *piece = parts->piece;
    size_t done = piece->begin;
    for (size_t at = piece->begin; at < piece->end;) {
        unsigned n;
        if (!is_in_class(step, utf8_decode(piece->text + at, &n))) {
            at += n;
            continue;
        }
        if (at > done) TRY(add_part(parts, done, at, false));
        at += n;
        TRY(add_part(parts, at - n, at, true));
        done = at;
    }
    return done < piece->end ? add_part(parts, done, piece->end, false) : OK;
}

enum word_class { WORD, WHITE, OTHER };

static enum word_class word_class(const uint8_t *text, size_t at, unsigned *n) {
    uint32_t c = utf8_decode(text + at, n);
    if (character_class(c) & SPACE) return WHITE;
    return character_is_word(c) ? WORD : OTHER;
}

static status cut_words(struct parts *parts) {
    const struct piece *piece = parts->piece;
    unsigned n;
    for (size_t at = piece->begin; at < piece->end;) {
        size_t begin = at;
        enum word_class class = word_class(piece->text, at, &n);
        do at += n;
        while (at < piece->end && word_class(piece->text, at, &n) == class);
        if (class != WHITE) TRY(add_part(parts, begin, at, false));
    }
    return OK;
}

static status cut_by_length(struct parts *parts, const struct split_step *step) {
    const struct piece *piece = parts->piece;
    for (size_t at = piece->begin; at < piece->end;) {
        size_t begin = at;
        for (size_t i = 0; i < step->length && at < piece->end; i++)
            at += utf8_length(piece->text[at]);
        TRY(add_part(parts, begin, at, false));
    }
    return OK;
}

static status cut(struct split *split, size_t index, const struct piece *piece, bool first) {
    const struct split_step *step = &split->steps[index];
    struct parts parts = {.split = split,
                          .next = index + 1,
                          .behavior = step->behavior,
                          .piece = piece,
                          .first = first};
    switch (step->kind) {
    case SPLIT_REGEX:
        TRY(cut_by_regex(&parts, step));
        break;
    case SPLIT_WORDS:
        parts.behavior = SPLIT_ISOLATED;
        TRY(cut_words(&parts));
        break;
    case SPLIT_LENGTH:
        parts.behavior = SPLIT_ISOLATED;
        TRY(cut_by_length(&parts, step));
        break;
    default:
        TRY(cut_by_class(&parts, step));
        break;
    }
    return hand_on_held(&parts);
}

/* ---- steps that write ---- */

/* Room for `factor` times a piece and 8 bytes more. */
static status take_buffer(struct split *split, size_t index, size_t length, size_t factor,
                          char **bytes) {
    struct split_buffer *buffer = &split->buffers[index];
    size_t size;
    if (mul_overflows(length, factor, &size) || add_overflows(size, (size_t)8, &size))
        size = SIZE_MAX;
    if (size > buffer->capacity) {
        memory_give(split->memory, buffer->bytes);
        *buffer = (struct split_buffer){NULL, 0};
        size_t more = size < SIZE_MAX / 2 ? size + size / 2 : size;
        TRY(MEMORY_TAKE(split->memory, more, "text of the tokenizer", &buffer->bytes));
        buffer->capacity = more;
    }
    *bytes = buffer->bytes;
    return OK;
}

static status prefix_space(struct split *split, size_t index, const struct piece *piece,
                           bool first) {
    size_t length = piece->end - piece->begin;
    char *out;
    if (piece->text[piece->begin] == ' ') return run(split, index + 1, *piece, first);
    TRY(take_buffer(split, index, length, 1, &out));
    out[0] = ' ';
    memcpy(out + 1, piece->text + piece->begin, length);
    const struct piece made = {(uint8_t *)out, 0, length + 1};
    return run(split, index + 1, made, first);
}

static status write_bytes(struct split *split, size_t index, const struct piece *piece,
                          bool first) {
    size_t length = piece->end - piece->begin;
    char *out;
    TRY(take_buffer(split, index, length, 2, &out));
    const struct piece made = {(uint8_t *)out, 0,
                               byte_level_write(piece->text + piece->begin, length, out)};
    return run(split, index + 1, made, first);
}

static status metaspace(struct split *split, size_t index, const struct piece *piece, bool first) {
    const struct split_step *step = &split->steps[index];
    char mark[4], *out;
    unsigned n_mark = utf8_encode(step->character, mark);
    size_t length = piece->end - piece->begin, n = 0;
    const uint8_t *text = piece->text + piece->begin;
    TRY(take_buffer(split, index, length, n_mark, &out));
    bool starts = text[0] == ' ' || (length >= n_mark && memcmp(text, mark, n_mark) == 0);
    if (!starts && (step->prepend == SPLIT_ALWAYS || (step->prepend == SPLIT_FIRST && first))) {
        memcpy(out, mark, n_mark);
        n = n_mark;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ') {
            memcpy(out + n, mark, n_mark);
            n += n_mark;
        } else {
            out[n++] = (char)text[i];
        }
    }
    const struct piece made = {(uint8_t *)out, 0, n};
    if (!step->cut) return run(split, index + 1, made, first);
    return cut(split, index, &made, first);
}

static status run(struct split *split, size_t step, struct piece piece, bool first) {
    if (step == split->n_steps)
        return split->word(split->user, piece.text + piece.begin, piece.end - piece.begin);
    switch (split->steps[step].kind) {
    case SPLIT_METASPACE:
        return metaspace(split, step, &piece, first);
    case SPLIT_PREFIX_SPACE:
        return prefix_space(split, step, &piece, first);
    case SPLIT_BYTES:
        return write_bytes(split, step, &piece, first);
    default:
        return cut(split, step, &piece, first);
    }
}

status split_run(struct split *split, const uint8_t *text, size_t length, bool first) {
    const struct piece piece = {text, 0, length};
    return length ? run(split, 0, piece, first) : OK;
}

void split_close(struct split *split) {
    for (size_t i = 0; split->buffers && i < split->n_steps; i++)
        memory_give(split->memory, split->buffers[i].bytes);
}
