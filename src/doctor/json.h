/* SPDX-License-Identifier: BSD-2-Clause */
/* A small JSON reader (RFC 8259): the whole text becomes a tree that one call frees. */
#ifndef LASTACK_DOCTOR_JSON_H
#define LASTACK_DOCTOR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json {
    enum json_kind kind;
    const char *key;    /* of a member of an object */
    const char *string; /* STRING: NUL-terminated, escapes resolved */
    int64_t number;     /* NUMBER: fraction cut off */
    uint64_t magnitude; /* NUMBER: as unsigned, for values above INT64_MAX */
    struct json *child; /* ARRAY, OBJECT: first */
    struct json *next;  /* sibling */
};

struct json_document; /* owns every node and string */

/* NULL when `text` is no JSON (a sentence in `why`) or memory is short. Nesting is limited. */
struct json_document *json_parse(const char *text, size_t len, char *why, size_t why_len);
const struct json *json_root(const struct json_document *document);
void json_free(struct json_document *document);
/* Member of an object, NULL if there is none or `object` is none. */
const struct json *json_get(const struct json *object, const char *key);
/* Member that is a string, else `otherwise`. */
const char *json_get_string(const struct json *object, const char *key, const char *otherwise);
bool json_get_u64(const struct json *object, const char *key, uint64_t *value);

#endif
