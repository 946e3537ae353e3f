/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has a descriptor of a socket: the fd directories of all processes. Private. */
#ifndef LASTACK_KERNEL_DESCRIPTORS_H
#define LASTACK_KERNEL_DESCRIPTORS_H

#include "kernel/scan.h"

/* Add a hold for every descriptor of a known socket, in every table of descriptors that there is: of
 * processes, and of threads that have one of their own. Remembers epolls, rings and unknown
 * sockets on the way. 0, or -errno: /proc is not to be had. */
int descriptors_look(struct scan *scan);

#endif
