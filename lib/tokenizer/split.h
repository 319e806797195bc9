/* Pre-tokenizers as data: each step cuts pieces of text into smaller ones, or writes them anew. */
#ifndef TOKENIZER_SPLIT_H
#define TOKENIZER_SPLIT_H

#include "tokenizer/regex.h"

enum split_kind {
    SPLIT_REGEX,     /* at what a regular expression matches */
    SPLIT_CLASS,     /* at characters of a class */
    SPLIT_WORDS,     /* words and runs of what is neither that nor space; the spaces go */
    SPLIT_LENGTH,    /* every so many characters */
    SPLIT_METASPACE, /* spaces become a character that is not one, and start pieces */
    SPLIT_PREFIX_SPACE /* a space before the piece, unless it has one */,
    SPLIT_BYTES /* each byte becomes a printable character: byte_level.h */
};

/* What becomes of a match, the delimiter. */
enum split_behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS
};

enum split_class {
    SPLIT_WHITE_SPACE,
    SPLIT_PUNCTUATION, /* Unicode's, and all of ASCII's */
    SPLIT_NUMBERS,
    SPLIT_CHARACTER /* the step's */
};

enum split_prepend { SPLIT_ALWAYS, SPLIT_FIRST, SPLIT_NEVER };

struct split_step {
    enum split_kind kind;
    enum split_behavior behavior;
    enum split_class class;
    enum split_prepend prepend; /* METASPACE: the character before a piece */
    bool invert;                /* what is not matched is the delimiter */
    bool cut;                   /* METASPACE: cut there */
    struct regex *regex;
    uint32_t character; /* CLASS: the one; METASPACE: the replacement */
    size_t length;      /* LENGTH: characters */
};

/* A step's own text, which its pieces are in; kept from one call to the next. */
struct split_buffer {
    char *bytes;
    size_t capacity;
};

struct split {
    struct memory *memory;
    const struct split_step *steps;
    size_t n_steps;
    struct split_buffer *buffers; /* [n_steps] zeroed at first */
    struct regex_state *regex;
    /* Gets bytes of a piece. */
    status (*word)(void *user, const uint8_t *text, size_t length);
    void *user;
};

/* Cuts a text, valid UTF-8 and not empty; every word is handed over, in order. first: it is the
 * start of all that is tokenized. */
status split_run(struct split *split, const uint8_t *text, size_t length, bool first);
void split_close(struct split *split);

#endif
