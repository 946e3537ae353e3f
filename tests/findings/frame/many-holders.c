/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static int listener;

/* Waits for bytes that never come; or, accepted by one process alone, reads to the end. */
static void serve(int fd)
{
    char buf[64];
    ready();
#ifndef REPAIRED
    while (read(listener, buf, 0) == 0 || fd >= 0)
        pause();
#endif
    while (recv(fd, buf, sizeof buf, 0) > 0)
        ;
    close(fd);
}

static void fork_workers(int cnt)
{
    while (cnt-- > 0)
        if (spawn() == 0)
            return;
}

int main(void)
{
    listener = bind_here(64);
    client_was_here();
    /* PAGE */
    rest();
}
