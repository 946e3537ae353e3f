/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokens -> script: options, times, system calls, expressions. Recursive descent. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

struct script_block {
    struct script_block *next;
    max_align_t data[];
};

void *script_alloc(struct script *script, size_t size)
{
    struct script_block *block = calloc(1, sizeof(*block) + size);

    if (!block)
        abort();
    block->next = script->blocks;
    script->blocks = block;
    return block->data;
}

void script_free(struct script *script)
{
    while (script->blocks) {
        struct script_block *block = script->blocks;

        script->blocks = block->next;
        free(block);
    }
    script->events = NULL;
    script->options = NULL;
}

bool parser_fail(struct parser *parser, const char *format, ...)
{
    struct script *script = parser->script;
    va_list args;
    int at;

    if (parser->failed)
        return false;
    parser->failed = true;
    at = snprintf(script->error, sizeof(script->error), "%s:%u:%u: ", script->path,
                  parser->token.line, parser->token.column);
    if (at < 0 || (size_t)at >= sizeof(script->error))
        return false;
    va_start(args, format);
    vsnprintf(script->error + at, sizeof(script->error) - (size_t)at, format, args);
    va_end(args);
    return false;
}

void parser_next(struct parser *parser)
{
    lexer_next(&parser->lexer, &parser->token);
    if (parser->token.kind == TOKEN_BAD)
        parser_fail(parser, "%s", parser->token.text);
}

bool parser_is_sign(const struct parser *parser, char sign)
{
    return parser->token.kind == TOKEN_SIGN && parser->token.sign == sign;
}

bool parser_is_word(const struct parser *parser, const char *word)
{
    return parser->token.kind == TOKEN_WORD && !strcmp(parser->token.text, word);
}

bool parser_take_sign(struct parser *parser, char sign)
{
    if (!parser_is_sign(parser, sign))
        return false;
    parser_next(parser);
    return true;
}

bool parser_take_word(struct parser *parser, const char *word)
{
    if (!parser_is_word(parser, word))
        return false;
    parser_next(parser);
    return true;
}

bool parser_need_sign(struct parser *parser, char sign)
{
    if (parser_take_sign(parser, sign))
        return !parser->failed;
    return parser_fail(parser, "expected '%c', found '%s'", sign, parser->token.text);
}

bool parser_need_int(struct parser *parser, int64_t low, int64_t high, int64_t *value)
{
    if (parser->token.kind != TOKEN_INT)
        return parser_fail(parser, "expected a number, found '%s'", parser->token.text);
    *value = parser->token.number;
    if (*value < low || *value > high)
        return parser_fail(parser, "%lld is not between %lld and %lld", (long long)*value,
                           (long long)low, (long long)high);
    parser_next(parser);
    return !parser->failed;
}

/* ---- expressions ---------------------------------------------------------- */

static struct expr *parse_expr(struct parser *parser);

static struct expr *expr_new(struct parser *parser, enum expr_kind kind)
{
    struct expr *expr = script_alloc(parser->script, sizeof(*expr));

    expr->kind = kind;
    expr->line = parser->token.line;
    expr->column = parser->token.column;
    expr->text = parser->token.text;
    expr->number = parser->token.number;
    return expr;
}

static void expr_append(struct expr *parent, struct expr *child)
{
    struct expr **at = &parent->children;

    while (*at)
        at = &(*at)->next;
    *at = child;
    parent->child_cnt++;
}

/* Comma-separated expressions up to `close`, which is taken. */
static bool parse_children(struct parser *parser, struct expr *parent, char close)
{
    if (parser_take_sign(parser, close))
        return true;
    do {
        struct expr *child = parse_expr(parser);

        if (!child)
            return false;
        expr_append(parent, child);
    } while (parser_take_sign(parser, ','));
    return parser_need_sign(parser, close);
}

/* `name = value`, `name(count) = value`, or only a value. */
static struct expr *parse_field(struct parser *parser)
{
    struct expr *value = parse_expr(parser), *named;

    if (!value || !parser_is_sign(parser, '='))
        return value;
    if (value->kind != EXPR_WORD && value->kind != EXPR_CALL) {
        parser_fail(parser, "only a name can stand before '='");
        return NULL;
    }
    parser_next(parser);
    named = parse_expr(parser);
    if (named)
        named->field = value->text;
    return named;
}

static bool parse_struct(struct parser *parser, struct expr *parent)
{
    do {
        struct expr *child = parse_field(parser);

        if (!child)
            return false;
        expr_append(parent, child);
    } while (parser_take_sign(parser, ','));
    return parser_need_sign(parser, '}');
}

static struct expr *parse_word(struct parser *parser)
{
    struct expr *expr = expr_new(parser, EXPR_WORD);

    parser_next(parser);
    if (!parser_is_sign(parser, '('))
        return expr;
    expr->kind = EXPR_CALL;
    parser_next(parser);
    return parse_children(parser, expr, ')') ? expr : NULL;
}

static struct expr *parse_primary(struct parser *parser)
{
    struct expr *expr;

    switch (parser->token.kind) {
    case TOKEN_INT:
        expr = expr_new(parser, EXPR_INT);
        break;
    case TOKEN_STRING:
        expr = expr_new(parser, EXPR_STRING);
        break;
    case TOKEN_ELLIPSIS:
        expr = expr_new(parser, EXPR_ELLIPSIS);
        break;
    case TOKEN_WORD:
        return parse_word(parser);
    default:
        if (parser_is_sign(parser, '[')) {
            expr = expr_new(parser, EXPR_LIST);
            parser_next(parser);
            return parse_children(parser, expr, ']') ? expr : NULL;
        }
        if (parser_is_sign(parser, '{')) {
            expr = expr_new(parser, EXPR_STRUCT);
            parser_next(parser);
            return parse_struct(parser, expr) ? expr : NULL;
        }
        parser_fail(parser, "expected a value, found '%s'", parser->token.text);
        return NULL;
    }
    parser_next(parser);
    return parser->failed ? NULL : expr;
}

static struct expr *parse_expr(struct parser *parser)
{
    struct expr *first = parse_primary(parser), *both;

    if (!first || !parser_is_sign(parser, '|'))
        return first;
    both = expr_new(parser, EXPR_OR);
    expr_append(both, first);
    while (parser_take_sign(parser, '|')) {
        struct expr *more = parse_primary(parser);

        if (!more)
            return NULL;
        expr_append(both, more);
    }
    return both;
}

/* ---- calls ---------------------------------------------------------------- */

/* `(words)` after a result. */
static bool parse_note(struct parser *parser, const char **note)
{
    if (!parser_take_sign(parser, '('))
        return true;
    *note = "";
    while (parser->token.kind == TOKEN_WORD) {
        size_t len = strlen(*note) + strlen(parser->token.text) + 2;
        char *longer = script_alloc(parser->script, len);

        snprintf(longer, len, "%s%s%s", *note, **note ? " " : "", parser->token.text);
        *note = longer;
        parser_next(parser);
    }
    return parser_need_sign(parser, ')');
}

static bool parse_call(struct parser *parser, struct call_spec *call)
{
    struct expr args = {0};

    if (parser->token.kind != TOKEN_WORD)
        return parser_fail(parser, "expected a packet ('<' or '>') or a system call, found '%s'",
                           parser->token.text);
    call->name = parser->token.text;
    parser_next(parser);
    if (!parser_need_sign(parser, '(') || !parse_children(parser, &args, ')') ||
        !parser_need_sign(parser, '='))
        return false;
    call->args = args.children;
    call->arg_cnt = args.child_cnt;
    call->result = parse_expr(parser);
    if (!call->result)
        return false;
    if (parser->token.kind == TOKEN_WORD) {
        int64_t value;

        call->error = parser->token.text;
        if (*call->error != 'E' || !symbol_value(call->error, &value))
            return parser_fail(parser, "'%s' is not the name of an error", call->error);
        parser_next(parser);
        if (!parser_is_sign(parser, '('))
            return parser_fail(parser, "the text of %s must follow in parentheses", call->error);
    }
    return parse_note(parser, &call->note);
}

/* ---- events --------------------------------------------------------------- */

static bool parse_time(struct parser *parser, int64_t *us)
{
    const struct token *token = &parser->token;

    if (token->kind != TOKEN_INT && token->kind != TOKEN_FLOAT)
        return parser_fail(parser, "expected a time, found '%s'", token->text);
    if (token->real < 0)
        return parser_fail(parser, "negative time");
    *us = (int64_t)(token->real * 1e6 + 0.5);
    parser_next(parser);
    return !parser->failed;
}

static bool parse_event_time(struct parser *parser, struct event *event)
{
    bool relative = false;

    if (parser_take_sign(parser, '*')) {
        event->time_kind = TIME_ANY;
        return true;
    }
    relative = parser_take_sign(parser, '+');
    event->time_kind = relative ? TIME_RELATIVE : TIME_ABSOLUTE;
    if (!parse_time(parser, &event->time_us))
        return false;
    if (!parser_take_sign(parser, '~'))
        return true;
    event->time_kind = relative ? TIME_RELATIVE_RANGE : TIME_RANGE;
    if (relative && !parser_need_sign(parser, '+'))
        return false;
    if (!parse_time(parser, &event->time_end_us))
        return false;
    if (event->time_end_us < event->time_us)
        return parser_fail(parser, "the time range is backwards");
    return true;
}

static bool parse_event(struct parser *parser, struct event *event)
{
    event->line = parser->token.line;
    if (!parse_event_time(parser, event))
        return false;
    event->is_packet = parser_is_sign(parser, '<') || parser_is_sign(parser, '>');
    if (event->time_kind != TIME_ABSOLUTE && event->time_kind != TIME_RELATIVE &&
        !parser_is_sign(parser, '>'))
        return parser_fail(parser, "'*' and time ranges only go with outbound packets");
    if (event->is_packet)
        return parse_packet(parser, &event->packet);
    if (parser->token.kind == TOKEN_ELLIPSIS) {
        event->call.blocking = true;
        parser_next(parser);
        if (!parse_time(parser, &event->call.end_us))
            return false;
    }
    return parse_call(parser, &event->call);
}

static bool parse_option(struct parser *parser, struct script_option *option)
{
    option->name = parser->token.text;
    option->line = parser->token.line;
    parser_next(parser);
    if (!parser_take_sign(parser, '='))
        return !parser->failed;
    option->value = parser->token.text;
    switch (parser->token.kind) {
    case TOKEN_INT:
    case TOKEN_WORD:
    case TOKEN_STRING:
    case TOKEN_ADDRESS:
        parser_next(parser);
        return !parser->failed;
    default:
        return parser_fail(parser, "expected the value of --%s", option->name);
    }
}

bool script_parse(struct script *script, const char *path, const char *text, size_t len)
{
    struct parser parser = {.script = script};
    struct script_option **option = &script->options;
    struct event **event = &script->events;

    snprintf(script->path, sizeof(script->path), "%s", path);
    lexer_init(&parser.lexer, script, text, len);
    parser_next(&parser);
    while (!parser.failed && parser.token.kind == TOKEN_OPTION) {
        *option = script_alloc(script, sizeof(**option));
        parse_option(&parser, *option);
        option = &(*option)->next;
    }
    while (!parser.failed && parser.token.kind != TOKEN_END) {
        *event = script_alloc(script, sizeof(**event));
        parse_event(&parser, *event);
        event = &(*event)->next;
    }
    if (!script->events)
        parser_fail(&parser, "a script without events");
    return !parser.failed;
}

bool script_load(struct script *script, const char *path)
{
    FILE *file = fopen(path, "r");
    char *text;
    size_t len;

    if (!file) {
        snprintf(script->error, sizeof(script->error), "%s: %s", path, strerror(errno));
        return false;
    }
    text = script_alloc(script, 1 << 20);
    len = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    return script_parse(script, path, text, len);
}
