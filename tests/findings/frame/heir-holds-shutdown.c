/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

int main(void)
{
    int listener = bind_here(4);
    client_was_here();
    int fd = accept(listener, NULL, NULL);
    if (spawn() == 0)
        rest();
#ifndef REPAIRED
    close(fd);
#endif
    /* PAGE */
    ready();
    rest();
}
