/* The bytes of a vocabulary's tokens as a trie, its nodes in the order of a walk. */
#ifndef GRAMMAR_VOCABULARY_H
#define GRAMMAR_VOCABULARY_H

#include "base/memory.h"

enum { VOCABULARY_LONGEST = 255 }; /* bytes; longer tokens are never chosen */

struct vocabulary_node {
    uint32_t skip;  /* the node behind all that begin with this one's text */
    uint32_t first; /* of order: tokens that begin with it */
    uint32_t n;     /* of these: tokens that are it */
    uint8_t byte, depth;
};

struct vocabulary {
    struct memory *memory;
    uint32_t n_tokens, n_nodes, n_words; /* words of 64 tokens, of a mask */
    struct vocabulary_node *nodes;       /* [n_nodes + 1], node 0 is the empty text */
    uint32_t *order;                     /* tokens by their bytes */
    uint32_t *offsets;                   /* [n_tokens + 1] */
    uint8_t *bytes;
    bool single[256]; /* bytes that are a token of their own */
    int32_t *ends;    /* [n_ends] tokens that end a text */
    size_t n_ends;
};

/* offsets [n + 1], bytes: of the tokens' texts, empty where a token is never chosen; taken over,
 * also on failure. ends are copied. */
status vocabulary_open(struct memory *memory, uint32_t n, uint32_t *offsets, uint8_t *bytes,
                       const int32_t *ends, size_t n_ends, struct vocabulary **vocabulary);
void vocabulary_close(struct vocabulary *vocabulary); /* NULL does nothing */

#endif
