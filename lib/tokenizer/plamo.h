/* PLaMo-2's segmentation: of all ways to cut a text into pieces, the one of the largest sum of
 * scores, which are integers (ten-thousandths), found back to front; a character in no piece
 * becomes the tokens of its bytes. */
#ifndef TOKENIZER_PLAMO_H
#define TOKENIZER_PLAMO_H

#include "tokenizer/encoder.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocab.h"

enum { PLAMO_MOST_BYTES = 1024 }; /* of a piece */

struct plamo {
    struct memory *memory;
    struct trie trie;
    int32_t *scores; /* [n] of pieces */
    int32_t bytes[256];
};

/* Nothing is left to close on failure. */
status plamo_open(struct memory *memory, const struct checkpoint *checkpoint,
                  const struct vocab *vocab, struct plamo *plamo);
void plamo_close(struct plamo *plamo); /* a zeroed one does nothing */
/* text is valid UTF-8. */
status plamo_encode(const struct plamo *plamo, struct encoder *encoder, const uint8_t *text,
                    size_t length);

#endif
