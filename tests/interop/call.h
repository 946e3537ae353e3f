/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Socket calls that wait, for the scenarios: on the system's sockets (call_system.c: the Linux
 * kernel, or lastack when the program runs under `lastack run`) or on the library over a TUN
 * device of its own (call_library.c). Errors are negative errno values; a call that could not
 * go on for CALL_LIMIT_MS says -ETIME.
 */
#ifndef INTEROP_CALL_H
#define INTEROP_CALL_H

#include <stdint.h>
#include <sys/types.h>

#define CALL_LIMIT_MS 30000

struct call_options {
    const char *tun;        /* library only: the device, */
    const char *address;    /* ... this stack's address on it, */
    unsigned impair;        /* ... and how many packets of 1000 are lost, doubled, swapped */
    const char *congestion; /* kernel only: TCP_CONGESTION */
};

/* Once, before all others. 0 or an error, with a line on stderr. */
int call_begin(const struct call_options *options);
/* Let everything that is still to be sent go out; for the library, which has no kernel that
 * would go on alone. 0, or -ETIME when something stayed. */
int call_end(void);

int call_listen(const char *address, int port, int backlog);
int call_accept(int listener);
int call_connect(const char *address, int port);
ssize_t call_send(int fd, const void *data, size_t len); /* some of it, at least a byte */
ssize_t call_recv(int fd, void *data, size_t len);
/* Wait until one of the poll flags shows; returns those there are, 0 after `limit_ms`. */
int call_wait(int fd, int events, int limit_ms);
int call_unread(int fd); /* bytes in the receive queue */
int call_shutdown(int fd, int how);
int call_close(int fd);
int call_close_resets(int fd); /* SO_LINGER {1, 0} */
/* What kill -9 does to this program and its sockets. For the system's it does not return. */
void call_die(void);

#endif
