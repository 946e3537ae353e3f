/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static void *serve(void *argument)
{
    char buf[64];
    int fd = (int)(long)argument;
    while (recv(fd, buf, sizeof buf, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static inline void serve_until_closed(int fd)
{
    serve((void *)(long)fd);
}

int main(void)
{
    int listener = bind_here(4);
    client_waits(); /* this one is slow */
    for (struct tcp_info info = {0}; info.tcpi_unacked < 1;) { /* of a listener: who waits in its queue */
        socklen_t len = sizeof info;
        check(getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len) == 0, "TCP_INFO");
    }
    client_was_here();
    ready();
    /* PAGE */
}
