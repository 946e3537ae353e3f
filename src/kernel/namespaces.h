/* SPDX-License-Identifier: BSD-2-Clause */
/* Every network namespace that can be reached, and a way to ask it for its sockets. Private. */
#ifndef LASTACK_KERNEL_NAMESPACES_H
#define LASTACK_KERNEL_NAMESPACES_H

#include "kernel/scan.h"

/* Fill `spaces`: our own first, then those of processes and of ip netns. 0, or -errno with a sentence
 * if not even our own can be asked. */
int namespaces_look(struct scan *scan, char *why, size_t why_len);

#endif
