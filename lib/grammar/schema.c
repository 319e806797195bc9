#include "grammar/schema.h"

#include <string.h>

#include "grammar/grammar.h"

status schema_goal(struct schema *schema, const uint32_t *literals, uint32_t n, uint32_t *rule) {
    uint32_t *sorted, m = 0, goal, before = schema->goals.n;
    COMPILE_TAKE(schema->compile, n, &sorted);
    *rule = AUTOMATON_NONE;
    for (uint32_t i = 0; i < n; i++) {
        bool again = literals[i] == schema->always;
        const struct node *node = schema->nodes[literals[i] >> 3];
        bool negative = literals[i] & 1;
        if (literal_kind(literals[i]) == LITERAL_SCHEMA) {
            if (node->kind == (negative ? JSON_TRUE : JSON_FALSE)) return OK;
            again = again || node->kind == (negative ? JSON_FALSE : JSON_TRUE);
        }
        for (uint32_t j = 0; j < m; j++) {
            if (sorted[j] == (literals[i] ^ 1)) return OK;
            again = again || sorted[j] == literals[i];
        }
        if (!again) sorted[m++] = literals[i];
    }
    TRY(compile_work(schema->compile, (uint64_t)n * (m + 1)));
    TRY(set_table_put(schema->compile, &schema->goals, sorted, m, &goal));
    if (goal == before) {
        COMPILE_GROW(schema->compile, schema->goal_rules, goal, schema->goal_capacity);
        TRY(machine_add_rule(schema->machine, &schema->goal_rules[goal]));
    }
    *rule = schema->goal_rules[goal];
    return OK;
}

struct lowering {
    uint32_t rule;
};

static status lower(struct solver *solver, const struct conjunction *conjunction) {
    const struct lowering *lowering = solver->user;
    return schema_lower(solver->schema, conjunction, lowering->rule);
}

/* ---- schemas that come back to themselves without a step into a value ---- */

static status look(struct schema *schema, uint8_t *state, struct node *node, unsigned depth);

static status look_below(struct schema *schema, uint8_t *state, const struct node *parent,
                         const char *keyword, unsigned depth) {
    struct node *member = schema_member(parent, keyword);
    bool dependent =
        member && member->kind == JSON_OBJECT &&
        (strcmp(keyword, "dependentSchemas") == 0 || strcmp(keyword, "dependencies") == 0);
    if (!member) return OK;
    if (member->kind != JSON_ARRAY && !dependent) return look(schema, state, member, depth);
    for (uint32_t i = 0; i < member->n; i++)
        if (!dependent || member->items[i]->kind != JSON_ARRAY)
            TRY(look(schema, state, member->items[i], depth));
    return OK;
}

static status look(struct schema *schema, uint8_t *state, struct node *node, unsigned depth) {
    static const char *const keywords[] = {
        "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"};
    const struct node *ref = schema_member(node, "$ref");
    if (state[node->id] == 2) return OK;
    if (state[node->id] == 1)
        return schema_wrong(schema, node, "a schema refers to itself without an end");
    if (depth == 0) return fail(LIMIT, "json_schema: it nests too deep");
    state[node->id] = 1;
    TRY(compile_work(schema->compile, 16));
    if (ref && ref->kind == JSON_STRING) {
        struct node *target;
        TRY(schema_resolve(schema, ref, &target));
        TRY(look(schema, state, target, depth - 1));
    }
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (!ref || !schema->old_refs) TRY(look_below(schema, state, node, keywords[i], depth - 1));
    state[node->id] = 2;
    return OK;
}

/* Of all that a goal's solving may meet. */
static status check_progress(struct schema *schema, uint8_t *state, const uint32_t *literals,
                             uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (literal_kind(literals[i]) == LITERAL_SCHEMA)
            TRY(look(schema, state, schema->nodes[literals[i] >> 3], 400));
    return OK;
}

static status compile_goals(struct schema *schema) {
    uint8_t *state;
    COMPILE_TAKE(schema->compile, schema->n_nodes, &state);
    for (uint32_t goal = 0; goal < schema->goals.n; goal++) {
        struct lowering lowering = {schema->goal_rules[goal]};
        struct solver solver = {.schema = schema, .found = lower, .user = &lowering};
        const struct literals *todo = NULL;
        uint32_t n;
        const uint32_t *literals = set_table_get(&schema->goals, goal, &n);
        TRY(check_progress(schema, state, literals, n));
        for (uint32_t i = 0; i < n; i++) TRY(literals_add(schema, &todo, literals[i]));
        TRY(schema_solve(&solver, todo));
    }
    return OK;
}

static const char *no_name(const void *user, uint32_t rule) {
    (void)user;
    (void)rule;
    return NULL;
}

status schema_add(struct machine *machine, const char *text, size_t length, uint32_t *rule) {
    struct schema schema = {.machine = machine, .compile = machine->compile};
    TRY(schema_read_document(&schema, text, length));
    TRY(schema_basics(&schema));
    uint32_t root = literal_of(LITERAL_SCHEMA, schema.root, false);
    TRY(schema_goal(&schema, &root, 1, rule));
    if (*rule == AUTOMATON_NONE)
        return fail(INVALID_ARGUMENT, "json_schema: it is false: no text matches");
    return compile_goals(&schema);
}

status schema_compile(struct machine *machine, const char *text, size_t length) {
    TRY(schema_add(machine, text, length, &machine->root));
    return machine_finish(machine, no_name, NULL);
}
