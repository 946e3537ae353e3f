/* SPDX-License-Identifier: BSD-2-Clause */
/* Which local ports a socket may have: bind, SO_REUSEADDR, SO_REUSEPORT, ephemeral ports. */
#include <errno.h>

#include "cells/harness.h"

#define ANY "0.0.0.0"
#define LOOP "127.0.0.1"

enum flags { PLAIN = 0, REUSEADDR = 1, REUSEPORT = 2 };

static int bound(struct world *w, const char *address, uint16_t port, unsigned flags, int *fd)
{
    struct sockaddr_in a = world_address(address, port);

    *fd = world_socket(w);
    if (flags & REUSEADDR)
        CHECK_EQ(world_set(w, *fd, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    if (flags & REUSEPORT)
        CHECK_EQ(world_set(w, *fd, SOL_SOCKET, SO_REUSEPORT, 1), 0);
    return lastack_bind(w->process, *fd, (struct sockaddr *)&a, sizeof(a));
}

/* Two binds to port 80; the first one may listen. What the second gets, by Linux's rules. */
static const struct {
    const char *first, *second;
    unsigned first_flags, second_flags;
    bool listening;
    int result;
} pairs[] = {
    {ANY, ANY, PLAIN, PLAIN, false, -EADDRINUSE},
    {LOOP, LOOP, PLAIN, PLAIN, false, -EADDRINUSE},
    {ANY, LOOP, PLAIN, PLAIN, false, -EADDRINUSE},
    {LOOP, ANY, PLAIN, PLAIN, false, -EADDRINUSE},
    {LOOP, WORLD_LOCAL, PLAIN, PLAIN, false, 0},
    {LOOP, WORLD_LOCAL, PLAIN, PLAIN, true, 0},
    {ANY, ANY, REUSEADDR, PLAIN, false, -EADDRINUSE},
    {ANY, ANY, PLAIN, REUSEADDR, false, -EADDRINUSE},
    {ANY, ANY, REUSEADDR, REUSEADDR, false, 0},
    {ANY, ANY, REUSEADDR, REUSEADDR, true, -EADDRINUSE},
    {ANY, LOOP, REUSEADDR, REUSEADDR, false, 0},
    {ANY, LOOP, REUSEADDR, REUSEADDR, true, -EADDRINUSE},
    {ANY, ANY, REUSEPORT, PLAIN, false, -EADDRINUSE},
    {ANY, ANY, PLAIN, REUSEPORT, true, -EADDRINUSE},
    {ANY, ANY, REUSEPORT, REUSEPORT, true, 0},
    {LOOP, LOOP, REUSEPORT, REUSEPORT, true, 0},
    {ANY, LOOP, REUSEPORT, REUSEPORT, true, 0},
    {ANY, ANY, REUSEPORT, REUSEADDR, true, -EADDRINUSE},
};

TEST(two_binds_to_one_port)
{
    for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct world w;
        int first, second, result;

        world_open(&w);
        CHECK_EQ(bound(&w, pairs[i].first, 80, pairs[i].first_flags, &first), 0);
        if (pairs[i].listening)
            CHECK_EQ(lastack_listen(w.process, first, 8), 0);
        result = bound(&w, pairs[i].second, 80, pairs[i].second_flags, &second);
        if (result != pairs[i].result)
            FAIL("pair %u: %s, not %s", i, result ? errno_name(result) : "bound",
                 pairs[i].result ? errno_name(pairs[i].result) : "bound");
        /* the port is free again with the first close */
        CHECK_EQ(lastack_close(w.process, first), 0);
        CHECK_EQ(lastack_close(w.process, second), 0);
        CHECK_EQ(bound(&w, ANY, 80, PLAIN, &first), 0);
        world_close(&w);
    }
}

TEST(two_that_share_an_address_cannot_both_listen)
{
    struct world w;
    int first, second;

    world_open(&w);
    CHECK_EQ(bound(&w, ANY, 80, REUSEADDR, &first), 0);
    CHECK_EQ(bound(&w, ANY, 80, REUSEADDR, &second), 0);
    CHECK_EQ(lastack_listen(w.process, first, 8), 0);
    CHECK_EQ(lastack_listen(w.process, second, 8), -EADDRINUSE);
    world_close(&w);
}

TEST(bind_errors)
{
    struct world w;
    struct sockaddr_in a = world_address("10.77.77.77", 80);
    int fd;

    world_open(&w);
    fd = world_socket(&w);
    CHECK_EQ(lastack_bind(w.process, fd, (struct sockaddr *)&a, sizeof(a)), -EADDRNOTAVAIL);
    a = world_address(LOOP, 80);
    CHECK_EQ(lastack_bind(w.process, fd, (struct sockaddr *)&a, 8), -EINVAL);
    a.sin_family = AF_UNIX;
    CHECK_EQ(lastack_bind(w.process, fd, (struct sockaddr *)&a, sizeof(a)), -EAFNOSUPPORT);
    a.sin_family = AF_INET;
    CHECK_EQ(lastack_bind(w.process, 99, (struct sockaddr *)&a, sizeof(a)), -EBADF);
    CHECK_EQ(lastack_bind(w.process, fd, (struct sockaddr *)&a, sizeof(a)), 0);
    a.sin_port = htons(81);
    CHECK_EQ(lastack_bind(w.process, fd, (struct sockaddr *)&a, sizeof(a)), -EINVAL);
    world_close(&w);
}

TEST(socket_errors)
{
    struct world w;

    world_open(&w);
    CHECK_EQ(lastack_socket(w.process, AF_UNIX, SOCK_STREAM, 0), -EAFNOSUPPORT);
    CHECK_EQ(lastack_socket(w.process, AF_INET, SOCK_STREAM, IPPROTO_UDP), -EPROTONOSUPPORT);
    CHECK_LT(lastack_socket(w.process, AF_INET, 77, 0), 0);
    CHECK_EQ(lastack_socket(w.process, AF_INET, SOCK_STREAM, IPPROTO_TCP), 0);
    world_close(&w);
}

TEST(connect_errors)
{
    struct world w;
    static const char *const nowhere[] = {"255.255.255.255", "224.0.0.1"};
    struct sockaddr_in a = world_address("192.0.2.1", 80);
    int fd;

    world_open(&w);
    fd = world_socket(&w);
    CHECK_EQ(lastack_connect(w.process, fd, (struct sockaddr *)&a, sizeof(a)), -ENETUNREACH);
    CHECK_EQ(lastack_connect(w.process, fd, (struct sockaddr *)&a, 8), -EINVAL);
    CHECK_EQ(lastack_connect(w.process, 99, (struct sockaddr *)&a, sizeof(a)), -EBADF);
    /* [MUST-46] no connection to a broadcast or multicast address */
    for (unsigned i = 0; i < 2; i++) {
        a = world_address(nowhere[i], 80);
        CHECK_EQ(lastack_connect(w.process, fd, (struct sockaddr *)&a, sizeof(a)), -ENETUNREACH);
    }
    a.sin_family = AF_UNIX;
    CHECK_EQ(lastack_connect(w.process, fd, (struct sockaddr *)&a, sizeof(a)), -EAFNOSUPPORT);
    world_collect(&w);
    CHECK_EQ(w.sent_cnt, 0);
    CHECK_EQ(world_connect(&w, fd), -EINPROGRESS);
    world_close(&w);
}

/* Linux: AF_UNSPEC takes the connection off the socket, which may connect again. */
TEST(connect_to_nothing_disconnects)
{
    struct world w;
    struct sockaddr_in none = {.sin_family = AF_UNSPEC};

    world_open(&w);
    world_established(&w, false);
    CHECK_EQ(lastack_connect(w.process, w.fd, (struct sockaddr *)&none, sizeof(none)), 0);
    world_collect(&w);
    CHECK_EQ(world_sent_with(&w, TCP_RST), 1);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    w.snd_una = w.snd_nxt = 0;
    w.irs += 1000;
    world_syn_sent(&w);
    world_close(&w);
}

/* Linux: to 0.0.0.0 means to this host. */
TEST(connect_to_any_is_connect_to_loopback)
{
    struct world w;
    struct sockaddr_in a = world_address(ANY, 80), name = {0};
    socklen_t len = sizeof(name);
    int listener, fd;

    world_open(&w);
    CHECK_EQ(bound(&w, ANY, 80, PLAIN, &listener), 0);
    CHECK_EQ(lastack_listen(w.process, listener, 8), 0);
    fd = world_socket(&w);
    CHECK_EQ(lastack_connect(w.process, fd, (struct sockaddr *)&a, sizeof(a)), -EINPROGRESS);
    world_collect(&w);
    CHECK_EQ(w.sent_cnt, 0);
    CHECK_GE(lastack_accept(w.process, listener, NULL, NULL, 0), 0);
    CHECK_EQ(lastack_getpeername(w.process, fd, (struct sockaddr *)&name, &len), 0);
    CHECK_EQ(ntohl(name.sin_addr.s_addr), 0x7f000001);
    world_close(&w);
}

/* ---- TIME_WAIT and live connections --------------------------------------- */

/* A server that closed first: its port is in TIME_WAIT, or its connection lives on. */
static void leave_behind(struct world *w, unsigned flags, bool time_wait)
{
    world_open(w);
    CHECK_EQ(bound(w, WORLD_LOCAL, w->local_port, flags, &w->listener), 0);
    CHECK_EQ(lastack_listen(w->process, w->listener, 8), 0);
    world_handshake(w);
    world_accept(w);
    CHECK_EQ(lastack_close(w->process, w->listener), 0);
    if (!time_wait)
        return;
    world_close_fd(w);
    peer_ack(w);
    peer_fin(w);
    CHECK_EQ(world_state(w), LASTACK_TIME_WAIT);
}

TEST(a_port_in_time_wait_needs_reuseaddr)
{
    for (unsigned time_wait = 0; time_wait < 2; time_wait++) {
        struct world w;
        int fd;

        leave_behind(&w, PLAIN, time_wait);
        CHECK_EQ(bound(&w, WORLD_LOCAL, w.local_port, PLAIN, &fd), -EADDRINUSE);
        CHECK_EQ(bound(&w, ANY, w.local_port, PLAIN, &fd), -EADDRINUSE);
        /* the one that left it behind must have had it too */
        CHECK_EQ(bound(&w, WORLD_LOCAL, w.local_port, REUSEADDR, &fd), -EADDRINUSE);
        CHECK_EQ(bound(&w, LOOP, w.local_port, PLAIN, &fd), 0); /* another address */
        world_close(&w);
        leave_behind(&w, REUSEADDR, time_wait);
        CHECK_EQ(bound(&w, WORLD_LOCAL, w.local_port, PLAIN, &fd), -EADDRINUSE);
        CHECK_EQ(bound(&w, WORLD_LOCAL, w.local_port, REUSEADDR, &fd), 0);
        CHECK_EQ(lastack_listen(w.process, fd, 8), 0);
        world_close(&w);
    }
}

TEST(a_port_is_free_when_time_wait_is_over)
{
    struct world w;
    int fd;

    leave_behind(&w, PLAIN, true);
    world_advance(&w, 2 * w.config.msl_ms * MS + SECOND);
    CHECK_EQ(bound(&w, WORLD_LOCAL, w.local_port, PLAIN, &fd), 0);
    world_close(&w);
}

TEST(a_pair_in_use_cannot_be_connected_again)
{
    struct world w;
    int fd;

    leave_behind(&w, REUSEADDR, true);
    CHECK_EQ(bound(&w, WORLD_LOCAL, w.local_port, REUSEADDR, &fd), 0);
    CHECK_EQ(world_connect(&w, fd), -EADDRNOTAVAIL);
    w.peer_port++;
    CHECK_EQ(world_connect(&w, fd), -EINPROGRESS);
    world_close(&w);
}

/* ---- ephemeral ports (RFC 6056) ------------------------------------------- */

static uint16_t port_of(struct world *w, int fd)
{
    struct sockaddr_in a = {0};
    socklen_t len = sizeof(a);

    CHECK_EQ(lastack_getsockname(w->process, fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static void open_range(struct world *w, uint16_t low, uint16_t high, uint64_t seed)
{
    struct lastack_config config;

    world_config(&config);
    config.port_low = low;
    config.port_high = high;
    config.seed[1] = seed;
    world_open_with(w, &config);
}

TEST(ephemeral_ports_are_in_range_distinct_and_not_counted)
{
    struct world w;
    uint16_t ports[100];
    unsigned steps_of_one = 0;

    open_range(&w, 20000, 60000, 1);
    for (unsigned i = 0; i < 100; i++) {
        int fd;

        if (i % 2) {
            CHECK_EQ(bound(&w, WORLD_LOCAL, 0, PLAIN, &fd), 0);
        } else {
            fd = world_socket(&w);
            w.peer_port = (uint16_t)(80 + i); /* each pair has its own place to start */
            CHECK_EQ(world_connect(&w, fd), -EINPROGRESS);
        }
        ports[i] = port_of(&w, fd);
        CHECK_GE(ports[i], 20000);
        CHECK_LE(ports[i], 60000);
        for (unsigned j = 0; j < i; j++)
            CHECK_NE(ports[i], ports[j]);
        steps_of_one += i && (uint16_t)(ports[i] - ports[i - 1] + 2) <= 4;
    }
    CHECK_LE(steps_of_one, 5);
    world_close(&w);
}

TEST(ephemeral_ports_depend_on_the_secret)
{
    unsigned same = 0;

    for (unsigned i = 0; i < 10; i++) {
        struct world a, b;
        int fd;
        uint16_t port;

        open_range(&a, 20000, 60000, 2 * i);
        open_range(&b, 20000, 60000, 2 * i + 1);
        CHECK_EQ(bound(&a, WORLD_LOCAL, 0, PLAIN, &fd), 0);
        port = port_of(&a, fd);
        CHECK_EQ(bound(&b, WORLD_LOCAL, 0, PLAIN, &fd), 0);
        same += port == port_of(&b, fd);
        world_close(&a);
        world_close(&b);
    }
    CHECK_LE(same, 1);
}

TEST(a_range_that_is_used_up_has_a_name)
{
    struct world w;
    int fds[4], fd;

    open_range(&w, 30000, 30003, 1);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(bound(&w, WORLD_LOCAL, 0, PLAIN, &fds[i]), 0);
    CHECK_EQ(bound(&w, WORLD_LOCAL, 0, PLAIN, &fd), -EADDRINUSE);
    fd = world_socket(&w);
    CHECK_EQ(world_connect(&w, fd), -EADDRNOTAVAIL);
    CHECK_EQ(lastack_close(w.process, fds[2]), 0);
    CHECK_EQ(world_connect(&w, fd), -EINPROGRESS);
    world_close(&w);
}

TEST(listen_without_bind_takes_an_ephemeral_port)
{
    struct world w;
    int fd;

    open_range(&w, 30000, 30003, 1);
    fd = world_socket(&w);
    CHECK_EQ(port_of(&w, fd), 0);
    CHECK_EQ(lastack_listen(w.process, fd, 8), 0);
    CHECK_GE(port_of(&w, fd), 30000);
    CHECK_LE(port_of(&w, fd), 30003);
    world_close(&w);
}

/* ---- which listener gets it ----------------------------------------------- */

TEST(the_most_specific_listener_wins)
{
    struct world w;
    int any, specific;

    world_open(&w);
    CHECK_EQ(bound(&w, ANY, w.local_port, REUSEPORT, &any), 0);
    CHECK_EQ(bound(&w, WORLD_LOCAL, w.local_port, REUSEPORT, &specific), 0);
    CHECK_EQ(lastack_listen(w.process, any, 8), 0);
    CHECK_EQ(lastack_listen(w.process, specific, 8), 0);
    w.listener = any;
    world_handshake(&w);
    CHECK_EQ(lastack_accept(w.process, any, NULL, NULL, 0), -EAGAIN);
    CHECK_GE(lastack_accept(w.process, specific, NULL, NULL, 0), 0);
    world_close(&w);
}

TEST(reuseport_spreads_connections_over_its_listeners)
{
    struct world w;
    int fds[2];
    unsigned got[2] = {0, 0};

    world_open(&w);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(bound(&w, ANY, w.local_port, REUSEPORT, &fds[i]), 0);
        CHECK_EQ(lastack_listen(w.process, fds[i], 64), 0);
    }
    w.listener = fds[0];
    for (unsigned i = 0; i < 40; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        w.snd_una = w.snd_nxt = 0;
        world_handshake(&w);
    }
    for (unsigned i = 0; i < 2; i++)
        while (lastack_accept(w.process, fds[i], NULL, NULL, 0) >= 0)
            got[i]++;
    CHECK_EQ(got[0] + got[1], 40);
    CHECK_GE(got[0], 5);
    CHECK_GE(got[1], 5);
    world_close(&w);
}

TEST_MAIN()
