/* EBNF's rules as automata that call each other. Small ones that don't come back to themselves are
 * put where they are called. */
#include <string.h>

#include "grammar/grammar.h"

enum { MOST_INLINED = 200 }; /* parts of an expression, once all in it are put there */

struct rules_build {
    struct compile *compile;
    struct rule_set set;
    bool *nullable;
    uint32_t *size; /* of an expression with what is put into it; 0: not known; UINT32_MAX: large */
    bool *open;
    int depth;
};

static bool is_nullable(const struct rules_build *build, const struct expression *expression) {
    bool all = true, any = false;
    switch (expression->kind) {
    case EXPRESSION_CLASS:
        return false;
    case EXPRESSION_RULE:
        return build->nullable[expression->rule];
    case EXPRESSION_REPEAT:
        return expression->min == 0 || is_nullable(build, expression->child);
    case EXPRESSION_SEQUENCE:
    case EXPRESSION_CHOICE:
        for (const struct expression *each = expression->child; each; each = each->next) {
            bool one = is_nullable(build, each);
            all = all && one;
            any = any || one;
        }
        return expression->kind == EXPRESSION_SEQUENCE ? all : any;
    case EXPRESSION_EMPTY:
    case EXPRESSION_BEGIN:
    case EXPRESSION_END:
        break;
    }
    return true;
}

static uint64_t weigh(const struct expression *expression) {
    uint64_t n = 1;
    for (const struct expression *each = expression->child; each; each = each->next)
        n += weigh(each);
    return n;
}

static status find_nullable(struct rules_build *build) {
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = build->set.n; i-- > 0;) {
            if (build->nullable[i]) continue;
            TRY(compile_work(build->compile, weigh(build->set.bodies[i])));
            if (is_nullable(build, build->set.bodies[i])) more = build->nullable[i] = true;
        }
    }
    return OK;
}

static status measure_rule(struct rules_build *build, uint32_t rule);

static status measure(struct rules_build *build, const struct expression *expression,
                      uint64_t *size) {
    *size = 1;
    TRY(compile_work(build->compile, 1));
    if (expression->kind == EXPRESSION_RULE) {
        TRY(measure_rule(build, expression->rule));
        *size = build->size[expression->rule];
    }
    for (const struct expression *each = expression->child; each; each = each->next) {
        uint64_t one;
        TRY(measure(build, each, &one));
        *size += one;
    }
    if (expression->kind == EXPRESSION_REPEAT) {
        uint64_t times =
            expression->max == EXPRESSION_UNBOUNDED ? expression->min + 1u : expression->max;
        *size *= times ? times : 1;
    }
    if (*size > UINT32_MAX) *size = UINT32_MAX;
    return OK;
}

/* Rules that come back to themselves are large, and those that call them. */
static status measure_rule(struct rules_build *build, uint32_t rule) {
    uint64_t size = UINT32_MAX;
    if (build->size[rule]) return OK;
    if (!build->open[rule] && build->depth < COMPILE_MOST_DEPTH) {
        build->open[rule] = true;
        build->depth++;
        TRY(measure(build, build->set.bodies[rule], &size));
        build->depth--;
        build->open[rule] = false;
        if (build->size[rule]) return OK; /* found on the way to be large */
    }
    build->size[rule] = (uint32_t)size;
    return OK;
}

static const char *name_of(const void *user, uint32_t rule) {
    const struct rule_set *set = user;
    return rule < set->n ? set->names[rule] : NULL;
}

/* A rule that stands for a JSON Schema begins where the schema's own rule does. */
static status compile_schema(struct machine *machine, uint32_t rule, struct text text) {
    uint32_t root;
    TRY(schema_add(machine, text.data, text.length, &root));
    for (uint32_t i = 0; i < machine->rules[root].n_starts; i++)
        TRY(machine_add_start(machine, rule, machine->rules[root].starts[i]));
    return OK;
}

/* Rules that nothing reaches from the root are left out. */
static status compile_rules(struct rules_build *build, struct machine *machine,
                            struct expression **inlined) {
    struct compile *compile = build->compile;
    const struct rule_bodies bodies = {.bodies = inlined, .nullable = build->nullable};
    bool *wanted, more = true, *done;
    COMPILE_TAKE(compile, build->set.n, &wanted);
    COMPILE_TAKE(compile, build->set.n, &done);
    wanted[build->set.root] = true;
    while (more) {
        more = false;
        for (uint32_t i = 0; i < build->set.n; i++) {
            struct automaton *made, *least;
            uint32_t code;
            if (!wanted[i] || done[i]) continue;
            more = done[i] = true;
            if (build->set.schemas[i].data) {
                TRY(compile_schema(machine, i, build->set.schemas[i]));
                continue;
            }
            TRY(automaton_make(compile, build->set.bodies[i], &bodies, false, &made));
            least = made;
            if (made->first_call[made->n_states] == 0)
                TRY(automaton_minimize(compile, made, &least));
            if (least != made) least->first_call = NULL;
            for (uint32_t c = 0; c < made->first_call[made->n_states]; c++)
                wanted[made->calls[c].rule] = true;
            TRY(machine_add_automaton(machine, least, &code));
            TRY(machine_add_start(machine, i, code));
        }
    }
    return OK;
}

status ebnf_compile(struct machine *machine, const char *text, size_t length) {
    struct compile *compile = machine->compile;
    struct rules_build build = {.compile = compile};
    struct expression **inlined;
    TRY(ebnf_parse(compile, text, length, &build.set));
    COMPILE_TAKE(compile, build.set.n, &build.nullable);
    COMPILE_TAKE(compile, build.set.n, &build.size);
    COMPILE_TAKE(compile, build.set.n, &build.open);
    COMPILE_TAKE(compile, build.set.n, &inlined);
    TRY(find_nullable(&build));
    for (uint32_t i = 0; i < build.set.n; i++) {
        uint32_t rule;
        TRY(machine_add_rule(machine, &rule));
        if (build.set.schemas[i].data) build.size[i] = UINT32_MAX; /* is called, never put there */
    }
    for (uint32_t i = 0; i < build.set.n; i++) {
        TRY(measure_rule(&build, i));
        if (build.size[i] <= MOST_INLINED) inlined[i] = build.set.bodies[i];
    }
    machine->root = build.set.root;
    machine->root_is_empty = build.nullable[build.set.root];
    TRY(compile_rules(&build, machine, inlined));
    return machine_finish(machine, name_of, &build.set);
}
