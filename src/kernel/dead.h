/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors whose TCP connection is in no table of the kernel any more. Private. */
#ifndef LASTACK_KERNEL_DEAD_H
#define LASTACK_KERNEL_DEAD_H

#include "kernel/scan.h"

/* Add those of the unknown sockets that are TCP connections which have ended. */
void dead_look(struct scan *scan);

/* A copy of a descriptor of another process, close-on-exec; -errno. */
int descriptor_copy(uint32_t pid, int fd);

#endif
