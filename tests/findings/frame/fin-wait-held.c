/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

int main(void)
{
    char buf[64];
    int listener = bind_here(4);
    if (spawn() == 0) {
        int there = dial();
        wait_end(there);
        rest();
    }
    int fd = accept(listener, NULL, NULL);
    ready();
    /* PAGE */
    rest();
}
