#include "grammar/set_table.h"

#include <stdlib.h>
#include <string.h>

static int by_number(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static uint64_t hash_of(const uint32_t *items, uint32_t n) {
    uint64_t hash = 0x9E3779B97F4A7C15u + n;
    for (uint32_t i = 0; i < n; i++) hash = (hash ^ items[i]) * 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 32;
}

static status grow(struct compile *compile, struct set_table *table) {
    uint32_t size = table->slots ? 2 * (table->mask + 1) : 64;
    COMPILE_TAKE(compile, size, &table->slots);
    table->mask = size - 1;
    for (uint32_t i = 0; i < table->n; i++) {
        uint32_t at = (uint32_t)table->hashes[i] & table->mask;
        while (table->slots[at]) at = (at + 1) & table->mask;
        table->slots[at] = i + 1;
    }
    return OK;
}

status set_table_put(struct compile *compile, struct set_table *table, uint32_t *items, uint32_t n,
                     uint32_t *index) {
    if (n > 1) qsort(items, n, sizeof *items, by_number);
    if (!table->slots || 2 * table->n > table->mask) TRY(grow(compile, table));
    uint64_t hash = hash_of(items, n);
    uint32_t at = (uint32_t)hash & table->mask;
    for (; table->slots[at]; at = (at + 1) & table->mask) {
        uint32_t set = table->slots[at] - 1, m;
        if (table->hashes[set] != hash) continue;
        const uint32_t *there = set_table_get(table, set, &m);
        if (m == n && memcmp(there, items, n * sizeof *items) == 0) {
            *index = set;
            return OK;
        }
    }
    COMPILE_GROW(compile, table->hashes, table->n, table->capacity);
    if (!table->first) COMPILE_GROW(compile, table->first, 0, table->first_capacity);
    COMPILE_GROW(compile, table->first, table->n + 1, table->first_capacity);
    for (uint32_t i = 0; i < n; i++) {
        COMPILE_GROW(compile, table->items, table->n_items, table->item_capacity);
        table->items[table->n_items++] = items[i];
    }
    table->hashes[table->n] = hash;
    table->first[table->n + 1] = table->n_items;
    table->slots[at] = table->n + 1;
    *index = table->n++;
    return OK;
}
