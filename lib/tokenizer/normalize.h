/* Normalizers as data: each step writes a text anew. */
#ifndef TOKENIZER_NORMALIZE_H
#define TOKENIZER_NORMALIZE_H

#include "tokenizer/precompiled.h"
#include "tokenizer/regex.h"

enum normalize_kind {
    NORMALIZE_NFC,
    NORMALIZE_NFD,
    NORMALIZE_NFKC,
    NORMALIZE_NFKD,
    NORMALIZE_LOWERCASE,
    NORMALIZE_STRIP_MARKS,      /* all marks */
    NORMALIZE_STRIP_NONSPACING, /* Mn only */
    NORMALIZE_CLEAN,            /* control characters go, white space becomes ' ' */
    NORMALIZE_SPACE_CHINESE,    /* a space on both sides of ideographs */
    NORMALIZE_NMT,
    NORMALIZE_STRIP_LEFT,
    NORMALIZE_STRIP_RIGHT,
    NORMALIZE_PREPEND,
    NORMALIZE_REPLACE,
    NORMALIZE_BYTES, /* byte_level.h */
    NORMALIZE_PRECOMPILED
};

struct normalize_step {
    enum normalize_kind kind;
    struct regex *regex; /* REPLACE: what, by content */
    struct text content; /* PREPEND, REPLACE */
    struct precompiled precompiled;
};

/* Room for two texts, the one that is read and the one that is written, and code points. */
struct normalizer {
    struct memory *memory;
    const struct normalize_step *steps;
    size_t n_steps;
    char *bytes[2];
    size_t capacity[2];
    int which; /* is written next */
    int32_t *points;
    size_t n_points;
    struct regex_state *regex;
    /* Of the text's first characters those that come of the first one of all; set to 1 or 0 before
     * a run, by whether the text is the start of all. */
    size_t from_start;
};

/* text is valid UTF-8; what comes out is text itself, or lies in the normalizer until the next
 * call. LIMIT  it grew beyond all bounds. */
status normalize_run(struct normalizer *normalizer, struct text *text);
void normalize_close(struct normalizer *normalizer);

#endif
