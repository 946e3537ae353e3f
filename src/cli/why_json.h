/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings for machines. */
#ifndef LASTACK_CLI_WHY_JSON_H
#define LASTACK_CLI_WHY_JSON_H

#include <stdio.h>

#include "doctor/rules.h"

/* {"findings":[...]}; with `one` also its "facts" and "story". False: out of memory. */
bool why_print_json(FILE *out, const struct facts_list *list, const struct facts *one,
                    const struct findings *findings);

#endif
