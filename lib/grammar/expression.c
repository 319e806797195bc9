#include "grammar/expression.h"

#include <string.h>

#include "grammar/set_table.h"

status expression_new(struct compile *compile, enum expression_kind kind,
                      struct expression **made) {
    COMPILE_TAKE(compile, 1, made);
    (*made)->kind = kind;
    return OK;
}

status character_set_add(struct compile *compile, struct character_set *set, uint32_t first,
                         uint32_t last) {
    COMPILE_GROW(compile, set->ranges, set->n, set->capacity);
    set->ranges[set->n++] = (struct character_range){first, last};
    return OK;
}

/* Sorts, and joins what touches. */
static status settle(struct compile *compile, struct character_set *set) {
    uint32_t n = 0;
    uint64_t *numbers;
    COMPILE_TAKE(compile, set->n, &numbers);
    for (uint32_t i = 0; i < set->n; i++)
        numbers[i] = (uint64_t)set->ranges[i].first << 32 | set->ranges[i].last;
    numbers_sort(numbers, set->n);
    for (uint32_t i = 0; i < set->n; i++) {
        struct character_range range = {(uint32_t)(numbers[i] >> 32), (uint32_t)numbers[i]};
        if (n && range.first <= set->ranges[n - 1].last + 1) {
            if (range.last > set->ranges[n - 1].last) set->ranges[n - 1].last = range.last;
        } else {
            set->ranges[n++] = range;
        }
    }
    set->n = n;
    return OK;
}

/* first ... last without surrogates, which no UTF-8 has. */
static status add_characters(struct compile *compile, struct character_set *set, uint32_t first,
                             uint32_t last) {
    if (first < 0xD800 && last >= 0xD800) {
        TRY(character_set_add(compile, set, first, 0xD7FF));
        first = 0xE000;
    }
    if (first >= 0xD800 && first < 0xE000) first = 0xE000;
    if (last >= 0xD800 && last < 0xE000) last = 0xD7FF;
    return first <= last ? character_set_add(compile, set, first, last) : OK;
}

status character_set_end(struct compile *compile, struct character_set *set, bool inverted,
                         struct expression **made) {
    struct character_set whole = {0};
    uint32_t next = 0;
    TRY(settle(compile, set));
    TRY(expression_new(compile, EXPRESSION_CLASS, made));
    for (uint32_t i = 0; i < set->n; i++) {
        struct character_range range = set->ranges[i];
        if (!inverted)
            TRY(add_characters(compile, &whole, range.first, range.last));
        else if (range.first > next)
            TRY(add_characters(compile, &whole, next, range.first - 1));
        next = range.last + 1;
    }
    if (inverted && next <= EXPRESSION_LAST_CHARACTER)
        TRY(add_characters(compile, &whole, next, EXPRESSION_LAST_CHARACTER));
    (*made)->ranges = whole.ranges;
    (*made)->n_ranges = whole.n;
    return OK;
}

status expression_character(struct compile *compile, uint32_t character, struct expression **made) {
    struct character_set set = {0};
    TRY(character_set_add(compile, &set, character, character));
    return character_set_end(compile, &set, false, made);
}

status expression_repeat(struct compile *compile, struct expression *child, uint32_t min,
                         uint32_t max, struct expression **made) {
    TRY(expression_new(compile, EXPRESSION_REPEAT, made));
    (*made)->child = child;
    (*made)->min = min;
    (*made)->max = max;
    return OK;
}

bool utf8_next(const char *text, size_t length, size_t *at, uint32_t *character) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *from = (const uint8_t *)text + *at;
    size_t left = length - *at;
    if (left == 0) return false;
    unsigned n = from[0] < 0x80   ? 1
                 : from[0] < 0xC2 ? 0
                 : from[0] < 0xE0 ? 2
                 : from[0] < 0xF0 ? 3
                                  : 4;
    if (n == 0 || from[0] > 0xF4 || left < n) return false;
    uint32_t code = n == 1 ? from[0] : from[0] & (0x7Fu >> n);
    for (unsigned i = 1; i < n; i++) {
        if ((from[i] & 0xC0) != 0x80) return false;
        code = code << 6 | (from[i] & 0x3Fu);
    }
    if (code < least[n] || code > EXPRESSION_LAST_CHARACTER || (code >= 0xD800 && code < 0xE000))
        return false;
    *character = code;
    *at += n;
    return true;
}

size_t utf8_put(uint32_t character, uint8_t bytes[4]) {
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t n = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; character >>= 6) bytes[i] = (uint8_t)(0x80 | (character & 0x3F));
    bytes[0] = (uint8_t)(lead[n] | character);
    return n;
}

status expression_text(struct compile *compile, const char *text, size_t length,
                       struct expression **made) {
    size_t at = 0;
    uint32_t character;
    TRY(expression_new(compile, EXPRESSION_SEQUENCE, made));
    struct expression **last = &(*made)->child;
    while (at < length) {
        if (!utf8_next(text, length, &at, &character))
            return fail(INVALID_ARGUMENT, "a text of the grammar is not UTF-8");
        TRY(expression_character(compile, character, last));
        last = &(*last)->next;
    }
    return OK;
}
