/* Which tokens may come next.
 *
 * A walk through the vocabulary's trie reads all tokens at once, one step for each node. What a
 * state allows by itself, whatever it returns to, is kept as one mask with the nodes where its rule
 * ends ("escapes"); for a set of stacks these masks come together, and what follows an escape is
 * read with the stacks that there are. That is kept too, until memory is needed. */
#include <string.h>

#include "grammar/grammar.h"

#define CACHE_BYTES ((size_t)16 << 20)
#define WALK_WORK ((uint64_t)64 << 20)
enum { MOST_SLOTS = 1024, LEAST_SLOTS = 64 };

static uint64_t *mask_of(const struct grammar *grammar, const struct mask_slot *slot) {
    size_t index = (size_t)(slot - grammar->cache.slots);
    return grammar->cache.masks + index * grammar->vocabulary->n_words;
}

static uint32_t *escapes_of(const struct grammar *grammar, const struct mask_slot *slot) {
    size_t index = (size_t)(slot - grammar->cache.slots);
    return grammar->cache.escapes + index * grammar->cache.n_escapes;
}

status mask_open(struct grammar *grammar) {
    struct mask_cache *cache = &grammar->cache;
    size_t words = grammar->vocabulary->n_words;
    cache->n_escapes = grammar->vocabulary->n_tokens / 32 + 256;
    size_t n = CACHE_BYTES / (words * sizeof *cache->masks + cache->n_escapes * sizeof(uint32_t));
    n = n > MOST_SLOTS ? MOST_SLOTS : n < LEAST_SLOTS ? LEAST_SLOTS : n;
    cache->n_slots = (uint32_t)n;
    struct memory *memory = grammar->memory;
    TRY(MEMORY_TAKE_ARRAY(memory, n, "masks of tokens", &cache->slots));
    TRY(MEMORY_TAKE_ARRAY(memory, n * words, "masks of tokens", &cache->masks));
    TRY(MEMORY_TAKE_ARRAY(memory, n * cache->n_escapes, "masks of tokens", &cache->escapes));
    return MEMORY_TAKE_ARRAY(memory, words, "masks of tokens", &grammar->mask);
}

void mask_close(struct grammar *grammar) {
    memory_give(grammar->memory, grammar->cache.slots);
    memory_give(grammar->memory, grammar->cache.masks);
    memory_give(grammar->memory, grammar->cache.escapes);
    memory_give(grammar->memory, grammar->mask);
}

/* ---- slots ---- */

static uint32_t bucket_of(enum mask_kind kind, uint32_t code, uint32_t registers) {
    uint64_t hash = ((uint64_t)registers << 34 | (uint64_t)code << 2 | kind) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(hash >> 40) % MASK_BUCKETS;
}

static void unlink_slot(struct mask_cache *cache, struct mask_slot *slot) {
    uint32_t *at = &cache->buckets[bucket_of(slot->kind, slot->code, slot->registers)];
    uint32_t index = (uint32_t)(slot - cache->slots) + 1;
    while (*at != index) at = &cache->slots[*at - 1].same_bucket;
    *at = slot->same_bucket;
    slot->kind = MASK_FREE;
    slot->used = 0;
}

static struct mask_slot *find_slot(struct mask_cache *cache, enum mask_kind kind, uint32_t code,
                                   uint32_t registers) {
    uint32_t at = cache->buckets[bucket_of(kind, code, registers)];
    for (; at; at = cache->slots[at - 1].same_bucket) {
        struct mask_slot *slot = &cache->slots[at - 1];
        if (slot->kind == kind && slot->code == code && slot->registers == registers) {
            slot->used = ++cache->clock;
            return slot;
        }
    }
    return NULL;
}

/* The one that was not used for longest, of sets as long as states alone have no more than three
 * quarters: these cost a walk through all tokens. It is found once link_slot has been called. */
static struct mask_slot *take_slot(struct grammar *grammar, uint32_t code, uint32_t registers) {
    struct mask_cache *cache = &grammar->cache;
    struct mask_slot *oldest[2] = {NULL, NULL}; /* of sets and free ones, of states alone */
    uint32_t n_alone = 0;
    for (uint32_t i = 0; i < cache->n_slots; i++) {
        struct mask_slot *slot = &cache->slots[i];
        bool alone = slot->kind == MASK_ALONE;
        n_alone += alone;
        if (!slot->pinned && (!oldest[alone] || slot->used < oldest[alone]->used))
            oldest[alone] = slot;
    }
    struct mask_slot *taken = oldest[n_alone > cache->n_slots / 4 * 3 || !oldest[0]];
    if (taken->kind != MASK_FREE) unlink_slot(cache, taken);
    *taken = (struct mask_slot){.code = code, .registers = registers, .used = ++cache->clock};
    memset(mask_of(grammar, taken), 0, grammar->vocabulary->n_words * sizeof(uint64_t));
    cache->n_misses++;
    return taken;
}

static void link_slot(struct mask_cache *cache, struct mask_slot *slot, enum mask_kind kind) {
    uint32_t *bucket = &cache->buckets[bucket_of(kind, slot->code, slot->registers)];
    slot->kind = kind;
    slot->same_bucket = *bucket;
    *bucket = (uint32_t)(slot - cache->slots) + 1;
}

void mask_forget_sets(struct grammar *grammar) {
    struct mask_cache *cache = &grammar->cache;
    for (uint32_t i = 0; i < cache->n_slots; i++) {
        struct mask_slot *slot = &cache->slots[i];
        bool stays = slot->kind == MASK_FREE || (slot->kind == MASK_ALONE && !slot->registers);
        if (!stays) unlink_slot(cache, slot);
    }
}

/* ---- walks ---- */

static void allow(uint64_t *mask, uint32_t token) {
    mask[token / 64] |= (uint64_t)1 << (token % 64);
}

struct walk {
    uint64_t *mask;
    uint32_t most;    /* bytes that may be left after a token */
    uint32_t dearest; /* that are */
};

static void allow_tokens(const struct vocabulary *vocabulary, const struct vocabulary_node *node,
                         uint32_t cost, struct walk *walk) {
    if (cost > walk->most) return;
    if (cost > walk->dearest) walk->dearest = cost;
    for (uint32_t i = 0; i < node->n; i++) allow(walk->mask, vocabulary->order[node->first + i]);
}

/* Tokens of the node `from` and behind it; set: where one stands after its text. */
static status walk_from(struct grammar *grammar, uint32_t from, uint32_t set, struct walk *walk) {
    const struct vocabulary *vocabulary = grammar->vocabulary;
    const struct vocabulary_node *nodes = vocabulary->nodes;
    struct stacks *stacks = &grammar->stacks;
    uint32_t sets[VOCABULARY_LONGEST + 1], next;
    sets[nodes[from].depth] = set;
    allow_tokens(vocabulary, &nodes[from], stacks_cost(stacks, set), walk);
    for (uint32_t i = from + 1; i < nodes[from].skip;) {
        const struct vocabulary_node *node = &nodes[i];
        TRY(stacks_step(stacks, sets[node->depth - 1], node->byte, &next));
        if (next == STACKS_NONE) {
            i = node->skip;
            continue;
        }
        if (node->n) allow_tokens(vocabulary, node, stacks_cost(stacks, next), walk);
        sets[node->depth] = next;
        i++;
    }
    return OK;
}

/* The least cost of what isn't an escape. */
static uint32_t own_cost(const struct stacks *stacks, uint32_t set) {
    uint32_t n, least = COST_DEAD;
    const uint32_t *nodes = stacks_nodes(stacks, set, &n);
    for (uint32_t i = 1; i < n; i++) {
        uint32_t cost = stacks->cells[nodes[i]].cost;
        if (cost < least) least = cost;
    }
    return least;
}

static status walk_alone(struct grammar *grammar, struct mask_slot *slot, struct walk *walk) {
    const struct vocabulary *vocabulary = grammar->vocabulary;
    const struct vocabulary_node *nodes = vocabulary->nodes;
    struct stacks *stacks = &grammar->stacks;
    uint32_t sets[VOCABULARY_LONGEST + 1], next, n;
    uint32_t *escapes = escapes_of(grammar, slot);
    TRY(stacks_alone(stacks, slot->code, slot->registers, &sets[0]));
    for (uint32_t i = 1; i < nodes[0].skip;) {
        const struct vocabulary_node *node = &nodes[i];
        TRY(stacks_step(stacks, sets[node->depth - 1], node->byte, &next));
        if (next == STACKS_NONE) {
            i = node->skip;
            continue;
        }
        uint32_t cost = stacks_cost(stacks, next);
        if (*stacks_nodes(stacks, next, &n) == STACKS_ESCAPE) {
            if (slot->n_escapes == grammar->cache.n_escapes) {
                slot->wide = true;
                return OK;
            }
            escapes[slot->n_escapes++] = i;
            cost = own_cost(stacks, next);
        }
        if (node->n && cost < COST_UNSPELLABLE) allow_tokens(vocabulary, node, cost, walk);
        sets[node->depth] = next;
        i++;
    }
    return OK;
}

/* What a state allows by itself. */
static status find_alone(struct grammar *grammar, uint32_t code, uint32_t registers,
                         struct mask_slot **found) {
    *found = find_slot(&grammar->cache, MASK_ALONE, code, registers);
    if (*found) return OK;
    struct mask_slot *slot = take_slot(grammar, code, registers);
    struct walk walk = {.mask = mask_of(grammar, slot), .most = COST_UNSPELLABLE - 1};
    TRY(walk_alone(grammar, slot, &walk));
    slot->dearest = walk.dearest;
    link_slot(&grammar->cache, slot, MASK_ALONE);
    *found = slot;
    return OK;
}

/* One node of a set, or false in *narrow where its tokens have to be walked. */
static status add_node(struct grammar *grammar, const struct cell *cell, struct walk *walk,
                       bool *narrow) {
    struct stacks *stacks = &grammar->stacks;
    const struct cell node = *cell;
    struct mask_slot *alone;
    TRY(find_alone(grammar, node.code, node.registers, &alone));
    *narrow = !alone->wide;
    if (alone->wide) return OK;
    uint32_t below = stacks_cost(stacks, node.below), set;
    if (below < COST_UNSPELLABLE) {
        const uint64_t *from = mask_of(grammar, alone);
        for (uint32_t i = 0; i < grammar->vocabulary->n_words; i++) walk->mask[i] |= from[i];
        if (alone->dearest + below > walk->dearest) walk->dearest = alone->dearest + below;
    }
    if (!alone->n_escapes) return OK;
    TRY(stacks_return(stacks, node.below, &set));
    if (set == STACKS_NONE) return OK;
    for (uint32_t i = 0; i < alone->n_escapes; i++)
        TRY(walk_from(grammar, escapes_of(grammar, alone)[i], set, walk));
    return OK;
}

static void allow_ends(const struct grammar *grammar, uint64_t *mask) {
    for (size_t i = 0; i < grammar->vocabulary->n_ends; i++)
        allow(mask, (uint32_t)grammar->vocabulary->ends[i]);
}

static status fill_set(struct grammar *grammar, uint32_t set, struct walk *walk) {
    struct stacks *stacks = &grammar->stacks;
    uint32_t n = stacks->cells[set].registers;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t node = stacks->items[stacks->cells[set].code + i];
        bool narrow = true;
        if (node == STACKS_END)
            allow_ends(grammar, walk->mask);
        else
            TRY(add_node(grammar, &stacks->cells[node], walk, &narrow));
        if (!narrow) return walk_from(grammar, 0, set, walk);
    }
    return OK;
}

static status find_set(struct grammar *grammar, uint32_t set, struct mask_slot **found) {
    *found = find_slot(&grammar->cache, MASK_SET, set, 0);
    if (*found) {
        grammar->cache.n_hits++;
        return OK;
    }
    struct mask_slot *slot = take_slot(grammar, set, 0);
    struct walk walk = {.mask = mask_of(grammar, slot), .most = COST_UNSPELLABLE - 1};
    slot->pinned = true;
    status filled = fill_set(grammar, set, &walk);
    slot->pinned = false;
    TRY(filled);
    if (walk.dearest >= COST_UNSPELLABLE) walk.dearest = COST_UNSPELLABLE;
    slot->dearest = walk.dearest;
    link_slot(&grammar->cache, slot, MASK_SET);
    *found = slot;
    return OK;
}

status mask_find(struct grammar *grammar, uint32_t set, int64_t remaining, const uint64_t **mask) {
    struct mask_slot *slot;
    grammar->stacks.work = WALK_WORK;
    TRY(find_set(grammar, set, &slot));
    *mask = mask_of(grammar, slot);
    if (remaining < 0 || remaining > slot->dearest) return OK;
    memset(grammar->mask, 0, grammar->vocabulary->n_words * sizeof *grammar->mask);
    struct walk walk = {.mask = grammar->mask, .most = remaining ? (uint32_t)remaining - 1 : 0};
    if (remaining) TRY(walk_from(grammar, 0, set, &walk));
    if (stacks_has(&grammar->stacks, set, STACKS_END)) allow_ends(grammar, grammar->mask);
    *mask = grammar->mask;
    return OK;
}
