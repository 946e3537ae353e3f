/* SPDX-License-Identifier: BSD-2-Clause */
/* What the supervisor knows beyond its stack: holders, what they do, bytes that wait in pairs. */
#ifndef LASTACK_RUN_FACTS_H
#define LASTACK_RUN_FACTS_H

struct supervisor;
struct facts_list;

/* All facts of our stack, completed. */
void supervisor_facts(struct supervisor *s, struct facts_list *list);

#endif
