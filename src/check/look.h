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
    uint64_t net;    /* cookie of its network namespace; 0: the kernel is too old to tell */
    bool asked;      /* sock_diag of its namespace knows it */
    uint64_t unread; /* bytes and the FIN, as the kernel counts them; FACT_UNKNOWN */
    uint64_t send_queue;
    uint64_t data_in_us, data_out_us, ack_in_us;
    uint64_t bytes_in, bytes_out;
    uint32_t retransmits;
};

#define LOOKER_NET_MAX 4

/* sock_diag of network namespaces: first one's own, then those where sockets were found. As it keeps
 * these alive, it has to be closed soon. All zero at first. */
struct looker {
    struct looker_net {
        uint64_t cookie;
        int netlink; /* -1: it cannot be asked */
    } all[LOOKER_NET_MAX];
    unsigned cnt;
};
void looker_close(struct looker *looker);

/* A descriptor for a thread (or, on kernels before 6.9, for its process); -errno. */
int look_pidfd(uint32_t pid, uint32_t tid);
/* Look at descriptor `fd` behind `pidfd`, without the queues if `looker` is NULL. 0, or -errno if
 * it could not be looked at. */
int look_at(struct looker *looker, int pidfd, int fd, struct look *look);

enum held { HELD_NOT, HELD_YES, HELD_UNKNOWN };
/* Does anything refer to this connection still? UNKNOWN if it has no addresses any more, or lives in
 * a namespace that `looker` has not met. */
enum held look_held(struct looker *looker, const struct look *look);
/* The same, and if something does, how the connection stands: for one that has no descriptor. `look`
 * has its tuple, cookie and net. */
enum held look_without(struct looker *looker, struct look *look);
/* Do descriptors wait in messages that came to this AF_UNIX socket? */
bool look_has_messages(uint32_t tid, int fd);

/* The inode of "socket:[N]" behind /proc/TID/fd/FD; 0: no socket. */
uint64_t look_inode(uint32_t tid, int fd);
/* The descriptor whose close() is the last call that a stopped thread made, or was about to; else -1. */
int look_closing(uint32_t tid);

#endif
