/* A compiled grammar: rules whose texts pushdown automata read byte by byte. Immutable once made.
 *
 * A rule has one or more first states. States are numbered through all automata and objects; a
 * state of an automaton may call rules, and goes on at the call's target once the rule has matched.
 * JSON objects are no tables, for their properties come in any order: a state of theirs is a phase
 * with registers, which say what was seen. */
#ifndef GRAMMAR_MACHINE_H
#define GRAMMAR_MACHINE_H

#include "grammar/automaton.h"

/* Bytes to the end of a text, at least. */
#define COST_UNSPELLABLE ((uint32_t)1 << 20) /* a byte that no token is */
#define COST_DEAD ((uint32_t)1 << 30)        /* and more: there is no end */

enum { OBJECT_MOST_NAMES = 256, OBJECT_MOST_OTHERS = 31, OBJECT_MOST_COUNT = 60000 };

/* Names that were seen, one bit each; and counts, as object.c packs them. */
struct registers {
    uint64_t seen[OBJECT_MOST_NAMES / 64];
    uint64_t counts;
};

struct object_label { /* what a key turned out to be: a name, or one of a kind */
    uint32_t rule;    /* of its value */
    uint32_t name;    /* bit in registers.seen; AUTOMATON_NONE: it isn't one that is told apart */
    uint32_t other;   /* else: number of the kind */
    uint32_t wanted;  /* bits of object.wanted that it is one of */
};

struct object {
    uint32_t first_code, n_labels, n_names;
    struct object_label *labels;
    const struct automaton *keys; /* quotes included; labels are indices + 1 */
    uint32_t *distance;           /* [keys.n_states][n_labels] bytes to the end of such a key */
    uint64_t required[OBJECT_MOST_NAMES / 64];
    uint32_t wanted;   /* bits: kinds of keys of which there must be one */
    uint32_t min, max; /* properties; max EXPRESSION_UNBOUNDED */
    bool counts_others;
};

enum object_phase { OBJECT_START, OBJECT_FIRST, OBJECT_NEXT, OBJECT_AFTER, OBJECT_PHASES };

struct machine_part { /* an automaton or object: states from first_code on */
    uint32_t first_code;
    const struct automaton *automaton;
    struct object *object;
};

struct machine_rule {
    uint32_t *starts, n_starts, capacity;
    uint32_t cost;
    uint32_t rank; /* a rule is called at the beginning of those of lower rank alone */
};

struct machine {
    struct compile *compile; /* all memory is its; ends with the machine */
    struct machine_part *parts;
    uint32_t n_parts, part_capacity;
    struct machine_rule *rules;
    uint32_t n_rules, rule_capacity;
    uint32_t n_codes;
    uint32_t *part_of;    /* [n_codes] */
    uint32_t *cost;       /* [n_codes] of automata's states */
    uint8_t *flags;       /* [n_codes] STATE_... */
    uint32_t root;        /* rule */
    bool root_is_empty;   /* the empty text matches too */
    bool whitespace;      /* JSON's, anywhere between its tokens */
    uint32_t weight[256]; /* of a byte: 1, or COST_UNSPELLABLE */
};

enum { STATE_ENDS = 1, STATE_READS = 2, STATE_CALLS = 4 };

static inline uint32_t cost_add(uint32_t a, uint32_t b) {
    return a + b < COST_DEAD ? a + b : COST_DEAD;
}

/* ---- building ---- */

status machine_add_rule(struct machine *machine, uint32_t *rule);
status machine_add_start(struct machine *machine, uint32_t rule, uint32_t code);
/* Its first state's code. The automaton must outlive the machine; where its first state accepts,
 * the code is of a state that doesn't: called rules take a byte. */
status machine_add_automaton(struct machine *machine, const struct automaton *automaton,
                             uint32_t *code);
/* first_code is set. */
status machine_add_object(struct machine *machine, struct object *object);
/* Once all is added: costs and ranks. rule_name is for messages; may give NULL.
 * UNSUPPORTED  a rule calls itself before it reads anything. INVALID_ARGUMENT  no text matches. */
status machine_finish(struct machine *machine,
                      const char *(*rule_name)(const void *user, uint32_t rule), const void *user);

/* ---- objects ---- */

/* Code of a phase, or of what follows a key of a label, or of a key's state. */
static inline uint32_t object_colon(const struct object *object, uint32_t label) {
    return object->first_code + OBJECT_PHASES + label;
}
static inline uint32_t object_value(const struct object *object, uint32_t label) {
    return object_colon(object, label) + object->n_labels;
}
static inline uint32_t object_key(const struct object *object, uint32_t state) {
    return object->first_code + OBJECT_PHASES + 2 * object->n_labels + state;
}
static inline uint32_t object_n_codes(const struct object *object) {
    return OBJECT_PHASES + 2 * object->n_labels + object->keys->n_states;
}
status object_prepare(const struct machine *machine, struct object *object);
/* Bytes from a state to the object's end. */
uint32_t object_cost(const struct machine *machine, const struct object *object, uint32_t code,
                     const struct registers *registers);

enum object_action {
    OBJECT_NOTHING, /* the byte doesn't go on */
    OBJECT_GOES,    /* to *code with *registers */
    OBJECT_ENDS     /* with this byte */
};
enum object_action object_step(const struct machine *machine, const struct object *object,
                               uint8_t byte, uint32_t *code, struct registers *registers);
/* At `value` of a label: what its rule is, and where it goes on. false: it is no such state. */
bool object_call(const struct object *object, uint32_t code, struct registers *registers,
                 uint32_t *rule, uint32_t *target);

#endif
