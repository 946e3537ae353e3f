/* SPDX-License-Identifier: BSD-2-Clause */
/* SEMANTICS.md section 2, row by row, as the processes see it. The cells have the states. */
#include <errno.h>
#include <fcntl.h>

#include "cells/harness.h"

TEST(the_classic_bug_close_in_the_child_leaves_close_wait)
{
    struct world w;
    struct lastack_info info;
    lastack_process *child;
    uint8_t data[10];

    world_open(&w);
    world_established(&w, true);
    child = lastack_fork(w.process, 101);
    peer_fin(&w);
    CHECK_EQ(lastack_recv(child, w.fd, data, sizeof(data), 0), 0);
    world_forget(&w);
    CHECK_EQ(lastack_close(child, w.fd), 0);
    world_collect(&w);
    CHECK_EQ(w.sent_cnt, 0);
    world_advance(&w, 7200 * SECOND);
    CHECK_EQ(w.sent_cnt, 0);
    REQUIRE(world_info(&w, &info));
    CHECK_EQ(info.state, LASTACK_CLOSE_WAIT);
    CHECK_EQ(info.references, 1);
    CHECK_EQ(info.close_pid, 101);
    CHECK_EQ(info.close_fd, w.fd);
    CHECK_EQ(info.close_left, 1);
    CHECK_EQ(info.fin_out_ns, 0);
    CHECK_NE(info.eof_read_ns, 0);
    world_close(&w);
}

TEST(the_classic_repair_shutdown_then_close_in_the_child)
{
    struct world w;
    lastack_process *child;

    world_open(&w);
    world_established(&w, true);
    child = lastack_fork(w.process, 101);
    peer_fin(&w);
    world_forget(&w);
    CHECK_EQ(lastack_shutdown(child, w.fd, SHUT_RDWR), 0);
    CHECK_EQ(lastack_close(child, w.fd), 0);
    world_collect(&w);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
    CHECK_EQ(world_state(&w), LASTACK_LAST_ACK);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    /* the parent's descriptor is still there and must still be closed */
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    CHECK_EQ(lastack_close(w.process, w.fd), 0);
    world_close(&w);
}

TEST(close_delivers_what_is_queued_and_then_the_fin)
{
    struct world w;
    uint32_t from;

    world_open(&w);
    world_established(&w, true);
    from = w.snd_nxt;
    REQUIRE_EQ(world_send(&w, 40000), 40000);
    world_close_fd(&w);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_1);
    for (unsigned i = 0; i < 100 && world_state(&w) == LASTACK_FIN_WAIT_1; i++) {
        w.now_ns += MS;
        peer_ack(&w);
    }
    CHECK_EQ(w.snd_una - from, 40001);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
    CHECK_EQ(world_sent_with(&w, TCP_FIN), 1);
    world_close(&w);
}

TEST(close_with_unread_data_resets_at_once_whatever_is_queued)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    peer_data(&w, 1);
    REQUIRE_EQ(world_send(&w, 40000), 40000);
    world_forget(&w);
    world_close_fd(&w);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK(world_last(&w)->flags & TCP_RST);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

TEST(close_with_out_of_order_data_only_is_no_reset)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    peer_send(&w, TCP_ACK, w.rcv_nxt + 10, w.snd_nxt, 10);
    world_forget(&w);
    world_close_fd(&w);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
    world_close(&w);
}

TEST(close_of_a_listener_resets_what_waits_and_frees_the_port)
{
    struct world w;

    world_open(&w);
    world_listen(&w, 8);
    world_handshake(&w); /* not accepted */
    w.peer_port++;
    w.snd_una = w.snd_nxt = 0;
    world_syn_rcvd(&w); /* half-open */
    world_forget(&w);
    CHECK_EQ(lastack_close(w.process, w.listener), 0);
    world_collect(&w);
    CHECK_EQ(world_sent_with(&w, TCP_RST), 2);
    w.listener = -1;
    world_listen(&w, 8); /* at once */
    world_close(&w);
}

/* ---- shutdown ------------------------------------------------------------ */

TEST(shutdown_wr_acts_at_once_in_every_process)
{
    struct world w;
    lastack_process *child;
    uint32_t first;

    world_open(&w);
    world_established(&w, true);
    child = lastack_fork(w.process, 101);
    REQUIRE_EQ(world_send(&w, 100), 100);
    world_forget(&w);
    CHECK_EQ(lastack_shutdown(child, w.fd, SHUT_WR), 0);
    world_collect(&w);
    CHECK_EQ(world_sent_with(&w, TCP_FIN), 1);
    CHECK_EQ(world_send(&w, 1), -EPIPE);
    CHECK_EQ(lastack_send(child, w.fd, "x", 1, MSG_NOSIGNAL), -EPIPE);
    peer_ack(&w);
    /* receiving goes on, without a time limit */
    world_advance(&w, 10000 * SECOND);
    first = w.rcv_nxt;
    peer_data(&w, 50);
    CHECK_EQ(world_recv_at(&w, first, 100), 50);
    world_close(&w);
}

TEST(shutdown_rd_discards_acknowledges_and_keeps_the_window_open)
{
    struct world w;
    lastack_process *child;
    uint8_t data[10];

    world_open(&w);
    world_established(&w, true);
    child = lastack_fork(w.process, 101);
    peer_data(&w, 500);
    CHECK_EQ(lastack_shutdown(child, w.fd, SHUT_RD), 0);
    world_forget(&w);
    world_collect(&w);
    CHECK_EQ(world_sent_with(&w, TCP_FIN), 0);
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    CHECK_EQ(lastack_recv(child, w.fd, data, sizeof(data), 0), 0);
    world_drops_mark(&w);
    for (unsigned i = 0; i < 100; i++) { /* more than a window */
        uint32_t before = w.rcv_nxt;

        peer_data(&w, 1000);
        CHECK_EQ(w.rcv_nxt, before + 1000);
        CHECK_GE(w.rcv_wnd, 20000);
    }
    CHECK_GT(world_dropped(&w, DROP_SHUT_RD_DATA), 0);
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    CHECK_EQ(world_send(&w, 10), 10); /* the other direction is open */
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    peer_fin(&w);
    CHECK_EQ(world_state(&w), LASTACK_CLOSE_WAIT);
    world_close(&w);
}

TEST(shutdown_rd_with_late_data_as_on_linux)
{
    struct world w;
    struct lastack_config config;
    uint32_t first;

    world_config(&config);
    config.late_data_after_shut_rd = true;
    world_open_with(&w, &config);
    world_established(&w, true);
    world_shutdown(&w, SHUT_RD);
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    first = w.rcv_nxt;
    peer_data(&w, 30);
    CHECK_EQ(world_recv_at(&w, first, 100), 30);
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    world_close(&w);
}

/* Unread data makes no reset at the shutdown; only the last close does that. */
TEST(shutdown_rdwr_is_not_a_close)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    peer_data(&w, 10);
    world_forget(&w);
    world_shutdown(&w, SHUT_RDWR);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
    CHECK_EQ(lastack_fcntl(w.process, w.fd, F_GETFD, 0), 0); /* still there */
    world_shutdown(&w, SHUT_RDWR);
    world_close_fd(&w);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_1);
    world_close(&w);
}

TEST(shutdown_errors)
{
    struct world w;
    int fd;

    world_open(&w);
    fd = world_socket(&w);
    CHECK_EQ(lastack_shutdown(w.process, fd, SHUT_WR), -ENOTCONN);
    CHECK_EQ(lastack_shutdown(w.process, fd, SHUT_RD), -ENOTCONN);
    CHECK_EQ(lastack_shutdown(w.process, fd, SHUT_RDWR), -ENOTCONN);
    CHECK_EQ(lastack_shutdown(w.process, fd, 3), -EINVAL);
    CHECK_EQ(lastack_shutdown(w.process, fd, -1), -EINVAL);
    CHECK_EQ(lastack_shutdown(w.process, 99, SHUT_WR), -EBADF);
    CHECK_EQ(lastack_close(w.process, fd), 0);
    world_established(&w, true);
    CHECK_EQ(lastack_shutdown(w.process, w.fd, 3), -EINVAL);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(lastack_shutdown(w.process, w.fd, SHUT_WR), 0);
    peer_ack(&w);
    CHECK_EQ(lastack_shutdown(w.process, w.fd, SHUT_WR), 0);
    world_close(&w);
}

TEST(shutdown_rd_on_a_listener_stops_it)
{
    struct world w;
    int fd;

    world_open(&w);
    fd = world_listen(&w, 8);
    CHECK_EQ(lastack_shutdown(w.process, fd, SHUT_RD), 0);
    CHECK_EQ(lastack_accept(w.process, fd, NULL, NULL, 0), -EINVAL);
    world_forget(&w);
    peer_send(&w, TCP_SYN, w.irs, 0, 0);
    CHECK_EQ(world_sent_with(&w, TCP_RST), 1);
    CHECK_EQ(lastack_listen(w.process, fd, 8), 0); /* and may start again */
    world_close(&w);
}

/* ---- linger -------------------------------------------------------------- */

TEST(linger_waits_for_the_acknowledgment)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    REQUIRE_EQ(world_linger(&w, w.fd, 1, 10), 0);
    REQUIRE_EQ(world_send(&w, 10), 10);
    CHECK_EQ(lastack_close(w.process, w.fd), -EINPROGRESS);
    CHECK_EQ(lastack_close(w.process, w.fd), -EBADF); /* gone either way */
    world_collect(&w);
    CHECK_EQ(w.lingered, 0);
    peer_ack(&w);
    CHECK_EQ(w.lingered, 1);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
    world_advance(&w, 20 * SECOND);
    CHECK_EQ(w.lingered, 1);
    world_close(&w);
}

TEST(linger_gives_up_after_its_time)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    REQUIRE_EQ(world_linger(&w, w.fd, 1, 2), 0);
    CHECK_EQ(lastack_close(w.process, w.fd), -EINPROGRESS);
    world_advance(&w, 1900 * MS);
    CHECK_EQ(w.lingered, 0);
    world_advance(&w, 200 * MS);
    CHECK_EQ(w.lingered, 1);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_1);
    world_close(&w);
}

TEST(linger_ends_with_a_reset)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    REQUIRE_EQ(world_linger(&w, w.fd, 1, 100), 0);
    CHECK_EQ(lastack_close(w.process, w.fd), -EINPROGRESS);
    world_collect(&w);
    peer_rst(&w);
    CHECK_EQ(w.lingered, 1);
    world_close(&w);
}

TEST(linger_never_waits_for_a_nonblocking_socket_or_a_shared_one)
{
    struct world w;
    lastack_process *child;

    world_open(&w);
    world_established(&w, true);
    REQUIRE_EQ(world_linger(&w, w.fd, 1, 10), 0);
    child = lastack_fork(w.process, 101);
    CHECK_EQ(lastack_close(child, w.fd), 0); /* not the last */
    CHECK_EQ(lastack_fcntl(w.process, w.fd, F_SETFL, O_NONBLOCK), 0);
    world_close_fd(&w);
    CHECK_EQ(world_state(&w), LASTACK_FIN_WAIT_1);
    world_advance(&w, 2 * SECOND);
    CHECK_EQ(w.lingered, 0);
    world_close(&w);
}

TEST(linger_0_resets_only_with_the_last_reference)
{
    struct world w;
    lastack_process *child;

    world_open(&w);
    world_established(&w, true);
    REQUIRE_EQ(world_linger(&w, w.fd, 1, 0), 0);
    REQUIRE_EQ(world_send(&w, 40000), 40000);
    child = lastack_fork(w.process, 101);
    world_forget(&w);
    CHECK_EQ(lastack_close(child, w.fd), 0);
    world_collect(&w);
    CHECK_EQ(w.sent_cnt, 0);
    world_close_fd(&w);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK(world_last(&w)->flags & TCP_RST);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

/* ---- the peer's end, section 3 ------------------------------------------- */

TEST(the_peers_fin_is_seen_by_every_holder_after_the_data)
{
    struct world w;
    lastack_process *child;
    uint8_t data[10];

    world_open(&w);
    world_established(&w, true);
    child = lastack_fork(w.process, 101);
    peer_data(&w, 6);
    peer_fin(&w);
    CHECK_EQ(world_poll(&w, w.fd), POLLIN | POLLOUT | POLLRDHUP);
    CHECK_EQ(lastack_recv(child, w.fd, data, 3, 0), 3);
    CHECK_EQ(world_recv_at(&w, WORLD_IRS + 4, 10), 3);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(world_recv_at(&w, 0, 10), 0);
        CHECK_EQ(lastack_recv(child, w.fd, data, sizeof(data), 0), 0);
    }
    CHECK_EQ(world_poll(&w, w.fd), POLLIN | POLLOUT | POLLRDHUP);
    world_close(&w);
}

TEST(a_fin_behind_a_gap_is_held_until_the_gap_is_filled)
{
    struct world w;
    uint32_t first;

    world_open(&w);
    world_established(&w, true);
    first = w.rcv_nxt;
    peer_send(&w, TCP_ACK | TCP_FIN, first + 20, w.snd_nxt, 10);
    peer_send(&w, TCP_ACK, first, w.snd_nxt, 10);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    CHECK_EQ(world_recv_at(&w, first, 100), 10);
    CHECK_EQ(world_recv_at(&w, first, 100), -EAGAIN);
    peer_send(&w, TCP_ACK, first + 10, w.snd_nxt, 10);
    CHECK_EQ(world_state(&w), LASTACK_CLOSE_WAIT);
    CHECK_EQ(world_last(&w)->ack, first + 31);
    CHECK_EQ(world_recv_at(&w, first + 10, 100), 20);
    CHECK_EQ(world_recv_at(&w, 0, 100), 0);
    world_close(&w);
}

/* RST in ESTABLISHED: what came before it can no longer be read as a clean end. */
TEST(reset_is_reported_once_then_end_of_stream)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    peer_rst(&w);
    CHECK_EQ(world_poll(&w, w.fd), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    CHECK_EQ(world_recv_at(&w, 0, 10), -ECONNRESET);
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    CHECK_EQ(world_send(&w, 10), -EPIPE);
    CHECK_EQ(world_get(&w, w.fd, SOL_SOCKET, SO_ERROR), 0);
    CHECK_EQ(world_poll(&w, w.fd), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    world_close(&w);
}

TEST(reset_in_close_wait_is_a_broken_pipe)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    peer_fin(&w);
    peer_rst(&w);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    CHECK_EQ(world_get(&w, w.fd, SOL_SOCKET, SO_ERROR), EPIPE);
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    world_close(&w);
}

TEST(refused_connect_reports_once)
{
    struct world w;

    world_open(&w);
    world_syn_sent(&w);
    CHECK_EQ(world_connect(&w, w.fd), -EALREADY);
    peer_send(&w, TCP_RST | TCP_ACK, 0, w.snd_nxt, 0);
    CHECK_EQ(world_connect(&w, w.fd), -ECONNREFUSED);
    CHECK_EQ(world_get(&w, w.fd, SOL_SOCKET, SO_ERROR), 0);
    /* and the socket may try again (Linux) */
    w.snd_una = w.snd_nxt = 0;
    world_syn_sent(&w);
    world_close(&w);
}

TEST(reset_before_accept_stays_in_the_queue_and_is_told_to_the_acceptor)
{
    struct world w;
    struct lastack_usage usage;

    world_open(&w);
    world_listen(&w, 8);
    world_handshake(&w);
    peer_rst(&w);
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.unaccepted, 1);
    CHECK_EQ(world_poll(&w, w.listener), POLLIN);
    world_accept(&w);
    CHECK_EQ(world_recv_at(&w, 0, 10), -ECONNRESET);
    CHECK_EQ(world_recv_at(&w, 0, 10), 0);
    world_close(&w);
}

TEST_MAIN()
