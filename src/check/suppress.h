/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaks that are known and do not count: lines of patterns. */
#ifndef LASTACK_CHECK_SUPPRESS_H
#define LASTACK_CHECK_SUPPRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "check/check.h"

struct suppressions;

/* Add the lines of a file. False: `why` has a sentence. */
bool suppressions_read(struct suppressions **all, const char *path, char *why, size_t why_len);
/* True if a line covers this leak. */
bool suppressions_match(struct suppressions *all, const struct check_leak *leak);
/* A note for each line that matched nothing. */
void suppressions_add_unused(const struct suppressions *all, struct text *notes);
void suppressions_free(struct suppressions *all);

#endif
