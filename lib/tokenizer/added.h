/* Tokens that stand written out in a text and are found before anything else is done to it. */
#ifndef TOKENIZER_ADDED_H
#define TOKENIZER_ADDED_H

#include "base/map.h"
#include "tokenizer/trie.h"

enum {
    ADDED_SPECIAL = 1,     /* no ordinary text: found on request, and not written out */
    ADDED_SINGLE_WORD = 2, /* only where no word goes on before or behind it */
    ADDED_LSTRIP = 4,      /* white space before it is part of it */
    ADDED_RSTRIP = 8,
    ADDED_NORMALIZED = 16 /* found in the normalized text */
};

/* A longer one isn't taken: the time for each byte of a text is bounded by it. */
enum { ADDED_MOST_BYTES = 4096 };

struct added_token {
    struct text content;
    struct text form; /* what is looked for: the content, or what the normalizer makes of it */
    int32_t id;
    unsigned flags;
};

/* Those that are looked for in one of the two texts. */
struct added_set {
    const struct added_token **tokens; /* [n] */
    uint32_t n;
    struct trie trie;
    bool first[256]; /* bytes that one of them starts with */
};

struct added {
    struct memory *memory;
    struct added_token *tokens; /* [n]; contents and forms are somebody else's */
    uint32_t n, capacity;
    struct map map; /* from contents */
    struct added_set raw, normalized;
};

void added_init(struct added *added, struct memory *memory);
/* A token, in the place of one with the same content. */
status added_put(struct added *added, const struct added_token *token);
/* NULL: none has this content. Until the next one is put. */
const struct added_token *added_find(const struct added *added, struct text content);
/* After the last one: makes the sets. */
status added_finish(struct added *added);
void added_close(struct added *added);

/* Walks a text: what lies between tokens, and tokens. */
struct added_walk {
    const struct added_set *set;
    const uint8_t *text;
    size_t length;
    bool special;                    /* special ones are looked for too */
    size_t done;                     /* up to here the parts are handed out */
    size_t at;                       /* the search goes on here */
    const struct added_token *found; /* handed out after the part before it */
    size_t found_end;
};

struct added_part {
    size_t begin, end;
    const struct added_token *token; /* NULL: ordinary text */
};

/* False: the text is done. */
bool added_next(struct added_walk *walk, struct added_part *part);

#endif
