/* SPDX-License-Identifier: BSD-2-Clause */
/* Which epolls watch which sockets, and for what. Private. */
#ifndef LASTACK_KERNEL_EPOLL_H
#define LASTACK_KERNEL_EPOLL_H

#include "kernel/scan.h"

/* Add a watcher for each interesting socket in each epoll that somebody has: first those of processes
 * that hold one, then all others while the bound lasts (`watchers_all` says whether it did). */
void epoll_look(struct scan *scan);

/* EPOLLONESHOT that fired: nothing is asked for any more but to stay in the list. */
bool epoll_is_spent(uint32_t events);

#endif
