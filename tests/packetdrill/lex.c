/* SPDX-License-Identifier: BSD-2-Clause */
/* Text of a script -> tokens, by packetdrill's rules for words, numbers and comments. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

void lexer_init(struct lexer *lexer, struct script *script, const char *text, size_t len)
{
    *lexer = (struct lexer){
        .script = script, .at = text, .end = text + len, .line_start = text, .line = 1};
}

static char peek(const struct lexer *lexer, size_t offset)
{
    return lexer->at + offset < lexer->end ? lexer->at[offset] : 0;
}

static void advance(struct lexer *lexer, size_t cnt)
{
    for (; cnt && lexer->at < lexer->end; cnt--)
        if (*lexer->at++ == '\n') {
            lexer->line++;
            lexer->line_start = lexer->at;
        }
}

/* Spaces and both kinds of comment; false if a comment never ends. */
static bool skip_blank(struct lexer *lexer)
{
    for (;;) {
        if (isspace((unsigned char)peek(lexer, 0))) {
            advance(lexer, 1);
        } else if (peek(lexer, 0) == '/' && peek(lexer, 1) == '/') {
            while (lexer->at < lexer->end && *lexer->at != '\n')
                advance(lexer, 1);
        } else if (peek(lexer, 0) == '/' && peek(lexer, 1) == '*') {
            advance(lexer, 2);
            while (lexer->at < lexer->end && !(peek(lexer, 0) == '*' && peek(lexer, 1) == '/'))
                advance(lexer, 1);
            if (lexer->at >= lexer->end)
                return false;
            advance(lexer, 2);
        } else {
            return true;
        }
    }
}

static char *text_copy(struct lexer *lexer, const char *from, size_t len)
{
    char *text = script_alloc(lexer->script, len + 1);

    memcpy(text, from, len);
    return text;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static void bad(struct token *token, const char *why)
{
    token->kind = TOKEN_BAD;
    token->text = why;
}

static void lex_string(struct lexer *lexer, struct token *token)
{
    size_t len = 1, out = 0;
    char *text;

    while (peek(lexer, len) && peek(lexer, len) != '"')
        len += peek(lexer, len) == '\\' ? 2 : 1;
    if (!peek(lexer, len)) {
        bad(token, "a string without its closing quote");
        return;
    }
    text = text_copy(lexer, lexer->at + 1, len - 1);
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '\\' && text[i + 1])
            i++;
        text[out++] = text[i];
    }
    text[out] = 0;
    token->kind = TOKEN_STRING;
    token->text = text;
    advance(lexer, len + 1);
}

/* Length of a dotted quad at the current place, or 0. */
static size_t address_len(const struct lexer *lexer)
{
    size_t len = 0;

    for (int part = 0; part < 4; part++) {
        size_t start;

        if (part && peek(lexer, len++) != '.')
            return 0;
        start = len;
        while (isdigit((unsigned char)peek(lexer, len)))
            len++;
        if (len == start)
            return 0;
    }
    return len;
}

static void lex_number(struct lexer *lexer, struct token *token)
{
    size_t len = peek(lexer, 0) == '-', quad = address_len(lexer);
    char *text;

    if (quad) {
        token->kind = TOKEN_ADDRESS;
        token->text = text_copy(lexer, lexer->at, quad);
        advance(lexer, quad);
        return;
    }
    token->hex = peek(lexer, 0) == '0' && peek(lexer, 1) == 'x';
    if (token->hex)
        len = 2;
    while (token->hex ? isxdigit((unsigned char)peek(lexer, len))
                      : isdigit((unsigned char)peek(lexer, len)))
        len++;
    token->kind = TOKEN_INT;
    if (!token->hex && peek(lexer, len) == '.' && isdigit((unsigned char)peek(lexer, len + 1))) {
        token->kind = TOKEN_FLOAT;
        for (len++; isdigit((unsigned char)peek(lexer, len));)
            len++;
    } else if (is_word(peek(lexer, len)) && peek(lexer, 0) != '-') {
        token->kind = TOKEN_WORD;
        while (is_word(peek(lexer, len)))
            len++;
    }
    token->text = text = text_copy(lexer, lexer->at, len);
    token->number = strtoll(text, NULL, token->hex ? 16 : 10);
    token->real = strtod(text, NULL);
    advance(lexer, len);
}

static void lex_word(struct lexer *lexer, struct token *token, size_t start)
{
    size_t len = start;

    while (is_word(peek(lexer, len)))
        len++;
    token->text = text_copy(lexer, lexer->at + start, len - start);
    advance(lexer, len);
}

static bool starts_number(const struct lexer *lexer)
{
    char c = peek(lexer, 0), d = peek(lexer, 1);

    if (c == '-')
        return isdigit((unsigned char)d) ||
               (d == '.' && isdigit((unsigned char)peek(lexer, 2)));
    return isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)d));
}

void lexer_next(struct lexer *lexer, struct token *token)
{
    bool closed = skip_blank(lexer);
    char c = peek(lexer, 0);

    *token = (struct token){.line = lexer->line,
                            .column = (unsigned)(lexer->at - lexer->line_start) + 1};
    if (!closed) {
        bad(token, "a comment without its end");
    } else if (lexer->at >= lexer->end) {
        token->kind = TOKEN_END;
        token->text = "the end of the script";
    } else if (c == '"') {
        lex_string(lexer, token);
    } else if (c == '`') {
        bad(token, "shell commands are not run here");
    } else if (c == '%' && peek(lexer, 1) == '{') {
        bad(token, "code blocks are not run here");
    } else if (c == '.' && peek(lexer, 1) == '.' && peek(lexer, 2) == '.') {
        token->kind = TOKEN_ELLIPSIS;
        token->text = "...";
        advance(lexer, 3);
    } else if (c == '-' && peek(lexer, 1) == '-' && is_word(peek(lexer, 2))) {
        token->kind = TOKEN_OPTION;
        lex_word(lexer, token, 2);
    } else if (starts_number(lexer)) {
        lex_number(lexer, token);
    } else if (is_word(c)) {
        token->kind = TOKEN_WORD;
        lex_word(lexer, token, 0);
    } else {
        token->kind = TOKEN_SIGN;
        token->sign = c;
        token->text = text_copy(lexer, lexer->at, 1);
        advance(lexer, 1);
    }
}
