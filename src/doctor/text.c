/* SPDX-License-Identifier: BSD-2-Clause */
/* A string that grows; escapes for JSON and for terminals. */
#include "doctor/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_init(struct text *text)
{
    memset(text, 0, sizeof *text);
}

void text_free(struct text *text)
{
    free(text->at);
    text_init(text);
}

void text_clear(struct text *text)
{
    text->len = 0;
    text->failed = false;
    if (text->at)
        text->at[0] = 0;
}

const char *text_string(const struct text *text)
{
    return text->at ? text->at : "";
}

/* Room for `more` bytes and the NUL. */
static bool text_grow(struct text *text, size_t more)
{
    if (text->failed)
        return false;
    if (text->len + more + 1 <= text->cap)
        return true;
    size_t cap = text->cap ? text->cap : 64;
    while (cap < text->len + more + 1)
        cap *= 2;
    char *at = realloc(text->at, cap);
    if (!at) {
        text->failed = true;
        return false;
    }
    text->at = at;
    text->cap = cap;
    return true;
}

void text_add_len(struct text *text, const char *bytes, size_t len)
{
    if (!text_grow(text, len))
        return;
    if (len)
        memcpy(text->at + text->len, bytes, len);
    text->len += len;
    text->at[text->len] = 0;
}

void text_add(struct text *text, const char *string)
{
    text_add_len(text, string, strlen(string));
}

void text_add_u64(struct text *text, unsigned long long number)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    text_add_len(text, digits + at, sizeof digits - at);
}

void text_vprintf(struct text *text, const char *format, va_list args)
{
    va_list again;
    if (text->failed)
        return;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len >= 0 && text_grow(text, (size_t)len)) {
        vsnprintf(text->at + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vprintf(text, format, args);
    va_end(args);
}

/* Length of the UTF-8 sequence at `s` (RFC 3629: shortest form, no surrogates), 0 if it is none. */
static unsigned utf8_len(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        unsigned char low = s[0] == 0xe0 ? 0xa0 : 0x80, high = s[0] == 0xed ? 0x9f : 0xbf;
        return s[1] >= low && s[1] <= high && (s[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        unsigned char low = s[0] == 0xf0 ? 0x90 : 0x80, high = s[0] == 0xf4 ? 0x8f : 0xbf;
        return s[1] >= low && s[1] <= high && (s[2] & 0xc0) == 0x80 && (s[3] & 0xc0) == 0x80 ? 4
                                                                                             : 0;
    }
    return 0;
}

/* C0, DEL, C1 (U+0080 .. U+009F) and the marks that turn the direction of text: nothing that a
 * terminal may take as a command or that hides what stands there. */
static bool is_control(const unsigned char *s, unsigned len)
{
    if (len == 1)
        return s[0] < 0x20 || s[0] == 0x7f;
    if (len == 2)
        return s[0] == 0xc2 && s[1] < 0xa0;
    if (len == 3 && s[0] == 0xe2 && s[1] == 0x80)
        return (s[2] >= 0x8b && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae);
    return len == 3 && s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa0 && s[2] <= 0xaf;
}

/* Of a sequence of `len` <= 3 bytes; of a stray byte (0) its value. */
static unsigned code_point(const unsigned char *s, unsigned len)
{
    if (len == 2)
        return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
    if (len == 3)
        return (s[0] & 0xfu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
    return s[0];
}

void text_add_json(struct text *text, const char *string)
{
    text_add(text, "\"");
    for (const unsigned char *s = (const unsigned char *)string; *s;) {
        size_t plain = 0; /* the usual letters in one go */
        while (s[plain] >= 0x20 && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\')
            plain++;
        text_add_len(text, (const char *)s, plain);
        s += plain;
        if (!*s)
            break;
        unsigned len = utf8_len(s);
        if (*s == '"' || *s == '\\')
            text_printf(text, "\\%c", *s);
        else if (len == 0 || is_control(s, len))
            /* A byte that is no UTF-8 goes out as U+00NN: always valid JSON. */
            text_printf(text, "\\u%04x", code_point(s, len));
        else
            text_add_len(text, (const char *)s, len);
        s += len ? len : 1;
    }
    text_add(text, "\"");
}

void text_add_shown(struct text *text, const char *string)
{
    for (const unsigned char *s = (const unsigned char *)string; *s;) {
        unsigned len = utf8_len(s);
        if (len == 0 || is_control(s, len)) {
            for (unsigned i = 0; i < (len ? len : 1); i++)
                text_printf(text, "\\x%02x", s[i]);
        } else {
            text_add_len(text, (const char *)s, len);
        }
        s += len ? len : 1;
    }
}

void text_add_xml(struct text *text, const char *string)
{
    struct text shown;
    text_init(&shown);
    text_add_shown(&shown, string);
    for (const char *c = text_string(&shown); *c; c++) {
        switch (*c) {
        case '&':
            text_add(text, "&amp;");
            break;
        case '<':
            text_add(text, "&lt;");
            break;
        case '>':
            text_add(text, "&gt;");
            break;
        case '"':
            text_add(text, "&quot;");
            break;
        default:
            text_add_len(text, c, 1);
        }
    }
    text_free(&shown);
}

bool text_is_among(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = words; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, len) == 0 && (at[len] == 0 || at[len] == ','))
            return true;
    }
    return false;
}
