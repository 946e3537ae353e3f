/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the iterators write and iterators.c reads: records one after the other, each begins with
 * `struct record_head`. Addresses of kernel objects only serve to tell them apart; nobody follows
 * them.
 */
#ifndef LASTACK_KERNEL_BPF_ITERATOR_RECORDS_H
#define LASTACK_KERNEL_BPF_ITERATOR_RECORDS_H

#ifdef __bpf__
#include "kernel/bpf/kernel_types.h"
#else
#include <linux/types.h>
#endif

/* Set by iterators.c before each pass. */
struct iterators_wanted {
    __u32 states;   /* bits 1 << TCP_* */
    __u32 unix_too; /* descriptors of AF_UNIX sockets */
};

enum record_kind {
    RECORD_SOCKET = 1,
    RECORD_WATCH,      /* an entry of the wait queue of the socket before it */
    RECORD_QUEUED,     /* a connection in the accept queue of the socket before it */
    RECORD_PROCESS,    /* descriptors that follow are this one's */
    RECORD_DESCRIPTOR, /* of a TCP socket, or of an AF_UNIX one when asked for */
    RECORD_EPOLL,
    RECORD_RING,
    RECORD_MESSAGE,    /* a file in flight, in the receive queue of an AF_UNIX socket */
    RECORD_TASK,       /* a process: whose credentials are whose, limits */
    RECORD_THREAD,     /* what a thread does */
};

struct record_head {
    __u16 kind, len;
};

enum {
    SOCKET_OPEN = 1,       /* has a file */
    SOCKET_KERNEL = 2,     /* a user within the kernel instead of a file */
    SOCKET_DEAD = 8,       /* met as a descriptor: in no table */
    SOCKET_WATCH_CUT = 16, /* not all of its wait queue was walked */
    SOCKET_HALF = 32,      /* a request or a time-wait entry: only the first half is filled */
};

struct record_socket {
    struct record_head head;
    __u8 family, state, shutdown, flags;
    __u8 timer, timer_cnt, backoff, probes; /* timer: as idiag_timer */
    __u8 retransmits, pad[3];
    __u64 sock, cookie; /* sock: its address */
    __u16 local_port, remote_port;
    __u32 interface, uid, space; /* space: inode of its network namespace */
    __s32 timer_ticks; /* until it is due; may be negative */
    __u32 hash;        /* of its (MPTCP: its owner's) addresses and ports, by the kernel */
    __u8 local[16], remote[16];
    /* -- */
    __u64 inode, cred, references;
    __u64 owner; /* MPTCP: the address of the socket that a descriptor leads to; else 0 */
    __u32 receive_len, send_len, unsent; /* with FIN and SYN */
    __u32 receive_window, send_window;
    __u32 data_in_ticks, data_out_ticks, ack_in_ticks; /* ages */
    __u32 segments_in, segments_out, data_segments_in, data_segments_out;
    __u32 busy_ticks;
    __s32 error;
    __u64 bytes_received, bytes_acked, bytes_sent, bytes_again;
};

enum {
    WATCH_CALL, /* a thread that waits */
    WATCH_POLL, /* a thread in poll or select */
    WATCH_EPOLL,
    WATCH_RING,
    WATCH_OTHER,
};

#define RECORD_WATCH_MAX 64 /* of one socket; more are cut */

struct record_watch {
    struct record_head head;
    __u8 kind;
    __u8 fixed;        /* RING: a registered file, which the request does not hold */
    __u8 pad[2];
    __u32 pid, tid;    /* CALL, POLL, RING */
    __u32 events;      /* EPOLL, POLL */
    __s32 target_fd;   /* EPOLL */
    __u64 object;      /* EPOLL: the epoll, RING: the ring */
    __u64 data;        /* EPOLL */
};

struct record_queued {
    struct record_head head;
    __u32 pad;
    __u64 sock;
};

struct record_process {
    struct record_head head;
    __u32 pid, tid;    /* tid: of a thread with a table of its own, or pid; pid 0: the end */
    __u32 pad;
    __u64 descriptors; /* that were met before this process */
    __u64 start_ns;    /* since boot */
    char comm[16];
};

enum {
    DESCRIPTOR_CLOEXEC = 1,
    DESCRIPTOR_UNIX = 2,
};

struct record_descriptor {
    struct record_head head;
    __s32 fd;
    __u32 flags, hash; /* hash: as of record_socket, so that memory used again is noticed */
    __u64 sock;
};

#define RECORD_WAITER_MAX 4

struct record_special { /* EPOLL, RING */
    struct record_head head;
    __s32 fd;
    __u64 object;
    __u32 waiters[RECORD_WAITER_MAX]; /* EPOLL: threads that sit in epoll_wait */
    __u32 waiter_cnt, pad;
};

struct record_message {
    struct record_head head;
    __u32 pad;
    __u64 sock;   /* the TCP socket that is passed */
    __u64 holder; /* the AF_UNIX socket whose queue it lies in */
    __u64 holder_peer;
};

struct record_task {
    struct record_head head;
    __u32 pid, parent;
    __u32 executed;    /* since its fork */
    __u64 start_ns;    /* since boot */
    __u64 started_ns;  /* the same on the clock that stands still in sleep (CLOCK_MONOTONIC) */
    __u64 cred;
    char comm[16];
    __u64 groups;      /* its control groups, of all hierarchies: equal addresses, equal groups */
    __u64 fd_limit;
    __u32 threads;
    __u32 state;       /* of its first thread: bits of task_struct.__state and .exit_state */
};

struct record_thread {
    struct record_head head;
    __u32 pid, tid;
    __s32 call;        /* -1: asleep, but in no system call */
    __u8 running;
    __u8 known;        /* `call` is; not on every architecture */
    __u8 pad[6];
    __u64 args[6];
};

#endif
