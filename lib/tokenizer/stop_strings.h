/* Finds the first of several strings in a text that comes in pieces: the automaton of Aho and
 * Corasick, "Efficient string matching: an aid to bibliographic search", CACM 18 (1975). */
#ifndef TOKENIZER_STOP_STRINGS_H
#define TOKENIZER_STOP_STRINGS_H

#include "base/memory.h"

#define STOP_STRINGS_MOST 4096        /* strings */
#define STOP_STRINGS_MOST_BYTES 65536 /* of all of them */

struct stop_strings; /* immutable */

/* strings [n], n > 0. INVALID_ARGUMENT: one is NULL, empty or no UTF-8. LIMIT: too many bytes. */
status stop_strings_create(struct memory *memory, const char *const *strings, int64_t n,
                           struct stop_strings **created);
void stop_strings_destroy(struct stop_strings *strings); /* NULL does nothing */
/* Bytes of the longest. */
size_t stop_strings_longest(const struct stop_strings *strings);

struct stop_search { /* all zeros at the beginning of a text */
    int32_t state;
};
/* Looks through the next n bytes. >= 0: the string that ended first, of those that end at the same
 * byte the longest, of equal ones the first; *end is behind it and what comes after is not looked
 * at. -1: none yet. */
int32_t stop_search_push(const struct stop_strings *strings, struct stop_search *search,
                         const char *bytes, size_t n, size_t *end);
/* Bytes at the end of what was looked through that may begin a string, as many as may. */
size_t stop_search_held(const struct stop_strings *strings, const struct stop_search *search);
size_t stop_strings_length(const struct stop_strings *strings, int32_t index);

#endif
