/* Byte-level byte-pair encoding (GPT-2's): bytes are written as printable characters, and a list of
 * merges says which neighbours become one token, the earlier ones first. */
#ifndef TOKENIZER_BPE_H
#define TOKENIZER_BPE_H

#include "tokenizer/encoder.h"
#include "tokenizer/vocab.h"

struct bpe_merge {
    uint32_t left, right; /* ids */
    uint32_t rank;
    uint32_t id; /* + 1 of the two as one; 0: a free slot */
};

struct bpe {
    const struct vocab *vocab;
    struct memory *memory;
    int32_t bytes[256]; /* token of a byte, or -1: then the byte is left out */
    struct bpe_merge *slots;
    uint32_t mask;
    bool whole_words; /* a word that is a token is that token */
};

status bpe_open(struct memory *memory, const struct checkpoint *checkpoint,
                const struct vocab *vocab, struct bpe *bpe);
void bpe_close(struct bpe *bpe);

/* The two parts of bpe_open for other sources: room for merges, then merges; later: of two of the
 * same pair the later one counts. */
status bpe_start(struct memory *memory, const struct vocab *vocab, uint64_t n_merges,
                 struct bpe *bpe);
void bpe_put(struct bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t joined,
             bool later);

/* The tokens of one word of pretokenize_split. */
status bpe_encode_word(const struct bpe *bpe, struct encoder *encoder, const uint8_t *word,
                       size_t length);
/* Joins the encoder's values [n + 1], which are tokens and an end, and pushes what is left. */
status bpe_join(const struct bpe *bpe, struct encoder *encoder, size_t n);
/* Writes the bytes that a token's text stands for, at most as many, unless out is NULL; returns how
 * many. */
size_t bpe_decode(struct text text, char *out);

#endif
