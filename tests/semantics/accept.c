/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accept: flags, order, what comes before it, who gets what.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void flags_of(const char *step, int fd)
{
    int status = fcntl(fd, F_GETFL), descriptor = fcntl(fd, F_GETFD);

    say(step, "%s, %s", status & O_NONBLOCK ? "O_NONBLOCK" : "blocking",
        descriptor & FD_CLOEXEC ? "close-on-exec" : "kept");
}

static int accept_with(int listening, int flag_bits)
{
    int fd;

    await(listening, POLLIN);
    fd = accept4(listening, NULL, NULL, flag_bits);
    if (fd < 0)
        broken("accept4");
    return fd;
}

static void case_flags(void)
{
    int listening = listener(16);

    for (int i = 0; i < 4; i++)
        client_of(listening);
    flags_of("none", accept_with(listening, 0));
    flags_of("SOCK_NONBLOCK", accept_with(listening, SOCK_NONBLOCK));
    flags_of("SOCK_CLOEXEC", accept_with(listening, SOCK_CLOEXEC));
    flags_of("both", accept_with(listening, SOCK_NONBLOCK | SOCK_CLOEXEC));
    result("unknown flag", accept4(listening, NULL, NULL, 0x100000));
}

static void case_flags_not_inherited(void)
{
    int listening = listener(4);

    nonblocking(listening);
    fcntl(listening, F_SETFD, FD_CLOEXEC);
    client_of(listening);
    flags_of("accepted", accept_from(listening));
}

static void case_options_inherited(void)
{
    int listening = listener(4), server;

    set_flag(listening, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_flag(listening, IPPROTO_TCP, TCP_NODELAY, 1);
    client_of(listening);
    server = accept_from(listening);
    number_option("SO_KEEPALIVE", server, SOL_SOCKET, SO_KEEPALIVE);
    number_option("TCP_NODELAY", server, IPPROTO_TCP, TCP_NODELAY);
    number_option("SO_ACCEPTCONN of it", server, SOL_SOCKET, SO_ACCEPTCONN);
    number_option("SO_ACCEPTCONN of the listener", listening, SOL_SOCKET, SO_ACCEPTCONN);
}

static void case_empty(void)
{
    int listening = listener(4);

    nonblocking(listening);
    result("accept", accept(listening, NULL, NULL));
    client_of(listening);
    await(listening, POLLIN);
    opened("accept one", accept(listening, NULL, NULL));
    result("accept again", accept(listening, NULL, NULL));
}

static void case_order(void)
{
    int listening = listener(8), client[3];
    const char *words[3] = {"first", "second", "third"};

    for (int i = 0; i < 3; i++) {
        client[i] = client_of(listening);
        send(client[i], words[i], 6, MSG_NOSIGNAL);
    }
    for (int i = 0; i < 3; i++) {
        int server = accept_from(listening);
        char word[8] = {0};

        await(server, POLLIN);
        recv(server, word, 6, 0);
        say(words[i], "%s", word);
    }
}

/* What came before accept is there at once after it. */
static void case_data_before(void)
{
    int listening = listener(4), client = client_of(listening), server;

    sends("client sends", client, "early");
    /* A later connection in the queue: everything before it has arrived. */
    client_of(listening);
    server = accept_from(listening);
    sees("receive", server);
}

static void case_end_before(void)
{
    int listening = listener(4), client = client_of(listening), server;

    sends("client sends", client, "early");
    result("client closes", close(client));
    client_of(listening);
    server = accept_from(listening);
    sees("receive", server);
    sees("receive end", server);
    sends("send", server, "x");
}

static void case_reset_before(void)
{
    int listening = listener(4), client = client_of(listening), server;

    await(listening, POLLIN);
    linger(client, 1, 0);
    close(client);
    client_of(listening);
    server = accept_from(listening);
    ready("flags", server, POLLHUP);
    sees("receive", server);
    sees("receive again", server);
    opened("the next one", accept_from(listening));
}

static void case_half_closed_before(void)
{
    int listening = listener(4), client = client_of(listening), server;

    shutdown(client, SHUT_WR);
    server = accept_from(listening);
    sees("receive", server);
    sends("send", server, "x");
    sees("client", client);
}

static void case_timeout(void)
{
    struct timeval limit = {.tv_usec = 50000};
    int listening = listener(4);

    if (setsockopt(listening, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
        broken("SO_RCVTIMEO");
    result("accept", accept(listening, NULL, NULL));
    client_of(listening);
    await(listening, POLLIN);
    opened("accept with one waiting", accept(listening, NULL, NULL));
}

static void case_waits(void)
{
    int listening = listener(4), client;
    pid_t child = branch();

    if (child == 0) {
        int server = opened("child accepts", accept(listening, NULL, NULL));

        send(server, "x", 1, 0);
        _exit(0);
    }
    await_asleep(child);
    client = client_of(listening);
    done("child", child);
    sees("client", client);
}

/* Several wait on one listener: each connection goes to exactly one. */
static void case_herd(void)
{
    int listening = listener(8), client[4], served = 0;
    pid_t child[4];

    for (int i = 0; i < 4; i++) {
        child[i] = branch();
        if (child[i] == 0) {
            int server = accept(listening, NULL, NULL);

            _exit(server >= 0 && send(server, "x", 1, 0) == 1 ? 0 : 1);
        }
        await_asleep(child[i]);
    }
    for (int i = 0; i < 4; i++) {
        client[i] = client_of(listening);
        served += await(client[i], POLLIN);
    }
    result("served", served);
    for (int i = 0; i < 4; i++)
        done((const char *[]){"one", "two", "three", "four"}[i], child[i]);
    nonblocking(listening);
    result("nothing left", accept(listening, NULL, NULL));
}

static void case_killed_waiter(void)
{
    int listening = listener(4), client, server;
    pid_t child = branch();

    if (child == 0) {
        accept(listening, NULL, NULL);
        _exit(0);
    }
    await_asleep(child);
    kill(child, SIGKILL);
    done("child", child);
    client = client_of(listening);
    server = accept_from(listening);
    sends("parent's accept", server, "x");
    sees("client", client);
}

static void case_killed_only_holder(void)
{
    int listening = listener(4);
    struct sockaddr_in address = name_of(listening);
    pid_t child = branch();

    if (child == 0) {
        accept(listening, NULL, NULL);
        _exit(0);
    }
    close(listening);
    await_asleep(child);
    kill(child, SIGKILL);
    done("child", child);
    result("connect", connect_to(tcp(), &address));
}

static const struct semantics_case cases[] = {
    {"flags", case_flags},
    {"flags-not-inherited", case_flags_not_inherited},
    {"options-inherited", case_options_inherited},
    {"empty", case_empty},
    {"order", case_order},
    {"data-before", case_data_before},
    {"end-before", case_end_before},
    {"reset-before", case_reset_before},
    {"half-closed-before", case_half_closed_before},
    {"timeout", case_timeout},
    {"waits", case_waits},
    {"herd", case_herd},
    {"killed-waiter", case_killed_waiter},
    {"killed-only-holder", case_killed_only_holder},
    {NULL, NULL},
};

const struct semantics_group group_accept = {"accept", cases};
