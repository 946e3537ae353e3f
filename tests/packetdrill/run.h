/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One script against one stack. Time in a script is relative to its start. Sequence numbers in a
 * SYN are what the script calls the initial ones; in all other segments they count from these.
 * Ports and addresses are not written at all: they belong to the socket under test, the last one
 * made by socket() or by a SYN to it.
 */
#ifndef TESTS_PACKETDRILL_RUN_H
#define TESTS_PACKETDRILL_RUN_H

#include <pthread.h>

#include "adapter.h"
#include "packet.h"
#include "script.h"

#define RUN_FDS 64
#define RUN_IOV 16
#define RUN_POLLS 16
#define RUN_TIMESTAMPS 64

#define LOCAL_IP 0xc0a80001u  /* 192.168.0.1, as packetdrill's default */
#define REMOTE_IP 0xc0000201u /* 192.0.2.1 */
#define BIND_PORT 8080
#define CONNECT_PORT 8080
#define EPHEMERAL_PORT 50000  /* the peer's first */

enum socket_role {
    ROLE_NEW,        /* socket() */
    ROLE_LISTENING,  /* listen() */
    ROLE_CONNECTING, /* connect(); its SYN not seen yet */
    ROLE_CONNECTED,  /* the 4-tuple is known */
    ROLE_PASSIVE,    /* born of a SYN: SYN-ACK not seen yet */
};

/* The socket under test. */
struct subject {
    bool exists;
    bool active;                     /* its SYN has gone out, no SYN-ACK came yet */
    enum socket_role role;
    uint16_t local_port, remote_port;
    uint32_t live_isn, script_isn;   /* ours, and what the script calls it */
    uint32_t remote_isn;             /* the peer's: SYNs are written with it, the rest relative to it */
    unsigned timestamp_cnt;
    struct {
        uint32_t script, live;
    } timestamps[RUN_TIMESTAMPS];
};

/* A system call with its arguments taken apart. */
struct job {
    const struct event *event;
    const struct call_entry *entry;
    struct run *run;
    int fd, fd2;                     /* live */
    long number[3];
    void *data;
    size_t len;
    struct iovec iov[RUN_IOV];
    int iov_cnt;
    struct msghdr message;
    struct pollfd polls[RUN_POLLS];
    int poll_cnt;
    struct epoll_event event_in, *events;
    struct sockaddr_storage address;
    socklen_t address_len;
    int value;
    unsigned char option[64];
    socklen_t option_len;
    bool value_given;
    /* outcome */
    long result;
    int error;
    int64_t start_us, end_us;
    pthread_t thread;
    bool threaded, running, finished;
};

struct run {
    const struct script *script;
    struct packetdrill_interface stack;
    const struct event *event;       /* in hand */
    int64_t start_us;                /* of the script, on the stack's clock */
    int64_t now_us;                  /* of the script */
    int64_t tolerance_us;
    bool strict_segments;
    struct subject subject;
    struct {
        uint16_t local_port, remote_port;
    } past[RUN_FDS];                 /* connections of the script that are not under test */
    unsigned past_cnt;
    int live_fd[RUN_FDS];            /* by the script's number; -1: none */
    struct job *blocked;
    uint16_t next_port;
    uint8_t scratch[PACKET_MAX + 1];
    char error[2048];
};

/* Run `script` with the adapter's flags `extra_flags` (or NULL), then those of its own --so_flags.
 * False: run->error has lines that say what differs. */
bool run_script(struct run *run, const struct script *script, const char *extra_flags);

/* Note what is wrong, with the script's name and line; returns false. */
__attribute__((format(printf, 2, 3))) bool run_fail(struct run *run, const char *format, ...);
/* As above for the event of a given line. */
__attribute__((format(printf, 3, 4))) bool run_fail_at(struct run *run, unsigned line,
                                                       const char *format, ...);

/* run-packet.c */
bool run_packet(struct run *run, const struct packet_spec *packet);
/* No packet of the socket under test may wait that no line has asked for. */
bool run_quiet(struct run *run);
/* Packets of this connection are none of the script's business. */
void run_past_add(struct run *run, uint16_t local_port, uint16_t remote_port);
/* Note the time now (on the script's clock). */
void run_clock(struct run *run);
/* How far a time may be off after a wait: a constant, and a hundredth, because the stack rounds its
 * timeouts up to milliseconds before it doubles them. */
int64_t run_tolerance(const struct run *run, int64_t wait_us);
/* Is `us` the time that the event in hand asks for? */
bool run_time_matches(struct run *run, const struct event *event, int64_t us, int64_t base_us,
                      const char *what);

/* run-call.c */
bool run_call(struct run *run, const struct event *event, int64_t base_us);
/* Take the blocked call home if it is done; `must`: it has to be. */
bool run_call_collect(struct run *run, bool must);

#endif
