#include "grammar/set_table.h"

#include <string.h>

void numbers_sort(uint64_t *numbers, uint32_t n) {
    for (uint32_t left = n / 2, right = n; right > 1;) {
        uint64_t value;
        if (left > 0) {
            value = numbers[--left];
        } else {
            value = numbers[--right];
            numbers[right] = numbers[0];
        }
        uint32_t at = left, child;
        for (; (child = 2 * at + 1) < right; at = child) {
            if (child + 1 < right && numbers[child + 1] > numbers[child]) child++;
            if (numbers[child] <= value) break;
            numbers[at] = numbers[child];
        }
        numbers[at] = value;
    }
}

void indices_sort(uint32_t *indices, uint32_t n) {
    for (uint32_t left = n / 2, right = n; right > 1;) {
        uint32_t value;
        if (left > 0) {
            value = indices[--left];
        } else {
            value = indices[--right];
            indices[right] = indices[0];
        }
        uint32_t at = left, child;
        for (; (child = 2 * at + 1) < right; at = child) {
            if (child + 1 < right && indices[child + 1] > indices[child]) child++;
            if (indices[child] <= value) break;
            indices[at] = indices[child];
        }
        indices[at] = value;
    }
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
    indices_sort(items, n);
    if (!table->slots || 2 * table->n > table->mask) TRY(grow(compile, table));
    uint64_t hash = hash_of(items, n);
    uint32_t at = (uint32_t)hash & table->mask;
    for (; table->slots[at]; at = (at + 1) & table->mask) {
        uint32_t set = table->slots[at] - 1, m;
        if (table->hashes[set] != hash) continue;
        const uint32_t *there = set_table_get(table, set, &m);
        if (m == n && (n == 0 || memcmp(there, items, n * sizeof *items) == 0)) {
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
