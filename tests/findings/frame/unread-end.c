/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static int poller, pool[8];

static void respond(int fd)
{
    char buf[64];
    recv(fd, buf, sizeof buf, 0);
    send(fd, "200\n", 4, MSG_NOSIGNAL);
}

static inline void pool_put(int fd)
{
    pool[0] = fd;
}

static inline void poll_add(int fd, unsigned events)
{
    struct epoll_event event = {events, {.fd = fd}};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

int main(void)
{
    char byte[4];
    int listener = bind_here(4), there = dial();
    struct epoll_event event;
    poller = epoll_create1(0);
    send(there, "GET", 3, 0);
    int fd = accept(listener, NULL, NULL);
    /* PAGE */
    recv(there, byte, sizeof byte, MSG_WAITALL);
    shutdown(there, SHUT_WR);
    close(there);
    ready();
    for (;;) {
        epoll_wait(poller, &event, 1, -1);
        if (event.events & EPOLLRDHUP)
            close(event.data.fd);
    }
}
