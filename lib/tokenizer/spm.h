/* A SentencePiece model as its file describes it: how text is normalized, the pieces it is cut into
 * by scores of Unigram or of merges, and the tokens these are. Most models' pieces are their
 * tokens; Marian and M2M-100 have a list of tokens of their own. */
#ifndef TOKENIZER_SPM_H
#define TOKENIZER_SPM_H

#include "tokenizer/sentencepiece.h"
#include "tokenizer/sentencepiece_normalizer.h"
#include "tokenizer/unigram.h"

enum spm_kind { SPM_UNIGRAM, SPM_MERGES };

struct spm_options {
    enum spm_kind kind;
    const char *section; /* of its keys: "tokenizer.ggml" */
    int32_t unknown;     /* the token of characters in no piece; -1: none */
    bool defined_inside; /* user-defined pieces are found by the model itself, inside a text */
};

struct spm {
    struct memory *memory;
    enum spm_kind kind;
    const struct vocab *tokens;
    struct vocab own; /* the pieces, where the tokens are others */
    const struct vocab *pieces;
    int32_t *ids; /* tokens of the pieces; NULL: the same numbers */
    struct trie defined;
    struct sentencepiece_normalizer normalizer;
    struct unigram unigram;
    struct sentencepiece merges;
};

/* own_pieces: the section has the pieces; otherwise they are the tokens. Must not move while open.
 * FORMAT, UNSUPPORTED  the message names the key; spm_close must be called then too. */
status spm_open(struct memory *memory, const struct checkpoint *checkpoint,
                const struct spm_options *options, bool own_pieces, const struct vocab *tokens,
                struct spm *spm);
void spm_close(struct spm *spm); /* a zeroed one does nothing */

/* text is valid UTF-8. */
status spm_encode(const struct spm *spm, struct encoder *encoder, const uint8_t *text,
                  size_t length);

#endif
