/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static int fd;
static char buf[64];
static size_t len = sizeof buf;
static ssize_t n;

/* PAGE */

int main(void)
{
    int listener = bind_here(4);
    if (spawn() == 0) { /* says nothing, and waits for the server's end */
        char byte;
        _exit(recv(dial(), &byte, 1, 0) < 0);
    }
    fd = accept(listener, NULL, NULL);
    start_thread(thread_a, NULL);
    wait_other_sleeps();
    thread_b(NULL);
    ready();
    rest();
}
