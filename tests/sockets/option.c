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

TEST(cork_holds_a_small_segment_until_it_is_pulled)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_TCP, TCP_CORK, 1), 0);
    CHECK_EQ(world_send(&w, 1000), 1000);
    CHECK_EQ(w.sent_cnt, 0);
    CHECK_EQ(world_send(&w, 1000), 1000);
    REQUIRE_EQ(w.sent_cnt, 1); /* a full one may go */
    CHECK_EQ(world_last(&w)->len, 1460);
    peer_ack(&w);
    CHECK_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_TCP, TCP_CORK, 0), 0);
    world_collect(&w);
    REQUIRE_EQ(w.sent_cnt, 2);
    CHECK_EQ(world_last(&w)->len, 540);
    world_close(&w);
}

/* [MUST-49] */
TEST(time_to_live_and_type_of_service_go_into_the_header)
{
    struct world w;

    world_open(&w);
    w.fd = world_socket(&w);
    CHECK_EQ(world_bind(&w, w.fd, w.local_port), 0);
    CHECK_EQ(world_get(&w, w.fd, IPPROTO_IP, IP_TTL), 64);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_IP, IP_TTL, 7), 0);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_IP, IP_TOS, 0x68), 0);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_IP, IP_TTL, 0), -EINVAL);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_IP, IP_TTL, 256), -EINVAL);
    world_syn_sent(&w);
    CHECK_EQ(world_last(&w)->ttl, 7);
    CHECK_EQ(world_last(&w)->tos, 0x68);
    peer_send(&w, TCP_SYN | TCP_ACK, w.irs, w.snd_nxt, 0);
    CHECK_EQ(world_last(&w)->ttl, 7);
    CHECK_EQ(world_send(&w, 5), 5);
    CHECK_EQ(world_last(&w)->ttl, 7);
    CHECK_EQ(world_last(&w)->tos, 0x68);
    world_close(&w);
}

TEST(maxseg_is_offered_and_kept)
{
    struct world w;

    world_open(&w);
    w.fd = world_socket(&w);
    CHECK_EQ(world_bind(&w, w.fd, w.local_port), 0);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_TCP, TCP_MAXSEG, 1), -EINVAL);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_TCP, TCP_MAXSEG, 700), 0);
    CHECK_EQ(world_connect(&w, w.fd), -EINPROGRESS);
    world_collect(&w);
    CHECK_EQ(world_last(&w)->mss, 700);
    peer_send(&w, TCP_SYN | TCP_ACK, w.irs, w.snd_nxt, 0); /* offers 1460 */
    world_forget(&w);
    CHECK_EQ(world_send(&w, 2100), 2100);
    CHECK_EQ(w.sent_cnt, 3);
    CHECK_EQ(world_last(&w)->len, 700);
    CHECK_EQ(world_get(&w, w.fd, IPPROTO_TCP, TCP_MAXSEG), 700);
    world_close(&w);
}

/* [MUST-15] no MSS option from the peer: 536 */
TEST(without_an_mss_option_segments_have_536_bytes)
{
    struct world w;
    struct wire_segment s = {.flags = TCP_SYN | TCP_ACK, .seq = WORLD_IRS, .wnd = 60000,
                             .wscale = TCP_WSCALE_NONE};

    world_open(&w);
    world_syn_sent(&w);
    s.ack = w.snd_nxt;
    peer_put_segment(&w, &s);
    world_collect(&w);
    world_forget(&w);
    CHECK_EQ(world_send(&w, 1072), 1072);
    CHECK_EQ(w.sent_cnt, 2);
    CHECK_EQ(world_last(&w)->len, 536);
    world_close(&w);
}

TEST(keepalive_starts_with_the_option_and_an_answer_starts_it_again)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    world_advance(&w, 5 * SECOND);
    CHECK_EQ(world_set(&w, w.fd, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_TCP, TCP_KEEPIDLE, 10), 0);
    CHECK_EQ(world_set(&w, w.fd, IPPROTO_TCP, TCP_KEEPINTVL, 2), 0);
    for (unsigned i = 0; i < 10; i++) {
        world_forget(&w);
        REQUIRE(world_wait_sent(&w, 1, 10 * SECOND));
        CHECK_EQ(world_last(&w)->flags, TCP_ACK);
        CHECK_EQ(world_last(&w)->seq, w.snd_nxt - 1);
        peer_ack(&w);
    }
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    /* [MUST-25] and not when it is off */
    CHECK_EQ(world_set(&w, w.fd, SOL_SOCKET, SO_KEEPALIVE, 0), 0);
    world_forget(&w);
    world_advance(&w, 100000 * SECOND);
    CHECK_EQ(w.sent_cnt, 0);
    world_close(&w);
}

/* [MUST-40] within half a second, and for every second full segment at once */
TEST(acknowledgments_are_delayed_but_not_for_long)
{
    struct world w;
    struct lastack_config config;

    world_config(&config);
    config.delayed_ack_ms = 40;
    world_open_with(&w, &config);
    world_established(&w, true);
    peer_data(&w, 100);
    world_advance(&w, 39 * MS);
    CHECK_EQ(w.sent_cnt, 0);
    world_advance(&w, 1 * MS);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->ack, WORLD_IRS + 101);
    world_forget(&w);
    peer_send(&w, TCP_ACK, w.rcv_nxt, w.snd_nxt, 1460);
    CHECK_EQ(w.sent_cnt, 0);
    peer_send(&w, TCP_ACK, w.rcv_nxt + 1460, w.snd_nxt, 1460);
    CHECK_EQ(w.sent_cnt, 1);
    /* data of ours carries it */
    peer_send(&w, TCP_ACK, w.rcv_nxt, w.snd_nxt, 100);
    CHECK_EQ(world_send(&w, 10), 10);
    CHECK_EQ(w.sent_cnt, 2);
    world_advance(&w, 100 * MS);
    CHECK_EQ(w.sent_cnt, 2);
    world_close(&w);
}

TEST(congestion_control_has_a_name)
{
    struct world w;
    char name[16] = "";
    socklen_t len = sizeof(name);
    int fd;

    world_open(&w);
    fd = world_socket(&w);
    CHECK_EQ(lastack_getsockopt(w.process, fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    CHECK_GT(strlen(name), 0);
    CHECK_EQ(lastack_setsockopt(w.process, fd, IPPROTO_TCP, TCP_CONGESTION, name,
                                (socklen_t)strlen(name)), 0);
    CHECK_EQ(lastack_setsockopt(w.process, fd, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8),
             -ENOENT);
    CHECK_EQ(lastack_getsockopt(w.process, fd, IPPROTO_TCP, TCP_NODELAY, NULL, &len), -EFAULT);
    CHECK_EQ(lastack_setsockopt(w.process, fd, IPPROTO_TCP, TCP_NODELAY, NULL, 4), -EFAULT);
    world_close(&w);
}

TEST(tcp_info_says_the_state)
{
    struct world w;
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(lastack_getsockopt(w.process, w.fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
    CHECK_EQ(info.tcpi_snd_mss, 1460);
    peer_fin(&w);
    CHECK_EQ(lastack_getsockopt(w.process, w.fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    CHECK_EQ(info.tcpi_state, TCP_CLOSE_WAIT);
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
