/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static int work;

static inline int queue_full(int *queue)
{
    return *queue == 0;
}

static inline void pause_reading(int fd)
{
    (void)fd;
}

#define deadline_set deadline_start

static void turn(int fd)
{
    for (int times = 0; times < 1; times++) {
        /* PAGE */
        continue;
    }
    (void)fd;
}

int main(void)
{
    int listener = bind_here(4), poller = epoll_create1(0);
    struct epoll_event event;
    client_writes();
    int fd = accept(listener, NULL, NULL);
    turn(fd);
    ready();
    for (;;)
        epoll_wait(poller, &event, 1, -1);
}
