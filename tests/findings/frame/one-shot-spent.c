/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

struct conn {
    int fd;
};

static int ep, started;

static void on_readable(struct conn *conn)
{
    char buf[64];
    ssize_t n;
    while ((n = recv(conn->fd, buf, sizeof buf, 0)) > 0)
        ;
    if (n == 0) {
        close(conn->fd);
        return;
    }
    /* PAGE */
}

int main(void)
{
    int there, listener = bind_here(4);
    ep = epoll_create1(0);
    there = dial();
    send(there, "hello", 5, 0);
    struct conn conn = {accept4(listener, NULL, NULL, SOCK_NONBLOCK)};
    struct epoll_event event = {EPOLLIN | EPOLLONESHOT, {.ptr = &conn}};
    epoll_ctl(ep, EPOLL_CTL_ADD, conn.fd, &event);
    for (;;) {
        epoll_wait(ep, &event, 1, -1);
        on_readable(event.data.ptr);
        if (started++ == 0) {
            close(there);
            ready();
        }
    }
}
