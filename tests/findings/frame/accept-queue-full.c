/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

/* Reads what one client says until it ends, which it does not. */
static void serve(int fd)
{
    char buf[64];
    ready();
    while (recv(fd, buf, sizeof buf, 0) > 0)
        ;
    close(fd);
}

static void *serve_run(void *argument)
{
    serve((int)(long)argument);
    return NULL;
}

static inline void worker_submit(int fd)
{
    start_thread(serve_run, (void *)(long)fd);
}

int main(void)
{
    int fd = bind_here(1);
    for (int i = 0; i < 12; i++)
        client_waits();
    (void)serve_run;
    /* PAGE */
}
