/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stage of tests/live: `faults NAME` plays one scenario, a server and its clients as processes
 * of their own. They say on standard output who and what they are:
 *
 *     socket ROLE PID FD COOKIE LOCAL PEER
 *     process ROLE PID
 *     ready
 *
 * "ready" comes when all of them are where the scenario wants them. It ends with standard input.
 * Nobody waits for time to pass: they wait for each other (tell, hear) or for the socket itself.
 */
#ifndef LIVE_STAGE_H
#define LIVE_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct scenario {
    const char *name;
    void (*server)(int listener);
    void (*client)(void);
    unsigned client_cnt; /* 0: one */
};

/* One table per letter of causes; each ends with a nameless row. */
extern const struct scenario scenarios_owner[];
extern const struct scenario scenarios_nobody[];
extern const struct scenario scenarios_accept[];
extern const struct scenario scenarios_shared[];
extern const struct scenario scenarios_ring[];
extern const struct scenario scenarios_wire[];

/* Give up with a sentence unless `good`. */
void check(bool good, const char *what);

/* ---- telling the driver ---- */
void say_socket(const char *role, int fd);
void say_process(const char *role, pid_t pid);
/* Each server and each client calls it once, before it does nothing more or blocks. */
void ready(void);

/* ---- waiting for each other ---- */
void tell(unsigned wire);
void hear(unsigned wire);

/* ---- processes ---- */
pid_t spawn(void); /* fork; the child dies with its parent */
_Noreturn void rest(void); /* for ever, in pause() */
void start_thread(void *(*run)(void *), void *argument);

/* ---- sockets ---- */
int dial(void);
int take(int listener);        /* accept one */
void give(int fd, size_t len); /* send all of it */
void fill(int fd);             /* send until nothing more goes */
void read_to_end(int fd);
void read_some(int fd, size_t len);
void read_then_fin(int fd, size_t len); /* read_some; then let client_leaves_later end, wait_fin */
void wait_fin(int fd);               /* until the peer's FIN is there; does not read it */
void wait_dead(int fd);              /* until the connection is gone */
void shut(int fd);                   /* our FIN */
void go_deaf(int fd); /* every segment for it is lost from now on, as if its host had gone */

/* ---- epoll ---- */
int poller(void);
void poller_add(int poller, int fd, unsigned events);
void poller_change(int poller, int fd, unsigned events);
int poller_wait(int poller); /* the descriptor that is ready */
_Noreturn void poller_rest(int poller); /* takes events and does nothing with them */

/* ---- clients that many scenarios share ---- */
void client_polite(void); /* says something, ends its half, waits for the server's end */
void client_leaves(void); /* says something and closes */
void client_leaves_later(void); /* closes when the server has read that (read_then_fin) */
void client_waits(void);  /* says something and waits for an answer */

#endif
