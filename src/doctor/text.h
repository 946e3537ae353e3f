/* SPDX-License-Identifier: BSD-2-Clause */
/* A string that grows. Out of memory makes it `failed` and every later call a no-op. */
#ifndef LASTACK_DOCTOR_TEXT_H
#define LASTACK_DOCTOR_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *at; /* NUL-terminated, or NULL while empty */
    size_t len, cap;
    bool failed;
};

void text_init(struct text *text);
void text_free(struct text *text);
void text_clear(struct text *text);
void text_add(struct text *text, const char *string);
void text_add_len(struct text *text, const char *bytes, size_t len);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *text, const char *format, va_list args);
void text_add_u64(struct text *text, unsigned long long number);
/* "" while empty. */
const char *text_string(const struct text *text);

/* A JSON string with its quotes; control characters and bytes that are no UTF-8 are escaped. */
void text_add_json(struct text *text, const char *string);
/* For a terminal: control characters and bytes that are no UTF-8 become \xNN. */
void text_add_shown(struct text *text, const char *string);
/* For XML: shown as for a terminal (XML 1.0 has no way to write most control characters). */
void text_add_xml(struct text *text, const char *string);

/* True if `word` is among `words`, which stand between commas. */
bool text_is_among(const char *words, const char *word);

#endif
