/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * getsockname and getpeername, in every state.
 */
#include "trace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "127.0.0.1 with a port", "0.0.0.0 without one". */
static void say_name(const char *step, int got, const struct sockaddr_in *name, socklen_t len)
{
    char text[INET_ADDRSTRLEN];

    if (got < 0) {
        say(step, "%s", error_name(errno));
        return;
    }
    inet_ntop(AF_INET, &name->sin_addr, text, sizeof(text));
    say(step, "%s%s %s port, %d bytes", name->sin_family == AF_INET ? "" : "not AF_INET ", text,
        name->sin_port ? "with a" : "without", (int)len);
}

static void own(const char *step, int fd)
{
    struct sockaddr_in name = {0};
    socklen_t len = sizeof(name);
    int got = getsockname(fd, (struct sockaddr *)&name, &len);

    say_name(step, got, &name, len);
}

static void peers(const char *step, int fd)
{
    struct sockaddr_in name = {0};
    socklen_t len = sizeof(name);
    int got = getpeername(fd, (struct sockaddr *)&name, &len);

    say_name(step, got, &name, len);
}

static void case_life(void)
{
    struct sockaddr_in address = any_local();
    int listening = tcp(), client = tcp(), server;

    own("new", listening);
    if (bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0)
        broken("bind");
    own("bound", listening);
    peers("bound, peer", listening);
    listen(listening, 4);
    own("listening", listening);
    address = name_of(listening);
    connect_to(client, &address);
    own("connected", client);
    peers("connected, peer", client);
    server = accept_from(listening);
    own("accepted", server);
    peers("accepted, peer", server);
}

static void case_match(void)
{
    int client, server;
    struct sockaddr_in client_name, server_name, peer = {0};
    socklen_t len = sizeof(peer);

    pair(&client, &server);
    client_name = name_of(client);
    server_name = name_of(server);
    getpeername(client, (struct sockaddr *)&peer, &len);
    yes_no("client's peer is the server", memcmp(&peer, &server_name, sizeof(peer)) == 0);
    getpeername(server, (struct sockaddr *)&peer, &len);
    yes_no("server's peer is the client", memcmp(&peer, &client_name, sizeof(peer)) == 0);
    yes_no("different ports", client_name.sin_port != server_name.sin_port);
}

static void case_accept_address(void)
{
    int listening = listener(4), client = client_of(listening);
    struct sockaddr_in client_name = name_of(client), from = {0};
    socklen_t len = sizeof(from);

    await(listening, POLLIN);
    opened("accept", accept(listening, (struct sockaddr *)&from, &len));
    yes_no("its address is the client's", memcmp(&from, &client_name, sizeof(from)) == 0);
    result("its length", len);
}

static void case_short_room(void)
{
    int listening = listener(4), client = client_of(listening);
    struct sockaddr_in name, whole = name_of(client);
    socklen_t len = 4;

    memset(&name, 0xee, sizeof(name));
    result("getsockname", getsockname(client, (struct sockaddr *)&name, &len));
    result("length wanted", len);
    yes_no("what fits is right", memcmp(&name, &whole, 4) == 0);
    yes_no("nothing beyond is touched", ((unsigned char *)&name)[4] == 0xee);
    len = 0;
    result("getpeername, no room", getpeername(client, (struct sockaddr *)&name, &len));
    result("length wanted then", len);
    len = 2;
    await(listening, POLLIN);
    opened("accept", accept(listening, (struct sockaddr *)&name, &len));
    result("accept's length", len);
}

static void case_larger_room(void)
{
    int client, server;
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);

    pair(&client, &server);
    result("getsockname", getsockname(client, (struct sockaddr *)&name, &len));
    result("length", len);
}

static void case_listen_unbound(void)
{
    int fd = tcp();

    result("listen", listen(fd, 4));
    own("name", fd);
}

static void case_wildcard(void)
{
    struct sockaddr_in address = at_port("0.0.0.0", 0);
    int listening = tcp(), client = tcp();

    if (bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listening, 4) < 0)
        broken("bind");
    own("listener", listening);
    address = at_port("127.0.0.1", port_of(listening));
    result("connect", connect_to(client, &address));
    own("accepted", accept_from(listening));
}

static void case_connect_to_wildcard(void)
{
    int listening = listener(4), client = tcp();
    struct sockaddr_in address = at_port("0.0.0.0", port_of(listening));

    result("connect", connect_to(client, &address));
    own("own", client);
    peers("peer", client);
}

static void case_bound_client(void)
{
    struct sockaddr_in address = at_port("127.0.0.5", 0), server_name;
    int listening = listener(4), client = tcp(), port;

    if (bind(client, (struct sockaddr *)&address, sizeof(address)) < 0)
        broken("bind");
    port = port_of(client);
    server_name = name_of(listening);
    result("connect", connect_to(client, &server_name));
    own("own", client);
    yes_no("same port", port_of(client) == port);
    peers("accepted, peer", accept_from(listening));
}

static void case_ends(void)
{
    int client, server;

    pair(&client, &server);
    shutdown(client, SHUT_WR);
    await(server, POLLRDHUP);
    peers("after the peer's end", server);
    peers("after the own end", client);
    shutdown(server, SHUT_WR);
    await(server, POLLHUP);
    peers("after both ends", server);
    own("own after both ends", server);
}

static void case_reset(void)
{
    int client, server;

    pair(&client, &server);
    linger(client, 1, 0);
    close(client);
    await(server, POLLHUP);
    peers("peer", server);
    own("own", server);
}

static void case_refused(void)
{
    struct sockaddr_in address = at_port("127.0.0.1", closed_port());
    int fd = tcp();

    connect_to(fd, &address);
    own("own", fd);
    peers("peer", fd);
}

/* Ports given out are different while they are held. */
static void case_distinct(void)
{
    struct sockaddr_in address = any_local();
    int fds[64], same = 0;

    for (int i = 0; i < 64; i++) {
        fds[i] = tcp();
        if (bind(fds[i], (struct sockaddr *)&address, sizeof(address)) < 0)
            broken("bind");
        for (int j = 0; j < i; j++)
            same += port_of(fds[i]) == port_of(fds[j]);
    }
    result("equal ports", same);
}

static const struct semantics_case cases[] = {
    {"life", case_life},
    {"match", case_match},
    {"accept-address", case_accept_address},
    {"short-room", case_short_room},
    {"larger-room", case_larger_room},
    {"listen-unbound", case_listen_unbound},
    {"wildcard", case_wildcard},
    {"connect-to-wildcard", case_connect_to_wildcard},
    {"bound-client", case_bound_client},
    {"ends", case_ends},
    {"reset", case_reset},
    {"refused", case_refused},
    {"distinct", case_distinct},
    {NULL, NULL},
};

const struct semantics_group group_names = {"names", cases};
