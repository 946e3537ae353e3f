/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last close: what the peer sees of it (SEMANTICS: close() against shutdown()).
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

static void case_after_data(void)
{
    static char data[64 * 1024];
    int client, server;

    pair(&client, &server);
    result("send 64 KiB", send(server, data, sizeof(data), 0));
    result("close", close(server));
    drains("peer", client);
    sees("peer again", client);
}

/* More than the buffers hold: what was taken before the close is delivered after it. */
static void case_full_buffer(void)
{
    static char data[65536];
    int client, server, sent, got = 0;
    ssize_t len;

    pair(&client, &server);
    sent = fill(server);
    result("close", close(server));
    while (await(client, POLLIN) && (len = recv(client, data, sizeof(data), 0)) > 0)
        got += (int)len;
    yes_no("all of it arrived", got == sent && sent > 0);
    sees("peer at the end", client);
}

static void case_unread(void)
{
    int client, server;

    pair(&client, &server);
    sends("peer sends", client, "never read");
    await(server, POLLIN);
    result("close", close(server));
    ready("peer", client, POLLERR | POLLHUP);
    sees("peer receives", client);
    sees("peer receives again", client);
    sends("peer sends again", client, "x");
}

/* A reset does not overtake what was sent before it. */
static void case_unread_after_data(void)
{
    int client, server;

    pair(&client, &server);
    sends("peer sends", client, "never read");
    await(server, POLLIN);
    sends("send", server, "last words");
    await(client, POLLIN);
    result("close", close(server));
    await(client, POLLERR);
    sees("peer receives", client);
    sees("peer receives again", client);
    sees("peer at the end", client);
}

static void case_unread_partly(void)
{
    int client, server;

    pair(&client, &server);
    sends("peer sends", client, "read|unread");
    sees_len("receive part", server, 4);
    close(server);
    sees("peer", client);
}

static void case_unread_after_fin(void)
{
    int client, server;

    pair(&client, &server);
    result("shutdown", shutdown(server, SHUT_WR));
    sees("peer", client);
    sends("peer sends", client, "never read");
    await(server, POLLIN);
    result("close", close(server));
    ready("peer's flags", client, POLLHUP);
    so_error("peer's SO_ERROR", client);
    sees("peer again", client);
    sends("peer sends again", client, "x");
}

static void case_linger_zero(void)
{
    int client, server;

    pair(&client, &server);
    linger(server, 1, 0);
    result("close", close(server));
    ready("peer", client, POLLERR | POLLHUP);
    so_error("peer's SO_ERROR", client);
    so_error("peer's SO_ERROR again", client);
    sees("peer receives", client);
    sends("peer sends", client, "x");
}

static void case_linger_zero_other_holder(void)
{
    int client, server, copy;

    pair(&client, &server);
    linger(server, 1, 0);
    copy = dup(server);
    result("close one", close(server));
    sends("send by the other", copy, "x");
    sees("peer", client);
    result("close the other", close(copy));
    sees("peer at the end", client);
}

static void case_linger_zero_after_fin(void)
{
    int client, server;

    pair(&client, &server);
    linger(server, 1, 0);
    result("shutdown", shutdown(server, SHUT_WR));
    sees("peer", client);
    result("close", close(server));
    ready("peer's flags", client, POLLHUP);
    sends("peer sends", client, "x");
}

static void case_linger_off_again(void)
{
    int client, server;

    pair(&client, &server);
    linger(server, 1, 0);
    linger(server, 0, 0);
    result("close", close(server));
    sees("peer", client);
}

static void case_linger_time(void)
{
    int client, server;

    pair(&client, &server);
    linger(server, 1, 5);
    sends("send", server, "x");
    result("close", close(server));
    sees("peer", client);
    sees("peer at the end", client);
}

static void case_listener_with_queue(void)
{
    int listening = listener(8), first = client_of(listening), second = client_of(listening);
    struct sockaddr_in address = name_of(listening);

    await(listening, POLLIN);
    sends("second sends", second, "x");
    result("close", close(listening));
    sees("first", first);
    sees("second", second);
    result("connect after", connect_to(tcp(), &address));
}

static void case_listener_not_its_connections(void)
{
    int listening = listener(8), client = client_of(listening);
    int server = accept_from(listening);

    result("close listener", close(listening));
    sends("send", server, "x");
    sees("client", client);
}

/* Sending to one who has closed: the first send is taken, its answer is a reset. */
static void case_send_to_closed(void)
{
    int client, server;

    pair(&client, &server);
    close(server);
    sees("end", client);
    sends("first send", client, "x");
    ready("flags after", client, POLLHUP);
    sends("second send", client, "y");
    sees("receive", client);
}

static void case_unconnected(void)
{
    int fd = tcp();

    result("close", close(fd));
    result("close again", close(fd));
    result("shutdown", shutdown(fd, SHUT_WR));
    sends("send", fd, "x");
    result("listen", listen(fd, 1));
}

static void case_both_at_once(void)
{
    int client, server;

    pair(&client, &server);
    result("shutdown there", shutdown(client, SHUT_WR));
    result("shutdown here", shutdown(server, SHUT_WR));
    sees("there", client);
    sees("here", server);
    result("close there", close(client));
    result("close here", close(server));
}

static const struct semantics_case cases[] = {
    {"after-data", case_after_data},
    {"full-buffer", case_full_buffer},
    {"unread", case_unread},
    {"unread-after-data", case_unread_after_data},
    {"unread-partly", case_unread_partly},
    {"unread-after-fin", case_unread_after_fin},
    {"linger-zero", case_linger_zero},
    {"linger-zero-other-holder", case_linger_zero_other_holder},
    {"linger-zero-after-fin", case_linger_zero_after_fin},
    {"linger-off-again", case_linger_off_again},
    {"linger-time", case_linger_time},
    {"listener-with-queue", case_listener_with_queue},
    {"listener-not-its-connections", case_listener_not_its_connections},
    {"send-to-closed", case_send_to_closed},
    {"unconnected", case_unconnected},
    {"both-at-once", case_both_at_once},
    {NULL, NULL},
};

const struct semantics_group group_close = {"close", cases};
