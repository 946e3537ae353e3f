/* SPDX-License-Identifier: BSD-2-Clause */
/* close() with SO_LINGER {on, t}: somebody waits until all is acknowledged or t has passed. */
#ifndef LASTACK_SOCKET_LINGER_H
#define LASTACK_SOCKET_LINGER_H

#include "socket/socket.h"

#define TIMER_LINGER TIMER_STACK_CNT

struct lingering {
    struct file file; /* kind FILE_LINGER: the owner of the connection meanwhile */
    struct list link; /* on lastack->lingered when done */
    struct timer timer;
    struct connection *connection;
    uint64_t socket_id;
    void *user;
};

/* The last reference of `socket` is closed. 0: all is acknowledged already. -EINPROGRESS. */
int linger_start(lastack *stack, struct socket *socket, struct connection *connection);
/* Its connection has news. */
void linger_news(lastack *stack, struct lingering *linger);
/* t has passed. */
void linger_timer(lastack *stack, struct lingering *linger);

#endif
