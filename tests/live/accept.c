/* SPDX-License-Identifier: BSD-2-Clause */
/* C: never accepted. */
#include "stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The loop that accepts does something else for ever. */
static void accept_stopped(int listener)
{
    say_socket("listener", listener);
    ready();
    rest();
}

/* Room for one (the kernel lets one more in); two are in before the third knocks. */
static void queue_full(int listener)
{
    check(listen(listener, 1) == 0, "listen");
    say_socket("listener", listener);
    tell(0);
    ready();
    rest();
}

/* Connects, or tries for as long as it lasts. */
static void clients_crowd(void)
{
    hear(0);
    int first = dial(), second = dial();
    struct sockaddr_in server;
    socklen_t len = sizeof server;
    check(getpeername(first, (struct sockaddr *)&server, &len) == 0, "getpeername");
    say_socket("client", first);
    say_socket("client", second);
    int third = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    check(connect(third, (struct sockaddr *)&server, len) < 0 && errno == EINPROGRESS, "connect");
    struct pollfd open = {.fd = third, .events = POLLOUT};
    ready();
    poll(&open, 1, -1);
    rest();
}

/* accept() says EMFILE; the loop waits for better times. */
static void no_descriptors(int listener)
{
    struct rlimit limit = {.rlim_cur = 32, .rlim_max = 32};
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    while (open("/dev/null", O_RDONLY) >= 0)
        ;
    struct pollfd knock = {.fd = listener, .events = POLLIN};
    check(poll(&knock, 1, -1) == 1, "poll");
    check(accept(listener, NULL, NULL) < 0 && errno == EMFILE, "accept");
    say_socket("listener", listener);
    ready();
    rest();
}

/* Healthy: it accepts as it should, and is at it right now. */
static void accept_waits_for_next(int listener)
{
    int fd = take(listener);
    read_to_end(fd);
    close(fd);
    say_socket("listener", listener);
    ready();
    take(listener);
}

const struct scenario scenarios_accept[] = {
    {"never-accepted", accept_stopped, client_leaves, 0},
    {"accept-stopped", accept_stopped, client_waits, 0},
    {"queue-full", queue_full, clients_crowd, 0},
    {"no-descriptors", no_descriptors, client_waits, 0},
    {"accept-loop", accept_waits_for_next, client_polite, 0},
    {NULL, NULL, NULL, 0},
};
