/* Sets of numbers as numbers of their own: the same set, in any order, has the same number. */
#ifndef GRAMMAR_SET_TABLE_H
#define GRAMMAR_SET_TABLE_H

#include "grammar/compile.h"

struct set_table {
    uint32_t n, capacity, first_capacity;
    uint32_t *first; /* [n + 1] of a set's numbers in items */
    uint32_t *items, n_items, item_capacity;
    uint64_t *hashes;      /* [n] */
    uint32_t *slots, mask; /* set + 1; 0: free */
};

/* Ascending, in place: by heaps, so that no input makes it slow or takes memory. */
void numbers_sort(uint64_t *numbers, uint32_t n);
void indices_sort(uint32_t *indices, uint32_t n);

/* items [n] are sorted in place. */
status set_table_put(struct compile *compile, struct set_table *table, uint32_t *items, uint32_t n,
                     uint32_t *index);
static inline const uint32_t *set_table_get(const struct set_table *table, uint32_t index,
                                            uint32_t *n) {
    *n = table->first[index + 1] - table->first[index];
    return table->items + table->first[index];
}

#endif
