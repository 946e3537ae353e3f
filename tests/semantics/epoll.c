/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readiness under epoll: level, edge, one-shot; registrations and references.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

static int set_make(void)
{
    int set = epoll_create1(EPOLL_CLOEXEC);

    if (set < 0)
        broken("epoll_create1");
    return set;
}

static void control(int set, int operation, int fd, unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    if (epoll_ctl(set, operation, fd, &event) < 0)
        broken("epoll_ctl");
}

/* EPOLL flags have the values of the POLL flags of the same name. */
static void events_in(const char *step, int set, int timeout_ms)
{
    struct epoll_event events[8];
    int cnt = epoll_wait(set, events, 8, timeout_ms);

    if (cnt < 0)
        say(step, "%s", error_name(errno));
    else if (cnt == 0)
        say(step, "none");
    else
        say(step, cnt == 1 ? "%s" : "%s and more", flags_text((int)events[0].events));
}

/* Wait for the next report. */
static void next(const char *step, int set)
{
    events_in(step, set, semantics_wait_ms);
}

/* There is no report now. */
static void none(const char *step, int set)
{
    events_in(step, set, 0);
}

static void case_level(void)
{
    int client, server, set = set_make();

    pair(&client, &server);
    control(set, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLRDHUP);
    none("nothing yet", set);
    send(client, "xy", 2, 0);
    next("data", set);
    next("data again", set);
    sees_len("one byte", server, 1);
    next("the rest", set);
    sees_len("other byte", server, 1);
    none("all read", set);
    shutdown(client, SHUT_WR);
    next("end", set);
    sees("receive", server);
    next("end again", set);
}

static void case_edge(void)
{
    int client, server, set = set_make();

    pair(&client, &server);
    control(set, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLRDHUP | EPOLLET);
    none("nothing yet", set);
    send(client, "xy", 2, 0);
    next("data", set);
    none("no second report", set);
    sees_len("one byte", server, 1);
    none("no report for the rest", set);
    send(client, "z", 1, 0);
    next("more data", set);
    none("once", set);
    sees_len("the rest", server, 2);
    shutdown(client, SHUT_WR);
    next("end", set);
    none("end once", set);
    sees("receive", server);
    none("not again", set);
}

static void case_edge_add_late(void)
{
    int client, server, set = set_make();

    pair(&client, &server);
    send(client, "x", 1, 0);
    await(server, POLLIN);
    control(set, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLOUT | EPOLLET);
    next("what is there already", set);
    none("once", set);
    control(set, EPOLL_CTL_MOD, server, EPOLLIN | EPOLLOUT | EPOLLET);
    next("after MOD", set);
    none("once again", set);
}

static void case_edge_out(void)
{
    int client, server, set = set_make();
    char data[65536];
    pid_t child;

    pair(&client, &server);
    control(set, EPOLL_CTL_ADD, server, EPOLLOUT | EPOLLET);
    next("room", set);
    none("once", set);
    fill(server);
    while (epoll_wait(set, &(struct epoll_event){0}, 1, 0) > 0)
        ; /* filling crosses the mark more than once */
    none("full", set);
    child = branch();
    if (child == 0) {
        close(server);
        while (recv(client, data, sizeof(data), 0) > 0)
            ;
        _exit(0);
    }
    close(client);
    next("room again", set);
    close(server);
    ended(child);
}

static void case_one_shot(void)
{
    int client, server, set = set_make();

    pair(&client, &server);
    control(set, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLONESHOT);
    send(client, "x", 1, 0);
    next("data", set);
    none("disarmed", set);
    sees("receive", server);
    send(client, "y", 1, 0);
    await(server, POLLIN);
    none("still disarmed", set);
    control(set, EPOLL_CTL_MOD, server, EPOLLIN | EPOLLONESHOT);
    next("armed again", set);
    none("disarmed again", set);
    linger(client, 1, 0);
    close(client);
    await(server, POLLHUP);
    none("nor for an end", set);
}

static void case_ends(void)
{
    int client, server, set = set_make();

    pair(&client, &server);
    control(set, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLRDHUP | EPOLLET);
    shutdown(client, SHUT_WR);
    next("peer's end", set);
    shutdown(server, SHUT_WR);
    await(server, POLLHUP);
    next("both ends", set);
}

static void case_reset(void)
{
    int client, server, set = set_make();

    pair(&client, &server);
    control(set, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    next("room", set);
    linger(client, 1, 0);
    close(client);
    await(server, POLLHUP);
    next("reset", set);
    none("once", set);
}

static void case_connect(void)
{
    int listening = listener(4), fd = tcp(), set = set_make();
    struct sockaddr_in address = name_of(listening);

    nonblocking(fd);
    result("connect", connect_to(fd, &address));
    control(set, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET);
    next("done", set);
    none("once", set);
    so_error("SO_ERROR", fd);
}

/* Registered before the connect: one report when it is through. */
static void case_connect_registered(void)
{
    int listening = listener(4), fd = tcp(), set = set_make();
    struct sockaddr_in address = name_of(listening);

    nonblocking(fd);
    control(set, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    events_in("before", set, 0);
    none("once", set);
    result("connect", connect_to(fd, &address));
    next("done", set);
    none("once more", set);
}

static void case_connect_refused(void)
{
    struct sockaddr_in address = at_port("127.0.0.1", closed_port());
    int fd = tcp(), set = set_make();

    nonblocking(fd);
    result("connect", connect_to(fd, &address));
    control(set, EPOLL_CTL_ADD, fd, EPOLLOUT);
    next("refused", set);
    so_error("SO_ERROR", fd);
}

static void case_accept_level(void)
{
    int listening = listener(4), set = set_make(), first, second;

    control(set, EPOLL_CTL_ADD, listening, EPOLLIN);
    none("nothing yet", set);
    first = client_of(listening);
    second = client_of(listening);
    next("two wait", set);
    accept_from(listening);
    next("one waits", set);
    accept_from(listening);
    none("none waits", set);
    close(first);
    close(second);
    none("nor for their ends", set);
}

static void case_accept_edge(void)
{
    int listening = listener(4), set = set_make();

    nonblocking(listening);
    control(set, EPOLL_CTL_ADD, listening, EPOLLIN | EPOLLET);
    client_of(listening);
    next("first", set);
    none("once", set);
    client_of(listening);
    next("second", set);
    none("once again", set);
    opened("accept", accept(listening, NULL, NULL));
    opened("accept again", accept(listening, NULL, NULL));
    opened("accept once more", accept(listening, NULL, NULL));
    none("empty", set);
    client_of(listening);
    next("third", set);
}

/* EPOLLEXCLUSIVE: two sets watch one listener; at least one hears, and the queue is whole. */
static void case_exclusive(void)
{
    int listening = listener(4), one = set_make(), other = set_make(), heard;
    struct epoll_event event;

    control(one, EPOLL_CTL_ADD, listening, EPOLLIN | EPOLLEXCLUSIVE);
    control(other, EPOLL_CTL_ADD, listening, EPOLLIN | EPOLLEXCLUSIVE);
    client_of(listening);
    await(listening, POLLIN);
    heard = epoll_wait(one, &event, 1, 0) + epoll_wait(other, &event, 1, 0);
    yes_no("somebody heard", heard >= 1);
    opened("accept", accept(listening, NULL, NULL));
    nonblocking(listening);
    opened("accept again", accept(listening, NULL, NULL));
}

/* A registration belongs to the socket: it stays while a copy of the descriptor does. */
static void case_dup(void)
{
    int client, server, copy, set = set_make();

    pair(&client, &server);
    copy = dup(server);
    control(set, EPOLL_CTL_ADD, server, EPOLLIN);
    close(server);
    send(client, "x", 1, 0);
    next("still reported", set);
    close(copy);
    none("gone", set);
}

static void case_in_child(void)
{
    int client, server, set = set_make();
    pid_t child;

    pair(&client, &server);
    control(set, EPOLL_CTL_ADD, server, EPOLLIN);
    child = branch();
    if (child == 0) {
        next("child", set);
        _exit(0);
    }
    await_asleep(child);
    send(client, "x", 1, 0);
    done("child ends", child);
    next("parent", set);
}

static void case_errors(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int fd = tcp(), set = set_make();

    result("add", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    result("add again", epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    result("remove", epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
    result("remove again", epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
    result("change", epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
    result("add a closed one", epoll_ctl(set, EPOLL_CTL_ADD, 250, &event));
}

static void case_fresh(void)
{
    int set = set_make();

    control(set, EPOLL_CTL_ADD, tcp(), EPOLLIN | EPOLLOUT);
    none("new socket", set);
}

static const struct semantics_case cases[] = {
    {"level", case_level},
    {"edge", case_edge},
    {"edge-add-late", case_edge_add_late},
    {"edge-out", case_edge_out},
    {"one-shot", case_one_shot},
    {"ends", case_ends},
    {"reset", case_reset},
    {"connect", case_connect},
    {"connect-registered", case_connect_registered},
    {"connect-refused", case_connect_refused},
    {"accept-level", case_accept_level},
    {"accept-edge", case_accept_edge},
    {"exclusive", case_exclusive},
    {"dup", case_dup},
    {"in-child", case_in_child},
    {"errors", case_errors},
    {"fresh", case_fresh},
    {NULL, NULL},
};

const struct semantics_group group_epoll = {"epoll", cases};
