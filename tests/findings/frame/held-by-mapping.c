/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

int main(void)
{
    size_t len = 4096;
    int listener = bind_here(4);
    client_was_here();
    int fd = accept(listener, NULL, NULL);
    /* PAGE */
    if (at == MAP_FAILED)
        fprintf(stderr, "no mapping of TCP sockets here\n"), _exit(77);
    ready();
    rest();
}
