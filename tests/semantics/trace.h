/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket semantics program: what a program sees of its sockets, written as a trace.
 *
 * One line per step, `GROUP CASE STEP: RESULT`. A result is a name (an errno, poll flags,
 * quoted data, "eof"), never a pid, port, time or count that depends on the machine, so two
 * runs on stacks that agree print the same bytes. Each case runs in a process
 * group of its own, which is killed when the case ends.
 *
 * Nothing here sleeps for a result: steps wait for the event they name (semantics_wait_ms at
 * most). "Nothing happened" is shown by causality: something later on the same connection
 * arrived, so what was to come earlier never came.
 */
#ifndef SEMANTICS_TRACE_H
#define SEMANTICS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>

struct semantics_case {
    const char *name;
    void (*run)(void);
};
struct semantics_group {
    const char *name;
    const struct semantics_case *cases; /* ends with a NULL name */
};

extern const struct semantics_group group_refs, group_exec, group_pass, group_close,
    group_shutdown, group_half, group_errors, group_busy, group_ready, group_epoll, group_names,
    group_accept, group_backlog, group_options, group_io, group_signals, group_beside;

extern int semantics_wait_ms; /* how long a step waits for what it names */

/* ---- the trace ---- */

void trace_begin(const char *group, const char *name);
__attribute__((format(printf, 2, 3))) void say(const char *step, const char *format, ...);
/* A system call's result: the number, or the name of errno when it is negative. */
void result(const char *step, long value);
/* The same, but any success is "ok": for calls that return a descriptor. Returns `fd`. */
int opened(const char *step, int fd);
void yes_no(const char *step, bool value);
const char *error_name(int error);
/* The set-up of a case failed: say so and leave. */
__attribute__((noreturn)) void broken(const char *what);

/* ---- connections ---- */

int tcp(void);                   /* a new TCP socket */
int listener(int backlog);       /* listening on 127.0.0.1, port of the stack's choice */
int listener_reusable(void);     /* the same with SO_REUSEADDR */
struct sockaddr_in any_local(void); /* 127.0.0.1, port 0 */
struct sockaddr_in at_port(const char *address, int port);
struct sockaddr_in name_of(int fd);
int port_of(int fd);
int connect_to(int fd, const struct sockaddr_in *address);
int client_of(int listening);    /* a new socket, connected to that listener */
int accept_from(int listening);  /* waits for a connection and accepts it */
void pair(int *client, int *server);
int closed_port(void);           /* a port on which nobody listens now */
void set_flag(int fd, int level, int name, int value);
void nonblocking(int fd);
void linger(int fd, int on, int seconds);
int fill(int fd);                /* write without waiting until nothing more is taken; bytes */
int tcp_state(int fd);           /* TCP_INFO's state, or negative */

/* ---- steps ---- */

/* Poll flags as text: "IN|OUT|RDHUP". */
const char *flags_text(int flags);
int flags_now(int fd);
/* Wait until all of `want` are there, then say every flag there is. */
void ready(const char *step, int fd, int want);
/* Say the flags there are at this moment. */
void flags(const char *step, int fd);
/* Wait for the flags without a word. False: they never came. */
bool await(int fd, int want);
void sends(const char *step, int fd, const char *text);
/* Wait until something can be received, receive once, and say it. */
void sees(const char *step, int fd);
/* Receive exactly `len` bytes, in however many pieces; stops at an end or an error. */
void sees_len(const char *step, int fd, size_t len);
/* One receive that does not wait. */
void sees_now(const char *step, int fd);
/* Read to the end of stream; say how many bytes, and how it ended. */
void drains(const char *step, int fd);
void so_error(const char *step, int fd);
void number_option(const char *step, int fd, int level, int name);

/* ---- processes ---- */

/* A counter that processes wait on; close-on-exec. */
int turn_make(void);
void turn_give(int turn);
void turn_wait(int turn);
pid_t branch(void);                       /* fork; the child dies with its parent */
void done(const char *step, pid_t child); /* wait for a child and say how it ended */
void ended(pid_t child);                  /* the same without a word */
/* Start this program again in `role` (helpers in process.c), with fd numbers as arguments. */
__attribute__((noreturn)) void become(const char *role, int a, int b, int c);
int semantics_helper(char **argv);
/* A blocked process is asleep in the call it is expected to be in: wait until it sleeps. */
void await_asleep(pid_t child);

#endif
