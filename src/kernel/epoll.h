/* SPDX-License-Identifier: BSD-2-Clause */
/* Which epolls watch which sockets, and for what. Private. */
#ifndef LASTACK_KERNEL_EPOLL_H
#define LASTACK_KERNEL_EPOLL_H

#include "kernel/scan.h"

#define EPOLL_TEXT_MAX (32u << 20) /* bytes of fdinfo in one look, ~1 us for each 95 */

/* A walk through what epolls watch. */
struct epoll_walk {
    uint64_t device; /* of sockets: epoll_device() of any of them */
    size_t total;    /* bytes read so far, EPOLL_TEXT_MAX at most */
    void (*take)(struct epoll_walk *walk, uint64_t inode, const struct fact_watch *watch);
    void *context;
};
uint64_t epoll_device(int socket);
/* Take what epoll `fd` of the process whose directory this is watches; `tid`: of a thread with a table
 * of its own, or 0. The watch knows all but its process. False: not everything was read. */
bool epoll_targets(struct epoll_walk *walk, int dir, int fd, uint32_t tid);

/* Add a watcher for each interesting socket in each epoll that somebody has: first those of processes
 * that hold one, then all others while the bound lasts (`watchers_all` says whether it did). */
void epoll_look(struct scan *scan);

/* EPOLLONESHOT that fired: nothing is asked for any more but to stay in the list. */
bool epoll_is_spent(uint32_t events);

#endif
