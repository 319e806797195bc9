/* SentencePiece's byte-pair encoding: spaces are U+2581, the pair that makes the piece of the
 * highest score is joined first, and characters without a piece become byte tokens. */
#ifndef TOKENIZER_SENTENCEPIECE_H
#define TOKENIZER_SENTENCEPIECE_H

#include "tokenizer/encoder.h"
#include "tokenizer/vocab.h"

struct sentencepiece {
    const struct vocab *vocab;
    int32_t unknown;
    int32_t bytes[256]; /* token of a byte that is in no piece, or -1: then unknown */
    /* Last bytes of characters that stand before a U+2581 inside a piece. Behind any other one a
     * space starts a new piece for sure, so that the text can be cut there. */
    bool before_space[256];
    /* NULL, or where pieces are not the tokens: the token of each, and all tokens; unknown is one
     * of them. Set after sentencepiece_open. */
    const int32_t *ids;
    const struct vocab *names;
};

status sentencepiece_open(const struct checkpoint *checkpoint, const struct vocab *vocab,
                          int32_t unknown, struct sentencepiece *sentencepiece);
/* text is valid UTF-8; space_prefix puts a space before it. */
status sentencepiece_encode(const struct sentencepiece *sentencepiece, struct encoder *encoder,
                            const uint8_t *text, size_t length, bool space_prefix);
/* The token of a piece. */
void sentencepiece_push(const struct sentencepiece *sentencepiece, struct encoder *encoder,
                        int32_t piece);
/* The pieces of all bytes, -1 where there is none; false: one is missing. */
bool sentencepiece_bytes(const struct vocab *vocab, int32_t bytes[256]);
/* The byte of a byte token's text, <0x0A> say; -1: it isn't one. */
int sentencepiece_byte(struct text text);
/* Writes what a piece stands for, at most as many bytes, unless out is NULL; returns how many. */
size_t sentencepiece_decode(struct text text, char *out);
/* The piece without a U+2581 at its start. */
struct text sentencepiece_without_space(struct text text);

#endif
