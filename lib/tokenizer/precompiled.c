#include "tokenizer/precompiled.h"

#include <string.h>

#include "tokenizer/utf8.h"

/* As many strings that a text starts with are looked at. */
enum { MOST_MATCHES = 32 };

static uint32_t read_u32(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* ---- units of a Darts-clone double array: a label, an offset, whether a leaf follows; or, of a
 * leaf, a value ---- */

static uint32_t unit_at(const struct precompiled *precompiled, uint32_t at) {
    return read_u32(precompiled->units + 4 * (size_t)at);
}

static bool unit_has_leaf(uint32_t unit) {
    return unit >> 8 & 1;
}

static uint32_t unit_value(uint32_t unit) {
    return unit & 0x7fffffff;
}

/* A leaf's has its top bit set, so it is no byte. */
static uint32_t unit_label(uint32_t unit) {
    return unit & 0x800000ff;
}

static uint32_t unit_offset(uint32_t unit) {
    return (unit >> 10) << ((unit & 0x200) >> 6);
}

status precompiled_open(const char *name, const void *blob, size_t size,
                        struct precompiled *precompiled) {
    *precompiled = (struct precompiled){0};
    if (size == 0) return OK;
    const uint8_t *bytes = blob;
    uint32_t n = size >= 4 ? read_u32(bytes) : 0;
    if (size < 4 || n == 0 || n % 4 != 0 || n > size - 4)
        return fail(FORMAT,
                    "%s: a precompiled_charsmap of %zu bytes, %" PRIu32 " of them its double array",
                    name, size, n);
    *precompiled = (struct precompiled){
        .units = bytes + 4,
        .n_units = n / 4,
        .texts = (const char *)bytes + 4 + n,
        .n_texts = size - 4 - n,
    };
    return OK;
}

static struct text replacement_at(const struct precompiled *precompiled, uint32_t offset) {
    if (offset >= precompiled->n_texts) return (struct text){"", 0};
    const char *text = precompiled->texts + offset;
    size_t most = precompiled->n_texts - offset;
    const char *end = memchr(text, 0, most);
    return (struct text){text, end ? (size_t)(end - text) : most};
}

static bool is_whole(struct text text) {
    return utf8_valid_prefix((const uint8_t *)text.data, text.length) == text.length;
}

/* What would cut a character, of the text or of what replaces it, is passed over. */
static size_t find(const struct precompiled *precompiled, const uint8_t *text, size_t length,
                   unsigned most, struct text *replacement) {
    if (precompiled->n_units == 0) return 0;
    size_t found = 0;
    uint32_t at = unit_offset(unit_at(precompiled, 0));
    unsigned n_found = 0;
    for (size_t i = 0; i < length && n_found < most; i++) {
        at ^= text[i];
        if (at >= precompiled->n_units) break;
        uint32_t unit = unit_at(precompiled, at);
        if (unit_label(unit) != text[i]) break;
        at ^= unit_offset(unit);
        if (!unit_has_leaf(unit)) continue;
        if (at >= precompiled->n_units) break;
        n_found++;
        struct text becomes = replacement_at(precompiled, unit_value(unit_at(precompiled, at)));
        if (!is_whole(becomes) || (i + 1 < length && (text[i + 1] & 0xc0) == 0x80)) continue;
        *replacement = becomes;
        found = i + 1;
    }
    return found;
}

size_t precompiled_longest(const struct precompiled *precompiled, const uint8_t *text,
                           size_t length, struct text *replacement) {
    return find(precompiled, text, length, MOST_MATCHES, replacement);
}

size_t precompiled_shortest(const struct precompiled *precompiled, const uint8_t *text,
                            size_t length, struct text *replacement) {
    return find(precompiled, text, length, 1, replacement);
}

bool precompiled_goes_on(const struct precompiled *precompiled, const uint8_t *text,
                         size_t length) {
    if (precompiled->n_units == 0) return false;
    uint32_t at = unit_offset(unit_at(precompiled, 0));
    for (size_t i = 0; i < length; i++) {
        at ^= text[i];
        if (at >= precompiled->n_units) return false;
        uint32_t unit = unit_at(precompiled, at);
        if (unit_label(unit) != text[i]) return false;
        at ^= unit_offset(unit);
    }
    return true;
}
