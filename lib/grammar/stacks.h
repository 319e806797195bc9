/* Where readers of a text stand in a machine: sets of stacks, each cell of them stored once
 * (Goto, "Monocopy and Associative Algorithms", 1974; the sharing of stacks' tails is Tomita's, "An
 * Efficient Augmented-Context-Free Parsing Algorithm", 1987). So an ambiguous grammar has no more
 * cells than states times places, equal positions are equal numbers, and what a byte does is
 * remembered. All memory is taken at once; when it is full, what no reader needs is cleared away.
 */
#ifndef GRAMMAR_STACKS_H
#define GRAMMAR_STACKS_H

#include "base/memory.h"
#include "grammar/machine.h"

#define STACKS_NONE UINT32_MAX

/* Cells that are always there. */
enum {
    STACKS_END,    /* a node: the whole text may end here */
    STACKS_ESCAPE, /* a node: the rule that was read alone has ended; what follows isn't known */
    STACKS_BELOW_ROOT, /* the set of STACKS_END: where the root rule returns to */
    STACKS_UNKNOWN,    /* the set of STACKS_ESCAPE: where a rule returns that is read alone */
    STACKS_FIRST
};

struct cell {
    bool is_set;
    bool mark;
    uint32_t code;      /* of a node; of a set: its first node's place in items */
    uint32_t registers; /* of a node: their number, 0: none were seen; of a set: how many nodes */
    uint32_t below;     /* of a node: the set it returns to */
    uint32_t cost;      /* bytes to the end, at least */
    uint32_t same_slot; /* the next cell of its slot */
    uint32_t row;       /* of a set: where its steps are remembered */
};

struct arrival {
    uint32_t code, registers, below;
};

struct pending_call {
    uint32_t rule, n, first; /* the nodes to return to, a list in links */
};

struct stacks {
    const struct machine *machine;
    struct memory *memory;
    uint32_t n_cells, n_items, n_registers, n_rows;
    struct cell *cells;
    uint32_t *items;
    struct registers *registers;
    uint32_t *slots;
    uint32_t *register_slots, *register_next;
    uint32_t (*rows)[256]; /* cell + 2 after a byte, 1: none; 0: not known yet */
    uint32_t *row_owner;
    /* Of one step. */
    uint32_t *stamp, round; /* [cells] */
    struct arrival *arrivals;
    uint32_t n_arrivals;
    struct pending_call *calls;
    uint32_t n_calls, n_links, *link_node, *link_next;
    uint32_t *found, n_found, *scratch;
    uint32_t *moved; /* [cells] */
    uint64_t work;   /* steps that may still be done: whoever begins something sets it */
};

status stacks_open(struct memory *memory, const struct machine *machine, struct stacks *stacks);
void stacks_close(struct stacks *stacks);

/* All of these: LIMIT where the memory is full, an ambiguity too wide or `work` used up; cells stay
 * as they are. */
status stacks_root(struct stacks *stacks, uint32_t *set);
/* A state read alone, whose rule returns to what isn't known. */
status stacks_alone(struct stacks *stacks, uint32_t code, uint32_t registers, uint32_t *set);
/* Where `set` returns to; the nodes of it are returned from. */
status stacks_return(struct stacks *stacks, uint32_t set, uint32_t *to);
/* *next is STACKS_NONE where the text can't go on with this byte. */
status stacks_step_slow(struct stacks *stacks, uint32_t set, uint8_t byte, uint32_t *next);

static inline status stacks_step(struct stacks *stacks, uint32_t set, uint8_t byte,
                                 uint32_t *next) {
    uint32_t row = stacks->cells[set].row;
    uint32_t known = row == STACKS_NONE ? 0 : stacks->rows[row][byte];
    if (!known) return stacks_step_slow(stacks, set, byte, next);
    *next = known == 1 ? STACKS_NONE : known - 2;
    return OK;
}

static inline const uint32_t *stacks_nodes(const struct stacks *stacks, uint32_t set, uint32_t *n) {
    *n = stacks->cells[set].registers;
    return stacks->items + stacks->cells[set].code;
}
static inline uint32_t stacks_cost(const struct stacks *stacks, uint32_t set) {
    return stacks->cells[set].cost;
}
bool stacks_has(const struct stacks *stacks, uint32_t set, uint32_t node);

bool stacks_is_full(const struct stacks *stacks); /* half of it is used */
/* Keeps what the sets roots [n] are made of, which get their new numbers. */
void stacks_clear(struct stacks *stacks, uint32_t **roots, size_t n);

#endif
