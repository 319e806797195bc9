#include "tokenizer/merge.h"

#include <string.h>

/* Up to here a scan for the lowest rank beats a heap: words of text have 2 to 15 bytes. */
enum { SHORT = 48 };

static uint32_t rank_at(const struct merge_rules *rules, const uint32_t *values, size_t i) {
    return rules->rank(rules->rules, values[i], values[i + 1], values[i + 2]);
}

static size_t merge_short(const struct merge_rules *rules, uint32_t *values, size_t n) {
    uint32_t ranks[SHORT];
    for (size_t i = 0; i + 1 < n; i++) ranks[i] = rank_at(rules, values, i);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == MERGE_NEVER) break;
        values[best] = rules->join(rules->rules, values[best], values[best + 1]);
        memmove(values + best + 1, values + best + 2, (n - best - 1) * sizeof *values);
        if (best + 2 < n)
            memmove(ranks + best + 1, ranks + best + 2, (n - best - 3) * sizeof *ranks);
        n--;
        if (best > 0) ranks[best - 1] = rank_at(rules, values, best - 1);
        if (best + 1 < n) ranks[best] = rank_at(rules, values, best);
    }
    return n;
}

/* ---- long sequences: a linked list and a heap of pairs ---- */

struct list {
    const struct merge_rules *rules;
    uint32_t *values;   /* [n + 1] */
    uint32_t *next;     /* [n]; n is the end */
    uint32_t *previous; /* [n + 1]; that of the first is n */
    uint32_t *ranks;    /* [n] of the pair that starts here */
    uint32_t n;
    uint64_t *heap; /* rank << 32 | first of the pair; stale unless that is its rank now */
    size_t n_heap, capacity;
};

static void sift_down(uint64_t *heap, size_t n, size_t at) {
    uint64_t key = heap[at];
    for (;;) {
        size_t child = 4 * at + 1, best = child;
        if (child >= n) break;
        size_t end = child + 4 < n ? child + 4 : n;
        for (size_t i = child + 1; i < end; i++)
            if (heap[i] < heap[best]) best = i;
        if (heap[best] >= key) break;
        heap[at] = heap[best];
        at = best;
    }
    heap[at] = key;
}

/* The heap of every pair that can be joined now. */
static void fill_heap(struct list *list) {
    list->n_heap = 0;
    for (uint32_t i = 0; i != list->n; i = list->next[i])
        if (list->ranks[i] != MERGE_NEVER)
            list->heap[list->n_heap++] = (uint64_t)list->ranks[i] << 32 | i;
    for (size_t i = list->n_heap / 4 + 1; i-- > 0;)
        if (i < list->n_heap) sift_down(list->heap, list->n_heap, i);
}

static void push(struct list *list, uint32_t i) {
    if (list->n_heap == list->capacity) {
        fill_heap(list); /* without the stale ones it is at most n; this pair is among them */
        return;
    }
    uint64_t key = (uint64_t)list->ranks[i] << 32 | i;
    size_t at = list->n_heap++;
    while (at > 0 && list->heap[(at - 1) / 4] > key) {
        list->heap[at] = list->heap[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    list->heap[at] = key;
}

static uint64_t pop(struct list *list) {
    uint64_t key = list->heap[0];
    list->heap[0] = list->heap[--list->n_heap];
    if (list->n_heap > 0) sift_down(list->heap, list->n_heap, 0);
    return key;
}

static uint32_t pair_rank(const struct list *list, uint32_t i) {
    uint32_t right = list->next[i];
    if (right == list->n) return MERGE_NEVER;
    return list->rules->rank(list->rules->rules, list->values[i], list->values[right],
                             list->values[list->next[right]]);
}

static void rank_again(struct list *list, uint32_t i) {
    list->ranks[i] = pair_rank(list, i);
    if (list->ranks[i] != MERGE_NEVER) push(list, i);
}

static void join(struct list *list, uint32_t i) {
    uint32_t right = list->next[i];
    list->values[i] = list->rules->join(list->rules->rules, list->values[i], list->values[right]);
    list->next[i] = list->next[right];
    list->previous[list->next[i]] = i;
    list->ranks[right] = MERGE_NEVER;
    list->ranks[i] = MERGE_NEVER;
    if (list->previous[i] != list->n) rank_again(list, list->previous[i]);
    rank_again(list, i);
}

static status merge_long(const struct merge_rules *rules, struct memory *memory, uint32_t *values,
                         size_t *count) {
    uint32_t n = (uint32_t)*count;
    size_t capacity = *count + *count / 4;
    uint64_t *block;
    TRY(MEMORY_TAKE(memory, capacity * 8 + ((size_t)n * 3 + 1) * 4, "the tokens of a long word",
                    &block));
    uint32_t *links = (uint32_t *)(block + capacity);
    struct list list = {
        .rules = rules,
        .values = values,
        .next = links,
        .previous = links + n,
        .ranks = links + 2 * (size_t)n + 1,
        .n = n,
        .heap = block,
        .capacity = capacity,
    };
    for (uint32_t i = 0; i < n; i++) {
        list.next[i] = i + 1;
        list.previous[i] = i > 0 ? i - 1 : n;
    }
    for (uint32_t i = 0; i < n; i++) list.ranks[i] = pair_rank(&list, i);
    fill_heap(&list);
    while (list.n_heap > 0) {
        uint64_t key = pop(&list);
        uint32_t i = (uint32_t)key;
        if (list.ranks[i] == (uint32_t)(key >> 32)) join(&list, i);
    }
    size_t left = 0;
    uint32_t end = values[n];
    for (uint32_t i = 0; i != n; i = list.next[i]) values[left++] = values[i];
    values[left] = end;
    *count = left;
    memory_give(memory, block);
    return OK;
}

status merge_run(const struct merge_rules *rules, struct memory *memory, uint32_t *values,
                 size_t *n) {
    if (*n > SHORT) return merge_long(rules, memory, values, n);
    *n = merge_short(rules, values, *n);
    return OK;
}
