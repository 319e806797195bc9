/* What SentencePiece makes of a text before it is cut into pieces: characters are replaced by its
 * map, spaces become U+2581, and are merged, taken away at the ends or put there, as its
 * NormalizerSpec says. */
#ifndef TOKENIZER_SENTENCEPIECE_NORMALIZER_H
#define TOKENIZER_SENTENCEPIECE_NORMALIZER_H

#include "tokenizer/precompiled.h"
#include "tokenizer/trie.h"

struct sentencepiece_normalizer {
    struct precompiled map;
    const struct trie *defined; /* texts that stay as they are; NULL: none */
    bool space_prefix;          /* add_dummy_prefix */
    bool space_suffix; /* the space that is added goes behind: treat_whitespace_as_suffix */
    bool merge_spaces; /* remove_extra_whitespaces */
    bool keep_spaces;  /* they don't become U+2581: not escape_whitespaces */
    bool plain[128];   /* a character that nothing in the map or in `defined` is, or starts with,
                          unless   one beyond ASCII follows */
};

/* Sets plain; the other members are set. */
void sentencepiece_normalizer_prepare(struct sentencepiece_normalizer *normalizer);

/* text is valid UTF-8. *normalized is a block of `memory`, the caller's to give back, of *n bytes.
 * LIMIT  it would have more than 1 GiB. */
status sentencepiece_normalize(const struct sentencepiece_normalizer *normalizer,
                               struct memory *memory, struct text text, char **normalized,
                               size_t *n);

#endif
