/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

struct client {
    int fd;
};

static struct client *client_connect(const char *url)
{
    struct client *c = malloc(sizeof *c);
    (void)url;
    check(c != NULL, "malloc");
    c->fd = dial();
    return c;
}

static int client_login(struct client *c)
{
    return c->fd >= 0 ? -1 : 0;
}

static inline void client_free(struct client *c)
{
    close(c->fd);
    free(c);
}

static int session_begin(const char *url)
{
    /* PAGE */
    return 0;
}

int main(void)
{
    char byte;
    int listener = bind_here(4);
    if (fork() == 0) {
        int fd = accept(listener, NULL, NULL);
        while (recv(fd, &byte, 1, 0) > 0)
            ;
        close(fd);
        _exit(0);
    }
    session_begin("service.example");
    return 0;
}
