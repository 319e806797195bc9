/* A parsed template: nodes in the arena, linked to their siblings. */
#ifndef CHAT_AST_H
#define CHAT_AST_H

#include "chat/value.h"

enum node_kind {
    /* expressions */
    NODE_LITERAL,   /* value */
    NODE_NAME,      /* value */
    NODE_LIST,      /* a: items */
    NODE_TUPLE,     /* a: items */
    NODE_DICT,      /* a: pairs */
    NODE_PAIR,      /* a: key, b: value */
    NODE_NEGATE,    /* -a */
    NODE_PLUS,      /* +a */
    NODE_NOT,       /* not a */
    NODE_AND,       /* a and b */
    NODE_OR,        /* a or b */
    NODE_BINARY,    /* a op b */
    NODE_COMPARE,   /* a, then b: operands, each a NODE_OPERAND */
    NODE_OPERAND,   /* op a */
    NODE_CONDITION, /* b if a else c; c may be NULL */
    NODE_ATTRIBUTE, /* a.value */
    NODE_ITEM,      /* a[b] */
    NODE_SLICE,     /* a:b:c, as the index of an item; each may be NULL */
    NODE_CALL,      /* a(b: arguments) */
    NODE_FILTER,    /* a|value(b: arguments) */
    NODE_TEST,      /* a is value(b: arguments) */
    NODE_KEYWORD,   /* value=a, as an argument */
    NODE_SPREAD,    /* *a, as arguments; op OPERATOR_POWER: **a */
    NODE_CAPTURED,  /* the text of a filter block or set block */
    /* statements */
    NODE_TEXT,         /* value */
    NODE_PRINT,        /* a */
    NODE_IF,           /* a: condition, b: body, c: another NODE_IF or the body of else */
    NODE_FOR,          /* for a in b if d: c; e: else; value: whether it is recursive */
    NODE_SET,          /* a = b */
    NODE_SET_BLOCK,    /* a = the text of c, through the filters of b if not NULL */
    NODE_FILTER_BLOCK, /* the text of c through the filters of b */
    NODE_MACRO,        /* value(a: parameters): c */
    NODE_CALL_BLOCK,   /* b: a call, which gets a macro of the parameters a and the body c */
    NODE_WITH,         /* a: NODE_SETs, c: body */
    NODE_SCOPE,        /* c: body, whose variables end with it */
    NODE_BLOCK,        /* value: c, which sees the template's variables; a: or all of them */
    NODE_BREAK,
    NODE_CONTINUE
};

enum operator{
    OPERATOR_ADD,
    OPERATOR_SUBTRACT,
    OPERATOR_MULTIPLY,
    OPERATOR_DIVIDE,
    OPERATOR_FLOOR,
    OPERATOR_MODULO,
    OPERATOR_POWER,
    OPERATOR_CONCATENATE,
    OPERATOR_EQUAL,
    OPERATOR_UNEQUAL,
    OPERATOR_LESS,
    OPERATOR_LESS_EQUAL,
    OPERATOR_GREATER,
    OPERATOR_GREATER_EQUAL,
    OPERATOR_IN,
    OPERATOR_NOT_IN
};

struct node {
    enum node_kind kind;
    enum operator op;
    int line;
    int height;        /* of the operators and filters that begin with this node */
    struct node *next; /* of a list */
    struct node *a, *b, *c, *d, *e;
    struct value value;
};

/* *body is the first statement, NULL for an empty template. FORMAT, or UNSUPPORTED for what the
 * engine doesn't have, each with its line. */
status parser_run(struct arena *arena, struct text source, struct node **body);

/* ---- of the parser's two files ---- */

struct parser {
    struct arena *arena;
    const struct token *token; /* the next one */
    int depth;                 /* of nested expressions and statements */
    int loops;                 /* around the statement */
    struct dict *blocks;       /* names of those that were read; NULL: none */
};

status parser_expression(struct parser *parser, struct node **node);
/* Expressions with commas between them are a tuple. */
status parser_tuple(struct parser *parser, struct node **node);
/* Where `if` would end the expression, as in for's. */
status parser_tuple_without_condition(struct parser *parser, struct node **node);
/* Filters behind node. */
status parser_filters(struct parser *parser, struct node **node);
/* Without the parenthesis that begins them. */
status parser_arguments(struct parser *parser, struct node **list);
status parser_node(struct parser *parser, enum node_kind kind, struct node **node);
status parser_enter(struct parser *parser);
bool parser_at(const struct parser *parser, const char *operator);
bool parser_at_name(const struct parser *parser, const char *name);
bool parser_take(struct parser *parser, const char *operator);
bool parser_take_name(struct parser *parser, const char *name);
status parser_need(struct parser *parser, const char *operator);
status parser_unexpected(const struct parser *parser, const char *wanted);

#endif
