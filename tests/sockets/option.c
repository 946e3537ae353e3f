/* SPDX-License-Identifier: BSD-2-Clause */
/* Socket options: what is there, what it does, and how a wrong one is refused. */
#include <errno.h>
#include <netinet/tcp.h>

#include "cells/harness.h"

TEST(what_a_socket_is)
{
    struct world w;
    int fd;

    world_open(&w);
    fd = world_socket(&w);
    CHECK_EQ(world_get(&w, fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    CHECK_EQ(world_get(&w, fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
    CHECK_EQ(world_get(&w, fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    CHECK_EQ(world_get(&w, fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
    CHECK_EQ(world_get(&w, fd, SOL_SOCKET, SO_ERROR), 0);
    CHECK_EQ(lastack_close(w.process, fd), 0);
    fd = world_listen(&w, 8);
    CHECK_EQ(world_get(&w, fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    world_close(&w);
}

TEST(what_is_set_can_be_read)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},   {SOL_SOCKET, SO_REUSEPORT, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},   {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 77}, {IPPROTO_TCP, TCP_KEEPINTVL, 7},
        {IPPROTO_TCP, TCP_KEEPCNT, 5},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 12345},
    };
    struct world w;
    int fd;

    world_open(&w);
    fd = world_socket(&w);
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        CHECK_NE(world_get(&w, fd, options[i].level, options[i].name), options[i].value);
        CHECK_EQ(world_set(&w, fd, options[i].level, options[i].name, options[i].value), 0);
        CHECK_EQ(world_get(&w, fd, options[i].level, options[i].name), options[i].value);
    }
    CHECK_EQ(world_set(&w, fd, SOL_SOCKET, SO_KEEPALIVE, 0), 0);
    CHECK_EQ(world_get(&w, fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    world_close(&w);
}

TEST(linger_can_be_read)
{
    struct world w;
    struct linger linger;
    socklen_t len = sizeof(linger);
    int fd;

    world_open(&w);
    fd = world_socket(&w);
    CHECK_EQ(lastack_getsockopt(w.process, fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
    CHECK_EQ(linger.l_onoff, 0);
    CHECK_EQ(world_linger(&w, fd, 1, 30), 0);
    CHECK_EQ(lastack_getsockopt(w.process, fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
    CHECK_EQ(linger.l_onoff, 1);
    CHECK_EQ(linger.l_linger, 30);
    CHECK_EQ(len, sizeof(linger));
    world_close(&w);
}

TEST(wrong_options_are_refused)
{
    struct world w;
    int fd, value = 1;
    socklen_t len = sizeof(value);

    world_open(&w);
    fd = world_socket(&w);
    CHECK_EQ(world_set(&w, fd, SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
    CHECK_EQ(world_get(&w, fd, SOL_SOCKET, 9999), -ENOPROTOOPT);
    CHECK_EQ(world_set(&w, fd, IPPROTO_TCP, 9999, 1), -ENOPROTOOPT);
    CHECK_EQ(world_get(&w, fd, IPPROTO_TCP, 9999), -ENOPROTOOPT);
    CHECK_EQ(world_set(&w, 99, SOL_SOCKET, SO_KEEPALIVE, 1), -EBADF);
    CHECK_EQ(world_get(&w, 99, SOL_SOCKET, SO_KEEPALIVE), -EBADF);
    CHECK_EQ(lastack_setsockopt(w.process, fd, SOL_SOCKET, SO_KEEPALIVE, &value, 2), -EINVAL);
    CHECK_EQ(lastack_setsockopt(w.process, fd, SOL_SOCKET, SO_LINGER, &value, 4), -EINVAL);
    CHECK_EQ(world_set(&w, fd, IPPROTO_TCP, TCP_KEEPIDLE, 0), -EINVAL);
    CHECK_EQ(world_set(&w, fd, IPPROTO_TCP, TCP_KEEPIDLE, 40000), -EINVAL);
    CHECK_EQ(world_set(&w, fd, IPPROTO_TCP, TCP_KEEPINTVL, 0), -EINVAL);
    CHECK_EQ(world_set(&w, fd, IPPROTO_TCP, TCP_KEEPCNT, 0), -EINVAL);
    CHECK_EQ(world_set(&w, fd, IPPROTO_TCP, TCP_KEEPCNT, 128), -EINVAL);
    CHECK_EQ(world_set(&w, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1), -EINVAL);
    CHECK_EQ(world_set(&w, fd, SOL_SOCKET, SO_TYPE, 1), -ENOPROTOOPT);
    CHECK_EQ(world_set(&w, fd, SOL_SOCKET, SO_ERROR, 1), -ENOPROTOOPT);
    len = 1; /* cut short, as Linux does */
    value = 0;
    CHECK_EQ(lastack_getsockopt(w.process, fd, SOL_SOCKET, SO_TYPE, &value, &len), 0);
    CHECK_EQ(len, 1);
    CHECK_EQ(value, SOCK_STREAM);
    world_close(&w);
}

TEST(nagle_holds_a_small_segment_while_another_is_in_flight)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(world_send(&w, 10), 10);
    CHECK_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_send(&w, 10), 10);
    CHECK_EQ(world_send(&w, 10), 10);
    CHECK_EQ(w.sent_cnt, 1);
    world_forget(&w);
    peer_ack(&w);
    REQUIRE_EQ(w.sent_cnt, 1); /* both in one */
    CHECK_EQ(world_last(&w)->len, 20);
    world_close(&w);
}

/* [MUST-17] */
TEST(nodelay_switches_nagle_off)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_TCP, TCP_NODELAY, 1), 0);
    for (unsigned i = 1; i < 5; i++) {
        CHECK_EQ(world_send(&w, 10), 10);
        CHECK_EQ(w.sent_cnt, i);
    }
    world_close(&w);
}

TEST(nodelay_lets_go_what_nagle_holds)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(world_send(&w, 10), 10);
    CHECK_EQ(world_send(&w, 10), 10);
    CHECK_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_TCP, TCP_NODELAY, 1), 0);
    world_collect(&w);
    CHECK_EQ(w.sent_cnt, 2);
    world_close(&w);
}

TEST(msg_more_holds_a_small_segment)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(lastack_send(w.process, w.fd, "abcde", 5, MSG_MORE), 5);
    world_collect(&w);
    CHECK_EQ(w.sent_cnt, 0);
    CHECK_EQ(lastack_send(w.process, w.fd, "fgh", 3, 0), 3);
    world_collect(&w);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->len, 8);
    CHECK_MEM(world_last(&w)->data, "abcdefgh", 8);
    world_close(&w);
}

TEST(buffer_sizes_have_limits)
{
    struct world w;
    struct lastack_config config;
    int fd, initial;

    world_config(&config);
    config.buffer_limit = 100000;
    world_open_with(&w, &config);
    fd = world_socket(&w);
    initial = world_get(&w, fd, SOL_SOCKET, SO_RCVBUF);
    CHECK_GE(initial, 32768);
    CHECK_EQ(world_set(&w, fd, SOL_SOCKET, SO_RCVBUF, 50000), 0);
    CHECK_GE(world_get(&w, fd, SOL_SOCKET, SO_RCVBUF), 50000);
    CHECK_EQ(world_set(&w, fd, SOL_SOCKET, SO_SNDBUF, 1 << 30), 0);
    CHECK_LE(world_get(&w, fd, SOL_SOCKET, SO_SNDBUF), 2 * 100000);
    CHECK_EQ(world_set(&w, fd, SOL_SOCKET, SO_SNDBUF, 1), 0);
    CHECK_GT(world_get(&w, fd, SOL_SOCKET, SO_SNDBUF), 0);
    world_close(&w);
}

TEST(the_receive_buffer_is_the_window_offered)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(w.rcv_wnd, 32768);
    world_close(&w);
}

TEST(window_scale_is_offered_and_answered)
{
    struct world w;
    struct lastack_config config;
    struct wire_segment s = {.flags = TCP_SYN, .seq = WORLD_IRS, .wnd = 1000, .mss = 1460,
                             .wscale = 3};

    world_config(&config);
    config.receive_buffer = 1 << 20;
    world_open_with(&w, &config);
    world_listen(&w, 8);
    peer_put_segment(&w, &s);
    world_collect(&w);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_NE(world_last(&w)->wscale, TCP_WSCALE_NONE);
    CHECK_GE((1u << world_last(&w)->wscale) * 65535, 1 << 20);
    CHECK_EQ(world_last(&w)->wnd, 65535); /* never scaled on a SYN (RFC 7323 2.2) */
    world_close(&w);
}

TEST_MAIN()
