/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

int main(void)
{
    static char p[8 << 20];
    size_t n = sizeof p;
    int listener = bind_here(4);
    client_never_reads();
    int fd = accept(listener, NULL, NULL);
    ready();
    /* PAGE */
    rest();
}
