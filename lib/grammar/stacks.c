#include "grammar/stacks.h"

#include <string.h>

#include "grammar/set_table.h"

enum {
    MOST_CELLS = 1 << 16,
    MOST_ITEMS = 1 << 18,
    MOST_REGISTERS = 1 << 13,
    MOST_ROWS = 1 << 10,
    MOST_NODES = 1 << 10, /* of one set, and of what one byte does */
    MOST_LINKS = 1 << 11,
    N_SLOTS = 1 << 16,
    N_REGISTER_SLOTS = 1 << 12
};

static status full(const char *what) {
    return fail(LIMIT, "structured output: %s", what);
}

static uint32_t mix(uint32_t a, uint32_t b, uint32_t c) {
    uint64_t hash = (uint64_t)a * 0x9E3779B97F4A7C15u;
    hash = (hash ^ b ^ hash >> 29) * 0xD6E8FEB86659FD93u;
    hash = (hash ^ c ^ hash >> 32) * 0xD6E8FEB86659FD93u;
    return (uint32_t)(hash >> 33);
}

static uint32_t hash_items(const uint32_t *items, uint32_t n) {
    uint32_t hash = n;
    for (uint32_t i = 0; i < n; i++) hash = mix(hash, items[i], 0x5E7);
    return hash;
}

static uint32_t slot_of(const struct stacks *stacks, const struct cell *cell) {
    uint32_t hash = cell->is_set ? hash_items(stacks->items + cell->code, cell->registers)
                                 : mix(cell->code, cell->registers, cell->below);
    return hash & (N_SLOTS - 1);
}

static void link_cell(struct stacks *stacks, uint32_t index) {
    uint32_t *slot = &stacks->slots[slot_of(stacks, &stacks->cells[index])];
    stacks->cells[index].same_slot = *slot;
    *slot = index + 1;
}

static uint32_t node_cost(const struct stacks *stacks, uint32_t code, uint32_t registers,
                          uint32_t below) {
    const struct machine *machine = stacks->machine;
    const struct machine_part *part = &machine->parts[machine->part_of[code]];
    uint32_t own = part->object
                       ? object_cost(machine, part->object, code, &stacks->registers[registers])
                       : machine->cost[code];
    return cost_add(own, stacks->cells[below].cost);
}

static status put_node(struct stacks *stacks, uint32_t code, uint32_t registers, uint32_t below,
                       uint32_t *index) {
    uint32_t slot = mix(code, registers, below) & (N_SLOTS - 1);
    for (uint32_t at = stacks->slots[slot]; at; at = stacks->cells[at - 1].same_slot) {
        const struct cell *cell = &stacks->cells[at - 1];
        if (!cell->is_set && cell->code == code && cell->registers == registers &&
            cell->below == below) {
            *index = at - 1;
            return OK;
        }
    }
    if (stacks->n_cells == MOST_CELLS) return full("the text nests too deep, or too ambiguously");
    *index = stacks->n_cells++;
    stacks->cells[*index] = (struct cell){.code = code,
                                          .registers = registers,
                                          .below = below,
                                          .cost = node_cost(stacks, code, registers, below),
                                          .row = STACKS_NONE};
    stacks->stamp[*index] = 0;
    link_cell(stacks, *index);
    return OK;
}

/* nodes [n] are sorted in place, none is there twice; n > 0. */
static status put_set(struct stacks *stacks, uint32_t *nodes, uint32_t n, uint32_t *index) {
    indices_sort(nodes, n);
    uint32_t slot = hash_items(nodes, n) & (N_SLOTS - 1), least = COST_DEAD;
    for (uint32_t at = stacks->slots[slot]; at; at = stacks->cells[at - 1].same_slot) {
        const struct cell *cell = &stacks->cells[at - 1];
        if (cell->is_set && cell->registers == n &&
            memcmp(stacks->items + cell->code, nodes, n * sizeof *nodes) == 0) {
            *index = at - 1;
            return OK;
        }
    }
    if (stacks->n_cells == MOST_CELLS || n > MOST_ITEMS - stacks->n_items)
        return full("the text nests too deep, or too ambiguously");
    for (uint32_t i = 0; i < n; i++)
        if (stacks->cells[nodes[i]].cost < least) least = stacks->cells[nodes[i]].cost;
    *index = stacks->n_cells++;
    stacks->cells[*index] = (struct cell){
        .is_set = true, .code = stacks->n_items, .registers = n, .cost = least, .row = STACKS_NONE};
    memcpy(stacks->items + stacks->n_items, nodes, n * sizeof *nodes);
    stacks->n_items += n;
    stacks->stamp[*index] = 0;
    link_cell(stacks, *index);
    return OK;
}

static uint32_t register_slot(const struct registers *registers) {
    uint32_t hash = 0, words[sizeof *registers / sizeof(uint32_t)];
    memcpy(words, registers, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) hash = mix(hash, words[i], 1);
    return hash & (N_REGISTER_SLOTS - 1);
}

static status put_registers(struct stacks *stacks, const struct registers *registers,
                            uint32_t *index) {
    uint32_t *slot = &stacks->register_slots[register_slot(registers)];
    for (uint32_t at = *slot; at; at = stacks->register_next[at - 1])
        if (memcmp(&stacks->registers[at - 1], registers, sizeof *registers) == 0) {
            *index = at - 1;
            return OK;
        }
    if (stacks->n_registers == MOST_REGISTERS) return full("too many objects are open");
    *index = stacks->n_registers++;
    stacks->registers[*index] = *registers;
    stacks->register_next[*index] = *slot;
    *slot = *index + 1;
    return OK;
}

/* ---- what follows one byte ---- */

static status arrive(struct stacks *stacks, uint32_t code, uint32_t registers, uint32_t below) {
    if (stacks->n_arrivals == MOST_NODES) return full("the grammar is too ambiguous here");
    stacks->arrivals[stacks->n_arrivals++] = (struct arrival){code, registers, below};
    return OK;
}

static void begin(struct stacks *stacks) {
    stacks->round++;
    stacks->n_arrivals = stacks->n_calls = stacks->n_links = stacks->n_found = 0;
}

static status keep(struct stacks *stacks, uint32_t node) {
    if (stacks->stamp[node] == stacks->round) return OK;
    if (stacks->n_found == MOST_NODES) return full("the grammar is too ambiguous here");
    stacks->stamp[node] = stacks->round;
    stacks->found[stacks->n_found++] = node;
    return OK;
}

/* The nodes of a set go on: a rule that they called has matched. */
static status pop(struct stacks *stacks, uint32_t set) {
    uint32_t n;
    const uint32_t *nodes = stacks_nodes(stacks, set, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct cell *node = &stacks->cells[nodes[i]];
        if (nodes[i] == STACKS_END || nodes[i] == STACKS_ESCAPE)
            TRY(keep(stacks, nodes[i]));
        else
            TRY(arrive(stacks, node->code, node->registers, node->below));
    }
    return OK;
}

static status add_return(struct stacks *stacks, struct pending_call *call, uint32_t node) {
    if (stacks->n_links == MOST_LINKS) return full("the grammar is too ambiguous here");
    for (uint32_t at = call->first; at; at = stacks->link_next[at - 1])
        if (stacks->link_node[at - 1] == node) return OK;
    stacks->link_node[stacks->n_links] = node;
    stacks->link_next[stacks->n_links] = call->first;
    call->first = ++stacks->n_links;
    call->n++;
    return OK;
}

/* A call from a node below which is `below`; it returns to `target` there. */
static status add_call(struct stacks *stacks, uint32_t rule, uint32_t target, uint32_t registers,
                       uint32_t below) {
    const struct machine *machine = stacks->machine;
    struct pending_call *call = stacks->calls;
    uint32_t node;
    if (machine->rules[rule].cost >= COST_DEAD) return OK;
    while (call < stacks->calls + stacks->n_calls && call->rule != rule) call++;
    bool last = machine->flags[target] == STATE_ENDS; /* nothing is left to do there: left out */
    if (!last) {
        TRY(put_node(stacks, target, registers, below, &node));
        if (stacks->cells[node].cost >= COST_DEAD) return OK;
    }
    if (call == stacks->calls + stacks->n_calls) {
        if (stacks->n_calls == MOST_NODES) return full("the grammar is too ambiguous here");
        *call = (struct pending_call){.rule = rule};
        stacks->n_calls++;
    }
    if (!last) return add_return(stacks, call, node);
    uint32_t n;
    const uint32_t *nodes = stacks_nodes(stacks, below, &n);
    for (uint32_t i = 0; i < n; i++) TRY(add_return(stacks, call, nodes[i]));
    return OK;
}

static status look_at_object(struct stacks *stacks, const struct object *object, uint32_t node) {
    const struct cell cell = stacks->cells[node];
    struct registers registers = stacks->registers[cell.registers];
    uint32_t rule, target, number;
    bool calls = object_call(object, cell.code, &registers, &rule, &target);
    if (!calls || stacks->machine->whitespace) TRY(keep(stacks, node));
    if (!calls) return OK;
    TRY(put_registers(stacks, &registers, &number));
    return add_call(stacks, rule, target, number, cell.below);
}

static status look_at(struct stacks *stacks, struct arrival arrival) {
    const struct machine *machine = stacks->machine;
    const struct machine_part *part = &machine->parts[machine->part_of[arrival.code]];
    uint32_t node;
    TRY(put_node(stacks, arrival.code, arrival.registers, arrival.below, &node));
    if (stacks->stamp[node] == stacks->round || stacks->cells[node].cost >= COST_DEAD) return OK;
    if (part->object) return look_at_object(stacks, part->object, node);
    uint8_t flags = machine->flags[arrival.code];
    if (flags & STATE_READS)
        TRY(keep(stacks, node));
    else
        stacks->stamp[node] = stacks->round;
    if (flags & STATE_ENDS) TRY(pop(stacks, arrival.below));
    if (!(flags & STATE_CALLS)) return OK;
    const struct automaton *automaton = part->automaton;
    uint32_t state = arrival.code - part->first_code;
    for (uint32_t i = automaton->first_call[state]; i < automaton->first_call[state + 1]; i++)
        TRY(add_call(stacks, automaton->calls[i].rule,
                     part->first_code + automaton->calls[i].target, 0, arrival.below));
    return OK;
}

/* The call whose rule is the outermost: those that it may call have others to return to by then. */
static status make_call(struct stacks *stacks) {
    const struct machine_rule *rules = stacks->machine->rules;
    uint32_t best = 0, set, n = 0;
    for (uint32_t i = 1; i < stacks->n_calls; i++)
        if (rules[stacks->calls[i].rule].rank < rules[stacks->calls[best].rule].rank) best = i;
    struct pending_call call = stacks->calls[best];
    stacks->calls[best] = stacks->calls[--stacks->n_calls];
    for (uint32_t at = call.first; at; at = stacks->link_next[at - 1])
        stacks->scratch[n++] = stacks->link_node[at - 1];
    TRY(put_set(stacks, stacks->scratch, n, &set));
    for (uint32_t i = 0; i < rules[call.rule].n_starts; i++)
        TRY(arrive(stacks, rules[call.rule].starts[i], 0, set));
    return OK;
}

static status end(struct stacks *stacks, uint32_t *set) {
    while (stacks->n_arrivals || stacks->n_calls) {
        uint64_t steps = 1 + stacks->n_links;
        if (stacks->work < steps) return full("the grammar is too ambiguous here");
        stacks->work -= steps;
        if (stacks->n_arrivals)
            TRY(look_at(stacks, stacks->arrivals[--stacks->n_arrivals]));
        else
            TRY(make_call(stacks));
    }
    *set = STACKS_NONE;
    return stacks->n_found ? put_set(stacks, stacks->found, stacks->n_found, set) : OK;
}

status stacks_root(struct stacks *stacks, uint32_t *set) {
    const struct machine *machine = stacks->machine;
    const struct machine_rule *root = &machine->rules[machine->root];
    begin(stacks);
    for (uint32_t i = 0; i < root->n_starts; i++)
        TRY(arrive(stacks, root->starts[i], 0, STACKS_BELOW_ROOT));
    if (machine->root_is_empty) TRY(keep(stacks, STACKS_END));
    return end(stacks, set);
}

status stacks_alone(struct stacks *stacks, uint32_t code, uint32_t registers, uint32_t *set) {
    uint32_t node;
    TRY(put_node(stacks, code, registers, STACKS_UNKNOWN, &node));
    return put_set(stacks, &node, 1, set);
}

status stacks_return(struct stacks *stacks, uint32_t set, uint32_t *to) {
    begin(stacks);
    TRY(pop(stacks, set));
    return end(stacks, to);
}

static status step_node(struct stacks *stacks, uint32_t node, uint8_t byte) {
    const struct machine *machine = stacks->machine;
    const struct cell cell = stacks->cells[node];
    if (node == STACKS_END || node == STACKS_ESCAPE) return OK;
    const struct machine_part *part = &machine->parts[machine->part_of[cell.code]];
    if (part->automaton) {
        uint32_t next = automaton_next(part->automaton, cell.code - part->first_code, byte);
        if (next == AUTOMATON_NONE || machine->cost[part->first_code + next] >= COST_DEAD)
            return OK;
        return arrive(stacks, part->first_code + next, 0, cell.below);
    }
    struct registers registers = stacks->registers[cell.registers];
    uint32_t code = cell.code;
    enum object_action action = object_step(machine, part->object, byte, &code, &registers);
    if (action == OBJECT_ENDS) return pop(stacks, cell.below);
    return action == OBJECT_GOES ? arrive(stacks, code, cell.registers, cell.below) : OK;
}

/* A place for a set's steps; when all are taken, all are forgotten. */
static uint32_t take_row(struct stacks *stacks, uint32_t set) {
    if (stacks->n_rows == MOST_ROWS) {
        for (uint32_t i = 0; i < MOST_ROWS; i++)
            stacks->cells[stacks->row_owner[i]].row = STACKS_NONE;
        stacks->n_rows = 0;
    }
    uint32_t row = stacks->n_rows++;
    memset(stacks->rows[row], 0, sizeof *stacks->rows);
    stacks->row_owner[row] = set;
    stacks->cells[set].row = row;
    return row;
}

status stacks_step_slow(struct stacks *stacks, uint32_t set, uint8_t byte, uint32_t *next) {
    uint32_t n = stacks->cells[set].registers;
    begin(stacks);
    for (uint32_t i = 0; i < n; i++)
        TRY(step_node(stacks, stacks->items[stacks->cells[set].code + i], byte));
    TRY(end(stacks, next));
    uint32_t row = stacks->cells[set].row;
    if (row == STACKS_NONE) row = take_row(stacks, set);
    stacks->rows[row][byte] = *next == STACKS_NONE ? 1 : *next + 2;
    return OK;
}

bool stacks_has(const struct stacks *stacks, uint32_t set, uint32_t node) {
    uint32_t n;
    const uint32_t *nodes = stacks_nodes(stacks, set, &n);
    for (uint32_t i = 0; i < n && nodes[i] <= node; i++)
        if (nodes[i] == node) return true;
    return false;
}

/* ---- memory ---- */

static void add_fixed(struct stacks *stacks) {
    for (uint32_t i = 0; i < STACKS_FIRST; i++) {
        bool set = i >= STACKS_BELOW_ROOT;
        stacks->cells[i] = (struct cell){.is_set = set,
                                         .code = set ? i - STACKS_BELOW_ROOT : UINT32_MAX - i,
                                         .registers = set ? 1 : 0,
                                         .below = STACKS_NONE,
                                         .row = STACKS_NONE};
        if (set) stacks->items[i - STACKS_BELOW_ROOT] = i - STACKS_BELOW_ROOT;
        stacks->stamp[i] = 0;
    }
    stacks->n_items = STACKS_FIRST - STACKS_BELOW_ROOT;
    stacks->n_cells = STACKS_FIRST;
    for (uint32_t i = 0; i < STACKS_FIRST; i++) link_cell(stacks, i);
}

status stacks_open(struct memory *memory, const struct machine *machine, struct stacks *stacks) {
    const char *what = "a grammar";
    static const struct registers none;
    uint32_t zero;
    *stacks = (struct stacks){.machine = machine, .memory = memory};
    status result;
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_CELLS, what, &stacks->cells));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_CELLS, what, &stacks->stamp));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_CELLS, what, &stacks->moved));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_ITEMS, what, &stacks->items));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_REGISTERS, what, &stacks->registers));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_REGISTERS, what, &stacks->register_next));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, N_REGISTER_SLOTS, what, &stacks->register_slots));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, N_SLOTS, what, &stacks->slots));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_ROWS, what, &stacks->rows));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_ROWS, what, &stacks->row_owner));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_NODES, what, &stacks->arrivals));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_NODES, what, &stacks->calls));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_LINKS, what, &stacks->link_node));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_LINKS, what, &stacks->link_next));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_NODES, what, &stacks->found));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, MOST_LINKS, what, &stacks->scratch));
    add_fixed(stacks);
    return put_registers(stacks, &none, &zero);
exit:
    stacks_close(stacks);
    return result;
}

void stacks_close(struct stacks *stacks) {
    void *const blocks[] = {
        stacks->cells,     stacks->stamp,         stacks->moved,          stacks->items,
        stacks->registers, stacks->register_next, stacks->register_slots, stacks->slots,
        stacks->rows,      stacks->row_owner,     stacks->arrivals,       stacks->calls,
        stacks->link_node, stacks->link_next,     stacks->found,          stacks->scratch};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        memory_give(stacks->memory, blocks[i]);
    *stacks = (struct stacks){.machine = NULL}; /* nothing is left to close */
}

bool stacks_is_full(const struct stacks *stacks) {
    return stacks->n_cells > MOST_CELLS / 2 || stacks->n_items > MOST_ITEMS / 2 ||
           stacks->n_registers > MOST_REGISTERS / 2;
}

/* A cell is made of older ones alone. */
static void mark_needed(struct stacks *stacks, uint32_t **roots, size_t n) {
    for (uint32_t i = 0; i < stacks->n_cells; i++) stacks->cells[i].mark = i < STACKS_FIRST;
    for (size_t i = 0; i < n; i++)
        if (*roots[i] != STACKS_NONE) stacks->cells[*roots[i]].mark = true;
    for (uint32_t i = stacks->n_cells; i-- > STACKS_FIRST;) {
        const struct cell *cell = &stacks->cells[i];
        if (!cell->mark) continue;
        if (!cell->is_set) stacks->cells[cell->below].mark = true;
        for (uint32_t j = 0; cell->is_set && j < cell->registers; j++)
            stacks->cells[stacks->items[cell->code + j]].mark = true;
    }
}

void stacks_clear(struct stacks *stacks, uint32_t **roots, size_t n_roots) {
    uint32_t n_cells = stacks->n_cells, n_registers = stacks->n_registers;
    uint32_t *kept = stacks->stamp; /* registers: their new number + 1; cells' stamps go anyway */
    mark_needed(stacks, roots, n_roots);
    memset(kept, 0, n_registers * sizeof *kept);
    for (uint32_t i = STACKS_FIRST; i < n_cells; i++)
        if (stacks->cells[i].mark && !stacks->cells[i].is_set) kept[stacks->cells[i].registers] = 1;
    memset(stacks->slots, 0, N_SLOTS * sizeof *stacks->slots);
    memset(stacks->register_slots, 0, N_REGISTER_SLOTS * sizeof *stacks->register_slots);
    kept[0] = 1;
    stacks->n_registers = 0;
    for (uint32_t i = 0; i < n_registers; i++) {
        if (!kept[i]) continue;
        uint32_t fresh = stacks->n_registers++;
        stacks->registers[fresh] = stacks->registers[i];
        kept[i] = fresh + 1;
        uint32_t *slot = &stacks->register_slots[register_slot(&stacks->registers[fresh])];
        stacks->register_next[fresh] = *slot;
        *slot = fresh + 1;
    }
    for (uint32_t i = STACKS_FIRST; i < n_cells; i++)
        if (stacks->cells[i].mark && !stacks->cells[i].is_set)
            stacks->cells[i].registers = kept[stacks->cells[i].registers] - 1;
    stacks->n_rows = 0;
    add_fixed(stacks);
    for (uint32_t i = 0; i < STACKS_FIRST; i++) stacks->moved[i] = i;
    for (uint32_t i = STACKS_FIRST; i < n_cells; i++) {
        struct cell cell = stacks->cells[i];
        if (!cell.mark) continue;
        cell.row = STACKS_NONE;
        if (cell.is_set) {
            uint32_t from = cell.code;
            cell.code = stacks->n_items;
            for (uint32_t j = 0; j < cell.registers; j++)
                stacks->items[cell.code + j] = stacks->moved[stacks->items[from + j]];
            stacks->n_items += cell.registers;
        } else {
            cell.below = stacks->moved[cell.below];
        }
        uint32_t fresh = stacks->n_cells++;
        stacks->moved[i] = fresh;
        stacks->cells[fresh] = cell;
        link_cell(stacks, fresh);
    }
    memset(stacks->stamp, 0, MOST_CELLS * sizeof *stacks->stamp);
    stacks->round = 0;
    for (size_t i = 0; i < n_roots; i++)
        if (*roots[i] != STACKS_NONE) *roots[i] = stacks->moved[*roots[i]];
}
