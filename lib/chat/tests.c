/* Tests, what stands behind `is`. */
#include <string.h>

#include "chat/render.h"
#include "tokenizer/character.h"

enum test {
    TEST_BOOLEAN,
    TEST_CALLABLE,
    TEST_DEFINED,
    TEST_DIVISIBLE,
    TEST_ESCAPED,
    TEST_FALSE,
    TEST_FILTER,
    TEST_FLOAT,
    TEST_INTEGER,
    TEST_ITERABLE,
    TEST_LOWER,
    TEST_MAPPING,
    TEST_NONE,
    TEST_NUMBER,
    TEST_ODD,
    TEST_EVEN,
    TEST_SAME,
    TEST_SEQUENCE,
    TEST_STRING,
    TEST_TEST,
    TEST_TRUE,
    TEST_UNDEFINED,
    TEST_UPPER,
    TEST_COMPARISON /* and the operators from here on */
};

static const struct {
    const char *name;
    int test;
    bool takes_argument;
} tests[] = {
    {"boolean", TEST_BOOLEAN, false},
    {"callable", TEST_CALLABLE, false},
    {"defined", TEST_DEFINED, false},
    {"divisibleby", TEST_DIVISIBLE, true},
    {"escaped", TEST_ESCAPED, false},
    {"false", TEST_FALSE, false},
    {"filter", TEST_FILTER, false},
    {"float", TEST_FLOAT, false},
    {"integer", TEST_INTEGER, false},
    {"iterable", TEST_ITERABLE, false},
    {"lower", TEST_LOWER, false},
    {"mapping", TEST_MAPPING, false},
    {"none", TEST_NONE, false},
    {"number", TEST_NUMBER, false},
    {"odd", TEST_ODD, false},
    {"even", TEST_EVEN, false},
    {"sameas", TEST_SAME, true},
    {"sequence", TEST_SEQUENCE, false},
    {"string", TEST_STRING, false},
    {"test", TEST_TEST, false},
    {"true", TEST_TRUE, false},
    {"undefined", TEST_UNDEFINED, false},
    {"upper", TEST_UPPER, false},
    {"eq", TEST_COMPARISON + OPERATOR_EQUAL, true},
    {"equalto", TEST_COMPARISON + OPERATOR_EQUAL, true},
    {"==", TEST_COMPARISON + OPERATOR_EQUAL, true},
    {"ne", TEST_COMPARISON + OPERATOR_UNEQUAL, true},
    {"!=", TEST_COMPARISON + OPERATOR_UNEQUAL, true},
    {"lt", TEST_COMPARISON + OPERATOR_LESS, true},
    {"lessthan", TEST_COMPARISON + OPERATOR_LESS, true},
    {"<", TEST_COMPARISON + OPERATOR_LESS, true},
    {"le", TEST_COMPARISON + OPERATOR_LESS_EQUAL, true},
    {"<=", TEST_COMPARISON + OPERATOR_LESS_EQUAL, true},
    {"gt", TEST_COMPARISON + OPERATOR_GREATER, true},
    {"greaterthan", TEST_COMPARISON + OPERATOR_GREATER, true},
    {">", TEST_COMPARISON + OPERATOR_GREATER, true},
    {"ge", TEST_COMPARISON + OPERATOR_GREATER_EQUAL, true},
    {">=", TEST_COMPARISON + OPERATOR_GREATER_EQUAL, true},
    {"in", TEST_COMPARISON + OPERATOR_IN, true},
};
enum { N_TESTS = sizeof tests / sizeof *tests };

bool tests_has(struct value name) {
    for (size_t i = 0; i < N_TESTS; i++)
        if (value_is_text(name, tests[i].name)) return true;
    return false;
}

static status remainder_is(struct render *r, struct value value, int64_t divisor, int64_t rest,
                           bool *result) {
    struct value modulo;
    TRY(operators_binary(r, OPERATOR_MODULO, value, value_int(divisor), &modulo));
    *result = value_equal(modulo, value_int(rest), 0);
    return OK;
}

/* Python's islower() and isupper(): some letters, none of the other case. */
static status is_case(struct render *r, struct value value, bool lower, bool *result) {
    struct value text, method;
    struct arguments none = {0};
    TRY(value_to_string(&r->arena, value, &text));
    TRY(methods_find(r, text, value_text(lower ? "islower" : "isupper"), &method));
    TRY(expression_call(r, method, &none, &text));
    *result = value_truth(text);
    return OK;
}

static bool is_callable(struct value v) {
    return v.kind >= VALUE_LOOP;
}

static bool is_same(struct value a, struct value b) {
    if (a.kind != b.kind) return false;
    if (a.kind == VALUE_LIST || a.kind == VALUE_DICT) return a.as.list == b.as.list;
    return value_equal(a, b, 0);
}

static status apply(struct render *r, int test, struct value v, struct value other, bool *result) {
    int64_t integer;
    switch (test) {
    case TEST_BOOLEAN:
        *result = v.kind == VALUE_BOOL;
        return OK;
    case TEST_CALLABLE:
        *result = is_callable(v) && v.kind != VALUE_LOOP;
        return OK;
    case TEST_DEFINED:
        *result = v.kind != VALUE_UNDEFINED;
        return OK;
    case TEST_UNDEFINED:
        *result = v.kind == VALUE_UNDEFINED;
        return OK;
    case TEST_DIVISIBLE:
        if (!value_integer(other, &integer))
            return render_fail(r, FORMAT, "divisibleby needs an integer");
        return remainder_is(r, v, integer, 0, result);
    case TEST_ESCAPED:
        *result = v.kind == VALUE_STRING && v.number == STRING_IS_MARKUP;
        return OK;
    case TEST_ODD:
    case TEST_EVEN:
        return remainder_is(r, v, 2, test == TEST_ODD, result);
    case TEST_FALSE:
    case TEST_TRUE:
        *result = v.kind == VALUE_BOOL && v.as.boolean == (test == TEST_TRUE);
        return OK;
    case TEST_FLOAT:
        *result = v.kind == VALUE_FLOAT;
        return OK;
    case TEST_INTEGER:
        *result = v.kind == VALUE_INT;
        return OK;
    case TEST_NUMBER:
        *result = value_is_number(v);
        return OK;
    case TEST_ITERABLE:
        *result = v.kind == VALUE_UNDEFINED || v.kind == VALUE_LOOP ||
                  (v.kind >= VALUE_STRING && v.kind <= VALUE_DICT);
        return OK;
    case TEST_SEQUENCE: /* has a length and items by a key */
        *result = v.kind == VALUE_UNDEFINED || v.kind == VALUE_STRING || v.kind == VALUE_DICT ||
                  (v.kind == VALUE_LIST && v.as.list->kind <= LIST_TUPLE);
        return OK;
    case TEST_LOWER:
    case TEST_UPPER:
        return is_case(r, v, test == TEST_LOWER, result);
    case TEST_MAPPING:
        *result = v.kind == VALUE_DICT;
        return OK;
    case TEST_NONE:
        *result = v.kind == VALUE_NONE;
        return OK;
    case TEST_STRING:
        *result = v.kind == VALUE_STRING;
        return OK;
    case TEST_SAME:
        *result = is_same(v, other);
        return OK;
    case TEST_FILTER:
        *result = filters_has(v);
        return OK;
    case TEST_TEST:
        *result = tests_has(v);
        return OK;
    default:
        return operators_compare(r, (enum operator)(test - TEST_COMPARISON), v, other, result);
    }
}

status tests_apply(struct render *r, struct value name, struct value input,
                   const struct arguments *arguments, bool *result) {
    struct value values[1] = {{0}};
    for (size_t i = 0; i < N_TESTS; i++) {
        if (!value_is_text(name, tests[i].name)) continue;
        TRY(render_bind(r, tests[i].name, tests[i].takes_argument ? "!other" : "", arguments,
                        values));
        return apply(r, tests[i].test, input, values[0], result);
    }
    if (name.kind != VALUE_STRING) return render_fail(r, FORMAT, "a test's name is no string");
    return render_fail(r, UNSUPPORTED, "No test named '%.*s'.",
                       (int)(name.length < 100 ? name.length : 100), name.as.text);
}
