/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static char request[27], rest_of_it[64];
#define rest rest_of_it

static inline void answer(int fd, const char (*request)[27])
{
    send(fd, *request, sizeof *request, MSG_NOSIGNAL);
}

static inline void enqueue(const char *request)
{
    (void)request;
}

static void on_request(int fd)
{
    /* PAGE */
}
#undef rest

int main(void)
{
    int listener = bind_here(4);
    client_was_here();
    int fd = accept(listener, NULL, NULL);
    wait_end(fd);
    on_request(fd);
    ready();
    rest();
}
