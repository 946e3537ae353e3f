/* SPDX-License-Identifier: BSD-2-Clause */
/* The pieces of JSON that a look of --follow shares with the other views. */
#ifndef LASTACK_CLI_WHY_JSON_H
#define LASTACK_CLI_WHY_JSON_H

#include "cli/why.h"

/* The object up to its last member, without "findings" and the closing brace; `changes` has an
 * entry for each group, or is NULL. False: out of memory. */
bool why_json_groups(struct text *out, const struct catch *catch, const struct findings *findings,
                     const struct finding_groups *groups, const struct group_change *changes);

#endif
