/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything that a peer or a program can make grow has a limit, and the limit a name. */
#include <errno.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "cells/harness.h"
#include "wire/icmp4.h"
#include "wire/ip4.h"

static void connect_number(struct world *w, unsigned number)
{
    w->peer_port = (uint16_t)(WORLD_PEER_PORT + number);
    w->snd_una = w->snd_nxt = 0;
    world_handshake(w);
    world_accept(w);
}

TEST(orphans_have_a_limit)
{
    struct world w;
    struct lastack_config config;
    struct lastack_usage usage;

    world_config(&config);
    config.orphan_max = 4;
    world_open_with(&w, &config);
    world_listen(&w, 16);
    for (unsigned i = 0; i < 6; i++) {
        connect_number(&w, i);
        world_forget(&w);
        world_close_fd(&w);
        lastack_usage(w.stack, &usage);
        CHECK_LE(usage.orphans, 4);
        if (i >= 4) { /* this one is reset: nobody who is held is hurt */
            CHECK_EQ(world_sent_with(&w, TCP_RST), 1);
            CHECK_EQ(world_state(&w), LASTACK_LISTEN);
        }
    }
    CHECK_EQ(world_dropped(&w, DROP_ORPHAN_LIMIT), 2);
    world_close(&w);
}

TEST(send_buffers_have_a_limit_over_all_connections)
{
    struct world w;
    struct lastack_config config;
    struct lastack_usage usage;
    ssize_t sent = 0;

    world_config(&config);
    config.buffer_max = 300000;
    world_open_with(&w, &config);
    world_listen(&w, 16);
    for (unsigned i = 0; i < 10; i++) {
        connect_number(&w, i);
        while ((sent = world_send(&w, 20000)) > 0)
            world_forget(&w);
        lastack_usage(w.stack, &usage);
        CHECK_LE(usage.buffer_bytes, 300000);
    }
    CHECK(sent == -ENOBUFS || sent == -EAGAIN);
    /* and what is given back can be had again */
    for (unsigned i = 0; i < 10; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        peer_send(&w, TCP_RST, w.irs + 1, 0, 0);
    }
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.buffer_bytes, 0);
    connect_number(&w, 20);
    CHECK_EQ(world_send(&w, 20000), 20000);
    world_close(&w);
}

TEST(receive_buffers_have_a_limit_over_all_connections)
{
    struct world w;
    struct lastack_config config;
    struct lastack_usage usage;

    world_config(&config);
    config.buffer_max = 100000;
    world_open_with(&w, &config);
    world_listen(&w, 16);
    for (unsigned i = 0; i < 10; i++) {
        connect_number(&w, i);
        for (unsigned k = 0; k < 20; k++) {
            world_forget(&w);
            peer_data(&w, 1400);
        }
        lastack_usage(w.stack, &usage);
        CHECK_LE(usage.buffer_bytes, 100000);
    }
    CHECK_GT(world_dropped(&w, DROP_RECEIVE_MEMORY), 0);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED); /* the peer repeats it */
    world_close(&w);
}

TEST(half_open_entries_without_cookies)
{
    struct world w;
    struct lastack_config config;
    struct lastack_usage usage;

    world_config(&config);
    config.half_open_max = 4;
    config.no_syn_cookies = true;
    world_open_with(&w, &config);
    world_listen(&w, 16);
    for (unsigned i = 0; i < 10; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        world_forget(&w);
        peer_send(&w, TCP_SYN, w.irs, 0, 0);
        CHECK_EQ(w.sent_cnt, i < 4);
    }
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.half_open, 4);
    CHECK_EQ(world_dropped(&w, DROP_LISTEN_HALF_OPEN_NO_COOKIE), 6);
    /* they go when nobody answers */
    world_advance(&w, 20 * SECOND);
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.half_open, 0);
    CHECK_EQ(world_dropped(&w, DROP_HALF_OPEN_TIMEOUT), 4);
    world_close(&w);
}

/* ---- fragments --------------------------------------------------------------- */

/* The bytes from..to of a packet's payload as a fragment of their own. */
static void fragment_in(struct world *w, const uint8_t *packet, size_t from, size_t to, bool more,
                        uint16_t id)
{
    uint8_t out[2000];
    struct ip4 ip;

    REQUIRE_EQ(ip4_parse(&ip, packet, IP4_HEADER_LEN, 65535), DROP_NONE);
    ip.id = id;
    ip.dont_fragment = false;
    ip.more_fragments = more;
    ip.fragment_offset = (uint16_t)from;
    ip.total_len = (uint16_t)(IP4_HEADER_LEN + to - from);
    ip4_emit(out, &ip);
    memcpy(out + IP4_HEADER_LEN, packet + IP4_HEADER_LEN + from, to - from);
    peer_packet(w, out, IP4_HEADER_LEN + to - from);
    world_collect(w);
}

static size_t syn_build(struct world *w, uint8_t packet[200])
{
    struct wire_segment s = {.flags = TCP_SYN, .seq = w->irs, .wnd = 1000, .mss = 1460,
                             .wscale = TCP_WSCALE_NONE};

    return peer_build(w, &s, packet) - IP4_HEADER_LEN;
}

TEST(fragments_are_put_together_in_any_order)
{
    for (unsigned reverse = 0; reverse < 2; reverse++) {
        struct world w;
        uint8_t packet[200];
        size_t len;

        world_open(&w);
        world_listen(&w, 8);
        len = syn_build(&w, packet);
        for (unsigned i = 0; i < 3; i++) {
            unsigned part = reverse ? 2 - i : i;

            CHECK_EQ(w.sent_cnt, 0);
            fragment_in(&w, packet, 8 * part, part == 2 ? len : 8 * part + 8, part < 2, 77);
        }
        CHECK_EQ(w.sent_cnt, 1);
        CHECK_EQ(world_state(&w), LASTACK_SYN_RCVD);
        world_close(&w);
    }
}

TEST(overlapping_fragments_are_given_up)
{
    struct world w;
    uint8_t packet[200];
    size_t len;

    world_open(&w);
    world_listen(&w, 8);
    len = syn_build(&w, packet);
    fragment_in(&w, packet, 0, 16, true, 77);
    fragment_in(&w, packet, 8, len, false, 77);
    CHECK_EQ(w.sent_cnt, 0);
    CHECK_GE(world_dropped(&w, DROP_FRAGMENT_OVERLAP), 1);
    /* the whole packet is gone, and a later one is not hurt */
    fragment_in(&w, packet, 0, 8, true, 78);
    fragment_in(&w, packet, 8, len, false, 78);
    CHECK_EQ(w.sent_cnt, 1);
    world_close(&w);
}

TEST(fragments_have_a_limit_and_a_time)
{
    struct world w;
    uint8_t packet[200];
    struct lastack_usage before, after;

    world_open(&w);
    world_listen(&w, 8);
    syn_build(&w, packet);
    lastack_usage(w.stack, &before);
    for (unsigned i = 0; i < 5000; i++)
        fragment_in(&w, packet, 0, 8, true, (uint16_t)i);
    lastack_usage(w.stack, &after);
    CHECK_GT(world_dropped(&w, DROP_FRAGMENT_LIMIT), 0);
    CHECK_LE(after.memory_bytes - before.memory_bytes, 16 << 20);
    world_advance(&w, 300 * SECOND);
    CHECK_GT(world_dropped(&w, DROP_FRAGMENT_TIMEOUT), 0);
    CHECK_EQ(lastack_deadline(w.stack), LASTACK_NEVER);
    world_close(&w);
}

/* ---- the IP layer ------------------------------------------------------------ */

TEST(headers_may_be_scattered)
{
    struct world w;
    uint8_t packet[200];
    size_t len;

    world_open(&w);
    world_listen(&w, 8);
    len = syn_build(&w, packet) + IP4_HEADER_LEN;
    for (size_t cut = 1; cut < len; cut++) {
        struct lastack_frame frame = {.interface = 1, .len = (uint32_t)len, .iov_cnt = 3};

        frame.iov[0] = (struct iovec){packet, cut / 2};
        frame.iov[1] = (struct iovec){packet + cut / 2, cut - cut / 2};
        frame.iov[2] = (struct iovec){packet + cut, len - cut};
        world_forget(&w);
        lastack_rx(w.stack, &frame, 1, w.now_ns);
        world_collect(&w);
        CHECK_EQ(w.sent_cnt, 1);
        CHECK_EQ(world_last(&w)->flags, TCP_SYN | TCP_ACK);
    }
    world_close(&w);
}

/* A SYN with other addresses or ports; the reason for which it is dropped. */
static void odd_syn(const char *source, const char *destination, uint16_t port, enum drop reason)
{
    struct world w;
    uint8_t packet[200];
    struct ip4 ip;
    size_t len;

    world_open(&w);
    world_listen(&w, 8);
    w.peer_port = port;
    len = syn_build(&w, packet);
    if (port == 0) /* the harness reads 0 as "the usual" */
        store_be16(packet + IP4_HEADER_LEN, 0);
    REQUIRE_EQ(ip4_parse(&ip, packet, IP4_HEADER_LEN, 1500), DROP_NONE);
    REQUIRE_EQ(lastack_address_parse(&ip.source, source), 0);
    REQUIRE_EQ(lastack_address_parse(&ip.destination, destination), 0);
    ip4_emit(packet, &ip);
    store_be16(packet + IP4_HEADER_LEN + 16, 0);
    {
        uint8_t *tcp = packet + IP4_HEADER_LEN;
        uint16_t sum = ip_pseudo_sum(&ip.source, &ip.destination, IP_PROTOCOL_TCP, (uint32_t)len);

        sum = checksum_finish(checksum_join(sum, 12, checksum_sum_naive(tcp, len)));
        memcpy(tcp + 16, &sum, sizeof(sum));
    }
    peer_packet(&w, packet, IP4_HEADER_LEN + len);
    world_collect(&w);
    CHECK_EQ(w.sent_cnt + w.icmp_cnt, 0);
    if (world_dropped(&w, reason) != 1)
        FAIL("%s > %s port %u: not counted as %s", source, destination, port,
             lastack_drop_name(reason));
    world_close(&w);
}

/* [MUST-57, MUST-63] and RFC 1122 3.2.1.3 */
TEST(segments_with_impossible_addresses_are_dropped_without_an_answer)
{
    odd_syn("10.9.8.2", "10.9.8.77", 5000, DROP_IP_NOT_MINE);
    odd_syn("224.0.0.1", WORLD_LOCAL, 5000, DROP_IP_SOURCE);
    odd_syn("255.255.255.255", WORLD_LOCAL, 5000, DROP_IP_SOURCE);
    odd_syn("127.0.0.1", WORLD_LOCAL, 5000, DROP_IP_SOURCE);
    odd_syn("0.0.0.0", WORLD_LOCAL, 5000, DROP_IP_SOURCE);
    odd_syn("10.9.8.2", "127.0.0.1", 5000, DROP_IP_SOURCE); /* martian at either end */
    odd_syn("10.9.8.2", WORLD_LOCAL, 0, DROP_TCP_PORT_ZERO);
}

/* Our own address from outside: a connection of the stack with itself (LAND). */
TEST(a_segment_from_our_own_address_is_dropped)
{
    odd_syn(WORLD_LOCAL, WORLD_LOCAL, WORLD_LOCAL_PORT, DROP_IP_SOURCE);
}

TEST(echo_is_answered)
{
    struct world w;
    uint8_t packet[IP4_HEADER_LEN + ICMP4_HEADER_LEN + 30];
    struct ip4 ip = {.ttl = 64, .protocol = IP_PROTOCOL_ICMP, .total_len = sizeof(packet)};
    struct icmp4 icmp = {.type = ICMP4_ECHO, .rest = 0x12345678};

    world_open(&w);
    lastack_address_parse(&ip.source, WORLD_PEER);
    lastack_address_parse(&ip.destination, WORLD_LOCAL);
    memset(packet, 0x5a, sizeof(packet));
    ip4_emit(packet, &ip);
    icmp4_emit(packet + IP4_HEADER_LEN, &icmp, 30);
    peer_packet(&w, packet, sizeof(packet));
    world_collect(&w);
    CHECK_EQ(w.icmp_cnt, 1);
    world_close(&w);
}

TEST_MAIN()
