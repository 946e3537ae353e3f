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

struct holder_set {
    struct holder *all; /* sorted by inode */
    unsigned cnt, cap;
};

/* One pass answers for all sockets. Costs about 5 us for each descriptor it looks at. */
void holders_scan(struct supervisor *s, struct holder_set *set);
void holders_free(struct holder_set *set);
/* The first of `inode` in the set; *cnt: how many. */
const struct holder *holders_of(const struct holder_set *set, uint64_t inode, unsigned *cnt);

/* A signal to all processes under the supervisor. */
void holders_signal(struct supervisor *s, int number);

#endif
