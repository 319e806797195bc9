/* Strings of all kinds for tokenizers, the same as tests/goldens/tokenizer/generated_text.py makes,
 * which also prints these tables. */
#ifndef TESTS_GENERATED_TEXT_H
#define TESTS_GENERATED_TEXT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { GENERATED_MOST_BYTES = 1 << 15, GENERATED_TEXTS = 10000, GENERATED_BLOCK = 100 };

/* clang-format off */
static const char *const generated_words[] = {
    "the", "of", "and", "Hello",
    "world", "don't", "I'll", "we've",
    "HTTP", "camelCase", "na\303\257ve", "Stra\303\237e",
    "L'\303\251t\303\251", "tokenization", "antidisestablishmentarianism", "int main(void) {",
    "return 0;", "}", "https://example.org/a\077b=c&d=1", "user@example.com",
    "3.14159", "1,234,567", "2024-01-31", "$19.99",
    "50%", "C++", "a/b/c.txt", "x = y + z",
    "foo_bar", "...", "--", "\042quoted\042",
    "(aside)", "[1]", "<b>", "#tag",
    "@name", "'s", "`code`", "\134n",
    "\303\234n\303\257c\303\266d\303\251", "\316\221\316\222\316\223 \316\261\316\262\316\263", "\320\237\321\200\320\270\320\262\320\265\321\202", "\320\274\320\270\321\200",
    "\327\251\327\234\327\225\327\235", "\331\205\330\261\330\255\330\250\330\247", "\340\244\250\340\244\256\340\244\270\340\245\215\340\244\244\340\245\207", "\340\270\252\340\270\247\340\270\261\340\270\252\340\270\224\340\270\265",
    "\354\225\210\353\205\225\355\225\230\354\204\270\354\232\224", "\343\201\223\343\202\223\343\201\253\343\201\241\343\201\257", "\343\202\253\343\202\277\343\202\253\343\203\212", "\344\275\240\345\245\275",
    "\344\270\226\347\225\214", "\344\270\255\346\226\207\345\255\227", "\357\254\201ne", "\342\221\240\342\221\241\342\221\242",
    "\342\205\247", "\302\275", "\357\274\246\357\274\265\357\274\254\357\274\254", "\357\275\266\357\276\205",
    "\343\215\277", "\360\235\224\230\360\235\224\253\360\235\224\246", "\304\260stanbul", "\304\261I",
    "\307\205", "\303\237", "\303\205", "\355\225\234\352\270\200",
    "\342\226\201under",
};
static const uint32_t generated_ranges[] = {
    0x20, 0x7e, 0x61, 0x7a, 0x30, 0x39, 0x21, 0x2f,
    0xa0, 0xff, 0x100, 0x24f, 0x250, 0x2af, 0x370, 0x3ff,
    0x400, 0x4ff, 0x530, 0x58f, 0x590, 0x5ff, 0x600, 0x6ff,
    0x700, 0x74f, 0x900, 0x97f, 0x980, 0x9ff, 0xb80, 0xbff,
    0xc00, 0xc7f, 0xe00, 0xe7f, 0xe80, 0xeff, 0xf00, 0xfff,
    0x1000, 0x109f, 0x10a0, 0x10ff, 0x1100, 0x11ff, 0x1200, 0x137f,
    0x13a0, 0x13ff, 0x1780, 0x17ff, 0x1800, 0x18af, 0x1e00, 0x1eff,
    0x1f00, 0x1fff, 0x2000, 0x206f, 0x2070, 0x209f, 0x20a0, 0x20cf,
    0x2100, 0x214f, 0x2150, 0x218f, 0x2190, 0x21ff, 0x2200, 0x22ff,
    0x2460, 0x24ff, 0x2500, 0x257f, 0x2600, 0x26ff, 0x3000, 0x303f,
    0x3040, 0x309f, 0x30a0, 0x30ff, 0x3130, 0x318f, 0x3200, 0x32ff,
    0x3300, 0x33ff, 0x3400, 0x4dbf, 0x4e00, 0x9fff, 0xa000, 0xa48f,
    0xac00, 0xd7a3, 0xe000, 0xe0ff, 0xf900, 0xfaff, 0xfb00, 0xfb4f,
    0xfb50, 0xfdff, 0xfe70, 0xfeff, 0xff00, 0xffef, 0xfff0, 0xffff,
    0x10000, 0x1007f, 0x10400, 0x1044f, 0x1d400, 0x1d7ff, 0x1f100, 0x1f1ff,
    0x1f300, 0x1f5ff, 0x1f600, 0x1f64f, 0x1f680, 0x1f6ff, 0x1f900, 0x1f9ff,
    0x20000, 0x2a6df, 0xe0000, 0xe007f, 0x10fff0, 0x10ffff,
};
static const uint32_t generated_marks[] = {
    0x300, 0x301, 0x302, 0x303, 0x308, 0x30a, 0x30c, 0x323, 0x327, 0x328,
    0x345, 0x483, 0x5b0, 0x64b, 0x651, 0x93c, 0x94d, 0xe31, 0xe49, 0x3099,
    0x309a, 0x20d0, 0x20e3, 0xfe0e, 0xfe0f, 0x1f3fb, 0x1f3ff, 0x200d,
};
static const uint32_t generated_controls[] = {
    0x0, 0x1, 0x7, 0x8, 0x9, 0xa, 0xb, 0xc, 0xd, 0x1b,
    0x1f, 0x20, 0x7f, 0x80, 0x85, 0x9f, 0xa0, 0xad, 0x1680, 0x180e,
    0x2003, 0x200b, 0x200c, 0x200d, 0x200e, 0x2028, 0x2029, 0x202f, 0x205f, 0x2060,
    0x3000, 0xfeff, 0xfffc, 0xfffd,
};
static const char *const generated_emoji[] = {
    "\360\237\230\200", "\360\237\221\215\360\237\217\275",
    "\360\237\221\251\342\200\215\360\237\222\273", "\360\237\221\250\342\200\215\360\237\221\251\342\200\215\360\237\221\247\342\200\215\360\237\221\246",
    "\360\237\207\251\360\237\207\252", "\360\237\207\272\360\237\207\270",
    "\342\235\244\357\270\217", "\360\237\217\263\357\270\217\342\200\215\360\237\214\210",
    "1\357\270\217\342\203\243", "\342\230\203",
    "\360\237\244\267\360\237\217\273\342\200\215\342\231\200\357\270\217", "\360\237\247\221\360\237\217\277\342\200\215\360\237\232\200",
};
static const char *const generated_malformed[] = {
    "\200", "\277", "\300\257", "\303",
    "\342\202", "\340\200\200", "\355\240\200", "\360\237\230",
    "\364\220\200\200", "\370\210\200\200\200", "\376", "\377\377",
    "\360\200", "\342(\241",
};
static const char *const generated_runs[] = {
    "a", " ", "\012", "=", "ab",
    "0", "\303\251", "\344\270\255", "\360\237\230\200", "\314\201",
    "!\077", "\011", "Z", "\342\226\201", "- ",
};
/* clang-format on */

struct generated {
    uint64_t state; /* splitmix64 */
    char bytes[GENERATED_MOST_BYTES];
    size_t n;
};

static inline uint64_t generated_below(struct generated *g, uint64_t n) {
    uint64_t z = g->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % n;
}

static inline void generated_add(struct generated *g, const char *text) {
    size_t n = strlen(text);
    if (n > sizeof g->bytes - g->n) n = sizeof g->bytes - g->n;
    memcpy(g->bytes + g->n, text, n);
    g->n += n;
}

static inline void generated_add_character(struct generated *g, uint32_t c) {
    static const struct {
        uint32_t below;
        unsigned first, n;
    } shapes[] = {{0x80, 0, 1}, {0x800, 0xc0, 2}, {0x10000, 0xe0, 3}, {0x110000, 0xf0, 4}};
    unsigned shape = 0;
    while (c >= shapes[shape].below) shape++;
    for (unsigned i = shapes[shape].n; i-- > 0;) {
        unsigned lead = i + 1 == shapes[shape].n ? shapes[shape].first : 0x80;
        unsigned bits = c >> 6 * i & (lead == 0x80 ? 0x3fu : 0x7fu);
        if (g->n < sizeof g->bytes) g->bytes[g->n++] = (char)(lead | bits);
    }
}

#define GENERATED_OF(table) (table)[generated_below(g, sizeof(table) / sizeof *(table))]

/* A character of the range that starts at an even index of the ranges. */
static inline void generated_add_of(struct generated *g, const uint32_t *range) {
    generated_add_character(g, range[0] + (uint32_t)generated_below(g, range[1] - range[0] + 1u));
}

static inline const uint32_t *generated_range(struct generated *g, size_t n) {
    return generated_ranges + 2 * generated_below(g, n);
}

static inline void generated_add_part(struct generated *g) {
    const size_t n_ranges = sizeof generated_ranges / sizeof *generated_ranges / 2;
    uint64_t kind = generated_below(g, 16);
    if (kind < 5) {
        generated_add(g, GENERATED_OF(generated_words));
    } else if (kind < 8) {
        const uint32_t *range = generated_range(g, n_ranges);
        for (uint64_t n = 1 + generated_below(g, 8); n > 0; n--) generated_add_of(g, range);
    } else if (kind == 8) {
        for (uint64_t n = 1 + generated_below(g, 6); n > 0; n--)
            generated_add_of(g, generated_range(g, n_ranges));
    } else if (kind == 9) {
        generated_add_of(g, generated_range(g, n_ranges));
        for (uint64_t n = 1 + generated_below(g, 4); n > 0; n--)
            generated_add_character(g, GENERATED_OF(generated_marks));
    } else if (kind == 10) {
        for (uint64_t n = 1 + generated_below(g, 3); n > 0; n--)
            generated_add_character(g, GENERATED_OF(generated_controls));
    } else if (kind == 11) {
        generated_add(g, GENERATED_OF(generated_emoji));
    } else if (kind == 12) {
        char digits[32];
        uint64_t most = 10;
        for (uint64_t n = generated_below(g, 12); n > 0; n--) most *= 10;
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)generated_below(g, most));
        generated_add(g, digits);
    } else if (kind == 13) {
        uint64_t n = 1 + generated_below(g, generated_below(g, 8) ? 40 : 600);
        const char *run = GENERATED_OF(generated_runs);
        for (; n > 0; n--) generated_add(g, run);
    } else if (kind == 14) {
        generated_add(g, GENERATED_OF(generated_malformed));
    } else {
        generated_add_character(g, (uint32_t)(97 + generated_below(g, 26)));
        for (uint64_t n = generated_below(g, 12); n > 0; n--)
            generated_add_of(g, generated_range(g, 4));
    }
}

/* Text `index` of a seed, in g->bytes; not always UTF-8. */
static inline void generated_text(struct generated *g, uint64_t seed, uint64_t index) {
    g->state = (seed << 32) + index;
    g->n = 0;
    uint64_t n = generated_below(g, 10);
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0 && generated_below(g, 3)) generated_add(g, " ");
        generated_add_part(g);
    }
}

/* FNV-1a over little-endian values. */
#define GENERATED_HASH_START 0xcbf29ce484222325u

static inline uint64_t generated_hash(uint64_t hash, uint32_t value) {
    for (int byte = 0; byte < 4; byte++)
        hash = (hash ^ (value >> 8 * byte & 0xff)) * 0x100000001b3u;
    return hash;
}

#endif
