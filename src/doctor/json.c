/* SPDX-License-Identifier: BSD-2-Clause */
/* A small JSON reader (RFC 8259). Recursive descent with a bound; nodes and strings live in blocks
 * that the document frees at once. */
#include "doctor/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH_MAX 32
#define JSON_BLOCK_LEN 4096

struct json_block {
    struct json_block *next;
    size_t used, cap;
    _Alignas(16) char bytes[];
};

struct json_document {
    struct json_block *blocks;
    struct json *root;
};

struct parser {
    struct json_document *document;
    const char *start, *at, *end;
    unsigned depth;
    char *why;
    size_t why_len;
};

static void *block_get(struct json_document *document, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct json_block *b = document->blocks;
    if (!b || b->cap - b->used < size) {
        size_t cap = size > JSON_BLOCK_LEN ? size : JSON_BLOCK_LEN;
        b = malloc(sizeof *b + cap);
        if (!b)
            return NULL;
        b->next = document->blocks;
        b->used = 0;
        b->cap = cap;
        document->blocks = b;
    }
    void *p = b->bytes + b->used;
    b->used += size;
    return p;
}

static bool fail(struct parser *p, const char *what)
{
    if (p->why_len && !p->why[0])
        snprintf(p->why, p->why_len, "byte %zu: %s", (size_t)(p->at - p->start), what);
    return false;
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
        p->at++;
}

static bool take(struct parser *p, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(p->end - p->at) < len || memcmp(p->at, word, len) != 0)
        return fail(p, "no JSON value");
    p->at += len;
    return true;
}

static bool parse_hex4(struct parser *p, unsigned *value)
{
    if (p->end - p->at < 4)
        return fail(p, "string ends within \\u");
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = *p->at++;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return fail(p, "\\u needs four hexadecimal digits");
        *value = *value << 4 | digit;
    }
    return true;
}

static char *utf8_put(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

static bool parse_unicode(struct parser *p, char **out)
{
    unsigned c, low;
    if (!parse_hex4(p, &c))
        return false;
    if (c >= 0xd800 && c < 0xdc00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
        p->at += 2;
        if (!parse_hex4(p, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(p, "half of a surrogate pair");
        c = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
    } else if (c >= 0xd800 && c < 0xe000) {
        return fail(p, "half of a surrogate pair");
    }
    if (c == 0)
        return fail(p, "a string with a NUL");
    *out = utf8_put(*out, c);
    return true;
}

static bool parse_escape(struct parser *p, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p->at == p->end)
        return fail(p, "string without end");
    char c = *p->at++;
    if (c == 'u')
        return parse_unicode(p, out);
    const char *f = c ? strchr(from, c) : NULL;
    if (!f)
        return fail(p, "unknown escape in a string");
    *(*out)++ = to[f - from];
    return true;
}

static const char *parse_string(struct parser *p)
{
    if (p->at == p->end || *p->at != '"') {
        fail(p, "a string is expected");
        return NULL;
    }
    const char *close = ++p->at;
    while (close < p->end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= p->end) {
        fail(p, "string without end");
        return NULL;
    }
    /* Escapes never get longer when resolved. */
    char *string = block_get(p->document, (size_t)(close - p->at) + 1), *out = string;
    if (!string) {
        fail(p, "out of memory");
        return NULL;
    }
    while (p->at < close) {
        if ((unsigned char)*p->at < 0x20) {
            fail(p, "control character in a string");
            return NULL;
        }
        if (*p->at != '\\')
            *out++ = *p->at++;
        else if (p->at++, !parse_escape(p, &out))
            return NULL;
    }
    p->at = close + 1;
    *out = 0;
    return string;
}

static bool is_digit(const struct parser *p)
{
    return p->at < p->end && *p->at >= '0' && *p->at <= '9';
}

static bool skip_digits(struct parser *p)
{
    if (!is_digit(p))
        return fail(p, "a digit is expected");
    while (is_digit(p))
        p->at++;
    return true;
}

static bool parse_number(struct parser *p, struct json *node)
{
    bool negative = *p->at == '-';
    if (negative)
        p->at++;
    if (!is_digit(p))
        return fail(p, "no JSON value");
    if (*p->at == '0' && p->at + 1 < p->end && p->at[1] >= '0' && p->at[1] <= '9')
        return fail(p, "number with a leading zero");
    uint64_t value = 0;
    for (; is_digit(p); p->at++) {
        unsigned digit = (unsigned)(*p->at - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    if (p->at < p->end && *p->at == '.' && (p->at++, !skip_digits(p)))
        return false;
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E'))
        return fail(p, "numbers with an exponent are not used here");
    uint64_t limit = value > INT64_MAX ? INT64_MAX : value;
    node->kind = JSON_NUMBER;
    node->magnitude = negative ? 0 : value;
    node->number = negative ? -(int64_t)limit : (int64_t)limit;
    return true;
}

static struct json *parse_value(struct parser *p);

/* After '[' or '{'. */
static bool parse_members(struct parser *p, struct json *node, char close)
{
    struct json **last = &node->child;
    skip_space(p);
    if (p->at < p->end && *p->at == close) {
        p->at++;
        return true;
    }
    for (;;) {
        const char *key = NULL;
        skip_space(p);
        if (close == '}') {
            key = parse_string(p);
            if (!key)
                return false;
            skip_space(p);
            if (p->at == p->end || *p->at++ != ':')
                return fail(p, "':' is expected");
        }
        struct json *child = parse_value(p);
        if (!child)
            return false;
        child->key = key;
        *last = child;
        last = &child->next;
        skip_space(p);
        if (p->at == p->end)
            return fail(p, "array or object without end");
        char c = *p->at++;
        if (c == close)
            return true;
        if (c != ',')
            return fail(p, "',' is expected");
    }
}

static bool parse_into(struct parser *p, struct json *node)
{
    switch (*p->at) {
    case 'n':
        node->kind = JSON_NULL;
        return take(p, "null");
    case 't':
        node->kind = JSON_TRUE;
        return take(p, "true");
    case 'f':
        node->kind = JSON_FALSE;
        return take(p, "false");
    case '"':
        node->kind = JSON_STRING;
        node->string = parse_string(p);
        return node->string != NULL;
    case '[':
    case '{':
        node->kind = *p->at == '[' ? JSON_ARRAY : JSON_OBJECT;
        return parse_members(p, node, *p->at++ == '[' ? ']' : '}');
    default:
        return parse_number(p, node);
    }
}

static struct json *parse_value(struct parser *p)
{
    struct json *node = NULL;
    skip_space(p);
    if (p->at == p->end)
        fail(p, "the text ends too early");
    else if (p->depth == JSON_DEPTH_MAX)
        fail(p, "nested too deeply");
    else if (!(node = block_get(p->document, sizeof *node)))
        fail(p, "out of memory");
    if (!node)
        return NULL;
    memset(node, 0, sizeof *node);
    p->depth++;
    bool good = parse_into(p, node);
    p->depth--;
    return good ? node : NULL;
}

struct json_document *json_parse(const char *text, size_t len, char *why, size_t why_len)
{
    struct json_document *document = calloc(1, sizeof *document);
    struct parser p = {document, text, text, text + len, 0, why, why_len};
    if (why_len)
        why[0] = 0;
    if (!document)
        return NULL;
    document->root = parse_value(&p);
    skip_space(&p);
    if (document->root && p.at != p.end) {
        fail(&p, "something follows the value");
        document->root = NULL;
    }
    if (document->root)
        return document;
    json_free(document);
    return NULL;
}

const struct json *json_root(const struct json_document *document)
{
    return document->root;
}

void json_free(struct json_document *document)
{
    while (document && document->blocks) {
        struct json_block *b = document->blocks;
        document->blocks = b->next;
        free(b);
    }
    free(document);
}

const struct json *json_get(const struct json *object, const char *key)
{
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    for (const struct json *m = object->child; m; m = m->next)
        if (strcmp(m->key, key) == 0)
            return m;
    return NULL;
}

const char *json_get_string(const struct json *object, const char *key, const char *otherwise)
{
    const struct json *m = json_get(object, key);
    return m && m->kind == JSON_STRING ? m->string : otherwise;
}

bool json_get_u64(const struct json *object, const char *key, uint64_t *value)
{
    const struct json *m = json_get(object, key);
    if (!m || m->kind != JSON_NUMBER || m->number < 0)
        return false;
    *value = m->magnitude;
    return true;
}
