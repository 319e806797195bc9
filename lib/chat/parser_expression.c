/* Expressions, by Jinja's grammar: conditions, or, and, not, comparisons, sums, ~, products,
 * powers, signs, and what follows a primary one. */
#include <string.h>

#include "chat/ast.h"
#include "chat/lexer.h"

enum { MOST_DEPTH = 60, MOST_HEIGHT = 200 };

status parser_enter(struct parser *p) {
    if (++p->depth > MOST_DEPTH)
        return chat_fail(LIMIT, p->token->line, "nests deeper than %d", MOST_DEPTH);
    return OK;
}

status parser_node(struct parser *p, enum node_kind kind, struct node **node) {
    ARENA_TAKE(p->arena, 1, node);
    (*node)->kind = kind;
    (*node)->line = p->token->line;
    return OK;
}

bool parser_at(const struct parser *p, const char *operator) {
    return p->token->type == TOKEN_OPERATOR && value_is_text(p->token->value, operator);
}

bool parser_at_name(const struct parser *p, const char *name) {
    return p->token->type == TOKEN_NAME && value_is_text(p->token->value, name);
}

bool parser_take(struct parser *p, const char *operator) {
    bool there = parser_at(p, operator);
    p->token += there;
    return there;
}

bool parser_take_name(struct parser *p, const char *name) {
    bool there = parser_at_name(p, name);
    p->token += there;
    return there;
}

status parser_unexpected(const struct parser *p, const char *wanted) {
    const struct token *token = p->token;
    if (token->type == TOKEN_END)
        return chat_fail(FORMAT, token->line, "the template ends where %s is expected", wanted);
    if (token->type == TOKEN_LITERAL && token->value.kind != VALUE_STRING)
        return chat_fail(FORMAT, token->line, "a number where %s is expected", wanted);
    int n = token->value.length < 40 ? (int)token->value.length : 40;
    return chat_fail(FORMAT, token->line, "'%.*s' where %s is expected", n, token->value.as.text,
                     wanted);
}

status parser_need(struct parser *p, const char *operator) {
    char wanted[8] = {'\'', operator[0], operator[1] ? operator[1] : '\'', operator[1] ? '\'' : 0 };
    return parser_take(p, operator) ? OK : parser_unexpected(p, wanted);
}

/* node := kind(node, right), with op */
static status join(struct parser *p, enum node_kind kind, enum operator op, struct node **node,
                   struct node *right) {
    struct node *whole;
    TRY(parser_node(p, kind, &whole));
    whole->op = op;
    whole->a = *node;
    whole->b = right;
    whole->height = *node ? (*node)->height + 1 : 0;
    if (whole->height > MOST_HEIGHT)
        return chat_fail(LIMIT, whole->line, "an expression of more than %d operators",
                         MOST_HEIGHT);
    *node = whole;
    return OK;
}

static status read_items(struct parser *p, const char *close, struct node **list) {
    struct node **tail = list;
    while (!parser_at(p, close)) {
        TRY(parser_expression(p, tail));
        tail = &(*tail)->next;
        if (!parser_take(p, ",")) break;
    }
    return parser_need(p, close);
}

static status read_pairs(struct parser *p, struct node **list) {
    struct node **tail = list;
    while (!parser_at(p, "}")) {
        TRY(parser_node(p, NODE_PAIR, tail));
        TRY(parser_expression(p, &(*tail)->a));
        TRY(parser_need(p, ":"));
        TRY(parser_expression(p, &(*tail)->b));
        tail = &(*tail)->next;
        if (!parser_take(p, ",")) break;
    }
    return parser_need(p, "}");
}

static status read_parenthesis(struct parser *p, struct node **node) {
    if (parser_at(p, ")")) {
        TRY(parser_node(p, NODE_TUPLE, node));
    } else {
        TRY(parser_tuple(p, node));
    }
    return parser_need(p, ")");
}

/* Strings beside each other are one. */
static status read_literal(struct parser *p, struct node **node) {
    TRY(parser_node(p, NODE_LITERAL, node));
    (*node)->value = (p->token++)->value;
    if ((*node)->value.kind != VALUE_STRING) return OK;
    struct buffer buffer = {.arena = p->arena};
    while (p->token->type == TOKEN_LITERAL && p->token->value.kind == VALUE_STRING) {
        if (!buffer.length) TRY(value_write(&buffer, (*node)->value));
        TRY(value_write(&buffer, (p->token++)->value));
        (*node)->value = value_buffer(&buffer);
    }
    return OK;
}

static status read_name(struct parser *p, struct node **node) {
    static const struct {
        const char *name;
        enum value_kind kind;
        bool boolean;
    } words[] = {{"true", VALUE_BOOL, true},   {"True", VALUE_BOOL, true},
                 {"false", VALUE_BOOL, false}, {"False", VALUE_BOOL, false},
                 {"none", VALUE_NONE, false},  {"None", VALUE_NONE, false}};
    TRY(parser_node(p, NODE_NAME, node));
    (*node)->value = p->token->value;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (value_is_text(p->token->value, words[i].name)) {
            (*node)->kind = NODE_LITERAL;
            (*node)->value = value_of_kind(words[i].kind);
            if (words[i].kind == VALUE_BOOL) (*node)->value = value_bool(words[i].boolean);
        }
    p->token++;
    return OK;
}

static status read_primary(struct parser *p, struct node **node) {
    if (p->token->type == TOKEN_NAME) return read_name(p, node);
    if (p->token->type == TOKEN_LITERAL) return read_literal(p, node);
    if (parser_take(p, "(")) return read_parenthesis(p, node);
    if (parser_take(p, "[")) {
        TRY(parser_node(p, NODE_LIST, node));
        return read_items(p, "]", &(*node)->a);
    }
    if (parser_take(p, "{")) {
        TRY(parser_node(p, NODE_DICT, node));
        return read_pairs(p, &(*node)->a);
    }
    return parser_unexpected(p, "an expression");
}

/* What stands in brackets: an index or a slice. */
static status read_index(struct parser *p, struct node **node) {
    struct node *first = NULL;
    if (!parser_at(p, ":")) TRY(parser_tuple(p, &first));
    *node = first;
    if (parser_take(p, ":")) {
        TRY(parser_node(p, NODE_SLICE, node));
        (*node)->a = first;
        if (!parser_at(p, "]") && !parser_at(p, ":")) TRY(parser_expression(p, &(*node)->b));
        if (parser_take(p, ":") && !parser_at(p, "]")) TRY(parser_expression(p, &(*node)->c));
    }
    return parser_need(p, "]");
}

/* Values, then *values; names in between; **names last. */
enum { ARGUMENTS_VALUES, ARGUMENTS_NAMES, ARGUMENTS_SPREAD, ARGUMENTS_DONE };

/* One argument; *stage: what came so far. */
static status read_argument(struct parser *p, int *stage, struct node **node) {
    bool star = parser_at(p, "*"), stars = parser_at(p, "**");
    bool keyword = p->token->type == TOKEN_NAME && p->token[1].type == TOKEN_OPERATOR &&
                   value_is_text(p->token[1].value, "=");
    if (*stage == ARGUMENTS_DONE) return parser_unexpected(p, "no argument behind '**'");
    if (star || stars) {
        if (star && *stage == ARGUMENTS_SPREAD) return parser_unexpected(p, "one '*' only");
        TRY(parser_node(p, NODE_SPREAD, node));
        p->token++;
        (*node)->op = stars ? OPERATOR_POWER : OPERATOR_MULTIPLY;
        *stage = stars ? ARGUMENTS_DONE : ARGUMENTS_SPREAD;
        return parser_expression(p, &(*node)->a);
    }
    if (!keyword && *stage != ARGUMENTS_VALUES)
        return parser_unexpected(p, "another argument by name");
    if (!keyword) return parser_expression(p, node);
    if (*stage == ARGUMENTS_VALUES) *stage = ARGUMENTS_NAMES;
    TRY(parser_node(p, NODE_KEYWORD, node));
    (*node)->value = p->token->value;
    p->token += 2;
    return parser_expression(p, &(*node)->a);
}

status parser_arguments(struct parser *p, struct node **list) {
    struct node **tail = list;
    int stage = ARGUMENTS_VALUES;
    while (!parser_at(p, ")")) {
        TRY(read_argument(p, &stage, tail));
        tail = &(*tail)->next;
        if (!parser_take(p, ",")) break;
    }
    return parser_need(p, ")");
}

static status read_postfix(struct parser *p, struct node **node) {
    for (;;) {
        struct node *index = NULL;
        if (parser_take(p, ".")) {
            const struct token *token = p->token++;
            if (token->type == TOKEN_NAME) {
                TRY(join(p, NODE_ATTRIBUTE, 0, node, NULL));
                (*node)->value = token->value;
            } else if (token->type == TOKEN_LITERAL && token->value.kind == VALUE_INT) {
                TRY(parser_node(p, NODE_LITERAL, &index));
                index->value = token->value;
                TRY(join(p, NODE_ITEM, 0, node, index));
            } else {
                p->token--;
                return parser_unexpected(p, "a name");
            }
        } else if (parser_take(p, "[")) {
            TRY(read_index(p, &index));
            TRY(join(p, NODE_ITEM, 0, node, index));
        } else if (parser_take(p, "(")) {
            TRY(parser_arguments(p, &index));
            TRY(join(p, NODE_CALL, 0, node, index));
        } else {
            return OK;
        }
    }
}

static status read_filter(struct parser *p, struct node **node) {
    if (p->token->type != TOKEN_NAME) return parser_unexpected(p, "a filter");
    TRY(join(p, NODE_FILTER, 0, node, NULL));
    (*node)->value = (p->token++)->value;
    return parser_take(p, "(") ? parser_arguments(p, &(*node)->b) : OK;
}

static status read_test(struct parser *p, struct node **node) {
    bool negated = parser_take_name(p, "not");
    if (p->token->type != TOKEN_NAME) return parser_unexpected(p, "a test");
    TRY(join(p, NODE_TEST, 0, node, NULL));
    (*node)->value = (p->token++)->value;
    bool operand = p->token->type == TOKEN_NAME || p->token->type == TOKEN_LITERAL ||
                   parser_at(p, "[") || parser_at(p, "{");
    for (const char *const *word = (const char *const[]){"else", "or", "and", "if", NULL}; *word;
         word++) /* `if` begins the condition of another expression: no operand is named so */
        if (parser_at_name(p, *word)) operand = false;
    if (parser_at_name(p, "is")) return parser_unexpected(p, "the end of the test");
    if (parser_take(p, "(")) {
        TRY(parser_arguments(p, &(*node)->b));
    } else if (operand) {
        TRY(read_primary(p, &(*node)->b));
        TRY(read_postfix(p, &(*node)->b));
    }
    return negated ? join(p, NODE_NOT, 0, node, NULL) : OK;
}

status parser_filters(struct parser *p, struct node **node) {
    for (struct node *arguments; p->token->type != TOKEN_END;) {
        arguments = NULL;
        if (parser_take(p, "|")) {
            TRY(read_filter(p, node));
        } else if (parser_take_name(p, "is")) {
            TRY(read_test(p, node));
        } else if (parser_take(p, "(")) {
            TRY(parser_arguments(p, &arguments));
            TRY(join(p, NODE_CALL, 0, node, arguments));
        } else {
            break;
        }
    }
    return OK;
}

static status read_unary(struct parser *p, struct node **node, bool filters) {
    bool minus = parser_at(p, "-");
    TRY(parser_enter(p));
    if (minus || parser_at(p, "+")) {
        p->token++;
        TRY(read_unary(p, node, false));
        TRY(join(p, minus ? NODE_NEGATE : NODE_PLUS, 0, node, NULL));
    } else {
        TRY(read_primary(p, node));
    }
    TRY(read_postfix(p, node));
    if (filters) TRY(parser_filters(p, node));
    p->depth--;
    return OK;
}

struct operator_word {
    const char *text;
    enum operator op;
};

static const struct operator_word powers[] = {{"**", OPERATOR_POWER}, {0}};
static const struct operator_word products[] = {{"*", OPERATOR_MULTIPLY},
                                                {"/", OPERATOR_DIVIDE},
                                                {"//", OPERATOR_FLOOR},
                                                {"%", OPERATOR_MODULO},
                                                {0}};
static const struct operator_word joins[] = {{"~", OPERATOR_CONCATENATE}, {0}};
static const struct operator_word sums[] = {{"+", OPERATOR_ADD}, {"-", OPERATOR_SUBTRACT}, {0}};
/* From the loosest to the tightest. */
static const struct operator_word *const levels[] = {sums, joins, products, powers};
enum { N_LEVELS = sizeof levels / sizeof *levels };

static status read_binary(struct parser *p, int level, struct node **node) {
    struct node *right = NULL;
    if (level == N_LEVELS) return read_unary(p, node, true);
    TRY(read_binary(p, level + 1, node));
    for (const struct operator_word *word = levels[level]; word->text;) {
        if (!parser_take(p, word->text)) {
            word++;
            continue;
        }
        TRY(read_binary(p, level + 1, &right));
        TRY(join(p, NODE_BINARY, word->op, node, right));
        word = levels[level];
    }
    return OK;
}

static bool take_comparison(struct parser *p, enum operator* op) {
    static const struct operator_word words[] = {
        {"==", OPERATOR_EQUAL},      {"!=", OPERATOR_UNEQUAL}, {"<", OPERATOR_LESS},
        {"<=", OPERATOR_LESS_EQUAL}, {">", OPERATOR_GREATER},  {">=", OPERATOR_GREATER_EQUAL}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (parser_take(p, words[i].text)) {
            *op = words[i].op;
            return true;
        }
    *op = OPERATOR_IN;
    if (parser_take_name(p, "in")) return true;
    if (!parser_at_name(p, "not") || p->token[1].type != TOKEN_NAME ||
        !value_is_text(p->token[1].value, "in"))
        return false;
    p->token += 2;
    *op = OPERATOR_NOT_IN;
    return true;
}

static status read_comparison(struct parser *p, struct node **node) {
    enum operator op;
    TRY(read_binary(p, 0, node));
    struct node **tail = NULL;
    while (take_comparison(p, &op)) {
        if (!tail) {
            TRY(join(p, NODE_COMPARE, 0, node, NULL));
            tail = &(*node)->b;
        }
        TRY(parser_node(p, NODE_OPERAND, tail));
        (*tail)->op = op;
        TRY(read_binary(p, 0, &(*tail)->a));
        tail = &(*tail)->next;
    }
    return OK;
}

static status read_not(struct parser *p, struct node **node) {
    if (!parser_take_name(p, "not")) return read_comparison(p, node);
    TRY(parser_enter(p));
    TRY(read_not(p, node));
    p->depth--;
    return join(p, NODE_NOT, 0, node, NULL);
}

static status read_and(struct parser *p, struct node **node) {
    struct node *right;
    TRY(read_not(p, node));
    while (parser_take_name(p, "and")) {
        TRY(read_not(p, &right));
        TRY(join(p, NODE_AND, 0, node, right));
    }
    return OK;
}

static status read_or(struct parser *p, struct node **node) {
    struct node *right;
    TRY(read_and(p, node));
    while (parser_take_name(p, "or")) {
        TRY(read_and(p, &right));
        TRY(join(p, NODE_OR, 0, node, right));
    }
    return OK;
}

status parser_expression(struct parser *p, struct node **node) {
    TRY(parser_enter(p));
    TRY(read_or(p, node));
    while (parser_take_name(p, "if")) {
        struct node *condition, *other = NULL;
        TRY(read_or(p, &condition));
        if (parser_take_name(p, "else")) TRY(parser_expression(p, &other));
        TRY(join(p, NODE_CONDITION, 0, &condition, *node));
        condition->c = other;
        *node = condition;
    }
    p->depth--;
    return OK;
}

static status read_tuple(struct parser *p, status (*item)(struct parser *, struct node **),
                         struct node **node) {
    TRY(item(p, node));
    if (!parser_at(p, ",")) return OK;
    struct node *whole, **tail = &(*node)->next;
    TRY(parser_node(p, NODE_TUPLE, &whole));
    whole->a = *node;
    while (parser_take(p, ",")) {
        if (p->token->type == TOKEN_VARIABLE_END || p->token->type == TOKEN_BLOCK_END ||
            parser_at(p, ")") || parser_at(p, "]") || parser_at(p, "=") || parser_at_name(p, "in"))
            break;
        TRY(item(p, tail));
        tail = &(*tail)->next;
    }
    *node = whole;
    return OK;
}

status parser_tuple(struct parser *p, struct node **node) {
    return read_tuple(p, parser_expression, node);
}

status parser_tuple_without_condition(struct parser *p, struct node **node) {
    return read_tuple(p, read_or, node);
}
