/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

int main(void)
{
    int listener = bind_here(4), poller = epoll_create1(0);
    struct epoll_event ev = {0};
    client_was_here();
    int fd = accept(listener, NULL, NULL);
    wait_end(fd);
    /* PAGE */
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &ev);
    ready();
    for (;; usleep(10000)) {
        if (epoll_wait(poller, &ev, 1, -1) == 1 && (ev.events & EPOLLRDHUP))
            close(fd);
    }
}
