/* SPDX-License-Identifier: BSD-2-Clause */
/* Endings that other stacks got wrong, each under the name of the report. */
#include <errno.h>

#include "cells/harness.h"

/* Data of the program behind a window that the peer has closed. */
static void data_behind_zero_window(struct world *w, uint32_t len)
{
    w->peer_wnd = 0;
    peer_ack(w);
    world_forget(w);
    REQUIRE_EQ(world_send(w, len), len);
    CHECK_EQ(w->sent_cnt, 0);
}

static void window_opens(struct world *w)
{
    w->peer_wnd = WORLD_PEER_WND;
    world_forget(w);
    peer_send(w, TCP_ACK, w->rcv_nxt, w->snd_una, 0);
}

TEST(gvisor_13393_close_behind_zero_window_leaves_established)
{
    struct world w;
    struct lastack_info info;

    world_open(&w);
    world_established(&w, true);
    data_behind_zero_window(&w, 1000);
    world_close_fd(&w);
    CHECK_EQ(w.sent_cnt, 0);
    /* The state changes when the FIN is queued, not when it is sent. */
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_1);
    REQUIRE(world_info(&w, &info));
    CHECK(info.orphan);
    CHECK_EQ(info.send_unsent, 1000);
    CHECK_EQ(info.fin_out_ns, w.now_ns);
    window_opens(&w);
    CHECK_EQ(world_sent_bytes(&w), 1000);
    CHECK_EQ(world_sent_with(&w, TCP_FIN), 1);
    CHECK(world_last(&w)->flags & TCP_FIN);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
    world_close(&w);
}

TEST(gvisor_13393_the_same_in_close_wait)
{
    struct world w;

    world_open(&w);
    world_established(&w, false);
    peer_fin(&w);
    data_behind_zero_window(&w, 1000);
    world_close_fd(&w);
    CHECK_EQ(world_state(&w), LASTACK_LAST_ACK);
    window_opens(&w);
    CHECK_EQ(world_sent_bytes(&w), 1000);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

TEST(gvisor_13393_shutdown_behind_zero_window)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    data_behind_zero_window(&w, 10);
    world_shutdown(&w, SHUT_WR);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_1);
    CHECK_EQ(world_sent_with(&w, TCP_FIN), 0);
    CHECK_EQ(world_send(&w, 1), -EPIPE);
    window_opens(&w);
    CHECK_EQ(world_sent_with(&w, TCP_FIN), 1);
    world_close(&w);
}

/* No data behind the window, the FIN alone: it leaves as soon as the window opens. */
TEST(gvisor_13393_a_fin_alone_behind_zero_window)
{
    for (unsigned close_wait = 0; close_wait < 2; close_wait++) {
        struct world w;

        world_open(&w);
        world_established(&w, true);
        if (close_wait)
            peer_fin(&w);
        w.peer_wnd = 0;
        peer_ack(&w);
        world_forget(&w);
        world_close_fd(&w);
        CHECK_EQ(world_state(&w), close_wait ? LASTACK_LAST_ACK : LASTACK_FIN_WAIT_1);
        window_opens(&w);
        CHECK_EQ(world_sent_with(&w, TCP_FIN), 1);
        world_close(&w);
    }
}

/* Answers every segment of the stack with a closed window, for `ns`. */
static void answer_with_zero_window(struct world *w, uint64_t ns)
{
    uint64_t end = w->now_ns + ns;

    while (w->now_ns < end && world_state(w) != LASTACK_CLOSED) {
        world_forget(w);
        if (!world_wait_sent(w, 1, end - w->now_ns))
            break;
        peer_send(w, TCP_ACK, w->rcv_nxt, w->snd_una, 0);
    }
    if (w->now_ns < end)
        world_advance(w, end - w->now_ns);
}

TEST(orphan_behind_zero_window_has_a_bounded_number_of_probes)
{
    struct world w;
    struct lastack_record record;
    struct lastack_usage usage;

    world_open(&w);
    world_established(&w, true);
    data_behind_zero_window(&w, 1000);
    world_close_fd(&w);
    /* 3 by the configuration, a second apart: not before they have all had their chance */
    answer_with_zero_window(&w, 2900 * MS);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_1);
    answer_with_zero_window(&w, 300 * SECOND);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    CHECK(world_record(&w, LASTACK_RECORD_EDGE, LASTACK_CAUSE_PROBE_LIMIT, &record));
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.connections, 0);
    CHECK_EQ(usage.buffer_bytes, 0);
    world_close(&w);
}

/* RFC 9293 3.8.6.1 [MUST-37]: as long as the peer answers, the window may stay closed. */
TEST(holder_behind_zero_window_may_wait_for_ever)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    data_behind_zero_window(&w, 1000);
    answer_with_zero_window(&w, 100000 * SECOND);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    window_opens(&w);
    CHECK_EQ(world_sent_bytes(&w) + (w.snd_una - WORLD_ISS - 1), 1000);
    world_close(&w);
}

TEST(utcp_24_no_retransmission_timer_in_close_wait)
{
    struct world w;
    struct lastack_info info;

    world_open(&w);
    world_established(&w, true);
    peer_fin(&w);
    REQUIRE_EQ(world_send(&w, 700), 700);
    REQUIRE(world_info(&w, &info));
    CHECK_EQ(info.timer, LASTACK_TIMER_RETRANSMIT);
    CHECK_EQ(info.timer_ns, w.now_ns + WORLD_RTO);
    world_forget(&w); /* lost */
    world_advance(&w, WORLD_RTO - 1);
    CHECK_EQ(w.sent_cnt, 0);
    world_advance(&w, 1);
    CHECK_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_sent_bytes(&w), 700);
    world_close(&w);
}

TEST(mirage_489_no_timer_after_closing_to_time_wait)
{
    struct world w;
    struct lastack_info info;

    world_open(&w);
    world_established(&w, true);
    world_close_fd(&w);
    peer_send(&w, TCP_FIN | TCP_ACK, w.rcv_nxt, w.snd_una, 0);
    CHECK_EQ(world_state(&w), LASTACK_CLOSING);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_TIME_WAIT);
    REQUIRE(world_info(&w, &info));
    CHECK_EQ(info.timer, LASTACK_TIMER_TIME_WAIT);
    CHECK_EQ(info.timer_ns, w.now_ns + 2 * w.config.msl_ms * MS);
    world_advance(&w, 2 * w.config.msl_ms * MS + SECOND);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    CHECK_EQ(lastack_deadline(w.stack), LASTACK_NEVER);
    world_close(&w);
}

TEST(vpp_shutdown_wr_in_close_wait_sends_no_fin)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    peer_fin(&w);
    world_forget(&w);
    world_shutdown(&w, SHUT_WR);
    CHECK_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
    CHECK_EQ(world_state(&w), LASTACK_LAST_ACK);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

/* VPP deletes a half-closed connection after 2 s and resets FIN_WAIT_2 after 30 s. */
TEST(vpp_half_close_is_killed_by_a_timer)
{
    for (unsigned we_close = 0; we_close < 2; we_close++) {
        struct world w;

        world_open(&w);
        world_established(&w, true);
        if (we_close) {
            world_shutdown(&w, SHUT_WR);
            peer_ack(&w);
        } else {
            peer_fin(&w);
        }
        world_forget(&w);
        world_advance(&w, 100 * 24 * 3600 * SECOND);
        CHECK_EQ(w.sent_cnt, 0);
        CHECK_EQ(world_state(&w), we_close ? LASTACK_FIN_WAIT_2 : LASTACK_CLOSE_WAIT);
        if (we_close) {
            uint32_t first = w.rcv_nxt;

            peer_data(&w, 100);
            CHECK_EQ(world_recv_at(&w, first, 1000), 100);
        } else {
            CHECK_EQ(world_send(&w, 100), 100);
            CHECK_EQ(world_sent_bytes(&w), 100);
        }
        world_close(&w);
    }
}

TEST(gvisor_6495_shutdown_of_a_connecting_socket_does_nothing)
{
    static const int hows[] = {SHUT_WR, SHUT_RD, SHUT_RDWR};

    for (unsigned i = 0; i < 3; i++) {
        struct world w;

        world_open(&w);
        world_syn_sent(&w);
        world_forget(&w);
        world_shutdown(&w, hows[i]);
        CHECK_EQ(world_state(&w), LASTACK_CLOSED);
        CHECK(world_poll(&w, w.fd) & POLLHUP);
        world_advance(&w, 30 * SECOND);
        CHECK_EQ(w.sent_cnt, 0); /* no SYN again */
        CHECK_EQ(world_get(&w, w.fd, SOL_SOCKET, SO_ERROR), ECONNRESET);
        peer_send(&w, TCP_SYN | TCP_ACK, w.irs, w.snd_nxt, 0);
        CHECK_EQ(world_last(&w)->flags & TCP_RST, TCP_RST);
        world_close(&w);
    }
}

TEST(zephyr_46350_first_fin_lost_connection_never_closes)
{
    struct world w;

    world_open(&w);
    world_established(&w, false);
    world_close_fd(&w);
    world_forget(&w); /* lost */
    world_advance(&w, WORLD_RTO);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
    peer_fin(&w);
    CHECK_EQ(world_state(&w), LASTACK_TIME_WAIT);
    world_advance(&w, 2 * w.config.msl_ms * MS + SECOND);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

TEST(zephyr_61181_data_in_fin_wait_is_dropped_but_acknowledged)
{
    for (unsigned acked = 0; acked < 2; acked++) {
        struct world w;
        uint32_t first;

        world_open(&w);
        world_established(&w, true);
        world_shutdown(&w, SHUT_WR);
        if (acked)
            peer_ack(&w);
        first = w.rcv_nxt;
        for (unsigned i = 0; i < 5; i++)
            peer_send(&w, TCP_ACK, w.rcv_nxt, w.snd_una, 1000);
        CHECK_EQ(w.rcv_nxt, first + 5000);
        CHECK_EQ(world_recv_at(&w, first, 10000), 5000);
        world_close(&w);
    }
}

TEST(mtcp_data_in_fin_wait_is_thrown_away)
{
    struct world w;
    uint32_t first;

    world_open(&w);
    world_established(&w, true);
    world_shutdown(&w, SHUT_WR);
    peer_ack(&w);
    first = w.rcv_nxt;
    /* the second half first, then the gap, then the FIN of both */
    peer_send(&w, TCP_ACK | TCP_FIN, first + 1000, w.snd_nxt, 1000);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
    CHECK_EQ(world_recv_at(&w, first, 10000), -EAGAIN);
    peer_send(&w, TCP_ACK, first, w.snd_nxt, 1000);
    CHECK_EQ(world_state(&w), LASTACK_TIME_WAIT);
    CHECK_EQ(w.rcv_nxt, first + 2001);
    CHECK_EQ(world_recv_at(&w, first, 10000), 2000);
    CHECK_EQ(world_recv_at(&w, 0, 10000), 0);
    CHECK_EQ(world_recv_at(&w, 0, 10000), 0);
    world_close(&w);
}

TEST(nanos_1807_rd_then_rdwr_frees_the_object_under_the_caller)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    peer_data(&w, 100);
    world_shutdown(&w, SHUT_RD);
    world_shutdown(&w, SHUT_RDWR);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_1);
    peer_ack(&w);
    peer_fin(&w);
    CHECK_EQ(world_state(&w), LASTACK_TIME_WAIT);
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    CHECK_EQ(world_send(&w, 10), -EPIPE);
    world_advance(&w, 2 * w.config.msl_ms * MS + SECOND);
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    CHECK_EQ(lastack_shutdown(w.process, w.fd, SHUT_RDWR), -ENOTCONN);
    world_close_fd(&w);
    world_close(&w);
}

/* Acknowledge what comes until `len` bytes have, at most 10 s. */
static uint32_t receive_reply(struct world *w, uint32_t from)
{
    for (unsigned i = 0; i < 200; i++) {
        world_forget(w);
        if (w->snd_una == w->snd_nxt && !world_wait_sent(w, 1, 50 * MS))
            break;
        w->now_ns += 1 * MS;
        peer_ack(w);
    }
    return w->snd_una - from;
}

TEST(arcbox_473_fin_taken_as_close_both_truncates_the_reply)
{
    struct world w;
    uint32_t from, queued = 0;

    world_open(&w);
    world_established(&w, true);
    peer_data(&w, 50);
    peer_fin(&w);
    CHECK_EQ(world_recv_at(&w, WORLD_IRS + 1, 100), 50);
    CHECK_EQ(world_recv_at(&w, 0, 100), 0);
    from = w.snd_nxt;
    while (queued < 100000) {
        ssize_t sent = world_send(&w, 10000);

        if (sent > 0)
            queued += (uint32_t)sent;
        else
            peer_ack(&w);
    }
    world_close_fd(&w);
    CHECK_EQ(receive_reply(&w, from), queued + 1); /* and the FIN */
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

TEST(vhost_device_874_our_half_close_truncates_the_peers_reply)
{
    struct world w;
    uint32_t first;

    world_open(&w);
    world_established(&w, true);
    world_shutdown(&w, SHUT_WR);
    peer_ack(&w);
    first = w.rcv_nxt;
    for (unsigned i = 0; i < 100; i++) {
        world_advance(&w, 10 * SECOND);
        peer_data(&w, 1000);
        CHECK_EQ(world_recv_at(&w, first + i * 1000, 2000), 1000);
    }
    peer_fin(&w);
    CHECK_EQ(world_recv_at(&w, 0, 2000), 0);
    CHECK_EQ(world_state(&w), LASTACK_TIME_WAIT);
    world_close(&w);
}

TEST(nuttx_8915_a_peer_can_send_to_a_closed_socket_for_hours)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    world_close_fd(&w);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
    world_forget(&w);
    peer_data(&w, 1000);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK(world_last(&w)->flags & TCP_RST);
    CHECK_EQ(world_last(&w)->seq, w.snd_nxt);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    /* and whatever comes after it */
    world_forget(&w);
    peer_data(&w, 1000);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK(world_last(&w)->flags & TCP_RST);
    world_close(&w);
}

TEST(picotcp_60_fin_wait_1_for_ever)
{
    struct world w;
    struct lastack_usage usage;

    world_open(&w);
    world_established(&w, true);
    world_close_fd(&w);
    world_advance(&w, (w.config.retry_max + 2) * SECOND);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.connections, 0);
    world_close(&w);
}

TEST(slirp4netns_350_fin_wait_2_of_an_orphan_for_ever)
{
    struct world w;
    struct lastack_info info;

    world_open(&w);
    world_established(&w, false);
    world_close_fd(&w);
    peer_ack(&w);
    REQUIRE(world_info(&w, &info));
    CHECK_EQ(info.state, LASTACK_FIN_WAIT_2);
    CHECK_EQ(info.timer, LASTACK_TIMER_FIN_WAIT);
    CHECK_EQ(info.timer_ns, w.now_ns + w.config.orphan_fin_wait_ms * MS);
    world_advance(&w, w.config.orphan_fin_wait_ms * MS - SECOND);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
    world_advance(&w, 2 * SECOND);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

/* A holder that closes late: the orphan's time starts at the close, not at the FIN. */
TEST(tinyproxy_600_fin_wait_2_starts_its_time_when_the_holder_lets_go)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    world_shutdown(&w, SHUT_WR);
    peer_ack(&w);
    world_advance(&w, 10 * w.config.orphan_fin_wait_ms * MS);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
    world_close_fd(&w);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
    world_advance(&w, w.config.orphan_fin_wait_ms * MS + SECOND);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

TEST_MAIN()
