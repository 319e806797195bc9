#include "base/map.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Slots looked at before a table is taken for an attack. Linear probing in a table at most half
 * full stays far below this with any keys not made for it; with them, this bounds the work. */
#define MAX_PROBES 4096

void map_init(struct map *map, struct memory *memory) {
    *map = (struct map){.memory = memory};
}

static uint32_t hash_key(const struct map *map, const char *key, size_t length) {
    return (uint32_t)XXH3_64bits_withSeed(key, length, map->seed);
}

static status rehash(struct map *map, size_t n_slots) {
    struct map_slot *slots;
    TRY(MEMORY_TAKE_ARRAY(map->memory, n_slots, "a hash table", &slots));
    size_t mask = n_slots - 1;
    if (!map->slots) map->seed = (uint64_t)(uintptr_t)slots * 0x9E3779B97F4A7C15u;
    for (size_t i = 0; map->slots && i <= map->mask; i++) {
        if (!map->slots[i].entry) continue;
        size_t at = map->slots[i].hash & mask;
        while (slots[at].entry) at = (at + 1) & mask;
        slots[at] = map->slots[i];
    }
    memory_give(map->memory, map->slots);
    map->slots = slots;
    map->mask = mask;
    return OK;
}

status map_reserve(struct map *map, size_t count) {
    if (count > UINT32_MAX / 4) return fail(LIMIT, "a hash table of %zu entries", count);
    size_t n_slots = 16;
    while (n_slots < 2 * count) n_slots *= 2;
    if (map->slots && n_slots <= map->mask + 1) return OK;
    return rehash(map, n_slots);
}

status map_add(struct map *map, const void *owner, map_key_function key_of, uint32_t index,
               int64_t *present) {
    *present = -1;
    TRY(map_reserve(map, map->count + 1));
    size_t length;
    const char *key = key_of(owner, index, &length);
    uint32_t hash = hash_key(map, key, length);
    size_t at = hash & map->mask;
    for (int probes = 0; map->slots[at].entry; at = (at + 1) & map->mask) {
        if (++probes > MAX_PROBES)
            return fail(LIMIT, "more than %d keys share one place of a hash table", MAX_PROBES);
        if (map->slots[at].hash != hash) continue;
        size_t other_length;
        const char *other = key_of(owner, map->slots[at].entry - 1, &other_length);
        if (other_length == length && memcmp(other, key, length) == 0) {
            *present = (int64_t)map->slots[at].entry - 1;
            return OK;
        }
    }
    map->slots[at] = (struct map_slot){.hash = hash, .entry = index + 1};
    map->count++;
    return OK;
}

int64_t map_find(const struct map *map, const void *owner, map_key_function key_of, const char *key,
                 size_t length) {
    if (!map->slots) return -1;
    uint32_t hash = hash_key(map, key, length);
    for (size_t at = hash & map->mask; map->slots[at].entry; at = (at + 1) & map->mask) {
        if (map->slots[at].hash != hash) continue;
        size_t other_length;
        const char *other = key_of(owner, map->slots[at].entry - 1, &other_length);
        if (other_length == length && memcmp(other, key, length) == 0)
            return (int64_t)map->slots[at].entry - 1;
    }
    return -1;
}

void map_free(struct map *map) {
    memory_give(map->memory, map->slots);
    map->slots = NULL;
    map->count = map->mask = 0;
}
