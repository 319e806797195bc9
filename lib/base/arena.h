/* Many small pieces that are given back together. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/memory.h"

struct arena_block;

/* Zeroed but for memory. */
struct arena {
    struct memory *memory;
    struct arena_block *blocks; /* the newest first */
    size_t used, size;          /* of the newest */
};

/* n bytes, aligned to 8; NULL and OUT_OF_MEMORY, which tells what they were for. They never move.
 */
status arena_take(struct arena *arena, size_t n, const char *purpose, void **bytes);
/* The arena is empty then. */
void arena_free(struct arena *arena);

#endif
