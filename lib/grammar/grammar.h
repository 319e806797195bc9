/* Structured output: a text's grammar as masks of the tokens that may come next.
 *
 * JSON Schema, regular expression or EBNF -> rules over bytes (machine.h) -> sets of stacks, where
 * readers of a text stand (stacks.h) -> masks of a vocabulary's tokens (vocabulary.h, mask.c).
 * A grammar is used by any number of threads; inside, one at a time. */
#ifndef GRAMMAR_GRAMMAR_H
#define GRAMMAR_GRAMMAR_H

#include <pthread.h>

#include "grammar/stacks.h"
#include "grammar/vocabulary.h"

enum { GRAMMAR_MOST_TEXT = 4 << 20 }; /* bytes */

struct grammar_source { /* one of them has data */
    const char *json_schema, *regex, *ebnf;
    size_t length;
    bool whitespace; /* of JSON: any, anywhere */
};

/* Somebody who reads a text, and may read on. */
struct grammar_reader {
    uint32_t set; /* where; STACKS_NONE: what was read doesn't match */
    struct grammar_reader *next, *previous;
};

enum mask_kind { MASK_FREE, MASK_ALONE, MASK_SET };

struct mask_slot {
    enum mask_kind kind;
    uint32_t code, registers; /* ALONE: of what state; SET: the set, 0 */
    uint32_t dearest;         /* the most bytes that are left after one of its tokens */
    uint32_t n_escapes;       /* ALONE: nodes of the vocabulary where the state's rule ends */
    bool wide;                /* they are too many: nothing is known */
    bool pinned;
    uint64_t used;
    uint32_t same_bucket;
};

enum { MASK_BUCKETS = 1024 };

struct mask_cache {
    uint32_t n_slots, n_escapes, buckets[MASK_BUCKETS];
    struct mask_slot *slots;
    uint64_t *masks;   /* [n_slots][n_words] */
    uint32_t *escapes; /* [n_slots][n_escapes] */
    uint64_t clock, n_hits, n_misses;
};

struct grammar {
    struct memory *memory;
    pthread_mutex_t lock;
    struct compile compile;
    struct machine machine;
    struct stacks stacks;
    const struct vocabulary *vocabulary; /* NULL: for grammar_match alone */
    struct mask_cache cache;
    uint64_t *mask; /* [n_words] one that isn't kept */
    struct grammar_reader *readers;
};

/* The vocabulary must outlive it. INVALID_ARGUMENT: a broken grammar, or one that no text matches.
 * UNSUPPORTED: what isn't done, by name. LIMIT: it is too large. */
status grammar_open(struct memory *memory, const struct grammar_source *source,
                    const struct vocabulary *vocabulary, struct grammar **opened);
void grammar_close(struct grammar *grammar); /* NULL does nothing */

/* *match: TRANSFORMER_MATCH_... */
status grammar_match(struct grammar *grammar, const char *text, size_t length, int32_t *match);

/* A reader at the beginning of a text; it stays where it is in memory until grammar_leave. */
status grammar_enter(struct grammar *grammar, struct grammar_reader *reader);
/* One that stands where another one does. */
void grammar_enter_copy(struct grammar *grammar, struct grammar_reader *reader,
                        const struct grammar_reader *original);
void grammar_leave(struct grammar *grammar, struct grammar_reader *reader);
/* Reads on. A text that doesn't match leaves the reader's set NONE and is no failure. */
status grammar_read(struct grammar *grammar, struct grammar_reader *reader, const uint8_t *bytes,
                    size_t n);
/* Whether what was read is a whole text. */
bool grammar_may_end(struct grammar *grammar, const struct grammar_reader *reader);
status grammar_restart(struct grammar *grammar, struct grammar_reader *reader);
/* Bytes to the end of the text at least, each of which some token is; COST_UNSPELLABLE and more:
 * there is no such end. */
uint32_t grammar_cost(struct grammar *grammar, const struct grammar_reader *reader);

/* masked [n_tokens] becomes logits [n_tokens], -inf where a token may not come; *least is the first
 * one that may. remaining: so many tokens may still come, and the text must end within them; -1:
 * any number. STATE: none may come. */
status grammar_apply(struct grammar *grammar, struct grammar_reader *reader, int64_t remaining,
                     const float *logits, float *masked, int32_t *least);

/* ---- mask.c; locked ---- */

status mask_open(struct grammar *grammar);
void mask_close(struct grammar *grammar);
/* Sets' numbers are about to change. */
void mask_forget_sets(struct grammar *grammar);
/* *mask [n_words] is valid until the next call. */
status mask_find(struct grammar *grammar, uint32_t set, int64_t remaining, const uint64_t **mask);

/* ---- the front ends: rules into the machine, whose compile is ready ---- */

status schema_compile(struct machine *machine, const char *text, size_t length);
/* A rule for the JSON texts of a schema, among others; machine_finish is still to come. */
status schema_add(struct machine *machine, const char *text, size_t length, uint32_t *rule);
status regex_compile(struct machine *machine, const char *text, size_t length);
status ebnf_compile(struct machine *machine, const char *text, size_t length);

#endif
