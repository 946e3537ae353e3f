/* SPDX-License-Identifier: BSD-2-Clause */
/* SEMANTICS.md section 6, row by row, as far as the cells do not say it, and TIME_WAIT. */
#include <errno.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "cells/harness.h"
#include "wire/icmp4.h"

TEST(data_on_a_syn_to_a_listener_is_left_for_the_peer_to_repeat)
{
    struct world w;

    world_open(&w);
    world_listen(&w, 8);
    peer_send(&w, TCP_SYN, w.irs, 0, 10);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_SYN | TCP_ACK);
    CHECK_EQ(world_last(&w)->ack, w.irs + 1);
    CHECK_EQ(world_dropped(&w, DROP_LISTEN_SYN_DATA), 1);
    peer_send(&w, TCP_ACK, w.irs + 1, w.snd_nxt, 10);
    world_accept(&w);
    CHECK_EQ(world_recv_at(&w, w.irs + 1, 100), 10);
    world_close(&w);
}

TEST(data_on_a_syn_in_syn_sent_is_queued_and_delivered)
{
    for (unsigned crossing = 0; crossing < 2; crossing++) {
        struct world w;

        world_open(&w);
        world_syn_sent(&w);
        world_forget(&w);
        if (crossing) {
            peer_send(&w, TCP_SYN, w.irs, 0, 10);
            CHECK_EQ(world_last(&w)->flags, TCP_SYN | TCP_ACK);
            CHECK_EQ(world_state(&w), LASTACK_SYN_RCVD);
            CHECK_EQ(world_recv_at(&w, w.irs + 1, 100), -EAGAIN);
            peer_send(&w, TCP_ACK, world_last(&w)->ack, w.snd_nxt, 0);
        } else {
            peer_send(&w, TCP_SYN | TCP_ACK, w.irs, w.snd_nxt, 10);
        }
        CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
        CHECK_EQ(w.rcv_nxt, w.irs + 11);
        CHECK_EQ(world_recv_at(&w, w.irs + 1, 100), 10);
        world_close(&w);
    }
}

TEST(unacceptable_ack_in_syn_sent_gets_a_rst_and_the_syn_comes_again_at_its_rto)
{
    struct world w;

    world_open(&w);
    world_syn_sent(&w);
    world_forget(&w);
    peer_send(&w, TCP_ACK, w.irs, w.snd_nxt + 1000, 0);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_RST);
    CHECK_EQ(world_last(&w)->seq, w.snd_nxt + 1000);
    world_forget(&w);
    world_advance(&w, WORLD_RTO - WORLD_RTT - 1);
    CHECK_EQ(w.sent_cnt, 0);
    world_advance(&w, 1);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_SYN);
    world_close(&w);
}

/* ---- ICMP (RFC 5461, RFC 5927) ------------------------------------------- */

static void icmp_in(struct world *w, uint8_t code, uint32_t quoted_seq)
{
    uint8_t packet[IP4_HEADER_LEN + ICMP4_HEADER_LEN + IP4_HEADER_LEN + 8] = {0};
    uint8_t *message = packet + IP4_HEADER_LEN, *quote = message + ICMP4_HEADER_LEN;
    struct ip4 outer = {.ttl = 64, .protocol = IP_PROTOCOL_ICMP, .total_len = sizeof(packet)};
    struct ip4 inner = {.ttl = 60, .protocol = IP_PROTOCOL_TCP, .total_len = 40};
    struct icmp4 icmp = {.type = ICMP4_UNREACHABLE, .code = code};

    lastack_address_parse(&outer.source, WORLD_PEER);
    lastack_address_parse(&outer.destination, WORLD_LOCAL);
    inner.source = outer.destination;
    inner.destination = outer.source;
    ip4_emit(packet, &outer);
    ip4_emit(quote, &inner);
    store_be16(quote + IP4_HEADER_LEN, w->local_port);
    store_be16(quote + IP4_HEADER_LEN + 2, w->peer_port);
    store_be32(quote + IP4_HEADER_LEN + 4, quoted_seq);
    icmp4_emit(message, &icmp, IP4_HEADER_LEN + 8);
    peer_packet(w, packet, sizeof(packet));
    world_collect(w);
}

TEST(hard_icmp_before_established_aborts)
{
    static const struct {
        uint8_t code;
        int error;
    } hard[] = {{ICMP4_PORT_UNREACHABLE, ECONNREFUSED},
                {ICMP4_PROTOCOL_UNREACHABLE, ENOPROTOOPT}};

    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        struct lastack_record record;

        world_open(&w);
        world_syn_sent(&w);
        icmp_in(&w, hard[i].code, w.snd_una);
        CHECK_EQ(world_state(&w), LASTACK_CLOSED);
        CHECK_EQ(world_get(&w, w.fd, SOL_SOCKET, SO_ERROR), hard[i].error);
        CHECK(world_record(&w, LASTACK_RECORD_EDGE, LASTACK_CAUSE_ICMP, &record));
        world_close(&w);
    }
}

TEST(icmp_about_bytes_that_are_not_in_flight_is_ignored)
{
    struct world w;

    world_open(&w);
    world_syn_sent(&w);
    icmp_in(&w, ICMP4_PORT_UNREACHABLE, w.snd_una - 1);
    icmp_in(&w, ICMP4_PORT_UNREACHABLE, w.snd_nxt + 1);
    CHECK_EQ(world_state(&w), LASTACK_SYN_SENT);
    CHECK_EQ(world_dropped(&w, DROP_ICMP_SEQUENCE), 2);
    w.local_port++;
    icmp_in(&w, ICMP4_PORT_UNREACHABLE, w.snd_una);
    CHECK_EQ(world_dropped(&w, DROP_ICMP_NO_FLOW), 1);
    world_close(&w);
}

/* [MUST-56] soft errors never end a connection; after the handshake hard ones do not either */
TEST(icmp_after_established_is_only_noted)
{
    struct world w;

    world_open(&w);
    world_established(&w, false);
    REQUIRE_EQ(world_send(&w, 5), 5);
    for (unsigned code = 0; code < 4; code++)
        icmp_in(&w, (uint8_t)code, w.snd_una);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    CHECK_EQ(world_poll(&w, w.fd) & POLLERR, 0);
    world_forget(&w);
    world_advance(&w, WORLD_RTO);
    CHECK_EQ(world_sent_bytes(&w), 5);
    world_close(&w);
}

/* ---- TIME_WAIT ------------------------------------------------------------ */

static void listen_again(struct world *w)
{
    w->listener = world_socket(w);
    REQUIRE_EQ(world_set(w, w->listener, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    REQUIRE_EQ(world_bind(w, w->listener, w->local_port), 0);
    REQUIRE_EQ(lastack_listen(w->process, w->listener, 8), 0);
}

static void time_wait(struct world *w)
{
    listen_again(w); /* SO_REUSEADDR is inherited, and both need it */
    world_established(w, true);
    world_close_fd(w);
    peer_ack(w);
    peer_fin(w);
    REQUIRE_EQ(world_state(w), LASTACK_TIME_WAIT);
    world_forget(w);
}

TEST(retransmitted_fin_in_time_wait_is_acknowledged_and_2msl_starts_again)
{
    struct world w;
    struct lastack_info info;
    uint64_t end;

    world_open(&w);
    time_wait(&w);
    REQUIRE(world_info(&w, &info));
    end = info.timer_ns;
    world_advance(&w, 20 * SECOND);
    peer_send(&w, TCP_FIN | TCP_ACK, w.rcv_nxt - 1, w.snd_nxt, 0);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_ACK);
    CHECK_EQ(world_last(&w)->ack, w.rcv_nxt);
    REQUIRE(world_info(&w, &info));
    CHECK_EQ(info.timer_ns, end + 20 * SECOND);
    world_advance(&w, 41 * SECOND);
    CHECK_EQ(world_state(&w), LASTACK_TIME_WAIT);
    world_advance(&w, 20 * SECOND);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

TEST(second_syn_in_time_wait_with_a_later_sequence_opens_a_new_connection)
{
    struct world w;
    struct lastack_record record;

    world_open(&w);
    time_wait(&w);
    listen_again(&w);
    w.irs = w.rcv_nxt + 5000;
    peer_send(&w, TCP_SYN, w.irs, 0, 0);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_SYN | TCP_ACK);
    CHECK_EQ(world_last(&w)->ack, w.irs + 1);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    CHECK(world_record(&w, LASTACK_RECORD_EDGE, LASTACK_CAUSE_REUSE, &record));
    world_accept(&w);
    world_close(&w);
}

TEST(second_syn_in_time_wait_with_an_old_sequence_is_only_acknowledged)
{
    struct world w;

    world_open(&w);
    time_wait(&w);
    listen_again(&w);
    peer_send(&w, TCP_SYN, w.rcv_nxt - 100, 0, 0);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_ACK);
    CHECK_EQ(world_last(&w)->ack, w.rcv_nxt);
    CHECK_EQ(world_state(&w), LASTACK_TIME_WAIT);
    world_close(&w);
}

/* [MUST-12] half-duplex close: data for it meets a RST, and nothing is read by anybody. */
TEST(half_open_discovery_after_a_crash)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    /* the peer forgot everything and answers our data as a CLOSED TCP does */
    REQUIRE_EQ(world_send(&w, 10), 10);
    peer_send(&w, TCP_RST, w.snd_una, 0, 0);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED); /* SEQ is not ours to take */
    peer_send(&w, TCP_RST, w.rcv_nxt, 0, 0);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    CHECK_EQ(world_send(&w, 10), -ECONNRESET);
    CHECK_EQ(world_send(&w, 10), -EPIPE);
    world_close(&w);
}

/* RFC 9293 3.5 figure 8 and 3.6 figure 13: both sides at once. */
TEST(simultaneous_open_completes_and_carries_data)
{
    struct world w;

    world_open(&w);
    world_syn_rcvd_active(&w);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    CHECK_EQ(world_connect(&w, w.fd), 0);
    peer_data(&w, 10);
    CHECK_EQ(world_recv_at(&w, w.irs + 1, 100), 10);
    CHECK_EQ(world_send(&w, 10), 10);
    world_close(&w);
}

TEST_MAIN()
