/* Hash map from text to the index of an entry in a table that the owner keeps. The map holds no
 * keys: it asks the owner for them. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/memory.h"

/* The key of entry `index` of the owner's table. */
typedef const char *(*map_key_function)(const void *owner, uint32_t index, size_t *length);

struct map_slot {
    uint32_t hash;
    uint32_t entry; /* index + 1; 0: empty */
};

struct map {
    struct memory *memory;
    struct map_slot *slots; /* [mask + 1], at most half of them full; NULL while empty */
    size_t mask;
    size_t count;
    uint64_t seed;
};

void map_init(struct map *map, struct memory *memory);
/* Room for count entries without another allocation. */
status map_reserve(struct map *map, size_t count);
/* Adds entry `index` with its key, unless that key is there: then *present is its entry's index and
 * nothing is added. *present is -1 otherwise. LIMIT  the keys were made to collide. */
status map_add(struct map *map, const void *owner, map_key_function key_of, uint32_t index,
               int64_t *present);
/* -1: no such key. */
int64_t map_find(const struct map *map, const void *owner, map_key_function key_of, const char *key,
                 size_t length);
void map_free(struct map *map);

#endif
