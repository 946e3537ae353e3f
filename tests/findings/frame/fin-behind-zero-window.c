/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static void write_all(int fd, const char *p, size_t len)
{
    /* As much as the kernel takes of it: the reader takes nothing. */
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

int main(void)
{
    static char answer[8 << 20];
    size_t len = sizeof answer;
    int listener = bind_here(4);
    client_never_reads();
    int fd = accept(listener, NULL, NULL);
    /* PAGE */
    ready();
    rest();
}
