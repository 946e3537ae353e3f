/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

/* "convert" is a program that takes long: the test has put a sleep of that name into the path. */
int main(void)
{
    const char *path = "1000";
    int listener = bind_here(4);
    client_was_here();
    /* PAGE */
    close(fd);
    ready();
    rest();
}
