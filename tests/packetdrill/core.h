/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of the adapter: one stack, a virtual clock, the packets it sent, and calls that
 * wait.
 *
 * Time moves only in three places: usleep, gettimeofday (one microsecond per call, because
 * packetdrill spins on it) and netdev_receive (until a packet comes out). Each runs the
 * stack's timers in order and exactly at their time.
 *
 * A call that would block becomes a `struct call` in the list of waiters. Whoever changes the
 * stack tries every waiter again at once, so a blocked read takes its data at the very
 * (virtual) moment it arrives, whichever thread is awake; the thread that called only carries the
 * result home.
 */
#ifndef TESTS_PACKETDRILL_CORE_H
#define TESTS_PACKETDRILL_CORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "adapter.h"
#include "flags.h"
#include "watch.h"

#define FDS_MAX 1024
#define RECEIVE_BOUND_NS (200ull * 1000000000) /* longest wait for a packet */
#define FINISH_BOUND_NS (7200ull * 1000000000)

struct sent_packet {
    struct sent_packet *next;
    uint64_t time_ns;
    size_t len;
    uint8_t data[];
};

struct core {
    pthread_mutex_t mutex;
    pthread_t owner;            /* the thread that drives time */
    lastack *stack;
    lastack_process *process, *child;
    struct flags flags;
    uint64_t now_ns, child_exit_ns;
    int interface;              /* number, 0: not there yet */
    struct sent_packet *first, **last;
    int fds[FDS_MAX];           /* of the host -> of the stack, + 1 */
    struct call *waiters;
    unsigned still_cnt;         /* timers run without time moving on */
    bool fault_asked, finished;
    struct watch watch;
};

/* A call that may wait. `attempt` returns -EAGAIN for "not yet". */
struct call {
    struct call *next;
    long (*attempt)(struct core *core, struct call *call);
    int fd;                     /* of the stack */
    void *data;
    size_t len, done_len;
    const struct iovec *iov;
    size_t iov_cnt;
    int flags;
    struct sockaddr *address;
    socklen_t *address_len;
    struct pollfd *polls;
    struct epoll_event *events;
    uint64_t socket_id;
    uint64_t limit_ns;          /* when poll gives up; LASTACK_NEVER */
    bool lingered, expired, done;
    long result;
    uint64_t done_ns;
    pthread_cond_t wake;
};

/* Take the packets owed, then try waiters again, until nothing moves. */
void core_pump(struct core *core);
/* Run timers up to `until_ns`. */
void core_drive(struct core *core, uint64_t until_ns);
/* Run a call to its end: at once, or by waiting if `wait` says that it may. */
long core_call(struct core *core, struct call *call, bool wait);
/* The interface exists from the first address on that a script uses. */
void core_interface(struct core *core, const struct sockaddr *local);
void core_fault(struct core *core, const char *text);

/* Fill in everything that is a system call on a socket. */
void calls_init(struct packetdrill_interface *interface);

#endif
