/* SentencePiece's precompiled_charsmap: a Darts double array of byte strings, and what each is
 * replaced by. The file's bytes are checked once; no look-up leaves them. */
#ifndef TOKENIZER_PRECOMPILED_H
#define TOKENIZER_PRECOMPILED_H

#include "format/checkpoint.h"

struct precompiled {
    const uint8_t *units; /* [n_units] little-endian u32 */
    uint32_t n_units;
    const char *texts; /* [n_texts], each ends with a NUL */
    size_t n_texts;
};

/* blob: u32 bytes of the double array, the double array, the texts; it must outlive the map. An
 * empty one replaces nothing. name: of the file, for messages. FORMAT  it isn't such a map. */
status precompiled_open(const char *name, const void *blob, size_t size,
                        struct precompiled *precompiled);

/* What the longest string that `text` starts with is replaced by, as SentencePiece does it.
 * Returns the string's length; 0: none. text is valid UTF-8; what comes of it is too. */
size_t precompiled_longest(const struct precompiled *precompiled, const uint8_t *text,
                           size_t length, struct text *replacement);
/* The same for the shortest one, which is how Hugging Face tokenizers look up a grapheme. */
size_t precompiled_shortest(const struct precompiled *precompiled, const uint8_t *text,
                            size_t length, struct text *replacement);

/* Whether a string of the map starts with all of these bytes. */
bool precompiled_goes_on(const struct precompiled *precompiled, const uint8_t *text, size_t length);

#endif
