/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static void handle(const char *buf, ssize_t n)
{
    (void)buf, (void)n;
}

static void on_readable(int fd)
{
    char buf[8];
    ssize_t n;
    /* PAGE */
}

int main(void)
{
    int listener = bind_here(4), poller = epoll_create1(0);
    struct epoll_event event = {EPOLLIN | EPOLLET, {0}};
    client_was_here();
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    wait_end(fd);
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    for (;;) {
        epoll_wait(poller, &event, 1, -1);
        on_readable(fd);
        ready();
    }
}
