/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors: which call says what, once or for ever.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/un.h>
#include <unistd.h>

static void case_refused(void)
{
    struct sockaddr_in address = at_port("127.0.0.1", closed_port());
    int fd = tcp();

    result("connect", connect_to(fd, &address));
    so_error("SO_ERROR", fd);
    result("connect again", connect_to(fd, &address));
    result("getpeername", getpeername(fd, (struct sockaddr *)&address, &(socklen_t){16}));
}

/* After a refusal the same socket may try again, elsewhere. */
static void case_refused_then_connected(void)
{
    struct sockaddr_in closed = at_port("127.0.0.1", closed_port());
    int listening = listener(4), fd = tcp(), server;
    struct sockaddr_in open = name_of(listening);

    result("connect", connect_to(fd, &closed));
    result("connect elsewhere", connect_to(fd, &open));
    server = accept_from(listening);
    sends("send", fd, "x");
    sees("server", server);
    sends("server sends", server, "y");
    sees("receive", fd);
}

static void case_refused_later(void)
{
    struct sockaddr_in address = at_port("127.0.0.1", closed_port());
    int fd = tcp();

    nonblocking(fd);
    result("connect", connect_to(fd, &address));
    ready("flags", fd, POLLOUT | POLLERR | POLLHUP);
    so_error("SO_ERROR", fd);
    so_error("SO_ERROR again", fd);
    ready("flags after", fd, POLLOUT | POLLHUP);
    sees_now("receive", fd);
    sends("send", fd, "x");
}

static void case_refused_later_by_connect(void)
{
    struct sockaddr_in address = at_port("127.0.0.1", closed_port());
    int fd = tcp();

    nonblocking(fd);
    result("connect", connect_to(fd, &address));
    await(fd, POLLERR);
    result("connect says it", connect_to(fd, &address));
    so_error("SO_ERROR", fd);
}

static void case_refused_later_by_receive(void)
{
    struct sockaddr_in address = at_port("127.0.0.1", closed_port());
    int fd = tcp();

    nonblocking(fd);
    result("connect", connect_to(fd, &address));
    await(fd, POLLERR);
    sees_now("receive", fd);
    so_error("SO_ERROR after", fd);
}

static void case_connect_later(void)
{
    int listening = listener(4), fd = tcp();
    struct sockaddr_in address = name_of(listening);

    nonblocking(fd);
    result("connect", connect_to(fd, &address));
    ready("flags", fd, POLLOUT);
    so_error("SO_ERROR", fd);
    result("connect again", connect_to(fd, &address));
    result("connect once more", connect_to(fd, &address));
}

static void case_connected(void)
{
    int client, server;
    struct sockaddr_in address, any = any_local();

    pair(&client, &server);
    address = name_of(server);
    result("connect", connect_to(client, &address));
    result("connect elsewhere", connect_to(client, &any));
    result("accepted one connects", connect_to(server, &address));
    result("bind", bind(client, (struct sockaddr *)&any, sizeof(any)));
    result("listen", listen(client, 4));
    result("accept", accept(client, NULL, NULL));
}

static void case_listening(void)
{
    int listening = listener(4);
    struct sockaddr_in address = name_of(listening), any = any_local();

    result("connect", connect_to(listening, &address));
    result("bind", bind(listening, (struct sockaddr *)&any, sizeof(any)));
    result("listen again", listen(listening, 8));
    result("getpeername", getpeername(listening, (struct sockaddr *)&any, &(socklen_t){16}));
    nonblocking(listening);
    sees_now("receive", listening);
    sends("send", listening, "x");
    so_error("SO_ERROR", listening);
}

static void case_unconnected(void)
{
    struct sockaddr_in name;
    int fd = tcp();

    nonblocking(fd);
    sees_now("receive", fd);
    sends("send", fd, "x");
    result("getpeername", getpeername(fd, (struct sockaddr *)&name, &(socklen_t){16}));
    result("accept", accept(fd, NULL, NULL));
    so_error("SO_ERROR", fd);
}

static void case_reset(void)
{
    int client, server;

    pair(&client, &server);
    linger(server, 1, 0);
    close(server);
    await(client, POLLERR);
    sees("receive", client);
    sees("receive again", client);
    sends("send", client, "x");
    sends("send again", client, "x");
}

static void case_reset_seen_by_send(void)
{
    int client, server;

    pair(&client, &server);
    linger(server, 1, 0);
    close(server);
    await(client, POLLERR);
    sends("send", client, "x");
    sends("send again", client, "x");
    sees("receive", client);
}

static void case_reset_signal(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    linger(server, 1, 0);
    close(server);
    await(client, POLLERR);
    child = branch();
    if (child == 0)
        _exit(write(client, "x", 1) < 0 && errno == ECONNRESET ? 1 : 0);
    done("first write, SIGPIPE as it is", child);
}

/* Every holder hears of the reset, the error itself goes to the first who asks. */
static void case_reset_shared(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    linger(server, 1, 0);
    close(server);
    await(client, POLLERR);
    child = branch();
    if (child == 0) {
        sees("child", client);
        _exit(0);
    }
    done("child ends", child);
    sees("parent", client);
}

static void case_bad_addresses(void)
{
    struct sockaddr_in address = any_local(), other = at_port("192.0.2.1", 0);
    struct sockaddr *any = (struct sockaddr *)&address;

    result("bind, not ours", bind(tcp(), (struct sockaddr *)&other, sizeof(other)));
    result("bind, short", bind(tcp(), any, 8));
    result("bind, no pointer", bind(tcp(), NULL, sizeof(address)));
    result("connect, short", connect(tcp(), any, 8));
    result("connect, no pointer", connect(tcp(), NULL, sizeof(address)));
    address.sin_family = AF_INET6;
    result("bind, other family", bind(tcp(), any, sizeof(address)));
    result("connect, other family", connect(tcp(), any, sizeof(address)));
    address.sin_family = AF_UNSPEC;
    result("bind, AF_UNSPEC", bind(tcp(), any, sizeof(address)));
    address.sin_addr.s_addr = INADDR_ANY;
    result("bind, AF_UNSPEC wildcard", bind(tcp(), any, sizeof(address)));
    result("connect, AF_UNSPEC", connect(tcp(), any, sizeof(address)));
}

static void case_bad_pointers(void)
{
    struct sockaddr_in address;
    int fd = tcp(), client, server, value;
    struct sockaddr *out = (struct sockaddr *)&address;

    pair(&client, &server);
    result("getsockname, no address", getsockname(fd, NULL, &(socklen_t){16}));
    result("getsockname, no length", getsockname(fd, out, NULL));
    result("getsockname, negative", getsockname(fd, out, &(socklen_t){(socklen_t)-1}));
    result("getpeername, no length", getpeername(client, out, NULL));
    result("getsockopt, no value",
           getsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, &(socklen_t){sizeof(int)}));
    result("getsockopt, no length", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, NULL));
    result("setsockopt, no value",
           setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(int)));
    result("send, bad data", send(client, (void *)8, 1, MSG_NOSIGNAL));
}

static void case_bad_descriptors(void)
{
    struct sockaddr_in address = any_local();
    int ends[2], value = 0;

    result("bind", bind(250, (struct sockaddr *)&address, sizeof(address)));
    result("listen", listen(250, 1));
    result("accept", accept(250, NULL, NULL));
    result("connect", connect_to(250, &address));
    result("getsockname", getsockname(250, (struct sockaddr *)&address, &(socklen_t){16}));
    result("setsockopt", setsockopt(250, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)));
    if (pipe(ends) < 0)
        broken("pipe");
    result("bind a pipe", bind(ends[0], (struct sockaddr *)&address, sizeof(address)));
    result("listen on a pipe", listen(ends[0], 1));
    result("accept from a pipe", accept(ends[0], NULL, NULL));
    result("connect a pipe", connect_to(ends[0], &address));
}

static void case_bad_kinds(void)
{
    opened("stream with UDP", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    opened("stream with TCP", socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    opened("no such type", socket(AF_INET, 9, 0));
    opened("no such family", socket(99, SOCK_STREAM, 0));
    opened("unknown flag", socket(AF_INET, SOCK_STREAM | 0x100000, 0));
}

static void case_no_pairs(void)
{
    int pairs[2];

    result("pair of TCP sockets", socketpair(AF_INET, SOCK_STREAM, 0, pairs));
}

static void case_port_zero(void)
{
    struct sockaddr_in address = any_local();

    result("connect", connect_to(tcp(), &address));
}

/* A socket that connects to itself: a simultaneous open of one. */
static void case_self(void)
{
    struct sockaddr_in address = any_local();
    int fd = tcp();

    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        broken("bind");
    address = name_of(fd);
    result("connect", connect_to(fd, &address));
    sends("send", fd, "echo");
    sees("receive", fd);
    result("shutdown", shutdown(fd, SHUT_WR));
    sees("receive at the end", fd);
}

static void case_disconnect(void)
{
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    int client, server;

    pair(&client, &server);
    result("connect to AF_UNSPEC", connect(client, &nowhere, sizeof(nowhere)));
    sees("peer", server);
    result("getpeername", getpeername(client, &nowhere, &(socklen_t){16}));
}

static const struct semantics_case cases[] = {
    {"refused", case_refused},
    {"refused-then-connected", case_refused_then_connected},
    {"refused-later", case_refused_later},
    {"refused-later-by-connect", case_refused_later_by_connect},
    {"refused-later-by-receive", case_refused_later_by_receive},
    {"connect-later", case_connect_later},
    {"connected", case_connected},
    {"listening", case_listening},
    {"unconnected", case_unconnected},
    {"reset", case_reset},
    {"reset-seen-by-send", case_reset_seen_by_send},
    {"reset-signal", case_reset_signal},
    {"reset-shared", case_reset_shared},
    {"bad-addresses", case_bad_addresses},
    {"bad-pointers", case_bad_pointers},
    {"bad-descriptors", case_bad_descriptors},
    {"bad-kinds", case_bad_kinds},
    {"no-pairs", case_no_pairs},
    {"port-zero", case_port_zero},
    {"self", case_self},
    {"disconnect", case_disconnect},
    {NULL, NULL},
};

const struct semantics_group group_errors = {"errors", cases};
