/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * leaky-server PORT: a small server with the commonest fault. It answers "GET ..." and closes; on any
 * other request it complains, and forgets to close. One thread, one poll set, plain sockets.
 * docs/CLOSE_WAIT.md hunts it down.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_MAX 1000

static struct pollfd set[1 + CLIENT_MAX];
static nfds_t set_cnt;

static void forget(nfds_t at)
{
    set[at] = set[--set_cnt];
}

static void conn_accept(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || set_cnt > CLIENT_MAX) {
        close(fd);
        return;
    }
    set[set_cnt++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void conn_close(nfds_t at)
{
    close(set[at].fd);
    forget(at);
}

static void conn_read(nfds_t at)
{
    char request[512];
    ssize_t len = read(set[at].fd, request, sizeof request);
    if (len > 4 && memcmp(request, "GET ", 4) == 0) {
        if (write(set[at].fd, "hello\n", 6) == 6)
            return; /* until the client ends */
        conn_close(at);
    } else if (len > 0) {
        fprintf(stderr, "leaky-server: bad request\n");
        set[at].events = POLLRDHUP; /* nothing more to read from this one ... */
    } else if (set[at].events == POLLIN) {
        conn_close(at);
    } else {
        forget(at); /* ... and here it is lost: out of the set, and still open */
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    here.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 8080));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 128) != 0) {
        perror("leaky-server");
        return 1;
    }
    set[set_cnt++] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (;;) {
        if (poll(set, set_cnt, -1) < 0)
            continue;
        for (nfds_t at = set_cnt - 1; at > 0; at--)
            if (set[at].revents)
                conn_read(at);
        if (set[0].revents)
            conn_accept(listener);
    }
}
