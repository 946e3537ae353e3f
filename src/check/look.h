/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One socket of a traced process, seen without a scan of the machine: a copy of its descriptor
 * tells what it is and how its connection stands (TCP_INFO), and sock_diag, asked for exactly this
 * connection, tells what is unread and whether anybody still holds it. No privilege is needed.
 */
#ifndef LASTACK_CHECK_LOOK_H
#define LASTACK_CHECK_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/facts.h"

/* What was seen. Ages in microseconds, FACT_UNKNOWN and FACT_NEVER as in facts. */
struct look {
    bool tcp;        /* else nothing below holds */
    bool met;        /* it is, or was, connected: a SYN was answered */
    bool connecting; /* its SYN is not answered yet */
    enum lastack_state state;
    struct lastack_tuple tuple; /* zero once the connection is gone */
    bool has_tuple;
    uint64_t cookie;
    uint64_t unread; /* bytes and the FIN, as the kernel counts them; FACT_UNKNOWN */
    uint64_t send_queue;
    uint64_t data_in_us, data_out_us, ack_in_us;
    uint64_t bytes_in, bytes_out;
    uint32_t retransmits;
};

struct looker {
    int netlink; /* -1: none */
};
void looker_open(struct looker *looker);
void looker_close(struct looker *looker);

/* A descriptor for a thread (or, on kernels before 6.9, for its process); -errno. */
int look_pidfd(uint32_t pid, uint32_t tid);
/* Look at descriptor `fd` behind `pidfd`, without the queues if `looker` is NULL. 0, or -errno if
 * it could not be looked at. */
int look_at(struct looker *looker, int pidfd, int fd, struct look *look);

enum held { HELD_NOT, HELD_YES, HELD_UNKNOWN };
/* Does any descriptor of anybody refer to this connection still? UNKNOWN if it has no addresses any
 * more, or lives in another namespace. */
enum held look_held(struct looker *looker, const struct look *look);

/* The inode of "socket:[N]" behind /proc/TID/fd/FD; 0: no socket. */
uint64_t look_inode(uint32_t tid, int fd);

#endif
