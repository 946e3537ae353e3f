/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

enum { TIMED_OUT = 1, TIMEOUT = 10 };

/* The answer comes after the timeout. */
static int wait_readable(int fd, int timeout)
{
    (void)fd, (void)timeout;
    return 0;
}

static int ask(int fd)
{
    /* PAGE */
    return 0;
}

int main(void)
{
    server_ends(bind_here(4), 1000);
    int fd = dial();
    ask(fd);
    if (fcntl(fd, F_GETFD) >= 0)
        wait_end(fd);
    ready();
    rest();
}
