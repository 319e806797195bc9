/* JSON objects: properties in any order, each name once. What is still missing is counted, so that
 * no state is entered that has no end. */
#include <string.h>

#include "grammar/machine.h"

/* registers.counts: properties so far (where there is a most), kinds of other keys that there
 * were, and what of `wanted` there was. */
static uint32_t count_of(const struct registers *registers) {
    return (uint32_t)(registers->counts & 0xFFFF);
}
static uint32_t others_of(const struct registers *registers) {
    return (uint32_t)(registers->counts >> 16) & 0x7FFFFFFF;
}
static uint32_t had_of(const struct registers *registers) {
    return (uint32_t)(registers->counts >> 48);
}

static bool has_name(const struct registers *registers, uint32_t name) {
    return registers->seen[name / 64] >> (name % 64) & 1;
}

static void see(const struct object *object, uint32_t index, struct registers *registers) {
    const struct object_label *label = &object->labels[index];
    if (label->name != AUTOMATON_NONE)
        registers->seen[label->name / 64] |= (uint64_t)1 << (label->name % 64);
    else if (object->counts_others)
        registers->counts |= (uint64_t)1 << (16 + label->other);
    registers->counts |= (uint64_t)(label->wanted & 0xFFFF) << 48;
    if (object->max != EXPRESSION_UNBOUNDED) registers->counts++;
}

static uint32_t n_distinct(const struct registers *registers) {
    int n = __builtin_popcount(others_of(registers));
    for (size_t i = 0; i < OBJECT_MOST_NAMES / 64; i++)
        n += __builtin_popcountll(registers->seen[i]);
    return (uint32_t)n;
}

/* Whether a key of this label would be one more. */
static bool is_new(const struct object *object, uint32_t index, const struct registers *registers) {
    const struct object_label *label = &object->labels[index];
    return label->name != AUTOMATON_NONE ? !has_name(registers, label->name)
                                         : !(others_of(registers) >> label->other & 1);
}

static uint32_t property_cost(const struct machine *machine, const struct object *object,
                              uint32_t index) {
    return cost_add(cost_add(object->distance[index], machine->weight[':']),
                    machine->rules[object->labels[index].rule].cost);
}

/* The cheapest property that is new and, unless wanted is 0, one of these. */
static uint32_t cheapest(const struct machine *machine, const struct object *object,
                         const struct registers *registers, uint32_t wanted, uint32_t *cost) {
    uint32_t found = AUTOMATON_NONE;
    *cost = COST_DEAD;
    for (uint32_t i = 0; i < object->n_labels; i++) {
        const struct object_label *label = &object->labels[i];
        bool fits = wanted ? label->wanted & wanted &&
                                 (label->name == AUTOMATON_NONE || is_new(object, i, registers))
                           : is_new(object, i, registers);
        uint32_t its = fits ? property_cost(machine, object, i) : COST_DEAD;
        if (its < *cost) {
            *cost = its;
            found = i;
        }
    }
    return found;
}

/* From where a property or the end may come: those that must come, commas, the end. */
static uint32_t rest_cost(const struct machine *machine, const struct object *object,
                          struct registers registers, bool first) {
    uint32_t cost = machine->weight['}'], its, n = 0;
    for (uint32_t i = 0; i < object->n_labels; i++) {
        uint32_t name = object->labels[i].name;
        if (name == AUTOMATON_NONE || has_name(&registers, name) ||
            !(object->required[name / 64] >> (name % 64) & 1))
            continue;
        cost = cost_add(cost, property_cost(machine, object, i));
        see(object, i, &registers);
        n++;
    }
    for (uint32_t left = object->wanted & ~had_of(&registers); left;
         left = object->wanted & ~had_of(&registers), n++) {
        uint32_t found = cheapest(machine, object, &registers, left & (0 - left), &its);
        if (found == AUTOMATON_NONE) return COST_DEAD;
        cost = cost_add(cost, its);
        see(object, found, &registers);
    }
    for (; n_distinct(&registers) < object->min; n++) {
        uint32_t found = cheapest(machine, object, &registers, 0, &its);
        if (found == AUTOMATON_NONE) return COST_DEAD;
        cost = cost_add(cost, its);
        see(object, found, &registers);
    }
    if (object->max != EXPRESSION_UNBOUNDED && count_of(&registers) > object->max) return COST_DEAD;
    for (; n > (first ? 1 : 0); n--) cost = cost_add(cost, machine->weight[',']);
    return cost;
}

/* From behind the colon of a property. */
static uint32_t value_cost(const struct machine *machine, const struct object *object,
                           uint32_t label, struct registers registers) {
    uint32_t value = machine->rules[object->labels[label].rule].cost;
    if (value >= COST_DEAD) return COST_DEAD;
    see(object, label, &registers);
    return cost_add(value, rest_cost(machine, object, registers, false));
}

/* From within a key, that may become any whose name wasn't seen. */
static uint32_t key_cost(const struct machine *machine, const struct object *object, uint32_t state,
                         const struct registers *registers) {
    const uint32_t *distance = object->distance + (size_t)state * object->n_labels;
    uint32_t least = COST_DEAD;
    for (uint32_t i = 0; i < object->n_labels; i++) {
        uint32_t name = object->labels[i].name;
        if (distance[i] >= least || (name != AUTOMATON_NONE && has_name(registers, name))) continue;
        uint32_t cost = cost_add(cost_add(distance[i], machine->weight[':']),
                                 value_cost(machine, object, i, *registers));
        if (cost < least) least = cost;
    }
    return least;
}

uint32_t object_cost(const struct machine *machine, const struct object *object, uint32_t code,
                     const struct registers *registers) {
    uint32_t phase = code - object->first_code, n = object->n_labels;
    if (phase == OBJECT_START)
        return cost_add(machine->weight['{'], rest_cost(machine, object, *registers, true));
    if (phase == OBJECT_FIRST) return rest_cost(machine, object, *registers, true);
    if (phase == OBJECT_AFTER) return rest_cost(machine, object, *registers, false);
    if (phase == OBJECT_NEXT) return key_cost(machine, object, 0, registers);
    phase -= OBJECT_PHASES;
    if (phase < n)
        return cost_add(machine->weight[':'], value_cost(machine, object, phase, *registers));
    if (phase < 2 * n) return value_cost(machine, object, phase - n, *registers);
    return key_cost(machine, object, phase - 2 * n, registers);
}

/* Distances of keys' states from the ends of keys, for each label. */
status object_prepare(const struct machine *machine, struct object *object) {
    const struct automaton *keys = object->keys;
    size_t n = object->n_labels;
    uint32_t weights[256];
    bool changed = true;
    if (n && keys->n_states > ((uint32_t)4 << 20) / n)
        return fail(LIMIT, "the schema is too large: an object's keys have %" PRIu32 " states",
                    keys->n_states);
    COMPILE_TAKE(machine->compile, keys->n_states * n, &object->distance);
    for (uint32_t c = 0; c < keys->n_classes; c++) weights[c] = COST_DEAD;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint32_t *weight = &weights[keys->class_of[byte]];
        if (machine->weight[byte] < *weight) *weight = machine->weight[byte];
    }
    for (size_t i = 0; i < keys->n_states; i++)
        for (size_t l = 0; l < n; l++)
            object->distance[i * n + l] = keys->label[i] == l + 1 ? 0 : COST_DEAD;
    while (changed) {
        changed = false;
        for (size_t i = keys->n_states; i-- > 0;)
            for (size_t c = 0; c < keys->n_classes; c++) {
                uint32_t to = keys->next[i * keys->n_classes + c];
                if (to == AUTOMATON_NONE) continue;
                TRY(compile_work(machine->compile, n));
                for (size_t l = 0; l < n; l++) {
                    uint32_t cost = cost_add(weights[c], object->distance[to * n + l]);
                    if (cost >= object->distance[i * n + l]) continue;
                    object->distance[i * n + l] = cost;
                    changed = true;
                }
            }
    }
    return OK;
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static enum object_action step_key(const struct object *object, uint32_t state, uint8_t byte,
                                   uint32_t *code) {
    uint32_t next = automaton_next(object->keys, state, byte);
    if (next == AUTOMATON_NONE) return OBJECT_NOTHING;
    uint64_t label = object->keys->label[next];
    *code = label ? object_colon(object, (uint32_t)label - 1) : object_key(object, next);
    return OBJECT_GOES;
}

enum object_action object_step(const struct machine *machine, const struct object *object,
                               uint8_t byte, uint32_t *code, struct registers *registers) {
    uint32_t phase = *code - object->first_code, n = object->n_labels;
    bool in_key = phase >= OBJECT_PHASES + 2 * n;
    if (machine->whitespace && !in_key && phase != OBJECT_START && is_space(byte))
        return OBJECT_GOES;
    if (phase == OBJECT_START) {
        if (byte != '{') return OBJECT_NOTHING;
        *code = object->first_code + OBJECT_FIRST;
        return OBJECT_GOES;
    }
    if (in_key) return step_key(object, phase - OBJECT_PHASES - 2 * n, byte, code);
    if (phase >= OBJECT_PHASES) {
        if (phase >= OBJECT_PHASES + n || byte != ':') return OBJECT_NOTHING;
        *code += n;
        return OBJECT_GOES;
    }
    if (byte == '}' && phase != OBJECT_NEXT) {
        bool ends = rest_cost(machine, object, *registers, true) == machine->weight['}'];
        return ends ? OBJECT_ENDS : OBJECT_NOTHING;
    }
    if (phase == OBJECT_AFTER) {
        if (byte != ',') return OBJECT_NOTHING;
        *code = object->first_code + OBJECT_NEXT;
        return OBJECT_GOES;
    }
    return step_key(object, 0, byte, code);
}

bool object_call(const struct object *object, uint32_t code, struct registers *registers,
                 uint32_t *rule, uint32_t *target) {
    uint32_t first = object_value(object, 0);
    if (code < first || code >= first + object->n_labels) return false;
    see(object, code - first, registers);
    *rule = object->labels[code - first].rule;
    *target = object->first_code + OBJECT_AFTER;
    return true;
}
