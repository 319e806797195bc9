/* Expressions to automata. */
#include <string.h>

#include "grammar/automaton.h"
#include "grammar/set_table.h"

enum { MOST_STATES = 1 << 20 };

enum state_kind { STATE_SPLIT, STATE_BYTES, STATE_CALL, STATE_BEGIN, STATE_END, STATE_ACCEPT };

struct state {
    uint8_t kind, low, high; /* BYTES */
    uint32_t rule;           /* CALL */
    uint32_t next, other;    /* AUTOMATON_NONE: none; other of SPLIT alone */
};

struct builder {
    struct compile *compile;
    const struct rule_bodies *rules;
    struct state *states;
    uint32_t n, capacity;
    int depth;
};

static status add_state(struct builder *builder, struct state state, uint32_t *index) {
    if (builder->n == MOST_STATES)
        return fail(LIMIT, "the grammar is too large: an expression has more than %d states",
                    MOST_STATES);
    COMPILE_GROW(builder->compile, builder->states, builder->n, builder->capacity);
    *index = builder->n;
    builder->states[builder->n++] = state;
    return OK;
}

static status add_split(struct builder *builder, uint32_t next, uint32_t other, uint32_t *index) {
    return add_state(builder, (struct state){.kind = STATE_SPLIT, .next = next, .other = other},
                     index);
}

static status add_bytes(struct builder *builder, uint8_t low, uint8_t high, uint32_t next,
                        uint32_t *index) {
    return add_state(
        builder,
        (struct state){
            .kind = STATE_BYTES, .low = low, .high = high, .next = next, .other = AUTOMATON_NONE},
        index);
}

/* ---- characters: ranges of code points as sequences of ranges of bytes ---- */

/* The n bytes first ... last, whose ranges don't depend on each other. */
static status add_sequence(struct builder *builder, const uint8_t *first, const uint8_t *last,
                           size_t n, uint32_t next, uint32_t *entry) {
    uint32_t at = next, state = next;
    for (size_t i = n; i-- > 0;) {
        TRY(add_bytes(builder, first[i], last[i], at, &state));
        at = state;
    }
    if (*entry == AUTOMATON_NONE)
        *entry = at;
    else
        TRY(add_split(builder, *entry, at, entry));
    return OK;
}

/* Splits first ... last where lengths change, and where the bytes behind the first that differ
 * don't go through all their values. */
static status add_range(struct builder *builder, uint32_t first, uint32_t last, uint32_t next,
                        uint32_t *entry) {
    static const uint32_t ends[] = {0x7F, 0x7FF, 0xFFFF};
    uint8_t low[4], high[4];
    for (size_t i = 0; i < 3; i++)
        if (first <= ends[i] && last > ends[i]) {
            TRY(add_range(builder, first, ends[i], next, entry));
            return add_range(builder, ends[i] + 1, last, next, entry);
        }
    for (uint32_t bits = 6; last > 0x7F && bits <= 18; bits += 6) {
        uint32_t mask = (1u << bits) - 1;
        if ((first & ~mask) == (last & ~mask)) continue;
        if (first & mask) {
            TRY(add_range(builder, first, first | mask, next, entry));
            return add_range(builder, (first | mask) + 1, last, next, entry);
        }
        if ((last & mask) != mask) {
            TRY(add_range(builder, first, (last & ~mask) - 1, next, entry));
            return add_range(builder, last & ~mask, last, next, entry);
        }
    }
    size_t n = utf8_put(first, low);
    utf8_put(last, high);
    return add_sequence(builder, low, high, n, next, entry);
}

static status add_class(struct builder *builder, const struct expression *expression, uint32_t next,
                        uint32_t *entry) {
    *entry = AUTOMATON_NONE;
    for (uint32_t i = 0; i < expression->n_ranges; i++)
        TRY(add_range(builder, expression->ranges[i].first, expression->ranges[i].last, next,
                      entry));
    if (*entry != AUTOMATON_NONE) return OK;
    return add_split(builder, AUTOMATON_NONE, AUTOMATON_NONE, entry);
}

/* ---- the tree, from its end to its beginning: `next` is where a match goes on ---- */

static status add(struct builder *builder, const struct expression *expression, uint32_t next,
                  uint32_t *entry);

static status add_children(struct builder *builder, const struct expression *child, uint32_t next,
                           uint32_t *entry) {
    uint32_t n = 0, i = 0;
    const struct expression **children;
    for (const struct expression *each = child; each; each = each->next) n++;
    COMPILE_TAKE(builder->compile, n, &children);
    for (const struct expression *each = child; each; each = each->next) children[i++] = each;
    *entry = next;
    while (i-- > 0) TRY(add(builder, children[i], *entry, entry));
    return OK;
}

static status add_repeat(struct builder *builder, const struct expression *expression,
                         uint32_t next, uint32_t *entry) {
    uint32_t at = next, body;
    if (expression->max == EXPRESSION_UNBOUNDED) {
        TRY(add_split(builder, AUTOMATON_NONE, next, &at));
        TRY(add(builder, expression->child, at, &body));
        builder->states[at].next = body;
    } else {
        for (uint32_t i = expression->min; i < expression->max; i++) {
            TRY(add(builder, expression->child, at, &body));
            TRY(add_split(builder, body, next, &at));
        }
    }
    for (uint32_t i = 0; i < expression->min; i++) {
        uint32_t before = builder->n;
        TRY(add(builder, expression->child, at, &at));
        if (builder->n == before) break; /* of nothing: once is as often as needed */
    }
    *entry = at;
    return OK;
}

static status add_rule(struct builder *builder, uint32_t rule, uint32_t next, uint32_t *entry) {
    const struct expression *body = builder->rules->bodies[rule];
    if (body) return add(builder, body, next, entry);
    TRY(add_state(
        builder,
        (struct state){.kind = STATE_CALL, .rule = rule, .next = next, .other = AUTOMATON_NONE},
        entry));
    /* An empty match is no call: a called rule has always taken a byte when it returns. */
    return builder->rules->nullable[rule] ? add_split(builder, *entry, next, entry) : OK;
}

static status add_kind(struct builder *builder, const struct expression *expression, uint32_t next,
                       uint32_t *entry) {
    uint32_t one;
    switch (expression->kind) {
    case EXPRESSION_CLASS:
        return add_class(builder, expression, next, entry);
    case EXPRESSION_SEQUENCE:
        return add_children(builder, expression->child, next, entry);
    case EXPRESSION_CHOICE:
        *entry = AUTOMATON_NONE;
        for (const struct expression *each = expression->child; each; each = each->next) {
            TRY(add(builder, each, next, &one));
            TRY(add_split(builder, one, *entry, entry));
        }
        return OK;
    case EXPRESSION_REPEAT:
        return add_repeat(builder, expression, next, entry);
    case EXPRESSION_RULE:
        return add_rule(builder, expression->rule, next, entry);
    case EXPRESSION_BEGIN:
    case EXPRESSION_END:
        return add_state(
            builder,
            (struct state){.kind = expression->kind == EXPRESSION_BEGIN ? STATE_BEGIN : STATE_END,
                           .next = next,
                           .other = AUTOMATON_NONE},
            entry);
    case EXPRESSION_EMPTY:
        break;
    }
    *entry = next;
    return OK;
}

static status add(struct builder *builder, const struct expression *expression, uint32_t next,
                  uint32_t *entry) {
    if (++builder->depth > 8 * COMPILE_MOST_DEPTH) return fail(LIMIT, "the grammar nests too deep");
    TRY(compile_work(builder->compile, 4));
    TRY(add_kind(builder, expression, next, entry));
    builder->depth--;
    return OK;
}

/* ---- subsets ---- */

struct subsets {
    struct compile *compile;
    const struct state *states;
    uint32_t n;
    uint32_t *mark, *stack, *found; /* [n] */
    uint32_t round, n_found;
    struct set_table table;
    struct automaton *made;
    uint32_t next_capacity, label_capacity, first_capacity, n_calls, call_capacity;
};

/* All that is reached from a state without a byte; BYTES, CALL, END and ACCEPT are kept. */
static void follow(struct subsets *subsets, uint32_t from, bool begins, bool ends) {
    uint32_t n = 0;
    if (from == AUTOMATON_NONE || subsets->mark[from] == subsets->round) return;
    subsets->mark[from] = subsets->round;
    subsets->stack[n++] = from;
    while (n) {
        uint32_t at = subsets->stack[--n], to[2] = {AUTOMATON_NONE, AUTOMATON_NONE};
        const struct state *state = &subsets->states[at];
        bool passes = state->kind == STATE_SPLIT || (state->kind == STATE_BEGIN && begins) ||
                      (state->kind == STATE_END && ends);
        if (passes) {
            to[0] = state->next;
            to[1] = state->other;
        } else if (state->kind != STATE_BEGIN) {
            subsets->found[subsets->n_found++] = at;
        }
        for (int i = 0; i < 2; i++)
            if (to[i] != AUTOMATON_NONE && subsets->mark[to[i]] != subsets->round) {
                subsets->mark[to[i]] = subsets->round;
                subsets->stack[n++] = to[i];
            }
    }
}

static void begin_set(struct subsets *subsets) {
    subsets->round++;
    subsets->n_found = 0;
}

/* Whether a text may end in this set, whose conditions for that are followed now. At the beginning
 * too, ^ holds there. */
static bool may_end(struct subsets *subsets, const uint32_t *set, uint32_t n, bool begins) {
    begin_set(subsets);
    for (uint32_t i = 0; i < n; i++) follow(subsets, set[i], begins, true);
    for (uint32_t i = 0; i < subsets->n_found; i++)
        if (subsets->states[subsets->found[i]].kind == STATE_ACCEPT) return true;
    return false;
}

/* The number of the state for what was found. */
static status end_set(struct subsets *subsets, uint32_t *index) {
    if (subsets->n_found == 0) {
        *index = AUTOMATON_NONE;
        return OK;
    }
    TRY(compile_work(subsets->compile, 4 * (uint64_t)subsets->n_found));
    TRY(set_table_put(subsets->compile, &subsets->table, subsets->found, subsets->n_found, index));
    if (subsets->table.n <= AUTOMATON_MOST_STATES) return OK;
    return fail(LIMIT, "the grammar is too large: an automaton has more than %d states",
                AUTOMATON_MOST_STATES);
}

static void find_classes(const struct state *states, uint32_t n, struct automaton *made,
                         uint8_t *examples) {
    bool begins[257] = {true};
    for (uint32_t i = 0; i < n; i++)
        if (states[i].kind == STATE_BYTES) {
            begins[states[i].low] = true;
            begins[states[i].high + 1] = true;
        }
    for (unsigned byte = 0; byte < 256; byte++) {
        if (begins[byte]) examples[made->n_classes++] = (uint8_t)byte;
        made->class_of[byte] = (uint8_t)(made->n_classes - 1);
    }
}

static status step_bytes(struct subsets *subsets, uint32_t state, const uint8_t *examples) {
    struct automaton *made = subsets->made;
    for (uint32_t c = 0; c < made->n_classes; c++) {
        uint32_t n, target;
        begin_set(subsets);
        const uint32_t *set = set_table_get(&subsets->table, state, &n);
        TRY(compile_work(subsets->compile, n));
        for (uint32_t i = 0; i < n; i++) {
            const struct state *each = &subsets->states[set[i]];
            if (each->kind == STATE_BYTES && each->low <= examples[c] && examples[c] <= each->high)
                follow(subsets, each->next, false, false);
        }
        TRY(end_set(subsets, &target));
        uint32_t at = state * made->n_classes + c;
        COMPILE_GROW(subsets->compile, made->next, at, subsets->next_capacity);
        made->next[at] = target;
    }
    return OK;
}

static status step_calls(struct subsets *subsets, uint32_t state) {
    struct automaton *made = subsets->made;
    uint32_t n, first = subsets->n_calls;
    COMPILE_GROW(subsets->compile, made->first_call, state, subsets->first_capacity);
    made->first_call[state] = first;
    const uint32_t *set = set_table_get(&subsets->table, state, &n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t rule = subsets->states[set[i]].rule, target;
        bool seen = subsets->states[set[i]].kind != STATE_CALL;
        for (uint32_t j = first; j < subsets->n_calls; j++)
            seen = seen || made->calls[j].rule == rule;
        TRY(compile_work(subsets->compile, subsets->n_calls - first + 1));
        if (seen) continue;
        begin_set(subsets);
        for (uint32_t j = i; j < n; j++)
            if (subsets->states[set[j]].kind == STATE_CALL && subsets->states[set[j]].rule == rule)
                follow(subsets, subsets->states[set[j]].next, false, false);
        TRY(compile_work(subsets->compile, n));
        TRY(end_set(subsets, &target));
        set = set_table_get(&subsets->table, state, &n);
        if (target == AUTOMATON_NONE) continue;
        COMPILE_GROW(subsets->compile, made->calls, subsets->n_calls, subsets->call_capacity);
        made->calls[subsets->n_calls++] = (struct automaton_call){rule, target};
    }
    return OK;
}

static status determinize(struct subsets *subsets, uint32_t start) {
    struct automaton *made = subsets->made;
    uint8_t examples[256];
    uint32_t first;
    find_classes(subsets->states, subsets->n, made, examples);
    begin_set(subsets);
    follow(subsets, start, true, false);
    if (subsets->n_found == 0) subsets->found[subsets->n_found++] = start; /* of no text */
    TRY(end_set(subsets, &first));
    for (uint32_t state = 0; state < subsets->table.n; state++) {
        uint32_t n;
        TRY(step_bytes(subsets, state, examples));
        TRY(step_calls(subsets, state));
        const uint32_t *set = set_table_get(&subsets->table, state, &n);
        COMPILE_GROW(subsets->compile, made->label, state, subsets->label_capacity);
        made->label[state] = may_end(subsets, set, n, false);
    }
    made->n_states = subsets->table.n;
    COMPILE_GROW(subsets->compile, made->first_call, made->n_states, subsets->first_capacity);
    made->first_call[made->n_states] = subsets->n_calls;
    return OK;
}

/* A state of its own for the beginning, where the set that begins with ^ passed comes back later:
 * then nothing is lost but a state; ^ behind $ at the start of an empty text is looked at there. */
static status fix_empty(struct subsets *subsets, uint32_t start) {
    struct automaton *made = subsets->made;
    uint32_t from[1] = {start};
    bool ends = may_end(subsets, from, 1, true);
    if (ends == (made->label[0] != 0)) return OK;
    bool again = false;
    for (size_t i = 0; i < (size_t)made->n_states * made->n_classes; i++)
        again = again || made->next[i] == 0;
    for (uint32_t i = 0; i < subsets->n_calls; i++) again = again || made->calls[i].target == 0;
    if (again)
        return fail(UNSUPPORTED, "an expression has ^ behind $, which is not supported there");
    made->label[0] = ends;
    return OK;
}

status automaton_make(struct compile *compile, const struct expression *expression,
                      const struct rule_bodies *rules, bool search, struct automaton **made) {
    struct builder builder = {.compile = compile, .rules = rules};
    uint32_t accept, start, any;
    TRY(add_state(
        &builder,
        (struct state){.kind = STATE_ACCEPT, .next = AUTOMATON_NONE, .other = AUTOMATON_NONE},
        &accept));
    const struct character_range all[] = {{0, 0xD7FF}, {0xE000, EXPRESSION_LAST_CHARACTER}};
    struct expression character = {.kind = EXPRESSION_CLASS,
                                   .n_ranges = 2,
                                   .ranges = (struct character_range *)(uintptr_t)all};
    struct expression others = {
        .kind = EXPRESSION_REPEAT, .max = EXPRESSION_UNBOUNDED, .child = &character};
    if (search) TRY(add(&builder, &others, accept, &accept));
    TRY(add(&builder, expression, accept, &start));
    if (search) { /* what comes before */
        TRY(add_split(&builder, AUTOMATON_NONE, start, &any));
        TRY(add_class(&builder, &character, any, &builder.states[any].next));
        start = any;
    }
    struct subsets subsets = {.compile = compile, .states = builder.states, .n = builder.n};
    COMPILE_TAKE(compile, builder.n, &subsets.mark);
    COMPILE_TAKE(compile, builder.n, &subsets.stack);
    COMPILE_TAKE(compile, builder.n, &subsets.found);
    COMPILE_TAKE(compile, 1, made);
    subsets.made = *made;
    TRY(determinize(&subsets, start));
    return fix_empty(&subsets, start);
}
