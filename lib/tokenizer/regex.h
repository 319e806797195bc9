/* Regular expressions as tokenizer.json has them (Oniguruma's). Those of the published tokenizers
 * are matched by functions of match.h, in linear time; any other one by PCRE2, within limits. */
#ifndef TOKENIZER_REGEX_H
#define TOKENIZER_REGEX_H

#include "base/memory.h"
#include "format/checkpoint.h"
#include "tokenizer/match.h"

struct regex;

/* UNSUPPORTED  PCRE2 can't match it as Oniguruma would; the message tells why. */
status regex_open(struct memory *memory, struct text pattern, struct regex **regex);
/* The text itself. */
status regex_open_literal(struct memory *memory, struct text literal, struct regex **regex);
void regex_close(struct regex *regex); /* NULL does nothing */

/* What all matching of one call shares. Zeroed but for memory. */
struct regex_state {
    struct memory *memory;
    void *general, *match, *context; /* PCRE2's */
    uint64_t budget;                 /* work that is left */
    size_t start, last;              /* where the match that is tried starts, where it stands */
};

void regex_state_close(struct regex_state *state);

/* The matches in one piece, one after the other: they don't overlap, and an empty one doesn't
 * follow another match at once. */
struct regex_walk {
    const struct regex *regex;
    struct regex_state *state;
    struct piece piece;
    size_t at;   /* the search goes on here */
    size_t last; /* end of the match before */
    bool any;    /* there was one */
};

status regex_start(struct regex_walk *walk, const struct regex *regex, struct regex_state *state,
                   const struct piece *piece);
/* *found false: there are no more. LIMIT  it takes too long. */
status regex_next(struct regex_walk *walk, bool *found, size_t *begin, size_t *end);

/* ---- regex_engine.c: PCRE2 ---- */

struct regex_engine;

status regex_engine_open(struct memory *memory, struct text pattern, struct regex_engine **engine);
void regex_engine_close(struct regex_engine *engine); /* NULL does nothing */
status regex_engine_ready(struct regex_state *state);
status regex_engine_find(const struct regex_engine *engine, struct regex_state *state,
                         const struct piece *piece, size_t at, bool *found, size_t *begin,
                         size_t *end);

/* ---- regex_translate.c ---- */

/* An expression of Oniguruma's syntax (its default, as of Ruby) in PCRE2's, NUL-terminated in a
 * block of memory. Behind each repetition stands a callout, by which the work is counted. */
status regex_translate(struct memory *memory, struct text pattern, char **translated,
                       size_t *length);

#endif
