/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who holds a socket: descriptors of all processes under the supervisor, from /proc. An inode of a
 * socket has exactly one open file description, so equal inode means the same socket.
 */
#ifndef LASTACK_RUN_HOLDERS_H
#define LASTACK_RUN_HOLDERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct supervisor;

struct holder {
    uint64_t inode;
    pid_t pid;
    int fd;
};

/* A process under the supervisor. */
struct holder_process {
    pid_t pid;
    uint32_t fd_cnt; /* descriptors of all kinds */
};

struct holder_set {
    struct holder *all; /* sorted by inode */
    unsigned cnt, cap;
    struct holder *epolls; /* of one process together; inode 0 */
    unsigned epoll_cnt, epoll_cap;
    struct holder_process *processes; /* sorted by pid */
    unsigned process_cnt, process_cap;
    bool complete; /* all of them could be looked at */
};

/* One pass answers for all sockets. Costs about 2 us for each descriptor it looks at. */
void holders_scan(struct supervisor *s, struct holder_set *set);
void holders_free(struct holder_set *set);
/* The first of `inode` in the set; *cnt: how many. */
const struct holder *holders_of(const struct holder_set *set, uint64_t inode, unsigned *cnt);

/* NULL: not under the supervisor when the set was made. */
const struct holder_process *holders_process(const struct holder_set *set, pid_t pid);

/* A signal to all processes under the supervisor. */
void holders_signal(struct supervisor *s, int number);

#endif
