/* token.h - a text as a row of tokens */
#ifndef TOKEN_H
#define TOKEN_H
#include "ad.h"

typedef enum token_kind {
    TOKEN_END,
    TOKEN_NUMBER,
    TOKEN_NAME,
    TOKEN_BREAK, /* ";" or the end of a line */
    TOKEN_LESS_EQUAL,
    TOKEN_GREATER_EQUAL,
    TOKEN_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_WRONG, /* what has no place in the language */
    TOKEN_SIGN   /* + this many: a sign of one byte, as TOKEN_SIGN + '+' */
} token_kind;
#define SIGN(c) (TOKEN_SIGN + (c))

typedef struct token {
    int kind;
    int64_t at, length;
    double number;
    bool newline;     /* of a TOKEN_BREAK: it is the end of a line */
    int line, column; /* its place for people, which the parser counts */
} token;

/* The token at or after byte `at`. Operators of Unicode are those that they stand for. */
token token_at(const char *text, int64_t at);

#endif
