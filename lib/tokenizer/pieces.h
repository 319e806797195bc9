/* WordPiece's segmentation of a word: the longest piece from its start, and so on with pieces that
 * have a prefix; a word that doesn't come out whole is unknown. */
#ifndef TOKENIZER_PIECES_H
#define TOKENIZER_PIECES_H

#include "tokenizer/encoder.h"
#include "tokenizer/trie.h"

/* Bytes of a piece: it bounds the work for each character. */
enum { PIECES_MOST_BYTES = 1024 };

struct pieces {
    struct trie trie;
    uint32_t inside; /* the node behind the prefix; TRIE_FREE: no piece has it */
    bool has_inside;
    int32_t unknown;
    size_t most_characters; /* of a word; a longer one is unknown */
};

/* After the trie: looks for the prefix in it. UNSUPPORTED  a piece is too long. */
status pieces_prepare(struct pieces *pieces, struct text prefix);
status pieces_encode(const struct pieces *pieces, struct encoder *encoder, const uint8_t *word,
                     size_t length);

#endif
