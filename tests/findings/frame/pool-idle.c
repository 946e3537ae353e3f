/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

struct server;

static int connect_to(struct server *server)
{
    (void)server;
    return dial();
}

static int take_out(int fd, struct server *server)
{
    /* PAGE */
    return fd;
}

static int answered[2]; /* says that the first answer was read: the end comes by itself, not with it */

/* The first connection is ended by the server after its first answer; others live. */
static void serve(int listener)
{
    char byte;
    for (int first = 1;; first = 0) {
        int fd = accept(listener, NULL, NULL);
        if (recv(fd, &byte, 1, 0) == 1)
            send(fd, &byte, 1, 0);
        if (first && read(answered[0], &byte, 1) == 1)
            shutdown(fd, SHUT_WR);
        if (first && spawn() == 0) {
            while (recv(fd, &byte, 1, 0) > 0)
                ;
            close(fd);
            rest();
        }
        if (first)
            close(fd);
    }
}

int main(void)
{
    char byte;
    int listener = bind_here(4);
    check(pipe(answered) == 0, "pipe");
    if (spawn() == 0)
        serve(listener);
    int fd = connect_to(NULL);
    send(fd, "?", 1, 0);
    recv(fd, &byte, 1, 0);
    check(write(answered[1], "", 1) == 1, "write");
    wait_end(fd);
    fd = take_out(fd, NULL);
    ready();
    rest();
}
