/* A set of byte strings, read byte by byte: a double array. A child of a node is at the node's base
 * plus the byte, if that unit says so; so a step takes one look, whatever the number of children.
 */
#ifndef TOKENIZER_TRIE_H
#define TOKENIZER_TRIE_H

#include "base/memory.h"
#include "format/checkpoint.h"

#define TRIE_ROOT 0u

struct trie_unit {
    uint32_t base;   /* modulo 2^32 */
    uint32_t parent; /* its node; TRIE_FREE: no node is here */
    uint32_t value;  /* + 1; 0: no key ends here */
};

struct trie {
    struct memory *memory;
    struct trie_unit *units; /* [n] */
    uint32_t n;
    size_t longest; /* bytes of the longest key */
};

/* The key of entry `index`; an empty one is left out. */
typedef struct text (*trie_key)(const void *owner, uint32_t index);

/* Keys 0 ... n - 1, each with its index as its value; of equal keys the last one stays. Time and
 * memory are linear in the keys' bytes. On failure nothing is left to close. */
status trie_open(struct memory *memory, const void *owner, trie_key key, uint32_t n,
                 struct trie *trie);
void trie_close(struct trie *trie);

/* Moves *node on by one byte; false: no key goes on so, *node is as before. */
static inline bool trie_step(const struct trie *trie, uint32_t *node, uint8_t byte) {
    uint32_t at = trie->units[*node].base + byte;
    if (at >= trie->n || trie->units[at].parent != *node) return false;
    *node = at;
    return true;
}

/* Of the key that ends at a node; -1: none does. */
static inline int64_t trie_value(const struct trie *trie, uint32_t node) {
    return (int64_t)trie->units[node].value - 1;
}

/* -1: no such key. */
int64_t trie_find(const struct trie *trie, const uint8_t *text, size_t length);
/* The longest key that the text starts with: *value, and its length; 0: none. */
size_t trie_longest(const struct trie *trie, const uint8_t *text, size_t length, int64_t *value);

#endif
