/* A template's text as tokens, with white space cut as transformers has Jinja do: trim_blocks,
 * lstrip_blocks, the signs of tags, no newline at the end. */
#ifndef CHAT_LEXER_H
#define CHAT_LEXER_H

#include "chat/value.h"

enum token_type {
    TOKEN_END,
    TOKEN_TEXT,           /* outside of tags */
    TOKEN_VARIABLE_BEGIN, /* {{ */
    TOKEN_VARIABLE_END,
    TOKEN_BLOCK_BEGIN, /* {% */
    TOKEN_BLOCK_END,
    TOKEN_NAME,
    TOKEN_LITERAL,  /* a string or number */
    TOKEN_OPERATOR, /* one or two characters */
};

struct token {
    enum token_type type;
    int line;
    struct value value; /* text, name or operator as a string; the literal */
};

struct tokens {
    size_t n, capacity;
    struct token *list; /* the last one is TOKEN_END */
};

/* FORMAT  with line and reason. */
status lexer_run(struct arena *arena, struct text source, struct tokens *tokens);

/* Fails as "chat template, line N: ...". */
status chat_fail(status code, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

#endif
