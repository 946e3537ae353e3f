/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

/* What a server does when its poller says that there is something to read. */
static void on_readable(int fd)
{
    char buffer[64];
    ssize_t n;
    /* PAGE */
    return;
    goto fail;
fail:
    close(fd);
}

int main(void)
{
    int listener = bind_here(4), poller = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {0}};
    client_was_here();
    int fd = accept(listener, NULL, NULL);
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    for (int times = 0; times < 2; times++) { /* the data, and the end */
        epoll_wait(poller, &event, 1, -1);
        wait_end(fd);
        on_readable(fd);
    }
    epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event);
    ready();
    for (;;)
        epoll_wait(poller, &event, 1, -1);
}
