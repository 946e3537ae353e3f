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
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pid_t child = fork();
        if (child == 0) {
            /* PAGE repaired */
            _exit(0);
        }
        waitpid(child, NULL, 0);
        ready();
    }
}
