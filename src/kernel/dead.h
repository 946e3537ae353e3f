/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors whose TCP connection is in no table of the kernel any more. Private. */
#ifndef LASTACK_KERNEL_DEAD_H
#define LASTACK_KERNEL_DEAD_H

#include "kernel/scan.h"

/* Add those of the unknown sockets that are TCP connections which have ended. */
void dead_look(struct scan *scan);

/* Look at the dead ones from `first` on again, a second after `then_ns`: leave out those that were
 * closed meanwhile; the others have been dead so long. At once if there are none. */
void dead_again(struct facts_list *list, uint32_t first, uint64_t then_ns);

/* A copy of a descriptor of another process, close-on-exec; -errno. */
int descriptor_copy(uint32_t pid, int fd);

#endif
