/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports: who may bind what beside whom (EADDRINUSE, SO_REUSEADDR, SO_REUSEPORT).
 */
#include "trace.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* A new socket, options set, bound to `address`; says how that went. */
static int binds(const char *step, const char *address, int port, int reuse_address,
                 int reuse_port)
{
    struct sockaddr_in name = at_port(address, port);
    int fd = tcp();

    if (reuse_address)
        set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (reuse_port)
        set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    result(step, bind(fd, (struct sockaddr *)&name, sizeof(name)));
    return fd;
}

static void case_bound(void)
{
    int fd = binds("first", "127.0.0.1", 0, 0, 0), port = port_of(fd);
    struct sockaddr_in again = at_port("127.0.0.1", port);

    binds("same address", "127.0.0.1", port, 0, 0);
    binds("wildcard", "0.0.0.0", port, 0, 0);
    binds("another address", "127.0.0.2", port, 0, 0);
    binds("same, the second reusable", "127.0.0.1", port, 1, 0);
    result("bind twice", bind(fd, (struct sockaddr *)&again, sizeof(again)));
    close(fd);
    binds("same after close", "127.0.0.1", port, 0, 0);
}

static void case_wildcard(void)
{
    int fd = binds("first", "0.0.0.0", 0, 0, 0), port = port_of(fd);

    binds("same", "0.0.0.0", port, 0, 0);
    binds("an address", "127.0.0.1", port, 0, 0);
    close(fd);
    fd = binds("first, reusable", "0.0.0.0", port, 1, 0);
    binds("an address, reusable", "127.0.0.1", port, 1, 0);
    result("listen", listen(fd, 4));
    binds("another, reusable", "127.0.0.3", port, 1, 0);
}

static void case_reusable(void)
{
    int first = binds("first", "127.0.0.1", 0, 1, 0), port = port_of(first);
    int second = binds("second", "127.0.0.1", port, 1, 0);

    binds("third, not reusable", "127.0.0.1", port, 0, 0);
    result("first listens", listen(first, 4));
    result("second listens", listen(second, 4));
    binds("fourth, beside a listener", "127.0.0.1", port, 1, 0);
    close(first);
    result("second listens now", listen(second, 4));
}

static void case_listener(void)
{
    int listening = listener(4), port = port_of(listening);

    binds("same", "127.0.0.1", port, 0, 0);
    binds("same, reusable", "127.0.0.1", port, 1, 0);
    binds("wildcard, reusable", "0.0.0.0", port, 1, 0);
    binds("another address", "127.0.0.2", port, 0, 0);
    close(listening);
    listening = binds("after close", "127.0.0.1", port, 0, 0);
    result("listen after close", listen(listening, 4));
}

static void case_reuse_port(void)
{
    int first = binds("first", "127.0.0.1", 0, 0, 1), port = port_of(first);
    int second = binds("second", "127.0.0.1", port, 0, 1), client, turn = 0;

    result("first listens", listen(first, 8));
    result("second listens", listen(second, 8));
    binds("without", "127.0.0.1", port, 0, 0);
    binds("with the other option", "127.0.0.1", port, 1, 0);
    client = client_of(first);
    /* It is in the queue of one of them. */
    while (!(flags_now(first) & POLLIN) && !(flags_now(second) & POLLIN) && turn++ < 10000)
        poll(NULL, 0, 1);
    sends("send", accept_from(flags_now(first) & POLLIN ? first : second), "x");
    sees("client", client);
}

/* A connection that lives keeps its port, though its listener is gone. */
static void case_connection(void)
{
    int listening = listener_reusable(), port = port_of(listening);
    int client = client_of(listening), server = accept_from(listening);

    close(listening);
    binds("plain", "127.0.0.1", port, 0, 0);
    listening = binds("reusable", "127.0.0.1", port, 1, 0);
    result("listen", listen(listening, 4));
    sends("the old one sends", server, "x");
    sees("its client", client);
}

static void case_connection_not_reusable(void)
{
    int listening = listener(4), port = port_of(listening);
    int client = client_of(listening), server = accept_from(listening);

    close(listening);
    binds("plain", "127.0.0.1", port, 0, 0);
    binds("reusable beside one that is not", "127.0.0.1", port, 1, 0);
    sends("the old one sends", server, "x");
    sees("its client", client);
}

/* The side that closes first leaves its port in TIME_WAIT. */
static void case_time_wait(void)
{
    int listening = listener(4), port = port_of(listening);
    int client = client_of(listening), server = accept_from(listening);

    close(listening);
    close(server);
    sees("client", client);
    close(client);
    binds("plain", "127.0.0.1", port, 0, 0);
    binds("reusable", "127.0.0.1", port, 1, 0);
}

static void case_time_wait_of_reusable(void)
{
    int listening = listener_reusable(), port = port_of(listening);
    int client = client_of(listening), server = accept_from(listening);

    close(listening);
    close(server);
    sees("client", client);
    close(client);
    binds("plain", "127.0.0.1", port, 0, 0);
    listening = binds("reusable", "127.0.0.1", port, 1, 0);
    result("listen", listen(listening, 4));
    client = client_of(listening);
    server = accept_from(listening);
    sends("new connection", server, "x");
    sees("new client", client);
}

/* The other side, closed second, leaves nothing behind. */
static void case_no_time_wait(void)
{
    int listening = listener(4), port = port_of(listening);
    int client = client_of(listening), server = accept_from(listening);

    close(listening);
    close(client);
    sees("server", server);
    close(server);
    /* Over for good when the last segment has been acknowledged; nothing here can see that. */
    for (int tries = 0; tries < 1000; tries++) {
        struct sockaddr_in name = at_port("127.0.0.1", port);
        int fd = tcp(), bound = bind(fd, (struct sockaddr *)&name, sizeof(name));

        close(fd);
        if (bound == 0)
            break;
        poll(NULL, 0, 1);
    }
    binds("plain", "127.0.0.1", port, 0, 0);
}

static void case_after_reset(void)
{
    int listening = listener(4), port = port_of(listening);
    int client = client_of(listening), server = accept_from(listening);

    close(listening);
    linger(server, 1, 0);
    close(server);
    sees("client", client);
    binds("plain", "127.0.0.1", port, 0, 0);
}

/* Two clients from one port to different servers; not to the same one. */
static void case_client_port(void)
{
    int one = listener(4), other = listener(4), first, second, third, port;
    struct sockaddr_in to_one = name_of(one), to_other = name_of(other);

    first = binds("first", "127.0.0.1", 0, 1, 0);
    port = port_of(first);
    second = binds("second", "127.0.0.1", port, 1, 0);
    third = binds("third", "127.0.0.1", port, 1, 0);
    result("first to one", connect_to(first, &to_one));
    result("second to the other", connect_to(second, &to_other));
    result("third to one", connect_to(third, &to_one));
}

static const struct semantics_case cases[] = {
    {"bound", case_bound},
    {"wildcard", case_wildcard},
    {"reusable", case_reusable},
    {"listener", case_listener},
    {"reuse-port", case_reuse_port},
    {"connection", case_connection},
    {"connection-not-reusable", case_connection_not_reusable},
    {"time-wait", case_time_wait},
    {"time-wait-of-reusable", case_time_wait_of_reusable},
    {"no-time-wait", case_no_time_wait},
    {"after-reset", case_after_reset},
    {"client-port", case_client_port},
    {NULL, NULL},
};

const struct semantics_group group_busy = {"ports", cases};
