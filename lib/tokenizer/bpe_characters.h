/* Byte-pair encoding over characters, as tokenizer.json may have it: what has no token becomes
 * tokens of its bytes, the unknown token, or nothing. */
#ifndef TOKENIZER_BPE_CHARACTERS_H
#define TOKENIZER_BPE_CHARACTERS_H

#include "tokenizer/bpe.h"

struct bpe_characters {
    struct bpe bpe;
    struct text prefix;   /* of characters that don't start a word; length 0: none */
    struct text suffix;   /* of a word's last character */
    int32_t unknown;      /* -1: none */
    bool unknown_missing; /* it is named, but isn't in the vocabulary */
    bool fuse_unknown;    /* one for a run of unknown characters */
    bool byte_fallback;
    int32_t fallback[256]; /* token <0xXX> of a byte, -1: none */
    int32_t ascii[128];    /* token of a character, where it has no prefix or suffix */
    /* U+2581, where it is a token of its own: behind a character whose last byte isn't set here no
     * token goes on over it, so that text may be cut there. */
    bool cut_at_marks;
    bool before_mark[256];
};

/* After the merges and the members above the line of tables were set: fills those. */
void bpe_characters_prepare(struct bpe_characters *model);
status bpe_characters_encode(const struct bpe_characters *model, struct encoder *encoder,
                             const uint8_t *word, size_t length);

#endif
