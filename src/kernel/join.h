/* SPDX-License-Identifier: BSD-2-Clause */
/* From a look to facts. Private. */
#ifndef LASTACK_KERNEL_JOIN_H
#define LASTACK_KERNEL_JOIN_H

#include "kernel/scan.h"

/* Mark what the options ask for: `wanted`. Listeners, peers and all else stay in the look. */
void join_choose(struct scan *scan);
/* Mark what is more than a quiet connection: `interesting`. */
void join_weigh(struct scan *scan);
/* Append the facts of all that is wanted. */
void join_facts(struct scan *scan, struct facts_list *list);

#endif
