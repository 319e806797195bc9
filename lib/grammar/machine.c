#include "grammar/machine.h"

#include <string.h>

enum { MOST_RULES = 20000, MOST_CODES = 1 << 22 };

status machine_add_rule(struct machine *machine, uint32_t *rule) {
    if (machine->n_rules == MOST_RULES)
        return fail(LIMIT, "the grammar is too large: it has more than %d rules", MOST_RULES);
    COMPILE_GROW(machine->compile, machine->rules, machine->n_rules, machine->rule_capacity);
    *rule = machine->n_rules++;
    machine->rules[*rule] = (struct machine_rule){.cost = COST_DEAD};
    return OK;
}

status machine_add_start(struct machine *machine, uint32_t rule, uint32_t code) {
    struct machine_rule *to = &machine->rules[rule];
    COMPILE_GROW(machine->compile, to->starts, to->n_starts, to->capacity);
    to->starts[to->n_starts++] = code;
    return OK;
}

static status add_part(struct machine *machine, struct machine_part part, uint32_t n_codes) {
    if (n_codes > MOST_CODES - machine->n_codes)
        return fail(LIMIT, "the grammar is too large: it has more than %d states", MOST_CODES);
    COMPILE_GROW(machine->compile, machine->parts, machine->n_parts, machine->part_capacity);
    part.first_code = machine->n_codes;
    machine->parts[machine->n_parts++] = part;
    machine->n_codes += n_codes;
    return OK;
}

/* The same texts, but for the empty one: a first state more, which the others never lead to. */
static status without_empty(struct compile *compile, const struct automaton *automaton,
                            struct automaton **made) {
    size_t row = automaton->n_classes, n = automaton->n_states;
    COMPILE_TAKE(compile, 1, made);
    struct automaton *fresh = *made;
    *fresh = *automaton;
    fresh->n_states = (uint32_t)n + 1;
    COMPILE_TAKE(compile, (n + 1) * row, &fresh->next);
    COMPILE_TAKE(compile, n + 1, &fresh->label);
    for (size_t i = 0; i < n * row; i++)
        fresh->next[row + i] =
            automaton->next[i] == AUTOMATON_NONE ? AUTOMATON_NONE : automaton->next[i] + 1;
    memcpy(fresh->next, fresh->next + row, row * sizeof *fresh->next);
    memcpy(fresh->label + 1, automaton->label, n * sizeof *fresh->label);
    if (!automaton->first_call) return OK;
    uint32_t n_calls = automaton->first_call[n], n_first = automaton->first_call[1];
    COMPILE_TAKE(compile, n + 2, &fresh->first_call);
    COMPILE_TAKE(compile, n_calls + n_first, &fresh->calls);
    for (uint32_t i = 0; i < n_first + n_calls; i++) {
        fresh->calls[i] = automaton->calls[i < n_first ? i : i - n_first];
        fresh->calls[i].target++;
    }
    for (size_t i = 0; i <= n; i++) fresh->first_call[i + 1] = automaton->first_call[i] + n_first;
    return OK;
}

status machine_add_automaton(struct machine *machine, const struct automaton *automaton,
                             uint32_t *code) {
    if (automaton->label[0]) {
        struct automaton *fresh;
        TRY(without_empty(machine->compile, automaton, &fresh));
        automaton = fresh;
    }
    *code = machine->n_codes;
    return add_part(machine, (struct machine_part){.automaton = automaton}, automaton->n_states);
}

status machine_add_object(struct machine *machine, struct object *object) {
    object->first_code = machine->n_codes;
    return add_part(machine, (struct machine_part){.object = object}, object_n_codes(object));
}

/* ---- costs: the least solution, by sweeps there and back ---- */

static uint32_t code_cost(const struct machine *machine, uint32_t code) {
    static const struct registers none;
    const struct machine_part *part = &machine->parts[machine->part_of[code]];
    return part->object ? object_cost(machine, part->object, code, &none) : machine->cost[code];
}

static uint32_t state_cost(const struct machine *machine, const struct machine_part *part,
                           const uint32_t *weights, uint32_t state) {
    const struct automaton *automaton = part->automaton;
    const uint32_t *row = automaton->next + (size_t)state * automaton->n_classes;
    uint32_t least = automaton->label[state] ? 0 : COST_DEAD;
    for (uint32_t c = 0; c < automaton->n_classes; c++) {
        if (row[c] == AUTOMATON_NONE) continue;
        uint32_t cost = cost_add(weights[c], machine->cost[part->first_code + row[c]]);
        if (cost < least) least = cost;
    }
    if (!automaton->first_call) return least;
    for (uint32_t i = automaton->first_call[state]; i < automaton->first_call[state + 1]; i++) {
        const struct automaton_call *call = &automaton->calls[i];
        uint32_t cost = cost_add(machine->rules[call->rule].cost,
                                 machine->cost[part->first_code + call->target]);
        if (cost < least) least = cost;
    }
    return least;
}

/* Until nothing changes. */
static status sweep_part(struct machine *machine, const struct machine_part *part, bool *more) {
    const struct automaton *automaton = part->automaton;
    uint32_t weights[256];
    bool changed = true;
    for (uint32_t c = 0; c < automaton->n_classes; c++) weights[c] = COST_DEAD;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint32_t *weight = &weights[automaton->class_of[byte]];
        if (machine->weight[byte] < *weight) *weight = machine->weight[byte];
    }
    while (changed) {
        changed = false;
        TRY(compile_work(machine->compile, (uint64_t)automaton->n_states * automaton->n_classes));
        for (uint32_t i = automaton->n_states; i-- > 0;) {
            uint32_t cost = state_cost(machine, part, weights, i);
            uint32_t *known = &machine->cost[part->first_code + i];
            if (cost < *known) {
                *known = cost;
                *more = changed = true;
            }
        }
    }
    return OK;
}

static bool sweep_rule(struct machine *machine, uint32_t index) {
    struct machine_rule *rule = &machine->rules[index];
    bool changed = false;
    for (uint32_t i = 0; i < rule->n_starts; i++) {
        uint32_t cost = code_cost(machine, rule->starts[i]);
        if (cost < rule->cost) {
            rule->cost = cost;
            changed = true;
        }
    }
    return changed;
}

static status find_costs(struct machine *machine) {
    bool more = true, back = true;
    while (more) {
        more = false;
        back = !back;
        for (uint32_t i = 0; i < machine->n_parts; i++) {
            const struct machine_part *part = &machine->parts[back ? machine->n_parts - 1 - i : i];
            if (part->automaton) TRY(sweep_part(machine, part, &more));
        }
        for (uint32_t i = 0; i < machine->n_rules; i++) {
            TRY(compile_work(machine->compile, 64));
            if (sweep_rule(machine, back ? machine->n_rules - 1 - i : i)) more = true;
        }
    }
    return OK;
}

/* ---- ranks: which rules are called at the very beginning of which ---- */

struct ranking {
    struct machine *machine;
    uint8_t *state; /* [n_rules] 1: being looked at, 2: done */
    uint32_t *stack, *next_start, *next_call;
    uint32_t next_rank;
    const char *(*rule_name)(const void *user, uint32_t rule);
    const void *user;
};

/* The next rule that `rule` calls at its beginning. */
static bool next_called(struct ranking *ranking, uint32_t rule, uint32_t *called) {
    struct machine *machine = ranking->machine;
    const struct machine_rule *of = &machine->rules[rule];
    for (; ranking->next_start[rule] < of->n_starts;
         ranking->next_start[rule]++, ranking->next_call[rule] = 0) {
        uint32_t code = of->starts[ranking->next_start[rule]];
        const struct machine_part *part = &machine->parts[machine->part_of[code]];
        if (part->object || !part->automaton->first_call) continue;
        uint32_t state = code - part->first_code;
        uint32_t at = part->automaton->first_call[state] + ranking->next_call[rule];
        if (at < part->automaton->first_call[state + 1]) {
            ranking->next_call[rule]++;
            *called = part->automaton->calls[at].rule;
            return true;
        }
    }
    return false;
}

static status rank_from(struct ranking *ranking, uint32_t root) {
    struct machine *machine = ranking->machine;
    uint32_t n = 0, called;
    ranking->stack[n++] = root;
    ranking->state[root] = 1;
    while (n) {
        uint32_t rule = ranking->stack[n - 1];
        TRY(compile_work(machine->compile, 1));
        if (!next_called(ranking, rule, &called)) {
            ranking->state[rule] = 2;
            machine->rules[rule].rank = ranking->next_rank--;
            n--;
        } else if (ranking->state[called] == 1) {
            const char *name = ranking->rule_name(ranking->user, called);
            return fail(UNSUPPORTED,
                        "left recursion: the rule '%s' calls itself before it reads anything",
                        name ? name : "?");
        } else if (!ranking->state[called]) {
            ranking->state[called] = 1;
            ranking->stack[n++] = called;
        }
    }
    return OK;
}

status machine_finish(struct machine *machine,
                      const char *(*rule_name)(const void *user, uint32_t rule), const void *user) {
    struct compile *compile = machine->compile;
    uint32_t n = machine->n_rules;
    struct ranking ranking = {
        .machine = machine, .next_rank = n, .rule_name = rule_name, .user = user};
    COMPILE_TAKE(compile, machine->n_codes, &machine->part_of);
    COMPILE_TAKE(compile, machine->n_codes, &machine->cost);
    COMPILE_TAKE(compile, machine->n_codes, &machine->flags);
    for (uint32_t p = 0; p < machine->n_parts; p++) {
        const struct machine_part *part = &machine->parts[p];
        uint32_t end = p + 1 < machine->n_parts ? part[1].first_code : machine->n_codes;
        for (uint32_t i = part->first_code; i < end; i++) {
            machine->part_of[i] = p;
            machine->cost[i] = COST_DEAD;
        }
        if (part->object) TRY(object_prepare(machine, part->object));
    }
    COMPILE_TAKE(compile, n, &ranking.state);
    COMPILE_TAKE(compile, n, &ranking.stack);
    COMPILE_TAKE(compile, n, &ranking.next_start);
    COMPILE_TAKE(compile, n, &ranking.next_call);
    for (uint32_t i = 0; i < n; i++)
        if (!ranking.state[i]) TRY(rank_from(&ranking, i));
    TRY(find_costs(machine));
    for (uint32_t p = 0; p < machine->n_parts; p++) {
        const struct machine_part *part = &machine->parts[p];
        const struct automaton *automaton = part->automaton;
        for (uint32_t s = 0; automaton && s < automaton->n_states; s++) {
            uint8_t flags = automaton->label[s] ? STATE_ENDS : 0;
            for (uint32_t c = 0; c < automaton->n_classes; c++)
                if (automaton->next[(size_t)s * automaton->n_classes + c] != AUTOMATON_NONE)
                    flags |= STATE_READS;
            if (automaton->first_call && automaton->first_call[s] < automaton->first_call[s + 1])
                flags |= STATE_CALLS;
            machine->flags[part->first_code + s] = flags;
        }
    }
    if (machine->rules[machine->root].cost >= COST_DEAD && !machine->root_is_empty)
        return fail(INVALID_ARGUMENT, "no text matches the grammar");
    return OK;
}
