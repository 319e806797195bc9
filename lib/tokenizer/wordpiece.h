/* WordPiece (BERT): normalized text is cut at spaces and punctuation, and each word into the
 * longest pieces from its start. In GGUF a piece that starts a word has U+2581 before it. */
#ifndef TOKENIZER_WORDPIECE_H
#define TOKENIZER_WORDPIECE_H

#include "tokenizer/encoder.h"
#include "tokenizer/vocab.h"

struct wordpiece {
    const struct vocab *vocab;
    int32_t unknown;
    bool lowercase;
    bool strip_accents;
    bool chinese;      /* its characters are set apart */
    bool number_signs; /* ## before pieces that go on, as in vocab.txt, instead of U+2581 before the
                          others: where pieces have that character themselves */
};

status wordpiece_open(const struct checkpoint *checkpoint, const struct vocab *vocab,
                      int32_t unknown, struct wordpiece *wordpiece);
/* Writes what a piece stands for, at most as many bytes and a space, unless out is NULL; returns
 * how many. first: no space before it. */
size_t wordpiece_decode(const struct wordpiece *wordpiece, struct text text, bool first, char *out);
/* text is valid UTF-8. */
void wordpiece_encode(const struct wordpiece *wordpiece, struct encoder *encoder,
                      const uint8_t *text, size_t length);

#endif
