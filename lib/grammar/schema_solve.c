/* Literals to conjunctions. A conjunction has all types at once; where a disjunction can't be said
 * within one, the search branches. */
#include <string.h>

#include "grammar/schema.h"

enum { MOST_BRANCHES = 20000, MOST_NESTED = 400, PROOF_DEPTH = 4 };

status literals_add(struct schema *schema, const struct literals **list, uint32_t literal) {
    struct literals *fresh;
    COMPILE_TAKE(schema->compile, 1, &fresh);
    *fresh = (struct literals){literal, *list};
    *list = fresh;
    return OK;
}

status schema_add_key_rule(struct schema *schema, const struct key_rule **list,
                           struct key_rule rule) {
    struct key_rule *fresh;
    COMPILE_TAKE(schema->compile, 1, &fresh);
    *fresh = rule;
    fresh->next = *list;
    *list = fresh;
    return OK;
}

status schema_add_item_rule(struct schema *schema, const struct item_rule **list,
                            struct item_rule rule) {
    struct item_rule *fresh;
    COMPILE_TAKE(schema->compile, 1, &fresh);
    *fresh = rule;
    fresh->next = *list;
    *list = fresh;
    return OK;
}

static bool has(const struct literals *list, uint32_t literal) {
    for (; list; list = list->next)
        if (list->literal == literal) return true;
    return false;
}

/* A schema is the conjunction of its keywords. */
static status apply_schema(struct application *application, const struct node *node,
                           bool negative) {
    struct solver *solver = application->solver;
    struct schema *schema = solver->schema;
    const struct node *ref = schema_member(node, "$ref");
    if (node->kind == JSON_TRUE || node->kind == JSON_FALSE) {
        if ((node->kind == JSON_TRUE) == negative) application->branched = true; /* no branch */
        return OK;
    }
    if (node->kind != JSON_OBJECT)
        return schema_wrong(schema, node, "a schema is neither an object nor true or false");
    if (ref && schema->old_refs)
        return literals_add(schema, application->todo, literal_of(LITERAL_KEYWORD, ref, negative));
    for (uint32_t i = 0; i < node->n; i++) {
        uint32_t literal = literal_of(LITERAL_KEYWORD, node->items[i], negative);
        if (!negative) {
            TRY(literals_add(schema, application->todo, literal));
            continue;
        }
        const struct literals *todo = *application->todo;
        TRY(literals_add(schema, &todo, literal));
        TRY(schema_branch(solver, *application->conjunction, todo, application->done));
    }
    application->branched = negative;
    return OK;
}

static status apply(struct application *application, uint32_t literal) {
    const struct node *node = application->solver->schema->nodes[literal >> 3];
    bool negative = literal & 1;
    switch (literal_kind(literal)) {
    case LITERAL_SCHEMA:
        return apply_schema(application, node, negative);
    case LITERAL_KEYWORD:
        return schema_apply_keyword(application, node, negative);
    case LITERAL_VALUE:
        return schema_apply_value(application, node, negative);
    case LITERAL_DEPENDENT:
        return schema_apply_dependent(application, node, negative);
    }
    return OK;
}

status schema_branch(struct solver *solver, struct conjunction conjunction,
                     const struct literals *todo, const struct literals *done) {
    struct schema *schema = solver->schema;
    status result = OK;
    if (solver->stop) return OK;
    if (++schema->n_branches > MOST_BRANCHES)
        return fail(LIMIT, "json_schema: its alternatives combine in more than %d ways",
                    MOST_BRANCHES);
    if (schema->depth == MOST_NESTED) return fail(LIMIT, "json_schema: it nests too deep");
    schema->depth++;
    while (result == OK && todo && conjunction.types) {
        uint32_t literal = todo->literal;
        todo = todo->next;
        if (has(done, literal)) continue;
        if (has(done, literal ^ 1)) {
            schema->depth--;
            return OK;
        }
        struct application application = {
            .solver = solver, .conjunction = &conjunction, .todo = &todo};
        result = compile_work(schema->compile, 16);
        if (result == OK) result = literals_add(schema, &done, literal);
        application.done = done;
        if (result == OK) result = apply(&application, literal);
        if (result == OK && application.branched) {
            schema->depth--;
            return OK;
        }
    }
    schema->depth--;
    TRY(result);
    return conjunction.types && !solver->stop ? solver->found(solver, &conjunction) : OK;
}

status schema_solve(struct solver *solver, const struct literals *todo) {
    const struct conjunction all = {.types = TYPE_ALL,
                                    .max_properties = EXPRESSION_UNBOUNDED,
                                    .max_items = EXPRESSION_UNBOUNDED};
    return schema_branch(solver, all, todo, NULL);
}

/* ---- what strings there are ---- */

struct texts {
    const struct automaton *language;
    bool any, some;
};

static status add_texts(struct solver *solver, const struct conjunction *conjunction) {
    struct texts *texts = solver->user;
    struct automaton *both;
    if (!(conjunction->types & TYPE_STRING)) return OK;
    if (!conjunction->text) {
        texts->any = solver->stop = true;
        return OK;
    }
    if (texts->some) {
        TRY(automaton_combine(solver->schema->compile, texts->language, conjunction->text,
                              AUTOMATON_LABELS, &both));
        texts->language = both;
    } else {
        texts->language = conjunction->text;
    }
    texts->some = true;
    return OK;
}

status schema_text_language(struct schema *schema, uint32_t literal,
                            const struct automaton **language) {
    struct texts texts = {0};
    struct solver solver = {.schema = schema, .found = add_texts, .user = &texts};
    const struct literals *todo = NULL;
    TRY(literals_add(schema, &todo, literal));
    TRY(schema_solve(&solver, todo));
    if (!texts.any && !texts.some) return schema_words(schema, NULL, 0, true, 1, language);
    *language = texts.any ? NULL : texts.language;
    return OK;
}

/* ---- proofs that nothing is left, of alternatives that exclude each other ---- */

static status is_empty_at(struct schema *schema, const struct literals *literals, unsigned depth,
                          bool *empty);

struct proof {
    unsigned depth;
    bool some;
};

static status literals_of_name(struct schema *schema, const struct conjunction *conjunction,
                               struct text name, const struct literals **literals) {
    const struct key_rule *const lists[2] = {conjunction->keys, conjunction->wanted};
    for (int i = 0; i < 2; i++)
        for (const struct key_rule *rule = lists[i]; rule; rule = rule->next) {
            bool holds = rule->kind == KEY_NAME && schema_text_equal(rule->name, name);
            if (rule->kind == KEY_REST && i == 0 && !rule->of_value) {
                const struct node *properties = schema_member(rule->owner, "properties");
                holds = !schema_member(rule->owner, "patternProperties");
                for (uint32_t k = 0; properties && k < properties->n; k++)
                    holds = holds && !schema_text_equal(properties->keys[k], name);
            }
            if (holds) TRY(literals_add(schema, literals, rule->literal));
        }
    return OK;
}

static status object_is_empty(struct schema *schema, const struct conjunction *conjunction,
                              unsigned depth, bool *empty) {
    *empty = conjunction->min_properties > conjunction->max_properties;
    for (const struct key_rule *rule = conjunction->wanted; rule && !*empty; rule = rule->next) {
        const struct literals *literals = NULL;
        if (rule->kind != KEY_NAME) continue;
        TRY(literals_of_name(schema, conjunction, rule->name, &literals));
        TRY(is_empty_at(schema, literals, depth, empty));
    }
    return OK;
}

static status array_is_empty(struct schema *schema, const struct conjunction *conjunction,
                             unsigned depth, bool *empty) {
    *empty = conjunction->min_items > conjunction->max_items;
    for (uint32_t i = 0; i < conjunction->min_items && i < 4 && !*empty; i++) {
        const struct literals *literals = NULL;
        for (const struct item_rule *rule = conjunction->items; rule; rule = rule->next)
            if (rule->from <= i && i < rule->to)
                TRY(literals_add(schema, &literals, rule->literal));
        TRY(is_empty_at(schema, literals, depth, empty));
    }
    return OK;
}

static status look_for_some(struct solver *solver, const struct conjunction *conjunction) {
    struct schema *schema = solver->schema;
    struct proof *proof = solver->user;
    uint32_t types = conjunction->types;
    bool empty;
    if ((types & TYPE_STRING) && conjunction->text && automaton_is_empty(conjunction->text))
        types &= ~(uint32_t)TYPE_STRING;
    if ((types & TYPE_NUMBER) && conjunction->number) {
        struct automaton *left = (struct automaton *)(uintptr_t)conjunction->number;
        if (conjunction->integer)
            TRY(automaton_combine(schema->compile, conjunction->number, schema->integers,
                                  AUTOMATON_AND, &left));
        if (automaton_is_empty(left)) types &= ~(uint32_t)TYPE_NUMBER;
    }
    if (types & TYPE_OBJECT) {
        TRY(object_is_empty(schema, conjunction, proof->depth, &empty));
        if (empty) types &= ~(uint32_t)TYPE_OBJECT;
    }
    if (types & TYPE_ARRAY) {
        TRY(array_is_empty(schema, conjunction, proof->depth, &empty));
        if (empty) types &= ~(uint32_t)TYPE_ARRAY;
    }
    if (types) proof->some = solver->stop = true;
    return OK;
}

static status is_empty_at(struct schema *schema, const struct literals *literals, unsigned depth,
                          bool *empty) {
    *empty = false;
    if (depth == 0) return OK;
    struct proof proof = {.depth = depth - 1};
    struct solver solver = {.schema = schema, .found = look_for_some, .user = &proof};
    TRY(schema_solve(&solver, literals));
    *empty = !proof.some;
    return OK;
}

status schema_is_empty(struct schema *schema, const struct literals *literals, bool *empty) {
    return is_empty_at(schema, literals, PROOF_DEPTH, empty);
}
