#include "tokenizer/trie.h"

#include <string.h>

#define TRIE_FREE UINT32_MAX
#define NO_PARENT (UINT32_MAX - 1)
/* Places that are looked at for a node's children before they are put behind all others: what keeps
 * a hostile set of keys from costing more than its bytes. */
enum { MOST_PLACES = 2048, FIRST_UNITS = 1024 };

/* Keys that share `depth` bytes, the node those lead to. */
struct range {
    uint32_t begin, end, node;
    size_t depth;
};

struct builder {
    struct trie *trie;
    const void *owner;
    trie_key key;
    uint32_t *keys, *sorted; /* [n] indices */
    struct range *ranges;    /* [n + 1], not done yet: each has a key of its own */
    size_t n_ranges;
    uint64_t capacity; /* of units */
    uint32_t first;    /* no unit before it is free, or few are */
};

static status grow(struct builder *builder, uint64_t needed) {
    struct trie *trie = builder->trie;
    if (needed > NO_PARENT) return fail(LIMIT, "a vocabulary of more than 4 G bytes");
    if (needed > builder->capacity) {
        uint64_t capacity = builder->capacity ? 2 * builder->capacity : FIRST_UNITS;
        if (capacity < needed) capacity = needed;
        struct trie_unit *units;
        TRY(memory_status(units = memory_block_array(trie->memory, capacity, sizeof *units,
                                                     "the pieces of a vocabulary")));
        if (trie->n) memcpy(units, trie->units, trie->n * sizeof *units);
        memory_give(trie->memory, trie->units);
        trie->units = units;
        builder->capacity = capacity;
    }
    for (; trie->n < needed; trie->n++)
        trie->units[trie->n] = (struct trie_unit){.parent = TRIE_FREE};
    return OK;
}

static bool is_free(const struct trie *trie, uint32_t at) {
    return at >= trie->n || trie->units[at].parent == TRIE_FREE;
}

/* A base that has its children's places free. */
static status place(struct builder *builder, const uint8_t *labels, unsigned n_labels,
                    uint32_t *base) {
    const struct trie *trie = builder->trie;
    uint32_t at = builder->first, n_free = 0, limit;
    while (at < trie->n && !is_free(trie, at)) at++;
    builder->first = at;
    limit = trie->n - at < MOST_PLACES ? trie->n : at + MOST_PLACES;
    for (; at < limit; at++) {
        if (!is_free(trie, at)) continue;
        n_free++;
        unsigned i = 1;
        while (i < n_labels && is_free(trie, at + (labels[i] - labels[0]))) i++;
        if (i == n_labels) break;
    }
    if (at - builder->first > MOST_PLACES / 2 && n_free < MOST_PLACES / 16)
        builder->first = at; /* the few that are free before it stay so */
    if (at == limit) at = trie->n;
    *base = at - labels[0];
    return grow(builder, (uint64_t)at + (labels[n_labels - 1] - labels[0]) + 1);
}

static unsigned label_of(const struct builder *builder, uint32_t index, size_t depth) {
    struct text text = builder->key(builder->owner, index);
    return text.length > depth ? (uint8_t)text.data[depth] + 1u : 0;
}

/* Sorts a range by the byte at its depth, those that end there first; stable. counts [257]. */
static void sort_range(struct builder *builder, const struct range *range, uint32_t *counts) {
    uint32_t next[257];
    memset(counts, 0, 257 * sizeof *counts);
    if (range->end - range->begin == 1) {
        counts[label_of(builder, builder->keys[range->begin], range->depth)] = 1;
        return;
    }
    for (uint32_t i = range->begin; i < range->end; i++)
        counts[label_of(builder, builder->keys[i], range->depth)]++;
    next[0] = range->begin;
    for (unsigned i = 1; i < 257; i++) next[i] = next[i - 1] + counts[i - 1];
    for (uint32_t i = range->begin; i < range->end; i++)
        builder->sorted[next[label_of(builder, builder->keys[i], range->depth)]++] =
            builder->keys[i];
    memcpy(builder->keys + range->begin, builder->sorted + range->begin,
           (range->end - range->begin) * sizeof *builder->keys);
}

/* A node's children, and ranges of what is below them. */
static status add_children(struct builder *builder, struct range range) {
    uint32_t counts[257], base = 0;
    uint8_t labels[256];
    unsigned n_labels = 0;
    sort_range(builder, &range, counts);
    for (unsigned i = 1; i < 257; i++)
        if (counts[i]) labels[n_labels++] = (uint8_t)(i - 1);
    uint32_t begin = range.begin + counts[0];
    if (counts[0]) builder->trie->units[range.node].value = builder->keys[begin - 1] + 1;
    if (n_labels == 0) return OK;
    TRY(place(builder, labels, n_labels, &base));
    builder->trie->units[range.node].base = base;
    for (unsigned i = 0; i < n_labels; i++) {
        uint32_t node = base + labels[i], end = begin + counts[labels[i] + 1];
        builder->trie->units[node].parent = range.node;
        builder->ranges[builder->n_ranges++] = (struct range){begin, end, node, range.depth + 1};
        begin = end;
    }
    return OK;
}

static status build(struct builder *builder, uint32_t n) {
    struct memory *memory = builder->trie->memory;
    static const char purpose[] = "the pieces of a vocabulary";
    TRY(MEMORY_TAKE_ARRAY(memory, n, purpose, &builder->keys));
    TRY(MEMORY_TAKE_ARRAY(memory, n, purpose, &builder->sorted));
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)n + 1, purpose, &builder->ranges));
    uint32_t n_keys = 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t length = builder->key(builder->owner, i).length;
        if (length == 0) continue;
        builder->keys[n_keys++] = i;
        if (length > builder->trie->longest) builder->trie->longest = length;
    }
    TRY(grow(builder, FIRST_UNITS));
    builder->trie->units[TRIE_ROOT].parent = NO_PARENT;
    builder->first = 1;
    if (n_keys) builder->ranges[builder->n_ranges++] = (struct range){0, n_keys, TRIE_ROOT, 0};
    while (builder->n_ranges) TRY(add_children(builder, builder->ranges[--builder->n_ranges]));
    return OK;
}

status trie_open(struct memory *memory, const void *owner, trie_key key, uint32_t n,
                 struct trie *trie) {
    *trie = (struct trie){.memory = memory};
    struct builder builder = {.trie = trie, .owner = owner, .key = key};
    status result = build(&builder, n);
    memory_give(memory, builder.keys);
    memory_give(memory, builder.sorted);
    memory_give(memory, builder.ranges);
    if (result != OK) trie_close(trie);
    return result;
}

void trie_close(struct trie *trie) {
    if (trie->units) memory_give(trie->memory, trie->units);
    *trie = (struct trie){0};
}

int64_t trie_find(const struct trie *trie, const uint8_t *text, size_t length) {
    uint32_t node = TRIE_ROOT;
    for (size_t i = 0; i < length; i++)
        if (!trie_step(trie, &node, text[i])) return -1;
    return trie_value(trie, node);
}

size_t trie_longest(const struct trie *trie, const uint8_t *text, size_t length, int64_t *value) {
    uint32_t node = TRIE_ROOT;
    size_t longest = 0;
    for (size_t i = 0; i < length && trie_step(trie, &node, text[i]); i++)
        if (trie_value(trie, node) >= 0) {
            *value = trie_value(trie, node);
            longest = i + 1;
        }
    return longest;
}
