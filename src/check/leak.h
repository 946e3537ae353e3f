/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection that was not ended: its facts, what the rules say of them, and its like. */
#ifndef LASTACK_CHECK_LEAK_H
#define LASTACK_CHECK_LEAK_H

#include "check/judge.h"

struct watch;
struct place;

void leak_tell(struct watch *watch, struct connection *connection,
               const struct candidate *candidate, const struct ending *ending);
/* Source lines of a place with the help of `helper`, if that shares its image, else of who was
 * there. */
void leak_place_resolve(struct watch *watch, struct place *place, const struct process *helper);
/* At the end of the run: what became of its siblings, and so what to change. */
void leak_finish(struct watch *watch, struct check_leak *leak);
void leak_free(struct check_leak *leak);

#endif
