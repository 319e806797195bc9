#include "grammar/automaton.h"

#include <string.h>

/* ---- pairs of numbers as numbers ---- */

struct pairs {
    uint64_t *keys;
    uint32_t n, capacity, *slots, mask;
};

static uint32_t spread(uint64_t key) {
    key = (key ^ key >> 31) * 0xD6E8FEB86659FD93u;
    return (uint32_t)(key >> 32);
}

static status pairs_put(struct compile *compile, struct pairs *pairs, uint64_t key,
                        uint32_t *index) {
    if (!pairs->slots || 2 * pairs->n > pairs->mask) {
        uint32_t size = pairs->slots ? 2 * (pairs->mask + 1) : 64;
        COMPILE_TAKE(compile, size, &pairs->slots);
        pairs->mask = size - 1;
        for (uint32_t i = 0; i < pairs->n; i++) {
            uint32_t at = spread(pairs->keys[i]) & pairs->mask;
            while (pairs->slots[at]) at = (at + 1) & pairs->mask;
            pairs->slots[at] = i + 1;
        }
    }
    uint32_t at = spread(key) & pairs->mask;
    for (; pairs->slots[at]; at = (at + 1) & pairs->mask)
        if (pairs->keys[pairs->slots[at] - 1] == key) {
            *index = pairs->slots[at] - 1;
            return OK;
        }
    if (pairs->n == AUTOMATON_MOST_STATES)
        return fail(LIMIT, "the grammar is too large: an automaton has more than %d states",
                    AUTOMATON_MOST_STATES);
    COMPILE_GROW(compile, pairs->keys, pairs->n, pairs->capacity);
    pairs->keys[pairs->n] = key;
    pairs->slots[at] = pairs->n + 1;
    *index = pairs->n++;
    return OK;
}

/* ---- two automata side by side ---- */

static void join_classes(const struct automaton *left, const struct automaton *right,
                         struct automaton *made, uint8_t *examples) {
    uint16_t seen[256];
    for (unsigned byte = 0; byte < 256; byte++) {
        uint16_t key = (uint16_t)(left->class_of[byte] << 8 | right->class_of[byte]);
        uint32_t c = 0;
        while (c < made->n_classes && seen[c] != key) c++;
        if (c == made->n_classes) {
            seen[c] = key;
            examples[made->n_classes++] = (uint8_t)byte;
        }
        made->class_of[byte] = (uint8_t)c;
    }
}

static uint64_t join_labels(uint64_t left, uint64_t right, enum automaton_operation operation) {
    if (operation == AUTOMATON_AND) return left && right ? left : 0;
    if (operation == AUTOMATON_MINUS) return right ? 0 : left;
    return left | right;
}

static uint64_t label_of(const struct automaton *automaton, uint32_t state) {
    return state == AUTOMATON_NONE ? 0 : automaton->label[state];
}

static uint32_t next_of(const struct automaton *automaton, uint32_t state, uint8_t byte) {
    return state == AUTOMATON_NONE ? state : automaton_next(automaton, state, byte);
}

status automaton_combine(struct compile *compile, const struct automaton *left,
                         const struct automaton *right, enum automaton_operation operation,
                         struct automaton **combined) {
    struct pairs pairs = {0};
    uint8_t examples[256];
    uint32_t first, next_capacity = 0, label_capacity = 0;
    struct automaton *made;
    COMPILE_TAKE(compile, 1, &made);
    join_classes(left, right, made, examples);
    TRY(pairs_put(compile, &pairs, 0, &first));
    for (uint32_t state = 0; state < pairs.n; state++) {
        uint32_t a = (uint32_t)(pairs.keys[state] >> 32), b = (uint32_t)pairs.keys[state];
        TRY(compile_work(compile, made->n_classes));
        for (uint32_t c = 0; c < made->n_classes; c++) {
            uint32_t to_a = next_of(left, a, examples[c]), to_b = next_of(right, b, examples[c]);
            uint32_t at = state * made->n_classes + c, target = AUTOMATON_NONE;
            bool dead =
                operation == AUTOMATON_AND     ? to_a == AUTOMATON_NONE || to_b == AUTOMATON_NONE
                : operation == AUTOMATON_MINUS ? to_a == AUTOMATON_NONE
                                               : to_a == AUTOMATON_NONE && to_b == AUTOMATON_NONE;
            if (!dead) TRY(pairs_put(compile, &pairs, (uint64_t)to_a << 32 | to_b, &target));
            COMPILE_GROW(compile, made->next, at, next_capacity);
            made->next[at] = target;
        }
        COMPILE_GROW(compile, made->label, state, label_capacity);
        made->label[state] = join_labels(label_of(left, a), label_of(right, b), operation);
    }
    made->n_states = pairs.n;
    return automaton_minimize(compile, made, combined);
}

bool automaton_is_empty(const struct automaton *automaton) {
    for (uint32_t i = 0; i < automaton->n_states; i++)
        if (automaton->label[i]) return false; /* all states are reached */
    return true;
}

uint64_t automaton_label(const struct automaton *automaton, const char *text, size_t length) {
    uint32_t state = 0;
    for (size_t i = 0; i < length && state != AUTOMATON_NONE; i++)
        state = automaton_next(automaton, state, (uint8_t)text[i]);
    return label_of(automaton, state);
}

/* ---- from functions and rows ---- */

status automaton_explore(struct compile *compile, const struct automaton_rules *rules,
                         struct automaton **explored) {
    struct pairs states = {0};
    uint32_t first, next_capacity = 0, label_capacity = 0;
    struct automaton *made;
    COMPILE_TAKE(compile, 1, &made);
    made->n_classes = 1; /* 0: bytes that are none of the alphabet */
    for (const char *letter = rules->alphabet; *letter; letter++)
        made->class_of[(uint8_t)*letter] = (uint8_t)made->n_classes++;
    TRY(pairs_put(compile, &states, rules->first, &first));
    for (uint32_t state = 0; state < states.n; state++) {
        uint64_t at = states.keys[state], to;
        TRY(compile_work(compile, made->n_classes));
        for (uint32_t c = 0; c < made->n_classes; c++) {
            uint32_t target = AUTOMATON_NONE, cell = state * made->n_classes + c;
            if (c && rules->step(rules->user, at, (uint8_t)rules->alphabet[c - 1], &to))
                TRY(pairs_put(compile, &states, to, &target));
            COMPILE_GROW(compile, made->next, cell, next_capacity);
            made->next[cell] = target;
        }
        COMPILE_GROW(compile, made->label, state, label_capacity);
        made->label[state] = rules->label(rules->user, at);
    }
    made->n_states = states.n;
    return automaton_minimize(compile, made, explored);
}

status automaton_from_rows(struct compile *compile, uint32_t n, const uint32_t *rows,
                           uint64_t *labels, struct automaton **from) {
    uint8_t examples[256];
    struct automaton *made;
    COMPILE_TAKE(compile, 1, &made);
    TRY(compile_work(compile, 256 * (uint64_t)n));
    for (unsigned byte = 0; byte < 256; byte++) { /* bytes whose columns are the same */
        uint32_t c = 0;
        for (; c < made->n_classes; c++) {
            uint32_t i = 0;
            while (i < n && rows[256 * (size_t)i + byte] == rows[256 * (size_t)i + examples[c]])
                i++;
            TRY(compile_work(compile, i));
            if (i == n) break;
        }
        if (c == made->n_classes) examples[made->n_classes++] = (uint8_t)byte;
        made->class_of[byte] = (uint8_t)c;
    }
    COMPILE_TAKE(compile, (size_t)n * made->n_classes, &made->next);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t c = 0; c < made->n_classes; c++)
            made->next[(size_t)i * made->n_classes + c] = rows[256 * (size_t)i + examples[c]];
    made->n_states = n;
    made->label = labels;
    *from = made;
    return OK;
}

/* ---- the fewest states (Moore, "Gedanken-experiments on Sequential Machines", 1956) ---- */

/* Blocks of states that nothing tells apart so far: block [n] is refined by where its states go.
 * Returns how many there are. */
static status refine(struct compile *compile, const struct automaton *automaton, uint32_t *block,
                     uint32_t *n_blocks) {
    struct pairs pairs = {0};
    uint32_t n = automaton->n_states, *fresh;
    COMPILE_TAKE(compile, n, &fresh);
    for (;;) {
        uint32_t before = *n_blocks;
        memcpy(fresh, block, n * sizeof *fresh);
        for (uint32_t c = 0; c < automaton->n_classes; c++) {
            pairs.n = 0; /* its memory stays */
            if (pairs.slots) memset(pairs.slots, 0, (pairs.mask + 1) * sizeof *pairs.slots);
            TRY(compile_work(compile, 8 * (uint64_t)n));
            for (uint32_t i = 0; i < n; i++) {
                uint32_t to = automaton->next[(size_t)i * automaton->n_classes + c];
                uint64_t key =
                    (uint64_t)fresh[i] << 32 | (to == AUTOMATON_NONE ? 0 : block[to] + 1);
                TRY(pairs_put(compile, &pairs, key, &fresh[i]));
            }
            *n_blocks = pairs.n;
        }
        memcpy(block, fresh, n * sizeof *fresh);
        if (*n_blocks == before) return OK;
    }
}

/* States from which a text can end. */
static status find_alive(struct compile *compile, const struct automaton *automaton, bool *alive) {
    bool more = true;
    for (uint32_t i = 0; i < automaton->n_states; i++) alive[i] = automaton->label[i] != 0;
    while (more) {
        more = false;
        for (uint32_t i = automaton->n_states; i-- > 0;) {
            const uint32_t *row = automaton->next + (size_t)i * automaton->n_classes;
            for (uint32_t c = 0; !alive[i] && c < automaton->n_classes; c++)
                if (row[c] != AUTOMATON_NONE && alive[row[c]]) more = alive[i] = true;
        }
        TRY(compile_work(compile, (uint64_t)automaton->n_states * automaton->n_classes));
    }
    return OK;
}

enum { MOST_MINIMIZED = 1024 }; /* larger ones stay as they are */

status automaton_minimize(struct compile *compile, const struct automaton *automaton,
                          struct automaton **minimized) {
    uint32_t n = automaton->n_states, n_blocks = 0, *block, *first;
    bool *alive;
    struct pairs labels = {0};
    struct automaton *made;
    *minimized = (struct automaton *)(uintptr_t)automaton;
    if (n > MOST_MINIMIZED) return OK;
    COMPILE_TAKE(compile, n, &alive);
    COMPILE_TAKE(compile, n, &block);
    COMPILE_TAKE(compile, n, &first);
    COMPILE_TAKE(compile, 1, &made);
    TRY(find_alive(compile, automaton, alive));
    for (size_t i = 0; i < (size_t)n * automaton->n_classes; i++)
        if (automaton->next[i] != AUTOMATON_NONE && !alive[automaton->next[i]])
            automaton->next[i] = AUTOMATON_NONE;
    for (uint32_t i = 0; i < n; i++)
        TRY(pairs_put(compile, &labels, automaton->label[i], &block[i]));
    n_blocks = labels.n;
    TRY(refine(compile, automaton, block, &n_blocks));
    /* State 0 is in block 0: blocks are numbered in the order of their first states. */
    for (uint32_t i = n; i-- > 0;) first[block[i]] = i;
    *made = *automaton;
    made->n_states = n_blocks;
    COMPILE_TAKE(compile, (size_t)n_blocks * made->n_classes, &made->next);
    COMPILE_TAKE(compile, n_blocks, &made->label);
    for (uint32_t b = 0; b < n_blocks; b++) {
        made->label[b] = automaton->label[first[b]];
        for (uint32_t c = 0; c < made->n_classes; c++) {
            uint32_t to = automaton->next[(size_t)first[b] * made->n_classes + c];
            made->next[(size_t)b * made->n_classes + c] = to == AUTOMATON_NONE ? to : block[to];
        }
    }
    *minimized = made;
    return OK;
}
