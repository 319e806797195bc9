/* Decoders as data: what the texts of tokens become. Every token's text is worked out once, for the
 * start of a text and for the rest of it. */
#ifndef TOKENIZER_DECODE_H
#define TOKENIZER_DECODE_H

#include "tokenizer/regex.h"

enum decode_kind {
    DECODE_BYTES,     /* byte_level.h; what follows sees one text */
    DECODE_WORDPIECE, /* a space before what has no prefix, and the prefix goes */
    DECODE_METASPACE,
    DECODE_FALLBACK, /* <0xXX> is that byte */
    DECODE_FUSE,     /* what follows sees one text */
    DECODE_STRIP,
    DECODE_REPLACE,
    DECODE_SUFFIX, /* the end of a word becomes a space, but for the last token's */
    DECODE_JOIN    /* a space between tokens: there is no decoder */
};

struct decode_step {
    enum decode_kind kind;
    struct text text;    /* WORDPIECE: the prefix; SUFFIX: it */
    struct text content; /* REPLACE: by this */
    struct regex *regex; /* REPLACE: what */
    uint32_t character;  /* METASPACE, STRIP */
    size_t start, stop;  /* STRIP: so many at most */
    bool keep_first;     /* METASPACE: those of the first token stay, as spaces */
    bool cleanup;        /* WORDPIECE */
    bool wide;           /* REPLACE: of what may be longer than a character */
};

struct decode {
    struct memory *memory;
    const struct decode_step *steps; /* somebody else's */
    size_t n_steps;
    uint32_t n;        /* tokens */
    uint32_t *offsets; /* [2][n + 1] in bytes: of first ones, of others */
    uint8_t *bytes;
    bool *spaced;   /* [n] a space follows unless it is the last; NULL: never */
    size_t longest; /* bytes of a token */
    size_t strip;   /* of the whole text's start: so many of this character */
    char strip_text[4];
    unsigned strip_length;
};

/* text: of token `id`, where a decoder starts from; NULL data: none. steps are whole; UNSUPPORTED
 * what can't be worked out token by token. Zeroed but for memory, steps and n_steps. */
status decode_open(struct decode *decode, uint32_t n,
                   struct text (*text)(const void *owner, uint32_t), const void *owner);
void decode_close(struct decode *decode);

/* Where in a text the next token stands. */
struct detokenize_state {
    bool started;
    bool spaced;     /* a space comes before the next one */
    bool stripping;  /* the whole text's start is not behind yet */
    size_t stripped; /* characters of it */
};

/* As tokenizer_token_bytes. */
size_t decode_token(const struct decode *decode, struct detokenize_state *state, uint32_t id,
                    char *buffer, size_t capacity);

#endif
