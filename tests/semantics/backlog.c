/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A full accept queue, and what can be done to a connection that is still being made.
 *
 * With listen(1) two connections fit. A further SYN is not answered until there is room, so
 * its socket stays connecting for as long as nobody accepts: not a matter of speed.
 */
#include "trace.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#define STILL_MS 150 /* a look at something that must not happen, ever */

struct full {
    int listening;
    int queued[2];
    int fd; /* connecting */
    struct sockaddr_in address;
};

static bool still_connecting(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLOUT};

    return poll(&item, 1, STILL_MS) == 0;
}

static void full_make(struct full *full)
{
    full->listening = listener(1);
    full->address = name_of(full->listening);
    full->queued[0] = client_of(full->listening);
    full->queued[1] = client_of(full->listening);
    await(full->listening, POLLIN);
    full->fd = tcp();
    nonblocking(full->fd);
    result("connect", connect_to(full->fd, &full->address));
}

static void case_count(void)
{
    struct full full;

    full_make(&full);
    yes_no("the third waits", still_connecting(full.fd));
    accept_from(full.listening);
    ready("through when there is room", full.fd, POLLOUT);
    so_error("SO_ERROR", full.fd);
    accept_from(full.listening);
    opened("all three are accepted", accept_from(full.listening));
}

static void case_already(void)
{
    struct full full;

    full_make(&full);
    result("connect again", connect_to(full.fd, &full.address));
    flags("flags", full.fd);
    so_error("SO_ERROR", full.fd);
    sees_now("receive", full.fd);
    result("send", send(full.fd, "x", 1, MSG_NOSIGNAL));
    result("getpeername",
           getpeername(full.fd, (struct sockaddr *)&full.address, &(socklen_t){16}));
    result("listen", listen(full.fd, 1));
    result("state (2 is SYN_SENT)", tcp_state(full.fd));
}

static void case_close(void)
{
    struct full full;

    full_make(&full);
    result("close", close(full.fd));
    accept_from(full.listening);
    accept_from(full.listening);
    nonblocking(full.listening);
    result("nobody else in the queue", accept(full.listening, NULL, NULL));
}

static void case_shutdown(void)
{
    struct full full;

    full_make(&full);
    result("shutdown", shutdown(full.fd, SHUT_RDWR));
    flags("flags", full.fd);
    so_error("SO_ERROR", full.fd);
    sends("send", full.fd, "x");
}

static void case_timeout(void)
{
    struct timeval limit = {.tv_usec = 50000};
    struct full full;
    int fd = tcp();

    full_make(&full);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
        broken("SO_SNDTIMEO");
    result("blocking connect with SO_SNDTIMEO", connect_to(fd, &full.address));
    result("connect again", connect_to(fd, &full.address));
}

static void case_listener_closes(void)
{
    struct full full;

    full_make(&full);
    close(full.listening);
    ready("refused at the next SYN", full.fd, POLLERR);
    so_error("SO_ERROR", full.fd);
}

static void case_listen_larger(void)
{
    struct full full;

    full_make(&full);
    result("listen for more", listen(full.listening, 8));
    ready("through", full.fd, POLLOUT);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

static void case_interrupted(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 20000}, {0, 20000}}, off = {{0}, {0}};
    struct full full;
    int fd = tcp();

    full_make(&full);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    result("blocking connect", connect_to(fd, &full.address));
    setitimer(ITIMER_REAL, &off, NULL);
    nonblocking(fd);
    result("goes on", connect_to(fd, &full.address));
    accept_from(full.listening);
    accept_from(full.listening);
    ready("through", fd, POLLOUT);
    so_error("SO_ERROR", fd);
}

static const struct semantics_case cases[] = {
    {"count", case_count},
    {"already", case_already},
    {"close", case_close},
    {"shutdown", case_shutdown},
    {"timeout", case_timeout},
    {"listener-closes", case_listener_closes},
    {"listen-larger", case_listen_larger},
    {"interrupted", case_interrupted},
    {NULL, NULL},
};

const struct semantics_group group_backlog = {"backlog", cases};
