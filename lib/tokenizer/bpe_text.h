/* Byte-pair encoding of a GGUF file's or a folder's vocabulary: how a text is cut into words by the
 * rules that tokenizer.ggml.pre names, and the words' tokens. */
#ifndef TOKENIZER_BPE_TEXT_H
#define TOKENIZER_BPE_TEXT_H

#include "tokenizer/bpe_characters.h"
#include "tokenizer/pretokenize.h"

struct bpe_text {
    const struct vocab *vocab;
    const struct pretokenizer *rules;
    struct bpe_characters characters; /* its bpe alone where the vocabulary is of bytes */
    bool compose;                     /* texts are brought into NFC */
    bool space_prefix;                /* a space is put before one that starts without */
    bool lowercase;                   /* of rules without white space */
    /* DNA between <dna> and </dna>, six bases a token; begin -1: none */
    struct {
        int32_t begin, end, unknown;
    } dna;
};

/* rules: of the file's pre, found before. On failure nothing is left to close. */
status bpe_text_open(struct memory *memory, const struct checkpoint *checkpoint,
                     const struct vocab *vocab, bool dna, struct bpe_text *model);
void bpe_text_close(struct bpe_text *model);
/* text is valid UTF-8. */
status bpe_text_encode(const struct bpe_text *model, struct encoder *encoder, const uint8_t *text,
                       size_t length);
/* As bpe_decode. */
size_t bpe_text_decode(const struct bpe_text *model, struct text text, char *out);

#endif
