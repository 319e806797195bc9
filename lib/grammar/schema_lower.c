/* Conjunctions as automata: what texts their values have. */
#include <string.h>

#include "grammar/schema.h"

enum { MOST_PATTERNS = 24, MOST_COUNTS = 4, MOST_COUNT = 255, MOST_ITEMS = 10000 };

/* ---- null, false, true, numbers and strings ---- */

/* The code + 1 that *known keeps, of an automaton that is made once. */
static status add_shared(struct schema *schema, const struct automaton *automaton, uint32_t *known,
                         uint32_t rule) {
    if (!*known) {
        TRY(machine_add_automaton(schema->machine, automaton, known));
        ++*known;
    }
    return machine_add_start(schema->machine, rule, *known - 1);
}

static status add_regex(struct schema *schema, const char *regex, uint32_t *known, uint32_t rule) {
    const struct automaton *made = NULL;
    if (!*known) TRY(schema_regex(schema, "value", regex, strlen(regex), false, &made));
    return add_shared(schema, made, known, rule);
}

static status lower_words(struct schema *schema, uint32_t types, uint32_t rule) {
    static const struct text all[] = {{"null", 4}, {"false", 5}, {"true", 4}};
    struct text words[3];
    uint32_t n = 0;
    const struct automaton *made = NULL;
    for (uint32_t i = 0; i < 3; i++)
        if (types >> i & 1) words[n++] = all[i];
    if (n == 0) return OK;
    uint32_t *known = &schema->word_codes[types & 7];
    if (!*known) TRY(schema_words(schema, words, n, true, 1, &made));
    return add_shared(schema, made, known, rule);
}

static status lower_number(struct schema *schema, const struct conjunction *conjunction,
                           uint32_t rule) {
    struct automaton *integers;
    const struct automaton *numbers = conjunction->number;
    uint32_t code = 0;
    if (!numbers && conjunction->integer)
        return add_shared(schema, schema->integers, &schema->integer_code, rule);
    if (!numbers)
        return add_regex(schema, "-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?",
                         &schema->any_number_code, rule);
    if (conjunction->integer) {
        TRY(automaton_combine(schema->compile, numbers, schema->integers, AUTOMATON_AND,
                              &integers));
        numbers = integers;
    }
    return add_shared(schema, numbers, &code, rule);
}

#define HEX "[0-9A-Fa-f]"
#define ANY_STRING                                                                             \
    "\"([^\"\\\\\\x00-\\x1f]|\\\\[\"\\\\/bfnrt]|\\\\u([0-9A-CEFa-cef]" HEX "{3}|[Dd][0-7]" HEX \
    "{2}|[Dd][89ABab]" HEX "{2}\\\\u[Dd][C-Fc-f]" HEX "{2}))*\""

static status lower_string(struct schema *schema, const struct conjunction *conjunction,
                           uint32_t rule) {
    const struct automaton *quoted;
    uint32_t code = 0;
    if (!conjunction->text) return add_regex(schema, ANY_STRING, &schema->any_string_code, rule);
    TRY(schema_quote(schema, conjunction->text, &quoted));
    return add_shared(schema, quoted, &code, rule);
}

/* ---- arrays: an automaton over brackets and commas that calls items' rules ---- */

struct array {
    struct schema *schema;
    const struct conjunction *conjunction;
    uint32_t last; /* items from here on are all alike */
    struct item_rule counts[MOST_COUNTS];
    uint32_t n_counts;
    /* Of the automaton: state 0 is before the bracket, 1 behind the last one. */
    struct set_table states; /* position * 2 + behind an item, counts */
    struct automaton_call *calls;
    uint32_t *first_call, n_calls, call_capacity, first_capacity;
    uint32_t *next, next_capacity;
    uint64_t *label;
    uint32_t label_capacity;
};

enum { CLASS_OTHER, CLASS_OPEN, CLASS_CLOSE, CLASS_COMMA, CLASS_SPACE, N_CLASSES };

static void reach(uint32_t bound, uint32_t *last) {
    if (bound != EXPRESSION_UNBOUNDED && bound > *last) *last = bound;
}

static status measure_array(struct array *array) {
    const struct conjunction *conjunction = array->conjunction;
    struct schema *schema = array->schema;
    reach(conjunction->min_items, &array->last);
    reach(conjunction->max_items, &array->last);
    for (const struct item_rule *rule = conjunction->items; rule; rule = rule->next) {
        reach(rule->from, &array->last);
        reach(rule->to, &array->last);
    }
    for (const struct item_rule *rule = conjunction->counts; rule; rule = rule->next) {
        if (array->n_counts == MOST_COUNTS)
            return fail(LIMIT, "json_schema: more than %d counts of an array's items", MOST_COUNTS);
        if (rule->min > MOST_COUNT ||
            (rule->max >= MOST_COUNT && rule->max != EXPRESSION_UNBOUNDED))
            return fail(LIMIT, "json_schema: minContains or maxContains over %d", MOST_COUNT - 1);
        reach(rule->from, &array->last);
        array->counts[array->n_counts++] = *rule;
    }
    (void)schema;
    if (array->last <= MOST_ITEMS) return OK;
    return fail(LIMIT, "json_schema: an array of more than %d items that are told apart",
                MOST_ITEMS);
}

/* The state's number, from 2 on. Sets are sorted, so each number says what it is. */
static status array_state(struct array *array, uint32_t position, bool behind,
                          const uint32_t *counts, uint32_t *state) {
    uint32_t set[MOST_COUNTS + 1] = {position * 2 + behind};
    for (uint32_t i = 0; i < array->n_counts; i++) set[i + 1] = (i + 1) << 24 | counts[i];
    TRY(set_table_put(array->schema->compile, &array->states, set, array->n_counts + 1, state));
    *state += 2;
    return *state < AUTOMATON_MOST_STATES
               ? OK
               : fail(LIMIT, "json_schema: an array's automaton has more than %d states",
                      AUTOMATON_MOST_STATES);
}

/* The item at `position` where the counted literals of `chosen` hold, and the others' opposites. */
static status add_item(struct array *array, uint32_t position, const uint32_t *counts,
                       uint32_t chosen) {
    const struct conjunction *conjunction = array->conjunction;
    struct schema *schema = array->schema;
    uint32_t *literals, n = 0, rule, target, after[MOST_COUNTS];
    for (const struct item_rule *each = conjunction->items; each; each = each->next) n++;
    COMPILE_TAKE(schema->compile, n + MOST_COUNTS, &literals);
    n = 0;
    for (const struct item_rule *each = conjunction->items; each; each = each->next)
        if (each->from <= position && position < each->to) literals[n++] = each->literal;
    for (uint32_t i = 0; i < array->n_counts; i++) {
        const struct item_rule *count = &array->counts[i];
        bool holds = chosen >> i & 1;
        after[i] = counts[i];
        if (position < count->from) continue;
        literals[n++] = count->literal ^ !holds;
        if (!holds) continue;
        if (counts[i] == count->max) return OK;
        uint32_t most = count->max == EXPRESSION_UNBOUNDED ? count->min : count->max;
        if (after[i] < most) after[i]++;
    }
    TRY(schema_goal(schema, literals, n, &rule));
    if (rule == AUTOMATON_NONE) return OK;
    uint32_t next = position < array->last ? position + 1 : position;
    TRY(array_state(array, next, true, after, &target));
    COMPILE_GROW(schema->compile, array->calls, array->n_calls, array->call_capacity);
    array->calls[array->n_calls++] = (struct automaton_call){rule, target};
    return OK;
}

static status add_items(struct array *array, uint32_t position, const uint32_t *counts) {
    uint32_t active = 0;
    if (array->conjunction->max_items != EXPRESSION_UNBOUNDED &&
        position >= array->conjunction->max_items)
        return OK;
    for (uint32_t i = 0; i < array->n_counts; i++)
        if (position >= array->counts[i].from) active |= 1u << i;
    for (uint32_t chosen = active;; chosen = (chosen - 1) & active) {
        TRY(add_item(array, position, counts, chosen));
        if (!chosen) return OK;
    }
}

static status set_row(struct array *array, uint32_t state, const uint32_t row[N_CLASSES],
                      uint64_t label) {
    struct compile *compile = array->schema->compile;
    for (uint32_t c = 0; c < N_CLASSES; c++) {
        uint32_t at = state * N_CLASSES + c;
        COMPILE_GROW(compile, array->next, at, array->next_capacity);
        array->next[at] = row[c];
    }
    COMPILE_GROW(compile, array->label, state, array->label_capacity);
    array->label[state] = label;
    COMPILE_GROW(compile, array->first_call, state, array->first_capacity);
    array->first_call[state] = array->n_calls;
    return OK;
}

static bool may_close(const struct array *array, uint32_t position, const uint32_t *counts) {
    if (position < array->conjunction->min_items) return false;
    for (uint32_t i = 0; i < array->n_counts; i++)
        if (counts[i] < array->counts[i].min) return false;
    return true;
}

/* Before an item: calls, and the end where there was none. Behind one: a comma or the end. */
static status add_array_state(struct array *array, uint32_t state, bool first) {
    bool space = array->schema->machine->whitespace;
    uint32_t n, counts[MOST_COUNTS] = {0}, row[N_CLASSES], comma;
    memset(row, 0xFF, sizeof row);
    const uint32_t *set = set_table_get(&array->states, state - 2, &n);
    uint32_t position = set[0] / 2;
    bool behind = set[0] & 1;
    for (uint32_t i = 1; i < n; i++) counts[i - 1] = set[i] & 0xFFFFFF;
    if (space) row[CLASS_SPACE] = state;
    if (behind) {
        TRY(array_state(array, position, false, counts, &comma));
        row[CLASS_COMMA] = comma;
    }
    if ((behind || first) && may_close(array, position, counts)) row[CLASS_CLOSE] = 1;
    TRY(set_row(array, state, row, 0));
    return behind ? OK : add_items(array, position, counts);
}

static status lower_array(struct schema *schema, const struct conjunction *conjunction,
                          uint32_t rule) {
    struct array array = {.schema = schema, .conjunction = conjunction};
    static const uint32_t none[MOST_COUNTS];
    uint32_t row[N_CLASSES], first, code;
    struct automaton *made;
    if (conjunction->min_items > conjunction->max_items) return OK;
    if (conjunction->unique && conjunction->max_items > 1)
        return schema_refuse(schema, conjunction->unique, "uniqueItems of more than one item");
    TRY(measure_array(&array));
    memset(row, 0xFF, sizeof row);
    /* The first position is a state of its own: an array may close there, behind a comma not. */
    uint32_t begin = array.last + 1;
    uint32_t set[MOST_COUNTS + 1] = {begin * 2};
    for (uint32_t i = 0; i < array.n_counts; i++) set[i + 1] = (i + 1) << 24;
    TRY(set_table_put(schema->compile, &array.states, set, array.n_counts + 1, &first));
    row[CLASS_OPEN] = first + 2;
    TRY(set_row(&array, 0, row, 0));
    TRY(set_row(&array, 1,
                (const uint32_t[N_CLASSES]){AUTOMATON_NONE, AUTOMATON_NONE, AUTOMATON_NONE,
                                            AUTOMATON_NONE, AUTOMATON_NONE},
                1));
    row[CLASS_OPEN] = AUTOMATON_NONE;
    if (schema->machine->whitespace) row[CLASS_SPACE] = first + 2;
    if (may_close(&array, 0, none)) row[CLASS_CLOSE] = 1;
    TRY(set_row(&array, first + 2, row, 0));
    TRY(add_items(&array, 0, none));
    for (uint32_t state = first + 3; state < array.states.n + 2; state++)
        TRY(add_array_state(&array, state, false));
    COMPILE_TAKE(schema->compile, 1, &made);
    *made = (struct automaton){.n_states = array.states.n + 2,
                               .n_classes = N_CLASSES,
                               .next = array.next,
                               .label = array.label,
                               .calls = array.calls};
    COMPILE_GROW(schema->compile, array.first_call, made->n_states, array.first_capacity);
    array.first_call[made->n_states] = array.n_calls;
    made->first_call = array.first_call;
    made->class_of['['] = CLASS_OPEN;
    made->class_of[']'] = CLASS_CLOSE;
    made->class_of[','] = CLASS_COMMA;
    for (const char *c = " \t\n\r"; *c; c++) made->class_of[(uint8_t)*c] = CLASS_SPACE;
    TRY(machine_add_automaton(schema->machine, made, &code));
    return machine_add_start(schema->machine, rule, code);
}

/* ---- objects ---- */

struct keys {
    struct schema *schema;
    const struct conjunction *conjunction;
    struct text names[OBJECT_MOST_NAMES];
    uint32_t n_names;
    const struct automaton *patterns[MOST_PATTERNS];
    uint32_t n_patterns;
    const struct key_rule *kinds[16]; /* of which there must be one */
    uint32_t n_kinds;
    struct object *object;
};

static status add_name(struct keys *keys, struct text name) {
    TRY(compile_work(keys->schema->compile, keys->n_names));
    for (uint32_t i = 0; i < keys->n_names; i++)
        if (schema_text_equal(keys->names[i], name)) return OK;
    if (keys->n_names == OBJECT_MOST_NAMES)
        return fail(LIMIT, "json_schema: an object of more than %d names", OBJECT_MOST_NAMES);
    keys->names[keys->n_names++] = name;
    return OK;
}

static status add_pattern(struct keys *keys, const struct automaton *pattern) {
    for (uint32_t i = 0; i < keys->n_patterns; i++)
        if (keys->patterns[i] == pattern) return OK;
    if (keys->n_patterns == MOST_PATTERNS)
        return fail(LIMIT, "json_schema: an object of more than %d patterns of names",
                    MOST_PATTERNS);
    keys->patterns[keys->n_patterns++] = pattern;
    return OK;
}

static status add_rest(struct keys *keys, const struct key_rule *rule) {
    const struct node *properties =
        rule->of_value ? rule->owner : schema_member(rule->owner, "properties");
    const struct node *patterns =
        rule->of_value ? NULL : schema_member(rule->owner, "patternProperties");
    for (uint32_t i = 0; properties && i < properties->n; i++)
        TRY(add_name(keys, properties->keys[i]));
    for (uint32_t i = 0; patterns && i < patterns->n; i++) {
        const struct automaton *pattern;
        TRY(schema_pattern(keys->schema, patterns->items[i], &pattern));
        TRY(add_pattern(keys, pattern));
    }
    return OK;
}

static status gather(struct keys *keys) {
    const struct key_rule *const lists[2] = {keys->conjunction->keys, keys->conjunction->wanted};
    for (int i = 0; i < 2; i++)
        for (const struct key_rule *rule = lists[i]; rule; rule = rule->next) {
            if (rule->kind == KEY_NAME) TRY(add_name(keys, rule->name));
            if (rule->kind == KEY_PATTERN) TRY(add_pattern(keys, rule->pattern));
            if (rule->kind == KEY_REST) TRY(add_rest(keys, rule));
            if (i == 0 || rule->kind == KEY_NAME) continue;
            if (keys->n_kinds == 16)
                return fail(LIMIT, "json_schema: more than 16 kinds of names are wanted at once");
            keys->kinds[keys->n_kinds++] = rule;
        }
    return OK;
}

/* Labels of keys: a bit for each pattern that they match, bit 31 for all, and from bit 32 on a
 * name's index + 1. */
#define KEY_ANY ((uint64_t)1 << 31)
#define KEY_NAME_SHIFT 32

static bool matches(const struct keys *keys, const struct automaton *pattern, uint64_t label) {
    for (uint32_t i = 0; i < keys->n_patterns; i++)
        if (keys->patterns[i] == pattern) return label >> i & 1;
    return false;
}

static status rule_holds(const struct keys *keys, const struct key_rule *rule, uint64_t label,
                         bool *holds) {
    uint32_t name = (uint32_t)(label >> KEY_NAME_SHIFT);
    const struct text *text = name ? &keys->names[name - 1] : NULL;
    *holds = rule->kind == KEY_NAME
                 ? text && schema_text_equal(*text, rule->name)
                 : rule->kind == KEY_PATTERN && matches(keys, rule->pattern, label);
    if (rule->kind != KEY_REST) return OK;
    const struct node *properties =
        rule->of_value ? rule->owner : schema_member(rule->owner, "properties");
    const struct node *patterns =
        rule->of_value ? NULL : schema_member(rule->owner, "patternProperties");
    *holds = true;
    TRY(compile_work(keys->schema->compile, properties ? properties->n : 1));
    for (uint32_t i = 0; properties && text && i < properties->n; i++)
        *holds = *holds && !schema_text_equal(properties->keys[i], *text);
    for (uint32_t i = 0; patterns && i < patterns->n; i++) {
        const struct automaton *pattern;
        TRY(schema_pattern(keys->schema, patterns->items[i], &pattern));
        *holds = *holds && !matches(keys, pattern, label);
    }
    return OK;
}

/* What holds of the value behind a key of this label. */
static status find_label(struct keys *keys, uint64_t label, struct object_label *found) {
    const struct conjunction *conjunction = keys->conjunction;
    struct schema *schema = keys->schema;
    const struct literals *list = NULL;
    uint32_t *literals, n = 0, name = (uint32_t)(label >> KEY_NAME_SHIFT);
    bool holds;
    for (const struct key_rule *rule = conjunction->keys; rule; rule = rule->next) {
        TRY(rule_holds(keys, rule, label, &holds));
        if (holds) TRY(literals_add(schema, &list, rule->literal));
    }
    for (const struct key_rule *rule = conjunction->wanted; rule; rule = rule->next) {
        if (rule->kind != KEY_NAME || !name ||
            !schema_text_equal(rule->name, keys->names[name - 1]))
            continue;
        TRY(literals_add(schema, &list, rule->literal));
        keys->object->required[(name - 1) / 64] |= (uint64_t)1 << ((name - 1) % 64);
    }
    for (const struct literals *each = list; each; each = each->next) n++;
    COMPILE_TAKE(schema->compile, n, &literals);
    n = 0;
    for (const struct literals *each = list; each; each = each->next) literals[n++] = each->literal;
    *found = (struct object_label){.name = name ? name - 1 : AUTOMATON_NONE};
    for (uint32_t i = 0; i < keys->n_kinds; i++) {
        TRY(rule_holds(keys, keys->kinds[i], label, &holds));
        if (holds) found->wanted |= 1u << i;
    }
    return schema_goal(schema, literals, n, &found->rule);
}

static status label_keys(struct keys *keys, const struct automaton **labelled) {
    struct compile *compile = keys->schema->compile;
    struct automaton *both, *copy;
    TRY(schema_words(keys->schema, keys->names, keys->n_names, false, (uint64_t)1 << KEY_NAME_SHIFT,
                     labelled));
    for (uint32_t i = 0; i <= keys->n_patterns; i++) {
        const struct automaton *from =
            i < keys->n_patterns ? keys->patterns[i] : keys->schema->any_text;
        uint64_t bit = i < keys->n_patterns ? (uint64_t)1 << i : KEY_ANY;
        COMPILE_TAKE(compile, 1, &copy);
        *copy = *from;
        COMPILE_TAKE(compile, from->n_states, &copy->label);
        for (uint32_t s = 0; s < from->n_states; s++) copy->label[s] = from->label[s] ? bit : 0;
        TRY(automaton_combine(compile, *labelled, copy, AUTOMATON_LABELS, &both));
        *labelled = both;
    }
    return OK;
}

/* The labels of *automaton become numbers of object.labels, + 1. */
static status number_labels(struct keys *keys, struct automaton *automaton) {
    struct compile *compile = keys->schema->compile;
    struct object *object = keys->object;
    uint64_t *seen;
    uint32_t *numbers, n = 0, most = OBJECT_MOST_NAMES + OBJECT_MOST_OTHERS, n_others = 0;
    COMPILE_TAKE(compile, most, &seen);
    COMPILE_TAKE(compile, most, &numbers);
    COMPILE_TAKE(compile, most, &object->labels);
    for (uint32_t s = 0; s < automaton->n_states; s++) {
        uint64_t label = automaton->label[s];
        uint32_t i = 0;
        if (!label) continue;
        TRY(compile_work(compile, n));
        while (i < n && seen[i] != label) i++;
        if (i == n) {
            struct object_label found;
            if (n == most) return fail(LIMIT, "json_schema: an object of too many kinds of names");
            TRY(find_label(keys, label, &found));
            seen[n++] = label;
            if (found.rule != AUTOMATON_NONE) {
                if (found.name == AUTOMATON_NONE) found.other = n_others++;
                object->labels[object->n_labels++] = found;
                numbers[i] = object->n_labels;
            }
        }
        if (n_others > OBJECT_MOST_OTHERS)
            return fail(LIMIT, "json_schema: an object of more than %d kinds of names",
                        OBJECT_MOST_OTHERS);
        automaton->label[s] = numbers[i];
    }
    object->n_names = keys->n_names;
    return OK;
}

/* Whether each name that is required has a label, and what there is suffices for the counts. */
static status check_object(const struct keys *keys, bool *possible) {
    const struct conjunction *conjunction = keys->conjunction;
    struct object *object = keys->object;
    uint32_t n_names = 0, n_others = 0;
    *possible = conjunction->min_properties <= conjunction->max_properties;
    for (const struct key_rule *rule = conjunction->wanted; rule; rule = rule->next) {
        bool there = rule->kind != KEY_NAME;
        for (uint32_t i = 0; i < object->n_labels && !there; i++) {
            uint32_t name = object->labels[i].name;
            there = name != AUTOMATON_NONE && schema_text_equal(keys->names[name], rule->name);
        }
        *possible = *possible && there;
    }
    for (uint32_t i = 0; i < object->n_labels; i++) {
        n_names += object->labels[i].name != AUTOMATON_NONE;
        n_others += object->labels[i].name == AUTOMATON_NONE;
    }
    if (n_names + n_others >= conjunction->min_properties) return OK;
    if (n_others && *possible)
        return fail(UNSUPPORTED,
                    "json_schema: minProperties %" PRIu32 " is not supported where only %" PRIu32
                    " names are told apart",
                    conjunction->min_properties, n_names + n_others);
    *possible = false;
    return OK;
}

static status lower_object(struct schema *schema, const struct conjunction *conjunction,
                           uint32_t rule) {
    struct keys *keys;
    const struct automaton *labelled, *quoted;
    struct automaton *numbered;
    bool possible;
    COMPILE_TAKE(schema->compile, 1, &keys);
    COMPILE_TAKE(schema->compile, 1, &keys->object);
    keys->schema = schema;
    keys->conjunction = conjunction;
    TRY(gather(keys));
    TRY(label_keys(keys, &labelled));
    COMPILE_TAKE(schema->compile, 1, &numbered);
    *numbered = *labelled;
    COMPILE_TAKE(schema->compile, labelled->n_states, &numbered->label);
    memcpy(numbered->label, labelled->label, labelled->n_states * sizeof *numbered->label);
    TRY(number_labels(keys, numbered));
    TRY(check_object(keys, &possible));
    if (!possible) return OK;
    TRY(schema_quote(schema, numbered, &quoted));
    struct object *object = keys->object;
    object->keys = quoted;
    object->wanted = keys->n_kinds ? (1u << keys->n_kinds) - 1 : 0;
    object->min = conjunction->min_properties;
    object->max = conjunction->max_properties;
    object->counts_others = object->min > 0;
    if (object->max != EXPRESSION_UNBOUNDED && object->max > OBJECT_MOST_COUNT)
        return fail(LIMIT, "json_schema: maxProperties over %d", OBJECT_MOST_COUNT);
    TRY(machine_add_object(schema->machine, object));
    return machine_add_start(schema->machine, rule, object->first_code);
}

status schema_lower(struct schema *schema, const struct conjunction *conjunction, uint32_t rule) {
    uint32_t types = conjunction->types;
    TRY(lower_words(schema, types, rule));
    if (types & TYPE_NUMBER) TRY(lower_number(schema, conjunction, rule));
    if (types & TYPE_STRING) TRY(lower_string(schema, conjunction, rule));
    if (types & TYPE_ARRAY) TRY(lower_array(schema, conjunction, rule));
    return types & TYPE_OBJECT ? lower_object(schema, conjunction, rule) : OK;
}
