/* Vocabularies that tests of masks make up: all single bytes, and pieces of JSON and words. */
#ifndef TESTS_GRAMMAR_VOCABULARY_H
#define TESTS_GRAMMAR_VOCABULARY_H

#include <stdlib.h>
#include <string.h>

#include "grammar/grammar.h"

static inline uint32_t grammar_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* n tokens, n > 300; the last one ends a text. The same for the same seed. */
static inline struct vocabulary *grammar_vocabulary(struct memory *memory, uint32_t n,
                                                    uint64_t seed) {
    static const char *const pieces[] = {
        "\"",       "{",   "}",     "[",     "]",   ":",  ",",  "true",     "false",
        "null",     "\\",  "\\u00", "0",     "1",   "12", "3.", "e",        "-",
        " ",        "\n",  "name",  "value", "id",  "a",  "b",  "\xc3\xa9", "\xe2\x82\xac",
        "\xf0\x9f", "://", "@",     "the",   "ing", "er", "on", "2024",     "and"};
    uint32_t *offsets = NULL;
    uint8_t *bytes = NULL;
    struct vocabulary *made = NULL;
    size_t at = 0;
    if (MEMORY_TAKE_ARRAY(memory, (size_t)n + 1, "test", &offsets) != OK ||
        MEMORY_TAKE_ARRAY(memory, (size_t)n * 64, "test", &bytes) != OK)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        offsets[i] = (uint32_t)at;
        if (i < 256) bytes[at++] = (uint8_t)i;
        if (i < 256 || i == n - 1) continue;
        uint32_t words = 1 + grammar_random(&seed) % 4;
        for (uint32_t j = 0; j < words; j++) {
            uint32_t letters = grammar_random(&seed) % 3 ? 1 + grammar_random(&seed) % 5 : 0;
            if (letters) {
                for (uint32_t k = 0; k < letters; k++)
                    bytes[at++] = (uint8_t)('a' + grammar_random(&seed) % 26);
            } else {
                const char *piece =
                    pieces[grammar_random(&seed) % (sizeof pieces / sizeof *pieces)];
                memcpy(bytes + at, piece, strlen(piece));
                at += strlen(piece);
            }
        }
    }
    offsets[n] = (uint32_t)at;
    int32_t end = (int32_t)n - 1;
    if (vocabulary_open(memory, n, offsets, bytes, &end, 1, &made) != OK) abort();
    return made;
}

#endif
