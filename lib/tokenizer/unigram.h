/* Unigram segmentation (arXiv:1804.10959): of all ways to cut a text into pieces, the one whose
 * scores have the largest sum. */
#ifndef TOKENIZER_UNIGRAM_H
#define TOKENIZER_UNIGRAM_H

#include "tokenizer/encoder.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocab.h"

/* Bytes of a piece: it bounds the work for each byte of a text. */
enum { UNIGRAM_MOST_BYTES = 1024 };

/* Whose ways of adding scores up: they differ in the last bits, and so in which of two ways that
 * are nearly as good is chosen. */
enum unigram_kind {
    UNIGRAM_SENTENCEPIECE, /* sums in f32 */
    UNIGRAM_GGML,          /* sums in f64, user-defined pieces count 0 */
    UNIGRAM_TOKENIZERS     /* Hugging Face tokenizers: in f64; a run of unknown characters that is a
                              piece is that piece */
};

enum {
    UNIGRAM_MATCHED = 1, /* text becomes this piece */
    UNIGRAM_SCORED = 2,  /* its score counts for the lowest one */
    UNIGRAM_DEFINED = 4  /* user-defined: wins over what its text could be cut into */
};

struct unigram_piece {
    struct text text;
    double score;
    unsigned flags;
};

struct unigram_options {
    enum unigram_kind kind;
    /* the vocabulary: pieces 0 ... n - 1; asked for while opening */
    const void *owner;
    struct unigram_piece (*piece)(const void *owner, uint32_t id);
    uint32_t n;
    int32_t unknown; /* for characters in no piece, one for a run of them; -1: these are left out */
    const int32_t *bytes; /* [256] instead of unknown, where none needed is -1; NULL: never */
    /* NULL, or where pieces are not the tokens: the token of each [n], and all tokens: a run of
     * unknown characters that is one's text is that one. They must outlive the unigram. */
    const int32_t *ids;
    const struct vocab *names;
};

struct unigram {
    struct memory *memory;
    enum unigram_kind kind;
    struct trie trie; /* of the texts that are matched; its values are ids */
    struct unigram_score {
        double score;
        uint32_t length; /* bytes */
    } * scores;          /* [n] */
    double unknown_score;
    int32_t unknown;
    bool has_bytes;
    int32_t bytes[256];
    const int32_t *ids;
    const struct vocab *names;
};

/* FORMAT  a score is no number; UNSUPPORTED  a piece is too long. Nothing is left to close then. */
status unigram_open(struct memory *memory, const struct unigram_options *options,
                    struct unigram *unigram);
void unigram_close(struct unigram *unigram);

/* text is valid UTF-8, and none of it is left out. Time is linear in it. */
status unigram_encode(const struct unigram *unigram, struct encoder *encoder, const uint8_t *text,
                      size_t length);

#endif
