/* What each keyword says, and what its opposite does. */
#include <string.h>

#include "grammar/schema.h"

/* ---- small steps ---- */

static status todo(struct application *to, enum literal_kind kind, const struct node *node,
                   bool negative) {
    return literals_add(to->solver->schema, to->todo, literal_of(kind, node, negative));
}

/* Goes on in a branch where, besides, these hold; both may be always. */
static status branch(struct application *to, struct conjunction conjunction, uint32_t first,
                     uint32_t second) {
    struct schema *schema = to->solver->schema;
    const struct literals *list = *to->todo;
    to->branched = true;
    if (first != schema->always) TRY(literals_add(schema, &list, first));
    if (second != schema->always) TRY(literals_add(schema, &list, second));
    return schema_branch(to->solver, conjunction, list, to->done);
}

static uint32_t of_schema(const struct node *node, bool negative) {
    return literal_of(LITERAL_SCHEMA, node, negative);
}

static uint32_t never(const struct schema *schema) {
    return schema->always ^ 1;
}

/* Only values of these types break the keyword: so only they are left. */
static void only(struct application *to, uint32_t types) {
    to->conjunction->types &= types;
}

static status restrict_text(struct application *to, const struct automaton *texts, bool negative) {
    struct conjunction *conjunction = to->conjunction;
    struct schema *schema = to->solver->schema;
    struct automaton *made;
    if (!negative && !conjunction->text) {
        conjunction->text = texts;
        return OK;
    }
    TRY(automaton_combine(schema->compile, conjunction->text ? conjunction->text : schema->any_text,
                          texts, negative ? AUTOMATON_MINUS : AUTOMATON_AND, &made));
    conjunction->text = made;
    return OK;
}

static status restrict_number(struct application *to, const struct automaton *numbers,
                              bool negative) {
    struct conjunction *conjunction = to->conjunction;
    struct schema *schema = to->solver->schema;
    struct automaton *made;
    if (!negative && !conjunction->number) {
        conjunction->number = numbers;
        return OK;
    }
    TRY(automaton_combine(schema->compile,
                          conjunction->number ? conjunction->number : schema->numbers, numbers,
                          negative ? AUTOMATON_MINUS : AUTOMATON_AND, &made));
    conjunction->number = made;
    return OK;
}

static status require_name(struct application *to, struct conjunction *conjunction,
                           struct text name, uint32_t literal) {
    conjunction->types &= TYPE_OBJECT;
    return schema_add_key_rule(
        to->solver->schema, &conjunction->wanted,
        (struct key_rule){.kind = KEY_NAME, .name = name, .literal = literal});
}

static status forbid_name(struct application *to, struct conjunction *conjunction,
                          struct text name) {
    struct schema *schema = to->solver->schema;
    return schema_add_key_rule(
        schema, &conjunction->keys,
        (struct key_rule){.kind = KEY_NAME, .name = name, .literal = never(schema)});
}

static status want_array(struct application *to, const struct node *member) {
    return member->kind == JSON_ARRAY
               ? OK
               : schema_wrong(to->solver->schema, member, "this is no array");
}

static status want_object(struct application *to, const struct node *member) {
    return member->kind == JSON_OBJECT
               ? OK
               : schema_wrong(to->solver->schema, member, "this is no object");
}

static status want_string(struct application *to, const struct node *member) {
    return member->kind == JSON_STRING
               ? OK
               : schema_wrong(to->solver->schema, member, "this is no string");
}

/* ---- any type ---- */

static uint32_t type_named(struct text name) {
    static const struct {
        const char *name;
        uint32_t type;
    } types[] = {{"null", TYPE_NULL},     {"boolean", TYPE_FALSE | TYPE_TRUE},
                 {"number", TYPE_NUMBER}, {"string", TYPE_STRING},
                 {"array", TYPE_ARRAY},   {"object", TYPE_OBJECT}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (schema_text_is(name, types[i].name)) return types[i].type;
    return 0;
}

static status apply_type(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    struct node *const *names = member->items, *const self = (struct node *)(uintptr_t)member;
    uint32_t n = member->n, types = 0;
    bool integer = false;
    if (member->kind == JSON_STRING) {
        names = &self;
        n = 1;
    } else {
        TRY(want_array(to, member));
    }
    for (uint32_t i = 0; i < n; i++) {
        TRY(want_string(to, names[i]));
        bool is_integer = schema_text_is(names[i]->text, "integer");
        uint32_t type = is_integer ? 0 : type_named(names[i]->text);
        if (!type && !is_integer) return schema_wrong(schema, names[i], "no such type");
        integer = integer || is_integer;
        types |= type;
    }
    integer = integer && !(types & TYPE_NUMBER);
    if (!negative) {
        only(to, types | (integer ? TYPE_NUMBER : 0));
        to->conjunction->integer = to->conjunction->integer || integer;
        return OK;
    }
    only(to, TYPE_ALL & ~types);
    return integer ? restrict_number(to, schema->whole_numbers, true) : OK;
}

static uint32_t type_of(const struct node *value) {
    static const uint32_t types[] = {
        [JSON_NULL] = TYPE_NULL,     [JSON_FALSE] = TYPE_FALSE,   [JSON_TRUE] = TYPE_TRUE,
        [JSON_NUMBER] = TYPE_NUMBER, [JSON_STRING] = TYPE_STRING, [JSON_ARRAY] = TYPE_ARRAY,
        [JSON_OBJECT] = TYPE_OBJECT};
    return types[value->kind];
}

/* One of these values that are neither arrays nor objects. */
static status apply_scalars(struct application *to, struct node *const *values, uint32_t n) {
    struct schema *schema = to->solver->schema;
    struct text *words, *numbers;
    uint32_t n_words = 0, n_numbers = 0, types = 0;
    const struct automaton *made;
    COMPILE_TAKE(schema->compile, n, &words);
    COMPILE_TAKE(schema->compile, n, &numbers);
    for (uint32_t i = 0; i < n; i++) {
        struct decimal decimal;
        if (values[i]->kind == JSON_ARRAY || values[i]->kind == JSON_OBJECT) continue;
        types |= type_of(values[i]);
        if (values[i]->kind == JSON_STRING) words[n_words++] = values[i]->text;
        if (values[i]->kind != JSON_NUMBER) continue;
        TRY(schema_decimal(schema, values[i], &decimal));
        TRY(schema_decimal_text(schema, &decimal, &numbers[n_numbers++]));
    }
    only(to, types);
    if (n_words && (to->conjunction->types & TYPE_STRING)) {
        TRY(schema_words(schema, words, n_words, true, 1, &made));
        TRY(restrict_text(to, made, false));
    }
    if (n_numbers && (to->conjunction->types & TYPE_NUMBER)) {
        TRY(schema_words(schema, numbers, n_numbers, true, 1, &made));
        TRY(restrict_number(to, made, false));
    }
    return OK;
}

static status apply_enum(struct application *to, const struct node *member, bool negative) {
    uint32_t n_scalars = 0;
    TRY(want_array(to, member));
    for (uint32_t i = 0; i < member->n; i++) {
        if (negative) TRY(todo(to, LITERAL_VALUE, member->items[i], true));
        n_scalars += member->items[i]->kind != JSON_ARRAY && member->items[i]->kind != JSON_OBJECT;
    }
    if (negative) return OK;
    if (n_scalars == member->n) return apply_scalars(to, member->items, member->n);
    for (uint32_t i = 0; i < member->n; i++)
        if (member->items[i]->kind == JSON_ARRAY || member->items[i]->kind == JSON_OBJECT)
            TRY(branch(to, *to->conjunction, literal_of(LITERAL_VALUE, member->items[i], false),
                       to->solver->schema->always));
    to->branched = true;
    if (!n_scalars) return OK;
    struct conjunction scalars = *to->conjunction;
    struct application own = *to;
    own.conjunction = &scalars;
    TRY(apply_scalars(&own, member->items, member->n));
    return schema_branch(to->solver, scalars, *to->todo, to->done);
}

static status be_array(struct application *to, const struct node *value) {
    struct conjunction *conjunction = to->conjunction;
    if (conjunction->min_items > value->n || conjunction->max_items < value->n) only(to, 0);
    conjunction->min_items = conjunction->max_items = value->n;
    for (uint32_t i = 0; i < value->n; i++)
        TRY(schema_add_item_rule(
            to->solver->schema, &conjunction->items,
            (struct item_rule){.from = i,
                               .to = i + 1,
                               .literal = literal_of(LITERAL_VALUE, value->items[i], false)}));
    return OK;
}

static status be_object(struct application *to, const struct node *value) {
    struct schema *schema = to->solver->schema;
    struct conjunction *conjunction = to->conjunction;
    for (uint32_t i = 0; i < value->n; i++)
        TRY(require_name(to, conjunction, value->keys[i],
                         literal_of(LITERAL_VALUE, value->items[i], false)));
    return schema_add_key_rule(
        schema, &conjunction->keys,
        (struct key_rule){
            .kind = KEY_REST, .owner = value, .of_value = true, .literal = never(schema)});
}

static status differ_from_array(struct application *to, const struct node *value) {
    struct schema *schema = to->solver->schema;
    struct conjunction other = *to->conjunction;
    other.types &= ~(uint32_t)TYPE_ARRAY;
    TRY(branch(to, other, schema->always, schema->always));
    other = *to->conjunction;
    other.types &= TYPE_ARRAY;
    if (value->n && other.max_items >= value->n) other.max_items = value->n - 1;
    if (value->n) TRY(branch(to, other, schema->always, schema->always));
    for (uint32_t i = 0; i <= value->n; i++) {
        other = *to->conjunction;
        other.types &= TYPE_ARRAY;
        if (other.min_items < i + 1) other.min_items = i + 1;
        if (i < value->n)
            TRY(schema_add_item_rule(
                schema, &other.items,
                (struct item_rule){.from = i,
                                   .to = i + 1,
                                   .literal = literal_of(LITERAL_VALUE, value->items[i], true)}));
        TRY(branch(to, other, schema->always, schema->always));
    }
    return OK;
}

static status differ_from_object(struct application *to, const struct node *value) {
    struct schema *schema = to->solver->schema;
    struct conjunction other = *to->conjunction;
    other.types &= ~(uint32_t)TYPE_OBJECT;
    TRY(branch(to, other, schema->always, schema->always));
    for (uint32_t i = 0; i < value->n; i++) {
        other = *to->conjunction;
        other.types &= TYPE_OBJECT;
        TRY(forbid_name(to, &other, value->keys[i]));
        TRY(branch(to, other, schema->always, schema->always));
        other = *to->conjunction;
        TRY(require_name(to, &other, value->keys[i],
                         literal_of(LITERAL_VALUE, value->items[i], true)));
        TRY(branch(to, other, schema->always, schema->always));
    }
    other = *to->conjunction;
    other.types &= TYPE_OBJECT;
    TRY(schema_add_key_rule(
        schema, &other.wanted,
        (struct key_rule){
            .kind = KEY_REST, .owner = value, .of_value = true, .literal = schema->always}));
    return branch(to, other, schema->always, schema->always);
}

status schema_apply_value(struct application *to, const struct node *value, bool negative) {
    struct schema *schema = to->solver->schema;
    struct node *self = (struct node *)(uintptr_t)value;
    uint32_t type = type_of(value);
    if (negative && !(to->conjunction->types & type)) return OK;
    if (!negative) only(to, type);
    if (value->kind == JSON_ARRAY)
        return negative ? differ_from_array(to, value) : be_array(to, value);
    if (value->kind == JSON_OBJECT)
        return negative ? differ_from_object(to, value) : be_object(to, value);
    if (!negative) return apply_scalars(to, &self, 1);
    if (value->kind == JSON_STRING) {
        const struct automaton *word;
        TRY(schema_words(schema, &value->text, 1, true, 1, &word));
        return restrict_text(to, word, true);
    }
    if (value->kind == JSON_NUMBER) {
        struct decimal decimal;
        const struct automaton *equal;
        TRY(schema_decimal(schema, value, &decimal));
        TRY(schema_compare(schema, &decimal, 2, &equal));
        return restrict_number(to, equal, true);
    }
    only(to, TYPE_ALL & ~type);
    return OK;
}

/* ---- schemas together ---- */

static status apply_all(struct application *to, const struct node *member, bool negative) {
    TRY(want_array(to, member));
    for (uint32_t i = 0; i < member->n; i++)
        if (negative)
            TRY(branch(to, *to->conjunction, of_schema(member->items[i], true),
                       to->solver->schema->always));
        else
            TRY(todo(to, LITERAL_SCHEMA, member->items[i], false));
    to->branched = negative;
    return OK;
}

static status apply_any(struct application *to, const struct node *member, bool negative) {
    TRY(want_array(to, member));
    for (uint32_t i = 0; i < member->n; i++)
        if (!negative)
            TRY(branch(to, *to->conjunction, of_schema(member->items[i], false),
                       to->solver->schema->always));
        else
            TRY(todo(to, LITERAL_SCHEMA, member->items[i], true));
    to->branched = !negative;
    return OK;
}

/* Alternative i without those that it doesn't exclude by itself. */
static status apply_one(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    TRY(want_array(to, member));
    for (uint32_t i = 0; i < member->n; i++) {
        struct application own = *to;
        const struct literals *list = *to->todo;
        own.todo = &list;
        for (uint32_t j = 0; j < member->n; j++) {
            const struct literals *pair = NULL;
            bool excluded;
            if (j == i) continue;
            if (negative) { /* two of them */
                if (j > i)
                    TRY(branch(to, *to->conjunction, of_schema(member->items[i], false),
                               of_schema(member->items[j], false)));
                continue;
            }
            TRY(literals_add(schema, &pair, of_schema(member->items[i], false)));
            TRY(literals_add(schema, &pair, of_schema(member->items[j], false)));
            TRY(schema_is_empty(schema, pair, &excluded));
            if (!excluded) TRY(todo(&own, LITERAL_SCHEMA, member->items[j], true));
        }
        if (!negative)
            TRY(branch(&own, *to->conjunction, of_schema(member->items[i], false), schema->always));
    }
    if (negative) return apply_any(to, member, true); /* or none */
    to->branched = true;
    return OK;
}

static status apply_if(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    const struct node *then = schema_member(member->parent, "then");
    const struct node *other = schema_member(member->parent, "else");
    uint32_t holds = then ? of_schema(then, negative) : schema->always ^ negative;
    uint32_t fails = other ? of_schema(other, negative) : schema->always ^ negative;
    if (!then && !other) {
        to->branched = negative;
        return OK;
    }
    TRY(branch(to, *to->conjunction, of_schema(member, false), holds));
    return branch(to, *to->conjunction, of_schema(member, true), fails);
}

static status apply_ref(struct application *to, const struct node *member, bool negative) {
    struct node *target;
    TRY(schema_resolve(to->solver->schema, member, &target));
    return todo(to, LITERAL_SCHEMA, target, negative);
}

/* ---- objects ---- */

static status apply_properties(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    TRY(want_object(to, member));
    for (uint32_t i = 0; i < member->n; i++) {
        struct conjunction other = *to->conjunction;
        if (!negative) {
            TRY(schema_add_key_rule(
                schema, &to->conjunction->keys,
                (struct key_rule){.kind = KEY_NAME,
                                  .name = member->keys[i],
                                  .literal = of_schema(member->items[i], false)}));
            continue;
        }
        TRY(require_name(to, &other, member->keys[i], of_schema(member->items[i], true)));
        TRY(branch(to, other, schema->always, schema->always));
    }
    to->branched = negative;
    return OK;
}

/* A key of a kind whose value isn't so: later ones of the same name might be the ones that count,
 * so it is done only where any value of such a key is wrong. */
static status want_key(struct application *to, const struct node *at, struct key_rule rule,
                       const struct node *schema_node) {
    struct schema *schema = to->solver->schema;
    if (schema_node && schema_node->kind != JSON_FALSE)
        return schema_refuse(schema, at, "the opposite (by not, oneOf or if) of this keyword");
    to->conjunction->types &= TYPE_OBJECT;
    rule.literal = schema->always;
    return schema_add_key_rule(schema, &to->conjunction->wanted, rule);
}

status schema_pattern(struct schema *schema, const struct node *value,
                      const struct automaton **pattern) {
    struct text key = value->parent->keys[value->index];
    if (!schema->patterns[value->id]) {
        const struct automaton *made;
        TRY(schema_regex(schema, schema_pointer(schema, value), key.data, key.length, true, &made));
        schema->patterns[value->id] = (struct automaton *)(uintptr_t)made;
    }
    *pattern = schema->patterns[value->id];
    return OK;
}

static status apply_patterns(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    TRY(want_object(to, member));
    for (uint32_t i = 0; i < member->n; i++) {
        struct key_rule rule = {.kind = KEY_PATTERN, .literal = of_schema(member->items[i], false)};
        TRY(schema_pattern(schema, member->items[i], &rule.pattern));
        if (!negative) {
            TRY(schema_add_key_rule(schema, &to->conjunction->keys, rule));
            continue;
        }
        struct conjunction other = *to->conjunction;
        struct application own = *to;
        own.conjunction = &other;
        if (member->items[i]->kind == JSON_TRUE) continue;
        TRY(want_key(&own, member->items[i], rule, member->items[i]));
        TRY(branch(to, other, schema->always, schema->always));
    }
    to->branched = negative;
    return OK;
}

static status apply_additional(struct application *to, const struct node *member, bool negative) {
    struct key_rule rule = {
        .kind = KEY_REST, .owner = member->parent, .literal = of_schema(member, false)};
    if (!negative) return schema_add_key_rule(to->solver->schema, &to->conjunction->keys, rule);
    if (member->kind == JSON_TRUE) {
        to->branched = true;
        return OK;
    }
    return want_key(to, member, rule, member);
}

static status apply_names(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    const struct automaton *names;
    struct automaton *others;
    TRY(schema_text_language(schema, of_schema(member, false), &names));
    if (!names) {
        to->branched = negative;
        return OK;
    }
    TRY(automaton_combine(schema->compile, schema->any_text, names, AUTOMATON_MINUS, &others));
    struct key_rule rule = {.kind = KEY_PATTERN, .pattern = others, .literal = never(schema)};
    if (!negative) return schema_add_key_rule(schema, &to->conjunction->keys, rule);
    return want_key(to, member, rule, NULL);
}

static status apply_required(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    if (member->kind == JSON_TRUE || member->kind == JSON_FALSE)
        return schema_refuse(schema, member, "required as a boolean, of draft 3,");
    TRY(want_array(to, member));
    for (uint32_t i = 0; i < member->n; i++) {
        struct conjunction other = *to->conjunction;
        TRY(want_string(to, member->items[i]));
        if (!negative) {
            TRY(schema_add_key_rule(schema, &to->conjunction->wanted,
                                    (struct key_rule){.kind = KEY_NAME,
                                                      .name = member->items[i]->text,
                                                      .literal = schema->always}));
            continue;
        }
        other.types &= TYPE_OBJECT;
        TRY(forbid_name(to, &other, member->items[i]->text));
        TRY(branch(to, other, schema->always, schema->always));
    }
    to->branched = negative;
    return OK;
}

static status apply_dependencies(struct application *to, const struct node *member, bool negative) {
    TRY(want_object(to, member));
    for (uint32_t i = 0; i < member->n; i++)
        if (negative)
            TRY(branch(to, *to->conjunction, literal_of(LITERAL_DEPENDENT, member->items[i], true),
                       to->solver->schema->always));
        else
            TRY(todo(to, LITERAL_DEPENDENT, member->items[i], false));
    to->branched = negative;
    return OK;
}

/* Where there is a property of this key, what the value says holds: names, or a schema. */
status schema_apply_dependent(struct application *to, const struct node *value, bool negative) {
    struct schema *schema = to->solver->schema;
    struct text name = value->parent->keys[value->index];
    struct conjunction without = *to->conjunction, with = *to->conjunction;
    TRY(require_name(to, &with, name, schema->always));
    if (!negative) {
        TRY(forbid_name(to, &without, name));
        TRY(branch(to, without, schema->always, schema->always));
    }
    to->branched = true;
    if (value->kind != JSON_ARRAY)
        return branch(to, with, of_schema(value, negative), schema->always);
    for (uint32_t i = 0; i < value->n; i++) {
        struct conjunction lacks = with;
        TRY(want_string(to, value->items[i]));
        if (!negative) {
            TRY(require_name(to, &with, value->items[i]->text, schema->always));
            continue;
        }
        TRY(forbid_name(to, &lacks, value->items[i]->text));
        TRY(branch(to, lacks, schema->always, schema->always));
    }
    return negative ? OK : branch(to, with, schema->always, schema->always);
}

/* ---- arrays ---- */

static status apply_items_from(struct application *to, const struct node *member, uint32_t from,
                               bool negative) {
    struct schema *schema = to->solver->schema;
    if (negative) {
        only(to, TYPE_ARRAY);
        return schema_add_item_rule(schema, &to->conjunction->counts,
                                    (struct item_rule){.from = from,
                                                       .to = EXPRESSION_UNBOUNDED,
                                                       .literal = of_schema(member, true),
                                                       .min = 1,
                                                       .max = EXPRESSION_UNBOUNDED});
    }
    return schema_add_item_rule(schema, &to->conjunction->items,
                                (struct item_rule){.from = from,
                                                   .to = EXPRESSION_UNBOUNDED,
                                                   .literal = of_schema(member, false)});
}

static status apply_prefix(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    TRY(want_array(to, member));
    for (uint32_t i = 0; i < member->n; i++) {
        struct conjunction other = *to->conjunction;
        struct item_rule rule = {
            .from = i, .to = i + 1, .literal = of_schema(member->items[i], negative)};
        if (!negative) {
            TRY(schema_add_item_rule(schema, &to->conjunction->items, rule));
            continue;
        }
        other.types &= TYPE_ARRAY;
        if (other.min_items < i + 1) other.min_items = i + 1;
        TRY(schema_add_item_rule(schema, &other.items, rule));
        TRY(branch(to, other, schema->always, schema->always));
    }
    to->branched = negative;
    return OK;
}

static status apply_items(struct application *to, const struct node *member, bool negative) {
    const struct node *prefix = schema_member(member->parent, "prefixItems");
    if (member->kind == JSON_ARRAY) return apply_prefix(to, member, negative);
    return apply_items_from(to, member, prefix ? prefix->n : 0, negative);
}

static status apply_additional_items(struct application *to, const struct node *member,
                                     bool negative) {
    const struct node *items = schema_member(member->parent, "items");
    if (items && items->kind == JSON_ARRAY) return apply_items_from(to, member, items->n, negative);
    to->branched = negative;
    return OK;
}

static status apply_contains(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    const struct node *least = schema_member(member->parent, "minContains");
    const struct node *most = schema_member(member->parent, "maxContains");
    struct item_rule rule = {.to = EXPRESSION_UNBOUNDED,
                             .literal = of_schema(member, false),
                             .min = 1,
                             .max = EXPRESSION_UNBOUNDED};
    if (least) TRY(schema_count(schema, least, &rule.min));
    if (most) TRY(schema_count(schema, most, &rule.max));
    if (!negative) {
        if (rule.min == 0 && rule.max == EXPRESSION_UNBOUNDED) return OK;
        return schema_add_item_rule(schema, &to->conjunction->counts, rule);
    }
    const uint32_t min = rule.min, max = rule.max;
    only(to, TYPE_ARRAY);
    for (int more = 0; more < 2; more++) {
        struct conjunction other = *to->conjunction;
        if (more ? max == EXPRESSION_UNBOUNDED : min == 0) continue;
        rule.min = more ? max + 1 : 0;
        rule.max = more ? EXPRESSION_UNBOUNDED : min - 1;
        TRY(schema_add_item_rule(schema, &other.counts, rule));
        TRY(branch(to, other, schema->always, schema->always));
    }
    to->branched = true;
    return OK;
}

static status apply_unique(struct application *to, const struct node *member, bool negative) {
    if (member->kind == JSON_FALSE) {
        to->branched = negative;
        return OK;
    }
    if (negative) return schema_refuse(to->solver->schema, member, "the opposite of uniqueItems");
    to->conjunction->unique = member;
    return OK;
}

/* ---- counts ---- */

/* At least (or most) so many; the opposite is at most (least) one less (more). */
static status apply_count(struct application *to, const struct node *member, uint32_t type,
                          bool most, bool negative, uint32_t *min, uint32_t *max) {
    uint32_t count;
    TRY(schema_count(to->solver->schema, member, &count));
    if (negative) {
        only(to, type);
        if (!most && count == 0) only(to, 0);
        count = most ? count + 1 : count - 1;
    }
    if (most != negative) {
        if (count < *max) *max = count;
    } else if (count > *min) {
        *min = count;
    }
    return OK;
}

static status apply_length(struct application *to, const struct node *member, bool most,
                           bool negative) {
    struct schema *schema = to->solver->schema;
    const struct automaton *made;
    uint32_t count;
    TRY(schema_count(schema, member, &count));
    if (negative) only(to, TYPE_STRING);
    TRY(schema_length(schema, most ? 0 : count, most ? count : EXPRESSION_UNBOUNDED, &made));
    return restrict_text(to, made, negative);
}

/* ---- the table ---- */

enum keyword {
    KEYWORD_IGNORED,
    KEYWORD_REFUSED,
    KEYWORD_TYPE,
    KEYWORD_ENUM,
    KEYWORD_CONST,
    KEYWORD_ALL,
    KEYWORD_ANY,
    KEYWORD_ONE,
    KEYWORD_NOT,
    KEYWORD_IF,
    KEYWORD_REF,
    KEYWORD_PROPERTIES,
    KEYWORD_PATTERNS,
    KEYWORD_ADDITIONAL,
    KEYWORD_NAMES,
    KEYWORD_REQUIRED,
    KEYWORD_DEPENDENCIES,
    KEYWORD_ITEMS,
    KEYWORD_PREFIX,
    KEYWORD_ADDITIONAL_ITEMS,
    KEYWORD_CONTAINS,
    KEYWORD_UNIQUE,
    KEYWORD_MIN_PROPERTIES,
    KEYWORD_MAX_PROPERTIES,
    KEYWORD_MIN_ITEMS,
    KEYWORD_MAX_ITEMS,
    KEYWORD_MIN_LENGTH,
    KEYWORD_MAX_LENGTH,
    KEYWORD_PATTERN,
    KEYWORD_FORMAT,
    KEYWORD_MINIMUM,
    KEYWORD_MAXIMUM,
    KEYWORD_OVER,
    KEYWORD_UNDER,
    KEYWORD_MULTIPLE
};

static enum keyword keyword_named(struct text name) {
    static const struct {
        const char *name;
        enum keyword keyword;
    } keywords[] = {
        {"type", KEYWORD_TYPE},
        {"enum", KEYWORD_ENUM},
        {"const", KEYWORD_CONST},
        {"allOf", KEYWORD_ALL},
        {"anyOf", KEYWORD_ANY},
        {"oneOf", KEYWORD_ONE},
        {"not", KEYWORD_NOT},
        {"if", KEYWORD_IF},
        {"$ref", KEYWORD_REF},
        {"properties", KEYWORD_PROPERTIES},
        {"patternProperties", KEYWORD_PATTERNS},
        {"additionalProperties", KEYWORD_ADDITIONAL},
        {"propertyNames", KEYWORD_NAMES},
        {"required", KEYWORD_REQUIRED},
        {"dependentRequired", KEYWORD_DEPENDENCIES},
        {"dependentSchemas", KEYWORD_DEPENDENCIES},
        {"dependencies", KEYWORD_DEPENDENCIES},
        {"items", KEYWORD_ITEMS},
        {"prefixItems", KEYWORD_PREFIX},
        {"additionalItems", KEYWORD_ADDITIONAL_ITEMS},
        {"contains", KEYWORD_CONTAINS},
        {"uniqueItems", KEYWORD_UNIQUE},
        {"minProperties", KEYWORD_MIN_PROPERTIES},
        {"maxProperties", KEYWORD_MAX_PROPERTIES},
        {"minItems", KEYWORD_MIN_ITEMS},
        {"maxItems", KEYWORD_MAX_ITEMS},
        {"minLength", KEYWORD_MIN_LENGTH},
        {"maxLength", KEYWORD_MAX_LENGTH},
        {"pattern", KEYWORD_PATTERN},
        {"format", KEYWORD_FORMAT},
        {"minimum", KEYWORD_MINIMUM},
        {"maximum", KEYWORD_MAXIMUM},
        {"exclusiveMinimum", KEYWORD_OVER},
        {"exclusiveMaximum", KEYWORD_UNDER},
        {"multipleOf", KEYWORD_MULTIPLE},
    };
    static const char *const ignored[] = {"then",
                                          "else",
                                          "minContains",
                                          "maxContains",
                                          "title",
                                          "description",
                                          "default",
                                          "examples",
                                          "$comment",
                                          "deprecated",
                                          "readOnly",
                                          "writeOnly",
                                          "$schema",
                                          "$id",
                                          "$anchor",
                                          "$defs",
                                          "definitions",
                                          "contentEncoding",
                                          "contentMediaType",
                                          "contentSchema"};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (schema_text_is(name, keywords[i].name)) return keywords[i].keyword;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (schema_text_is(name, ignored[i])) return KEYWORD_IGNORED;
    bool own = name.length > 2 && memcmp(name.data, "x-", 2) == 0;
    return own ? KEYWORD_IGNORED : KEYWORD_REFUSED;
}

static status apply_bound(struct application *to, const struct node *member, unsigned relations,
                          bool negative) {
    struct decimal decimal;
    const struct automaton *made;
    if (member->kind == JSON_TRUE || member->kind == JSON_FALSE)
        return schema_refuse(to->solver->schema, member, "a bound as a boolean, of draft 4,");
    TRY(schema_decimal(to->solver->schema, member, &decimal));
    if (negative) only(to, TYPE_NUMBER);
    TRY(schema_compare(to->solver->schema, &decimal, negative ? relations ^ 7 : relations, &made));
    return restrict_number(to, made, false);
}

static status apply_text_keyword(struct application *to, const struct node *member,
                                 enum keyword keyword, bool negative) {
    struct schema *schema = to->solver->schema;
    const struct automaton *made;
    TRY(want_string(to, member));
    const char *regex = member->text.data;
    size_t length = member->text.length;
    if (keyword == KEYWORD_FORMAT) {
        regex = schema_format(member->text);
        if (!regex) { /* what isn't known says nothing */
            to->branched = negative;
            return OK;
        }
        length = strlen(regex);
    }
    if (negative) only(to, TYPE_STRING);
    if (!(to->conjunction->types & TYPE_STRING)) return OK;
    TRY(schema_regex(schema, schema_pointer(schema, member), regex, length,
                     keyword == KEYWORD_PATTERN, &made));
    return restrict_text(to, made, negative);
}

static status apply_counted(struct application *to, const struct node *member, enum keyword keyword,
                            bool negative) {
    struct conjunction *conjunction = to->conjunction;
    bool properties = keyword == KEYWORD_MIN_PROPERTIES || keyword == KEYWORD_MAX_PROPERTIES;
    bool most = keyword == KEYWORD_MAX_PROPERTIES || keyword == KEYWORD_MAX_ITEMS;
    return apply_count(to, member, properties ? TYPE_OBJECT : TYPE_ARRAY, most, negative,
                       properties ? &conjunction->min_properties : &conjunction->min_items,
                       properties ? &conjunction->max_properties : &conjunction->max_items);
}

status schema_apply_keyword(struct application *to, const struct node *member, bool negative) {
    struct schema *schema = to->solver->schema;
    struct text name = member->parent->keys[member->index];
    enum keyword keyword = keyword_named(name);
    const struct automaton *made;
    switch (keyword) {
    case KEYWORD_IGNORED:
        to->branched = negative;
        return OK; /* it always holds */
    case KEYWORD_REFUSED:
        return schema_refuse(schema, member, "this keyword");
    case KEYWORD_TYPE:
        return apply_type(to, member, negative);
    case KEYWORD_ENUM:
        return apply_enum(to, member, negative);
    case KEYWORD_CONST:
        return todo(to, LITERAL_VALUE, member, negative);
    case KEYWORD_ALL:
        return apply_all(to, member, negative);
    case KEYWORD_ANY:
        return apply_any(to, member, negative);
    case KEYWORD_ONE:
        return apply_one(to, member, negative);
    case KEYWORD_NOT:
        return todo(to, LITERAL_SCHEMA, member, !negative);
    case KEYWORD_IF:
        return apply_if(to, member, negative);
    case KEYWORD_REF:
        return apply_ref(to, member, negative);
    case KEYWORD_PROPERTIES:
        return apply_properties(to, member, negative);
    case KEYWORD_PATTERNS:
        return apply_patterns(to, member, negative);
    case KEYWORD_ADDITIONAL:
        return apply_additional(to, member, negative);
    case KEYWORD_NAMES:
        return apply_names(to, member, negative);
    case KEYWORD_REQUIRED:
        return apply_required(to, member, negative);
    case KEYWORD_DEPENDENCIES:
        return apply_dependencies(to, member, negative);
    case KEYWORD_ITEMS:
        return apply_items(to, member, negative);
    case KEYWORD_PREFIX:
        return apply_prefix(to, member, negative);
    case KEYWORD_ADDITIONAL_ITEMS:
        return apply_additional_items(to, member, negative);
    case KEYWORD_CONTAINS:
        return apply_contains(to, member, negative);
    case KEYWORD_UNIQUE:
        return apply_unique(to, member, negative);
    case KEYWORD_MIN_PROPERTIES:
    case KEYWORD_MAX_PROPERTIES:
    case KEYWORD_MIN_ITEMS:
    case KEYWORD_MAX_ITEMS:
        return apply_counted(to, member, keyword, negative);
    case KEYWORD_MIN_LENGTH:
    case KEYWORD_MAX_LENGTH:
        return apply_length(to, member, keyword == KEYWORD_MAX_LENGTH, negative);
    case KEYWORD_PATTERN:
    case KEYWORD_FORMAT:
        return apply_text_keyword(to, member, keyword, negative);
    case KEYWORD_MINIMUM:
        return apply_bound(to, member, 6, negative);
    case KEYWORD_MAXIMUM:
        return apply_bound(to, member, 3, negative);
    case KEYWORD_OVER:
        return apply_bound(to, member, 4, negative);
    case KEYWORD_UNDER:
        return apply_bound(to, member, 1, negative);
    case KEYWORD_MULTIPLE:
        if (negative) only(to, TYPE_NUMBER);
        TRY(schema_multiples(schema, member, &made));
        return restrict_number(to, made, negative);
    }
    return OK;
}
