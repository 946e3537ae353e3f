/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's TCP sockets as BPF iterators see them: every socket with its reference count, its
 * wait queue and its accept queue, and every descriptor of every process, so that references are
 * exact, hidden holders have names and creators are known by their credentials. Private to
 * src/kernel.
 */
#ifndef LASTACK_KERNEL_ITERATORS_H
#define LASTACK_KERNEL_ITERATORS_H

#include <stddef.h>

#include "kernel/scan.h"

/* Fill `scan`, whose namespaces are entered, instead of a dump (diag_dump) and a walk through /proc
 * (descriptors_look) of all sockets in one of `states` (bits 1 << LINUX_*). Sockets that a dump has
 * put in already are completed.
 *
 * Added are sockets, dead ones (LINUX_CLOSE, in no table of the kernel) that a process still holds,
 * descriptors and processes with their names, epolls and rings, watchers; `references`, listeners,
 * creators; and holders that are no descriptor. Of these only what two looks, 50 ms apart, have seen.
 * 0, and `exact` is set; or -errno with a sentence in `why`, and nothing was added. */
int iterators_look(struct scan *scan, uint32_t states, char *why, size_t why_len);

#endif
