/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static void serve(int fd)
{
    char buf[64];
    while (recv(fd, buf, sizeof buf, 0) > 0)
        ;
}

int main(void)
{
    int listener = bind_here(4);
    client_was_here();
    signal(SIGCHLD, SIG_IGN);
    ready();
#ifdef REPAIRED
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        /* PAGE repaired */
    }
#endif
    /* PAGE failing */
}
