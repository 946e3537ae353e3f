/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static int answer(int fd, const char *p, size_t n)
{
    /* PAGE */
    return 0;
}

int main(void)
{
    struct linger at_once = {1, 0};
    int listener = bind_here(4), client = dial(), fd = accept(listener, NULL, NULL);
    setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(client);
    wait_end(fd);
    answer(fd, "hello", 5);
    ready();
    rest();
}
