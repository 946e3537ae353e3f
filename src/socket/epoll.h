/* SPDX-License-Identifier: BSD-2-Clause */
/* Epoll instances: interest in sockets, and which of them have news. */
#ifndef LASTACK_SOCKET_EPOLL_H
#define LASTACK_SOCKET_EPOLL_H

#include "socket/socket.h"

/* For the pools. */
size_t epoll_size(void);
size_t epoll_watch_size(void);
void epoll_release(lastack *stack, struct file *file);
/* The socket has news: every instance that watches it looks again. */
void epoll_news(struct socket *socket);
/* The socket is gone: so is all interest in it. */
void epoll_forget(lastack *stack, struct socket *socket);

#endif
