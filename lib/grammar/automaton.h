/* Finite automata over bytes, made from expressions: Thompson's construction and subsets (Rabin and
 * Scott, "Finite Automata and Their Decision Problems", 1959), with the boolean operations that
 * schemas need. A state may also call a rule of the grammar: what the rule matches is one letter.
 */
#ifndef GRAMMAR_AUTOMATON_H
#define GRAMMAR_AUTOMATON_H

#include "grammar/expression.h"

#define AUTOMATON_NONE UINT32_MAX
enum { AUTOMATON_MOST_STATES = 65536 };

struct automaton_call {
    uint32_t rule, target;
};

struct automaton { /* state 0 is the first one */
    uint32_t n_states, n_classes;
    uint8_t class_of[256];
    uint32_t *next;       /* [n_states][n_classes], AUTOMATON_NONE: no such text */
    uint64_t *label;      /* [n_states] 0: a text doesn't end here */
    uint32_t *first_call; /* [n_states + 1], or NULL: no calls */
    struct automaton_call *calls;
};

static inline uint32_t automaton_next(const struct automaton *automaton, uint32_t state,
                                      uint8_t byte) {
    return automaton->next[(size_t)state * automaton->n_classes + automaton->class_of[byte]];
}

/* bodies [n_rules]: of rules that may be put where they are called, NULL where they may not be;
 * nullable [n_rules]. NULL, NULL where there are none. `search`: of the texts that have a match
 * somewhere. Texts that match have the label 1. LIMIT. */
struct rule_bodies {
    struct expression *const *bodies;
    const bool *nullable;
};
status automaton_make(struct compile *compile, const struct expression *expression,
                      const struct rule_bodies *rules, bool search, struct automaton **made);

enum automaton_operation {
    AUTOMATON_AND,
    AUTOMATON_MINUS,
    AUTOMATON_LABELS /* both, and the labels' bits together */
};
status automaton_combine(struct compile *compile, const struct automaton *left,
                         const struct automaton *right, enum automaton_operation operation,
                         struct automaton **made);
bool automaton_is_empty(const struct automaton *automaton);
/* The label after this text. */
uint64_t automaton_label(const struct automaton *automaton, const char *text, size_t length);

/* From a function: states are numbers of the caller's. What step gives is `next`, or false. Only
 * bytes of `alphabet` (NUL-terminated) lead anywhere. */
struct automaton_rules {
    const char *alphabet;
    uint64_t first;
    bool (*step)(const void *user, uint64_t state, uint8_t byte, uint64_t *next);
    uint64_t (*label)(const void *user, uint64_t state);
    const void *user;
};
status automaton_explore(struct compile *compile, const struct automaton_rules *rules,
                         struct automaton **made);

/* Rows [n][256] of next states, and labels [n], both from `compile`. */
status automaton_from_rows(struct compile *compile, uint32_t n, const uint32_t *rows,
                           uint64_t *labels, struct automaton **made);
/* The fewest states for the same texts and labels; not of automata that call. */
status automaton_minimize(struct compile *compile, const struct automaton *automaton,
                          struct automaton **made);

#endif
