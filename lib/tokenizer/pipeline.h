/* A tokenizer as data, as tokenizer.json describes it: added tokens are set apart, text is
 * normalized, cut into words, each word becomes tokens by the model, and a template puts tokens
 * around them; and the decoder for the way back. Immutable once open. */
#ifndef TOKENIZER_PIPELINE_H
#define TOKENIZER_PIPELINE_H

#include "base/arena.h"
#include "tokenizer/added.h"
#include "tokenizer/bpe_characters.h"
#include "tokenizer/decode.h"
#include "tokenizer/normalize.h"
#include "tokenizer/pieces.h"
#include "tokenizer/split.h"
#include "tokenizer/unigram.h"

enum pipeline_model {
    PIPELINE_BPE,
    PIPELINE_BPE_BYTES, /* of the bytes of a word, not of their characters */
    PIPELINE_WORDPIECE,
    PIPELINE_WORDLEVEL,
    PIPELINE_UNIGRAM
};

/* What stands where in the result. */
struct template_part {
    enum { TEMPLATE_FIRST, TEMPLATE_SECOND, TEMPLATE_TOKENS } what;
    const int32_t *ids; /* [n] TOKENS: special ones */
    uint32_t n;
    int32_t type; /* token type */
};

struct template {
    const struct template_part *parts; /* [n] */
    size_t n;
};

struct pipeline {
    struct memory *memory;
    struct arena arena; /* of what the members point to, if they don't own it */
    struct vocab vocab; /* added tokens included; only the model's are found by their texts */
    uint32_t n_model;   /* tokens of the model's */
    struct added added;
    const struct added_token **added_of; /* [vocab.n] by id, NULL: none */
    struct normalize_step *normalizers;
    size_t n_normalizers;
    struct split_step *splits;
    size_t n_splits;
    enum pipeline_model model;
    struct bpe_characters bpe;
    struct pieces pieces;
    struct unigram unigram;
    int32_t unknown; /* WORDLEVEL */
    struct template single, pair;
    struct decode_step *decoders;
    size_t n_decoders;
    struct decode decode;
};

void pipeline_close(struct pipeline *pipeline); /* NULL does nothing */

struct pipeline_input {
    struct text first;
    const struct text *second; /* NULL: not a pair */
    bool add_special, parse_special;
};

/* texts are valid UTF-8. types: NULL, or [encoder's capacity]. */
status pipeline_encode(const struct pipeline *pipeline, struct encoder *encoder,
                       const struct pipeline_input *input, int32_t *types);

/* What the normalizer makes of a text, in the pipeline's arena; while it is read. */
status pipeline_normalize(struct pipeline *pipeline, struct text text, struct text *normalized);

/* The token of a text, added ones first; -1: none. */
int32_t pipeline_find(const struct pipeline *pipeline, struct text text);

#endif
